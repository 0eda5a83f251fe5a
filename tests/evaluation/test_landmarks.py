"""Depth at landmarks, on images worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE
from facedepth_kit.evaluation.landmarks import landmark_depths, landmark_holes


def ramp() -> np.ndarray:
    """3 rows, 4 columns: 10 * row + column, a hole at row 1, column 2."""
    depth = (10 * np.arange(3)[:, None] + np.arange(4)).astype(np.uint16)
    depth[1, 2] = HOLE
    return depth


def test_x_is_the_column_and_halves_belong_to_the_next_pixel() -> None:
    points = np.array([[0, 0], [3, 0], [0, 2], [0.49, 1.49], [0.5, 0.5], [2, 1]])
    assert landmark_depths(ramp(), points).tolist() == [0, 3, 20, 10, 11, HOLE]
    assert landmark_holes(ramp(), points).tolist() == [False, False, False, False, False, True]


def test_outside_and_unknown_landmarks_have_no_depth() -> None:
    points = np.array([[-0.5, 0], [-0.51, 0], [3.49, 2.49], [3.5, 0], [0, 2.5], [np.nan, 0], [1e12, 0]])
    assert landmark_holes(ramp(), points).tolist() == [False, True, False, True, True, True, True]


def test_stacks_broadcast_both_ways() -> None:
    stack = np.stack([ramp(), ramp() // 2])
    points = np.array([[1.0, 0.0], [3.0, 2.0]])
    assert landmark_depths(stack, points).tolist() == [[1, 23], [0, 11]]
    assert landmark_depths(stack, np.stack([points, points[::-1]])).tolist() == [[1, 23], [11, 0]]
    assert landmark_depths(ramp(), np.stack([points, points[::-1]])).tolist() == [[1, 23], [23, 1]]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(KitError, match=r"expected \(\.\.\., n, 2\)"):
        landmark_depths(ramp(), np.zeros((2, 3)))
    with pytest.raises(KitError, match="one set each"):
        landmark_depths(np.stack([ramp(), ramp()]), np.zeros((3, 1, 2)))
    with pytest.raises(KitError, match="uint16"):
        landmark_depths(ramp().astype(float), np.zeros((1, 2)))
