"""What every notebook owes its reader: a goal, short cells, something to think about, and where to go on."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jupytext
import pytest

from facedepth_kit.pipeline.notebooks import NOTEBOOKS, Notebook

LONGEST_CELL = 15
NAMES = [notebook.name for notebook in NOTEBOOKS]

every = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=NAMES)


@cache
def cells(notebook: Notebook) -> list[Any]:
    return list(jupytext.reads(notebook.source.read_text(encoding="utf-8"), fmt="py:percent").cells)


def prose(notebook: Notebook) -> list[str]:
    return [cell.source for cell in cells(notebook) if cell.cell_type == "markdown"]


def code(notebook: Notebook) -> list[str]:
    return [cell.source for cell in cells(notebook) if cell.cell_type == "code"]


@every
def test_it_opens_with_what_will_be_learnt_and_what_comes_out(notebook: Notebook) -> None:
    opening = prose(notebook)[0]
    assert opening.startswith("# ")
    for part in ("**Goal.**", "**You will learn**", "**Comes out:**"):
        assert part in opening
    # The second code cell shows profile, sizes and how long each profile took.
    assert f'open_workspace("{notebook.name}", profile, seed, output)' in code(notebook)[1]
    assert code(notebook)[1].splitlines()[-1] == "work"


@every
def test_its_cells_are_short(notebook: Notebook) -> None:
    long = [source.splitlines()[0] for source in code(notebook) if len(source.splitlines()) > LONGEST_CELL]
    assert long == []


@every
def test_it_asks_something_and_keeps_the_answer_folded(notebook: Notebook) -> None:
    text = "\n".join(prose(notebook))
    assert re.search(r"Predict|Exercise", text)
    assert text.count("<details><summary>") == text.count("</details>") >= 1


@every
def test_it_closes_with_a_recap_that_points_on(notebook: Notebook) -> None:
    place = NAMES.index(notebook.name)
    following = NAMES[place + 1] if place + 1 < len(NAMES) else NAMES[0]
    closing = prose(notebook)[-1]
    assert re.search(r"^## What you have (seen|learnt)$", closing, re.MULTILINE) or place == 0
    assert f"[{following}]({following}.ipynb)" in closing


@every
def test_no_measured_number_is_typed_into_its_prose(notebook: Notebook) -> None:
    for text in prose(notebook):
        plain = re.sub(r"`[^`]*`", "", text)
        # A distance that a question is asked for is chosen, not measured.
        assert re.findall(r"\d+\.\d+(?! m\b)|\d+ ?%|\d+ (?:ms|s|seconds|minutes)\b", plain) == []


@every
def test_the_notebooks_it_names_exist(notebook: Notebook) -> None:
    text = "\n".join(prose(notebook))
    assert set(re.findall(r"\((\d\d_\w+)\.ipynb\)", text)) <= set(NAMES)
    assert re.findall(r"`\d\d_\w+`", text) == []  # a name is a link


def test_each_part_of_the_story_has_an_open_task() -> None:
    parts = {notebook.part for notebook in NOTEBOOKS[1:]}
    assert {notebook.part for notebook in NOTEBOOKS if "**Open task**" in "\n".join(prose(notebook))} == parts
