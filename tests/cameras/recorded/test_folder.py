"""Folders of recordings: written and read back, killed in the middle, and real folders as they are."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit.cameras.recorded.depth_files import write_frame
from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.common.errors import KitError

INTRINSICS = Intrinsics(40, 30, 50.0, 51.0, 19.5, 14.5)


def frame(rng: np.random.Generator, name: str = "", *, infrared: bool = False, **more: object) -> RecordedFrame:
    picture = (
        rng.integers(0, 65536, (30, 40), dtype=np.uint16)
        if infrared
        else rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    )
    depth = rng.integers(0, 9000, (30, 40), dtype=np.uint16)
    return RecordedFrame(name, depth, unit_mm=0.1, picture=picture, **more)  # type: ignore[arg-type]


def test_what_is_written_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    marks = np.array([[1.5, 2.0], [np.nan, np.nan]])
    frames = [
        frame(rng, "a", person="0001", session="s2", variant="print", marks=marks, mark_names=("nose tip", "chin")),
        frame(rng, "b", infrared=True),
        frame(rng),
    ]
    with FolderWriter(tmp_path / "out", unit_mm=0.1, intrinsics=INTRINSICS, simulated=True) as writer:
        for recording in frames:
            writer.write(recording)
    found = RecordingFolder(tmp_path / "out")
    assert found.simulated
    assert len(found) == 3
    for given, read in zip([frames[2], *frames[:2]], found, strict=True):
        np.testing.assert_array_equal(read.depth, given.depth)
        np.testing.assert_array_equal(read.picture, given.picture)
        assert read.intrinsics == INTRINSICS
        assert read.unit_mm == 0.1
        assert read.simulated
        assert (read.person, read.session, read.variant) == (given.person, given.session, given.variant)
    first = found.read("a")
    assert first.mark_names == ("nose tip", "chin")
    np.testing.assert_array_equal(first.marks, marks)
    assert found.names == ["000002", "a", "b"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "000002_color.png",
        "000002_depth.png",
        "a_color.png",
        "a_depth.png",
        "b_depth.png",
        "b_infrared.png",
        "recording.json",
    ]
    assert found.damaged == []


def test_several_threads_may_write(tmp_path: Path, rng: np.random.Generator) -> None:
    frames = [frame(rng, variant=str(index)) for index in range(40)]
    with FolderWriter(tmp_path, unit_mm=0.1) as writer, ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(writer.write, frames))
    assert len(set(paths)) == 40
    found = {read.variant: read for read in RecordingFolder(tmp_path)}
    for given in frames:
        np.testing.assert_array_equal(found[given.variant].depth, given.depth)


WRITER = """
import sys, time
import numpy as np
from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import RecordedFrame
writer = FolderWriter(sys.argv[1], unit_mm=0.5)
for index in range(100_000):
    depth = np.full((480, 640), index + 1, np.uint16)
    writer.write(RecordedFrame("", depth, unit_mm=0.5, picture=np.zeros((480, 640, 3), np.uint8), variant=str(index)))
