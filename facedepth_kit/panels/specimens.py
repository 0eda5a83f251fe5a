"""What the enhancer and the PAD panel look at: one depth image of a face, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.depth_files import open_depth, read_picture
from facedepth_kit.cameras.recorded.face_crop import FaceCrop, close_gaps, crop_face, find_face
from facedepth_kit.cameras.recorded.folder import aligned_beside
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import CAMERA_SPAN_MM, HOLE, SIZE, DepthImage, DepthRange, Mask
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.pairs.degradation import DegradationSettings, degrade
from facedepth_kit.panels.faces import FaceChoice

FACE_PIXEL_MM = 0.8  # a face of 18 cm over nine tenths of the image
RECORDED_PIXEL_MM = 0.9  # a recorded face of 19 cm over the share of its crop that face_crop.FILL says
GAP_PX = 16  # as facedepth enhance closes the holes of a face


@dataclass(frozen=True, eq=False)
class Specimen:
    """A face crop under a title, and what a panel needs besides.

    ``area`` is where the face is, bool (256, 256): pictures show it and numbers are taken there. ``ground_truth`` is
    what the crop was made from, None for recordings; ``recording`` says that enhancers run as on a camera's frames,
    whose measured pixels count. ``pixel_mm`` is how wide a pixel is on the face. ``note`` is what a reader must know,
    such as that no camera saw it.
    """

    title: str
    crop: FaceCrop
    area: Mask
    ground_truth: DepthImage | None = None
    pixel_mm: float = FACE_PIXEL_MM
    recording: bool = False
    note: str = ""

    def enhanced(self, enhancer: str) -> DepthImage:
        """The crop's depth as an enhancer gives it back. Raises :class:`KitError` where that cannot run."""
        enhance = recording_enhancer(enhancer) if self.recording else enhancers.get(enhancer).enhance
        return enhance(self.crop.depth)


def synthetic(choice: FaceChoice, *, seed: int = 0, settings: DegradationSettings | None = None) -> Specimen:
    """A drawn face, degraded: the one kind of image whose truth is known."""
    ground_truth, depth_range = choice.render()
    rng = np.random.default_rng(seed)
    degraded = degrade(ground_truth, depth_range=depth_range, settings=settings or DegradationSettings(), rng=rng)
    title = f"synthetic: person {choice.identity}, {choice.expression}"
    note = "Simulated: a parametric face, degraded as in notebook 03."
    crop = FaceCrop(title, degraded, depth_range, landmarks=choice.landmarks(), simulated=True)
    return Specimen(title, crop, ground_truth != HOLE, ground_truth=ground_truth, note=note)


def from_recordings(frames: Iterable[RecordedFrame], count: int | None = None) -> Iterator[Specimen]:
    """Specimens of the first ``count`` frames in whose aligned picture Dlib finds a face; others are left out."""
    found = (specimen for frame in frames if (specimen := from_frame(frame)) is not None)
    return islice(found, count)


def first_of_each(frames: Iterable[RecordedFrame]) -> Iterator[RecordedFrame]:
    """Of frames that were taken one after the other of the same person, session and variant, the first."""

    def taken(frame: RecordedFrame) -> tuple[str, str, str, str]:
        return frame.person, frame.session, frame.variant, frame.name.rpartition("/")[0]

    for _, together in groupby(frames, taken):
        yield next(together)


def from_frame(frame: RecordedFrame) -> Specimen | None:
    """The face of a frame, cut out as ``facedepth enhance`` does; None where Dlib finds none, or no depth there."""
    try:
        crop = crop_face(frame, find_face(frame))
    except KitError:
        return None
    title = " ".join(part for part in (frame.person, frame.session, frame.variant) if part)
    title = title.replace("_", " ") or frame.name
    note = "Simulated: a drawn face before a simulated camera." if frame.simulated else "A recording."
    return _recorded(f"simulated: {title}" if frame.simulated else title, crop, note)


def _recorded(title: str, crop: FaceCrop, note: str) -> Specimen:
    area = close_gaps(crop.depth != HOLE, GAP_PX)
    return Specimen(title, crop, area, pixel_mm=RECORDED_PIXEL_MM, recording=True, note=note)


def from_file(path: str | Path, *, unit_mm: float = 1.0) -> Specimen:
    """A specimen of a user's own file: a 16-bit PNG, TIFF or NPY; of a stack, its first frame.

    256x256 pixels with holes of 65535 are the kit's own convention, of a span of 25 cm. Anything else is a camera
    frame in steps of ``unit_mm``, 0 = hole: the face that Dlib finds in the aligned picture beside it
    (``_color.png`` or ``_infrared.png`` for ``_depth.png``), or the whole frame without one. Raises :class:`KitError`.
    """
    path = Path(path)
    file = open_depth(path, unit_mm)
    depth = file.frame(0)
    if depth.shape == (SIZE, SIZE) and (depth == HOLE).any() and not (depth == 0).mean() > 0.01:
        crop = FaceCrop(path.name, depth, DepthRange(0.0, CAMERA_SPAN_MM))
        return replace(_recorded(path.name, crop, "Your own file."), pixel_mm=FACE_PIXEL_MM)
    beside = aligned_beside(path)
    picture = None if beside is None or beside == path else read_picture(beside)
    seen = picture is not None and picture.shape[:2] == depth.shape
    frame = RecordedFrame(path.name, depth, unit_mm=file.unit_mm, picture=picture if seen else None)
    found = from_frame(frame)
    if found is not None:
        return replace(found, note="Your own file.")
    if not depth.any():
        raise KitError(f"{path}: found holes only (every pixel is 0), expected depth")
    note = "Your own file, the whole frame: no face was looked for or found in an aligned picture."
    return replace(_recorded(path.name, crop_face(frame), note), pixel_mm=FACE_PIXEL_MM)
