"""``make lab`` opens copies: what is saved there leaves the checkout clean, and what was written there stays."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from facedepth_kit.common.paths import repository_root


@pytest.fixture
def copy_notebooks(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], list[str]]:
    monkeypatch.syspath_prepend(str(repository_root() / "tools"))
    monkeypatch.delitem(sys.modules, "lab", raising=False)
    import lab

    return lab.copy_notebooks


def write(path: Path, text: str, output: str = "") -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": output}] if output else []
    cell: dict[str, Any] = {"cell_type": "code", "source": [text], "outputs": outputs, "metadata": {}}
    content = {"cells": [cell], "metadata": {"jupytext": {"formats": "ipynb"}}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")


def source(path: Path) -> str:
    return "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])


def test_copies_are_renewed_unless_somebody_wrote_into_them(
    tmp_path: Path, copy_notebooks: Callable[[Path, Path], list[str]]
) -> None:
    stored, copies = tmp_path / "notebooks", tmp_path / "my_notebooks"
    stored.mkdir()
    for name in ("00_read.ipynb", "01_edited.ipynb"):
        write(stored / name, "first")
    assert copy_notebooks(stored, copies) == []
    assert "jupytext" not in json.loads((copies / "00_read.ipynb").read_text())["metadata"]

    write(copies / "00_read.ipynb", "first", output="ran")  # stepped through and saved
    write(copies / "01_edited.ipynb", "my answer")
    assert copy_notebooks(stored, copies) == []
    assert "ran" in (copies / "00_read.ipynb").read_text()

    for name in ("00_read.ipynb", "01_edited.ipynb"):
        write(stored / name, "second")
    (kept,) = copy_notebooks(stored, copies)
    assert "01_edited.ipynb: yours is kept" in kept
    assert source(copies / "00_read.ipynb") == "second"
    assert source(copies / "01_edited.ipynb") == "my answer"
    assert source(copies / "01_edited_new.ipynb") == "second"


def test_git_ignores_the_copies() -> None:
    assert "/my_notebooks/" in (repository_root() / ".gitignore").read_text().splitlines()
