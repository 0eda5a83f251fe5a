"""Training pairs for the kit's own enhancer: degradations more varied than the paper's, as real cameras show them.

The paper's stages (``degradation.py``) with strengths drawn down to none, and what recordings add to them: spans from
the face's own range to 30 cm, blob-shaped holes and single dropped pixels, coarse sensors, and things behind the face.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import CAMERA_SPAN_MM, FARTHEST, HOLE, SIZE, DepthImage, DepthRange, Mask
from facedepth_kit.pairs.degradation import (
    DegradationSettings,
    add_noise,
    blur_depth,
    blurred_hole_values,
    detect_outline,
    outline_holes,
    punch_holes,
    random_holes,
    randomize_hole_values,
)
from facedepth_kit.pairs.store import Pair

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SceneSettings:
    """How often and how strongly training pairs differ from the paper's (all our choice).

    ``calibrated_share`` of the pairs are degraded exactly as the calibrated test pairs. ``own_span_share`` keep the
    face's own range; the rest starts up to ``near_margin_mm`` before the face, and of it ``camera_span_share`` get 25
    cm, the others anything up to ``longest_span_mm``. ``background_share`` show another surface behind the face;
    ``blob_share``, ``speckle_share`` and ``coarse_share`` of the varied pairs get such holes or a coarser sensor.
    """

    calibrated_share: float = 0.55
    own_span_share: float = 0.45
    camera_span_share: float = 0.5
    longest_span_mm: float = 300.0
    near_margin_mm: float = 10.0
    background_share: float = 0.35
    random_values_share: float = 0.1
    blob_share: float = 0.4
    speckle_share: float = 0.4
    coarse_share: float = 0.4


def respan(
    depth: DepthImage, depth_range: DepthRange, span_mm: float, margin_mm: float = 0.0
) -> tuple[DepthImage, DepthRange]:
    """The same surface on another span that starts ``margin_mm`` before it; what lies beyond becomes a hole."""
    per_mm = np.float32(FARTHEST / span_mm)
    scaled = np.rint(depth * np.float32(depth_range.span_mm / span_mm) + np.float32(margin_mm) * per_mm)
    beyond = (depth == HOLE) | (scaled > FARTHEST)
    moved = DepthRange(depth_range.near_mm - margin_mm, span_mm)
    return np.where(beyond, np.float32(HOLE), scaled).astype(np.uint16), moved


def blob_holes(rng: np.random.Generator, share: float, size: int = SIZE) -> Mask:
    """Soft-edged patches that cover about ``share`` of the image: where smoothed noise is lowest."""
    coarse = int(rng.integers(6, 40))
    field = cv2.resize(rng.random((coarse, coarse), dtype=np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return field < np.quantile(field[::4, ::4], share)


def coarsen(depth: DepthImage, side: int) -> DepthImage:
    """The image as a sensor with ``side`` x ``side`` pixels would give it, enlarged again; holes are not averaged
    in."""
    valid = (depth != HOLE).astype(np.float32)
    small = cv2.resize(np.where(valid > 0, depth, 0).astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    weight = cv2.resize(valid, (side, side), interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    back_weight = cv2.resize(weight, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)
    coarse = np.full_like(depth, HOLE)
    seen = back_weight > 0.5
    coarse[seen] = np.clip(np.rint(back[seen] / back_weight[seen]), 0, FARTHEST).astype(np.uint16)
    return coarse


def surface_behind(truth: DepthImage, depth_range: DepthRange, other: Pair, rng: np.random.Generator) -> DepthImage:
    """Another face's relief, enlarged and set back, or a slanted plane, in the holes around the face.

    What falls beyond the span stays a hole.
    """
    size = truth.shape[0]
    per_mm = FARTHEST / depth_range.span_mm
    if rng.random() < 0.5:
        zoom = rng.uniform(1.2, 2.5)
        shift = rng.uniform(-0.6, 0.6, 2) * size
        matrix = np.array([[zoom, 0, size / 2 * (1 - zoom) + shift[0]], [0, zoom, size / 2 * (1 - zoom) + shift[1]]])
        far = np.where(other.ground_truth == HOLE, 4 * FARTHEST, other.ground_truth).astype(np.float32)
        moved = cv2.warpAffine(far, matrix, (size, size), flags=cv2.INTER_NEAREST, borderValue=4.0 * FARTHEST)
        relief_mm = np.asarray(moved, np.float32) * np.float32(other.depth_range.span_mm / FARTHEST * zoom)
    else:
        slope = rng.normal(0, 0.4, 2)
        rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) - size / 2
        relief_mm = (30 + slope[0] * columns + slope[1] * rows).astype(np.float32)
    behind = (relief_mm + rng.uniform(20, 160)) * per_mm
    usable = (truth == HOLE) & (behind > 0) & (behind <= FARTHEST)
    return np.where(usable, np.clip(behind, 0, FARTHEST).astype(np.uint16), truth)


def _vary(settings: DegradationSettings, rng: np.random.Generator) -> DegradationSettings:
    """Anything from an almost clean recording to the calibrated strength."""
    strength = rng.random() ** 1.5
    return replace(
        settings,
        outline_holes=(0, int(settings.outline_holes[1] * strength)),
        random_holes=(0, int(settings.random_holes[1] * strength)),
        random_hole_px=(settings.random_hole_px[0], settings.random_hole_px[1] * float(rng.uniform(0.3, 1.6))),
        noise_mm=float(settings.noise_mm * rng.random() ** 2),
        blur_px=(1, max(int(settings.blur_px[1] * rng.random()), 1)),
    )


def draw_training_pair(
    pair: Pair,
    other: Pair,
    degradation: DegradationSettings,
    settings: SceneSettings,
    rng: np.random.Generator,
) -> tuple[DepthImage, DepthImage]:
    """Ground truth and a freshly degraded image, uint16 (256, 256) each, from a stored pair.

    ``degradation`` holds the calibrated strengths; ``other`` may serve as background.
    """
    truth, depth_range = pair.ground_truth, pair.depth_range
    if rng.random() < 0.5:
        truth = np.ascontiguousarray(truth[:, ::-1])
    if rng.random() >= settings.own_span_share:
        margin_mm = rng.uniform(0, settings.near_margin_mm)
        shortest = depth_range.span_mm + margin_mm
        camera = rng.random() < settings.camera_span_share
        span_mm = CAMERA_SPAN_MM if camera else rng.uniform(shortest, max(settings.longest_span_mm, shortest))
        truth, depth_range = respan(truth, depth_range, span_mm, margin_mm)
    calibrated = rng.random() < settings.calibrated_share
    strength = degradation if calibrated else _vary(degradation, rng)
    shapes = [outline_holes(detect_outline(truth), strength, rng), random_holes(strength, rng)]
    scene = truth
    if rng.random() < settings.background_share:
        scene = surface_behind(truth, depth_range, other, rng)
    degraded = punch_holes(scene, np.concatenate(shapes))
    if not calibrated:
        if rng.random() < settings.blob_share:
            degraded[blob_holes(rng, rng.uniform(0.01, 0.3))] = HOLE
        if rng.random() < settings.speckle_share:
            degraded[rng.random(degraded.shape) < rng.uniform(0, 0.04)] = HOLE
    degraded = add_noise(degraded, depth_range, strength.noise_mm, rng)
    if not calibrated and rng.random() < settings.coarse_share:
        degraded = coarsen(degraded, int(rng.integers(70, 220)))
    degraded = blur_depth(degraded, int(rng.integers(strength.blur_px[0], strength.blur_px[1] + 1)))
    if rng.random() < settings.random_values_share:
        if rng.random() < 0.5:
            degraded = randomize_hole_values(degraded, rng)
        else:
            degraded = blurred_hole_values(degraded, degradation, rng)
    return truth, degraded
