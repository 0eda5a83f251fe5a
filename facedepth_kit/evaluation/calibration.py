"""Finding the degradation's unpublished settings from the rows of Table IV that need no learning.

None and the seven SDK filters are deterministic given the degraded images, so their published means and standard
deviations pin down what section III-B leaves open: hole counts, hole sizes, blur. The search compares what candidate
settings give on a fixed set of faces with the published numbers; a report on fresh faces follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from facedepth_kit import enhancers
from facedepth_kit.depth import DepthImage, DepthRange
from facedepth_kit.evaluation import published
from facedepth_kit.evaluation.error import ErrorSummary, face_rmse, summary
from facedepth_kit.faces.people.parametric import draw_face
from facedepth_kit.pairs.degradation import DegradationSettings, degrade
from facedepth_kit.pairs.store import SynthesisSettings, render_ground_truth

ROWS = ("None", "De-M2", "De-M8", "Hf-FFA", "Hf-NFA", "Hf-L", "Sp-Hf16", "Sp-HfU")
TOLERANCE = 0.10
STD_WEIGHT = 0.15  # a spread that is off by a factor matters less than a mean that is
ORDER_WEIGHT = 4.0

GroundTruths = list[tuple[DepthImage, DepthRange]]


@dataclass(frozen=True)
class RowReport:
    """One row of Table IV: published and measured mean and standard deviation of the face RMSE."""

    enhancer: str
    published_mean: float
    published_std: float
    mean: float
    std: float

    @property
    def deviation(self) -> float:
        """Relative deviation of the mean from the published one."""
        return self.mean / self.published_mean - 1

    @property
    def within_tolerance(self) -> bool:
        """Whether the mean is within 10 % of the published one."""
        return abs(self.deviation) <= TOLERANCE


@dataclass(frozen=True)
class Calibration:
    """The settings that a search found, their score (0 = every row as published) and the report on fresh faces."""

    degradation: DegradationSettings
    score: float
    tried: int
    report: tuple[RowReport, ...]


def ground_truths(count: int, seed: int, settings: SynthesisSettings) -> GroundTruths:
    """``count`` ground truth images with their ranges."""
    truths = []
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        truths.append(render_ground_truth(draw_face(rng, settings.faces), settings, rng))
    return truths


def measure_errors(truths: GroundTruths, degradation: DegradationSettings, seed: int) -> dict[str, ErrorSummary]:
    """Face RMSE of the eight rows on freshly degraded images of ``truths``."""
    errors: dict[str, list[float]] = {name: [] for name in ROWS}
    rows = {name: enhancers.get(name).enhance for name in ROWS}
    for index, (truth, depth_range) in enumerate(truths):
        degraded = degrade(
            truth, depth_range=depth_range, settings=degradation, rng=np.random.default_rng([seed, index])
        )
        for name, enhance in rows.items():
            errors[name].append(float(face_rmse(enhance(degraded), truth)))
    return {name: summary(values) for name, values in errors.items()}


def compare(measured: dict[str, ErrorSummary]) -> tuple[RowReport, ...]:
    """The measured rows beside the published ones."""
    claimed = published.rows("IV")
    return tuple(
        RowReport(
            name, float(claimed[name]["mean"]), float(claimed[name]["std"]), measured[name].mean, measured[name].std
        )
        for name in ROWS
    )


def score(report: tuple[RowReport, ...]) -> float:
    """How far a report is from the paper: squared log ratios of means and (lightly) spreads, and a price for a wrong
    order."""
    total = sum(
        np.log(row.mean / row.published_mean) ** 2 + STD_WEIGHT * np.log(max(row.std, 1e-6) / row.published_std) ** 2
        for row in report
    )
    ranked = sorted(report, key=lambda row: row.published_mean)
    for better, worse in pairwise(ranked):
        total += ORDER_WEIGHT * max(float(np.log(better.mean / worse.mean)), 0.0) ** 2
    return float(total)


def in_published_order(report: tuple[RowReport, ...]) -> bool:
    """Whether sorting by mean gives the published order."""
    return sorted(report, key=lambda r: r.mean) == sorted(report, key=lambda r: r.published_mean)


def _vary(settings: DegradationSettings, step: float, rng: np.random.Generator) -> DegradationSettings:
    """A neighbour: some of the ranges' centres and widths multiplied by random factors."""

    def factor() -> float:
        return float(np.exp(rng.normal(0, step))) if rng.random() < 0.4 else 1.0

    def around(bounds: tuple[int, int]) -> tuple[int, int]:
        centre, width = (bounds[0] + bounds[1]) / 2 * factor(), (bounds[1] - bounds[0]) / 2 * factor()
        low = max(round(centre - width), 0)
        return low, max(round(centre + width), low)

    def between(bounds: tuple[float, float]) -> tuple[float, float]:
        low, high = bounds[0] * factor(), bounds[1] * factor()
        return round(min(low, high), 2), round(min(max(low, high), 128.0), 2)

    blur = between(settings.blur_px)
    return replace(
        settings,
        outline_holes=around(settings.outline_holes),
        outline_hole_px=between(settings.outline_hole_px),
        random_holes=around(settings.random_holes),
        random_hole_px=between(settings.random_hole_px),
        blur_px=(max(round(blur[0]), 1), max(round(blur[1]), 1)),
    )


def calibrate(
    *,
    seed: int,
    seconds: float,
    search_count: int = 40,
    report_count: int = 200,
    synthesis: SynthesisSettings | None = None,
    on_improvement: Callable[[float, DegradationSettings], None] | None = None,
) -> Calibration:
    """Search from the current defaults for ``seconds`` and report on ``report_count`` faces that the search did not
    see.

    A hill climb with random neighbours on ``search_count`` fixed faces. Every candidate keeps the paper's 15 mm of
    noise.
    """
    synthesis = synthesis or SynthesisSettings()
    rng = np.random.default_rng(seed)
    truths = ground_truths(search_count, seed, synthesis)
    best = synthesis.degradation
    best_score = score(compare(measure_errors(truths, best, seed)))
    tried, step, began = 1, 0.25, time.monotonic()
    while time.monotonic() - began < seconds:
        candidate = _vary(best, step, rng)
        value = score(compare(measure_errors(truths, candidate, seed)))
        tried += 1
        if value < best_score:
            best, best_score = candidate, value
            if on_improvement:
                on_improvement(value, candidate)
        else:
            step = max(step * 0.995, 0.05)
    fresh = ground_truths(report_count, seed + 1, synthesis)
    return Calibration(best, best_score, tried, compare(measure_errors(fresh, best, seed + 1)))
