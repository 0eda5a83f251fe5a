"""Training pairs for the kit's own enhancer: degradations more varied than the paper's, as real cameras show them.

The paper's stages (``degradation.py``) with strengths drawn down to none, and what recordings add to them: spans from
the face's own range to 30 cm, blob-shaped holes and single dropped pixels, coarse sensors, and things behind the face.
:func:`camera_pair` goes further: faces as depth cameras show them, small, cut off, with fine noise and flying pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.settings import check_bounds, check_shares
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
    ``camera_share`` of all pairs are made by :func:`camera_pair` instead, by these settings: ``zoom`` and ``turn_deg``
    of the face, the share of them that is cut off (``cut_share``), stands before a surface (``behind_share``) or
    behind a thing (``before_share``); of those with a surface, ``kept_share`` have it in their ground truth, too.
    ``small_share`` come from ``small_px`` pixels, the others from 256; ``fine_noise_mm`` is the noise's standard
    deviation, ``flying_share`` have flying pixels at their jumps.
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
    camera_share: float = 0.0
    zoom: tuple[float, float] = (0.8, 1.5)
    turn_deg: float = 12.0
    cut_share: float = 0.5
    behind_share: float = 0.5
    before_share: float = 0.15
    kept_share: float = 0.75
    small_share: float = 0.55
    small_px: tuple[int, int] = (45, 200)
    fine_noise_mm: tuple[float, float] = (0.2, 6.0)
    flying_share: float = 0.4

    def __post_init__(self) -> None:
        check_shares(self)
        check_bounds(self, longest_span_mm=(1, 100_000), near_margin_mm=(0, 10_000), fine_noise_mm=(0, 1000))
        check_bounds(self, zoom=(0.01, 100), turn_deg=(0, 180), small_px=(1, SIZE))


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
    if settings.camera_share and rng.random() < settings.camera_share:
        return camera_pair(pair, other, degradation, settings, rng)
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


# --- As depth cameras show faces --------------------------------------------------------------------------------------

JUMP_MM = 12.0  # between neighbours: a jump of depth
DIFFERENT_PX = 3  # how far flying pixels lie from their jump


def camera_pair(
    pair: Pair,
    other: Pair,
    degradation: DegradationSettings,
    settings: SceneSettings,
    rng: np.random.Generator,
) -> tuple[DepthImage, DepthImage]:
    """Ground truth and a freshly degraded image, uint16 (256, 256) each: a face as a depth camera shows it.

    Another size, place and cut, something behind or before it, a sensor of few or many pixels with fine noise, steps,
    flying pixels and its own kinds of holes.
    """
    relief_mm, face = _moved(pair, settings, rng)
    if rng.random() < settings.cut_share:
        face &= _cut(face, rng)
    span_mm, near_mm = _camera_span(relief_mm, face, settings, rng)
    depth_range = DepthRange(near_mm, span_mm)
    truth = _as_depth(relief_mm, face, depth_range)
    scene = truth
    if rng.random() < settings.behind_share:
        scene = surface_behind(scene, depth_range, other, rng)
    if rng.random() < settings.before_share:
        scene = _thing_before(scene, depth_range, rng)
    if rng.random() < settings.kept_share:
        truth = scene
    return truth, _sensed(scene, depth_range, degradation, settings, rng)


def _moved(pair: Pair, settings: SceneSettings, rng: np.random.Generator) -> tuple[FloatArray, Mask]:
    """The relief of a stored face in millimetres, mirrored, turned, zoomed and shifted, and where it is."""
    truth = pair.ground_truth
    size = truth.shape[0]
    zoom, angle = rng.uniform(*settings.zoom), rng.normal(0, settings.turn_deg / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D((size / 2, size / 2), angle, zoom))
    matrix[:, 2] += rng.normal(0, 0.06, 2) * size
    if rng.random() < 0.5:
        matrix[:, 2] += matrix[:, 0] * (size - 1)
        matrix[:, 0] *= -1
    there = (truth != HOLE).astype(np.float32)
    layers = np.stack([there * truth, there], axis=-1)
    warped = np.asarray(cv2.warpAffine(layers, matrix, (size, size), flags=cv2.INTER_LINEAR), np.float32)
    per_step = np.float32(pair.depth_range.span_mm / FARTHEST * rng.uniform(0.9, 1.1))
    relief_mm = warped[..., 0] / np.maximum(warped[..., 1], np.float32(1e-3)) * per_step
    return np.asarray(relief_mm, np.float32), warped[..., 1] > 0.5


def _cut(face: Mask, rng: np.random.Generator) -> Mask:
    """What is left of an image behind one or two curved cuts through forehead, ear, cheek or neck."""
    size = face.shape[0]
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / np.float32(size) - np.float32(0.5)
    left = np.ones(face.shape, bool)
    for _ in range(int(rng.integers(1, 3))):
        angle = rng.uniform(0, 2 * np.pi)
        along = np.float32(np.cos(angle)) * columns + np.float32(np.sin(angle)) * rows
        across = np.float32(np.cos(angle)) * rows - np.float32(np.sin(angle)) * columns
        left &= along + np.float32(rng.uniform(-0.3, 1.0)) * across**2 < np.float32(rng.uniform(0.18, 0.5))
    return left


def _camera_span(
    relief_mm: FloatArray, face: Mask, settings: SceneSettings, rng: np.random.Generator
) -> tuple[float, float]:
    """Span and near end of the image in millimetres: mostly 25 cm from a point somewhat before the face."""
    seen = relief_mm[face]
    near, far = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 100.0)
    margin = float(rng.uniform(0, settings.near_margin_mm) if rng.random() < 0.7 else rng.uniform(0, 60))
    own = max(far - near + margin, 20.0)
    span = CAMERA_SPAN_MM if rng.random() < settings.camera_span_share else float(rng.uniform(own, max(own, 300.0)))
    return span, near - margin


def _as_depth(relief_mm: FloatArray, there: Mask, depth_range: DepthRange) -> DepthImage:
    values = np.rint((relief_mm - np.float32(depth_range.near_mm)) * np.float32(FARTHEST / depth_range.span_mm))
    usable = there & (values >= 0) & (values <= FARTHEST)
    return np.where(usable, values, np.float32(HOLE)).astype(np.uint16)


def _thing_before(scene: DepthImage, depth_range: DepthRange, rng: np.random.Generator) -> DepthImage:
    """An ellipse or bar at a slant (a hand, an arm, a strand of hair) before the scene."""
    size = scene.shape[0]
    area = np.zeros(scene.shape, np.uint8)
    centre = tuple(int(value) for value in rng.uniform(0, size, 2))
    axes = (int(rng.uniform(0.03, 0.15) * size), int(rng.uniform(0.06, 0.6) * size))
    cv2.ellipse(area, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    seen = (area > 0) & (scene != HOLE)
    if not seen.any():
        return scene
    per_mm = FARTHEST / depth_range.span_mm
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) - np.float32(size / 2)
    slope = rng.normal(0, 0.25, 2)
    plane = np.float32(np.median(scene[seen]) - rng.uniform(10, 80) * per_mm)
    plane = plane + np.float32(slope[0] * per_mm) * columns + np.float32(slope[1] * per_mm) * rows
    before = (area > 0) & (plane >= 0) & (plane < scene)
    return np.where(before, plane, scene).astype(np.uint16)


def _sensed(
    scene: DepthImage,
    depth_range: DepthRange,
    degradation: DegradationSettings,
    settings: SceneSettings,
    rng: np.random.Generator,
) -> DepthImage:
    """The scene through a sensor: its pixels, noise, steps, flying pixels and holes, at 256x256 again."""
    size = scene.shape[0]
    side = int(rng.integers(*settings.small_px)) if rng.random() < settings.small_share else size
    sensed = cv2.resize(scene, (side, side), interpolation=cv2.INTER_NEAREST) if side != size else scene
    values, measured = sensed.astype(np.float32), sensed != HOLE
    per_mm = np.float32(FARTHEST / depth_range.span_mm)
    steep = _steepness(values, measured) / (per_mm * np.float32(size / side))
    if rng.random() < settings.flying_share:
        rim = (steep > JUMP_MM * side / size) | ~measured
        rim = cv2.dilate(rim.astype(np.uint8), np.ones((DIFFERENT_PX, DIFFERENT_PX), np.uint8)) > 0
        flying = rim & measured & (rng.random(rim.shape, dtype=np.float32) < np.float32(rng.uniform(0.05, 0.7)))
        values[flying] += rng.random(int(flying.sum()), dtype=np.float32) * (rng.uniform(2, 40) * per_mm)
    low, high = np.log(settings.fine_noise_mm)
    noise = rng.standard_normal(values.shape, dtype=np.float32)
    if rng.random() < 0.4:  # neighbours that err together, as matching windows and filters on the sensor make them
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.5, 1.5))), np.float32)
        noise /= max(float(noise.std()), 1e-3)
    values += noise * np.float32(np.exp(rng.uniform(low, high)) * per_mm)
    if rng.random() < 0.3:
        step = np.float32(rng.uniform(0.3, 4.0) * per_mm)
        values = np.asarray(np.rint(values / step) * step, np.float32)
    measured &= ~_sensor_holes(measured, steep, degradation, rng)
    if side != size:
        weight = measured.astype(np.float32)
        layers = np.asarray(cv2.resize(np.stack([values * weight, weight], axis=-1), (size, size)), np.float32)
        values = np.asarray(layers[..., 0] / np.maximum(layers[..., 1], np.float32(1e-3)), np.float32)
        measured = layers[..., 1] > 0.5
    result = np.where(measured, np.clip(np.rint(values), 0, FARTHEST), np.float32(HOLE)).astype(np.uint16)
    return blur_depth(result, int(rng.integers(2, 8))) if rng.random() < 0.25 else result


def _steepness(values: FloatArray, measured: Mask) -> FloatArray:
    """The larger of the differences to the next measured pixel on the right and below; 0 beside a hole."""
    steep = np.zeros_like(values)
    for one, two in (
        ((slice(None), slice(0, -1)), (slice(None), slice(1, None))),
        ((slice(0, -1), slice(None)), (slice(1, None), slice(None))),
    ):
        change = np.abs(values[one] - values[two]) * (measured[one] & measured[two])
        np.maximum(steep[one], change, out=steep[one])
        np.maximum(steep[two], change, out=steep[two])
    return steep


def _sensor_holes(
    measured: Mask, steep: FloatArray, degradation: DegradationSettings, rng: np.random.Generator
) -> Mask:
    """Holes as sensors have them: patches, ellipses, worn rims, shadows beside jumps, steep places, single pixels."""
    side = measured.shape[0]
    holes = np.zeros(measured.shape, bool)
    if rng.random() < 0.5:
        holes |= blob_holes(rng, rng.uniform(0.01, 0.3), side)
    if rng.random() < 0.4:
        scale = np.float32(side / SIZE)
        triangles = random_holes(replace(degradation, random_holes=(0, 60)), rng) * scale
        holes |= punch_holes(np.zeros(measured.shape, np.uint16), triangles) == HOLE
    if rng.random() < 0.4:
        drawn = np.zeros(measured.shape, np.uint8)
        for _ in range(int(rng.integers(1, 7))):
            centre = tuple(int(value) for value in rng.uniform(0.1, 0.9, 2) * side)
            axes = tuple(max(int(value), 1) for value in rng.uniform(0.01, 0.13, 2) * side)
            cv2.ellipse(drawn, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        holes |= drawn > 0
    if rng.random() < 0.5:
        away = np.asarray(cv2.distanceTransform(measured.astype(np.uint8), cv2.DIST_L2, 3))
        ragged = cv2.resize(rng.random((24, 24), dtype=np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
        holes |= away < ragged * np.float32(rng.uniform(0.005, 0.06) * side)
    if rng.random() < 0.3:
        shift = int(rng.integers(1, max(side // 20, 2))) * (1 if rng.random() < 0.5 else -1)
        jumps = np.roll(steep > np.float32(rng.uniform(4, 15)), shift, axis=1).astype(np.uint8)
        holes |= cv2.dilate(jumps, np.ones((1, abs(shift) + 1), np.uint8)) > 0
    if rng.random() < 0.4:
        holes |= steep > np.float32(rng.uniform(2, 12)) * rng.random(measured.shape, dtype=np.float32)
    if rng.random() < 0.4:
        holes |= rng.random(measured.shape, dtype=np.float32) < np.float32(rng.uniform(0, 0.08))
    return holes
