"""Figures of the simulated cameras: colours of errors and frames by hand, and that figures draw."""

import numpy as np

from facedepth_kit.depth import HOLE_COLOUR
from facedepth_kit.plots.sensors import (
    depth_rows,
    error_against_distance,
    error_picture,
    frame_picture,
    values_picture,
)


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
    picture = values_picture(np.array([[np.nan, 10.0, 20.0]]), 10.0, 20.0)
    assert picture[0, :, 0].tolist() == [0, 40, 255]


def test_figures_draw() -> None:
    steps = {"a": [1.0, 4.0], "b": [0.5, 2.0]}
    assert error_against_distance([400.0, 800.0], steps, steps).axes[0].get_xscale() == "log"
    figure = depth_rows({"true": (np.arange(3.0), np.array([1.0, np.nan, 2.0]))})
    assert figure.axes[0].yaxis_inverted()
