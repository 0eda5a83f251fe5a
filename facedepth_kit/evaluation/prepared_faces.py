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
from dataclasses import dataclass, replace
from itertools import groupby

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import (
    WHOLE,
    FaceCrop,
    cut_square,
    describe_crop,
    face_square,
    find_face,
)
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import CAMERA_SPAN_MM, HOLE, SIZE, DepthImage, DepthRange, Mask, from_millimetres
from facedepth_kit.faces.detection import Face, detect_face

NEUTRAL = "Neutral"
PROFILES = ("LeftProfile", "RightProfile")
OCCLUSIONS = ("OcclusionEyes", "OcclusionMouth", "OcclusionPaper")


@dataclass(frozen=True)
class LeftOut:
    """A frame that cannot be evaluated, and why."""

    name: str
    person: str
    session: str
    variant: str
    reason: str


def left_out_for(frame: RecordedFrame, reason: object) -> LeftOut:
    """The entry for a frame that is left out."""
    return LeftOut(frame.name, frame.person, frame.session, frame.variant, str(reason))


def nearest_mm(depth_mm: npt.NDArray[np.floating], area: Mask | None = None) -> float:
    """The nearest measured depth in an area (all by default), NaN = hole. Raises :class:`KitError` if there is none."""
    values = depth_mm if area is None else depth_mm[area]
    if not np.isfinite(values).any():
        raise KitError("region of interest: found holes only, expected depth")
    return float(np.nanmin(values))


def prepare_kinectfacedb(frames: Iterable[RecordedFrame], left_out: list[LeftOut]) -> Iterator[FaceCrop]:
    """KinectFaceDB's frames with the masks of their Neutral image; frames of a person and session come together.

    What cannot be evaluated is added to ``left_out``: every frame of a session whose Neutral is missing or shows Dlib
    no face, and frames without depth in the region of interest.
    """
    for (person, session), group in groupby(frames, lambda frame: (frame.person, frame.session)):
        together = list(group)
        neutral = next((frame for frame in together if frame.variant == NEUTRAL), None)
        face = None if neutral is None or neutral.picture is None else detect_face(neutral.picture)
        if face is None:
            missing = neutral is None or neutral.picture is None
            reason = f"{NEUTRAL} {'is missing' if missing else 'shows Dlib no face'}: no mask for {person} {session}"
            left_out.extend(left_out_for(frame, reason) for frame in together)
            continue
        for frame in together:
            try:
                yield _in_frame(frame, face)
            except KitError as error:
                left_out.append(left_out_for(frame, error))


def prepare_faces(frames: Iterable[RecordedFrame], left_out: list[LeftOut]) -> Iterator[FaceCrop]:
    """Frames of any size with an aligned picture: the square around the face that Dlib finds there, as 256x256.

    Frames without a picture, without a face or without depth in the square are added to ``left_out``.
    """
    for frame in frames:
        try:
            yield _in_square(frame, find_face(frame))
        except KitError as error:
            left_out.append(left_out_for(frame, error))


def _in_frame(frame: RecordedFrame, neutral: Face) -> FaceCrop:
    """A KinectFaceDB frame as it is, in the region and with the mask of its Neutral image."""
    if frame.depth.shape != (SIZE, SIZE):
        raise KitError(f"{frame.name}: found depth of {frame.depth.shape}, expected KinectFaceDB's {(SIZE, SIZE)}")
    depth_mm = frame.millimetres()
    left, top, side = face_square(neutral.box)
    region = np.zeros(depth_mm.shape, np.bool_)
    region[_pixels(top, side), _pixels(left, side)] = True
    depth_range = DepthRange(nearest_mm(depth_mm, region), CAMERA_SPAN_MM)
    # Mask and outline are those of Neutral; landmarks are found in the frame's own picture, where it shows the face.
    crop = describe_crop(frame, from_millimetres(depth_mm, depth_range), depth_range, WHOLE, neutral)
    if frame.variant in PROFILES:
        crop = replace(crop, mask=None, outline=None)
    if frame.variant == NEUTRAL:
        return crop
    own = None if frame.variant in OCCLUSIONS or frame.picture is None else detect_face(frame.picture)
    return replace(crop, landmarks=None if own is None else own.landmarks)


def _in_square(frame: RecordedFrame, face: Face) -> FaceCrop:
    """The square around a face, from the nearest pixel that was measured in it."""
    square = face_square(face.box)
    depth_mm = cut_square(frame, square)
    depth_range = DepthRange(nearest_mm(depth_mm), CAMERA_SPAN_MM)
    return describe_crop(frame, from_millimetres(depth_mm, depth_range), depth_range, square, face)


def _pixels(start: float, side: float) -> slice:
    return slice(max(int(np.floor(start)), 0), max(int(np.ceil(start + side)), 0))


def hole_sizes(depth: DepthImage, mask: Mask) -> list[int]:
    """Pixels of each connected hole (65535) inside the mask, ascending."""
    holes = ((depth == HOLE) & mask).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(holes, connectivity=8)
    return sorted(int(stats[label, cv2.CC_STAT_AREA]) for label in range(1, count))
