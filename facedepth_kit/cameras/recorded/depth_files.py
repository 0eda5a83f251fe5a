"""Depth recordings as files, read at the door: 16-bit PNG, TIFF or NPY in the camera's own units.

An NPY may hold a stack of frames (n, height, width), and floats, as programs keep depth in metres. What is no depth
image is refused with one line that says what was found: pictures of 8 bits or in colour, empty or damaged files.
Nothing is guessed and nothing is rescaled.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.arrays import decode_npy, read_npy
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import FRAME_PX, read_file
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.common.pictures import PNG, check_size, decode_picture

Frame = npt.NDArray[np.uint16]

SUFFIXES = (".png", ".tif", ".tiff", ".npy")
EXPECTED = "one 16-bit depth image (uint16, height x width)"
FLOAT_STEP_MM = 0.1  # the steps that floats become: well below any depth camera's noise
NEAREST_MM = 100.0  # no depth camera sees anything nearer: such floats are in another unit
PACKED = (5, 8, 32946, 32773)  # TIFF's numbers of LZW, deflate (two) and PackBits
MOST_FRAMES = 100_000  # of a stack: an hour of 30 a second
CHANNELS = 4  # a last axis of so many or fewer is one of colours or coordinates


def read_frame(path: str | Path) -> Frame:
    """Read a depth frame (height, width) uint16 with its values as they are.

    Raises :class:`KitError`, naming the file, when it is missing, empty, damaged or anything but one 16-bit channel.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise KitError(f"{path}: found a file ending in {path.suffix or 'nothing'}, expected {', '.join(SUFFIXES)}")
    data = _read_bytes(path)
    array = {".png": _decode_png, ".npy": _decode_npy}.get(path.suffix.lower(), _decode_tiff)(path, data)
    frame = _check_frame(path, array)
    check_size(path, frame.shape[1], frame.shape[0], FRAME_PX)
    return frame


@dataclass(frozen=True, eq=False)
class DepthFile:
    """A depth file opened: its one frame, or the frames of an NPY stack.

    ``stored`` (n, height, width) holds its values as they lie on disk, ``stored_mm`` says how many millimetres a step
    of them is: uint16 with 0 as hole; or floats, of which NaN, infinity and what is not above 0 are holes.
    """

    path: Path
    stored: npt.NDArray[Any]
    stored_mm: float
    is_stack: bool

    def __len__(self) -> int:
        return len(self.stored)

    @property
    def unit_mm(self) -> float:
        """Millimetres a step of the frames: the file's own; a tenth of a millimetre where it holds floats."""
        return FLOAT_STEP_MM if self.stored.dtype.kind == "f" else self.stored_mm

    def frame(self, index: int) -> Frame:
        """A frame (height, width) uint16 with 0 as hole.

        Of floats, what lies beyond 6.55 m is put there. Raises :class:`KitError` for floats in another unit.
        """
        values = np.asarray(self.stored[index])
        if values.dtype.kind != "f":
            return np.array(values, np.uint16, order="C")
        seen = np.isfinite(values) & (values > 0)
        depth_mm = np.where(seen, np.minimum(values.astype(np.float64), 1e6), 0) * self.stored_mm
        farthest = float(depth_mm.max())
        if seen.any() and farthest < NEAREST_MM:
            found = f"floats of at most {farthest:.3g} mm at --unit-mm {self.stored_mm:g}"
            raise KitError(f"{self.path}: found {found}, expected more (depth in metres: --unit-mm 1000)")
        return np.where(seen, np.clip(np.rint(depth_mm / FLOAT_STEP_MM), 1, 65535), 0).astype(np.uint16)

    def save(self, path: Path, frames: Mapping[int, Frame], *, overwrite: bool = False) -> None:
        """Write the file with some frames replaced: same kind, shape and unit, and pixels that are the same as before.

        Raises as :func:`write_frame` does.
        """
        if not self.is_stack and self.stored.dtype.kind != "f":
            write_frame(path, frames[0], overwrite=overwrite)
            return
        result = np.array(self.stored)
        for index, frame in frames.items():
            changed = frame != self.frame(index)
            steps = frame[changed] * (self.unit_mm / self.stored_mm)
            result[index][changed] = steps if result.dtype.kind == "f" else frame[changed]
        buffer = io.BytesIO()
        np.save(buffer, result if self.is_stack else result[0], allow_pickle=False)
        with write_atomically(path, overwrite) as temporary:
            temporary.write_bytes(buffer.getbuffer())


