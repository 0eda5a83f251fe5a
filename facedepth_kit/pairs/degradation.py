"""Ground truth to degraded depth images: every stage of Figure 5, in its order (section III-B).

Outline detection, outline holes and random holes, their shapes combined and drawn in one step, noise
on every remaining pixel, blur over the non-hole pixels only; then, for training only, the two ways of
filling the hole pixels with values that carry no meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds
from facedepth_kit.depth import FARTHEST, HOLE, SIZE, DepthImage, DepthRange, check_depth

FloatArray = npt.NDArray[np.float32]
HoleValues = Literal["keep", "random", "blurred"]


@dataclass(frozen=True)
class DegradationSettings:
    """How strongly to degrade; pairs are (lowest, highest) and drawn evenly for each image or hole.

    The paper gives ``noise_mm`` (a "15mm error", section III-B) and no other number. That it is drawn evenly from
    -15 to 15 mm is ours, because the paper names no distribution. Hole counts, hole sizes
    (the diameter of a hole's circumscribed circle, px) and the blur's width are calibrated so that the rows
    of Table IV that need no learning come out near the published ones (see ``calibration.py``, notebook 10).
    ``background`` (shares of the image's span) and ``background_blur_px`` belong to the blurred hole background, our
    choice.
    """

    outline_holes: tuple[int, int] = (74, 90)
    outline_hole_px: tuple[float, float] = (4.0, 18.0)
    random_holes: tuple[int, int] = (52, 62)
    random_hole_px: tuple[float, float] = (1.0, 34.0)
    noise_mm: float = 15.0
    blur_px: tuple[int, int] = (2, 17)
    background: tuple[float, float] = (0.0, 1.0)
    background_blur_px: tuple[int, int] = (5, 25)

    def __post_init__(self) -> None:
        check_bounds(
            self,
            outline_holes=(0, 10_000),
            outline_hole_px=(0, 1024),
            random_holes=(0, 10_000),
            random_hole_px=(0, 1024),
            noise_mm=(0, 10_000),
            blur_px=(0, 255),
            background=(0, 1),
            background_blur_px=(0, 255),
        )


def detect_outline(ground_truth: DepthImage) -> npt.NDArray[np.int32]:
    """Trace the face's outline: (n, 2) columns and rows of its border pixels, in walking order.

    Every connected part of the non-hole pixels is traced from outside; an image of holes gives (0, 2).
    """
    contours, _ = cv2.findContours((ground_truth != HOLE).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return np.zeros((0, 2), np.int32)
    return np.concatenate([c.reshape(-1, 2) for c in contours]).astype(np.int32)


def _triangles_at(centres: FloatArray, size_px: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    """Triangles (n, 3, 2) of random size, orientation and proportion around ``centres`` (n, 2)."""
    count = len(centres)
    low, high = size_px
    # The root spreads the holes' areas evenly; an even draw of diameters would make nearly all of them small.
    radius = (low + (high - low) * np.sqrt(rng.random(count))) / 2
    angle = (
        rng.uniform(0, 2 * np.pi, count)[:, None] + np.arange(3) * (2 * np.pi / 3) + rng.uniform(-0.8, 0.8, (count, 3))
    )
    return (centres[:, None] + radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)).astype(
        np.float32
    )


def _draw_count(counts: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(counts[0], counts[1] + 1))


def outline_holes(
    outline: npt.NDArray[np.int32], settings: DegradationSettings, rng: np.random.Generator
) -> FloatArray:
    """Hole triangles (n, 3, 2) centred on random points of the outline: they erode the face's rim."""
    count = _draw_count(settings.outline_holes, rng)
    if not len(outline):
        return np.zeros((0, 3, 2), np.float32)
    return _triangles_at(outline[rng.integers(0, len(outline), count)] + np.float32(0.5), settings.outline_hole_px, rng)


def random_holes(settings: DegradationSettings, rng: np.random.Generator, size: int = SIZE) -> FloatArray:
    """Hole triangles (n, 3, 2) anywhere in the image."""
    count = _draw_count(settings.random_holes, rng)
    return _triangles_at(rng.uniform(0, size, (count, 2)).astype(np.float32), settings.random_hole_px, rng)


@numba.njit(cache=True, nogil=True)
def _fill_triangles(triangles: FloatArray, value: int, image: DepthImage) -> None:
    height, width = image.shape
    for t in range(triangles.shape[0]):
        ax, ay = triangles[t, 0, 0], triangles[t, 0, 1]
        bx, by = triangles[t, 1, 0], triangles[t, 1, 1]
        cx, cy = triangles[t, 2, 0], triangles[t, 2, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        sign = 1.0 if area > 0 else -1.0
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                if (
                    sign * ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) >= 0
                    and sign * ((cx - bx) * (y - by) - (cy - by) * (x - bx)) >= 0
                    and sign * ((ax - cx) * (y - cy) - (ay - cy) * (x - cx)) >= 0
                ):
                    image[row, column] = value


def punch_holes(depth: DepthImage, triangles: FloatArray) -> DepthImage:
    """A copy of ``depth`` with every pixel whose centre lies in one of the triangles (n, 3, 2) made a hole."""
    degraded = depth.copy()
    _fill_triangles(triangles, int(HOLE), degraded)
    return degraded


@numba.njit(cache=True, nogil=True)
def _noisy(depth: DepthImage, error: FloatArray, amplitude: np.float32) -> DepthImage:
    noisy = np.empty_like(depth)
    one, two, farthest = np.float32(1), np.float32(2), np.float32(FARTHEST)
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            if depth[row, column] == HOLE:
                noisy[row, column] = HOLE
            else:
                value = np.float32(depth[row, column]) + (error[row, column] * two - one) * amplitude
                noisy[row, column] = np.uint16(min(max(value, np.float32(0)), farthest))
    return noisy


def add_noise(depth: DepthImage, depth_range: DepthRange, noise_mm: float, rng: np.random.Generator) -> DepthImage:
    """Add an error drawn evenly from -noise_mm..noise_mm to every non-hole pixel; results stay within the image's
    span."""
    if noise_mm == 0:
        return depth.copy()
    amplitude = np.float32(noise_mm * FARTHEST / depth_range.span_mm)
    return _noisy(depth, rng.random(depth.shape, dtype=np.float32), amplitude)


@numba.njit(cache=True, nogil=True)
def _means(depth: DepthImage, total: FloatArray, count: FloatArray) -> DepthImage:
    means = np.empty_like(depth)
    for row in range(depth.shape[0]):
        for column in range(depth.shape[1]):
            if depth[row, column] == HOLE:
                means[row, column] = HOLE
            else:
                mean = np.rint(total[row, column] / count[row, column])
                means[row, column] = np.uint16(min(max(mean, np.float32(0)), np.float32(FARTHEST)))
    return means


def blur_depth(depth: DepthImage, width_px: int) -> DepthImage:
    """Average every non-hole pixel over the non-hole pixels of a square of ``width_px`` around it; holes stay holes."""
    if width_px <= 1:
        return depth.copy()
    valid = (depth != HOLE).astype(np.float32)
    kernel = (int(width_px), int(width_px))
    total, count = (
        np.asarray(cv2.boxFilter(values, -1, kernel, normalize=False, borderType=cv2.BORDER_CONSTANT))
        for values in (valid * depth, valid)
    )
    return _means(depth, total, count)


def randomize_hole_values(depth: DepthImage, rng: np.random.Generator) -> DepthImage:
    """Deep learning helper 1: every hole pixel gets an independent value anywhere in the image's span."""
    return np.where(depth == HOLE, rng.integers(0, FARTHEST + 1, depth.shape, dtype=np.uint16), depth)


def blurred_hole_values(depth: DepthImage, settings: DegradationSettings, rng: np.random.Generator) -> DepthImage:
    """Deep learning helper 2: hole pixels get values of a random part of the span, blurred into soft clouds."""
    low, high = np.sort(rng.uniform(*settings.background, 2))
    width = _draw_count(settings.background_blur_px, rng)
    noise = rng.random(depth.shape, dtype=np.float32)
    clouds = np.asarray(cv2.blur(noise, (width, width), borderType=cv2.BORDER_REFLECT))
    # Blurring shrinks the spread; stretch it back to the drawn range.
    values = low + (high - low) * np.clip(0.5 + (clouds - 0.5) * (width / 3.5), 0, 1)
    return np.where(depth == HOLE, np.rint(values * FARTHEST).astype(np.uint16), depth)


def degrade(
    ground_truth: DepthImage,
    *,
    depth_range: DepthRange,
    settings: DegradationSettings,
    rng: np.random.Generator,
    hole_values: HoleValues = "keep",
) -> DepthImage:
    """Degrade one ground truth image (uint16 (256, 256)) as Figure 5 does.

    ``depth_range`` turns ``noise_mm`` into the image's values. ``hole_values`` is "keep" for every evaluation;
    "random" and "blurred" are the deep learning helpers. Raises :class:`KitError` for a wrong dtype, shape or name.
    """
    check_depth(ground_truth, "ground truth", size=None)
    if hole_values not in get_args(HoleValues):
        raise KitError(f"hole_values: found {hole_values!r}, expected one of {', '.join(get_args(HoleValues))}")
    shapes = [
        outline_holes(detect_outline(ground_truth), settings, rng),
        random_holes(settings, rng, ground_truth.shape[-1]),
    ]
    degraded = punch_holes(ground_truth, np.concatenate(shapes))
    degraded = add_noise(degraded, depth_range, settings.noise_mm, rng)
    degraded = blur_depth(degraded, _draw_count(settings.blur_px, rng))
    if hole_values == "random":
        return randomize_hole_values(degraded, rng)
    if hole_values == "blurred":
        return blurred_hole_values(degraded, settings, rng)
    return degraded
