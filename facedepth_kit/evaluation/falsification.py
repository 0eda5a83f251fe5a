"""How much an enhancer changes what was measured (Schlett et al., section IV-F, Table VI)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, Mask, check_depth, to_unit


def falsification(enhanced: DepthImage, given: DepthImage, *, mask: Mask) -> npt.NDArray[np.float64]:
    """RMSE between input and output over the mask's pixels that are no holes in the input, depth from zero to one.

    ``enhanced`` and ``given`` are uint16 (..., height, width), ``mask`` bool of that shape or (height, width): the
    Neutral image's face mask. A pixel that the enhancer turned into a hole counts with its value, 1. Returns float64
    (...), NaN where every pixel of the mask is a hole; Table VI prints 100 times that. Raises :class:`KitError` for
    other shapes.
    """
    check_depth(enhanced, "enhanced", size=None)
    check_depth(given, "input", size=None)
    if enhanced.shape != given.shape:
        raise KitError(f"falsification: found output shape {enhanced.shape}, expected the input's {given.shape}")
    if mask.dtype != np.bool_ or mask.shape not in (given.shape, given.shape[-2:]):
        raise KitError(f"mask: found {mask.dtype} {mask.shape}, expected bool {given.shape} or {given.shape[-2:]}")
    measured = mask & (given != HOLE)
    squares = np.where(measured, (to_unit(enhanced).astype(np.float64) - to_unit(given)) ** 2, 0.0)
    count = measured.sum(axis=(-2, -1))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(np.where(count > 0, squares.sum(axis=(-2, -1)), np.nan) / np.maximum(count, 1)))
