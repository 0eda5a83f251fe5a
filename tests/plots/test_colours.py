"""Depth, errors and numbers as colours, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.depth import HOLE, DepthRange, from_millimetres
from facedepth_kit.plots.colours import (
    HOLE_COLOUR,
    RELIEF_HOLE_COLOUR,
    colourize,
    error_picture,
    frame_picture,
    grey_picture,
    position_map_pictures,
    shaded_relief,
)


def plane(right: float, down: float, span_mm: float = 250.0) -> np.ndarray:
    """A slanted plane: millimetres of depth per pixel to the right and down, in the middle of the span."""
    rows, columns = np.mgrid[0:256, 0:256] - 128.0
    return from_millimetres(span_mm / 2 + right * columns + down * rows, DepthRange(0, span_mm))


@pytest.mark.parametrize(("draw", "colour"), [(colourize, HOLE_COLOUR), (shaded_relief, RELIEF_HOLE_COLOUR)])
def test_holes_have_a_colour_of_their_own(draw, colour) -> None:  # type: ignore[no-untyped-def]
    depth = np.stack([plane(0.3, 0.1), plane(-0.3, 0.4)])
    depth[:, :40] = HOLE
    picture = draw(depth)
    assert picture.shape == (2, 256, 256, 3)
    assert picture.dtype == np.uint8
    is_hole = (picture == colour).all(axis=-1)
    np.testing.assert_array_equal(is_hole, depth == HOLE)


def test_near_is_brighter_than_far() -> None:
    depth = plane(0.5, 0.0)
    brightness = colourize(depth, relief=0).astype(float).mean(axis=(0, 2))
    assert brightness[0] > brightness[128] > brightness[-1]


def test_colour_limits_spread_the_colours() -> None:
    depth = plane(0.1, 0.0)
    wide, narrow = (colourize(depth, limits=limits, relief=0) for limits in ((0.0, 1.0), (0.45, 0.55)))
    assert np.ptp(narrow.astype(int), axis=1).sum() > np.ptp(wide.astype(int), axis=1).sum()


def test_light_comes_from_the_upper_left() -> None:
    # Depth that grows to the left and upwards makes a surface that looks to the upper left.
    towards, flat, away = (shaded_relief(plane(slope, slope)).mean() for slope in (-0.4, 0.0, 0.4))
    assert towards > flat > away


def test_shading_depends_on_millimetres_not_on_the_span() -> None:
    short = shaded_relief(plane(0.2, 0.15, 120.0), DepthRange(0, 120.0))
    long = shaded_relief(plane(0.2, 0.15, 250.0), DepthRange(0, 250.0))
    assert np.abs(short.astype(int) - long)[1:-1, 1:-1].max() <= 2


def test_a_hole_throws_no_shadow() -> None:
    depth = plane(0.2, 0.1)
    punched = depth.copy()
    punched[100:120, 100:120] = HOLE
    rest = punched != HOLE
    difference = np.abs(shaded_relief(depth).astype(int) - shaded_relief(punched))
    assert difference[rest].max() <= 2


def test_errors_are_blue_before_and_red_behind() -> None:
    picture = error_picture(np.array([[-10.0, 0.0, 10.0, 25.0, np.nan]]), 10.0).astype(int)
    near, right, far, beyond, nothing = picture[0]
    assert near[2] > near[0] + 100
    assert far[0] > far[2] + 100
    assert right.min() > 230
    np.testing.assert_array_equal(beyond, far)
    assert nothing.max() < 40


def test_frames_show_holes_and_what_is_beyond_in_grey() -> None:
    frame = np.array([[0, 5000, 6000, 7600]], np.uint16)  # tenths of a millimetre, 25 cm from 0.5 m on
    picture = frame_picture(frame, 500.0, unit_mm=0.1)
    np.testing.assert_array_equal(picture[0, 0], HOLE_COLOUR)
    np.testing.assert_array_equal(picture[0, 3], HOLE_COLOUR)
    assert int(picture[0, 1].sum()) > int(picture[0, 2].sum())  # near is bright


def test_values_leave_black_where_there_are_none() -> None:
    picture = grey_picture(np.array([[np.nan, 10.0, 20.0]]), (10.0, 20.0))
    assert picture[0, :, 0].tolist() == [0, 40, 255]


def test_a_position_map_is_stretched_over_the_greys_and_black_outside_the_face() -> None:
    position_map = np.zeros((10, 10, 3), np.float32)
    position_map[2:8, 2:8] = np.linspace(-40, 300, 36).reshape(6, 6, 1)
    *axes, coloured = position_map_pictures(position_map)
    for grey in axes:
        assert grey[0, 0].tolist() == [0, 0, 0]
        assert grey[2, 2, 0] == 40
        assert grey[7, 7, 0] == 255
    np.testing.assert_array_equal(coloured, axes[0])
    assert not any(picture.any() for picture in position_map_pictures(np.zeros((4, 4, 3))))
