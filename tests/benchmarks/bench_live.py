"""Speed of `facedepth live` on a folder of 640x480 frames, against its steps one after the other in the same run.

`make bench` prints the tables. The goal on two cores: 25 frames a second or more, reading and decisions
included: 80 ms of CPU time a frame, which says more on a busy machine.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cameras.recorded.face_crop import crop_face
from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import read_depth_text, write_variant
from facedepth_kit.cameras.simulated.data_sets import RealSenseSettings, realsense_recording
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.enhancers.memory import EARLIER, with_earlier
from facedepth_kit.evaluation.live import LiveSettings, watch
from facedepth_kit.evaluation.pad import geometric_pad
from facedepth_kit.evaluation.relief import face_relief
from facedepth_kit.faces.tracking import FaceTracker
from facedepth_kit.panels.live_view import draw

FRAMES = 90
ENHANCERS = ("DL-Kit-2", "DL-Kit-1", "DL-Delta-1", "Telea+bilateral", "None")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated D435 frames of a person: three rendered ones, shifted a little from frame to frame."""
    path = tmp_path_factory.mktemp("live") / "frames"
    settings = RealSenseSettings(width_px=640, height_px=480, focal_px=613.0)
    rendered = list(realsense_recording(11, 1, "bona_fide", 3, settings))
    with FolderWriter(path) as writer:
        for index in range(FRAMES):
            frame = rendered[index // 30]
            assert frame.picture is not None
            shift = index % 30
            writer.write(
                replace(
                    frame,
                    name="",
                    depth=np.roll(frame.depth, shift, axis=1),
                    picture=np.roll(frame.picture, shift, axis=1),
                )
            )
    return path


def median_ms(work: Callable[[], object], rounds: int = 25, clock: Callable[[], float] = time.perf_counter) -> float:
    work()
    times = []
    for _ in range(rounds):
        began = clock()
        work()
        times.append(clock() - began)
    return float(np.median(times)) * 1e3


def test_frames_a_second(folder: Path) -> None:
    recordings = RecordingFolder(folder)
    recording = recordings.read(recordings.names[0])
    assert recording.picture is not None
    tracker = FaceTracker()
    face = tracker(recording.picture)
    assert face is not None
    crop = crop_face(recording, face)
    points = crop.landmarks
    assert points is not None
    frame = next(watch([recording], LiveSettings(enhancer="None")))
    steps: dict[str, Callable[[], object]] = {
        "read two PNGs": lambda: recordings.read(recordings.names[0]),
        "face and landmarks": lambda: tracker(recording.picture),  # type: ignore[arg-type]
        "cut out the face": lambda: crop_face(recording, face),
        **{f"enhance, {name}": partial(recording_enhancer(name, runs_fast=True), crop.depth) for name in ENHANCERS},
        "earlier frames": lambda: with_earlier(crop, [crop] * EARLIER),
        "rules and relief": lambda: (
            geometric_pad(crop.depth, points),
            face_relief(crop.depth, points, crop.depth_range),
        ),
        "draw the overlay": lambda: draw(frame),
    }
    times = {name: median_ms(work) for name, work in steps.items()}
    print(f"\n{'one frame, alone':<34}{'ms':>8}{'CPU ms':>8}")
    for name, value in times.items():
        print(f"{name:<34}{value:>8.1f}{median_ms(steps[name], clock=time.process_time):>8.1f}")
    needed = [name for name in times if not name.startswith(("enhance", "draw"))]
    print(f"\n{'facedepth live, 640x480':<34}{'a second':>9}{'ms':>8}{'CPU ms':>8}{'of all steps':>14}   (goal: 25)")
    for name in ENHANCERS:
        alone = sum(times[step] for step in needed) + times[f"enhance, {name}"]
        began, worked, count = 0.0, 0.0, 0
        for frame in watch(recordings, LiveSettings(enhancer=name)):
            assert frame.face is not None
            count += 1
            began, worked = began or time.perf_counter(), worked or time.process_time()
        each_ms = (time.perf_counter() - began) / (count - 1) * 1e3
        cpu_ms = (time.process_time() - worked) / (count - 1) * 1e3
        print(f"{name:<34}{1e3 / each_ms:>9.1f}{each_ms:>8.1f}{cpu_ms:>8.1f}{each_ms / alone:>14.2f}")


def test_kinectfacedb_text(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).integers(0, 1200, (256, 256), dtype=np.uint16)
    write_variant(tmp_path, RecordedFrame("a", depth, person="0001", session="s1", variant="Neutral"))
    path = next(tmp_path.rglob("*.txt"))
    ours = median_ms(lambda: read_depth_text(path))
    numpys = median_ms(lambda: np.loadtxt(path, np.int64), 3)
    print(f"\nraw depth of KinectFaceDB: {ours:.1f} ms a file (goal: 30), {ours / numpys:.3f} of numpy.loadtxt")
