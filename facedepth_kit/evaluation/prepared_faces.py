"""Recordings as the evaluations see them: normalised 256x256 depth, a face mask, landmarks (sections IV-E to IV-J).

- KinectFaceDB: the 256x256 frame as it is. Dlib's 68 landmarks on the Neutral colour image give mask and region of
  interest for all frontal variants of the same person and session, because Dlib fails on occluded faces. Profiles have
  no mask. Landmarks of their own have the variants without occlusion in which Dlib finds a face (section IV-G).
- RealSense and other cameras: each picture has its own landmarks; a square around the face is scaled to 256x256.

Depth spans 25 cm from the nearest measured pixel of the region of interest, the square around the face from hairline to
chin. Holes, what lies beyond the span and what lies before it become 65535. The mask is the convex hull of the
landmarks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import FILL, Box, cut_square
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import (
    CAMERA_SPAN_MM,
    HOLE,
    SIZE,
    DepthImage,
    DepthRange,
    Mask,
    from_millimetres,
)
from facedepth_kit.faces.detection import BROWS, Face, detect_face

Points = npt.NDArray[np.float64]
Square = tuple[float, float, float]

LANDMARKS = 68
NEUTRAL = "Neutral"
PROFILES = ("LeftProfile", "RightProfile")
OCCLUSIONS = ("OcclusionEyes", "OcclusionMouth", "OcclusionPaper")


@dataclass(frozen=True, eq=False)
class FaceImage:
    """A recording, ready to be enhanced and measured.

    ``depth`` is uint16 (256, 256) with hole 65535 and spans ``depth_range``; ``picture`` the aligned colour or infrared
    image (256, 256[, 3]) uint8 or None; ``mask`` bool (256, 256), None for profiles; ``landmarks`` (68, 2) found in
    this very picture and ``marks`` (n, 2) the data set's own points, pixels, None where there are none; ``outline``
    (m, 2) a polygon on the face with half of its forehead, to show it by. ``step`` is how many camera pixels a pixel is
    wide.
    """

    name: str
    depth: DepthImage
    depth_range: DepthRange
    mask: Mask | None = None
    landmarks: Points | None = None
    marks: Points | None = None
    outline: Points | None = None
    picture: npt.NDArray[np.uint8] | None = None
    person: str = ""
    session: str = ""
    variant: str = ""
    step: float = 1.0
    simulated: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A recording that cannot be evaluated, and why."""

    name: str
    person: str
    session: str
    variant: str
    reason: str


def face_mask(landmarks: npt.NDArray[np.floating], shape: tuple[int, int] = (SIZE, SIZE)) -> Mask:
    """The convex hull of landmarks (n, 2), pixels, as a mask of ``shape`` (height, width); parts outside are cut."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks).astype(np.int32)), 1)
    return mask > 0


def face_square(box: Box, fill: float = FILL) -> Square:
    """Left, top and side of the region of interest around a face box, which fills ``fill`` of it; pixels from edges."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) / fill
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def nearest_mm(depth_mm: npt.NDArray[np.floating], area: Mask | None = None) -> float:
    """The nearest measured depth in an area (all by default), NaN = hole. Raises :class:`KitError` if there is none."""
    values = depth_mm if area is None else depth_mm[area]
    if not np.isfinite(values).any():
        raise KitError("region of interest: found holes only, expected depth")
    return float(np.nanmin(values))


def prepare_kinectfacedb(recordings: Iterable[RecordedFrame], left_out: list[LeftOut]) -> Iterator[FaceImage]:
    """KinectFaceDB's frames with the masks of their Neutral image; frames of a person and session come together.

    What cannot be evaluated is added to ``left_out``: every frame of a session whose Neutral is missing or shows Dlib
    no face, and frames without depth in the region of interest.
    """
    for (person, session), group in groupby(recordings, lambda recording: (recording.person, recording.session)):
        frames = list(group)
        neutral = next((frame for frame in frames if frame.variant == NEUTRAL), None)
        face = None if neutral is None or neutral.picture is None else detect_face(neutral.picture)
        if face is None:
            missing = neutral is None or neutral.picture is None
            reason = f"{NEUTRAL} {'is missing' if missing else 'shows Dlib no face'}: no mask for {person} {session}"
            left_out.extend(_left_out(frame, reason) for frame in frames)
            continue
        for frame in frames:
            try:
                yield _in_frame(frame, face)
            except KitError as error:
                left_out.append(_left_out(frame, str(error)))


def prepare_faces(recordings: Iterable[RecordedFrame], left_out: list[LeftOut]) -> Iterator[FaceImage]:
    """Frames of any size with an aligned picture: the square around the face that Dlib finds there, as 256x256.

    Frames without a picture, without a face or without depth in the square are added to ``left_out``.
    """
    for recording in recordings:
        try:
            face = None if recording.picture is None else detect_face(recording.picture)
            if face is None:
                found = "no aligned picture" if recording.picture is None else "no face in the picture (Dlib)"
                raise KitError(f"found {found}")
            yield _in_square(recording, face)
        except KitError as error:
            left_out.append(_left_out(recording, str(error)))


