"""The real-time PAD test application of section IV-G: face, enhancement, landmarks' depth, decision, frame by frame.

For each frame: Dlib's face in the colour (or infrared) picture, followed from frame to frame; the face cut out of the
depth, enhanced as ``facedepth enhance`` does; the depth at the 68 landmarks held against the geometric rules and the
relief of the nose (the paper names "sufficiently large or implausible depth deviations" and gives no rule). A frame is
accepted or rejected; the verdict on the face comes from the frames of a window, with hysteresis, and starts anew when
the face is lost or another one takes its place.

Reading and face search run in threads of their own, and two frames at a time are enhanced, so that two cores share the
work.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import FaceCrop, crop_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, SIZE, DepthImage
from facedepth_kit.enhancers.frames import DEFAULT_ENHANCER, enhance_crop, recording_enhancer
from facedepth_kit.evaluation.pad import PadResult, geometric_pad
from facedepth_kit.evaluation.relief import Relief, ReliefSettings, face_relief
from facedepth_kit.faces.detection import Face
from facedepth_kit.faces.tracking import FaceTracker

Verdict = Literal["no face", "observing", "bona fide", "attack"]

READ_AHEAD = 1
LIVE_EARLIER = 1  # frames before that one is enhanced after: more of them take time that a live picture has not
WORKERS = 2

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class TemporalSettings:
    """How frames become a verdict (ours; the paper says that decisions were observed over time).

    Of the last ``window`` frames with a face, ``least`` must be there. A share of accepted ones of ``accept`` or more
    makes the face bona fide, one of ``reject`` or less an attack; between the two the verdict stays what it was. The
    face is lost after ``lost_after`` frames without one; a step of ``jump_mm`` in its distance or its ``jump`` widths
    in the picture between two frames makes it another face.
    """

    window: int = 15
    least: int = 8
    accept: float = 0.8
    reject: float = 0.5
    lost_after: int = 5
    jump_mm: float = 80.0
    jump: float = 0.75

    def __post_init__(self) -> None:
        if not (1 <= self.least <= self.window and 0 <= self.reject < self.accept <= 1 and self.lost_after >= 1):
            raise KitError(f"temporal decision: found {self}, expected least <= window and reject < accept")

    def in_words(self) -> str:
        """When there is a verdict, and which."""
        return (
            f"observing: fewer than {self.least} frames of this face so far. Then, of its last {self.window} frames: "
            f"bona fide if {self.accept:.0%} or more were accepted, attack if {self.reject:.0%} or fewer."
        )


@dataclass(frozen=True)
class LiveSettings:
    """What to do with each frame.

    A frame is rejected when ``most_invalid`` of the landmarks or more break the geometric rules, or the nose's relief
    is not plausible. The paper tried DL-Delta-1. Tried on simulated D435 frames (25 of faces passed, 25 of flat and
    bent prints did not, with and without enhancement) and on real ones: of 198 Kinect v2 frames of 11 people 195
    passed, of 7 TrueDepth frames 6. With ``single`` a frame is enhanced alone, otherwise after the one before it.
    """

    enhancer: str = DEFAULT_ENHANCER
    single: bool = False
    most_invalid: float = 0.3
    relief: ReliefSettings = field(default_factory=ReliefSettings)
    temporal: TemporalSettings = field(default_factory=TemporalSettings)


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame and what was made of it; what could not be made is None.

    ``face`` was found in the frame's picture; ``crop`` is its depth as measured, with the 68 landmarks in it, and
    ``depth`` the crop's depth after enhancement, uint16 (256, 256). ``accepted`` is this frame's decision, None without
    a face; ``reason`` says why not. ``verdict`` is the one on the face so far.
    """

    number: int
    frame: RecordedFrame
    verdict: Verdict
    accepted: bool | None = None
    reason: str = ""
    face: Face | None = None
    crop: FaceCrop | None = None
    depth: DepthImage | None = None
    pad: PadResult | None = None
    relief: Relief | None = None

    @property
    def distance_mm(self) -> float | None:
        """Where the face begins."""
        return None if self.crop is None else self.crop.depth_range.near_mm

    def row(self) -> dict[str, Any]:
        """The frame in plain numbers, as ``facedepth live --json`` prints it."""
        before = None
        if self.crop is not None and self.crop.landmarks is not None:
            before = geometric_pad(self.crop.depth, self.crop.landmarks)
        return {
            "frame": self.number,
            "name": self.frame.name,
            "verdict": self.verdict,
            "accepted": self.accepted,
            "reason": self.reason,
            "box": None if self.face is None else list(self.face.box),
            "distance_mm": None if self.distance_mm is None else round(self.distance_mm, 1),
            "pad_error": None if self.pad is None else round(self.pad.error, 4),
            "landmark_holes": None if self.pad is None else int(self.pad.hole.sum()),
            "landmark_holes_before": None if before is None else int(before.hole.sum()),
            "nose_mm": None if self.relief is None or np.isnan(self.relief.nose_mm) else round(self.relief.nose_mm, 2),
            "simulated": self.frame.simulated,
        }


