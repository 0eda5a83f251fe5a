"""A face followed from frame to frame: Dlib's detector only around where it was, its landmarks in every frame.

Searching a whole picture takes most of a frame's time at 15 frames a second; searching the surroundings of a known
face takes 3 ms. The landmarks are fitted anew in each frame, so nothing drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import Picture
from facedepth_kit.faces.detection import Face, dlib_models, face_box, to_grey

# Dlib's box in shares of the landmarks' longer extent: how far its centre lies above theirs, and its side (measured).
_ABOVE, _SIDE = 0.08, 1.02


@dataclass(frozen=True)
class TrackerSettings:
    """How a face is looked for and how long it is believed in.

    Without a known face the picture is searched at ``search_px`` (longer side), and at twice that, with its contrast
    evened out, in every ``thorough_every``-th frame: small and badly lit faces are found with a delay. A known face is
    searched with ``margin`` times its size around it, scaled so that Dlib's box is ``face_px`` wide; where Dlib does
    not see it, its landmarks are followed alone for ``misses`` frames.
    """

    search_px: int = 640
    thorough_every: int = 3
    face_px: int = 104
    margin: float = 0.45
    misses: int = 3
    threshold: float = -0.2


class FaceTracker:
    """The most confident face of a sequence of pictures, then the same one for as long as it is seen.

    Call it with one picture after the other (uint8 or uint16, grey or RGB); it returns the face, or None. For one
    thread only. Raises :class:`~facedepth_kit.common.errors.KitError` for other arrays and without Dlib or its model.
    """

    def __init__(self, settings: TrackerSettings | None = None) -> None:
        self.settings = settings or TrackerSettings()
        self._box: npt.NDArray[np.float64] | None = None  # Dlib's: left, top, right, bottom
        self._shape: tuple[int, ...] = ()
        self._missed = 0
        self._searches = 0

    def __call__(self, picture: npt.NDArray[np.generic]) -> Face | None:
        grey = to_grey(picture)
        if grey.shape != self._shape:
            self._shape, self._box = grey.shape, None
        found = None if self._box is None else self._near(grey, self._box)
        if found is not None:
            self._missed = 0
        elif self._box is not None and self._missed < self.settings.misses:
            self._missed += 1
            found = self._box, float("nan")
        else:
            self._missed = 0
            found = self._search(grey)
        if found is None:
            self._box = None
            return None
        landmarks = _fit(grey, found[0])
        self._box = _box_of(landmarks) if np.isnan(found[1]) else found[0]
        if not _inside(self._box, grey.shape):
            self._box = None
            return None
        return Face(face_box(landmarks), landmarks, found[1])

    def _near(self, grey: Picture, box: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float] | None:
        side = float(box[2] - box[0])
        low = np.floor(np.maximum(box[:2] - self.settings.margin * side, 0)).astype(int)
        high = np.ceil(box[2:] + self.settings.margin * side).astype(int)
        part = grey[low[1] : high[1], low[0] : high[0]]
        scale = self.settings.face_px / side
        found = _detect(part, scale, self.settings.threshold)
        return None if found is None else (found[0] + np.tile(low, 2), found[1])

    def _search(self, grey: Picture) -> tuple[npt.NDArray[np.float64], float] | None:
        self._searches += 1
        longer = max(grey.shape)
        found = _detect(grey, min(self.settings.search_px / longer, 3.0), self.settings.threshold)
        if found is not None or self._searches % self.settings.thorough_every:
            return found
        even = cv2.createCLAHE(2.0, (4, 4)).apply(grey)
        return _detect(
            np.asarray(even, np.uint8), min(2 * self.settings.search_px / longer, 3.0), self.settings.threshold
        )


def _detect(grey: Picture, scale: float, threshold: float) -> tuple[npt.NDArray[np.float64], float] | None:
    """Dlib's most confident box in a picture that is scaled for the search, in the picture's own pixels."""
    if min(grey.shape) < 2:
        return None
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=kind) if scale != 1 else grey
    detector, _ = dlib_models()
    boxes, scores, _ = detector.run(np.ascontiguousarray(scaled), 0, threshold)
    if not len(boxes):
        return None
    best = int(np.argmax(scores))
    box = np.array([boxes[best].left(), boxes[best].top(), boxes[best].right() + 1, boxes[best].bottom() + 1])
    return box / scale, float(scores[best])


def _fit(grey: Picture, box: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    import dlib

    _, predictor = dlib_models()
    left, top, right, bottom = (round(edge) for edge in box)
    shape: Any = predictor(grey, dlib.rectangle(left, top, right - 1, bottom - 1))
    return np.array([(point.x, point.y) for point in shape.parts()], np.float64)


def _box_of(landmarks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """About the box that Dlib would have found, for a face that was followed by its landmarks."""
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    side = float(max(high - low)) * _SIDE
    centre = (low + high) / 2 - (0, _ABOVE * side)
    return np.concatenate([centre - side / 2, centre + side / 2])


def _inside(box: npt.NDArray[np.float64], shape: tuple[int, ...]) -> bool:
    """Whether the middle of a face lies in the picture, and is no speck."""
    middle = (box[:2] + box[2:]) / 2
    return bool((middle > 0).all() and middle[0] < shape[1] and middle[1] < shape[0] and box[2] - box[0] > 8)
