"""``facedepth record`` and ``facedepth live``: a RealSense camera or recordings, written down or watched."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedepth_kit.common.errors import KitError

if TYPE_CHECKING:
    from facedepth_kit.cameras.recorded.frame import RecordedFrame
    from facedepth_kit.cameras.recorded.realsense import RealSenseCamera, StreamSettings
    from facedepth_kit.evaluation.live import LiveFrame

CAMERA = "camera"
PICTURES = "facedepth_live"
LINES = "frames.jsonl"


def _number(text: str) -> int:
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected seconds above 0")
    return seconds


def _add_camera_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--serial", metavar="NUMBER", help="that camera, where there are several")
    parser.add_argument("--size", default="1280x720", metavar="WxH", help="of the camera's streams (1280x720)")
    parser.add_argument("--fps", type=_number, default=30, metavar="N", help="the camera's frames a second (30)")


def _camera_settings(arguments: argparse.Namespace) -> StreamSettings:
    from facedepth_kit.cameras.recorded.realsense import StreamSettings

    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", arguments.size)
    if match is None:
        raise KitError(f"--size: found {arguments.size!r}, expected WIDTHxHEIGHT such as 1280x720")
    return StreamSettings(int(match[1]), int(match[2]), arguments.fps)


# --- record ---------------------------------------------------------------------------------------------------------


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``facedepth record``."""
    parser.add_argument("output", type=Path, metavar="DIR", help="folder for the recording")
    parser.add_argument("--from", dest="source", type=Path, metavar="BAG", help="a .bag or .db3 instead of a camera")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help="stop after so long (default: at Ctrl-C)")
    parser.add_argument("--frames", type=_number, metavar="N", help="stop after so many frames")
    parser.add_argument("--bag", type=Path, metavar="FILE", help="let the SDK record everything, besides")
    _add_camera_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace the recording in the folder")


def record(arguments: argparse.Namespace) -> int:
    """Record from a camera, or turn a file of the SDK into a folder; 2 when the camera went away."""
    from facedepth_kit.cameras.recorded import realsense
    from facedepth_kit.cameras.recorded.folder import FolderWriter

    if arguments.source is not None and arguments.bag is not None:
        raise KitError("--bag: found it beside --from, expected a camera to record")
    with ExitStack() as stack:
        writer = FolderWriter(arguments.output, overwrite=arguments.overwrite)
        source: RealSenseCamera | realsense.BagFile
        if arguments.source is not None:
            source = realsense.BagFile(arguments.source)
        else:
            device = realsense.find_camera(arguments.serial)
            settings = _camera_settings(arguments)
            source = stack.enter_context(realsense.RealSenseCamera(settings, device=device, bag=arguments.bag))
            print(f"{source.name}: recording, Ctrl-C ends it", file=sys.stderr)
        stack.enter_context(writer)
        written = 0

        def count(frames: int) -> None:
            nonlocal written
            written = frames

        try:
            done = realsense.record(source, writer, seconds=arguments.seconds, frames=arguments.frames, on_frame=count)
        except KeyboardInterrupt:  # how a recording without --seconds or --frames is meant to end
            dropped = source.dropped if isinstance(source, realsense.RealSenseCamera) else 0
            done = realsense.RecordingReport(written, dropped)
    lost = f", {done.dropped} dropped" if done.dropped else ""
    print(f"{arguments.output}: {done.frames} frames{lost}")
    if done.problem is not None:
        print(f"facedepth: error: {done.problem}", file=sys.stderr)
        return 2
    if not done.frames:
        raise KitError(f"{arguments.output}: found no frame to write, expected some")
    return 0


# --- live -----------------------------------------------------------------------------------------------------------


def add_live_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``facedepth live``."""
    parser.add_argument(
        "source", help="camera, a .bag or .db3, a folder of recordings (one frame after the other), or KinectFaceDB"
    )
    parser.add_argument("--enhancer", metavar="NAME", help="see facedepth enhancers (default: DL-Kit-1; the paper's: "
                        "DL-Delta-1)")  # fmt: skip
    parser.add_argument("--unit-mm", type=_seconds, metavar="MM", help="millimetres a step (default: as recorded)")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help=f"write pictures there, no window (without a screen: {PICTURES})"
    )
    parser.add_argument("--no-pictures", action="store_true", help="lines only: no window, nothing written")
    parser.add_argument("--json", action="store_true", help="a line of JSON a frame")
    parser.add_argument("--frames", type=_number, metavar="N", help="stop after so many frames")
    parser.add_argument("--seconds", type=_seconds, metavar="S", help="stop after so long")
    _add_camera_arguments(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace earlier pictures in the folder")


def live(arguments: argparse.Namespace) -> int:
    """Watch a camera or recordings: face, enhancement, landmarks' depth and decision; a line a frame."""
    from facedepth_kit.evaluation import live as application

    if arguments.output is not None and arguments.no_pictures:
        raise KitError("--no-pictures: found --output beside it, expected one of them")
    settings = application.LiveSettings(enhancer=arguments.enhancer or application.DEFAULT_ENHANCER)
    verdicts: Counter[str] = Counter()
    began = last = 0.0
    count = 0
    with ExitStack() as stack:
        recordings, damaged = stack.enter_context(_source(arguments))
        frames = stack.enter_context(closing(application.watch(recordings, settings)))
        shown = stack.enter_context(_shown(arguments, frames))
        for frame in shown:
            print(json.dumps(frame.row()) if arguments.json else line(frame), flush=True)
            verdicts[frame.verdict] += 1
            last = time.monotonic()
            began = began or last
            count += 1
            if count == arguments.frames or (arguments.seconds and last - began >= arguments.seconds):
                break
        problems = damaged()
    for problem in problems:
        print(f"facedepth: error: {problem}", file=sys.stderr)
    if not count:
        raise KitError(f"{arguments.source}: found no frame that can be read, expected some")
    speed = f", {(count - 1) / (last - began):.1f} a second" if count > 1 and last > began else ""
    found = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    print(f"{count} frames{speed}: {found}", file=sys.stderr)
    return 2 if problems else 0