def watch(
    recordings: Iterable[RecordedFrame],
    settings: LiveSettings | None = None,
    *,
    enhance: Callable[[DepthImage], DepthImage] | None = None,
) -> Generator[LiveFrame]:
    """Each frame's decision and the verdict so far, in the order of the frames.

    ``enhance`` replaces the enhancer of that name. No frame is an error: without a picture, a face or depth it says so
    in ``reason``. Close it when leaving early. Raises :class:`KitError` for an unknown enhancer or one that cannot run
    here, before the first frame is read, and what reading raises.
    """
    settings = settings or LiveSettings()
    enhance = enhance or recording_enhancer(settings.enhancer, runs_fast=True)
    enhance(np.full((SIZE, SIZE), HOLE))  # loads the weights
    temporal = TemporalDecision(settings.temporal)
    seen = ahead(_seen(ahead(recordings, READ_AHEAD), settings), READ_AHEAD)
    with closing(side_by_side(lambda one: _decide(*one, settings, enhance), seen, WORKERS)) as frames:
        for number, frame in enumerate(frames):
            verdict = temporal.update(frame.accepted, frame.face, frame.distance_mm)
            yield replace(frame, number=number, verdict=verdict)


def _seen(
    recordings: Generator[RecordedFrame], settings: LiveSettings
) -> Generator[tuple[LiveFrame, tuple[FaceCrop, ...]]]:
    """Each frame with its face cut out, and the cut-out face of the one before it."""
    tracker = FaceTracker()
    recent: deque[FaceCrop] = deque(maxlen=0 if settings.single else LIVE_EARLIER)
    with closing(recordings):
        for recorded in recordings:
            face = None if recorded.picture is None else tracker(recorded.picture)
            frame = LiveFrame(0, recorded, "no face", face=face)
            if face is not None:
                with contextlib.suppress(KitError):  # holes only, or too small
                    frame = replace(frame, crop=crop_face(*_thinned(recorded, face, bare=settings.single)))
            yield frame, tuple(recent)
            if frame.crop is None:
                recent.clear()
            else:
                recent.append(frame.crop)


def _decide(
    frame: LiveFrame,
    earlier: tuple[FaceCrop, ...],
    settings: LiveSettings,
    enhance: Callable[[DepthImage], DepthImage],
) -> LiveFrame:
    """What can be said of a frame without the verdicts on others."""
    if frame.face is None:
        reason = "no picture beside the depth" if frame.frame.picture is None else "no face found"
        return replace(frame, reason=reason)
    if frame.crop is None:
        return replace(frame, accepted=False, reason="no depth in the face")
    crop = frame.crop
    assert crop.landmarks is not None
    depth = enhance_crop(crop, enhance, earlier)
    pad = geometric_pad(depth, crop.landmarks)
    relief = face_relief(depth, crop.landmarks, crop.depth_range, settings.relief)
    reason = rejection(pad, relief, settings)
    return replace(frame, accepted=not reason, reason=reason, depth=depth, pad=pad, relief=relief)


