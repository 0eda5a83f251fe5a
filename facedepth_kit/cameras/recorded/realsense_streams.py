"""Depth and colour as the RealSense SDK's sensors deliver them: taken, paired by time, and depth aligned to colour.

The SDK's pipeline is not used: of a file it hands out some depth frames twice, with the colour before and with the
colour after, and the first ones not at all. Instead the sensors are opened, each depth frame is paired with the colour
frame nearest in time, and ``rs.align`` brings it into the colour camera's pixels. The same goes for a camera, a file
and the SDK's software device, so that what a camera does can be tried without one.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.realsense_sdk import realsense_sdk

TIMEOUT_S = 5.0

_WAITING = 4  # frames between the SDK and the reader
_POLL_S = 0.25
_END_S = 0.05


@dataclass(frozen=True, eq=False)
class Captured:
    """A frame with the SDK's number and time stamp (milliseconds) of its depth."""

    recording: RecordedFrame
    number: int
    timestamp_ms: float


@dataclass(frozen=True)
class StreamSize:
    """The size of both streams, pixels and frames a second."""

    width: int
    height: int
    fps: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.fps}"


@dataclass(frozen=True, eq=False)
class _Raw:
    """A frame's pixels (a copy) and what the SDK says of them; ``arrived_ms`` by this computer's clock."""

    is_depth: bool
    pixels: npt.NDArray[np.generic]
    number: int
    timestamp_ms: float
    clock: str
    arrived_ms: float


class Streams:
    """The depth and the colour (otherwise the infrared) stream of a camera or, with ``file``, of a recording.

    ``open_device`` gives the SDK's device; of a file, a new one each time. ``size`` is what both streams must have
    (any, without). Raises :class:`KitError` when there is no such depth or colour stream.
    """

    def __init__(
        self,
        open_device: Callable[[], Any],
        name: str,
        *,
        size: StreamSize | None = None,
        timeout_s: float = TIMEOUT_S,
        file: bool = False,
    ) -> None:
        self._open_device, self._name, self._file, self._timeout_s = open_device, name, file, timeout_s
        self._device = open_device()
        self.depth, self.picture = _choose(self._device, name, size)
        self._tap: _Tap | None = None
        self.dropped = 0

    def frames(self) -> Generator[Captured]:
        """Frames until the file ends or, of a camera, for ever; the streams are stopped when it is left.

        Raises :class:`KitError` when frames should come and do not.
        """
        if self._device is None:
            raise KitError(f"{self._name}: found it closed, expected an open camera")
        profiles = [profile for profile in (self.depth, self.picture) if profile is not None]
        unit_mm = _unit_mm(self._device, self.depth)
        align = (
            None
            if self.picture is None or _same_pixels(self.depth, self.picture)
            else _Align(self.depth, self.picture, unit_mm)
        )
        pairs = _Pairs(1000 / max(self.depth.fps(), 1), expected=self.picture is not None)
        taps: list[_Tap] = []
        try:
            if self._file:
                taps += [_FileTap(self._open_device(), profile, self._name) for profile in profiles]
            else:
                taps.append(_CameraTap(self._device, profiles, self._name, self._timeout_s))
            for raw in _in_order_of_time(taps) if self._file else taps[0].frames():
                for depth, picture in pairs.add(raw):
                    yield self._captured(depth, picture, unit_mm, align)
                self._count(taps, pairs)
            for depth, picture in pairs.rest():
                yield self._captured(depth, picture, unit_mm, align)
        finally:
            self._count(taps, pairs)
            for tap in taps:
                tap.close()

    def close(self) -> None:
        """Let go of the device: the SDK's recorder completes its file with that."""
        self._device = self.depth = self.picture = None

    def _count(self, taps: Sequence[_Tap], pairs: _Pairs) -> None:
        self.dropped = pairs.unpaired + sum(tap.dropped for tap in taps)

    def _captured(self, depth: _Raw, picture: _Raw | None, unit_mm: float, align: _Align | None) -> Captured:
        values: npt.NDArray[Any] = depth.pixels
        profile = self.depth
        pixels = None if picture is None else picture.pixels
        if align is not None and pixels is not None:
            values, profile = align(values, pixels), self.picture
        if pixels is not None and pixels.shape[:2] != values.shape:
            pixels = None  # without the cameras' places nothing can be aligned
        recording = RecordedFrame(
            f"{depth.number:06d}",
            values,
            unit_mm=unit_mm,
            picture=pixels,
            intrinsics=_intrinsics(profile.get_intrinsics()),
        )
        return Captured(recording, depth.number, depth.timestamp_ms)


