"""RealSense cameras through the real SDK: its software device, files that it records here, one that 2.56 recorded."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.realsense import (
    BagFile,
    RealSenseCamera,
    RecordingReport,
    StreamSettings,
    bag_suffix,
    find_camera,
    record,
    record_pair,
)
from facedepth_kit.cameras.recorded.realsense_streams import Captured, Streams
from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.realsense_sdk import realsense_sdk
from facedepth_kit.sequences.recordings import PairedRecording
from tests.cameras.software_camera import Pushing, SoftwareCamera

try:
    realsense_sdk()
except KitError as reason:
    pytest.skip(str(reason), allow_module_level=True)

OLD_BAG = Path(__file__).parent / "sdk_2_56.bag"
SMALL = StreamSettings(64, 48, 30, timeout_s=1.0, settling_frames=0)

Depths = list[npt.NDArray[np.uint16]]
Colours = list[npt.NDArray[np.uint8]]


def frames(count: int, shape: tuple[int, int] = (48, 64)) -> tuple[Depths, Colours]:
    """Random depth and colour; the first pixel of both says which frame it is."""
    rng = np.random.default_rng(count)
    depths = [rng.integers(0, 5000, shape, dtype=np.uint16) for _ in range(count)]
    colours = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for _ in range(count)]
    for index in range(count):
        depths[index][0, 0] = colours[index][0, 0] = index
    return depths, colours


def capture(camera: RealSenseCamera, count: int) -> list[Captured]:
    found = []
    for captured in camera:
        found.append(captured)
        if len(found) == count:
            break
    return found


def make_bag(path: Path, depths: Depths, colours: Colours) -> Path:
    """Record with the installed SDK, as a camera would be recorded, until no more frames come."""
    soft = SoftwareCamera(depth_units=0.0005)
    settings = StreamSettings(64, 48, 30, timeout_s=0.5)
    with (
        RealSenseCamera(settings, device=soft.device, bag=path) as camera,
        Pushing(soft, depths, colours),
        pytest.raises(KitError, match="no frame"),
    ):
        capture(camera, len(depths) + 1)
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of 64x48, recorded by the installed SDK."""
    return make_bag(tmp_path_factory.mktemp("bag") / f"ten{bag_suffix()}", *frames(10))


def test_no_camera_is_one_clear_line() -> None:
    for open_it in (find_camera, RealSenseCamera, lambda: find_camera("12345")):
        with pytest.raises(KitError, match="found none, expected one connected by USB") as caught:
            open_it()
        assert "\n" not in str(caught.value)


def test_live_frames_with_unit_intrinsics_and_colour() -> None:
    depths, colours = frames(8)
    soft = SoftwareCamera(depth_units=0.0001)
    with RealSenseCamera(SMALL, device=soft.device) as camera, Pushing(soft, depths, colours):
        found = capture(camera, 7)
    assert [captured.number for captured in found] == list(range(1, 8))
    for captured, depth, colour in zip(found, depths, colours, strict=False):
        recording = captured.recording
        np.testing.assert_array_equal(recording.depth, depth)
        np.testing.assert_array_equal(recording.picture, colour)
        assert recording.unit_mm == 0.1
        assert recording.intrinsics is not None
        assert (recording.intrinsics.fx, recording.intrinsics.cx, recording.intrinsics.cy) == (60.0, 31.5, 23.5)
        assert not recording.simulated


def test_the_first_frames_are_left_out_while_the_exposure_settles() -> None:
    soft = SoftwareCamera()
    settings = StreamSettings(64, 48, 30, settling_frames=3)
    with RealSenseCamera(settings, device=soft.device) as camera, Pushing(soft, *frames(20)):
        numbers = [captured.number for captured in capture(camera, 3)]
    # A busy machine may miss a frame, as it would a camera's.
    assert numbers == sorted(set(numbers))
    assert numbers[0] >= 4