def _thinned(frame: RecordedFrame, face: Face, *, bare: bool) -> tuple[RecordedFrame, Face]:
    """Frame and face without what nobody looks at: the picture (``bare``), and of a face of more than 512 pixels every
    second row and column (the crop has 256, and time is short)."""
    left, top, right, bottom = face.box
    step = max(max(right - left, bottom - top) // SIZE, 1)
    depth = np.ascontiguousarray(frame.depth[::step, ::step])
    box = (left // step, top // step, right // step, bottom // step)
    picture = None if bare or frame.picture is None else frame.picture[::step, ::step]
    thinned = replace(frame, depth=depth, picture=picture, marks=None)
    return thinned, replace(face, box=box, landmarks=face.landmarks / step)


def rejection(pad: PadResult, relief: Relief, settings: LiveSettings) -> str:
    """Why a frame is rejected, in a few words; empty when it is accepted."""
    if np.isnan(relief.nose_mm):
        return "no depth at the nose or at most landmarks"
    if not relief.plausible(settings.relief):
        word = "flat" if relief.nose_mm < settings.relief.least_mm else "too deep"
        return f"{word}: nose {relief.nose_mm:.1f} mm before the surface through the other landmarks"
    if pad.error >= settings.most_invalid:
        return f"{int(pad.invalid.sum())} of {pad.invalid.size} landmarks invalid"
    return ""


class TemporalDecision:
    """Frames' decisions on one face, observed over time. Give it each frame's; it returns the verdict so far."""

    def __init__(self, settings: TemporalSettings | None = None) -> None:
        self.settings = settings or TemporalSettings()
        self._decisions: deque[bool] = deque(maxlen=self.settings.window)
        self._verdict: Verdict = "no face"
        self._missing = 0
        self._last: tuple[npt.NDArray[np.float64], float, float | None] | None = None

    def update(self, accepted: bool | None, face: Face | None = None, distance_mm: float | None = None) -> Verdict:
        """Take a frame's decision, None without a face; ``face`` and ``distance_mm`` tell whether it is still the same.

        Returns "no face" once it is lost, "observing" until there are enough frames of it.
        """
        if accepted is None:
            self._missing += 1
            if self._missing >= self.settings.lost_after:
                self._forget("no face")
            return self._verdict
        self._missing = 0
        if self._verdict == "no face" or (face is not None and self._another(face, distance_mm)):
            self._forget("observing")
        if face is not None:
            self._remember(face, distance_mm)
        self._decisions.append(accepted)
        share = sum(self._decisions) / len(self._decisions)
        if len(self._decisions) >= self.settings.least:
            if share >= self.settings.accept:
                self._verdict = "bona fide"
            elif share <= self.settings.reject:
                self._verdict = "attack"
        return self._verdict

    def _forget(self, verdict: Verdict) -> None:
        self._decisions.clear()
        self._verdict, self._last = verdict, None

    def _remember(self, face: Face, distance_mm: float | None) -> None:
        known = None if self._last is None else self._last[2]
        self._last = (*_place(face), known if distance_mm is None else distance_mm)

    def _another(self, face: Face, distance_mm: float | None) -> bool:
        if self._last is None:
            return False
        (middle, width), (before, width_before, distance_before) = _place(face), self._last
        step = float(np.linalg.norm(middle - before)) / max(width, width_before, 1.0)
        if distance_mm is None or distance_before is None:
            return step > self.settings.jump
        return step > self.settings.jump or abs(distance_mm - distance_before) > self.settings.jump_mm


def _place(face: Face) -> tuple[npt.NDArray[np.float64], float]:
    left, top, right, bottom = face.box
    return np.array([(left + right) / 2, (top + bottom) / 2]), float(right - left)


def ahead(items: Iterable[T], count: int) -> Generator[T]:
    """The items, made by a thread up to ``count`` ahead of the reader; its exception comes where it happened.

    Closing it stops the thread after the item it is at, and closes ``items`` where that can be closed.
    """
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(count)
    left = threading.Event()

    def put(entry: tuple[bool, Any]) -> bool:
        while not left.is_set():
            try:
                made.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        iterator: Iterator[T] = iter(items)
        try:
            for item in iterator:
                if not put((True, item)):
                    break
            else:
                put((False, None))
        except BaseException as error:
            put((False, error))
        finally:
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            alive, item = made.get()
            if not alive:
                if item is not None:
                    raise item
                return
            yield item
    finally:
        left.set()
        while not made.empty():
            made.get_nowait()
        thread.join()


def side_by_side(function: Callable[[T], R], items: Generator[T], workers: int) -> Generator[R]:
    """``function`` of each item, by so many threads, in the order of the items; as many more are begun ahead."""
    with closing(items), ThreadPoolExecutor(workers) as pool:
        running: deque[Future[R]] = deque()
        for item in items:
            running.append(pool.submit(function, item))
            if len(running) > workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
