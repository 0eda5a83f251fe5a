"""Falsification of measured pixels, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.evaluation.falsification import falsification


def image(*values: int | np.uint16) -> DepthImage:
    return np.array(values, np.uint16).reshape(1, -1)


FACE = np.array([[True, True, True, False]])


def test_by_hand() -> None:
    # In the mask: off by 0.2 and by nothing; the third was a hole and does not count, nor does the background.
    given = image(0, 100, HOLE, 5)
    output = image(13107, 100, 40000, 60000)
    assert falsification(output, given, mask=FACE) == pytest.approx(math.sqrt(0.2**2 / 2), rel=1e-6)


def test_a_pixel_made_a_hole_counts_as_one() -> None:
    assert falsification(image(HOLE, 0, 0, 0), image(0, 0, 0, 0), mask=FACE) == pytest.approx(math.sqrt(1 / 3))


def test_no_change_is_zero_and_holes_alone_are_nan() -> None:
    given = image(7, HOLE, 9, 1)
    assert falsification(given, given, mask=FACE) == 0
    nothing = image(HOLE, HOLE, HOLE, 3)
    assert np.isnan(falsification(given, nothing, mask=FACE))


def test_stacks_are_image_by_image() -> None:
    rng = np.random.default_rng(0)
    given, output = rng.integers(0, 65536, (2, 4, 6, 7), dtype=np.uint16)
    masks = rng.random((4, 6, 7)) < 0.5
    values = falsification(output, given, mask=masks)
    assert values.shape == (4,)
    for index in range(4):
        used = masks[index] & (given[index] != HOLE)
        difference = output[index][used] / 65535 - given[index][used] / 65535
        assert values[index] == pytest.approx(math.sqrt(np.mean(difference**2)), rel=1e-5)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(KitError, match="output shape"):
        falsification(image(1, 2), image(1, 2, 3, 4), mask=FACE)
    with pytest.raises(KitError, match="expected bool"):
        falsification(image(1, 2, 3, 4), image(1, 2, 3, 4), mask=FACE[:, 1:])