# --- frames out of the SDK ------------------------------------------------------------------------------------------


class _Tap:
    """Some streams of one device, running: the SDK's threads put copies of frames into a queue."""

    def __init__(self, device: Any, profiles: Sequence[Any], name: str) -> None:
        self._rs = realsense_sdk()
        self._device, self._name = device, name
        self._queue: queue.Queue[_Raw] = queue.Queue(_WAITING)
        self._closing = False
        self._sensors: list[Any] = []
        self.dropped = 0
        try:
            self._start(profiles)
        except RuntimeError as error:
            self.close()
            raise KitError(f"{name}: found it, but it does not start ({error}); is it in use?") from None

    def _start(self, profiles: Sequence[Any]) -> None:
        wanted = {_key(profile) for profile in profiles}
        for sensor in self._device.query_sensors():
            own = [profile for profile in sensor.get_stream_profiles() if _key(profile) in wanted]
            if own:
                sensor.open(own)
                self._sensors.append(sensor)
        for sensor in self._sensors:
            sensor.start(self._arrived)

    def _arrived(self, frame: Any) -> None:
        """Called by the SDK's threads. A copy: the SDK stalls once 16 of its frames, or views of them, are alive."""
        raw = _raw(self._rs, frame)
        while not self._closing and not self._put(raw):
            pass

    def _put(self, raw: _Raw) -> bool:
        """Put a frame into the queue, or return False to be asked again."""
        raise NotImplementedError

    def frames(self) -> Iterator[_Raw]:
        """Frames as they come, until the end."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop and close the sensors; safe to call again."""
        self._closing = True
        with suppress(queue.Empty):  # make room for the SDK's threads that wait for it
            while True:
                self._queue.get_nowait()
        sensors, self._sensors = self._sensors, []
        for sensor in sensors:
            for action in (sensor.stop, sensor.close):
                with suppress(RuntimeError):  # the camera is gone
                    action()
        self._settle()
        self._device = None

    def _settle(self) -> None:
        """Wait until the device may be let go of."""


