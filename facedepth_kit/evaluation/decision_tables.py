"""Decisions on presentations: both checks of section IV-G with every enhancer, as rates of ISO/IEC 30107-3."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import Table, records
from facedepth_kit.evaluation.camera_measures import Measures
from facedepth_kit.evaluation.camera_tables import INSTRUMENTS, NONE
from facedepth_kit.evaluation.decisions import (
    Curve,
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
from facedepth_kit.evaluation.published import REALSENSE
from facedepth_kit.evaluation.recordings import CAMERA as RECORDINGS
from facedepth_kit.evaluation.recordings import RecordingsReport
from facedepth_kit.evaluation.relief import ReliefSettings

FloatArray = npt.NDArray[np.float64]
Row = dict[str, Any]
Score = Callable[[Measures], float]

BONA_FIDE = ("bona_fide", "")
WORST = "worst species"
BPCER_LIMIT = 0.05
APCER_LIMITS = (0.05, 0.1)


def pad_score(row: Measures) -> float:
    """The geometric PAD error; NaN without landmarks."""
    return row.pad_error


def relief_score(row: Measures) -> float:
    """The flatter, the more suspicious: the nose's relief in millimetres, negated.

    What the check cannot measure, or finds too deep, is an attack at any threshold (infinity); NaN without landmarks.
    """
    if np.isnan(row.pad_error):
        return float("nan")
    beyond = np.isnan(row.nose_mm) or row.nose_mm > ReliefSettings().most_mm
    return float("inf") if beyond else -row.nose_mm


SCORES: dict[str, Score] = {"geometric PAD error": pad_score, "relief (ours)": relief_score}


def presentations(
    measures: Iterable[Measures],
    enhancer: str,
    score: Score,
    without_face: Mapping[str, int] | None = None,
    camera: str = REALSENSE,
) -> dict[str, FloatArray]:
    """Scores of a camera's presentations of one enhancer: ``bona_fide`` and each instrument that was presented.

    ``without_face`` counts, by variant, presentations that never came to a score because Dlib saw no face: NaN.
    """
    found: dict[str, list[float]] = {"bona_fide": []}
    for row in measures:
        if row.camera == camera and row.enhancer == enhancer:
            found.setdefault("bona_fide" if row.variant in BONA_FIDE else row.variant, []).append(score(row))
    for variant, count in (without_face or {}).items():
        found.setdefault("bona_fide" if variant in BONA_FIDE else variant, []).extend([float("nan")] * count)
    return {kind: np.array(scores) for kind, scores in found.items()}


def decision_rows(
    measures: Sequence[Measures],
    enhancers: Sequence[str],
    thresholds: Mapping[str, float],
    *,
    limit: float = BPCER_LIMIT,
    without_face: Mapping[str, int] | None = None,
    simulated: bool = True,
    camera: str = REALSENSE,
) -> list[Row]:
    """The decisions of both checks for each enhancer, a line for each kind of presentation.

    ``thresholds`` names the checks of :data:`SCORES` and their fixed thresholds. Beside the error rate there (APCER of
    an instrument, BPCER of bona fide, with its 95 % interval) stand the APCER at the threshold at which at most
    ``limit`` of the bona fide are rejected, and the paired comparison with no enhancement: how many presentations pass
    only with it and only without it. The line :data:`WORST` holds what the standard calls APCER, the maximum over the
    attack species, the D-EER between that and the BPCER, and the BPCER where APCER is at most 5 % and 10 %.
    """
    lines = []
    for check, threshold in thresholds.items():
        plain = presentations(measures, NONE, SCORES[check], without_face, camera)
        for enhancer in enhancers:
            scores = presentations(measures, enhancer, SCORES[check], without_face, camera)
            attacks = {kind: values for kind, values in scores.items() if kind != "bona_fide"}
            curve = _curve(scores["bona_fide"], attacks)
            at_limit = float("nan") if curve is None else threshold_at_bpcer(curve, limit)
            shared = {"check": check, "threshold": threshold, "enhancer": enhancer}
            found: dict[str, Row] = {}
            for kind, values in scores.items():
                rate = (bpcer if kind == "bona_fide" else apcer)(values, threshold)
                answered = int((~np.isnan(values)).sum())
                low, high = interval(round(rate * answered), answered) if answered else (float("nan"),) * 2
                change = paired(plain[kind], values, threshold)
                found[kind] = {
                    "presentation": kind,
                    "presentations": len(values),
                    "no_response": no_response(values),
                    "rate": "BPCER" if kind == "bona_fide" else "APCER",
                    "value": rate,
                    "low_95": low,
                    "high_95": high,
                    at_bpcer(limit): None if kind == "bona_fide" else apcer(values, at_limit),
                    "passes_only_enhanced": change.only_after,
                    "passes_only_plain": change.only_before,
                    "p_value": change.p_value,
                }
            if curve is not None:
                found[WORST] = {
                    "presentation": WORST,
                    "presentations": sum(found[kind]["presentations"] for kind in attacks),
                    "rate": "APCER",
                    "d_eer": equal_error_rate(curve),
                    **{at_apcer(most): bpcer_at_apcer(curve, most) for most in APCER_LIMITS},
                    **{key: max(found[kind][key] for kind in attacks) for key in ("value", at_bpcer(limit))},
                }
            lines += [{**shared, **line, "simulated": simulated} for line in found.values()]
    return lines


def recordings_decisions(report: RecordingsReport, enhancers: Sequence[str], *, metric: bool = True) -> list[Row]:
    """:func:`decision_rows` of recordings of one's own whose ``variant`` says what was presented; empty for others.

    A frame without a face is a presentation without response. The thresholds are fixed (ours): the relief's own, and
    one landmark in four for the geometric error. The rates at limits of APCER and BPCER and the D-EER need none.
    Without ``metric`` depth the relief is left out: it is measured in millimetres.
    """
    kinds = {row.variant for row in report.measures}
    if BONA_FIDE[0] not in kinds or len(kinds) < 2:
        return []
    without_face: dict[str, int] = {}
    for entry in report.left_out:
        without_face[entry.variant] = without_face.get(entry.variant, 0) + 1
    thresholds = {"geometric PAD error": 0.25} | ({"relief (ours)": -ReliefSettings().least_mm} if metric else {})
    return decision_rows(
        report.measures,
        enhancers,
        thresholds,
        without_face=without_face,
        simulated=report.simulated,
        camera=RECORDINGS,
    )


def at_bpcer(limit: float = BPCER_LIMIT) -> str:
    """The column of :func:`decision_rows` that holds the APCER where at most ``limit`` of bona fide are rejected."""
    return f"apcer_at_bpcer_{limit:.0%}"


def at_apcer(limit: float) -> str:
    """The column of :func:`decision_rows` that holds the BPCER where the worst species' APCER is at most ``limit``."""
    return f"bpcer_at_apcer_{limit:.0%}"


