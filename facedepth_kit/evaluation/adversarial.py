"""Adversarial attacks on enhancers: how much does a change do that no larger is than the sensor's own noise?

The attacker changes the depth image before it is enhanced, in memory: a digital attack, more than a print or a mask in
front of the camera can do. Every measured pixel may move by so many standard deviations of the sensor's noise, holes
stay holes. Projected gradient descent (Madry et al. 2018) follows the gradient of the network; what has none (rounding,
holes, the bound near what was measured) is run as it is and passed over on the way back (BPDA, Athalye et al. 2018), so
a defence is attacked as it is deployed. OpenCV's inpainting has no gradient: it gets what was made for others
(transfer) and a random search of squares (after Andriushchenko et al. 2020) that sees outputs only. Ours, not the
paper's, which names the question as future work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.cameras.simulated.sensors import ActiveStereo, SensorSettings
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, DepthRange, Mask, to_millimetres, to_unit
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.enhancers.learned import network_gradient
from facedepth_kit.evaluation.decision_tables import BPCER_LIMIT
from facedepth_kit.evaluation.decisions import apcer, bpcer, error_curve, interval, threshold_at_bpcer
from facedepth_kit.evaluation.falsification import falsification
from facedepth_kit.evaluation.landmarks import Points
from facedepth_kit.evaluation.pad import CHIN, JAW, NOSE_TIP, geometric_pad
from facedepth_kit.evaluation.relief import ReliefSettings, face_relief

FloatArray = npt.NDArray[np.float32]
Enhance = Callable[[DepthImage], DepthImage]
Gradient = Callable[[FloatArray, FloatArray], FloatArray]
Attacked = dict[tuple[str, str], DepthImage]  # by a system's label and the attack

LATERAL_PX = 0.8  # a depth pixel's error across the line of sight (Nguyen et al. 2012, Kinect v1)
STEEPEST = 3.0  # tan of the angle (72 degrees) from which the noise grows no further
SMOOTHING_PX = 3.0
EYES_MM = 90.0  # between the outer corners of the eyes, as a scale
EYES = (36, 45)
WINDOW = 2  # pixels around a landmark that the attack moves with it: those whose median the relief takes
MARGIN_MM = 1.0  # a rule counts as kept by that much
SHARE_OF_STEP = 2.5  # all steps together could cross the budget so many times


def noise_mm(depth_mm: npt.NDArray[np.floating], pixel_mm: float, sensor: SensorSettings) -> FloatArray:
    """The standard deviation of a triangulating sensor at each pixel, float32 (height, width) in mm; NaN at holes.

    Along the line of sight z² / (focal * baseline) times the error of a disparity: the window's mean error, each
    pixel's own, and rounding. On a surface turned away by an angle, 0.8 px across add their share of its tangent.
    ``pixel_mm`` is the size of a pixel on the face.
    """
    features = sensor.window_px**2 * sensor.feature_share
    disparity_px = np.sqrt(
        sensor.feature_noise_px**2 / features + sensor.pixel_noise_px**2 + 1 / (12 * sensor.steps_per_px**2)
    )
    known = np.isfinite(depth_mm)
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), SMOOTHING_PX)
    smooth = cv2.GaussianBlur(np.where(known, depth_mm, 0).astype(np.float32), (0, 0), SMOOTHING_PX)
    rows, columns = np.gradient(np.asarray(smooth) / np.maximum(np.asarray(weight), 1e-3), pixel_mm)
    slope = np.minimum(np.hypot(rows, columns), STEEPEST)
    along = depth_mm**2 / (sensor.focal_px * sensor.baseline_mm) * disparity_px
    across = LATERAL_PX * depth_mm / sensor.focal_px * slope
    return np.asarray(np.hypot(along, across), np.float32)


@dataclass(frozen=True, eq=False)
class Targets:
    """Images under attack: uint16 (n, 256, 256) with masks of that shape, each pixel's budget, and what is known.

    ``reach`` is how far a pixel may move, float32 in depth steps, 0 at holes. ``truth`` is the ground truth or None,
    ``landmarks`` (n, 68, 2) or None; ``span_mm`` the images' spans, ``species`` what they show.
    """

    depth: DepthImage
    mask: Mask
    reach: FloatArray
    span_mm: npt.NDArray[np.float64]
    species: tuple[str, ...] = ()
    truth: DepthImage | None = None
    landmarks: Points | None = None

    def __len__(self) -> int:
        return len(self.depth)

    def within(self, changed: npt.NDArray[np.floating]) -> DepthImage:
        """``changed``, projected onto the budget and rounded into it: holes and what lies beyond stay as they were."""
        given = self.depth.astype(np.float64)
        low, high = np.maximum(np.ceil(given - self.reach), 0), np.minimum(np.floor(given + self.reach), FARTHEST)
        moved = np.clip(np.rint(changed), low, np.maximum(high, low))
        return np.where(self.depth == HOLE, HOLE, moved).astype(np.uint16)


def face_targets(crops: Sequence[FaceCrop], deviations: float, sensor: SensorSettings | None = None) -> Targets:
    """Camera images with landmarks and masks as targets, each pixel free by so many standard deviations.

    Raises :class:`KitError` for none, or one without landmarks or mask.
    """
    if not crops or any(crop.landmarks is None or crop.mask is None for crop in crops):
        raise KitError(f"attack: found {len(crops)} images, expected some, all with landmarks and a mask")
    landmarks = np.stack([np.asarray(crop.landmarks, np.float64) for crop in crops])
    eyes_px = np.linalg.norm(landmarks[:, EYES[0]] - landmarks[:, EYES[1]], axis=1)
    reach = [
        _reach(crop.depth, crop.depth_range, EYES_MM / max(float(px), 1.0), deviations, sensor)
        for crop, px in zip(crops, eyes_px, strict=True)
    ]
    return Targets(
        np.stack([crop.depth for crop in crops]),
        np.stack([np.asarray(crop.mask) for crop in crops]),
        np.stack(reach),
        np.array([crop.depth_range.span_mm for crop in crops]),
        tuple(crop.variant for crop in crops),
        landmarks=landmarks,
    )


def pair_targets(
    truth: DepthImage,
    degraded: DepthImage,
    deviations: float,
    *,
    span_mm: float,
    distance_mm: float,
    pixel_mm: float,
    sensor: SensorSettings | None = None,
) -> Targets:
    """Synthetic pairs as targets: their depth counts as ``span_mm`` deep from ``distance_mm`` on."""
    depth_range = DepthRange(distance_mm, span_mm)
    reach = [_reach(image, depth_range, pixel_mm, deviations, sensor) for image in degraded]
    return Targets(degraded, truth != HOLE, np.stack(reach), np.full(len(truth), span_mm), truth=truth)


def _reach(
    depth: DepthImage, depth_range: DepthRange, pixel_mm: float, deviations: float, sensor: SensorSettings | None
) -> FloatArray:
    sigma = noise_mm(to_millimetres(depth, depth_range), pixel_mm, sensor or ActiveStereo())
    return np.asarray(np.nan_to_num(deviations * sigma * (FARTHEST / depth_range.span_mm)), np.float32)


# --- what is attacked -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class System:
    """An enhancer as it is used: plain, or (``held``) with its output held near what was measured."""

    name: str
    held: bool = False

    @property
    def label(self) -> str:
        """Its name in tables."""
        return f"{self.name}, held" if self.held else self.name

    @property
    def enhance(self) -> Enhance:
        """The function that is deployed."""
        return recording_enhancer(self.name) if self.held else enhancers.get(self.name).enhance

    @property
    def gradient(self) -> Gradient | None:
        """The way back through it, or None: networks have one, and doing nothing has."""
        if self.name == "None":
            return lambda unit, weight: weight
        if enhancers.get(self.name).kind != "learned" or self.name == "DDRNet-dn":
            return None
        return network_gradient(self.name)


def systems(names: Sequence[str]) -> list[System]:
    """Those of ``names`` that can run here, networks twice: plain and held."""
    able = [name for name in names if name in enhancers.offered()]
    found = [System(name) for name in able]
    return found + [System(name, held=True) for name in able if enhancers.get(name).kind == "learned"]


# --- aims -----------------------------------------------------------------------------------------------------------

Slopes = tuple[npt.NDArray[np.float64], FloatArray, FloatArray]
Aim = Callable[[Targets, DepthImage, DepthImage], Slopes]


def raise_error(targets: Targets, given: DepthImage, output: DepthImage) -> Slopes:
    """Aim (i): a large RMSE against the ground truth over the face. Needs ``truth``."""
    assert targets.truth is not None
    difference = np.where(targets.mask, to_unit(output) - to_unit(targets.truth), 0)
    return _mean_square(difference), np.asarray(2 * difference, np.float32), np.zeros_like(difference, np.float32)


def raise_falsification(targets: Targets, given: DepthImage, output: DepthImage) -> Slopes:
    """Aim (ii): an output that is far from what was given, at measured pixels of the face."""
    seen = targets.mask & (given != HOLE)
    slope = np.asarray(2 * np.where(seen, to_unit(output) - to_unit(given), 0), np.float32)
    return _mean_square(slope / 2), slope, -slope


def pass_for_a_face(targets: Targets, given: DepthImage, output: DepthImage) -> Slopes:
    """Aim (iii): the landmarks keep the geometric rules, and the nose stands out. Needs ``landmarks``.

    The loss is a smooth stand-in: by how many millimetres each rule is broken, and the nose's mean distance from the
    other landmarks. What counts in the tables are the checks themselves.
    """
    assert targets.landmarks is not None
    values = np.zeros(len(targets))
    slope = np.zeros(output.shape, np.float32)
    for index, (image, points) in enumerate(zip(output, targets.landmarks, strict=True)):
        per_step = targets.span_mm[index] / FARTHEST
        columns, rows = np.clip(np.floor(points + 0.5), 0, image.shape[0] - 1).astype(int).T
        depth_mm = image[rows, columns] * per_step
        pull = np.zeros(len(points))  # how the value grows with a landmark's depth
        before = [(other, NOSE_TIP) for other in range(len(points)) if other != NOSE_TIP]
        outwards = [*zip(range(CHIN - 1, -1, -1), range(CHIN, 0, -1), strict=True)]
        outwards += [*zip(range(CHIN + 1, JAW.stop), range(CHIN, JAW.stop - 1), strict=True)]
        for far, near in (*before, *outwards):
            short = MARGIN_MM - (depth_mm[far] - depth_mm[near])
            if short > 0:
                values[index] -= short / len(before)
                pull[far] += 1 / len(before)
                pull[near] -= 1 / len(before)
        others = np.arange(len(points)) != NOSE_TIP
        values[index] += depth_mm[others].mean() - depth_mm[NOSE_TIP]
        pull[others] += 1 / others.sum()
        pull[NOSE_TIP] -= 1
        for row, column, strength in zip(rows, columns, pull, strict=True):
            window = np.s_[max(row - WINDOW, 0) : row + WINDOW + 1, max(column - WINDOW, 0) : column + WINDOW + 1]
            slope[index][window] += strength
    return values, slope, np.zeros_like(slope)


def _mean_square(difference: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    return np.asarray((difference.astype(np.float64) ** 2).mean(axis=(1, 2)))


# --- attacks --------------------------------------------------------------------------------------------------------


def random_change(targets: Targets, rng: np.random.Generator) -> DepthImage:
    """The control: each pixel at one end of its budget, by chance."""
    return targets.within(targets.depth + rng.choice([-1.0, 1.0], targets.depth.shape) * targets.reach)


def gradient_attack(system: System, targets: Targets, aim: Aim, *, steps: int, rng: np.random.Generator) -> DepthImage:
    """Projected gradient descent on a system with a gradient; the best image of all steps, uint16 like the targets.

    Begins at a random point of the budget; each step goes the same share of it along the gradient's sign. Raises
    :class:`KitError` for a system without a gradient.
    """
    gradient = system.gradient
    if gradient is None:
        raise KitError(f"{system.label}: found no gradient, expected a network")
    step = SHARE_OF_STEP / steps
    changed = targets.depth + rng.uniform(-1, 1, targets.depth.shape) * targets.reach
    best, best_values = targets.depth.copy(), np.full(len(targets), -np.inf)
    for index in range(steps + 1):
        given = targets.within(changed)
        values, by_output, by_given = aim(targets, given, system.enhance(given))
        better = values > best_values
        best[better], best_values[better] = given[better], values[better]
        if index < steps:
            slope = gradient(to_unit(given), by_output) + by_given
            changed = targets.within(changed + step * targets.reach * np.sign(slope)).astype(np.float64)
    return best


def square_search(system: System, targets: Targets, aim: Aim, *, queries: int, rng: np.random.Generator) -> DepthImage:
    """A black-box attack: move a random square of the face to an end of its budget, keep it where that helped.

    Squares shrink from a quarter of the image's side to 8 px over the ``queries``.
    """
    best = targets.depth.copy()
    best_values = aim(targets, best, system.enhance(best))[0]
    for query in range(queries):
        side = max(round(64 * (1 - query / max(queries, 1))), 8)
        changed = best.astype(np.float64)
        for index in range(len(targets)):
            rows, columns = np.nonzero(targets.mask[index])
            chosen = int(rng.integers(len(rows)))
            window = np.s_[
                index,
                max(int(rows[chosen]) - side // 2, 0) : int(rows[chosen]) + side // 2 + 1,
                max(int(columns[chosen]) - side // 2, 0) : int(columns[chosen]) + side // 2 + 1,
            ]
            changed[window] = targets.depth[window] + float(rng.choice([-1.0, 1.0])) * targets.reach[window]
        given = targets.within(changed)
        values = aim(targets, given, system.enhance(given))[0]
        better = values > best_values
        best[better], best_values[better] = given[better], values[better]
    return best


@dataclass(frozen=True)
class Effort:
    """How hard it is tried: ``steps`` of gradient descent, ``queries`` of the search."""

    steps: int
    queries: int


def attacked(
    under: Sequence[System], targets: Targets, aim: Aim, effort: Effort | None, rng: np.random.Generator
) -> Attacked:
    """Attacked images by system and attack: ``none``, ``random``, and ``gradient`` or ``search`` and ``transfer``.

    What has a gradient is not searched, too: that is the weaker attack. Transferred is what was made for the first
    network of the list. Without ``effort`` nothing is attacked.
    """
    found: Attacked = {(system.label, "none"): targets.depth for system in under}
    if effort is None:
        return found
    chance = random_change(targets, rng)
    source: DepthImage | None = None
    for system in sorted(under, key=lambda system: system.gradient is None or system.name == "None"):
        found[system.label, "random"] = chance
        if system.gradient is not None:
            made = gradient_attack(system, targets, aim, steps=effort.steps, rng=rng)
            found[system.label, "gradient"] = made
            source = made if source is None and system.name != "None" else source
        else:
            found[system.label, "search"] = square_search(system, targets, aim, queries=effort.queries, rng=rng)
            if source is not None:
                found[system.label, "transfer"] = source
    return found


# --- tables ---------------------------------------------------------------------------------------------------------


def distance_rows(under: Sequence[System], targets: Targets, found: Attacked) -> list[dict[str, Any]]:
    """RMSE or falsification (times 100) of each system under each attack, a line each: the mean and the largest.

    RMSE where the targets have a ground truth, over the face; otherwise falsification, against what was given.
    """
    by_label = {system.label: system for system in under}
    lines = []
    for (label, attack), given in found.items():
        output = by_label[label].enhance(given)
        if targets.truth is None:
            name, values = "falsification", falsification(output, given, mask=targets.mask)
        else:
            name, values = "RMSE", falsification(output, targets.truth, mask=targets.mask)
        lines.append(
            {
                "measure": f"{name} (100)",
                "enhancer": label,
                "attack": attack,
                "images": len(targets),
                "mean": 100 * float(np.nanmean(values)),
                "largest": 100 * float(np.nanmax(values)),
            }
        )
    return lines


def pad_scores(enhance: Enhance, targets: Targets, given: DepthImage) -> dict[str, npt.NDArray[np.float64]]:
    """Both checks' scores of images under a system, the more suspicious the higher (as in ``decision_tables``)."""
    assert targets.landmarks is not None
    output = enhance(given)
    relief = [
        face_relief(image, points, DepthRange(0.0, float(span_mm))).nose_mm
        for image, points, span_mm in zip(output, targets.landmarks, targets.span_mm, strict=True)
    ]
    beyond = [np.isnan(nose_mm) or nose_mm > ReliefSettings().most_mm for nose_mm in relief]
    return {
        "geometric PAD error": geometric_pad(output, targets.landmarks).errors,
        "relief (ours)": np.where(beyond, np.inf, -np.asarray(relief)),
    }


