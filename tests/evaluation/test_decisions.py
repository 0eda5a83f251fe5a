"""APCER, BPCER and what follows from them, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation.decisions import (
    apcer,
    bpcer,
    bpcer_at_apcer,
    equal_error_rate,
    error_curve,
    interval,
    no_response,
    paired,
    threshold_at_bpcer,
)

BONA_FIDE = [0.0, 0.1, 0.1, 0.4]
FLAT = [0.3, 0.5, 0.6]
BENT = [0.05, 0.5]


def test_a_score_of_the_threshold_is_an_attack() -> None:
    assert bpcer(BONA_FIDE, 0.1) == 0.75
    assert bpcer(BONA_FIDE, 0.11) == 0.25
    assert apcer(FLAT, 0.5) == pytest.approx(1 / 3)
    assert apcer(FLAT, 0.51) == pytest.approx(2 / 3)


def test_without_response_is_counted_apart() -> None:
    assert apcer([math.nan, 0.1, 0.9], 0.5) == 0.5
    assert no_response([math.nan, 0.1, 0.9]) == pytest.approx(1 / 3)
    assert math.isnan(apcer([math.nan], 0.5))
    assert apcer([math.inf], 1e9) == 0


def test_the_curve_has_every_step_and_the_worst_instrument() -> None:
    curve = error_curve(BONA_FIDE, {"flat": FLAT, "bent": BENT})
    assert curve.thresholds[:-1].tolist() == [0.0, 0.05, 0.1, 0.3, 0.4, 0.5, 0.6]
    assert curve.bpcer.tolist() == [1.0, 0.75, 0.75, 0.25, 0.25, 0.0, 0.0, 0.0]
    assert curve.apcer["bent"].tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1]
    assert curve.apcer["flat"].tolist() == pytest.approx([0, 0, 0, 0, 1 / 3, 1 / 3, 2 / 3, 1])
    assert curve.worst_apcer.tolist() == [0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1]
    fixed = error_curve(BONA_FIDE, {"flat": FLAT}, [0.5, 0.2])
    assert fixed.thresholds.tolist() == [0.2, 0.5]


def test_apcer_at_a_fixed_bpcer() -> None:
    curve = error_curve(BONA_FIDE, {"flat": FLAT, "bent": BENT})
    assert threshold_at_bpcer(curve, 0.25) == 0.3
    assert threshold_at_bpcer(curve, 0.05) == 0.5
    assert threshold_at_bpcer(error_curve([5.0], {"flat": FLAT}, [0.1]), 0.05) == math.inf


def test_equal_error_rate() -> None:
    # BPCER falls from 0.75 to 0.25 where APCER stays at 0.5: they meet at 0.5, half way.
    assert equal_error_rate(error_curve(BONA_FIDE, {"flat": FLAT, "bent": BENT})) == pytest.approx(0.5)
    assert equal_error_rate(error_curve([0.0, 0.1], {"flat": [0.8, 0.9]})) == 0.0
    assert equal_error_rate(error_curve([0.8, 0.9], {"flat": [0.0, 0.1]})) == 1.0
    # Scores that say nothing: any threshold trades one error for the other.
    same = [0.1, 0.2, 0.3, 0.4]
    assert equal_error_rate(error_curve(same, {"flat": same})) == pytest.approx(0.5)


def test_interval_of_few_presentations() -> None:
    # No hit in n trials: the upper end is 1 - 0.025 ** (1 / n).
    assert interval(0, 20) == pytest.approx((0.0, 1 - 0.025 ** (1 / 20)))
    assert interval(20, 20) == pytest.approx((0.025 ** (1 / 20), 1.0))
    assert interval(8, 10) == pytest.approx((0.4439, 0.9748), abs=1e-4)
    with pytest.raises(KitError):
        interval(3, 2)


def test_paired_decisions() -> None:
    before = [0.6, 0.6, 0.1, 0.1, math.nan, 0.7]
    after = [0.1, 0.7, 0.2, 0.9, 0.1, 0.2]
    found = paired(before, after, 0.5)
    assert (found.presentations, found.passed_both, found.only_before, found.only_after) == (5, 1, 1, 2)
    # Two of three changes in one direction: the exact two-sided p is 1.
    assert found.p_value == 1.0
    assert paired([0.9] * 6, [0.1] * 6, 0.5).p_value == pytest.approx(2 * 0.5**6)
    assert paired([0.9], [0.9], 0.5).p_value == 1.0
    assert paired([0.9, 0.9], [0.1, 0.3], 0.5, threshold_after=0.2).only_after == 1
    with pytest.raises(KitError):
        paired([0.1], [0.1, 0.2], 0.5)


def test_half_a_trade_off_is_refused() -> None:
    with pytest.raises(KitError, match="bona fide"):
        error_curve([math.nan], {"flat": FLAT})
    with pytest.raises(KitError, match="bent"):
        error_curve(BONA_FIDE, {"bent": []})
    with pytest.raises(KitError, match="instrument"):
        error_curve(BONA_FIDE, {})


def test_rates_against_counting(rng: np.random.Generator) -> None:
    bona_fide, attacks = rng.normal(0, 1, 50), rng.normal(1, 1, 40)
    curve = error_curve(bona_fide, {"x": attacks})
    for threshold, rejected, passed in zip(curve.thresholds, curve.bpcer, curve.apcer["x"], strict=True):
        assert rejected == pytest.approx(sum(score >= threshold for score in bona_fide) / 50)
        assert passed == pytest.approx(sum(score < threshold for score in attacks) / 40)


def test_bpcer_where_few_attacks_pass() -> None:
    curve = error_curve([0.1, 0.2, 0.3, 0.4], {"flat": [0.9] * 10, "bent": [0.25] + [0.9] * 9})
    # Nine of ten bent prints and every flat one stay below the limit of 10 % even where all faces pass.
    assert bpcer_at_apcer(curve, 0.1) == 0.0
    # None may pass: the threshold must not lie above 0.25, where half of the faces are rejected.
    assert bpcer_at_apcer(curve, 0.05) == 0.5
    assert bpcer_at_apcer(error_curve([0.1], {"flat": [0.0]}, [0.05]), 0.05) == 1.0
