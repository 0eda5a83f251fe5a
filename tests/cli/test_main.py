from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit import __version__
from facedepth_kit.cli import doctor
from facedepth_kit.cli import main as cli
from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import read_png, write_png
from facedepth_kit.enhancers import names, offered
from facedepth_kit.networks.cards import ModelCard
from facedepth_kit.pairs.store import PairStore, SynthesisSettings, make_pair, synthesize


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `facedepth doctor` fail in a given way."""

    def fail() -> list[doctor.Finding]:
        raise error

    monkeypatch.setattr(doctor, "examine", fail)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"facedepth {__version__}\n", "")


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_and_stands_in_the_overview(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    assert out.startswith(f"Usage: facedepth {command} ")
    assert f" {command} " in run(capsys, "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "COMMAND"),
        (["colourise"], "'colourise'"),
        (["synthesize", "--output", "x", "--count", "many"], "--count: found 'many', expected a whole number"),
        (["synthesize", "--output", "x", "--count", "0"], "found '0'"),
        (["synthesize", "--output", "x", "--count", "9" * 5000], "expected a whole number"),
        (["synthesize", "--output", "x", "--count", "2", "--seed", "-1"], "--seed: found '-1'"),
        (["synthesize", "--output", "x", "--count", "2", "--workers", "-2"], "--workers: found '-2'"),
        (["calibrate", "--seed", "4294967296"], "--seed: found '4294967296'"),
        (["punch", ".", "--image-suffix", "x", "--seed", "1.5"], "--seed: found '1.5'"),
        (["evaluate-recordings", "--every", "0"], "--every: found '0'"),
        (["evaluate-recordings", "--unit-mm", "inf"], "--unit-mm: found 'inf'"),
        (["train-ddrnet", "--output", "x", "--steps", "-6"], "--steps: found '-6'"),
        (["enhance", "a.png", "--output", "x", "--unit-mm", "-0.1"], "--unit-mm: found '-0.1'"),
        (["enhance", "a.png", "--output", "x", "--box", "1", "2", "3", "1e9"], "--box: found '1e9'"),
        (["enhance", "a.png", "--output", "--overwrite"], "--output: found '--overwrite', expected a path"),
        (["enhance", "a.png", "--output", "x", "--unit-mm", "1", "--normalized"], "found --unit-mm beside it"),
        (["enhance", "a.png", "--output", "x", "--colour"], "'--colour'"),
        (["bodies", "nowhere"], "nowhere: found no such folder"),
        (["record", "x", "--fps", "1000000"], "--fps: found '1000000'"),
        (["synthesize", "--count", "3"], "--output"),
        (["figures", "--profile", "huge"], "expected one of smoke, laptop, paper"),
        (["evaluate", "--pairs", ".", "--enhancer", "DL-Omega"], "DL-Omega"),
        (["train", "--pairs", "nowhere", "--output", "run"], "nowhere"),
        (["enhance", "nowhere.png", "--output", "out"], "nowhere.png"),
        (["enhance", "a.png"], "--output"),
        (["enhance", ".", "--output", "out", "--box", "1", "2", "3", "4", "--image-suffix", "x"], "--box"),
        (["calibrate", "--minutes", "nan"], "found 'nan'"),
        (["synthesize", "--count", "3", "--output", "x", "--settings", "absent.yaml"], "absent.yaml: found no such"),
        (["synthesize", "--count", "3", "--output", "x", "--settings", "."], "found a folder, expected a file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("facedepth: error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (KitError("a.png: found 8-bit,\n expected 16-bit"), "a.png: found 8-bit, expected 16-bit"),
        (OSError(errno.ENOSPC, "No space left on device", "out/x.npy"), "out/x.npy: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("131072 requested and 4096 written"), "131072 requested and 4096 written (is the disk full?)"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_the_machine_refuses_is_one_line(
    error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, error)
    assert run(capsys, "doctor") == (2, "", f"facedepth: error: {expected}\n")


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert run(capsys, "doctor") == (130, "", "facedepth: interrupted\n")


# Sends itself the interrupt from inside an import, as a key pressed that early would.
EARLY = """
import os, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Press())
sys.argv = ["facedepth", "enhancers"]
from facedepth_kit.cli.__main__ import start
sys.exit(start())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("module", ["facedepth_kit.cli.main", "click", "facedepth_kit.enhancers", "numpy"])
def test_an_interrupt_while_modules_load_is_one_line(module: str) -> None:
    code = EARLY.format(module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "facedepth: interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_an_interrupt_in_text_that_is_executed_has_the_same_exit_code(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        """
import os, signal, sys

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == "facedepth_kit.enhancers":
            exec("os.kill(os.getpid(), signal.SIGINT)")

sys.meta_path.insert(0, Press())
"""
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "facedepth_kit.cli", "enhancers"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "facedepth: interrupted\n")


def test_an_interrupt_that_c_code_cannot_pass_on_is_not_lost() -> None:
    code = """
import sys
from facedepth_kit.cli import doctor

class Pressed:
    def __del__(self):
        raise KeyboardInterrupt

def examine():
    Pressed()
    while True:
        pass

doctor.examine = examine
sys.argv = ["facedepth", "doctor"]
from facedepth_kit.cli.__main__ import start
sys.exit(start())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (130, "facedepth: interrupted\n")


def test_a_package_of_an_extra_that_is_not_installed_is_named_with_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ModuleNotFoundError("No module named 'ruff'", name="ruff"))
    code, _, err = run(capsys, "doctor")
    assert code == 2
    assert err.startswith("facedepth: error: found no package ruff, expected the extra dev: ")
    raising(monkeypatch, ModuleNotFoundError("No module named 'facedepth_kit.colour'", name="facedepth_kit.colour"))
    with pytest.raises(ModuleNotFoundError):
        cli.main(["doctor"])


