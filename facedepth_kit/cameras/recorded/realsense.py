"""RealSense cameras: live, recorded, and played back from the SDK's own files, depth always aligned to colour.

How frames are taken from the SDK, paired and aligned stands in :mod:`.realsense_streams`.

Files: up to 2.57 the SDK records ``.bag`` (ROS 1), from 2.58 on ``.db3`` (ROS 2); it plays both. A ``.bag`` whose
recorder was killed has no index, and the SDK does not open it; a ``.db3`` opens, up to its last frame.
"""

from __future__ import annotations

import sqlite3
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.cameras.recorded.realsense_streams import TIMEOUT_S, Captured, Streams, StreamSize
from facedepth_kit.common.apart import work_apart
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import refuse_irregular
from facedepth_kit.common.realsense_sdk import realsense_sdk

BAG_SUFFIXES = (".bag", ".db3")
LIBRARY = "the RealSense SDK"
LONGEST_RECORD = 1_000_000  # bytes of a record in the index of a bag
# Auto exposure of a D400 settles within half a second.
SETTLING_FRAMES = 15


@dataclass(frozen=True)
class StreamSettings:
    """What to ask of a D400; the defaults are the size that the paper's D435 delivered (section IV-A)."""

    width: int = 1280
    height: int = 720
    fps: int = 30
    timeout_s: float = TIMEOUT_S
    settling_frames: int = SETTLING_FRAMES

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.fps) < 1 or self.timeout_s <= 0 or self.settling_frames < 0:
            raise KitError(f"camera: found {self}, expected sizes, frames a second and a timeout above 0")


@dataclass(frozen=True)
class RecordingReport:
    """What :func:`record` wrote: frames, and those that came too fast to be written.

    ``problem`` is the line that says why it ended before it should (the camera was unplugged), None otherwise.
    """

    frames: int
    dropped: int
    problem: str | None = None


