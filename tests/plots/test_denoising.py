"""The second paper's figures: turned surfaces, folds and columns hold what they are given."""

from __future__ import annotations

import numpy as np

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.plots.denoising import (
    alignment_pipeline,
    lettered_columns,
    on_white,
    out_of_fold,
    rig_and_result,
    turned,
)
from tests.plots.drawn import png, texts

CAMERA = Intrinsics(60, 80, 70.0, 70.0, 29.5, 39.5)
PICTURE = np.full((80, 60, 3), 90, np.uint8)


def person(depth_mm: float = 1500.0) -> np.ndarray:
    depth = np.full((80, 60), np.nan, np.float32)
    depth[10:70, 15:45] = depth_mm
    return depth


def shown(picture: np.ndarray) -> np.ndarray:
    return np.asarray((picture != 255).any(axis=-1))


def test_a_flat_person_gets_narrower_when_turned() -> None:
    front, side = (shown(turned(person(), 1500.0, CAMERA, angle)) for angle in (0.0, 50.0))
    assert abs(int(front.any(axis=0).sum()) - 30) <= 2
    assert side.any(axis=0).sum() < 0.8 * front.any(axis=0).sum()
    assert abs(int(np.flatnonzero(side.any(axis=0)).mean()) - 30) <= 2  # about its own middle


def test_no_surface_is_spanned_between_an_arm_and_what_is_behind_it() -> None:
    depth = person()
    depth[:, 30:] += 200
    picture = shown(turned(depth, 1500.0, CAMERA, 40.0))
    columns = np.flatnonzero(picture.any(axis=0))
    assert np.diff(columns).max() > 1


def test_what_does_not_count_is_white() -> None:
    assert (on_white(PICTURE, np.isfinite(person()))[0, 0] == 255).all()


def test_columns_are_named_once_and_missing_methods_are_said() -> None:
    rows = [{"(a) Input": PICTURE, "(e) DDD": None, "(h) Ours (basic)": PICTURE}] * 2
    figure = lettered_columns(rows)
    found = texts(figure)
    assert found.count("not run") == 2
    assert found.count("(h) Ours\n(basic)") == 1
    assert len(png(figure)) > 1000


def test_schemes_name_their_parts() -> None:
    assert "(b) LQ depth" in texts(rig_and_result(PICTURE, PICTURE, PICTURE))
    assert "Find\nextrinsic (4.1)" in texts(alignment_pipeline([PICTURE] * 3, [PICTURE] * 3, {"target": PICTURE}))
    found = texts(out_of_fold({"P1": "3 people", "P2": "4 people", "Ptest": "1 person"}))
    # Figure 3: each of the first two predicts what it has not learnt from, and M2 learns from those predictions.
    assert found.count("learns") == 4
    assert found.count("predicts") == 3
    assert {"M1_2(P1)", "M1_1(P2)", "M1(Ptest)", "4 people"} <= set(found)