@pytest.mark.parametrize("depth_units", [0.001, 0.0001])
def test_depth_is_aligned_to_colour(depth_units: float) -> None:
    # Depth f 60 at 64x48, colour f 90 at 96x72 and 30 mm to the right: a point at 1 m moves by 2.7 colour pixels.
    rows, columns = np.mgrid[0:48, 0:64]
    depth_mm = np.full((48, 64), 2000)
    depth_mm[16:32, 24:40] = 1000
    depth = np.rint(depth_mm / (depth_units * 1000)).astype(np.uint16)
    colour = np.zeros((72, 96, 3), np.uint8)
    soft = SoftwareCamera(
        colour_width=96, colour_height=72, colour_focal=90.0, baseline_mm=30.0, depth_units=depth_units
    )
    # Of a camera both streams are wanted in one size; a file has the size it was recorded in.
    with pytest.raises(KitError, match="no colour stream of 64x48 at 30 a second"):
        RealSenseCamera(SMALL, device=soft.device)
    streams = Streams(lambda: soft.device, "camera")
    with Pushing(soft, [depth] * 3, [colour] * 3), closing(streams.frames()) as stream:
        aligned = next(stream).recording
    assert aligned.depth.shape == (72, 96)
    assert aligned.intrinsics is not None
    assert aligned.intrinsics.fx == 90.0
    aligned_mm = aligned.depth * aligned.unit_mm
    # By hand: where each measured pixel's centre falls.
    for mm in (1000.0, 2000.0):
        ys, xs = rows[depth_mm == mm], columns[depth_mm == mm]
        x = ((xs - 31.5) / 60 * mm - 30) / mm * 90 + 47.5
        y = (ys - 23.5) / 60 * 90 + 35.5
        inside = (x > 0) & (x < 95) & (y > 0) & (y < 71)
        share = (aligned_mm[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)] == mm).mean()
        assert share == 1 if mm == 1000 else share > 0.97  # the far wall is hidden beside the near square
    near = np.argwhere(aligned_mm == 1000)
    # The square's corners (-8..8 px of 60) at 90 px, moved left by 30 mm at 1 m.
    assert near.min(axis=0) == pytest.approx([35.5 - 12, 47.5 - 12 - 2.7], abs=1)
    assert near.max(axis=0) == pytest.approx([35.5 + 12, 47.5 + 12 - 2.7], abs=1)


def test_each_depth_frame_takes_the_colour_nearest_in_time() -> None:
    depths, colours = frames(9)
    soft = SoftwareCamera()

    def push() -> None:
        time.sleep(0.2)
        for index in range(9):  # depth 10 ms before colour, and one colour frame lost
            soft.push_depth(depths[index], index + 1, 1000 + index * 33.3 - 10)
            if index != 4:
                soft.push_colour(colours[index], index + 1, 1000 + index * 33.3)
            time.sleep(0.02)

    thread = threading.Thread(target=push)
    with RealSenseCamera(SMALL, device=soft.device) as camera:
        thread.start()
        found = [captured.recording for captured in capture(camera, 8)]
        thread.join()
    assert [int(recording.depth[0, 0]) for recording in found] == list(range(8))
    taken = [int(recording.picture[0, 0, 0]) for recording in found if recording.picture is not None]
    # The fifth depth frame's own colour is lost: the one before is 23 ms away, the one after 43 ms.
    assert taken == [0, 1, 2, 3, 3, 5, 6, 7]


def test_depth_without_any_colour_near_in_time_is_counted(tmp_path: Path) -> None:
    depths, colours = frames(8)
    soft = SoftwareCamera()
    with RealSenseCamera(SMALL, device=soft.device) as camera, Pushing(soft, depths, colours[:3]):
        with pytest.raises(KitError, match="no frame for 1 s"):
            capture(camera, 8)
        assert camera.dropped > 0


@pytest.mark.parametrize("pixel", ["bgr8", "yuyv"])
def test_other_colour_formats_become_rgb(pixel: str) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    sent = red[..., ::-1] if pixel == "bgr8" else np.empty((48, 64, 2), np.uint8)
    if pixel == "yuyv":  # BT.601 of (200, 0, 0): Y 67, U 98, V 216
        sent[...] = (67, 98)
        sent[:, 1::2] = (67, 216)
    soft = SoftwareCamera(colour_format=pixel)
    with RealSenseCamera(SMALL, device=soft.device) as camera, Pushing(soft, frames(3)[0], [sent] * 3):
        (captured,) = capture(camera, 1)
    assert captured.recording.picture is not None
    assert np.abs(captured.recording.picture.astype(int) - red).max() <= 3


