"""Dlib on pictures: what is found, where, and what is refused."""

import subprocess
import sys

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.detection import detect_face, face_box, landmark_model, to_grey


def drawn_face(size: int = 256) -> np.ndarray:
    """A face as a cartoon that Dlib's detector accepts: skin, brows, eyes, nose and mouth, shaded; grey uint8."""
    import cv2

    scale = size / 256
    picture = np.full((size, size), 40, np.uint8)

    def ellipse(x: float, y: float, width: float, height: float, grey: int) -> None:
        centre, axes = (round(x * scale), round(y * scale)), (round(width * scale), round(height * scale))
        cv2.ellipse(picture, centre, axes, 0, 0, 360, grey, -1)

    ellipse(128, 132, 70, 92, 190)
    for side in (-1, 1):
        ellipse(128 + 28 * side, 110, 16, 8, 90)
        ellipse(128 + 28 * side, 110, 6, 6, 20)
        ellipse(128 + 28 * side, 92, 20, 4, 60)
        ellipse(128 + 9 * side, 152, 4, 3, 80)
    ellipse(128, 138, 8, 20, 205)
    ellipse(128, 180, 28, 7, 90)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 3 * scale))


def test_a_face_is_found_with_its_landmarks() -> None:
    face = detect_face(drawn_face(128))
    assert face is not None
    assert face.landmarks.shape == (68, 2)
    left, top, right, bottom = 2 * np.array(face.box)
    assert left < 90 < 166 < right
    assert top < 85
    assert 190 < bottom < 256
    eyes, mouth = 2 * face.landmarks[36:48].mean(axis=0), 2 * face.landmarks[48:68].mean(axis=0)
    assert np.abs(eyes - (128, 110)).max() < 12
    assert np.abs(mouth - (128, 180)).max() < 15
    assert face.outline[:, 1].min() < face.landmarks[:, 1].min()  # the forehead belongs to the face


def test_small_infrared_images_are_enlarged_and_brightened() -> None:
    # 96 pixels, 16 bits, dark, with a few overexposed pixels: as a time-of-flight camera gives it.
    infrared = (drawn_face(96).astype(np.float64) ** 2 / 50).astype(np.uint16)
    infrared[0, :3] = 65535
    face = detect_face(infrared)
    assert face is not None
    assert np.abs(face.landmarks[36:48].mean(axis=0) - np.array([128, 110]) * 96 / 256).max() < 6


def test_colour_pictures_work_like_grey_ones() -> None:
    grey = drawn_face(128)
    face, again = detect_face(np.repeat(grey[..., None], 3, axis=2)), detect_face(grey)
    assert face is not None
    assert again is not None
    assert face.box == again.box


def test_no_face_is_none() -> None:
    assert detect_face(np.zeros((120, 100), np.uint16)) is None
    assert detect_face(np.random.default_rng(0).integers(0, 256, (150, 150), dtype=np.uint8)) is None


def test_other_arrays_are_refused() -> None:
    for wrong in (np.zeros((10, 10)), np.zeros((10, 10, 4), np.uint8), np.zeros((0, 0), np.uint8)):
        with pytest.raises(KitError, match="picture"):
            detect_face(wrong)


def test_gamma_lifts_the_shadows() -> None:
    ramp = np.tile(np.arange(1000, dtype=np.uint16), (8, 1))
    grey = to_grey(ramp)
    assert grey[0, 0] == 0
    assert grey[0, -1] == 255
    assert abs(int(grey[0, 500]) - 255 * 0.5**0.6) <= 2


def test_the_box_holds_the_landmarks_and_the_forehead() -> None:
    landmarks = np.full((68, 2), 50.0)
    landmarks[0], landmarks[16], landmarks[8] = (10, 40), (90, 40), (50, 100)
    landmarks[17:27, 1], landmarks[33] = 30, (50, 60)
    assert face_box(landmarks) == (10, 0, 91, 101)


def test_the_model_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from facedepth_kit.faces.detection import landmark_model; landmark_model();"
        "sys.exit('face_recognition_models' in sys.modules)"
    )
    assert landmark_model().stat().st_size > 90e6
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