def test_a_programming_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["doctor"])


def test_a_file_in_the_way_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("")
    code, _, err = run(capsys, "synthesize", "--count", "1", "--output", tmp_path / "taken" / "store")
    assert code == 2
    assert err.count("\n") == 1
    assert "taken" in err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows refuses such names")
def test_control_characters_in_file_names_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "a\x1b]0;title\x07\x1b[2J\r\u202e.png"
    write_depth(tmp_path / "plain.png", hole=2)
    (tmp_path / "plain.png").rename(given)
    given.with_suffix(".npy").write_bytes(b"damaged")
    code, out, err = run(
        capsys, "enhance", given, given.with_suffix(".npy"), "--output", tmp_path / "out", "--enhancer", "None"
    )
    assert code == 2
    assert "holes before" in out
    assert ".npy" in err
    assert (out + err).replace("\n", "").isprintable()


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX pipe")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f'"{sys.executable}" -m facedepth_kit.cli --help | true'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_help_needs_none_of_the_heavy_packages() -> None:
    code = "import sys, facedepth_kit.cli.main as cli; cli.main(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "facedepth_kit.cli.main" in loaded
    assert not loaded & {"numpy", "tensorflow", "keras", "cv2", "numba", "matplotlib"}


def test_synthesize_then_evaluate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, table = tmp_path / "pairs", tmp_path / "errors.csv"
    synthesize = ("synthesize", "--output", store, "--count", "2", "--workers", "1", "--seed", "7")
    code, out, _ = run(capsys, *synthesize, "--hole-values", "mixed")
    assert code == 0
    assert out == f"{store}: 2 pairs\n"
    assert PairStore(store)[0].degraded.shape == (3, 256, 256)

    code, _, err = run(capsys, *synthesize, "--hole-values", "keep")
    assert code == 2
    assert "--overwrite" in err

    evaluate = ("evaluate", "--pairs", store, "--enhancer", "None", "--enhancer", "Telea", "--output", table)
    code, out, _ = run(capsys, *evaluate)
    assert code == 0
    none, telea = (float(line.split()[1]) for line in out.splitlines()[1:])
    assert telea < none
    written = table.read_text().splitlines()
    assert written[0] == "enhancer,mean,std,skewness,excess_kurtosis,full image,pairs"
    assert [line.split(",")[0] for line in written[1:]] == ["None", "Telea"]

    code, _, err = run(capsys, *evaluate)
    assert code == 2
    assert "errors.csv" in err

    parts = ("--parts", tmp_path / "parts", "--output", tmp_path / "again.csv")
    code, again, _ = run(capsys, *evaluate[:-2], *parts)
    assert (code, again) == (0, out)
    assert (tmp_path / "again.csv").read_text() == table.read_text()
    assert [path.name for path in (tmp_path / "parts").glob("*/part_*")] == ["part_00000000.npz"] * 2