def test_a_camera_without_the_size_says_what_it_offers() -> None:
    with pytest.raises(KitError, match=r"no depth stream of 1280x720 at 30 a second, expected one \(64x48 at 30\)"):
        RealSenseCamera(device=SoftwareCamera().device)


def test_a_slow_reader_drops_frames_and_goes_on() -> None:
    soft = SoftwareCamera()
    with RealSenseCamera(SMALL, device=soft.device) as camera, Pushing(soft, *frames(40), interval_s=0.003):
        numbers = []
        for captured in camera:
            numbers.append(captured.number)
            time.sleep(0.03)
            if captured.number > 30:
                break
    assert numbers == sorted(set(numbers))
    assert camera.dropped > 5


def test_unplugged_in_the_middle_the_recording_stays(tmp_path: Path) -> None:
    depths, colours = frames(12)
    soft = SoftwareCamera()
    path = tmp_path / f"beside{bag_suffix()}"
    with (
        RealSenseCamera(SMALL, device=soft.device, bag=path) as camera,
        FolderWriter(tmp_path / "out") as writer,
        Pushing(soft, depths, colours),
    ):
        report = record(camera, writer, frames=100)
    assert report.problem is not None
    assert "Software camera: found no frame for 1 s, expected some (is it unplugged?)" in report.problem
    found = RecordingFolder(tmp_path / "out")
    read = list(found)
    assert len(read) == report.frames >= 11
    for recording, depth, colour in zip(read, depths, colours, strict=False):
        np.testing.assert_array_equal(recording.depth, depth)
        np.testing.assert_array_equal(recording.picture, colour)
    assert [recording.depth[0, 0] for recording in BagFile(path)][:11] == list(range(11))


def test_recording_for_a_time_or_a_number_of_frames(tmp_path: Path) -> None:
    for name, limit in (("few", {"frames": 4}), ("short", {"seconds": 0.15})):
        soft = SoftwareCamera()
        counts: list[int] = []
        with (
            RealSenseCamera(SMALL, device=soft.device) as camera,
            FolderWriter(tmp_path / name) as writer,
            Pushing(soft, *frames(40)),
        ):
            report = record(camera, writer, on_frame=counts.append, **limit)
        assert report.problem is None
        assert counts == list(range(1, report.frames + 1))
        assert len(RecordingFolder(tmp_path / name)) == report.frames
        assert report.frames == 4 if name == "few" else 3 < report.frames < 35


def test_a_recorded_file_gives_every_frame_once(bag: Path) -> None:
    depths, colours = frames(10)
    found = BagFile(bag)
    assert len(found) == 10
    for pause in (0.0, 0.03):  # however slow the reader
        numbers = []
        for captured in found.captured():
            numbers.append(captured.number)
            index = captured.number - 1
            np.testing.assert_array_equal(captured.recording.depth, depths[index])
            np.testing.assert_array_equal(captured.recording.picture, colours[index])
            assert captured.recording.unit_mm == 0.5
            assert captured.timestamp_ms == pytest.approx(1000 + index * 100 / 3)
            time.sleep(pause)
        assert numbers == list(range(1, 11))
        assert found.damaged == []
    assert isinstance(open_recordings(bag), BagFile)


def test_leaving_a_file_early_and_starting_again(bag: Path) -> None:
    found = BagFile(bag)
    for _ in range(3):
        first = next(iter(found))
        assert first.depth[0, 0] == 0
    streams = [iter(found), iter(found)]
    assert [next(stream).name for stream in streams for _ in range(2)] == ["000001", "000002"] * 2


def test_a_file_becomes_a_folder(bag: Path, tmp_path: Path) -> None:
    with FolderWriter(tmp_path / "out", unit_mm=0.5) as writer:
        assert record(BagFile(bag), writer) == RecordingReport(10, 0)
    for read, played in zip(RecordingFolder(tmp_path / "out"), BagFile(bag), strict=True):
        np.testing.assert_array_equal(read.depth, played.depth)
        np.testing.assert_array_equal(read.picture, played.picture)


