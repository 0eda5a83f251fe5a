"""Errors at punched holes, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.evaluation.punched import (
    PunchSettings,
    evaluate_punched,
    known_face,
    punch_known_holes,
)
from facedepth_kit.evaluation.recordings import faces_in
from facedepth_kit.faces.detection import Box, Face


def face_at(box: Box, hull: np.ndarray) -> Face:
    """A face whose landmarks are the corners of a hull; its brows and nose lie in the middle."""
    landmarks = np.repeat(hull.mean(axis=0)[None], 68, axis=0)
    landmarks[: len(hull)] = hull
    return Face(box, landmarks, 1.0)


def flat(value: int = 700, size: int = 64) -> np.ndarray:
    return np.full((size, size), value, np.uint16)


def fill_with(offset_mm: float):  # type: ignore[no-untyped-def]
    """An enhancer that fills holes with the nearest measured depth plus an offset."""

    def enhance(crop: DepthImage) -> DepthImage:
        value = crop[crop != HOLE].min() + round(offset_mm / 250 * 65534)
        return np.where(crop == HOLE, np.uint16(value), crop)

    return enhance


def test_holes_are_punched_only_where_the_value_is_known(rng: np.random.Generator) -> None:
    known = np.zeros((100, 100), np.bool_)
    known[20:80, 30:70] = True
    holes = punch_known_holes(known, rng, PunchSettings(share=(0.1, 0.1)))
    assert not holes[~known].any()
    assert holes.sum() / known.sum() == pytest.approx(0.1, abs=0.01)
    with pytest.raises(KitError, match="no measured pixel"):
        punch_known_holes(np.zeros((9, 9), np.bool_), rng)


def test_the_known_face_leaves_out_holes_background_and_what_is_not_face() -> None:
    frame = flat()
    frame[:10] = 0
    frame[10:20] = 1500
    outline = np.array([(10, 5), (50, 5), (50, 60), (10, 60)])
    known = known_face(RecordedFrame("a", frame), face_at((8, 2, 56, 62), outline))
    assert not known[:20].any()
    assert not known[:, :9].any()
    assert known[25:55, 15:45].all()


def test_errors_per_enhancer_by_hand(rng: np.random.Generator) -> None:
    # Faces amid more surface, so that no hole is open to a rim, where it might be background.
    box = (20, 20, 60, 60)
    frames = [(RecordedFrame("a", flat(700, 80)), box), (RecordedFrame("b", flat(7000, 90), unit_mm=0.1), box)]
    enhancers = {"none": lambda crop: crop, "exact": fill_with(0.0), "5 mm": fill_with(5.0)}
    rows = {row.enhancer: row for row in evaluate_punched(frames, enhancers, rng)}
    assert rows["none"].filled == 0
    assert np.isnan(rows["none"].rmse_mm)
    assert rows["exact"].filled == rows["5 mm"].filled == 1
    assert rows["exact"].rmse_mm == 0
    for value in (rows["5 mm"].rmse_mm, rows["5 mm"].common_rmse_mm, rows["5 mm"].median_frame_rmse_mm):
        # At a hole's rim the measured neighbours weigh in a little.
        assert value == pytest.approx(5, abs=0.3)
    assert len({row.pixels for row in rows.values()}) == 1
    assert rows["exact"].frames == 2


def test_pixels_that_one_enhancer_leaves_open_count_for_none_in_common(rng: np.random.Generator) -> None:
    def left_only(crop: DepthImage) -> DepthImage:
        filled = fill_with(0.0)(crop)
        filled[:, 176:] = crop[:, 176:]
        return filled

    def worse_on_the_right(crop: DepthImage) -> DepthImage:
        filled = fill_with(2.0)(crop)
        right = fill_with(50.0)(crop)
        return np.concatenate([filled[:, :176], right[:, 176:]], axis=1)

    rows = evaluate_punched(
        [(RecordedFrame("a", flat()), (16, 16, 48, 48))], {"half": left_only, "all": worse_on_the_right}, rng
    )
    half, both = rows
    assert 0.5 < half.filled < 1
    assert both.rmse_mm > 10
    assert both.common_rmse_mm == pytest.approx(2, abs=0.01)


def test_an_enhancer_that_fills_little_does_not_choose_the_pixels(rng: np.random.Generator) -> None:
    def rim_only(crop: DepthImage) -> DepthImage:
        filled = fill_with(0.0)(crop)
        filled[:, 80:] = crop[:, 80:]
        return filled

    frames = [(RecordedFrame("a", flat()), (16, 16, 48, 48))]
    little, both = evaluate_punched(frames, {"little": rim_only, "all": fill_with(2.0)}, rng)
    assert 0 < little.filled < 0.5
    assert both.common_rmse_mm == both.rmse_mm == pytest.approx(2, abs=0.01)
    assert little.common_rmse_mm == pytest.approx(0, abs=0.01)


def test_inpainting_fills_punched_holes_of_real_frames(real_depth: Path, rng: np.random.Generator) -> None:
    from facedepth_kit import enhancers

    folder = RecordingFolder(real_depth / "kinect_v2_faces" / "subject_05", image_suffix="_infrared.png")
    frames = [(frame, face) for frame, face, _ in faces_in(folder, [])]
    assert len(frames) >= 10
    rows = evaluate_punched(frames[:3], {name: enhancers.get(name).enhance for name in ("None", "Telea")}, rng)
    assert rows[0].filled == 0
    assert rows[1].filled > 0.95
    assert rows[1].rmse_mm < 15
