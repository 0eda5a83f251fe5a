"""The one reader of NPY and NPZ files: header, kind and size are checked before any value is read or mapped.

Nothing is unpickled. A header has at most 10,000 characters (NumPy's limit), and the file must be exactly as long as
its header says.
"""

from __future__ import annotations

import io
import math
import sys
import warnings
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import FILE_BYTES, read_file, refuse_irregular

Array = npt.NDArray[Any]
TEXT = "text"
LONGEST_HEADER = 16_384  # bytes


@dataclass(frozen=True)
class Kind:
    """What an array must be: its dtype (or :data:`TEXT`), and its shape with None for any length."""

    dtype: str
    shape: tuple[int | None, ...] = ()

    def __str__(self) -> str:
        lengths = ", ".join("n" if length is None else str(length) for length in self.shape)
        return f"{self.dtype} of shape ({lengths}{',' if len(self.shape) == 1 else ''})"

    def admits(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
        """Whether an array of that dtype and shape is of this kind."""
        right = dtype.kind == "U" if self.dtype == TEXT else dtype == np.dtype(self.dtype)
        lengths = zip(self.shape, shape, strict=False)
        return right and len(shape) == len(self.shape) and all(wanted in (None, length) for wanted, length in lengths)


@dataclass(frozen=True)
class _Header:
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    offset: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def read_npy(path: str | Path, kind: Kind | None = None, *, mapped: bool = False) -> Array:
    """The array of an NPY file, which must be of ``kind``; ``mapped`` leaves it on disk until its values are used.

    Raises :class:`KitError`, naming the file, for anything else.
    """
    path = Path(path)
    expected = f"an NPY array{f', {kind}' if kind else ''}"
    if not mapped:
        return decode_npy(path, read_file(path, expected), kind)
    refuse_irregular(path, expected, whole=False)
    try:
        with path.open("rb") as file:
            header = _read_header(io.BytesIO(file.read(LONGEST_HEADER)), path.stat().st_size, str(path), kind)
    except FileNotFoundError:
        raise KitError(f"{path}: found no such file, expected {expected}") from None
    except OSError as error:
        raise KitError(f"{path}: found a file that cannot be read ({error.strerror}), expected {expected}") from None
    if not header.count:
        return np.empty(header.shape, header.dtype)
    return np.memmap(path, header.dtype, "r", header.offset, header.shape, "F" if header.fortran else "C")


def decode_npy(path: Path, data: bytes, kind: Kind | None = None, *, name: str = "") -> Array:
    """The same of a file's content in memory; ``name`` is that of a member of an archive."""
    place = f"{path}: {name}" if name else str(path)
    header = _read_header(io.BytesIO(data), len(data), place, kind)
    values = np.frombuffer(data, header.dtype, header.count, header.offset)
    if header.dtype.kind == "U" and values.size:
        letters = values.view(np.dtype(np.uint32).newbyteorder(header.dtype.byteorder))
        if letters.max() > sys.maxunicode:  # Python would make a text that it cannot work on
            raise KitError(f"{place}: found a damaged text, expected {kind or 'an NPY array'}")
    return values.reshape(header.shape, order="F" if header.fortran else "C")


def read_npz(path: str | Path, kinds: Mapping[str, Kind | None], *, optional: Collection[str] = ()) -> dict[str, Array]:
    """The arrays of an NPZ file by name, each of its kind (None: any); those of ``optional`` may lack.

    Other members are left alone. Raises :class:`KitError`, naming file and member, for anything else.
    """
    path = Path(path)
    data = read_file(path, f"an NPZ file of {', '.join(kinds)}")
    arrays = {}
    for name, kind in kinds.items():
        member = read_member(path, data, f"{name}.npy", most=FILE_BYTES(), missing=name in optional)
        if member is not None:
            arrays[name] = decode_npy(path, member, kind, name=name)
    return arrays


def read_member(path: Path, data: bytes | None, name: str, *, most: int, missing: bool = False) -> bytes | None:
    """A member of the ZIP archive at ``path`` (or in ``data``), plain or deflated, of at most ``most`` bytes.

    What the archive says of the size is believed, and no more than that is unpacked. None where there is none and
    ``missing`` allows it. Raises :class:`KitError` otherwise.
    """
    try:
        with zipfile.ZipFile(path if data is None else io.BytesIO(data)) as archive:
            if missing and name not in archive.namelist():
                return None
            member = archive.getinfo(name)
            if member.file_size > most:
                raise KitError(f"{path}: found {name} of {member.file_size:,} bytes, expected at most {most:,}")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise KitError(f"{path}: found {name} packed in an unusual way, expected it plain or deflated")
            return archive.read(member)
    except KitError:
        raise
    except KeyError:
        raise KitError(f"{path}: found no {name.removesuffix('.npy')} in it, expected one") from None
    except Exception as error:  # zipfile and zlib raise many kinds on damaged archives
        raise KitError(f"{path}: found a damaged file ({_line(error)}), expected an archive with {name}") from None


def _read_header(file: IO[bytes], size: int, place: str, kind: Kind | None) -> _Header:
    expected = "an NPY array" if kind is None else str(kind)
    numpy_format: Any = np.lib.format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about headers of Python 2
            version = numpy_format.read_magic(file)
            reader = numpy_format.read_array_header_1_0 if version == (1, 0) else numpy_format.read_array_header_2_0
            shape, fortran, dtype = reader(file)
    except Exception as error:  # a header is a text in Python's syntax: damaged ones raise many kinds
        raise KitError(f"{place}: found a damaged NPY header ({_line(error)}), expected {expected}") from None
    header = _Header(dtype, shape, fortran, file.tell())
    if dtype.hasobject or not dtype.itemsize or min(shape, default=1) < 0:
        raise KitError(f"{place}: found an array of {dtype}, shape {shape}, expected {expected}")
    if kind is not None and not kind.admits(dtype, shape):
        raise KitError(f"{place}: found {dtype} of shape {shape}, expected {expected}")
    whole = header.offset + header.count * dtype.itemsize
    if whole != size:
        raise KitError(f"{place}: found {size:,} bytes, expected {whole:,} for {dtype} of shape {shape}")
    return header


def _line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:80]
