"""Depth at facial landmarks, and which landmarks fall into a hole (Schlett et al., section IV-G, Table VII)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, Mask, check_depth

Points = npt.NDArray[np.floating]


def landmark_depths(depth: DepthImage, points: Points) -> DepthImage:
    """The depth of the pixel that each landmark lies in: uint16 (..., n).

    ``depth`` is uint16 (..., height, width) with hole 65535; ``points`` (..., n, 2) are x to the right and y down, in
    pixels, (0, 0) the centre of the top left one. Stacks broadcast: one set of points may serve many images. A
    landmark outside the image, or unknown (NaN), has no depth: 65535. Raises :class:`KitError` for other shapes.
    """
    check_depth(depth, size=None)
    points = np.asarray(points)
    if points.ndim < 2 or points.shape[-1] != 2:
        raise KitError(f"landmarks: found shape {points.shape}, expected (..., n, 2)")
    height, width = depth.shape[-2:]
    try:
        stack = np.broadcast_shapes(depth.shape[:-2], points.shape[:-2])
    except ValueError:
        raise KitError(
            f"landmarks: found shape {points.shape} for depth of {depth.shape}, expected one set each"
        ) from None
    with np.errstate(invalid="ignore"):
        pixels = np.floor(points + 0.5)
        inside = ((pixels >= 0) & (pixels < (width, height))).all(axis=-1)
    pixels = np.where(inside[..., None], pixels, 0).astype(np.intp)
    flat = np.broadcast_to(depth.reshape(*depth.shape[:-2], height * width), (*stack, height * width))
    index = np.broadcast_to(pixels[..., 1] * width + pixels[..., 0], (*stack, points.shape[-2]))
    return np.where(inside, np.take_along_axis(flat, index, axis=-1), HOLE)


def landmark_holes(depth: DepthImage, points: Points) -> Mask:
    """Which landmarks have no depth, bool (..., n): they lie in a hole, or outside the image.

    Arguments and errors as in :func:`landmark_depths`. The mean over the last axis is Table VII's landmark hole error.
    """
    return landmark_depths(depth, points) == HOLE
