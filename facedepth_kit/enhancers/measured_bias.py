"""What a sensor measured beside what a network made of it: the smooth part of the difference, given back.

A network knows faces, not this sensor: on recordings its output is off by a slowly varying bias of some millimetres.
Where depth was measured the bias can be seen, and into holes it can be carried. Adding the smoothed difference keeps
the network's shape inside a hole, joins it to the measured rim without a step, and keeps the enhancement from
drifting away from what was measured by more than noise. Where a network sees another surface than the sensor did (it
likes to bridge chin and shoulder, or the rim of an ear) no smooth bias explains the difference: there, and wherever
depth was measured, the output is held within a few standard deviations of the sensor's own noise. Ours, not in the
papers; on the heavily degraded synthetic pairs, whose noise is not small, it costs accuracy, so it belongs to
recordings only.
"""

from __future__ import annotations

import cv2
import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, SIZE, DepthImage, check_depth

# From coarse to fine, px: what a finer scale does not see (the middle of a hole) the coarser one says. The coarse ones
# are averaged in an image reduced by that factor: a quarter of the time, and 0.005 mm off on average.
SIGMAS_PX = {48.0: 4, 24.0: 4, 12.0: 1, 6.0: 1, 3.0: 1}
COARSER_WEIGHT = 0.05
# A difference beyond 15 % of the span (37 mm of 25 cm) is no bias but another surface.
LARGEST_SHARE = 0.15
# How far a measured pixel may move: standard deviations of the noise, within shares of the span (3 and 15 mm of 25 cm).
NOISE_DEVIATIONS = 4.0
LEAST_MOVE, MOST_MOVE = 0.012, 0.06
NOISE_SIGMA_PX = 3.0


def join_to_measured(given: DepthImage, enhanced: DepthImage) -> DepthImage:
    """A network's output for a recording, joined to what was measured: bias added, measured pixels held near theirs.

    Arguments, result and errors as for :func:`add_measured_bias`.
    """
    return hold_measured(given, add_measured_bias(given, enhanced))


def hold_measured(given: DepthImage, enhanced: DepthImage) -> DepthImage:
    """``enhanced`` with every pixel that ``given`` measured within four standard deviations of its noise.

    Both are uint16 (256, 256) with hole 65535, or stacks of such. Steps of depth stay where they were measured; holes
    of either image are left as ``enhanced`` has them. Returns a new array.
    """
    if given.ndim > 2:
        return np.stack([hold_measured(one, other) for one, other in zip(given, enhanced, strict=True)])
    reach = np.clip(NOISE_DEVIATIONS * noise_steps(given), LEAST_MOVE * FARTHEST, MOST_MOVE * FARTHEST)
    measured = given.astype(np.float32)
    held = np.clip(enhanced, np.maximum(measured - reach, 0), np.minimum(measured + reach, FARTHEST))
    both = (given != HOLE) & (enhanced != HOLE)
    return np.where(both, np.rint(held), enhanced).astype(np.uint16)


def noise_steps(given: DepthImage) -> float:
    """The standard deviation of a depth image's fine part, in its own steps, as its median says it; 0 without depth."""
    measured = given != HOLE
    if not measured.any():
        return 0.0
    weight = measured.astype(np.float32)
    values = np.where(measured, given, 0).astype(np.float32)
    total, count = (cv2.GaussianBlur(array, (0, 0), NOISE_SIGMA_PX) for array in (values, weight))
    smooth = np.asarray(total) / np.maximum(np.asarray(count), 1e-3)
    return 1.4826 * float(np.median(np.abs(values - smooth)[measured]))


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
    both = cv2.merge([difference * weight, weight])
    smooth = np.zeros((1, 1), np.float32)
    for index, (sigma, step) in enumerate(SIGMAS_PX.items()):
        size = (SIZE // step, SIZE // step)
        width = float(np.sqrt(sigma**2 - (step**2 - 1) / 12)) / step  # reducing has averaged, too
        seen = both if step == 1 else cv2.resize(both, size, interpolation=cv2.INTER_AREA)
        total, count = cv2.split(cv2.GaussianBlur(seen, (0, 0), width))
        prior = COARSER_WEIGHT if index else 1e-3  # the coarsest has only zero to fall back on
        coarser = smooth if smooth.shape == size else np.asarray(cv2.resize(smooth, size), np.float32)
        smooth = np.asarray((total + prior * coarser) / (count + prior), np.float32)
    corrected = np.clip(np.rint(enhanced + smooth), 0, FARTHEST).astype(np.uint16)
    return np.where(enhanced == HOLE, HOLE, corrected)