class _CameraTap(_Tap):
    """A camera's streams: what the reader is too slow for is dropped, the oldest first."""

    def __init__(self, device: Any, profiles: Sequence[Any], name: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        super().__init__(device, profiles, name)

    def _put(self, raw: _Raw) -> bool:
        try:
            self._queue.put_nowait(raw)
            return True
        except queue.Full:
            with suppress(queue.Empty):
                self.dropped += self._queue.get_nowait().is_depth
            return False

    def frames(self) -> Iterator[_Raw]:
        last = time.monotonic()
        while True:
            try:
                yield self._queue.get(timeout=_POLL_S)
                last = time.monotonic()
            except queue.Empty:
                if not self._device.is_connected():
                    raise KitError(f"{self._name}: found it disconnected, expected frames") from None
                if time.monotonic() - last > self._timeout_s:
                    raise KitError(
                        f"{self._name}: found no frame for {self._timeout_s:g} s, expected some (is it unplugged?)"
                    ) from None


class _FileTap(_Tap):
    """One stream of a file, played as fast as the reader takes its frames.

    Each stream has a device of its own: a file with two sensors plays on from when the first is started, and what it
    holds for the second until that is started is lost. Pausing it meanwhile is no way out: the SDK's ``resume`` waits
    for the frames' receivers while it keeps them from running.
    """

    def __init__(self, device: Any, profile: Any, name: str) -> None:
        self._begun = False
        super().__init__(device, [profile], name)

    def _stopped(self) -> bool:
        return bool(self._device.current_status() == self._rs.playback_status.stopped)

    def _settle(self) -> None:
        # The SDK's reading thread starts and stops with a delay, and does not notice when its device has gone.
        if not self._begun:
            time.sleep(_END_S)
        until = time.monotonic() + TIMEOUT_S
        while not self._stopped() and time.monotonic() < until:
            time.sleep(0.001)

    def _put(self, raw: _Raw) -> bool:
        try:
            self._queue.put(raw, timeout=_POLL_S)
        except queue.Full:
            return False
        return True

    def frames(self) -> Iterator[_Raw]:
        last = time.monotonic()
        ended = 0
        while ended < 2:  # asked twice: what is still on its way when the SDK stops comes within the first wait
            try:
                raw = self._queue.get(timeout=_END_S)
            except queue.Empty:
                # Asked, not told: the SDK's threads wait for its callback. Before the first frame it says stopped, too.
                ended = ended + 1 if self._begun and self._stopped() else 0
                if time.monotonic() - last > TIMEOUT_S:
                    raise KitError(
                        f"{self._name}: found no frame for {TIMEOUT_S:g} s, expected some (is the file damaged?)"
                    ) from None
                continue
            ended, self._begun = 0, True
            yield raw
            last = time.monotonic()


def _in_order_of_time(taps: Sequence[_Tap]) -> Iterator[_Raw]:
    """The frames of several streams as they were taken; by their order in each stream where clocks differ."""
    sources = [tap.frames() for tap in taps]
    heads = [next(source, None) for source in sources]
    taken = [0] * len(taps)
    while True:
        alive = [index for index, head in enumerate(heads) if head is not None]
        if not alive:
            return
        one_clock = len({head.clock for head in heads if head is not None}) == 1

        def due(index: int, one_clock: bool = one_clock) -> float:
            head = heads[index]
            return head.timestamp_ms if one_clock and head is not None else taken[index]

        first = min(alive, key=due)
        head = heads[first]
        taken[first] += 1
        heads[first] = next(sources[first], None)
        if head is not None:
            yield head


class _Pairs:
    """Pairs each depth frame with the picture nearest in time, as soon as no nearer one can come."""

    def __init__(self, interval_ms: float, *, expected: bool) -> None:
        self._expected, self._farthest_ms = expected, 1.5 * interval_ms
        self._depths: deque[_Raw] = deque()
        self._pictures: deque[_Raw] = deque(maxlen=4)
        self.unpaired = 0

    def add(self, raw: _Raw) -> list[tuple[_Raw, _Raw | None]]:
        """Take a frame that has arrived; returns the pairs that are complete now, in order."""
        (self._depths if raw.is_depth else self._pictures).append(raw)
        ready = []
        while self._depths and self._decided():
            ready += self._next()
        return ready

    def rest(self) -> list[tuple[_Raw, _Raw | None]]:
        """What is left at the end."""
        ready = []
        while self._depths:
            ready += self._next()
        return ready

    def _decided(self) -> bool:
        if not self._expected or len(self._depths) > 3:
            return True
        return bool(self._pictures) and _apart_ms(self._depths[0], self._pictures[-1]) >= 0

    def _next(self) -> list[tuple[_Raw, _Raw | None]]:
        depth = self._depths.popleft()
        if not self._expected:
            return [(depth, None)]
        best = min(self._pictures, key=lambda picture: abs(_apart_ms(depth, picture)), default=None)
        if best is None or abs(_apart_ms(depth, best)) > self._farthest_ms:
            self.unpaired += 1
            return []
        return [(depth, best)]


def _apart_ms(depth: _Raw, picture: _Raw) -> float:
    """How much later the picture is: by the camera's clock where both have the same."""
    if depth.clock == picture.clock:
        return picture.timestamp_ms - depth.timestamp_ms
    return picture.arrived_ms - depth.arrived_ms


# --- alignment ------------------------------------------------------------------------------------------------------


class _Align:
    """``rs.align`` to colour, on arrays: they go through a software device that has the two cameras' geometry."""

    def __init__(self, depth: Any, colour: Any, unit_mm: float) -> None:
        self._rs = rs = realsense_sdk()
        self._unit_m = unit_mm / 1000
        self._device = rs.software_device()  # kept: the sensors die with it
        self._queue = rs.frame_queue(2)
        self._inputs = []
        for number, (profile, kind, pixel, bpp) in enumerate(
            ((depth, rs.stream.depth, rs.format.z16, 2), (colour, rs.stream.color, rs.format.rgb8, 3)), 1
        ):
            stream = rs.video_stream()
            stream.type, stream.fmt, stream.index, stream.uid = kind, pixel, 0, number
            stream.width, stream.height, stream.fps, stream.bpp = profile.width(), profile.height(), 30, bpp
            stream.intrinsics = profile.get_intrinsics()
            sensor = self._device.add_sensor(str(kind))
            made = sensor.add_video_stream(stream).as_video_stream_profile()
            if kind == rs.stream.depth:
                sensor.add_read_only_option(rs.option.depth_units, self._unit_m)
            self._inputs.append((sensor, made, bpp))
        self._inputs[0][1].register_extrinsics_to(self._inputs[1][1], depth.get_extrinsics_to(colour))
        for sensor, made, _ in self._inputs:
            sensor.open(made)
            sensor.start(self._queue)
        self._align = rs.align(rs.stream.color)
        self._framesets = rs.frame_queue(1)
        self._pair: list[Any] = []
        self._block = rs.processing_block(self._combine)
        self._block.start(self._framesets)
        self._count = 0

    def __call__(self, depth: npt.NDArray[Any], colour: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        self._count += 1
        pair = []
        for (sensor, profile, bpp), pixels in zip(self._inputs, (depth, colour), strict=True):
            frame = self._rs.software_video_frame()
            frame.pixels, frame.stride, frame.bpp = pixels, profile.width() * bpp, bpp
            frame.frame_number, frame.timestamp = self._count, float(self._count)
            frame.domain, frame.profile = self._rs.timestamp_domain.system_time, profile
            if bpp == 2:
                frame.depth_units = self._unit_m
            sensor.on_video_frame(frame)
            pair.append(self._queue.wait_for_frame(1000))
        self._pair = pair
        self._block.invoke(pair[0])
        self._pair = []
        aligned = self._align.process(self._framesets.wait_for_frame(1000).as_frameset())
        return np.array(aligned.get_depth_frame().get_data(), np.uint16)

    def _combine(self, frame: Any, source: Any) -> None:
        source.frame_ready(source.allocate_composite_frame(self._pair))


# --- the SDK's profiles and frames ----------------------------------------------------------------------------------


def _choose(device: Any, name: str, size: StreamSize | None) -> tuple[Any, Any]:
    """The depth profile and that of colour, or else of infrared, or else None."""
    rs = realsense_sdk()
    depth = _profile(device, rs.stream.depth, (rs.format.z16,), size)
    colour = _profile(device, rs.stream.color, tuple(_converters(rs)), size)
    asked = "" if size is None else f" of {size} a second"
    for profile, kind, word in ((depth, rs.stream.depth, "depth"), (colour, rs.stream.color, "colour")):
        offers = sorted({str(StreamSize(p.width(), p.height(), p.fps())) for p in _video_profiles(device, kind)})
        if profile is None and (word == "depth" or (size is not None and offers)):
            raise KitError(
                f"{name}: found no {word} stream{asked}, expected one ({', '.join(offers) or 'it has none'})"
            )
    return depth, colour or _profile(device, rs.stream.infrared, (rs.format.y8, rs.format.y16), size)


def _profile(device: Any, kind: Any, formats: tuple[Any, ...], size: StreamSize | None) -> Any:
    """The stream to open: of that size, in the format that stands first, the sensor with the lowest number."""
    found = [
        profile
        for profile in _video_profiles(device, kind)
        if profile.format() in formats
        and (size is None or StreamSize(profile.width(), profile.height(), profile.fps()) == size)
    ]
    return min(found, key=lambda profile: (formats.index(profile.format()), profile.stream_index()), default=None)


def _video_profiles(device: Any, kind: Any) -> list[Any]:
    return [
        profile.as_video_stream_profile()
        for sensor in device.query_sensors()
        for profile in sensor.get_stream_profiles()
        if profile.stream_type() == kind and profile.is_video_stream_profile()
    ]


def _key(profile: Any) -> tuple[Any, ...]:
    """What tells a device's streams apart, and stays the same when the device is opened again."""
    size: tuple[int, ...] = ()
    if profile.is_video_stream_profile():
        video = profile.as_video_stream_profile()
        size = (video.width(), video.height())
    return (profile.stream_type(), profile.stream_index(), profile.format(), profile.fps(), *size)


def _same_pixels(depth: Any, picture: Any) -> bool:
    """Whether depth comes in the picture's pixels already; ``rs.align`` would then move some of it by rounding."""
    if picture.stream_type() != realsense_sdk().stream.color:
        return True  # a D400 measures depth in its infrared camera's pixels
    try:
        beside = depth.get_extrinsics_to(picture)
    except RuntimeError:  # the file does not say where the cameras stood
        return True
    here, there = (_intrinsics(profile.get_intrinsics()) for profile in (depth, picture))
    return bool(here == there and not np.any(beside.translation) and np.allclose(beside.rotation, np.eye(3).ravel()))


def _unit_mm(device: Any, depth: Any) -> float:
    """Millimetres a step, as the sensor says; its 32-bit metres (0.001 is 0.0010000000475) rounded."""
    units = realsense_sdk().option.depth_units
    for sensor in device.query_sensors():
        if any(_key(profile) == _key(depth) for profile in sensor.get_stream_profiles()) and sensor.supports(units):
            return round(float(sensor.get_option(units)) * 1000, 7)
    return 1.0


def _converters(rs: Any) -> dict[Any, int | None]:
    """Colour formats, best first, and OpenCV's conversion to RGB."""
    return {
        rs.format.rgb8: None,
        rs.format.bgr8: cv2.COLOR_BGR2RGB,
        rs.format.rgba8: cv2.COLOR_RGBA2RGB,
        rs.format.bgra8: cv2.COLOR_BGRA2RGB,
        rs.format.yuyv: cv2.COLOR_YUV2RGB_YUY2,
    }


def _raw(rs: Any, frame: Any) -> _Raw:
    data = np.asanyarray(frame.get_data())
    profile = frame.get_profile()
    is_depth = profile.stream_type() == rs.stream.depth
    conversion = _converters(rs).get(profile.format())
    if profile.format() == rs.format.yuyv:
        video = frame.as_video_frame()
        data = data.view(np.uint8).reshape(video.get_height(), video.get_width(), 2)
    pixels = np.array(data) if conversion is None else np.asarray(cv2.cvtColor(data, conversion))
    clock = str(frame.get_frame_timestamp_domain())
    arrived_ms = time.monotonic() * 1e3
    return _Raw(is_depth, pixels, int(frame.get_frame_number()), float(frame.get_timestamp()), clock, arrived_ms)


def _intrinsics(found: Any) -> Intrinsics:
    return Intrinsics(found.width, found.height, found.fx, found.fy, found.ppx, found.ppy)
