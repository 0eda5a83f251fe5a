"""The one door for pictures of others: their headers are read, and their sizes checked, before a pixel is decoded."""

from __future__ import annotations

import contextlib
import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import Limit, read_file

LONGEST_SIDE = 32_766  # OpenCV's remapping knows no more
PNG = b"\x89PNG\r\n\x1a\n"
# Not Pillow's others: for some it starts programs (EPS).
FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "JPEG2000", "PPM")
BY_PILLOW = (PNG, b"\xff\xd8", b"BM")
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@cache
def known_formats() -> tuple[str, ...]:
    """The formats of pictures that are opened, those that this Pillow knows."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def check_size(path: Path, width: int, height: int, limit: Limit) -> None:
    """Refuse a picture without pixels, with too many, or with a side that OpenCV cannot work on."""
    limit.check(path, width * height, f"{width}x{height} pixels")
    if not min(width, height) >= 1 or max(width, height) > LONGEST_SIDE:
        raise KitError(f"{path}: found {width}x{height} pixels, expected sides of 1 to {LONGEST_SIDE}")


def too_large(path: Path, limit: Limit) -> KitError:
    """The line for a picture that Pillow refuses to look at: it has more pixels than any limit here allows."""
    most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return KitError(
        f"{path}: found more than {most:,} pixels, expected at most {limit():,} pixels ({limit.name} sets the limit)"
    )


def picture_size(path: Path, data: bytes, limit: Limit, expected: str) -> tuple[int, int]:
    """Width and height of an encoded picture by its header; of a PNG, every checksum is looked at, too.

    Raises :class:`KitError` for no picture, a damaged PNG, and one beyond the limits.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about large pictures, which are refused below
            if data.startswith(TIFFS):
                size = _tiff_size(data)
            else:
                with Image.open(io.BytesIO(data), formats=known_formats()) as picture:
                    size = picture.size
                    if picture.format == "PNG" and size[0] * size[1] <= limit():
                        picture.verify()
    except Image.DecompressionBombError:
        raise too_large(path, limit) from None
    except Exception as error:  # damaged files raise many kinds
        kind = "PNG" if data.startswith(PNG) else "file"
        raise KitError(f"{path}: found a damaged {kind} ({_reason(error)}), expected {expected}") from None
    check_size(path, *size, limit)
    return size


def decode_picture(path: Path, data: bytes, limit: Limit, expected: str) -> npt.NDArray[np.generic]:
    """The pixels of an encoded picture as OpenCV has them: values, channels (blue first) and size as they are.

    Raises :class:`KitError` as :func:`picture_size`, and for what cannot be decoded.
    """
    picture_size(path, data, limit, expected)
    pixels: npt.NDArray[Any] | None = None
    with contextlib.suppress(Exception):  # damaged files raise many kinds
        if data.startswith(BY_PILLOW) and not _deep_colour(data):
            pixels = _by_pillow(data)
        else:
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # its words come before our line
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise KitError(f"{path}: found a file that cannot be decoded, expected {expected}")
    return np.asarray(pixels)


def _deep_colour(data: bytes) -> bool:
    """Whether a PNG has 16 bits and colours: Pillow would halve them."""
    return data.startswith(PNG) and data[24] == 16 and data[25] != 0


def _by_pillow(data: bytes) -> npt.NDArray[np.generic]:
    """The same without the words of OpenCV's decoders on the error stream."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=known_formats()) as picture:
            if picture.mode.startswith("I"):
                return np.asarray(picture).astype(np.uint16)
            alpha = picture.has_transparency_data
            mode = "L" if picture.mode in ("1", "L") and not alpha else "RGBA" if alpha else "RGB"
            pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
    return pixels if mode == "L" else cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if alpha else cv2.COLOR_RGB2BGR)


def read_pixels(path: Path, limit: Limit, expected: str) -> npt.NDArray[np.generic]:
    """:func:`decode_picture` of a file. Raises :class:`KitError` for a missing or empty one, too."""
    data = read_file(path, expected)
    if not data:
        raise KitError(f"{path}: found an empty file, expected {expected}")
    return decode_picture(path, data, limit, expected)


def _tiff_size(data: bytes) -> tuple[int, int]:
    """By tifffile: Pillow does not know all kinds of pixels that TIFF has."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page = tiff.pages[0]
        return int(page.imagewidth), int(page.imagelength)  # type: ignore[union-attr]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "not a picture" if "cannot identify" in text else text[:80]