"""


def test_a_killed_recorder_leaves_a_readable_recording(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)])
    while process.poll() is None and len(list(folder.glob("[0-9]*_depth.png"))) < 12:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = RecordingFolder(folder)
    frames = list(found)
    assert len(frames) >= 12
    assert found.damaged == []
    for index, read in enumerate(frames):
        assert (read.depth == index + 1).all()
        assert read.unit_mm == 0.5
        assert read.variant == str(index)  # from frames.jsonl, which close() would have moved
        assert read.picture is not None
    with (folder / "frames.jsonl").open("a") as file:
        file.write('{"name": "000001", "vari')  # the kill may hit in the middle of a line
    assert len(list(RecordingFolder(folder))) == len(frames)


def test_lines_of_three_gigabytes_are_refused_unread(tmp_path: Path, rng: np.random.Generator) -> None:
    with FolderWriter(tmp_path, unit_mm=0.1) as writer:
        writer.write(frame(rng, "1"))
    with (tmp_path / "frames.jsonl").open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(KitError, match=r"frames\.jsonl: found 3,000,000,000 bytes, expected .* at most"):
        RecordingFolder(tmp_path)


def test_an_exception_closes_the_recording(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(ZeroDivisionError), FolderWriter(tmp_path, unit_mm=0.1) as writer:
        writer.write(frame(rng, "1", variant="x"))
        raise ZeroDivisionError
    assert json.loads((tmp_path / "recording.json").read_text())["frames"] == {"1": {"variant": "x"}}
    assert not (tmp_path / "frames.jsonl").exists()


def test_nothing_is_overwritten_unasked(tmp_path: Path, rng: np.random.Generator) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with FolderWriter(tmp_path, unit_mm=0.1) as writer:
        writer.write(frame(rng, "1"))
        writer.write(frame(rng, "2"))
        with pytest.raises(KitError, match="frame of that name"):
            writer.write(frame(rng, "1"))
        with pytest.raises(KitError, match="plain name"):
            writer.write(frame(rng, "../1"))
        with pytest.raises(KitError, match="steps of 1"):
            writer.write(RecordedFrame("3", np.ones((30, 40), np.uint16)))
    with pytest.raises(KitError, match="--overwrite"):
        FolderWriter(tmp_path)
    with FolderWriter(tmp_path, unit_mm=0.1, overwrite=True) as writer:
        writer.write(frame(rng, "9"))
    assert RecordingFolder(tmp_path).names == ["9"]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    with pytest.raises(KitError, match="found a file"):
        FolderWriter(tmp_path / "notes.txt")


def test_an_old_recording_stays_until_there_is_a_new_one(tmp_path: Path, rng: np.random.Generator) -> None:
    with FolderWriter(tmp_path) as writer:
        writer.write(frame(rng, "1", variant="x"))
    (tmp_path / ".partial-0-recording.json").touch()  # a killed run's
    with FolderWriter(tmp_path, overwrite=True):
        pass
    assert RecordingFolder(tmp_path).read("1").variant == "x"
    with FolderWriter(tmp_path, overwrite=True) as writer:
        writer.write(frame(rng, "2"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2_color.png", "2_depth.png", "recording.json"]


def test_of_two_recordings_in_a_new_folder_one_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    first, second = FolderWriter(tmp_path / "new"), FolderWriter(tmp_path / "new")
    first.write(frame(rng, "1", variant="x"))
    for name in ("1", "2"):
        with pytest.raises(KitError, match="another run at work"):
            second.write(frame(rng, name))
    first.close()
    with pytest.raises(KitError, match="found a recording"):
        second.write(frame(rng, "2"))
    second.close()
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "1_color.png",
        "1_depth.png",
        "recording.json",
    ]


def test_frames_are_described_in_the_order_of_their_numbers(tmp_path: Path, rng: np.random.Generator) -> None:
    with FolderWriter(tmp_path) as writer:  # two threads may come in this order
        for name in ("10", "9"):
            writer.write(frame(rng, name, variant=name))
    assert list(json.loads((tmp_path / "recording.json").read_text())["frames"]) == ["9", "10"]


def test_frames_in_the_order_of_their_numbers_and_of_nested_folders(tmp_path: Path) -> None:
    for name in ("b/10", "b/9", "a/100", "a/2"):
        write_frame(tmp_path / f"{name}_depth.png", np.ones((4, 4), np.uint16))
    (tmp_path / "recording.json").write_text('{"unit_mm": 0.25}')
    (tmp_path / "b/recording.json").write_text('{"unit_mm": 2, "simulated": true}')
    found = RecordingFolder(tmp_path)
    assert found.names == ["a/2", "a/100", "b/9", "b/10"]
    assert [read.unit_mm for read in found] == [0.25, 0.25, 2, 2]
    assert [read.simulated for read in found] == [False, False, True, True]
    assert found.simulated
    assert [read.unit_mm for read in RecordingFolder(tmp_path, unit_mm=3)] == [3] * 4


def test_plain_depth_images_are_a_recording_too(tmp_path: Path) -> None:
    write_frame(tmp_path / "x.tif", np.ones((4, 4), np.uint16))
    write_frame(tmp_path / "x_infrared.png", np.ones((4, 4), np.uint16))  # 16 bits, but a picture
    (only,) = RecordingFolder(tmp_path)
    assert (only.name, only.unit_mm, only.intrinsics, only.person) == ("x", 1.0, None, "")
    assert only.picture is not None


def test_damaged_files_are_named_and_the_rest_goes_on(tmp_path: Path, rng: np.random.Generator) -> None:
    with FolderWriter(tmp_path, unit_mm=0.1) as writer:
        for name in "abcd":
            writer.write(frame(rng, name, marks=np.zeros((1, 2)), mark_names=("nose tip",)))
    whole = (tmp_path / "a_depth.png").read_bytes()
    (tmp_path / "a_depth.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b_color.png").write_bytes(b"")
    cv2.imwrite(str(tmp_path / "c_color.png"), np.zeros((9, 9, 3), np.uint8))
    content = json.loads((tmp_path / "recording.json").read_text())
    content["frames"]["d"]["marks"] = [[1, "x"]]
    (tmp_path / "recording.json").write_text(json.dumps(content))
    found = RecordingFolder(tmp_path)
    frames = {read.name: read for read in found}
    assert list(frames) == ["b", "c", "d"]
    assert frames["b"].picture is None
    assert frames["c"].picture is None
    assert frames["d"].marks is None
    assert len(found.damaged) == 4
    for name in ("a_depth.png", "b_color.png", "9x9 pixels, expected 40x30", "recording.json"):
        assert sum(name in line for line in found.damaged) == 1, name
    for name in "abcd":
        with pytest.raises(KitError):
            found.read(name)


@pytest.mark.parametrize(
    "content",
    [
        '{"unit_mm": 0}',
        '{"unit_mm": "1"}',
        '{"unit_mm": NaN}',
        '{"unit_mm": true}',
        "[]",
        "{",
        "",
        '{"frames": 3}',
        '{"intrinsics": {"fx": 1}}',
        '{"intrinsics": {"width": 4, "height": 4, "fx": "?", "fy": 1, "cx": 1, "cy": 1}}',
        '{"intrinsics": {"width": 4, "height": -4, "fx": 1, "fy": 1, "cx": 1, "cy": 1}}',
        '{"unit_mm": 1e400}',
        '{"unit_mm": 1' + "0" * 400 + "}",
        '{"frames": {"1": 3}}',
        '{"frames": {"1": {"person": [1]}}}',
        '{"simulated": "no"}',
        '{"mark_names": 5}',
        "[" * 100_000,
        '{"frames": ' + "[" * 100_000,
    ],
)
def test_a_damaged_description_is_one_line(tmp_path: Path, content: str) -> None:
    write_frame(tmp_path / "1_depth.png", np.ones((4, 4), np.uint16))
    (tmp_path / "recording.json").write_text(content)
    with pytest.raises(KitError, match=r"recording\.json: found") as caught:
        RecordingFolder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("marks", ['[[1, "x"]]', "[[1, 1e300]]", "[[1, 2, 3]]", "7", "[[1, 2], [3, 4]]"])
def test_points_that_are_none_are_named_and_left_out(tmp_path: Path, marks: str) -> None:
    write_frame(tmp_path / "1_depth.png", np.ones((4, 4), np.uint16))
    (tmp_path / "recording.json").write_text(f'{{"mark_names": ["nose"], "frames": {{"1": {{"marks": {marks}}}}}}}')
    found = RecordingFolder(tmp_path)
    (only,) = found
    assert only.marks is None
    (line,) = found.damaged
    assert "recording.json: found" in line
    assert "\n" not in line
    (tmp_path / "recording.json").unlink()
    for content in ("[1]", '{"1": 3}', f'{{"1": {{"points_xy": {marks}}}}}', "{"):
        (tmp_path / "landmarks.json").write_text(content)
        found = RecordingFolder(tmp_path)
        assert [read.marks for read in found] == [None]
        assert "landmarks.json: found" in found.damaged[0]


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(KitError, match=str(root)):
            RecordingFolder(root)
    write_frame(tmp_path / "1_depth.png", np.ones((4, 4), np.uint16))
    with pytest.raises(KitError, match="no frame 'x'"):
        RecordingFolder(tmp_path).read("x")


def test_kinect_faces_with_their_points(real_depth: Path) -> None:
    found = RecordingFolder(real_depth / "kinect_v2_faces")
    frames = list(found)
    assert len(frames) == 198
    assert found.damaged == []
    assert len({read.person for read in frames}) == 11
    for read in frames:
        assert read.unit_mm == 1.0
        assert read.picture is not None
        assert read.picture.dtype == np.uint16
        assert read.marks is not None
        assert read.marks.shape == (15, 2)
        assert (read.marks >= 0).all()
        assert (read.marks < np.array(read.depth.shape[::-1])).all()
    # Hand-placed on the infrared image: between the eyes, below them, above the mouth.
    names = frames[0].mark_names
    nose = np.array([read.marks[names.index("nose tip")] for read in frames if read.marks is not None])
    eyes = np.array([read.marks[:8].mean(axis=0) for read in frames if read.marks is not None])
    mouth = np.array([read.marks[names.index("mouth bottom")] for read in frames if read.marks is not None])
    assert (nose[:, 1] > eyes[:, 1]).all()
    assert (mouth[:, 1] > nose[:, 1]).all()


def test_truedepth_frames_with_the_phones_intrinsics(real_depth: Path) -> None:
    found = RecordingFolder(real_depth / "truedepth_mannequin")
    frames = list(found)
    assert len(frames) == 10
    assert found.damaged == []
    for read in frames:
        assert read.unit_mm == 0.1
        assert read.depth.shape == (320, 240)
        near_mm = np.percentile(read.depth[read.depth > 0], 1) * read.unit_mm
        assert 200 < near_mm < 400
        assert read.intrinsics is not None
        # 2881 px of a photograph 3088 wide, on 320 px; the middle within a few pixels of the frame's.
        assert read.intrinsics.fx == pytest.approx(2881.16 * 320 / 3088, rel=0.01)
        assert read.intrinsics.cx == pytest.approx(119.5, abs=3)
        assert read.intrinsics.cy == pytest.approx(159.5, abs=3)


def test_a_stack_counts_as_so_many_frames_with_the_pictures_beside_it(tmp_path: Path) -> None:
    frames = np.arange(3 * 20 * 30, dtype=np.uint16).reshape(3, 20, 30) + np.uint16(5000)
    colours = np.stack([np.full((20, 30, 3), index, np.uint8) for index in range(3)])
    np.save(tmp_path / "take_depth.npy", frames)
    np.save(tmp_path / "take_color.npy", colours)
    (tmp_path / "recording.json").write_text(json.dumps({"unit_mm": 0.1, "frames": {"take/000001": {"person": "7"}}}))
    for root in (tmp_path, tmp_path / "take_depth.npy"):
        found = open_recordings(root)
        assert len(found) == 3
        for index, read in enumerate(found):
            assert read.name == f"take/{index:06d}"
            assert read.unit_mm == 0.1
            assert read.person == ("7" if index == 1 else "")
            np.testing.assert_array_equal(read.depth, frames[index])
            assert read.picture is not None
            assert (read.picture == index).all()
        assert found.damaged == []
