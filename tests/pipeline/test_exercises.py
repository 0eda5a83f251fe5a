"""Fill-in cells: an empty one is not wrong, and the right answer is never told."""

from __future__ import annotations

import pytest

from facedepth_kit.pipeline.exercises import OPEN, RIGHT, check


@pytest.mark.parametrize("nothing", [None, ..., "", []])
def test_nothing_is_not_wrong(nothing: object) -> None:
    assert check(nothing, 3) == OPEN


def test_numbers_texts_and_sets() -> None:
    assert check(3.0, 3) == RIGHT
    assert check(2.9, 3, tolerance=0.05) == RIGHT
    assert check(0, 0) == RIGHT
    assert check(" telea ", "Telea") == RIGHT
    assert check(["Hf-L", "de-m2"], {"De-M2", "Hf-L"}) == RIGHT
    assert check("Hf-L", {"Hf-L"}) == RIGHT


def test_a_wrong_answer_keeps_the_right_one_secret() -> None:
    for given in (2.0, "three"):
        said = check(given, 3)
        assert repr(given) in said
        assert "3" not in said
    assert "Telea" not in check("Hf-L", "Telea")
