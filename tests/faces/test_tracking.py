"""A face followed through pictures: a drawn face that moves, vanishes and comes back."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.detection import detect_face
from facedepth_kit.faces.tracking import FaceTracker, TrackerSettings
from tests.faces.test_detection import drawn_face

Picture = npt.NDArray[np.uint8]


def scene(x: int, y: int, size: int = 200, shape: tuple[int, int] = (480, 640)) -> Picture:
    """The drawn face with its upper left corner at x, y, before grey."""
    picture = np.full(shape, 127, np.uint8)
    picture[y : y + size, x : x + size] = cv2.resize(drawn_face(240), (size, size))
    return picture


def test_the_first_picture_gives_what_a_search_gives() -> None:
    picture = scene(220, 120)
    found, searched = FaceTracker()(picture), detect_face(picture)
    assert found is not None
    assert searched is not None
    assert np.abs(found.landmarks - searched.landmarks).mean() < 4
    assert np.abs(np.array(found.box) - searched.box).max() < 12
    assert found.score > 0


def test_a_moving_face_is_followed() -> None:
    tracker = FaceTracker()
    first = tracker(scene(100, 100))
    assert first is not None
    for step in range(1, 12):
        found = tracker(scene(100 + 12 * step, 100 + 5 * step))
        assert found is not None
        moved = found.landmarks.mean(axis=0) - first.landmarks.mean(axis=0)
        assert moved == pytest.approx([12 * step, 5 * step], abs=6)


def test_the_landmarks_do_not_depend_on_what_came_before() -> None:
    tracker = FaceTracker()
    for x in (100, 112, 124, 136):
        followed = tracker(scene(x, 100))
    fresh = FaceTracker()(scene(136, 100))
    assert followed is not None
    assert fresh is not None
    assert np.abs(followed.landmarks - fresh.landmarks).mean() < 4


def test_a_face_that_vanishes_is_believed_in_for_three_pictures() -> None:
    tracker = FaceTracker(TrackerSettings(misses=3))
    assert tracker(scene(220, 120)) is not None
    empty = np.full((480, 640), 127, np.uint8)
    believed = [tracker(empty) for _ in range(6)]
    assert [face is not None for face in believed] == [True] * 3 + [False] * 3
    assert all(np.isnan(face.score) for face in believed if face is not None)
    assert tracker(scene(20, 40)) is not None  # somewhere else


def test_small_faces_are_found_in_small_and_large_pictures() -> None:
    assert FaceTracker()(scene(20, 10, 70, (90, 110))) is not None
    tracker = FaceTracker()
    # 80 px of 1280: only the thorough search sees it, and then it is followed.
    found = [tracker(scene(900, 400, 110, (720, 1280))) is not None for _ in range(6)]
    assert found[2:] == [True] * 4


def test_infrared_and_colour_pictures_and_a_change_of_size() -> None:
    tracker = FaceTracker()
    grey = scene(220, 120)
    assert tracker(grey.astype(np.uint16) * 40) is not None
    assert tracker(np.repeat(grey[..., None], 3, axis=2)) is not None
    assert tracker(np.ascontiguousarray(grey[100:340, 200:520])) is not None
    assert tracker(np.full((4, 4), 9, np.uint8)) is None
    assert tracker(np.zeros((1, 900), np.uint8)) is None
    with pytest.raises(KitError, match="float32"):
        tracker(grey.astype(np.float32))
