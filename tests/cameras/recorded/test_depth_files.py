"""Depth files at the door: what is read as it is, and what is refused with which words."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from facedepth_kit.cameras.recorded.depth_files import (
    aligned_picture,
    depth_files,
    open_depth,
    read_frame,
    read_picture,
    write_frame,
)
from facedepth_kit.common.errors import KitError


@pytest.fixture
def frame(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 65536, (40, 31), dtype=np.uint16)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF", "a.npy"])
def test_every_value_survives_every_format(tmp_path: Path, frame: np.ndarray, name: str) -> None:
    write_frame(tmp_path / name, frame)
    np.testing.assert_array_equal(read_frame(tmp_path / name), frame)
    with pytest.raises(KitError, match="already there"):
        write_frame(tmp_path / name, frame)
    write_frame(tmp_path / name, frame + np.uint16(1), overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_files_of_other_programs_are_read(tmp_path: Path, frame: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "lzw.tiff"), frame)  # OpenCV compresses
    tifffile.imwrite(tmp_path / "big.tif", frame, byteorder=">")
    np.save(tmp_path / "big.npy", frame.astype(">u2"))
    np.save(tmp_path / "columns.npy", np.asfortranarray(frame))
    for name in ("lzw.tiff", "big.tif", "big.npy", "columns.npy"):
        read = read_frame(tmp_path / name)
        assert read.dtype == np.dtype("uint16")
        np.testing.assert_array_equal(read, frame)


@pytest.mark.parametrize("kind", ["uint16", "float32", "float64"])
def test_a_stack_is_read_frame_by_frame_and_changes_only_where_a_frame_did(tmp_path: Path, kind: str) -> None:
    metres = np.linspace(0.4, 1.6, 3 * 20 * 30).reshape(3, 20, 30)
    stored = (metres * 1000).astype(kind) if kind == "uint16" else metres.astype(kind)
    stored[0, 0, :4] = 0 if kind == "uint16" else (np.nan, np.inf, -1, 0)
    np.save(tmp_path / "take.npy", stored)
    file = open_depth(tmp_path / "take.npy", 1.0 if kind == "uint16" else 1000.0)
    assert (len(file), file.is_stack) == (3, True)
    for index in range(3):
        frame = file.frame(index)
        assert frame.dtype == np.uint16
        seen = frame > 0
        assert (~seen).sum() == (4 if index == 0 else 0)
        assert np.abs(frame * file.unit_mm - metres[index] * 1000)[seen].max() <= (1 if kind == "uint16" else 0.06)
    changed = file.frame(0)
    changed[0, 1] = round(700 / file.unit_mm)
    file.save(tmp_path / "out.npy", {0: changed})
    after = np.load(tmp_path / "out.npy")
    assert after.dtype == stored.dtype
    assert after[0, 0, 1] == pytest.approx(700 if kind == "uint16" else 0.7)
    after[0, 0, 1] = stored[0, 0, 1]
    np.testing.assert_array_equal(after, stored)


def test_metres_that_are_taken_for_millimetres_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((20, 30), 0.7, np.float32))
    with pytest.raises(KitError, match=r"a\.npy: found floats of at most 0\.7 mm at --unit-mm 1, .*--unit-mm 1000"):
        open_depth(tmp_path / "a.npy").frame(0)
    assert (open_depth(tmp_path / "a.npy", 1000).frame(0) == 7000).all()


@pytest.mark.parametrize("shape", [(0, 20, 30), (20, 30, 3), (2, 2, 20, 30), (30,)])
def test_arrays_of_another_shape_are_no_stacks(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape, np.uint16))
    with pytest.raises(KitError, match=r"a\.npy: found shape"):
        open_depth(tmp_path / "a.npy")


def bad_files(folder: Path) -> dict[str, str]:
    """Files that are no depth images, each with words its refusal must say."""
    frame = np.arange(1200, dtype=np.uint16).reshape(40, 30)
    cv2.imwrite(str(folder / "grey8.png"), frame.astype(np.uint8))
    cv2.imwrite(str(folder / "colour8.png"), np.zeros((40, 30, 3), np.uint8))
    cv2.imwrite(str(folder / "colour16.png"), np.zeros((40, 30, 3), np.uint16))
    (folder / "empty.png").touch()
    (folder / "empty.npy").touch()
    (folder / "text.png").write_text("not a picture at all, but long enough to hold a header\n")
    (folder / "text.tif").write_text("not a picture")
    (folder / "text.npy").write_text("not an array")
    for name in ("good.png", "good.npy", "good.tif"):
        write_frame(folder / name, frame)
        data = (folder / name).read_bytes()
        (folder / name.replace("good", "cut")).write_bytes(data[: len(data) * 2 // 3])
        (folder / name.replace("good", "stub")).write_bytes(data[:20])
        (folder / name).unlink()
    flipped = bytearray(cv2.imencode(".png", frame)[1].tobytes())
    flipped[len(flipped) // 2] ^= 255
    (folder / "flipped.png").write_bytes(bytes(flipped))
    tifffile.imwrite(folder / "frames.tif", np.stack([frame, frame]), photometric="minisblack")
    tifffile.imwrite(folder / "float.tif", frame.astype(np.float32))
    np.save(folder / "float.npy", frame.astype(np.float64))
    np.save(folder / "nan.npy", np.where(frame == 0, np.nan, frame))
    np.save(folder / "signed.npy", frame.astype(np.int16))
    np.save(folder / "bytes.npy", frame.astype(np.uint8))
    np.save(folder / "three.npy", np.stack([frame, frame]))
    np.save(folder / "none.npy", frame[:0])
    np.save(folder / "objects.npy", np.array([frame, None], dtype=object), allow_pickle=True)
    (folder / "depth.jpg").touch()
    (folder / "folder.png").mkdir()
    return {
        "grey8.png": "8-bit",
        "colour8.png": "8-bit colour picture",
        "colour16.png": "16-bit colour picture",
        "empty.png": "empty file",
        "empty.npy": "empty file",
        "text.png": "no PNG",
        "text.tif": "damaged TIFF",
        "text.npy": "no NPY array",
        "cut.png": "damaged PNG",
        "cut.npy": r"found 1,\d+ bytes, expected 2,528",
        "cut.tif": "TIFF",
        "stub.png": "no PNG",
        "stub.npy": "damaged NPY header",
        "stub.tif": "TIFF",
        "flipped.png": "damaged PNG",
        "frames.tif": "2 frames",
        "float.tif": "float32",
        "float.npy": "float64, expected uint16",
        "nan.npy": "NaN",
        "signed.npy": "int16",
        "bytes.npy": "8-bit",
        "three.npy": r"shape \(2, 40, 30\)",
        "none.npy": r"shape \(0, 30\)",
        "objects.npy": "NPY",
        "depth.jpg": "ending in .jpg",
        "folder.png": "found a folder",
        "missing.png": "no such file",
    }


def test_what_is_no_depth_image_is_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name, words in bad_files(tmp_path).items():
        with pytest.raises(KitError, match=words) as refusal:
            read_frame(tmp_path / name)
        message = str(refusal.value)
        assert name in message, message
        assert "\n" not in message
    assert capfd.readouterr().err == ""  # no library's own warnings beside our line


def test_pictures_come_as_rgb_or_grey(tmp_path: Path) -> None:
    picture = np.zeros((5, 4, 3), np.uint8)
    picture[..., 0] = 200  # red
    cv2.imwrite(str(tmp_path / "c.png"), picture[..., ::-1])
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([picture[..., ::-1], np.full((5, 4), 255, np.uint8)]))
    cv2.imwrite(str(tmp_path / "i.png"), np.full((5, 4), 4000, np.uint16))
    np.testing.assert_array_equal(read_picture(tmp_path / "c.png"), picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), picture)
    assert read_picture(tmp_path / "i.png").dtype == np.uint16
    (tmp_path / "d.jpg").write_bytes(b"\xff\xd8 nothing")
    with pytest.raises(KitError, match=r"d\.jpg"):
        read_picture(tmp_path / "d.jpg")


def test_in_a_folder_names_that_say_depth_win(tmp_path: Path) -> None:
    frame = np.ones((8, 8), np.uint16)
    for name in (
        "a/001_depth.png",
        "a/001_infrared.png",
        "b/002_depth.npy",
        ".hidden/003_depth.png",
        "out/004_depth.png",
    ):
        write_frame(tmp_path / name, frame)
    found = depth_files(tmp_path, without=tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a/001_depth.png", "b/002_depth.npy"]


def test_in_a_folder_other_pictures_are_left_out(tmp_path: Path) -> None:
    frame = np.ones((8, 8), np.uint16)
    for name in ("one.png", "two.tif", "three.npy"):
        write_frame(tmp_path / name, frame)
    cv2.imwrite(str(tmp_path / "colour.png"), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "grey.png"), np.zeros((8, 8), np.uint8))
    np.save(tmp_path / "points.npy", np.zeros((68, 2)))
    tifffile.imwrite(tmp_path / "grey.tif", np.zeros((8, 8), np.uint8))
    (tmp_path / "broken.png").touch()  # may have been a depth image: to be reported, not passed over
    (tmp_path / "notes.txt").touch()
    names = [path.name for path in depth_files(tmp_path)]
    assert names == ["broken.png", "one.png", "three.npy", "two.tif"]


def test_a_folder_without_depth_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no depth images"):
        depth_files(tmp_path)


def test_the_picture_beside_a_depth_file() -> None:
    assert aligned_picture("a/007_depth.png", "_infrared.png") == Path("a/007_infrared.png")
    assert aligned_picture("a/007.npy", "_color.jpg") == Path("a/007_color.jpg")
