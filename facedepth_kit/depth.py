"""The depth image that every room of the kit exchanges.

A depth image is a ``uint16`` array of 256x256 pixels (or a stack of them): 0 is the nearest point,
65534 the far end of the image's span, 65535 a hole (Schlett et al., section III). How many
millimetres the span covers is not part of the image: camera images span 25 cm from the nearest
point, synthetic ground truth spans each face's own range. :class:`DepthRange` carries it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import FRAME_PX
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.common.pictures import read_pixels

SIZE = 256
HOLE = np.uint16(65535)
FARTHEST = 65534
CAMERA_SPAN_MM = 250.0

DepthImage = npt.NDArray[np.uint16]
Mask = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DepthRange:
    """Where an image's values lie in millimetres: value 0 at ``near_mm``, 65534 at ``near_mm + span_mm``."""

    near_mm: float
    span_mm: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.near_mm) and np.isfinite(self.span_mm) and self.span_mm > 0):
            found = f"near {self.near_mm} mm, span {self.span_mm} mm"
            raise KitError(f"depth range: found {found}, expected finite values and a span above 0")


def check_depth(depth: npt.NDArray[np.generic], name: str = "depth", *, size: int | None = SIZE) -> DepthImage:
    """Return ``depth`` if it is uint16 of shape (..., size, size); raise :class:`KitError` if not.

    ``size=None`` accepts any height and width.
    """
    if depth.dtype != np.uint16:
        raise KitError(f"{name}: found dtype {depth.dtype}, expected uint16")
    if depth.ndim < 2 or (size is not None and depth.shape[-2:] != (size, size)):
        expected = "two dimensions or more" if size is None else f"(..., {size}, {size})"
        raise KitError(f"{name}: found shape {depth.shape}, expected {expected}")
    return depth  # type: ignore[return-value]


def holes(depth: DepthImage) -> Mask:
    """Mask of the hole pixels, same shape as ``depth``."""
    return depth == HOLE


def own_range(depth_mm: npt.NDArray[np.floating]) -> DepthRange:
    """The range of an image's own valid pixels (synthetic ground truth); NaN is a hole.

    Raises :class:`KitError` when no pixel is valid.
    """
    valid = depth_mm[np.isfinite(depth_mm)]
    if valid.size == 0:
        raise KitError("depth: found holes only, expected at least one valid pixel")
    near, far = float(valid.min()), float(valid.max())
    return DepthRange(near, max(far - near, 1e-3))


def camera_range(depth_mm: npt.NDArray[np.floating]) -> DepthRange:
    """25 cm from the nearest valid pixel, the papers' range of camera images; NaN is a hole."""
    return DepthRange(own_range(depth_mm).near_mm, CAMERA_SPAN_MM)


def from_millimetres(depth_mm: npt.NDArray[np.floating], depth_range: DepthRange) -> DepthImage:
    """Millimetres (float, NaN = hole) to a depth image; what lies beyond the range becomes a hole.

    Values nearer than ``near_mm`` are holes, too: nothing is clamped onto the face.
    """
    scaled = (depth_mm - depth_range.near_mm) * (FARTHEST / depth_range.span_mm)
    with np.errstate(invalid="ignore"):
        valid = (scaled > -0.5) & (scaled < FARTHEST + 0.5)
    depth = np.full(depth_mm.shape, HOLE, np.uint16)
    depth[valid] = np.rint(scaled[valid]).astype(np.uint16)
    return depth


def to_millimetres(depth: DepthImage, depth_range: DepthRange) -> npt.NDArray[np.float32]:
    """A depth image to millimetres (float32, NaN = hole)."""
    depth_mm = depth.astype(np.float32) * np.float32(depth_range.span_mm / FARTHEST) + np.float32(depth_range.near_mm)
    depth_mm[depth == HOLE] = np.nan
    return depth_mm


def to_unit(depth: DepthImage) -> npt.NDArray[np.float32]:
    """Depth image to float32 in 0..1, hole = 1: what networks see and what RMSE is measured on (section IV-D)."""
    return depth.astype(np.float32) * np.float32(1.0 / 65535.0)


def from_unit(unit: npt.NDArray[np.floating]) -> DepthImage:
    """Float 0..1 to a depth image, rounded and clipped; exactly 1 (and NaN) is a hole."""
    return np.rint(np.clip(np.nan_to_num(unit, nan=1.0), 0.0, 1.0) * 65535.0).astype(np.uint16)


def read_png(path: str | Path) -> DepthImage:
    """Read a depth image (256, 256) uint16 that :func:`write_png` wrote.

    Raises :class:`KitError` when there is no such file or it is not a 16-bit grey image of that size.
    """
    depth = read_pixels(Path(path), FRAME_PX, f"a 16-bit PNG of {SIZE}x{SIZE}")
    if depth.ndim != 2:
        raise KitError(f"{path}: found a colour picture, expected one 16-bit channel of {SIZE}x{SIZE}")
    return check_depth(depth, str(path))


def write_png(path: str | Path, depth: DepthImage, *, overwrite: bool = False) -> None:
    """Write one depth image (height, width) uint16 as a 16-bit grey PNG, values as they are, all at once or not at all.

    Raises :class:`KitError` for another dtype or shape, and for a file that is already there unless ``overwrite``.
    """
    import cv2

    if check_depth(depth, str(path), size=None).ndim != 2:
        raise KitError(f"{path}: found shape {depth.shape}, expected one image (height, width)")
    ok, encoded = cv2.imencode(".png", depth)
    assert ok
    with write_atomically(path, overwrite) as temporary:
        temporary.write_bytes(encoded.tobytes())