def _in_frame(frame: RecordedFrame, neutral: Face) -> FaceImage:
    """A KinectFaceDB frame as it is, in the region and with the mask of its Neutral image."""
    if frame.depth.shape != (SIZE, SIZE):
        raise KitError(f"{frame.name}: found depth of {frame.depth.shape}, expected KinectFaceDB's {(SIZE, SIZE)}")
    depth_mm = _millimetres(frame)
    left, top, side = face_square(neutral.box)
    region = np.zeros(depth_mm.shape, np.bool_)
    region[_pixels(top, side), _pixels(left, side)] = True
    depth_range = DepthRange(nearest_mm(depth_mm, region), CAMERA_SPAN_MM)
    landmarks = None
    if frame.variant == NEUTRAL:
        landmarks = neutral.landmarks
    elif frame.variant not in OCCLUSIONS and frame.picture is not None:
        own = detect_face(frame.picture)
        landmarks = None if own is None else own.landmarks
    return FaceImage(
        depth=from_millimetres(depth_mm, depth_range),
        depth_range=depth_range,
        mask=None if frame.variant in PROFILES else face_mask(neutral.landmarks),
        landmarks=landmarks,
        marks=frame.marks,
        outline=None if frame.variant in PROFILES else _shown_outline(neutral),
        picture=_as_bytes(frame.picture),
        **_names(frame),
    )


def _in_square(frame: RecordedFrame, face: Face) -> FaceImage:
    left, top, side = face_square(face.box)
    depth_mm = cut_square(frame.depth, left, top, side, unit_mm=frame.unit_mm)
    depth_range = DepthRange(nearest_mm(depth_mm), CAMERA_SPAN_MM)
    landmarks = into_square(face.landmarks, (left, top, side))
    return FaceImage(
        depth=from_millimetres(depth_mm, depth_range),
        depth_range=depth_range,
        mask=face_mask(landmarks),
        landmarks=landmarks,
        marks=None if frame.marks is None else into_square(frame.marks, (left, top, side)),
        outline=into_square(_shown_outline(face), (left, top, side)),
        picture=_cut_picture(_as_bytes(frame.picture), (left, top, side)),
        step=side / SIZE,
        **_names(frame),
    )


def into_square(points: npt.NDArray[np.floating], square: Square) -> Points:
    """Points (..., 2) of a frame in the pixels of its 256x256 square; (0, 0) is the centre of the top left pixel."""
    left, top, side = square
    return np.asarray((np.asarray(points, np.float64) + 0.5 - (left, top)) * (SIZE / side) - 0.5)


def _shown_outline(face: Face) -> Points:
    """The landmarks and half of the forehead: hair, which sensors like to lose, is no face."""
    brows = face.landmarks[BROWS]
    raised = face.outline[LANDMARKS:]
    return np.concatenate([face.landmarks, (brows + raised) / 2])


def _cut_picture(picture: npt.NDArray[np.uint8] | None, square: Square) -> npt.NDArray[np.uint8] | None:
    if picture is None:
        return None
    left, top, side = square
    step = side / SIZE
    # Destination pixel k has its centre at (k + 0.5) * step + left - 0.5 in the frame's index coordinates.
    back = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    given = cv2.GaussianBlur(picture, (0, 0), step / 3) if step > 1.5 else picture
    return np.asarray(
        cv2.warpAffine(given, back, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP), np.uint8
    )


def _as_bytes(picture: npt.NDArray[np.generic] | None) -> npt.NDArray[np.uint8] | None:
    from facedepth_kit.faces.detection import to_grey

    if picture is None or picture.dtype == np.uint8:
        return None if picture is None else np.asarray(picture, np.uint8)
    return to_grey(picture)


def _millimetres(frame: RecordedFrame) -> npt.NDArray[np.float32]:
    return np.where(frame.depth > 0, frame.depth * np.float32(frame.unit_mm), np.float32(np.nan)).astype(np.float32)


def _pixels(start: float, side: float) -> slice:
    return slice(max(int(np.floor(start)), 0), max(int(np.ceil(start + side)), 0))


def _names(frame: RecordedFrame) -> dict[str, Any]:
    return {key: getattr(frame, key) for key in ("name", "person", "session", "variant", "simulated")}


def _left_out(frame: RecordedFrame, reason: str) -> LeftOut:
    return LeftOut(frame.name, frame.person, frame.session, frame.variant, reason)


def hole_sizes(depth: DepthImage, mask: Mask) -> list[int]:
    """Pixels of each connected hole (65535) inside the mask, ascending."""
    holes = ((depth == HOLE) & mask).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=8)
    return sorted(int(stats[label, cv2.CC_STAT_AREA]) for label in range(1, count))
