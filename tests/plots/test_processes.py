"""Figures 3 to 6 hold what they are given."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.depth import HOLE
from facedepth_kit.plots.processes import (
    GroundTruthWay,
    degradation_process,
    ground_truth_examples,
    ground_truth_process,
)
from facedepth_kit.rendering.mesh import Mesh
from tests.plots.drawn import face, texts

MESH = Mesh(np.eye(3, dtype=np.float32) * 50, np.array([[0, 1, 2]], np.int32))
DEPTH = np.full((256, 256), HOLE)
DEPTH[60:200, 60:200] = 20_000


def test_figure_3_has_a_row_for_each_way() -> None:
    photo = np.full((100, 100, 3), 128, np.uint8)
    position_map = np.zeros((256, 256, 3), np.uint8)
    ways = [
        GroundTruthWay(photo, "PRNet", MESH, DEPTH, ("position map", position_map)),
        GroundTruthWay("numbers", "Parametric\nface model", MESH, DEPTH),
    ]
    figure = ground_truth_process(ways)
    shown = texts(figure)
    assert shown.count("Ground truth depth image") == 2
    assert {"PRNet", "Parametric\nface model", "numbers", "photo", "position map"} <= set(shown)
    (alone,) = [ground_truth_process(ways[1:])]
    assert alone.get_size_inches()[0] < figure.get_size_inches()[0]  # no room for a map that nobody has


def test_figure_4_names_its_rows_by_the_way() -> None:
    photo = np.full((100, 100, 3), 128, np.uint8)
    figure = ground_truth_examples([photo, photo], ["108×108", "37×37"], {"by photo": [DEPTH] * 2})
    assert {"photo", "by photo", "108×108", "37×37"} <= set(texts(figure))
    assert len(figure.findobj(lambda artist: type(artist).__name__ == "AxesImage")) == 4


@pytest.mark.parametrize("stage", ["outline", "noise", "blurred background"])
def test_degradation_process_needs_every_stage(stage: str) -> None:
    names = ["ground truth", "outline", "outline holes", "random holes", "all holes", "punched", "noise", "blurred"]
    names += ["random background", "blurred background"]
    stages = {name: (face() != HOLE) if "hole" in name or name == "outline" else face() for name in names}
    assert (
        len(
            degradation_process(stages).findobj(
                lambda artist: hasattr(artist, "get_array") and hasattr(artist, "get_extent")
            )
        )
        >= 10
    )
    with pytest.raises(KeyError, match=stage):
        degradation_process({name: picture for name, picture in stages.items() if name != stage})