class RealSenseCamera:
    """A connected D400, or any of the SDK's devices, as a stream of frames. Open it in a ``with`` block.

    Iterating gives :class:`Captured` frames as they come; what the reader is too slow for is dropped and counted in
    ``dropped``. ``device`` is one of the SDK's, by default the first camera found. ``bag`` names a file that the SDK
    records into, besides. Raises :class:`KitError` without a camera, where it does not offer the size, and, while
    iterating, when no frame comes for ``settings.timeout_s`` seconds or the camera is gone.
    """

    def __init__(
        self, settings: StreamSettings | None = None, *, device: Any = None, bag: str | Path | None = None
    ) -> None:
        self.settings = settings or StreamSettings()
        device = find_camera() if device is None else device
        self.name = _name(device)
        self._streams = self._open(lambda: device)
        if bag is not None:  # after the check above: the recorder makes its file at once
            path = Path(bag)
            self._streams = self._open(lambda: _recorder(path, device))

    def _open(self, device: Callable[[], Any]) -> Streams:
        size = StreamSize(self.settings.width, self.settings.height, self.settings.fps)
        return Streams(device, self.name, size=size, timeout_s=self.settings.timeout_s)

    @property
    def dropped(self) -> int:
        """Frames that came too fast for the reader, or without a colour frame near in time."""
        return self._streams.dropped

    def __iter__(self) -> Generator[Captured]:
        """Frames as they come, the first ones (auto exposure settles) left out."""
        with closing(self._streams.frames()) as frames:
            for index, captured in enumerate(frames):
                if index >= self.settings.settling_frames:
                    yield captured

    def __enter__(self) -> RealSenseCamera:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the camera; a file recorded besides is complete then."""
        self._streams.close()


class BagFile:
    """A recording of the SDK (``.bag`` or ``.db3``), played back frame by frame, however long the reader takes.

    Each depth frame comes once, aligned to the colour frame nearest in time (infrared beside it where no colour was
    recorded). ``damaged`` says, once it was played, what could not be used. Raises :class:`KitError` when the SDK
    cannot open the file, or there is no depth in it. The SDK works in a process of its own: damaged files crash it.
    """

    simulated = False

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.damaged: list[str] = []
        if self.path.suffix.lower() not in BAG_SUFFIXES:
            raise KitError(
                f"{self.path}: found a file ending in {self.path.suffix or 'nothing'}, expected .bag or .db3"
            )
        if not self.path.exists():
            raise KitError(f"{self.path}: found no such file, expected a recording of the RealSense SDK")
        refuse_irregular(self.path, "a recording of the RealSense SDK", whole=False)
        for _ in work_apart(f"{__name__}:opened", self.path, library=LIBRARY):
            pass

    def __len__(self) -> int:
        """How many depth frames were recorded (a few at the ends may lack colour, and do not come)."""
        try:
            return _depth_count(self.path)
        except (OSError, ValueError, struct.error, KeyError, OverflowError, sqlite3.Error):
            return sum(1 for _ in self.captured())

    def __iter__(self) -> Iterator[RecordedFrame]:
        """The recorded frames, in order."""
        with closing(self.captured()) as frames:
            for captured in frames:
                yield captured.recording

    def captured(self) -> Generator[Captured]:
        """The recorded frames with their numbers and time stamps."""
        self.damaged.clear()
        played = work_apart(f"{__name__}:played", self.path, library=LIBRARY)
        try:
            for content in played:
                sent: _Sent | _Dropped = msgspec.msgpack.decode(content, type=_Sent | _Dropped)
                if isinstance(sent, _Sent):
                    yield sent.captured()
                else:
                    self.damaged.append(f"{self.path}: {sent.frames} depth frames have no colour frame near in time")
        except KitError as error:
            self.damaged.append(str(error))
        finally:
            played.close()


# --- the SDK's part of files, in a process of its own --------------------------------------------------------------


class _Sent(msgspec.Struct, tag=True):
    """A frame on its way from there."""

    number: int
    timestamp_ms: float
    unit_mm: float
    shape: tuple[int, int]
    depth: bytearray
    picture_shape: tuple[int, ...]
    picture_type: str
    picture: bytearray
    intrinsics: Intrinsics | None

    def captured(self) -> Captured:
        picture = np.frombuffer(self.picture, self.picture_type).reshape(self.picture_shape) if self.picture else None
        depth = np.frombuffer(self.depth, np.uint16).reshape(self.shape)
        name = f"{self.number:06d}"
        frame = RecordedFrame(name, depth, self.unit_mm, picture=picture, intrinsics=self.intrinsics)
        return Captured(frame, self.number, self.timestamp_ms)


class _Dropped(msgspec.Struct, tag=True):
    """At the end: depth frames without a picture."""

    frames: int


def opened(path: Path) -> Iterator[bytes]:
    """Open a file of the SDK and choose its streams; nothing is played."""
    _streams(path)
    return iter(())


def played(path: Path) -> Iterator[bytes]:
    """The frames of a file of the SDK, each as a message."""
    streams = _streams(path)
    for captured in streams.frames():
        frame = captured.recording
        picture = frame.picture
        sent = _Sent(
            captured.number,
            captured.timestamp_ms,
            frame.unit_mm,
            (frame.depth.shape[0], frame.depth.shape[1]),
            bytearray(frame.depth.tobytes()),
            () if picture is None else picture.shape,
            "" if picture is None else str(picture.dtype),
            bytearray() if picture is None else bytearray(picture.tobytes()),
            frame.intrinsics,
        )
        yield msgspec.msgpack.encode(sent)
    if streams.dropped:
        yield msgspec.msgpack.encode(_Dropped(streams.dropped))


def _streams(path: Path) -> Streams:
    def open_device() -> Any:
        try:
            device = realsense_sdk().context().load_device(str(path))
            device.set_real_time(False)
        except RuntimeError as error:
            reason = "its recorder was stopped before it wrote the index" if "unindexed" in str(error) else str(error)
            raise KitError(f"{path}: found no recording that the RealSense SDK opens: {reason}") from None
        return device

    try:
        return Streams(open_device, str(path), file=True)
    except RuntimeError as error:
        raise KitError(f"{path}: found no recording that the RealSense SDK opens: {error}") from None


def find_camera(serial: str | None = None) -> Any:
    """The SDK's device of the first connected camera, or that of a serial number. Raises :class:`KitError` without."""
    rs = realsense_sdk()
    names = []
    for device in rs.context().query_devices():
        found = device.get_info(rs.camera_info.serial_number) if device.supports(rs.camera_info.serial_number) else ""
        if serial in (None, found):
            return device
        names.append(found)
    wanted = "a RealSense camera" if serial is None else f"RealSense camera {serial}"
    raise KitError(
        f"{wanted}: found {', '.join(names) or 'none'}, expected one connected by USB"
        + ("" if names else " (a .bag file or a folder of recordings works without)")
    )


def bag_suffix() -> str:
    """The ending of the files that the installed SDK records: ``.bag``, or ``.db3`` from 2.58 on."""
    # The package says its version from 2.58 on, too.
    return ".db3" if hasattr(realsense_sdk(), "__version__") else ".bag"