def open_depth(path: str | Path, unit_mm: float = 1.0) -> DepthFile:
    """Open a depth file, whose steps are ``unit_mm`` millimetres; an NPY stack stays on disk until it is read.

    Raises :class:`KitError` as :func:`read_frame` does, but for stacks and floats.
    """
    path = Path(path)
    if path.suffix.lower() != ".npy":
        return DepthFile(path, read_frame(path)[None], unit_mm, False)
    stored = read_npy(path, mapped=True)
    if not _holds_depth(stored.dtype, stored.shape):
        stored = _check_frame(path, stored)
    check_size(path, stored.shape[-1], stored.shape[-2], FRAME_PX)
    if stored.ndim == 3 and len(stored) > MOST_FRAMES:
        raise KitError(f"{path}: found {len(stored):,} frames, expected at most {MOST_FRAMES:,} in a stack")
    return DepthFile(path, stored if stored.ndim == 3 else stored[None], unit_mm, stored.ndim == 3)


def frames_in_stack(path: Path) -> int | None:
    """How many frames an NPY stack holds; None for any other file, damaged ones too."""
    if path.suffix.lower() != ".npy":
        return None
    try:
        file = open_depth(path)
    except KitError:
        return None
    return len(file) if file.is_stack else None


def _holds_depth(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Whether an array may be depth: uint16 or floats, one image or a stack of some."""
    right = dtype.kind == "f" or (dtype.kind == "u" and dtype.itemsize == 2)
    return right and len(shape) in (2, 3) and min(shape) > 0 and shape[-1] > CHANNELS


def read_picture(path: str | Path, index: int | None = None) -> npt.NDArray[np.generic]:
    """Read an aligned colour or infrared picture: uint8 or uint16, (height, width) or RGB (height, width, 3).

    ``index``: which of an NPY stack. Raises :class:`KitError` when it is missing, empty or damaged.
    """
    path = Path(path)
    if path.suffix.lower() == ".npy":
        picture = read_npy(path, mapped=index is not None)
        if index is not None:
            if not picture.ndim or index >= len(picture):
                raise KitError(f"{path}: found shape {picture.shape}, expected a picture for frame {index}")
            picture = np.array(picture[index])
        fits = picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
        if picture.dtype not in (np.uint8, np.uint16) or not fits:
            found = f"{picture.dtype} of shape {picture.shape}"
            raise KitError(f"{path}: found {found}, expected uint8 or uint16, (height, width) or (height, width, 3)")
        check_size(path, picture.shape[1], picture.shape[0], FRAME_PX)
        return picture
    picture = decode_picture(path, _read_bytes(path), FRAME_PX, "a colour or infrared picture")
    if picture.dtype not in (np.uint8, np.uint16):
        raise KitError(f"{path}: found pixels of {picture.dtype}, expected 8 or 16 bits a channel")
    if picture.ndim == 2:
        return picture
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture[..., :3]), cv2.COLOR_BGR2RGB))


def write_frame(path: str | Path, frame: Frame, *, overwrite: bool = False) -> None:
    """Write a depth frame (height, width) uint16 in the format of the path's ending, all at once or not at all.

    Raises :class:`KitError` for another array, another ending or a file that is already there, and ``OSError`` when
    the disk refuses.
    """
    path = Path(path)
    _check_frame(path, frame)
    kind = path.suffix.lower()
    buffer = io.BytesIO()
    if kind == ".npy":
        np.save(buffer, frame, allow_pickle=False)
    elif kind == ".png":
        buffer.write(cv2.imencode(".png", frame)[1].tobytes())
    elif kind in (".tif", ".tiff"):
        import tifffile

        tifffile.imwrite(buffer, frame, photometric="minisblack")
    else:
        raise KitError(f"{path}: found an ending {path.suffix!r}, expected {', '.join(SUFFIXES)}")
    with write_atomically(path, overwrite) as temporary:
        temporary.write_bytes(buffer.getvalue())


def depth_files(folder: str | Path, *, without: Path | None = None) -> list[Path]:
    """The depth recordings in a folder and its subfolders, sorted.

    Files named ``*_depth.<png, tif, tiff, npy>`` where there are any; otherwise every such file that is not plainly
    something else (its header says 8 bits or colour). Hidden files and what lies in ``without`` do not count. Raises
    :class:`KitError` when there are none.
    """
    folder = Path(folder)
    files = sorted(_files(folder, without.resolve() if without else None))
    named = [path for path in files if path.stem.endswith("_depth")]
    chosen = named or [path for path in files if _may_be_depth(path)]
    if not chosen:
        raise KitError(f"{folder}: found no depth images, expected *_depth.png or other 16-bit {', '.join(SUFFIXES)}")
    return chosen


def aligned_picture(path: str | Path, suffix: str) -> Path:
    """The picture beside a depth file: ``x_depth.png`` and ``_infrared.png`` give ``x_infrared.png``."""
    path = Path(path)
    return path.with_name(path.stem.removesuffix("_depth") + suffix)


def _files(folder: Path, without: Path | None) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in SUFFIXES or path.is_dir():
            continue
        # Not Path.resolve: it raises for links in a circle, which are to be reported as such.
        if without is None or without not in Path(os.path.realpath(path)).parents:
            yield path


def _may_be_depth(path: Path) -> bool:
    """False for readable headers of anything but one 16-bit channel; damaged files count, to be reported as such."""
    if not path.is_file():  # a pipe, a link to nowhere: reading it properly will say so
        return True
    try:
        with path.open("rb") as file:
            if path.suffix.lower() == ".png":
                header = file.read(33)
                return header[:8] != PNG or len(header) < 33 or header[24:26] == b"\x10\x00"
            if path.suffix.lower() == ".npy":
                stored = read_npy(path, mapped=True)
                return _holds_depth(stored.dtype, stored.shape)
            import tifffile

            page: Any = tifffile.TiffFile(file).pages[0]
            return page.dtype == np.uint16 and len(page.shape) == 2
    except Exception:  # whatever is wrong with it, reading it properly will say so
        return True


def _read_bytes(path: Path) -> bytes:
    data = read_file(path, EXPECTED)
    if not data:
        raise KitError(f"{path}: found an empty file, expected {EXPECTED}")
    return data


def _check_frame(path: Path, array: npt.NDArray[np.generic]) -> Frame:
    kind = array.dtype
    if kind.kind != "u" or kind.itemsize != 2:
        nan = kind.kind == "f" and bool(np.isnan(array).any())
        found = (
            "8-bit picture"
            if kind.kind == "u" and kind.itemsize == 1
            else f"dtype {kind}" + (" with NaN" if nan else "")
        )
        raise KitError(f"{path}: found {found}, expected uint16 in the camera's units with 0 as hole")
    if array.ndim != 2 or array.size == 0:
        raise KitError(f"{path}: found shape {array.shape}, expected {EXPECTED}")
    return np.ascontiguousarray(array.astype(np.uint16, copy=False))


def _decode_png(path: Path, data: bytes) -> npt.NDArray[np.generic]:
    if not data.startswith(PNG) or len(data) < 33:
        raise KitError(f"{path}: found no PNG inside, expected {EXPECTED}")
    bits, colour = data[24], data[25]
    if colour != 0:
        kind = "grey picture with transparency" if colour == 4 else "colour picture"
        raise KitError(f"{path}: found a {bits}-bit {kind}, expected {EXPECTED}")
    if bits != 16:
        raise KitError(f"{path}: found a {bits}-bit picture, expected {EXPECTED}; 8 bits cannot hold depth")
    return decode_picture(path, data, FRAME_PX, EXPECTED)


def _decode_npy(path: Path, data: bytes) -> npt.NDArray[np.generic]:
    if not data.startswith(b"\x93NUMPY"):
        raise KitError(f"{path}: found no NPY array inside, expected {EXPECTED}")
    return decode_npy(path, data)


def _decode_tiff(path: Path, data: bytes) -> npt.NDArray[np.generic]:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as tiff:
            if len(tiff.pages) != 1:
                raise KitError(f"{path}: found a TIFF of {len(tiff.pages)} frames, expected {EXPECTED}")
            page: Any = tiff.pages[0]
            if page.dtype != np.uint16 or len(page.shape) != 2:
                raise KitError(f"{path}: found {page.dtype} pixels of shape {page.shape}, expected {EXPECTED}")
            check_size(path, page.shape[1], page.shape[0], FRAME_PX)
            ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
            if max(ends, default=0) > len(data):
                raise KitError(f"{path}: found a truncated TIFF of {len(data)} bytes, expected {EXPECTED}")
            if int(page.compression) == 1:
                return np.asarray(page.asarray())
            if int(page.compression) not in PACKED:
                raise KitError(f"{path}: found a TIFF packed in another way, expected it plain or by LZW or deflate")
    except KitError:
        raise
    except Exception as error:  # tifffile raises many kinds on damaged files
        raise KitError(f"{path}: found a damaged TIFF, expected {EXPECTED}") from error
    # Compressed strips: OpenCV knows LZW and deflate without a further package.
    return decode_picture(path, data, FRAME_PX, f"{EXPECTED}, plain or LZW or deflate")
