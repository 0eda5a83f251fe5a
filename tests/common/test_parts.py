"""Folders of parts: one run at a time, the same work only, and nothing half written after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import LOCK, is_tidy, only_run, open_parts

ABOUT = {"format": 1, "seed": 3, "count": 5}


def held(folder: Path, about: dict[str, int] = ABOUT, *, overwrite: bool = False):  # type: ignore[no-untyped-def]
    return open_parts(
        folder,
        about,
        name="store.json",
        fixed=("format", "seed"),
        parts=("part_*", "people/*"),
        holds="a store",
        overwrite=overwrite,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_new_folder_says_at_once_what_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with held(folder) as known:
        assert known is None
        assert json.loads((folder / "store.json").read_text()) == ABOUT
        assert (folder / LOCK).exists()
    assert names(folder) == ["store.json"]
    with held(folder, {**ABOUT, "count": 9}) as known:
        assert known == ABOUT  # not a fixed entry: the caller decides


def test_other_work_is_refused_and_untouched(tmp_path: Path) -> None:
    with held(tmp_path):
        (tmp_path / "part_1").write_text("mine")
    with pytest.raises(KitError, match=r"store\.json: found another seed"), held(tmp_path, {**ABOUT, "seed": 4}):
        pass
    assert (tmp_path / "part_1").read_text() == "mine"
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "part_1").write_text("mine")
    with pytest.raises(KitError, match="found other files"), held(tmp_path / "thesis"):
        pass
    (tmp_path / "file").write_text("mine")
    with pytest.raises(KitError, match="found a file, expected a folder for a store"), held(tmp_path / "file"):
        pass
    assert names(tmp_path) == ["file", "part_1", "store.json", "thesis", "thesis/part_1"]


def test_overwriting_removes_parts_and_nothing_else(tmp_path: Path) -> None:
    with held(tmp_path):
        (tmp_path / "part_1").write_text("old")
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "people" / "0001").mkdir(parents=True)
    with held(tmp_path, {**ABOUT, "seed": 4}, overwrite=True) as known:
        assert known is None
    assert names(tmp_path) == ["notes.txt", "people", "store.json"]
    # A folder of parts alone, as an early kill of older versions left it, only with overwrite.
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "part_1").write_text("old")
    with pytest.raises(KitError, match="found other files"), held(alone):
        pass
    with held(alone, overwrite=True):
        pass
    assert names(alone) == ["store.json"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".partial-12-store.json").write_text("half")
    (tmp_path / LOCK).touch()
    with held(tmp_path):
        (tmp_path / ".partial-ab-part_1").write_text("half")
        (tmp_path / "people" / ".partial-cd-0001" / "deep").mkdir(parents=True)
        assert not is_tidy(tmp_path, ("people/*",))
        (tmp_path / ".lock").rename(tmp_path / ".partial-ef-lock")
        assert not is_tidy(tmp_path, ())
    (tmp_path / "people" / ".partial-cd-0001").mkdir()
    assert is_tidy(tmp_path, ())
    assert not is_tidy(tmp_path, ("people/*",))
    with held(tmp_path):
        pass
    assert names(tmp_path) == ["people", "store.json"]
    assert is_tidy(tmp_path, ("people/*",))


@pytest.mark.parametrize("content", ["{", "[1]", "\xff", "[" * 100_000])
def test_a_damaged_description_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text(content, encoding="latin-1")
    with pytest.raises(KitError, match=r"store\.json: found .*, expected the description of a store"), held(tmp_path):
        pass


def test_a_second_run_ends_at_once_and_changes_nothing(tmp_path: Path) -> None:
    with held(tmp_path):
        (tmp_path / ".partial-12-part_1").write_text("the first run's")
        before = {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)}
        with pytest.raises(KitError, match="found another run at work"), held(tmp_path):
            pass
        with pytest.raises(KitError, match="found another run at work"), held(tmp_path, overwrite=True):
            pass
        assert {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)} == before


def test_a_killed_run_frees_the_folder(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from facedepth_kit.common.parts import only_run\n"
        "with only_run(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(KitError, match="found another run at work"), only_run(tmp_path):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with only_run(tmp_path):
        pass
    assert names(tmp_path) == []


def test_runs_that_follow_each_other_quickly_never_share(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from facedepth_kit.common.errors import KitError; from facedepth_kit.common.parts import only_run\n"
        "folder, won = Path(sys.argv[1]), 0\n"
        "while won < 200:\n"
        "    try:\n"
        "        with only_run(folder):\n"
        "            os.close(os.open(folder / 'mine', os.O_CREAT | os.O_EXCL))\n"
        "            (folder / 'mine').unlink()\n"
        "            won += 1\n"
        "    except KitError:\n"
        "        pass\n"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    deadline = time.monotonic() + 120
    assert [run.wait(deadline - time.monotonic()) for run in runs] == [0, 0, 0]
    assert names(tmp_path) == []