def attack_rows(lines: Table, enhancers: Sequence[str]) -> list[Row]:
    """:func:`decision_rows` to be read: a line for each check and enhancer, rates in percent."""
    table: dict[tuple[str, str], Row] = {}
    for line in records(lines):
        if line["enhancer"] not in enhancers:
            continue
        row = table.setdefault(
            (line["check"], line["enhancer"]),
            {"check": line["check"], "enhancer": line["enhancer"], "threshold": f"{line['threshold']:.2f}"},
        )
        kind = line["presentation"].replace("_", " ")
        row[f"{line['rate']}, {kind}" + f" (n = {line['presentations']})" * (kind != WORST)] = _percent(line["value"])
        if kind == WORST:
            row |= {"D-EER": _percent(line["d_eer"]), f"APCER at BPCER {BPCER_LIMIT:.0%}": _percent(line[at_bpcer()])}
            there = [limit for limit in APCER_LIMITS if at_apcer(limit) in line]  # tables written before have none
            row |= {f"BPCER at APCER {limit:.0%}": _percent(line[at_apcer(limit)]) for limit in there}
    return list(table.values())


def attack_finding(lines: Table, enhancer: str) -> str:
    """What an enhancer does to each check where as many people are accepted as without it, a sentence for each check.

    ``lines`` are :func:`decision_rows`; empty where there are no attacks.
    """
    sentences = []
    everything = records(lines)
    for check in dict.fromkeys(line["check"] for line in everything):
        found = {
            (line["enhancer"], line["presentation"]): line
            for line in everything
            if line["check"] == check and line["presentation"] in INSTRUMENTS
        }
        kinds = [kind for name, kind in found if name == NONE and (enhancer, kind) in found]
        after = [
            f"{_percent(found[enhancer, kind][at_bpcer()])} of {kind.replace('_', ' ')}s "
            f"(n = {found[enhancer, kind]['presentations']})"
            for kind in kinds
        ]
        before = [_percent(found[NONE, kind][at_bpcer()]) for kind in kinds]
        if kinds:
            passed, plain = " and ".join(after), " and ".join(before)
            sentences.append(f"By the {check}, {passed} are accepted after {enhancer}, {plain} without it.")
    if not sentences:
        return ""
    return f"Where at most {BPCER_LIMIT:.0%} of bona fide faces are rejected: " + " ".join(sentences)


def _percent(value: float) -> str:
    return "–" if value is None or np.isnan(value) else f"{value:.1%}"


def curve_rows(
    measures: Sequence[Measures], enhancers: Sequence[str], checks: Mapping[str, Sequence[float] | FloatArray]
) -> list[Row]:
    """BPCER and each instrument's APCER over thresholds, a line for each: what the curves are drawn from."""
    lines = []
    for check, thresholds in checks.items():
        for enhancer in enhancers:
            scores = presentations(measures, enhancer, SCORES[check])
            for kind, values in scores.items():
                rate = bpcer if kind == "bona_fide" else apcer
                lines += [
                    {
                        "check": check,
                        "enhancer": enhancer,
                        "presentation": kind,
                        "threshold": float(threshold),
                        "rate": rate(values, float(threshold)),
                    }
                    for threshold in thresholds
                ]
    return lines


def _curve(bona_fide: FloatArray, attacks: Mapping[str, FloatArray]) -> Curve | None:
    """None where a side of the trade-off is missing, as in recordings of one's own without attacks."""
    answered = [values for values in (bona_fide, *attacks.values()) if not np.isnan(values).all()]
    return error_curve(bona_fide, attacks) if attacks and len(answered) == len(attacks) + 1 else None
