"""``facedepth record``, ``record-pair`` and ``live``: RealSense cameras or recordings, written down or watched."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from facedepth_kit.cli.options import COUNT, PATH, SIZE, SMALL_COUNT, TIME, UNIT_MM, gathered, weights_folder
from facedepth_kit.cli.terminal import complain, say
from facedepth_kit.common.errors import KitError

CAMERA = "camera"
PICTURES = "facedepth_live"
LINES = "frames.jsonl"


@dataclass(frozen=True)
class CameraOptions:
    """Which camera, and what it is to send."""

    serial: str | None
    size: tuple[int, int]
    fps: int


camera_options = gathered(
    CameraOptions,
    "camera",
    click.option("--serial", metavar="NUMBER", help="That camera, where there are several."),
    click.option(
        "--size", type=SIZE, default=(1280, 720), metavar="WxH", help="Of the camera's streams (default: 1280x720)."
    ),
    click.option(
        "--fps", type=SMALL_COUNT, default=30, metavar="N", help="The camera's frames a second (default: 30)."
    ),
)


def _camera_settings(camera: CameraOptions) -> Any:
    from facedepth_kit.cameras.recorded.realsense import StreamSettings

    return StreamSettings(*camera.size, camera.fps)


@click.command()
@click.argument("output", type=PATH, metavar="DIR")
@click.option("--from", "source", type=PATH, metavar="BAG", help="A .bag or .db3 instead of a camera.")
@click.option("--seconds", type=TIME, metavar="S", help="Stop after so long (default: at Ctrl-C).")
@click.option("--frames", type=COUNT, metavar="N", help="Stop after so many frames.")
@click.option("--bag", type=PATH, metavar="FILE", help="Let the SDK record everything, besides.")
@camera_options
@click.option("--overwrite", is_flag=True, help="Replace the recording in the folder.")
def record(
    output: Path,
    source: Path | None,
    seconds: float | None,
    frames: int | None,
    bag: Path | None,
    camera: CameraOptions,
    overwrite: bool,
) -> int:
    """Record from a RealSense camera into the folder DIR, or turn a file of the SDK into one.

    The exit code is 2 when the camera went away.
    """
    from facedepth_kit.cameras.recorded import realsense
    from facedepth_kit.cameras.recorded.folder import FolderWriter

    if source is not None and bag is not None:
        raise KitError("--bag: found it beside --from, expected a camera to record")
    with ExitStack() as stack:
        writer = stack.enter_context(FolderWriter(output, overwrite=overwrite))
        recorded: realsense.RealSenseCamera | realsense.BagFile
        if source is not None:
            recorded = realsense.BagFile(source)
        else:
            device = realsense.find_camera(camera.serial)
            recorded = stack.enter_context(realsense.RealSenseCamera(_camera_settings(camera), device=device, bag=bag))
            say(f"{recorded.name}: recording, Ctrl-C ends it", error=True)
        written = 0

        def count(number: int) -> None:
            nonlocal written
            written = number

        try:
            done = realsense.record(recorded, writer, seconds=seconds, frames=frames, on_frame=count)
        except KeyboardInterrupt:  # how a recording without --seconds or --frames is meant to end
            dropped = recorded.dropped if isinstance(recorded, realsense.RealSenseCamera) else 0
            done = realsense.RecordingReport(written, dropped)
    lost = f", {done.dropped} dropped" if done.dropped else ""
    say(f"{output}: {done.frames} frames{lost}")
    if done.problem is not None:
        complain(done.problem)
        return 2
    if not done.frames:
        raise KitError(f"{output}: found no frame to write, expected some")
    return 0


@click.command("record-pair")
@click.argument("output", type=PATH, metavar="PAIR")
@click.option("--lower", required=True, metavar="SERIAL", help="The camera to be improved.")
@click.option("--higher", required=True, metavar="SERIAL", help="The better camera, to learn from.")
@click.option("--seconds", type=TIME, metavar="S", help="Stop after so long (the paper: 30; default: at Ctrl-C).")
@click.option("--lower-size", type=SIZE, default=(640, 480), metavar="WxH", help="Its streams (default: 640x480).")
@click.option("--higher-size", type=SIZE, default=(1280, 720), metavar="WxH", help="Its streams (default: 1280x720).")
@click.option("--fps", type=SMALL_COUNT, default=30, metavar="N", help="Frames a second of both (default: 30).")
@click.option("--overwrite", is_flag=True, help="Replace the recordings in the folder.")
def record_pair(
    output: Path,
    lower: str,
    higher: str,
    seconds: float | None,
    lower_size: tuple[int, int],
    higher_size: tuple[int, int],
    fps: int,
    overwrite: bool,
) -> int:
    """Record from two RealSense cameras at once, into PAIR/lower and PAIR/higher.

    They need no cable between them: `facedepth align PAIR` finds clocks and mounting. The exit code is 2 when one went
    away.
    """
    from facedepth_kit.cameras.recorded import realsense
    from facedepth_kit.cameras.recorded.folder import FolderWriter
    from facedepth_kit.sequences.recordings import HIGHER, LOWER

    if lower == higher:
        raise KitError(f"--higher: found camera {higher} for both, expected two cameras")
    with ExitStack() as stack:
        cameras, writers = [], []
        for serial, size, part in ((lower, lower_size, LOWER), (higher, higher_size, HIGHER)):
            writers.append(stack.enter_context(FolderWriter(output / part, overwrite=overwrite)))
            settings = _camera_settings(CameraOptions(serial, size, fps))
            cameras.append(realsense.RealSenseCamera(settings, device=realsense.find_camera(serial)))
            stack.enter_context(cameras[-1])
        say(f"{' and '.join(camera.name for camera in cameras)}: recording, Ctrl-C ends it", error=True)
        reports = realsense.record_pair(cameras, writers, seconds=seconds)
    for report, part in zip(reports, (LOWER, HIGHER), strict=True):
        lost = f", {report.dropped} dropped" if report.dropped else ""
        say(f"{output / part}: {report.frames} frames{lost}")
    problems = [report.problem for report in reports if report.problem is not None]
    for problem in problems:
        complain(problem)
    if problems:
        return 2
    if not all(report.frames for report in reports):
        raise KitError(f"{output}: found no frame to write of one camera, expected some")
    return 0


@click.command()
@click.argument("source")
@click.option(
    "--enhancer", metavar="NAME", help="See facedepth enhancers (default: DL-Kit-1; the paper's: DL-Delta-1)."
)
@weights_folder
@click.option("--plain", is_flag=True, help="The network's output as it is (section IV-G), not joined to the measured.")
@click.option("--single", is_flag=True, help="Enhance each frame alone, not after those before it.")
@click.option("--unit-mm", type=UNIT_MM, metavar="MM", help="Millimetres a step (default: as recorded).")
@click.option(
    "--output", type=PATH, metavar="DIR", help=f"Write pictures there, no window (without a screen: {PICTURES})."
)
@click.option("--no-pictures", is_flag=True, help="Lines only: no window, nothing written.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON a frame.")
@click.option("--frames", type=COUNT, metavar="N", help="Stop after so many frames.")
@click.option("--seconds", type=TIME, metavar="S", help="Stop after so long.")
@camera_options
@click.option("--overwrite", is_flag=True, help="Replace earlier pictures in the folder.")
def live(
    source: str,
    enhancer: str | None,
    plain: bool,
    single: bool,
    unit_mm: float | None,
    output: Path | None,
    no_pictures: bool,
    as_json: bool,
    frames: int | None,
    seconds: float | None,
    camera: CameraOptions,
    overwrite: bool,
) -> int:
    """Watch a camera or recordings: face, enhancement, landmarks' depth and decision; a line a frame.

    SOURCE is the word camera, a .bag or .db3, a folder of recordings (one frame after the other), or KinectFaceDB. The
    verdict on a face is "observing" until enough frames of it were seen, then "bona fide" or "attack".
    """
    from facedepth_kit.enhancers.frames import DEFAULT_ENHANCER, able_enhancer
    from facedepth_kit.evaluation import live as application

    if output is not None and no_pictures:
        raise KitError("--no-pictures: found --output beside it, expected one of them")
    settings = application.LiveSettings(enhancer=enhancer or DEFAULT_ENHANCER, single=single or plain)
    enhance = able_enhancer(settings.enhancer).enhance if plain else None
    verdicts: Counter[str] = Counter()
    began = last = 0.0
    count = 0
    with ExitStack() as stack:
        recordings, damaged = stack.enter_context(_source(source, unit_mm, camera))
        watched = stack.enter_context(closing(application.watch(recordings, settings, enhance=enhance)))
        shown = stack.enter_context(_shown(watched, source, output, no_pictures=no_pictures, overwrite=overwrite))
        say(settings.temporal.in_words(), error=True)
        for frame in shown:
            say(json.dumps(frame.row()) if as_json else line(frame))
            verdicts[frame.verdict] += 1
            last = time.monotonic()
            began = began or last
            count += 1
            if count == frames or (seconds and last - began >= seconds):
                break
        problems = damaged()
    for problem in problems:
        complain(problem)
    if not count:
        raise KitError(f"{source}: found no frame that can be read, expected some")
    speed = f", {(count - 1) / (last - began):.1f} a second" if count > 1 and last > began else ""
    found = ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items())
    say(f"{count} frames{speed}: {found}", error=True)
    return 2 if problems else 0


def line(frame: Any) -> str:
    """A frame in one line of text."""
    facts = [f"{frame.number:5d} {frame.frame.name:<12} {frame.verdict:<10}"]
    if frame.pad is not None and frame.relief is not None:
        facts.append(f"nose {frame.relief.nose_mm:5.1f} mm, {int(frame.pad.invalid.sum()):2d} of 68 invalid")
    if frame.distance_mm is not None:
        facts.append(f"{frame.distance_mm:5.0f} mm away")
    if frame.reason:
        facts.append(frame.reason)
    return "  ".join(facts) + ("  (simulated)" if frame.frame.simulated else "")


@contextmanager
def _source(source: str, unit_mm: float | None, options: CameraOptions) -> Iterator[tuple[Any, Any]]:
    """The recordings to watch, and what says afterwards which of them were damaged."""
    if source != CAMERA:
        from facedepth_kit.cameras.recorded.sources import open_recordings

        recordings = open_recordings(source, unit_mm=unit_mm)
        yield recordings, lambda: recordings.damaged
        return
    from facedepth_kit.cameras.recorded import realsense

    problems: list[str] = []

    def frames(camera: realsense.RealSenseCamera) -> Iterator[Any]:
        with closing(iter(camera)) as stream:
            try:
                for captured in stream:
                    yield captured.recording
            except KitError as error:  # unplugged: what was seen until then still counts
                problems.append(str(error))

    device = realsense.find_camera(options.serial)
    with realsense.RealSenseCamera(_camera_settings(options), device=device) as camera:
        say(f"{camera.name}: Ctrl-C ends it", error=True)
        yield frames(camera), lambda: problems


@contextmanager
def _shown(
    frames: Generator[Any], source: str, output: Path | None, *, no_pictures: bool, overwrite: bool
) -> Iterator[Iterator[Any]]:
    """The frames, each drawn on the screen or into a file as it passes."""
    from facedepth_kit.panels import live_view

    if no_pictures:
        yield frames
        return
    window = None if output is not None else live_view.open_window(f"facedepth live: {source}")
    if window is not None:
        try:
            yield _in_window(frames, window)
        finally:
            window.close()
        return
    folder = output or Path(PICTURES)
    if output is None:
        say(f"no screen to show a window on: pictures go to {folder}", error=True)
    _prepare(folder, overwrite)
    from facedepth_kit.evaluation.live import side_by_side

    with closing(side_by_side(lambda frame: _write(frame, folder), frames, 1)) as written:
        yield written


def _in_window(frames: Iterator[Any], window: Any) -> Iterator[Any]:
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


def _write(frame: Any, folder: Path) -> Any:
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
