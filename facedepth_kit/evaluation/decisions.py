"""From scores to decisions: error rates of presentation attack detection as in ISO/IEC 30107-3.

A score says how suspicious a presentation is; a score of the threshold or more is taken for an attack. APCER is the
share of an instrument's attack presentations that pass, the standard counts the worst instrument; BPCER is the share of
bona fide presentations that are rejected. NaN means that no score could be given: a presentation without response is
left out of both rates and has to be reported beside them (APNRR, BPNRR).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError

FloatArray = npt.NDArray[np.float64]
Scores = Sequence[float] | npt.NDArray[np.floating]


def apcer(scores: Scores, threshold: float) -> float:
    """The share of attack presentations that are taken for bona fide (score below the threshold); NaN without any."""
    answered = _answered(scores)
    return float(np.mean(answered < threshold)) if answered.size else float("nan")


def bpcer(scores: Scores, threshold: float) -> float:
    """The share of bona fide presentations that are taken for attacks; NaN without any."""
    return 1.0 - apcer(scores, threshold)


def no_response(scores: Scores) -> float:
    """The share of presentations without a score (APNRR or BPNRR); NaN without any."""
    values = np.asarray(scores, np.float64)
    return float(np.isnan(values).mean()) if values.size else float("nan")


@dataclass(frozen=True, eq=False)
class Curve:
    """Error rates over thresholds, ascending; ``apcer`` by instrument, each float64 of the length of ``thresholds``."""

    thresholds: FloatArray
    bpcer: FloatArray
    apcer: Mapping[str, FloatArray]

    @property
    def worst_apcer(self) -> FloatArray:
        """APCER of the instrument that passes most often, at each threshold."""
        return np.asarray(np.max(list(self.apcer.values()), axis=0))


def error_curve(bona_fide: Scores, attacks: Mapping[str, Scores], thresholds: Scores | None = None) -> Curve:
    """APCER by instrument and BPCER over thresholds; by default every one at which a rate changes.

    Raises :class:`KitError` when the bona fide scores or an instrument's are missing: half a trade-off says nothing.
    """
    known = {"bona fide": bona_fide, **attacks}
    for name, scores in known.items():
        if not _answered(scores).size:
            raise KitError(f"decisions: found no score of {name}, expected some")
    if not attacks:
        raise KitError("decisions: found no attack instrument, expected one or more")
    if thresholds is None:
        scores_there = np.unique(np.concatenate([_answered(scores) for scores in known.values()]))
        steps = np.nextafter(scores_there, np.inf)
        chosen = np.unique(np.concatenate([scores_there, steps[-1:]]))
    else:
        chosen = np.sort(np.asarray(thresholds, np.float64))
    return Curve(
        chosen,
        np.array([bpcer(bona_fide, value) for value in chosen]),
        {name: np.array([apcer(scores, value) for value in chosen]) for name, scores in attacks.items()},
    )


def threshold_at_bpcer(curve: Curve, limit: float) -> float:
    """The lowest threshold of a curve at which at most ``limit`` of the bona fide presentations are rejected.

    Infinite when there is none.
    """
    fine = np.flatnonzero(curve.bpcer <= limit)
    return float(curve.thresholds[fine[0]]) if fine.size else float("inf")


def bpcer_at_apcer(curve: Curve, limit: float) -> float:
    """The lowest BPCER of a curve where the worst instrument's APCER is at most ``limit``: BPCER20 at 5 %.

    1 where no threshold of the curve keeps APCER that low: all must be rejected.
    """
    fine = curve.worst_apcer <= limit
    return float(curve.bpcer[fine].min()) if fine.any() else 1.0


def equal_error_rate(curve: Curve) -> float:
    """Where BPCER and the worst APCER are equal (D-EER), interpolated between two thresholds of the curve."""
    # At the lowest threshold everything is rejected, at the highest nothing.
    rejected = np.concatenate([[1.0], curve.bpcer, [0.0]])
    passed = np.concatenate([[0.0], curve.worst_apcer, [1.0]])
    gap = rejected - passed
    after = int(np.flatnonzero(gap <= 0)[0])
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float(rejected[before] + share * (rejected[after] - rejected[before]))


def interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a share ``hits / trials``: what a rate from few presentations may truly be.

    Raises :class:`KitError` for impossible counts.
    """
    from scipy.stats import binomtest

    if not 0 <= hits <= trials or trials == 0:
        raise KitError(f"interval: found {hits} of {trials}, expected some trials and at most as many hits")
    found = binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)


@dataclass(frozen=True)
class Paired:
    """The same presentations decided twice, without and with enhancement: how many passed only before or only after.

    ``p_value`` is McNemar's exact test of the two kinds of change being equally likely.
    """

    presentations: int
    passed_both: int
    only_before: int
    only_after: int
    p_value: float


def paired(before: Scores, after: Scores, threshold: float, threshold_after: float | None = None) -> Paired:
    """Compare decisions on the same presentations in the same order; those without a score in either are left out.

    For attacks, ``only_after`` is what enhancement lets through; for bona fide, what it rescues. The second scores may
    have a threshold of their own. Raises :class:`KitError` for different lengths.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if first.shape != second.shape:
        raise KitError(f"paired: found {first.size} and {second.size} scores, expected the same presentations")
    both = ~np.isnan(first) & ~np.isnan(second)
    passed = first[both] < threshold
    passed_after = second[both] < (threshold if threshold_after is None else threshold_after)
    only_before, only_after = int((passed & ~passed_after).sum()), int((~passed & passed_after).sum())
    changed = only_before + only_after
    p_value = float(binomtest(only_after, changed).pvalue) if changed else 1.0
    return Paired(int(both.sum()), int((passed & passed_after).sum()), only_before, only_after, p_value)


def _answered(scores: Scores) -> FloatArray:
    values = np.asarray(scores, np.float64)
    return values[~np.isnan(values)]
