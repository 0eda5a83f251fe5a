"""Where the face is in a colour or infrared picture: Dlib's frontal detector and its 68 landmarks."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import Picture

Box = tuple[int, int, int, int]

MODEL_PACKAGE = "face_recognition_models"
MODEL_FILE = "models/shape_predictor_68_face_landmarks.dat"
GAMMA = 0.6
SMALLEST_COPY_PX = 8  # a strip of fewer rows holds no face
LANDMARKS, NOSE_BASE, BROWS = 68, 33, slice(17, 27)
# Hairline to brows is about as long as brows to the base of the nose (and an open mouth does not change that).
FOREHEAD = 1.0


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture: pixels, x to the right and y down.

    ``box`` (left, top, right, bottom; right and bottom exclusive) reaches from hairline to chin and over all
    landmarks. ``landmarks`` is float64 (68, 2) in Dlib's order, ``score`` the detector's confidence. ``rectangle`` is
    the detector's own square (left, top, right, bottom), where a detector has seen the face.
    """

    box: Box
    landmarks: npt.NDArray[np.float64]
    score: float
    rectangle: tuple[float, float, float, float] | None = None

    @property
    def outline(self) -> npt.NDArray[np.float64]:
        """A polygon (78, 2) on the face: the landmarks and the brows moved up over most of the forehead."""
        return np.concatenate([self.landmarks, _forehead(self.landmarks, FOREHEAD * 0.85)])


def detect_face(picture: npt.NDArray[np.generic]) -> Face | None:
    """The most confident face in a picture, or None.

    ``picture`` is uint8 or uint16, grey (height, width) or RGB (height, width, 3); infrared images of depth cameras are
    uint16. Raises :class:`KitError` for other arrays, and when Dlib's model is not installed.
    """
    grey = to_grey(picture)
    scale = _upscaling(max(grey.shape))
    large = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else grey
    detector, predictor = dlib_models()
    boxes: Any = ()
    # The second try is for faces that are turned or badly lit; the threshold stays where false alarms are rare.
    for candidate in (large, cv2.createCLAHE(2.0, (4, 4)).apply(large)):
        boxes, scores, _ = detector.run(candidate, 0, -0.2)
        if len(boxes) > 0:
            break
    if len(boxes) == 0:
        return None
    best = int(np.argmax(scores))
    return _face(predictor, np.asarray(large, np.uint8), boxes[best], scores[best], scale)


def detect_faces(picture: npt.NDArray[np.generic], *, longest_side: int = 640) -> list[Face]:
    """All faces in a photo of any size, largest first; none gives an empty list.

    Dlib's time grows with the pixels, so it looks at a copy whose longer side has ``longest_side`` pixels (small
    photos are enlarged up to three times); a face must span an eighth of that at 640 pixels. Only where nothing is
    found, another try with more contrast and one at twice the size follow. ``picture`` as for :func:`detect_face`.
    """
    grey = to_grey(picture)
    detector, predictor = dlib_models()
    longer = max(grey.shape)
    for side, contrast in ((longest_side, False), (longest_side, True), (2 * longest_side, False)):
        scale = min(side / longer, _upscaling(longer))
        if side > longest_side and side / longer >= 2 * scale:
            break  # the photo has no more pixels than the first try saw
        filtering = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        if min(grey.shape) * scale < SMALLEST_COPY_PX:
            continue
        copy = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=filtering), np.uint8)
        seen = cv2.createCLAHE(2.0, (4, 4)).apply(copy) if contrast else copy
        boxes, scores, _ = detector.run(seen, 0, 0.0)
        if len(boxes) > 0:
            faces = [_face(predictor, copy, box, score, scale) for box, score in zip(boxes, scores, strict=True)]
            return sorted(faces, key=_width, reverse=True)
    return []


def _width(face: Face) -> float:
    assert face.rectangle is not None
    return face.rectangle[2] - face.rectangle[0]


def _face(predictor: Any, copy: Picture, box: Any, score: float, scale: float) -> Face:
    """A detection in an enlarged or reduced copy, with its landmarks, in the picture's own pixels."""
    points = np.array([(point.x, point.y) for point in predictor(copy, box).parts()], np.float64)
    landmarks = (points + 0.5) / scale - 0.5
    left, top, right, bottom = (
        (edge + 0.5) / scale - 0.5 for edge in (box.left(), box.top(), box.right(), box.bottom())
    )
    return Face(face_box(landmarks), landmarks, float(score), (left, top, right, bottom))


def face_box(landmarks: npt.NDArray[np.floating]) -> Box:
    """The box (left, top, right, bottom) around 68 landmarks (68, 2) and the forehead above them."""
    points = np.concatenate([landmarks, _forehead(landmarks, FOREHEAD)])
    low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    return int(low[0]), int(low[1]), int(high[0]) + 1, int(high[1]) + 1


def to_grey(picture: npt.NDArray[np.generic]) -> Picture:
    """A picture as 8-bit grey (height, width): RGB by its luminance, 16 bits by contrast stretching and gamma 0.6.

    Infrared images are bright near the camera and nearly black elsewhere; gamma lifts the shadows of the face.
    """
    if picture.dtype not in (np.uint8, np.uint16) or picture.size == 0:
        raise KitError(f"picture: found dtype {picture.dtype}, shape {picture.shape}, expected uint8 or uint16 pixels")
    if picture.ndim == 3 and picture.shape[2] == 3:
        picture = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY))
    if picture.ndim != 2:
        raise KitError(f"picture: found shape {picture.shape}, expected (height, width) or (height, width, 3)")
    if picture.dtype == np.uint8:
        return np.ascontiguousarray(picture, np.uint8)
    low, high = np.percentile(picture.astype(np.float32), (1, 99))
    stretched = np.clip((picture.astype(np.float32) - low) / max(high - low, 1), 0, 1) ** GAMMA
    return np.rint(stretched * 255).astype(np.uint8)


def _forehead(landmarks: npt.NDArray[np.floating], share: float) -> npt.NDArray[np.floating]:
    brows = landmarks[BROWS]
    return brows + (brows.mean(axis=0) - landmarks[NOSE_BASE]) * share


def _upscaling(longer_side: int) -> int:
    """Dlib finds faces from 80 pixels on: small recordings are enlarged three times, larger ones less."""
    return 3 if longer_side <= 400 else 2 if longer_side <= 700 else 1


def landmark_model() -> Path:
    """The file of Dlib's 68-point model, found without importing the package that carries it.

    Raises :class:`KitError` saying what to install.
    """
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or ():
        model = Path(folder) / MODEL_FILE
        if model.is_file():
            return model
    raise KitError(
        f"Dlib's 68-point model: found no package {MODEL_PACKAGE} that holds it, expected it installed (pip)"
    )


@cache
def dlib_models() -> tuple[Any, Any]:
    """Dlib's frontal face detector and its 68-point predictor, loaded once. Raises :class:`KitError` without them."""
    try:
        import dlib
    except ImportError as error:
        raise KitError("Dlib: found no such package, expected dlib-bin installed (pip) to find faces") from error
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(landmark_model()))
