"""Roughness and hole share over the face mask (Schlett et al., section IV-E, Table V, Figure 9).

The paper gives a kernel: a pixel less the mean of its eight neighbours. It does not say what the kernel sees at holes
and at the mask's border, and the numbers depend on it. The kit takes, for both cameras, the one reading whose pattern
is the paper's: the masked image goes through the kernel, with holes as the farthest value (1) inside the mask and zero
outside, and the magnitude is averaged over the mask. Only then is "None" rougher than the filled rows by what its
holes add, do De-M8 and all networks share one floor that no smoothing gets below (Kinect 0.6 to 0.7, the larger faces
of the RealSense 0.25 to 0.36), and is that floor nearly the same for every image. On 50 real Kinect v2 frames this
reading gives 1.2 (None), 1.1 (Hf, Sp), 0.8 (De-M8, DL-Kit-0) against 1.4, 1.1, 0.7 in the paper (None, Hf and Sp,
De-M8 and DL-Delta-1); a kernel on measured neighbours alone gives 0.4, 0.4, 0.1. The floor is the step at the mask's
border, not the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, Mask, check_depth, to_unit

FloatArray = npt.NDArray[np.float64]

NEIGHBOURS = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.float32)


@dataclass(frozen=True)
class RoughnessSettings:
    """What the kernel sees.

    ``outside`` the mask: ``zero``; ``farthest`` (1, as holes); ``as it is`` (the image goes on); ``left out`` (only
    neighbours inside the mask count). ``holes``: ``farthest`` (their value, 1) or ``left out`` (neither as a pixel nor
    as a neighbour). The default is what reproduces Table V; :data:`MEASURED` sees measured depth alone.
    """

    outside: Literal["zero", "farthest", "as it is", "left out"] = "zero"
    holes: Literal["farthest", "left out"] = "farthest"


MEASURED = RoughnessSettings("as it is", "left out")


def roughness(depth: DepthImage, *, mask: Mask, settings: RoughnessSettings | None = None) -> FloatArray:
    """Mean magnitude of the kernel's response over the mask, on depth from zero to one (Table V prints 100 times that).

    ``depth`` is uint16 (..., height, width) with hole 65535, ``mask`` bool of that shape or (height, width). Returns
    float64 (...), one value an image; NaN where no pixel counts. Raises :class:`KitError` for other shapes and for an
    empty mask.
    """
    chosen = settings or RoughnessSettings()
    masks = _masks(depth, mask)
    values = [_roughness(depth[index], masks[index], chosen) for index in np.ndindex(depth.shape[:-2])]
    return np.array(values, np.float64).reshape(depth.shape[:-2])


def hole_share(depth: DepthImage, *, mask: Mask) -> FloatArray:
    """The share of the mask's pixels that are holes (65535). Arguments, result and errors as :func:`roughness`."""
    masks = _masks(depth, mask)
    return np.asarray(((depth == HOLE) & masks).sum(axis=(-2, -1)) / masks.sum(axis=(-2, -1)), np.float64)


def response(depth: DepthImage, mask: Mask, settings: RoughnessSettings | None = None) -> FloatArray:
    """The kernel's magnitude at each pixel of one image, float64 (height, width); NaN where it does not count."""
    chosen = settings or RoughnessSettings()
    measured = np.ones(depth.shape, np.bool_) if chosen.holes == "farthest" else depth != HOLE
    values = to_unit(depth)
    seen = measured
    if chosen.outside == "left out":
        seen = measured & mask
    elif chosen.outside != "as it is":
        fill = 0.0 if chosen.outside == "zero" else 1.0
        values = np.where(mask, values, np.float32(fill))
        seen = measured | ~mask
    # Beyond the image's edge it goes on as beyond the mask's.
    filled = chosen.outside in ("zero", "farthest")
    edge = {"zero": 0.0, "farthest": 1.0}.get(chosen.outside, 0.0)
    padded = np.pad(np.where(seen, values, 0), 1, constant_values=edge)
    weights = np.pad(seen.astype(np.float32), 1, constant_values=float(filled))
    total, count = (cv2.filter2D(array, -1, NEIGHBOURS)[1:-1, 1:-1] for array in (padded, weights))
    counts = mask & measured & (count > 0.5)
    return np.where(counts, np.abs(values - total / np.maximum(count, 1)), np.nan).astype(np.float64)


def _roughness(depth: DepthImage, mask: Mask, settings: RoughnessSettings) -> float:
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    box = np.s_[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
    values = response(depth[box], mask[box], settings)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _masks(depth: DepthImage, mask: Mask) -> Mask:
    check_depth(depth, size=None)
    if mask.dtype != np.bool_ or mask.shape not in (depth.shape, depth.shape[-2:]):
        raise KitError(f"mask: found {mask.dtype} {mask.shape}, expected bool {depth.shape} or {depth.shape[-2:]}")
    if not mask.any(axis=(-2, -1)).all():
        raise KitError("mask: found one without a pixel, expected a face")
    return np.broadcast_to(mask, depth.shape)