def test_a_file_of_the_older_sdk() -> None:
    found = BagFile(OLD_BAG)
    assert len(found) == 6
    read = list(found)
    assert [recording.name for recording in read] == [f"{number:06d}" for number in range(1, 7)]
    for index, recording in enumerate(read):
        expected = (2000 + 10 * np.arange(32) + 100 * index).astype(np.uint16)
        expected[:4] = 0
        np.testing.assert_array_equal(recording.depth, np.broadcast_to(expected, (24, 32)))
        assert recording.unit_mm == 0.5
        assert recording.picture is not None
        assert (recording.picture[..., 0] == 40 * index).all()


def test_damaged_files_are_one_line(bag: Path, tmp_path: Path) -> None:
    (tmp_path / "short.bag").write_bytes(OLD_BAG.read_bytes()[:20000])
    (tmp_path / "empty.bag").touch()
    (tmp_path / "text.db3").write_text("no database")
    (tmp_path / "other.mkv").touch()
    for name in ("short.bag", "empty.bag", "text.db3", "other.mkv", "none.bag"):
        with pytest.raises(KitError, match=name) as caught:
            BagFile(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_file_that_crashes_the_sdk_is_one_line(bag: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDEPTH_SILENCE_S", "30")
    for number, damage in enumerate(("update messages set topic_id = 1", "update topics set name = 'x' || name")):
        path = tmp_path / f"{number}.db3"
        shutil.copy(bag, path)
        if bag_suffix() != ".db3":
            return  # what is damaged here is a database
        with closing(sqlite3.connect(path)) as base, base:
            base.execute(damage)
        try:
            found = BagFile(path)
            assert not list(found)
            problems = found.damaged
        except KitError as error:
            problems = [str(error)]
        assert len(problems) == 1
        assert problems[0].startswith(f"{path}: found")
        assert "\n" not in problems[0]


def test_a_file_without_an_index_says_why(tmp_path: Path) -> None:
    # What a killed recorder leaves: the header's place for the index still says 0.
    data = bytearray(OLD_BAG.read_bytes())
    position = data.index(b"index_pos=") + len(b"index_pos=")
    data[position : position + 8] = bytes(8)
    (tmp_path / "killed.bag").write_bytes(data)
    with pytest.raises(KitError, match="stopped before it wrote the index"):
        BagFile(tmp_path / "killed.bag")


RECORDER = """
import sys, time
import numpy as np
from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.realsense import RealSenseCamera, StreamSettings, record
from tests.cameras.software_camera import Pushing, SoftwareCamera
soft = SoftwareCamera()
depths = [np.full((48, 64), index + 1, np.uint16) for index in range(2000)]
colours = [np.zeros((48, 64, 3), np.uint8)] * 2000
settings = StreamSettings(64, 48, 30, settling_frames=0)
with RealSenseCamera(settings, device=soft.device, bag=sys.argv[2]) as camera, FolderWriter(sys.argv[1]) as writer:
    with Pushing(soft, depths, colours):
        record(camera, writer)
"""


def test_a_killed_recorder_leaves_what_it_wrote(tmp_path: Path) -> None:
    folder, path = tmp_path / "out", tmp_path / f"beside{bag_suffix()}"
    command = [sys.executable, "-c", RECORDER, str(folder), str(path)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
    began = time.monotonic()
    while process.poll() is None and len(list(folder.glob("[0-9]*_depth.png"))) < 15 and time.monotonic() - began < 300:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    read = list(RecordingFolder(folder))
    assert len(read) >= 15
    assert all((recording.depth == recording.depth[0, 0]).all() for recording in read)
    if bag_suffix() == ".db3":
        assert sum(1 for _ in BagFile(path)) >= 14


def test_two_cameras_at_once_keep_their_own_clocks_and_intrinsics(tmp_path: Path) -> None:
    small, large = SoftwareCamera(), SoftwareCamera(80, 60, focal=90.0, depth_units=0.0005)
    depths, colours = frames(60)
    large_depths, large_colours = [np.full((60, 80), 7, np.uint16)] * 60, [np.full((60, 80, 3), 8, np.uint8)] * 60
    with (
        RealSenseCamera(SMALL, device=small.device) as lower,
        RealSenseCamera(replace(SMALL, width=80, height=60), device=large.device) as higher,
        FolderWriter(tmp_path / "lower") as one,
        FolderWriter(tmp_path / "higher") as other,
        Pushing(small, depths, colours, interval_s=0.02),
        Pushing(large, large_depths, large_colours, interval_s=0.03),
    ):
        reports = record_pair([lower, higher], [one, other], seconds=0.6)
    assert [report.problem for report in reports] == [None, None]
    pair = PairedRecording(tmp_path)
    assert (len(pair.lower), len(pair.higher)) == tuple(report.frames for report in reports)
    assert (pair.lower.intrinsics.width, pair.lower.intrinsics.fx) == (64, 60.0)
    assert (pair.higher.intrinsics.width, pair.higher.intrinsics.fx) == (80, 90.0)
    np.testing.assert_allclose(np.diff(pair.lower.times_ms), 1000 / 30, atol=0.01)
    assert pair.higher.read(0).depth_mm[0, 0] == pytest.approx(3.5)


def test_one_of_two_cameras_unplugged_ends_both_recordings(tmp_path: Path) -> None:
    small, large = SoftwareCamera(), SoftwareCamera()
    with (
        RealSenseCamera(SMALL, device=small.device) as lower,
        RealSenseCamera(SMALL, device=large.device) as higher,
        FolderWriter(tmp_path / "lower") as one,
        FolderWriter(tmp_path / "higher") as other,
        Pushing(small, *frames(12)),
        Pushing(large, *frames(250)),
    ):
        reports = record_pair([lower, higher], [one, other])
    assert "found no frame for 1 s" in str(reports[0].problem)
    assert reports[1].problem is None
    assert reports[0].frames >= 11
    assert 11 < reports[1].frames < 250


COMMAND = """
import sys, threading
from dataclasses import replace
import numpy as np
from facedepth_kit.cli import main as cli
from facedepth_kit.evaluation import live
from facedepth_kit.panels import live_view
from facedepth_kit.cameras.recorded import realsense
from facedepth_kit.cli import cameras
from tests.cameras.software_camera import Pushing, SoftwareCamera
soft = SoftwareCamera()
realsense.find_camera = lambda serial=None: soft.device
asked = cameras._camera_settings
cameras._camera_settings = lambda camera: replace(asked(camera), timeout_s=1.0)
count = int(sys.argv[1])
depths = [np.full((48, 64), index + 1, np.uint16) for index in range(count)]
colours = [np.full((48, 64, 3), 90, np.uint8)] * count
threading.Thread(target=Pushing(soft, depths, colours).push, daemon=True).start()
sys.exit(cli.main([*sys.argv[2:], "--size", "64x48"]))
"""


def command(count: int, *arguments: str | Path) -> subprocess.Popen[str]:
    """A ``facedepth`` command that finds the software camera, which delivers so many frames."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(count), *map(str, arguments)],
        cwd=Path(__file__).parents[3],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_a_recording(tmp_path: Path) -> None:
    process = command(5000, "record", tmp_path / "out")
    began = time.monotonic()
    while len(list((tmp_path / "out").glob("[0-9]*_depth.png"))) < 10 and time.monotonic() - began < 300:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    frames = len(list(RecordingFolder(tmp_path / "out")))
    assert frames >= 10
    assert out.startswith(f"{tmp_path / 'out'}: {frames} frames")
    assert err.splitlines() == ["Software camera: recording, Ctrl-C ends it"]
    assert not (tmp_path / "out/frames.jsonl").exists()


def test_a_camera_unplugged_while_it_is_watched(tmp_path: Path) -> None:
    process = command(60, "live", "camera", "--enhancer", "None", "--no-pictures")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert out.splitlines()
    assert all("no face" in line for line in out.splitlines())
    assert sum("Software camera: found no frame for 1 s" in line for line in err.splitlines()) == 1


def test_settings_and_files_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="camera"):
        StreamSettings(width=0)
    soft = SoftwareCamera()
    wrong = ".bag" if bag_suffix() == ".db3" else ".db3"
    with pytest.raises(KitError, match=f"expected {bag_suffix()}"):
        RealSenseCamera(SMALL, device=soft.device, bag=tmp_path / f"a{wrong}")
    (tmp_path / f"a{bag_suffix()}").touch()
    with pytest.raises(KitError, match="already there"):
        RealSenseCamera(SMALL, device=soft.device, bag=tmp_path / f"a{bag_suffix()}")


def test_colour_without_depth_is_no_recording(tmp_path: Path) -> None:
    assert cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(KitError, match="found no depth images"):
        open_recordings(tmp_path)
