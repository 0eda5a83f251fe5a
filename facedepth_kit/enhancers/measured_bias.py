"""What a sensor measured beside what a network made of it: the smooth part of the difference, given back.

A network knows faces, not this sensor: on recordings its output is off by a slowly varying bias of some millimetres.
Where depth was measured the bias can be seen, and into holes it can be carried. Adding the smoothed difference keeps
the network's shape inside a hole, joins it to the measured rim without a step, and keeps the enhancement from
drifting away from what was measured by more than noise. Ours, not in the papers; on the heavily degraded synthetic
pairs, whose noise is not small, it costs accuracy, so it belongs to recordings only.
"""

from __future__ import annotations

import cv2
import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, check_depth

# From coarse to fine, px: what a finer scale does not see (the middle of a hole) the coarser one says.
SIGMAS_PX = (48.0, 24.0, 12.0, 6.0, 3.0)
COARSER_WEIGHT = 0.05
# A difference beyond 15 % of the span (37 mm of 25 cm) is no bias but another surface.
LARGEST_SHARE = 0.15


def add_measured_bias(given: DepthImage, enhanced: DepthImage) -> DepthImage:
    """``enhanced`` plus the smooth part of what ``given`` differs from it.

    Both are uint16 (256, 256) with hole 65535, or stacks of such. The difference is averaged over the measured pixels
    around each pixel, from 48 px down to 3 px, the coarser scale where the finer one has nothing. Holes of
    ``enhanced`` stay holes. Returns a new array. Raises :class:`KitError` for another shape or dtype.
    """
    check_depth(given, "given")
    check_depth(enhanced, "enhanced")
    if given.shape != enhanced.shape:
        raise KitError(f"enhanced: found shape {enhanced.shape}, expected that of what was given, {given.shape}")
    if given.ndim > 2:
        return np.stack([add_measured_bias(one, other) for one, other in zip(given, enhanced, strict=True)])
    difference = given.astype(np.float32) - enhanced.astype(np.float32)
    usable = (given != HOLE) & (enhanced != HOLE) & (np.abs(difference) < LARGEST_SHARE * FARTHEST)
    weight = usable.astype(np.float32)
    difference *= weight
    smooth = np.zeros(given.shape, np.float32)
    for index, sigma in enumerate(SIGMAS_PX):
        total, count = (cv2.GaussianBlur(array, (0, 0), sigma) for array in (difference, weight))
        prior = COARSER_WEIGHT if index else 1e-3  # the coarsest has only zero to fall back on
        smooth = np.asarray((total + prior * smooth) / (count + prior), np.float32)
    corrected = np.clip(np.rint(enhanced + smooth), 0, FARTHEST).astype(np.uint16)
    return np.where(enhanced == HOLE, HOLE, corrected)
