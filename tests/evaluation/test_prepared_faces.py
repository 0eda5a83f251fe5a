"""What the evaluations see of a recording: ranges, masks and points worked out by hand, and real frames all the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.cameras.recorded.face_crop import FaceCrop, Square, cut_square, face_mask, face_square
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE
from facedepth_kit.evaluation.prepared_faces import (
    LeftOut,
    hole_sizes,
    nearest_mm,
    prepare_faces,
    prepare_kinectfacedb,
)


def test_the_mask_is_the_landmarks_hull() -> None:
    square = np.array([[1, 1], [3, 1], [3, 4], [1, 4], [2, 2]], float)
    mask = face_mask(square, (6, 6))
    assert mask.sum() == 3 * 4
    assert mask[1:5, 1:4].all()
    outside = face_mask(square + np.array([4, 0]), (6, 6))
    assert outside.sum() == 4
    assert outside[1:5, 5].all()


def test_the_region_is_a_square_about_the_box() -> None:
    # 40 wide, 80 tall: the side is 80 / 0.8 = 100 about the middle (50, 60).
    assert face_square((30, 20, 70, 100)) == (0.0, 10.0, 100.0)


def test_points_go_into_the_square_by_pixel_centres() -> None:
    # Scaled by two: the centre of frame pixel 10 lies between the pixels 0 and 1 of a square that begins at its edge.
    assert Square(10.0, 20.0, 128.0).into(np.array([[10.0, 20.0]])).tolist() == [[0.5, 0.5]]
    assert Square(0.0, 0.0, 256.0).into(np.array([[7.0, 9.0]])).tolist() == [[7.0, 9.0]]


def test_a_cut_square_keeps_pixels_and_pads_with_holes() -> None:
    frame = RecordedFrame("a", np.arange(1, 301, dtype=np.uint16).reshape(15, 20), unit_mm=0.5)
    cut = cut_square(frame, Square(-3.0, -2.0, 256.0))
    assert cut[2, 3] == 0.5
    assert cut[16, 22] == 150.0
    assert np.isfinite(cut).sum() == 300
    with pytest.raises(KitError, match="square"):
        cut_square(frame, Square(0, 0, 0))


def test_nearest_of_an_area() -> None:
    depth_mm = np.array([[np.nan, 5.0], [3.0, 4.0]])
    assert nearest_mm(depth_mm) == 3.0
    assert nearest_mm(depth_mm, np.array([[True, True], [False, False]])) == 5.0
    with pytest.raises(KitError, match="holes only"):
        nearest_mm(depth_mm, np.array([[True, False], [False, False]]))


def test_hole_sizes_count_connected_holes_inside_the_mask() -> None:
    depth = np.zeros((6, 6), np.uint16)
    depth[0, 0] = depth[1, 1] = depth[4, 1:4] = depth[3, 5] = HOLE
    mask = np.ones((6, 6), np.bool_)
    mask[:, 5] = False
    assert hole_sizes(depth, mask) == [2, 3]
    assert hole_sizes(np.zeros((6, 6), np.uint16), mask) == []


def as_kinect(recording: RecordedFrame, variant: str, picture: npt.NDArray[np.uint8] | None = None) -> RecordedFrame:
    """The simulated face as another variant, perhaps with another picture."""
    changed = replace(recording, name=f"0001_s1_{variant}", person="0001", session="s1", variant=variant)
    return changed if picture is None else replace(changed, picture=picture)


def test_a_face_fills_the_square(simulated_face: RecordedFrame) -> None:
    left_out: list[LeftOut] = []
    (face,) = prepare_faces([simulated_face], left_out)
    assert not left_out
    assert face.mask is not None
    assert face.landmarks is not None
    assert face.picture is not None
    assert face.picture.shape == (256, 256, 3)
    assert 0.1 < face.mask.mean() < 0.45
    inside = face.depth[face.mask]
    assert (inside != HOLE).mean() > 0.9
    assert face.depth.min() == 0  # the nearest pixel of the region begins the span
    tip = face.landmarks[30]
    assert face.depth[int(tip[1]), int(tip[0])] < 0.2 * FARTHEST
    # What was cut is the picture that Dlib would find the same face in.
    again = prepare_faces(
        [replace(simulated_face, depth=np.ones((256, 256), np.uint16), picture=face.picture)], left_out
    )
    found = next(again).landmarks
    assert found is not None
    assert len(left_out) == 0


def test_neutral_masks_the_other_frontal_variants(simulated_face: RecordedFrame) -> None:
    hidden = np.zeros((256, 256, 3), np.uint8)
    nearer = as_kinect(simulated_face, "OcclusionMouth", picture=hidden)
    frames = [
        as_kinect(simulated_face, "Smile"),  # the order on disk does not matter
        as_kinect(simulated_face, "Neutral"),
        nearer,
        as_kinect(simulated_face, "LeftProfile", picture=hidden),
    ]
    left_out: list[LeftOut] = []
    faces = {face.variant: face for face in prepare_kinectfacedb(frames, left_out)}
    assert list(faces) == ["Smile", "Neutral", "OcclusionMouth", "LeftProfile"]
    assert not left_out
    neutral = faces["Neutral"]
    assert neutral.mask is not None
    for variant in ("Smile", "OcclusionMouth"):
        np.testing.assert_array_equal(faces[variant].mask, neutral.mask)
    assert faces["LeftProfile"].mask is None
    np.testing.assert_array_equal(faces["Smile"].landmarks, neutral.landmarks)  # found in its own, equal picture
    assert faces["OcclusionMouth"].landmarks is None
    assert faces["LeftProfile"].landmarks is None


def test_something_held_before_the_face_begins_the_span(simulated_face: RecordedFrame) -> None:
    frame = as_kinect(simulated_face, "OcclusionPaper")
    neutral = as_kinect(simulated_face, "Neutral")
    (_, before) = prepare_kinectfacedb([neutral, frame], [])
    depth = frame.depth.copy()
    assert before.mask is not None
    row, column = (int(axis.mean()) for axis in np.nonzero(before.mask))
    depth[row, column] = int(before.depth_range.near_mm) - 20
    (_, after) = prepare_kinectfacedb([neutral, replace(frame, depth=depth)], [])
    assert after.depth_range.near_mm == pytest.approx(int(before.depth_range.near_mm) - 20)
    assert after.depth[row, column] == 0
    # Outside the region of interest nothing counts: what is nearer there is a hole.
    depth = frame.depth.copy()
    depth[255, 255] = 50
    (_, corner) = prepare_kinectfacedb([neutral, replace(frame, depth=depth)], [])
    assert corner.depth_range == before.depth_range
    assert corner.depth[255, 255] == HOLE


def test_a_session_without_a_neutral_face_is_counted(simulated_face: RecordedFrame) -> None:
    blank = np.full((256, 256, 3), 128, np.uint8)
    frames = [as_kinect(simulated_face, "Neutral", picture=blank), as_kinect(simulated_face, "Smile")]
    other = [replace(frame, person="0002") for frame in (as_kinect(simulated_face, "Smile"),)]
    left_out: list[LeftOut] = []
    assert list(prepare_kinectfacedb(frames + other, left_out)) == []
    assert [(entry.person, entry.variant) for entry in left_out] == [
        ("0001", "Neutral"),
        ("0001", "Smile"),
        ("0002", "Smile"),
    ]
    assert "shows Dlib no face" in left_out[0].reason
    assert "is missing" in left_out[2].reason


def test_frames_without_face_picture_or_depth_are_named(simulated_face: RecordedFrame) -> None:
    frames = [
        replace(simulated_face, name="no picture", picture=None),
        replace(simulated_face, name="no face", picture=np.zeros_like(simulated_face.picture)),
        replace(simulated_face, name="no depth", depth=np.zeros_like(simulated_face.depth)),
    ]
    left_out: list[LeftOut] = []

    def lazily() -> Iterator[FaceCrop]:
        return prepare_faces(iter(frames), left_out)

    assert list(lazily()) == []
    assert [entry.name for entry in left_out] == ["no picture", "no face", "no depth"]
    assert "holes only" in left_out[2].reason
