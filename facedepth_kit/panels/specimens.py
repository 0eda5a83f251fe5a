"""What the enhancer and the PAD panel look at: one depth image of a face, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import aligned_picture, read_frame, read_picture
from facedepth_kit.cameras.recorded.face_crop import close_gaps, crop_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, SIZE, DepthImage, DepthRange, Mask, Picture
from facedepth_kit.pairs.degradation import DegradationSettings, degrade
from facedepth_kit.panels.faces import FaceChoice

FACE_PIXEL_MM = 0.8  # a face of 18 cm over nine tenths of the image
RECORDED_PIXEL_MM = 0.9  # a recorded face of 19 cm over the share of its crop that face_region.FILL says
GAP_PX = 16  # as facedepth enhance closes the holes of a face
PICTURES = ("_color.png", "_infrared.png")


@dataclass(frozen=True, eq=False)
class Specimen:
    """A depth image (256, 256) and what is known of it.

    ``area`` is where the face is, bool (256, 256): pictures show it and numbers are taken there. ``recording`` says
    that enhancers run as on a camera's frames, whose measured pixels count. ``landmarks`` are Dlib's 68, float64
    (68, 2) in pixels, and ``picture`` the camera's own (256, 256, 3) uint8, None where there are none. ``note`` says
    what a reader must know, such as that no camera saw it.
    """

    name: str
    depth: DepthImage
    depth_range: DepthRange
    area: Mask
    ground_truth: DepthImage | None = None
    landmarks: npt.NDArray[np.float64] | None = None
    picture: Picture | None = None
    pixel_mm: float = FACE_PIXEL_MM
    recording: bool = False
    note: str = ""

    def enhanced(self, enhancer: str) -> DepthImage:
        """The image as an enhancer gives it back. Raises :class:`KitError` where that cannot run."""
        from facedepth_kit import enhancers
        from facedepth_kit.enhancers.on_files import recording_enhancer

        enhance = recording_enhancer(enhancer) if self.recording else enhancers.get(enhancer).enhance
        return enhance(self.depth)


def synthetic(choice: FaceChoice, *, seed: int = 0, settings: DegradationSettings | None = None) -> Specimen:
    """A drawn face, degraded: the one kind of image whose truth is known."""
    ground_truth, depth_range = choice.render()
    rng = np.random.default_rng(seed)
    degraded = degrade(ground_truth, depth_range=depth_range, settings=settings or DegradationSettings(), rng=rng)
    name = f"synthetic: person {choice.identity}, {choice.expression}"
    note = "Simulated: a parametric face, degraded as in notebook 03."
    return Specimen(
        name,
        degraded,
        depth_range,
        ground_truth != HOLE,
        ground_truth=ground_truth,
        landmarks=choice.landmarks(),
        note=note,
    )


def from_recordings(recordings: Iterable[RecordedFrame], count: int | None = None) -> Iterator[Specimen]:
    """Specimens of the first ``count`` recordings in whose aligned picture Dlib finds a face; others are left out."""
    found = (specimen for recording in recordings if (specimen := from_recording(recording)) is not None)
    return islice(found, count)


def first_of_each(recordings: Iterable[RecordedFrame]) -> Iterator[RecordedFrame]:
    """Of frames that were taken one after the other of the same person, session and variant, the first."""

    def taken(recording: RecordedFrame) -> tuple[str, str, str, str]:
        return recording.person, recording.session, recording.variant, recording.name.rpartition("/")[0]

    for _, frames in groupby(recordings, taken):
        yield next(frames)


def from_recording(recording: RecordedFrame) -> Specimen | None:
    """The face of a recording, cut out as ``facedepth enhance`` does; None where Dlib finds none, or no depth there."""
    from facedepth_kit.evaluation.prepared_faces import into_square
    from facedepth_kit.faces.detection import detect_face, to_grey

    face = None if recording.picture is None else detect_face(recording.picture)
    if face is None or recording.picture is None:
        return None
    try:
        crop, region = crop_face(recording.depth, face.box, unit_mm=recording.unit_mm, outline=face.outline)
    except KitError:
        return None
    square = (region.left, region.top, region.side)
    picture = recording.picture
    if picture.ndim == 2 or picture.dtype != np.uint8:
        picture = np.repeat(to_grey(picture)[..., None], 3, axis=-1)
    title = " ".join(part for part in (recording.person, recording.session, recording.variant) if part)
    title = title.replace("_", " ") or recording.name
    return Specimen(
        f"simulated: {title}" if recording.simulated else title,
        crop,
        region.depth_range,
        close_gaps(crop != HOLE, GAP_PX),
        landmarks=into_square(face.landmarks, square),
        picture=_cut(np.asarray(picture, np.uint8), square),
        pixel_mm=RECORDED_PIXEL_MM,
        recording=True,
        note="Simulated: a drawn face before a simulated camera." if recording.simulated else "A recording.",
    )


def _cut(picture: Picture, square: tuple[float, float, float]) -> Picture:
    """The square (left, top, side) of a picture, scaled to 256x256."""
    import cv2

    left, top, side = square
    step = side / SIZE
    back = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, back, (SIZE, SIZE), flags=flags), np.uint8)


def from_file(path: str | Path, *, unit_mm: float = 1.0) -> Specimen:
    """A specimen of a user's own file: a 16-bit PNG, TIFF or NPY.

    256x256 pixels with holes of 65535 are the kit's own convention, of a span of 25 cm. Anything else is a camera
    frame in steps of ``unit_mm``, 0 = hole: the face that Dlib finds in the aligned picture beside it
    (``_color.png`` or ``_infrared.png`` for ``_depth.png``), or the whole frame without one. Raises :class:`KitError`.
    """
    path = Path(path)
    frame = read_frame(path)
    if frame.shape == (SIZE, SIZE) and (frame == HOLE).any() and not (frame == 0).mean() > 0.01:
        area = close_gaps(frame != HOLE, GAP_PX)
        return Specimen(path.name, frame, DepthRange(0.0, 250.0), area, recording=True, note="Your own file.")
    beside = [aligned_picture(path, suffix) for suffix in PICTURES]
    pictures = [read_picture(picture) for picture in beside if picture.is_file() and picture != path]
    if pictures and pictures[0].shape[:2] == frame.shape:
        found = from_recording(RecordedFrame(path.name, frame, unit_mm=unit_mm, picture=pictures[0]))
        if found is not None:
            return replace(found, note="Your own file.")
    if not frame.any():
        raise KitError(f"{path}: found holes only (every pixel is 0), expected depth")
    crop, region = crop_face(frame, unit_mm=unit_mm)
    note = "Your own file, the whole frame: no face was looked for or found in an aligned picture."
    area = close_gaps(crop != HOLE, GAP_PX)
    return Specimen(path.name, crop, region.depth_range, area, recording=True, note=note)
