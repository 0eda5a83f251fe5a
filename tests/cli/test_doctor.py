from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from facedepth_kit.cli import doctor
from facedepth_kit.cli.doctor import Finding
from facedepth_kit.common import paths
from facedepth_kit.common.paths import repository_root
from facedepth_kit.enhancers import names
from facedepth_kit.faces.photos import prnet


def write_weights(folder: Path, name: str, content: bytes) -> Path:
    file = folder / f"{name}.safetensors"
    file.write_bytes(content)
    card = {"name": name, "size": "DL-Delta", "sha256": hashlib.sha256(content).hexdigest()}
    (folder / f"{name}.json").write_text(json.dumps(card))
    return file


def test_a_set_up_machine_can_run_the_kit() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facedepth_kit.cli", "doctor"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in done.stdout
    assert "Keras 3." in done.stdout
    assert done.stdout.rstrip().endswith("Everything that the kit needs is there.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("whose", ["shipped", "own"])
def test_every_weights_file_is_held_against_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path if whose == "shipped" else tmp_path / "none")
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path if whose == "own" else tmp_path / "none"))
    write_weights(tmp_path, "DL-Alpha", b"sound")
    write_weights(tmp_path, "DL-Beta", b"whole").write_bytes(b"cut short")
    write_weights(tmp_path, "DL-Gamma", b"gone").unlink()
    (tmp_path / "mine.json").write_text("[]")
    findings = list(doctor.weights())
    states = {finding.text.split(":")[0].split()[0]: finding.state for finding in findings}
    assert states["DL-Alpha"] == "ok"
    assert states["DL-Beta"] == states["DL-Gamma"] == states["mine"] == "broken"
    assert all(finding.fix for finding in findings if finding.state != "ok")


def test_networks_without_weights_are_optional(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path)
    write_weights(tmp_path, "DL-Delta-1", b"x")
    (absent,) = [finding for finding in doctor.weights() if finding.state == "absent"]
    assert "DL-Delta-1" not in absent.text
    assert all(name in absent.text for name in names() if name.startswith("DL-") and name != "DL-Delta-1")


NAMES = ("KinectFaceDB", "PRNet", "MediaPipe", "DDRNet", "DDD", "DRR")


def states() -> dict[str, str]:
    """States of the optional data."""
    found = [finding.state for finding in doctor.data_sets()]
    return dict(zip(NAMES, found, strict=True))


def test_data_sets_are_found_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in doctor.DATA_SETS:
        monkeypatch.setenv(known.variable, str(tmp_path))
    for name in ("PRNET", "DDRNET", "FACE_MESH"):
        monkeypatch.setenv(f"FACEDEPTH_{name}", str(tmp_path))
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path))
    assert states() == dict.fromkeys(NAMES, "absent")
    (tmp_path / "EURECOM_Kinect_Face_Dataset").mkdir()
    (tmp_path / "mediapipe-0.10.21-any.whl").touch()
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "noBN_L1_sd100_B16-6000.index").touch()
    (tmp_path / "DDD").mkdir()
    (tmp_path / "DDD" / "ddd").touch()
    assert states() == dict(zip(NAMES, ("ok", "absent", "ok", "broken", "ok", "absent"), strict=True))
    data = tmp_path / "experiment" / "noBN_L1_sd100_B16-6000.data-00000-of-00001"
    data.touch()
    assert states()["DDRNet"] == "note"
    data.write_bytes(bytes(12_019_716))
    assert states()["DDRNet"] == "ok"


def test_prnet_is_whole_or_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDEPTH_PRNET", str(tmp_path))
    absent = doctor.prnet("x")
    assert absent.state == "absent"
    assert "github.com/YadiraF/PRNet" in absent.fix
    assert "research purposes" in absent.fix
    for path, size in prnet.FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / path).open("wb") as file:
            file.truncate(size or 9)
    assert doctor.prnet("x").state == "ok"
    (index, data, *_) = prnet.FILES
    (tmp_path / index).unlink()
    (tmp_path / data).write_bytes(b"cut short")
    broken = doctor.prnet("x")
    assert broken.state == "broken"
    assert "256_256_resfcn256_weight.index is missing" in broken.text
    assert "has 9 bytes, not 160290984" in broken.text


def test_a_task_file_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tmp_path / "face_landmarker.task"
    task.touch()
    monkeypatch.setenv("FACEDEPTH_FACE_MESH", str(task))
    installed = importlib.util.find_spec("mediapipe") is not None
    assert doctor.face_mesh("x").state == ("ok" if installed else "broken")


def test_without_its_checkpoint_ddrnet_runs_as_a_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDEPTH_DDRNET", str(tmp_path))
    finding = doctor.ddrnet("x")
    assert finding.state == "absent"
    assert "stand-in" in finding.text
    assert "FACEDEPTH_DDRNET" in finding.fix


def test_the_lock_is_read_for_this_platform(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# comment\n"
        "numpy==2.4.6 \\\n    --hash=sha256:00\n"
        "Pure_Eval==1.0 ; sys_platform != 'nowhere' \\\n    --hash=sha256:00\n"
        "pywinpty==3 ; sys_platform == 'nowhere' \\\n    --hash=sha256:00\n"
    )
    assert doctor.locked_versions(lock) == {"numpy": "2.4.6", "pure-eval": "1.0"}
    assert "numpy" in doctor.locked_versions(repository_root() / "requirements.lock")


def test_without_the_repository_pip_mends_what_make_would(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert doctor.installation("cameras") == "make setup"
    monkeypatch.setattr("facedepth_kit.common.paths.PACKAGE", tmp_path / "site-packages" / "facedepth_kit")
    assert doctor.installation("cameras").endswith("-py3-none-any.whl[cameras]'")
    assert doctor.installation().startswith("pip install --force-reinstall facedepth_kit-")


def test_every_extra_is_looked_at() -> None:
    declared = tomllib.loads((repository_root() / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(declared)


def test_advice_names_needed_things_first_and_how_to_mend_them() -> None:
    findings = [
        Finding("a", "absent", "PRNet is not here", "clone it"),
        Finding("b", "ok", "fine"),
        Finding("c", "broken", "numpy is not installed", "make setup"),
    ]
    assert doctor.advice(findings) == [
        "missing: numpy is not installed: make setup",
        "optional: PRNet is not here: clone it",
    ]
    assert doctor.advice(findings[:2])[-1] == "Everything that the kit needs is there."
