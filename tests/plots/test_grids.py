"""Pictures in rows: the same data give the same bytes, and what is drawn in leaves the picture as it was."""

from __future__ import annotations

import numpy as np

from facedepth_kit.plots.grids import squared, strip, with_points
from tests.plots.drawn import face, png


def test_same_data_same_bytes() -> None:
    assert png(strip({"a": face()})) == png(strip({"a": face()}))


def test_points_are_drawn_on_a_copy() -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    points = np.array([[150.0, 100.0], [np.nan, np.nan]])
    drawn = with_points(photo, points, box=(100, 50, 200, 150))
    assert not photo.any()
    assert drawn[100, 150].any()
    assert drawn[50, 120].any()
    assert not drawn[20, 20].any()
    assert squared(photo).shape == (200, 200, 3)