def write_depth(path: Path, *, hole: int) -> None:
    """A slope of 64x64 pixels from 50 to 63 cm in millimetres, with a hole (0) in its middle."""
    depth = np.repeat(np.arange(500, 628, 2, dtype=np.uint16)[None], 64, axis=0)
    depth[32 - hole : 32 + hole, 32 - hole : 32 + hole] = 0
    cv2.imwrite(str(path), depth)


def test_enhance_goes_on_after_a_bad_file_and_says_so_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings, out = tmp_path / "recordings", tmp_path / "out"
    recordings.mkdir()
    write_depth(recordings / "a.png", hole=3)
    (recordings / "b.png").write_bytes((recordings / "a.png").read_bytes()[:60])
    write_depth(recordings / "c.png", hole=2)
    code, printed, complaints = run(capsys, "enhance", recordings, "--output", out, "--enhancer", "Telea")
    assert code == 2
    assert complaints.count("\n") == 1
    assert complaints.startswith("facedepth: error: ")
    assert "b.png" in complaints
    assert "a.png: 36 holes before, 0 after" in printed
    assert printed.endswith("2 of 3 files enhanced with Telea\n")
    assert {"a.png", "c.png"} <= {path.name for path in out.iterdir()}

    (recordings / "b.png").unlink()
    assert run(capsys, "enhance", recordings, "--output", out, "--enhancer", "Telea")[0] == 2
    assert run(capsys, "enhance", recordings, "--output", out, "--enhancer", "Telea", "--overwrite")[0] == 0


def test_the_enhancers_are_listed_with_what_they_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path)
    code, out, _ = run(capsys, "enhancers")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert list(lines) == names()
    assert lines["DL-Delta-1"].endswith("[no weights found]")
    assert not lines["Telea"].endswith("found]")


@pytest.fixture(scope="module")
def own_network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network of one's own: DL-Kit-1 under another name."""
    folder = tmp_path_factory.mktemp("weights")
    for suffix in (".json", ".safetensors"):
        shutil.copy2(paths.SHIPPED_WEIGHTS / f"DL-Kit-1{suffix}", folder / f"mine{suffix}")
    return folder


def test_a_network_of_ones_own_is_listed_and_enhances_by_name(
    own_network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = os.environ["FACEDEPTH_WEIGHTS"]
    code, out, _ = run(capsys, "enhancers", "--weights", own_network)
    assert code == 0
    assert out.splitlines()[-1].split()[0] == "mine"
    depth = make_pair(1, 0, SynthesisSettings()).degraded[0]
    write_png(tmp_path / "a.png", depth)
    for name in ("mine", "DL-Kit-1"):
        options = ("--normalized", "--enhancer", name, "--weights", own_network, "--output", tmp_path / name)
        assert run(capsys, "enhance", tmp_path / "a.png", *options)[0] == 0
    np.testing.assert_array_equal(read_png(tmp_path / "mine" / "a.png"), read_png(tmp_path / "DL-Kit-1" / "a.png"))
    assert os.environ["FACEDEPTH_WEIGHTS"] == before
    assert "mine" not in offered()


def test_a_network_of_ones_own_is_evaluated_in_workers(
    own_network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    synthesize(tmp_path / "pairs", 3, seed=1, workers=1, progress=False)
    options = ("--enhancer", "mine", "--weights", own_network, "--workers", "2", "--parts", tmp_path / "parts")
    code, out, _ = run(capsys, "evaluate", "--pairs", tmp_path / "pairs", *options, "--cards")
    assert code == 0
    mean = float(next(line for line in out.splitlines() if line.startswith("mine")).split()[1])
    row = ModelCard.read(own_network / "mine.json").measured["table_4"]
    assert row["mean"] == pytest.approx(mean, abs=1e-4)
    assert (row["count"], row["pairs"]["seed"]) == (3, 1)


def test_a_folder_of_weights_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = run(capsys, "enhancers", "--weights", tmp_path / "nowhere")
    assert code == 2
    assert "nowhere" in error


def test_tensorflow_says_nothing_of_its_own(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from facedepth_kit import enhancers;"
        "enhancers.get('DL-Kit-1').enhance(np.full((256, 256), 9, np.uint16));"
        "enhancers.get('DDRNet-dn').enhance(np.full((256, 256), 9, np.uint16))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment["FACEDEPTH_DDRNET"] = str(tmp_path / "none")
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
