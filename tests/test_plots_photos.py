"""Figures of the photo's way: they hold what they are given, and leave it as it was."""

from __future__ import annotations

import numpy as np

from facedepth_kit.depth import HOLE
from facedepth_kit.plots import figures as plots
from facedepth_kit.rendering.mesh import Mesh

MESH = Mesh(np.eye(3, dtype=np.float32) * 50, np.array([[0, 1, 2]], np.int32))
DEPTH = np.full((256, 256), HOLE)
DEPTH[60:200, 60:200] = 20_000


def texts(figure: object) -> list[str]:
    from matplotlib.text import Text

    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]  # type: ignore[attr-defined]


def test_figure_3_has_a_row_for_each_way() -> None:
    photo = np.full((100, 100, 3), 128, np.uint8)
    position_map = np.zeros((256, 256, 3), np.uint8)
    ways = [
        plots.GroundTruthWay(photo, "PRNet", MESH, DEPTH, ("position map", position_map)),
        plots.GroundTruthWay("numbers", "Parametric\nface model", MESH, DEPTH),
    ]
    figure = plots.ground_truth_process(ways)
    shown = texts(figure)
    assert shown.count("Ground truth depth image") == 2
    assert {"PRNet", "Parametric\nface model", "numbers", "photo", "position map"} <= set(shown)
    (alone,) = [plots.ground_truth_process(ways[1:])]
    assert alone.get_size_inches()[0] < figure.get_size_inches()[0]  # no room for a map that nobody has


def test_figure_4_names_its_rows_by_the_way() -> None:
    photo = np.full((100, 100, 3), 128, np.uint8)
    figure = plots.ground_truth_examples([photo, photo], ["108×108", "37×37"], {"by photo": [DEPTH] * 2})
    assert {"photo", "by photo", "108×108", "37×37"} <= set(texts(figure))
    assert len(figure.findobj(lambda artist: type(artist).__name__ == "AxesImage")) == 4


def test_points_are_drawn_on_a_copy() -> None:
    photo = np.zeros((200, 300, 3), np.uint8)
    points = np.array([[150.0, 100.0], [np.nan, np.nan]])
    drawn = plots.with_points(photo, points, box=(100, 50, 200, 150))
    assert not photo.any()
    assert drawn[100, 150].any()
    assert drawn[50, 120].any()
    assert not drawn[20, 20].any()
    assert plots.squared(photo).shape == (200, 200, 3)


def test_a_map_is_stretched_over_the_greys_and_nothing_stays_black() -> None:
    values = np.zeros((10, 10), np.float32)
    values[2:8, 2:8] = np.linspace(-40, 300, 36).reshape(6, 6)
    grey = plots.channel(values)
    assert grey[0, 0].tolist() == [0, 0, 0]
    assert grey[2, 2, 0] == 25
    assert grey[7, 7, 0] == 255
    assert (plots.channel(np.zeros((4, 4))) == 0).all()
    assert plots.as_colours(np.dstack([values] * 3)).shape == (10, 10, 3)


def test_the_screening_curve_shows_every_kind_and_where_the_limits_lie() -> None:
    curves = {"mild": [(0.0, 0.1), (0.5, 0.9)], "strong": [(0.0, 0.6), (0.5, 1.0)]}
    figure = plots.screening_curve(curves, {"mild": (0.0, 0.1), "strong": (0.5, 1.0)})
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines if not str(line.get_label()).startswith("_")] == ["mild", "strong"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [tuple(float(v) for v in np.ravel(dot.get_xydata())) for dot in dots] == [(0.0, 0.1), (0.5, 1.0)]