def record(
    source: RealSenseCamera | BagFile,
    writer: FolderWriter,
    *,
    seconds: float | None = None,
    frames: int | None = None,
    threads: int = 2,
    on_frame: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> RecordingReport:
    """Write what a camera or a file delivers into a folder, until it ends, for a time or for a number of frames.

    Files are written by ``threads`` threads; of a camera, frames that they are too slow for are dropped and counted.
    Another thread may end it by ``stop``. When the camera goes away, the report says so and the folder holds all frames
    before. ``on_frame`` gets the count. Raises :class:`KitError` and ``OSError`` (full disk) as the writer does; what
    was written stays readable.
    """
    from concurrent.futures import ThreadPoolExecutor

    stream = iter(source) if isinstance(source, RealSenseCamera) else source.captured()
    count, problem, end = 0, None, None
    running: deque[Any] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for captured in stream:
                end = end or (time.monotonic() + seconds if seconds is not None else float("inf"))
                if time.monotonic() > end or (stop is not None and stop.is_set()):
                    break
                named = replace(captured.recording, name=f"{count:06d}")
                known = {"frame_number": captured.number, "timestamp_ms": round(captured.timestamp_ms, 3)}
                running.append(pool.submit(writer.write, named, **known))
                count += 1
                if on_frame:
                    on_frame(count)
                while len(running) > 2 * threads:
                    running.popleft().result()
                if count == frames:
                    break
        except KitError as error:
            problem = str(error)
        finally:
            stream.close()
            for job in running:
                job.result()
    if isinstance(source, BagFile) and source.damaged:
        problem = problem or source.damaged[0]
    return RecordingReport(count, source.dropped if isinstance(source, RealSenseCamera) else 0, problem)


def record_pair(
    cameras: Sequence[RealSenseCamera], writers: Sequence[FolderWriter], *, seconds: float | None = None
) -> list[RecordingReport]:
    """Write what several cameras deliver at the same time, each into its own folder with its own clock.

    Ends after ``seconds``, at Ctrl-C, and when one of the cameras goes away: its report says so, the others' frames
    stay. Raises as :func:`record` does.
    """
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()

    def one(camera: RealSenseCamera, writer: FolderWriter) -> RecordingReport:
        try:
            return record(camera, writer, seconds=seconds, stop=stop)
        finally:
            stop.set()

    with ThreadPoolExecutor(len(cameras)) as pool:
        running = [pool.submit(one, camera, writer) for camera, writer in zip(cameras, writers, strict=True)]
        try:
            while not all(job.done() for job in running):
                time.sleep(0.05)
        except KeyboardInterrupt:  # how a recording without a time is meant to end
            stop.set()
        return [job.result() for job in running]


def _name(device: Any) -> str:
    rs = realsense_sdk()
    return str(device.get_info(rs.camera_info.name)) if device.supports(rs.camera_info.name) else "RealSense camera"


def _recorder(path: Path, device: Any) -> Any:
    rs = realsense_sdk()
    if path.suffix.lower() != bag_suffix():
        raise KitError(f"{path}: found ending {path.suffix!r}, expected {bag_suffix()} as the installed SDK records")
    if path.exists():
        raise KitError(f"{path}: found a file that is already there, expected a new one")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return rs.recorder(str(path), device)
    except RuntimeError as error:
        raise KitError(f"{path}: the RealSense SDK cannot record there: {error}") from None


# --- how many frames a file holds -----------------------------------------------------------------------------------


def _depth_count(path: Path) -> int:
    if path.suffix.lower() == ".db3":
        query = (
            "select count(*) from messages where topic_id in "
            "(select id from topics where name like '%/Depth_%/image/data%')"
        )
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
            return int(base.execute(query).fetchone()[0])
    return _ros1_depth_count(path)


def _ros1_depth_count(path: Path) -> int:
    """Count by the index at the end of a ROS 1 bag (format 2.0): connections first, then what each chunk holds."""
    with path.open("rb") as file:
        if not file.readline(100).startswith(b"#ROSBAG V2.0"):
            raise ValueError("no ROS 1 bag")
        header, _ = _ros1_record(file)
        file.seek(struct.unpack("<Q", header["index_pos"])[0])
        depth: set[int] = set()
        count = 0
        while True:
            try:
                header, data = _ros1_record(file)
            except EOFError:
                return count
            if header["op"] == b"\x07" and b"/Depth_" in header["topic"] and header["topic"].endswith(b"/image/data"):
                depth.add(struct.unpack("<I", header["conn"])[0])
            elif header["op"] == b"\x06":
                pairs = struct.iter_unpack("<II", data)
                count += sum(number for connection, number in pairs if connection in depth)


def _ros1_record(file: Any) -> tuple[dict[str, bytes], bytes]:
    fields: dict[str, bytes] = {}
    header, data = (_ros1_block(file) for _ in range(2))
    while header:
        (length,) = struct.unpack_from("<I", header)
        name, _, value = header[4 : 4 + length].partition(b"=")
        fields[name.decode()] = value
        header = header[4 + length :]
    return fields, data


def _ros1_block(file: Any) -> bytes:
    length = file.read(4)
    if len(length) < 4:
        raise EOFError
    (count,) = struct.unpack("<I", length)
    if count > LONGEST_RECORD:
        raise ValueError("no index of a bag")
    return bytes(file.read(count))
