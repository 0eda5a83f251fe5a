"""Figures of camera recordings: they hold what the data hold, masked as the paper's, and say what was not run."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from facedepth_kit.depth import HOLE, DepthImage, colourize
from facedepth_kit.plots import cameras as figures


def face() -> tuple[DepthImage, npt.NDArray[np.bool_]]:
    """A bowl with two holes, and the mask of its middle."""
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 100, columns - 140)
    depth = np.minimum(distance * 300, 65534).astype(np.uint16)
    depth[100, 120:124] = HOLE
    return depth, distance < 40


def texts(figure: Figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def landmarks() -> npt.NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    return np.stack([140 + 30 * np.cos(angles), 100 + 30 * np.sin(angles)], axis=1)


def test_the_window_is_a_square_about_the_mask_inside_the_image() -> None:
    _, mask = face()
    rows, columns = figures.face_window(mask, 0.1)
    assert rows.stop - rows.start == columns.stop - columns.start == int(79 * 1.2)
    assert mask[rows, columns].sum() == mask.sum()
    corner = np.zeros((256, 256), np.bool_)
    corner[:10, 250:] = True
    rows, columns = figures.face_window(corner)
    assert (rows.start, columns.stop) == (0, 256)


def test_outside_the_mask_is_white_and_inside_the_depth() -> None:
    depth, mask = face()
    limits = figures.face_limits(depth, mask)
    shown = figures.masked(depth, mask, limits)
    window = figures.face_window(mask)
    assert (shown[~mask[window]] == 255).all()
    np.testing.assert_array_equal(shown[mask[window]], colourize(depth, limits=limits)[window][mask[window]])
    assert limits[0] == 0
    assert 0.15 < limits[1] < 0.3
    assert figures.face_limits(np.full((4, 4), HOLE), np.ones((4, 4), np.bool_)) == (0.0, 1.0)


LINES: list[dict[str, Any]] = [
    {"row": "None", "condition": "KinectFaceDB, holes", "metric": "mean", "value": "2.0", "published": "2.15"},
    {"row": "None", "condition": "KinectFaceDB, holes", "metric": "std", "value": "1.0", "published": "2.21"},
    {"row": "DL-Beta", "condition": "KinectFaceDB, holes", "metric": "mean", "value": "", "published": "0.69"},
    {
        "row": "Telea",
        "condition": "KinectFaceDB, holes",
        "metric": "mean",
        "value": "0.5",
        "published": "",
        "note": "stand-in: x",
    },
]


def test_surface_bars_read_the_long_table() -> None:
    figure = figures.surface_bars(LINES)
    (axes,) = figure.axes
    widths = sorted(round(bar.get_width(), 3) for bar in axes.patches)  # type: ignore[attr-defined]
    assert widths == [0.5, 0.69, 2.0, 2.15]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["None", "DL-Beta", "Telea*"]
    assert texts(figure).count(" not run") == 1


def test_sample_rows_name_what_was_not_run() -> None:
    depth, mask = face()
    picture = np.zeros((256, 256, 3), np.uint8)
    figure = figures.sample_rows(
        [picture] * 2, [depth] * 2, [{"A": depth}] * 2, [mask] * 2, ["A", "B"], ["Neutral", "Mouth"], [{"A": 1.5}, {}]
    )
    found = texts(figure)
    assert {"Color", "None", "A\n1.50", "Neutral", "Mouth"} <= set(found)
    assert found.count("B\nnot run") == 2


def test_camera_sample_has_the_papers_first_columns() -> None:
    depth, mask = face()
    picture = np.full((256, 256, 3), 7, np.uint8)
    figure = figures.camera_sample(picture, depth, {"Telea": depth}, mask, [["Color", "Depth", "De-M2"], ["Telea"]])
    assert {"Color", "Depth", "De-M2\nnot run", "Telea"} <= set(texts(figure))
    assert (np.asarray(figure.axes[0].images[0].get_array()) == 7).all()


def test_landmarks_in_holes_are_drawn_apart() -> None:
    depth, mask = face()
    points, bad = landmarks(), np.arange(68) < 5
    picture = np.zeros((256, 256, 3), np.uint8)
    window = figures.face_window(mask)
    figure = figures.landmark_errors([picture], [depth], [(points[:6], bad[:6])], [(points, bad)], [window], ["x"])
    counts = [[len(scatter.get_offsets()) for scatter in axes.collections] for axes in figure.axes[:3]]  # type: ignore[arg-type]
    assert counts == [[], [1, 5], [63, 5]]


def test_each_landmark_stands_under_its_first_broken_rule() -> None:
    depth, mask = face()
    hole, before, jaw = (np.isin(np.arange(68), chosen) for chosen in ([0, 1], [1, 2, 3], [3, 4]))
    figure = figures.pad_rules(depth, landmarks(), {"hole": hole, "before": before, "jaw": jaw}, mask, "title")
    counts = {scatter.get_label(): len(scatter.get_offsets()) for scatter in figure.axes[0].collections}  # type: ignore[arg-type]
    assert counts == {"hole": 2, "before": 2, "jaw": 1, "valid": 63}


def test_the_68_are_numbered_from_one() -> None:
    found = texts(figures.dlib_landmarks(landmarks()))
    assert [text for text in found if text.isdigit()] == [str(number) for number in range(1, 69)]


def test_curves_of_both_checks() -> None:
    rows = [
        {"check": check, "enhancer": "None", "presentation": kind, "threshold": t / 4, "rate": t / 4}
        for check in ("a", "b")
        for kind in ("bona_fide", "flat_print")
        for t in range(5)
    ]
    figure = figures.decision_curves(rows, ["None", "missing"], {"a": 0.3, "b": 0.5})
    assert len(figure.axes) == 4
    assert [len(axes.lines) for axes in figure.axes] == [3, 1, 3, 1]  # two curves and the threshold, or that alone
    assert figure.axes[0].lines[2].get_xdata()[0] == pytest.approx(0.3)  # type: ignore[index]


def test_concept_and_distances_are_drawn() -> None:
    depth, mask = face()
    picture = np.zeros((256, 256, 3), np.uint8)
    assert "Colour (not used)" in texts(figures.concept(picture, depth, depth, mask, "DL-Delta-1"))
    shown = figures.masked(depth, mask)
    assert {"0.35 m", "0.70 m"} <= set(texts(figures.distances([picture] * 2, [shown] * 2, ["0.35 m", "0.70 m"])))
