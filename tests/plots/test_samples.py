"""Samples: masked by the face, as the paper's, and what was not run is said."""

from __future__ import annotations

import numpy as np

from facedepth_kit.depth import HOLE
from facedepth_kit.plots.colours import (
    colourize,
)
from facedepth_kit.plots.samples import (
    camera_sample,
    distance_rows,
    enhancement_concept,
    face_limits,
    face_window,
    masked_face,
    sample_grid,
    sample_rows,
)
from tests.plots.drawn import bowl, face, texts


def test_sample_grid_lists_enhancers_without_weights() -> None:
    figure = sample_grid(
        face(), face(60), {"Sp-HfU": face(), "DL-Alpha": None}, [["Ground Truth", "Degraded", "Sp-HfU"], ["DL-Alpha"]]
    )
    assert {"Ground Truth", "Degraded", "Sp-HfU", "DL-Alpha\nno weights"} <= set(texts(figure))


def test_sample_grid_masks_by_the_ground_truth() -> None:
    full = np.zeros((256, 256), np.uint16)
    figure = sample_grid(face(), face(), {"fills all": full}, [["fills all"]])
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert (shown[0, 0] == np.asarray(colourize(np.full((256, 256), HOLE))[0, 0])).all()


def test_the_window_is_a_square_about_the_mask_inside_the_image() -> None:
    _, mask = bowl()
    rows, columns = face_window(mask, 0.1)
    assert rows.stop - rows.start == columns.stop - columns.start == int(79 * 1.2)
    assert mask[rows, columns].sum() == mask.sum()
    corner = np.zeros((256, 256), np.bool_)
    corner[:10, 250:] = True
    rows, columns = face_window(corner)
    assert (rows.start, columns.stop) == (0, 256)


def test_outside_the_mask_is_white_and_inside_the_depth() -> None:
    depth, mask = bowl()
    limits = face_limits(depth, mask)
    shown = masked_face(depth, mask, limits)
    window = face_window(mask)
    assert (shown[~mask[window]] == 255).all()
    np.testing.assert_array_equal(shown[mask[window]], colourize(depth, limits=limits)[window][mask[window]])
    assert limits[0] == 0
    assert 0.15 < limits[1] < 0.3
    assert face_limits(np.full((4, 4), HOLE), np.ones((4, 4), np.bool_)) == (0.0, 1.0)


def test_sample_rows_name_what_was_not_run() -> None:
    depth, mask = bowl()
    picture = np.zeros((256, 256, 3), np.uint8)
    figure = sample_rows(
        [picture] * 2, [depth] * 2, [{"A": depth}] * 2, [mask] * 2, ["A", "B"], ["Neutral", "Mouth"], [{"A": 1.5}, {}]
    )
    found = texts(figure)
    assert {"Color", "None", "A\n1.50", "Neutral", "Mouth"} <= set(found)
    assert found.count("B\nnot run") == 2


def test_camera_sample_has_the_papers_first_columns() -> None:
    depth, mask = bowl()
    picture = np.full((256, 256, 3), 7, np.uint8)
    figure = camera_sample(picture, depth, {"Telea": depth}, mask, [["Color", "Depth", "De-M2"], ["Telea"]])
    assert {"Color", "Depth", "De-M2\nnot run", "Telea"} <= set(texts(figure))
    assert (np.asarray(figure.axes[0].images[0].get_array()) == 7).all()


def test_concept_and_distances_are_drawn() -> None:
    depth, mask = bowl()
    picture = np.zeros((256, 256, 3), np.uint8)
    assert "Colour (not used)" in texts(enhancement_concept(picture, depth, depth, mask, "DL-Delta-1"))
    shown = masked_face(depth, mask)
    assert {"0.35 m", "0.70 m"} <= set(texts(distance_rows([picture] * 2, [shown] * 2, ["0.35 m", "0.70 m"])))