def line(frame: LiveFrame) -> str:
    """A frame in one line of text."""
    facts = [f"{frame.number:5d} {frame.recording.name:<12} {frame.verdict:<10}"]
    if frame.pad is not None and frame.relief is not None:
        facts.append(f"nose {frame.relief.nose_mm:5.1f} mm, {int(frame.pad.invalid.sum()):2d} of 68 invalid")
    if frame.distance_mm is not None:
        facts.append(f"{frame.distance_mm:5.0f} mm away")
    if frame.reason:
        facts.append(frame.reason)
    return "  ".join(facts) + ("  (simulated)" if frame.recording.simulated else "")


@contextmanager
def _source(arguments: argparse.Namespace) -> Iterator[tuple[Any, Any]]:
    """The recordings to watch, and what says afterwards which of them were damaged."""
    if arguments.source != CAMERA:
        from facedepth_kit.cameras.recorded.sources import open_recordings

        recordings = open_recordings(arguments.source, unit_mm=arguments.unit_mm)
        yield recordings, lambda: recordings.damaged
        return
    from facedepth_kit.cameras.recorded import realsense

    problems: list[str] = []

    def frames(camera: RealSenseCamera) -> Iterator[RecordedFrame]:
        with closing(iter(camera)) as stream:
            try:
                for captured in stream:
                    yield captured.recording
            except KitError as error:  # unplugged: what was seen until then still counts
                problems.append(str(error))

    device = realsense.find_camera(arguments.serial)
    with realsense.RealSenseCamera(_camera_settings(arguments), device=device) as camera:
        print(f"{camera.name}: Ctrl-C ends it", file=sys.stderr)
        yield frames(camera), lambda: problems


@contextmanager
def _shown(arguments: argparse.Namespace, frames: Any) -> Iterator[Iterator[LiveFrame]]:
    """The frames, each drawn on the screen or into a file as it passes."""
    from facedepth_kit.panels import live_view

    if arguments.no_pictures:
        yield frames
        return
    window = None if arguments.output is not None else live_view.open_window(f"facedepth live: {arguments.source}")
    if window is not None:
        try:
            yield _in_window(frames, window)
        finally:
            window.close()
        return
    folder = arguments.output or Path(PICTURES)
    if arguments.output is None:
        print(f"no screen to show a window on: pictures go to {folder}", file=sys.stderr)
    _prepare(folder, arguments.overwrite)
    from facedepth_kit.evaluation.live import side_by_side

    with closing(side_by_side(lambda frame: _write(frame, folder), frames, 1)) as written:
        yield written


def _in_window(frames: Iterator[LiveFrame], window: Any) -> Iterator[LiveFrame]:
    from facedepth_kit.panels.live_view import draw

    for frame in frames:
        yield frame
        if not window.show(draw(frame)):
            return


def _prepare(folder: Path, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise KitError(f"{folder}: found a file, expected a folder for the pictures")
    old = [*folder.glob("*_live.png"), *folder.glob(LINES)] if folder.is_dir() else []
    if old and not overwrite:
        raise KitError(f"{folder}: found earlier pictures, expected a new folder (--overwrite replaces them)")
    folder.mkdir(parents=True, exist_ok=True)
    for path in old:
        path.unlink()


def _write(frame: LiveFrame, folder: Path) -> LiveFrame:
    """Write a frame's picture and its line of numbers."""
    import cv2
    import numpy as np

    from facedepth_kit.common.paths import write_atomically
    from facedepth_kit.panels.live_view import draw

    encoded = cv2.imencode(".png", np.ascontiguousarray(draw(frame)[..., ::-1]))[1]
    with write_atomically(folder / f"{frame.number:06d}_live.png") as temporary:
        temporary.write_bytes(encoded.tobytes())
    with (folder / LINES).open("a", encoding="utf-8") as file:
        file.write(json.dumps(frame.row()) + "\n")
    return frame
