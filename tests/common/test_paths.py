from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "array.npy"
    with paths.write_atomically(target) as temporary:
        np.save(temporary, np.arange(3))
        assert not target.exists()
        assert temporary.parent == target.parent
    assert np.load(target).tolist() == [0, 1, 2]
    assert [path.name for path in target.parent.iterdir()] == ["array.npy"]


def test_the_temporary_name_keeps_a_double_extension(tmp_path: Path) -> None:
    with paths.write_atomically(tmp_path / "DL-Alpha.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_bytes(b"x")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), paths.write_atomically(target, overwrite=True) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(KitError, match=r"table\.csv.*--overwrite"), paths.write_atomically(target):
        pytest.fail("the body must not run")
    with pytest.raises(KitError), paths.write_atomically(tmp_path / "late") as temporary:
        temporary.write_text("mine")
        (tmp_path / "late").write_text("somebody else's, written meanwhile")
    assert (tmp_path / "late").read_text().startswith("somebody")
    with paths.write_atomically(target, overwrite=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="found a folder"), paths.write_atomically(tmp_path, overwrite=True):
        pytest.fail("the body must not run")


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_an_old_folder_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "export"
    for content in ("old", "new"):
        with paths.write_folder_atomically(target, overwrite=True) as temporary:
            (temporary / content).write_text(content)
            assert not target.exists() or [path.name for path in target.iterdir()] == ["old"]
    with pytest.raises(RuntimeError), paths.write_folder_atomically(target, overwrite=True):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert [path.name for path in target.iterdir()] == ["new"]


def test_files_get_the_permissions_that_any_new_file_gets(tmp_path: Path) -> None:
    with paths.write_atomically(tmp_path / "ours") as temporary:
        temporary.write_text("")
    (tmp_path / "plain").write_text("")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_folders_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path / "w"))
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path / "d"))
    assert paths.weights_dirs() == (paths.PACKAGE / "weights", tmp_path / "w")
    assert paths.data_dir() == tmp_path / "d"
    monkeypatch.delenv("FACEDEPTH_WEIGHTS")
    monkeypatch.delenv("FACEDEPTH_DATA")
    assert paths.own_networks_dir() == paths.repository_root() / "my_networks"
    assert paths.data_dir() == paths.repository_root() / "data"
    assert paths.figures_dir("laptop") == paths.repository_root() / "figures" / "laptop"
    assert paths.results_dir("smoke") == paths.repository_root() / "build" / "smoke"


def test_a_copy_without_its_repository_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "PACKAGE", tmp_path / "facedepth_kit")
    with pytest.raises(KitError, match="make setup"):
        paths.repository_root()