def pad_rows(
    under: Sequence[System],
    bona_fide: Targets,
    attacks: Targets,
    thresholds: Mapping[str, float],
    given: Attacked,
) -> list[dict[str, Any]]:
    """APCER of every species under each attack, with its 95 % interval and n, and the worst species' as the maximum.

    ``given`` is what :func:`attacked` made of ``attacks``. Bona fide faces are not attacked: nobody disguises a face
    as a print. APCER and BPCER are those at the fixed thresholds; beside them stands the APCER where at most 5 % of
    these bona fide faces are rejected.
    """
    by_label = {system.label: system for system in under}
    faces = {system.label: pad_scores(system.enhance, bona_fide, bona_fide.depth) for system in under}
    species = tuple(dict.fromkeys(attacks.species))
    lines = []
    for (label, attack), images in given.items():
        scores = pad_scores(by_label[label].enhance, attacks, images)
        for check, threshold in thresholds.items():
            kinds = {kind: scores[check][np.array(attacks.species) == kind] for kind in species}
            at_limit = threshold_at_bpcer(error_curve(faces[label][check], kinds), BPCER_LIMIT)
            shared = {"check": check, "enhancer": label, "attack": attack}
            rejected = bpcer(faces[label][check], threshold)
            found: list[dict[str, Any]] = []
            for kind, values in kinds.items():
                rate = apcer(values, threshold)
                low, high = interval(round(rate * len(values)), len(values))
                found.append({**shared, "presentation": kind, "n": len(values), "APCER": rate, "low_95": low,
                              "high_95": high, "APCER at BPCER 5%": apcer(values, at_limit)})  # fmt: skip
            worst = {key: max(line[key] for line in found) for key in ("APCER", "APCER at BPCER 5%")}
            found.append({**shared, "presentation": "worst species", "n": len(attacks), **worst})
            lines += [{**line, "BPCER": rejected, "bona_fide_n": len(bona_fide)} for line in found]
    return lines
