"""From measures per image to Tables V, VI and VII and the PAD decisions, each number beside the published one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import Table, records
from facedepth_kit.evaluation.camera_measures import Measures
from facedepth_kit.evaluation.decisions import (
    Curve,
    apcer,
    bpcer,
    equal_error_rate,
    error_curve,
    interval,
    no_response,
    paired,
    threshold_at_bpcer,
)
from facedepth_kit.evaluation.prepared_faces import NEUTRAL
from facedepth_kit.evaluation.published import (
    KINECTFACEDB,
    REALSENSE,
    SUBTABLES,
    Measured,
    Verdict,
    growth,
    rows,
    verdicts,
)
from facedepth_kit.evaluation.relief import ReliefSettings

if TYPE_CHECKING:
    from pandas import DataFrame, Series


FloatArray = npt.NDArray[np.float64]
Numbers = dict[str, dict[str, float]]
Row = dict[str, Any]
Score = Callable[[Measures], float]

NONE = "None"
BONA_FIDE = ("bona_fide", "")
INSTRUMENTS = ("flat_print", "bent_print")
CONDITIONS = {"none": NEUTRAL, "mouth": "OcclusionMouth", "paper": "OcclusionPaper"}
WORDS = {True: "holds", False: "FAILS", None: "open"}
TITLES = {
    "manual_landmark_holes": "KinectFaceDB's six marks, share of holes",
    "dlib_landmark_holes": "Dlib's 68 landmarks, share of holes",
    "geometric_pad_error": "geometric PAD error",
}


def statistics(values: Series, start: str, names: Sequence[str] = ("mean", "std")) -> dict[str, float]:
    """``<start>_<name>`` for each statistic of the values that are not NaN; NaN where there are too few.

    ``std`` is the sample's.
    """
    return {f"{start}_{name}": float(values.agg(name)) for name in names}


def table_5(measures: Iterable[Measures]) -> Numbers:
    """Enhancer -> ``<camera>_<roughness or holes>_<mean or std>``, times 100, over all bona fide images with a mask."""
    table = _frame(measures)
    return {
        enhancer: {
            key: value
            for camera in (KINECTFACEDB, REALSENSE)
            for what in ("roughness", "holes")
            for key, value in statistics(100 * rows[what][rows["camera"] == camera], f"{camera}_{what}").items()
        }
        for enhancer, rows in table[~table["variant"].isin(INSTRUMENTS)].groupby("enhancer", sort=False)
    }


def table_6(measures: Iterable[Measures]) -> Numbers:
    """Enhancer -> ``<none, mouth or paper>_<mean or std>``: falsification of KinectFaceDB's images, times 100."""
    table = _frame(measures)
    return {
        enhancer: {
            key: value
            for condition, variant in CONDITIONS.items()
            for key, value in statistics(100 * rows["falsification"][rows["variant"] == variant], condition).items()
        }
        for enhancer, rows in table[table["camera"] == KINECTFACEDB].groupby("enhancer", sort=False)
    }


def landmark_subsets(measures: Iterable[Measures]) -> dict[str, set[str]]:
    """Names of the KinectFaceDB images of Table VII: those whose input has a hole at a mark, or at one of Dlib's 68."""
    plain = [row for row in measures if row.camera == KINECTFACEDB and row.enhancer == NONE]
    return {
        "manual": {row.name for row in plain if row.mark_holes > 0},
        "dlib": {row.name for row in plain if row.landmark_holes > 0},
    }


def table_7(measures: Sequence[Measures]) -> Numbers:
    """Enhancer -> ``<sub-table>_<mean, std, min or max>`` over the subsets of :func:`landmark_subsets`."""
    table = _frame(measures)
    chosen = {key: table["name"].isin(names) for key, names in landmark_subsets(measures).items()}
    parts = zip(SUBTABLES, ("mark_holes", "landmark_holes", "pad_error"), ("manual", "dlib", "dlib"), strict=True)
    columns = {part: table[field].where(chosen[subset]) for part, field, subset in parts}
    return {
        enhancer: {
            key: value
            for part, column in columns.items()
            for key, value in statistics(column[rows.index], part, ("mean", "std", "min", "max")).items()
        }
        for enhancer, rows in table[table["camera"] == KINECTFACEDB].groupby("enhancer", sort=False)
    }


def long_table(
    table: str,
    measured: Measured,
    order: Sequence[str],
    *,
    real: Collection[str] = (),
    counts: Mapping[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """A table with a line for each number: ours, the published one, how they may be compared, and the verdict.

    ``order`` names the rows to list; rows of the paper that were not measured are listed, too. ``counts`` gives the
    number of images by the metric's beginning, ``notes`` a remark by row (a stand-in, say).
    """
    found = {(verdict.claim.row, verdict.claim.metric): verdict for verdict in verdicts(table, measured, real)}
    metrics = list(next(iter(rows(table).values())))
    lines = []
    for row in dict.fromkeys([*order, *rows(table)]):
        for metric in metrics:
            verdict = found.get((row, metric))
            value = measured.get(row, {}).get(metric)
            if verdict is None and value is None:
                continue
            condition, name = _split(table, metric)
            camera = REALSENSE if metric.startswith(REALSENSE) else KINECTFACEDB
            images = next((n for start, n in (counts or {}).items() if metric.startswith(start)), None)
            lines.append(
                {
                    "table": table,
                    "row": row,
                    "condition": condition,
                    "metric": name,
                    "value": value,
                    "published": None if verdict is None else verdict.claim.value,
                    "images": images if value is not None else None,
                    "comparison": "" if verdict is None else verdict.claim.comparison,
                    "verdict": "" if verdict is None else WORDS[verdict.holds],
                    "note": (notes or {}).get(row) or _note(row, verdict),
                    "simulated": camera not in real,
                }
            )
    return lines


def growth_rows(measured: Measured, *, simulated: bool) -> list[Row]:
    """Lines for Table VI that make the paper's words a number: the error of occluded faces over that of bare ones."""
    lines = []
    for row in rows("VI"):
        for condition in ("mouth", "paper") if row in measured else ():
            verdict = growth(measured, row, condition)
            lines.append(
                {
                    "table": "VI",
                    "row": row,
                    "condition": f"{CONDITIONS[condition]} / {CONDITIONS['none']}",
                    "metric": "ratio of means",
                    "value": verdict.measured,
                    "published": verdict.claim.value,
                    "images": None,
                    "comparison": verdict.claim.comparison,
                    "verdict": WORDS[verdict.holds],
                    "note": verdict.note,
                    "simulated": simulated,
                }
            )
    return lines


def wide_table(lines: Table, digits: int) -> list[Row]:
    """The same for reading: a row for each enhancer; for each condition ``mean (std)``, ours and the published.

    ``lines`` as :func:`long_table` makes them, or as they come back from CSV.
    """
    table: dict[str, Row] = {}
    for line in records(lines):
        if line["metric"] not in ("mean", "std"):  # those are left to the long form
            continue
        row = table.setdefault(str(line["row"]), {"enhancer": line["row"]})
        for source, suffix in (("value", ""), ("published", ", published")):
            column = f"{line['condition']}{suffix}"
            known = line[source] is not None and np.isfinite(line[source])
            text = f"{line[source]:.{digits}f}" if known else ""
            if line["metric"] == "mean":
                row[column] = text
            elif text:
                row[column] = f"{row.get(column, '')} ({text})"
    return list(table.values())


def tally(lines: Iterable[Mapping[str, Any]]) -> str:
    """How many claims hold, fail and are open, as a phrase."""
    words = [line["verdict"] for line in lines if line["verdict"]]
    return ", ".join(f"{words.count(word)} {word}" for word in WORDS.values())


# --- decisions ------------------------------------------------------------------------------------------------------


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
    measures: Iterable[Measures], enhancer: str, score: Score, without_face: Mapping[str, int] | None = None
) -> dict[str, FloatArray]:
    """Scores of the RealSense presentations of one enhancer: ``bona_fide`` and each instrument that was presented.

    ``without_face`` counts, by variant, presentations that never came to a score because Dlib saw no face: NaN.
    """
    found: dict[str, list[float]] = {"bona_fide": []}
    for row in measures:
        if row.camera == REALSENSE and row.enhancer == enhancer:
            found.setdefault("bona_fide" if row.variant in BONA_FIDE else row.variant, []).append(score(row))
    for variant, count in (without_face or {}).items():
        found.setdefault("bona_fide" if variant in BONA_FIDE else variant, []).extend([float("nan")] * count)
    return {kind: np.array(scores) for kind, scores in found.items()}


def decision_rows(
    measures: Sequence[Measures],
    enhancers: Sequence[str],
    thresholds: Mapping[str, float],
    *,
    limit: float = 0.05,
    without_face: Mapping[str, int] | None = None,
    simulated: bool = True,
) -> list[Row]:
    """The decisions of both checks for each enhancer, a line for each kind of presentation.

    ``thresholds`` names the checks of :data:`SCORES` and their fixed thresholds. Beside the error rate there (APCER of
    an instrument, BPCER of bona fide, with its 95 % interval) stand the APCER at the threshold at which at most
    ``limit`` of the bona fide are rejected, the D-EER, and the paired comparison with no enhancement: how many
    presentations pass only with it and only without it.
    """
    lines = []
    for check, threshold in thresholds.items():
        plain = presentations(measures, NONE, SCORES[check], without_face)
        for enhancer in enhancers:
            scores = presentations(measures, enhancer, SCORES[check], without_face)
            attacks = {kind: values for kind, values in scores.items() if kind != "bona_fide"}
            curve = _curve(scores["bona_fide"], attacks)
            at_limit = float("nan") if curve is None else threshold_at_bpcer(curve, limit)
            for kind, values in scores.items():
                rate = (bpcer if kind == "bona_fide" else apcer)(values, threshold)
                answered = int((~np.isnan(values)).sum())
                low, high = interval(round(rate * answered), answered) if answered else (float("nan"),) * 2
                change = paired(plain[kind], values, threshold)
                lines.append(
                    {
                        "check": check,
                        "threshold": threshold,
                        "enhancer": enhancer,
                        "presentation": kind,
                        "presentations": len(values),
                        "no_response": no_response(values),
                        "rate": "BPCER" if kind == "bona_fide" else "APCER",
                        "value": rate,
                        "low_95": low,
                        "high_95": high,
                        f"apcer_at_bpcer_{limit:.0%}": None if kind == "bona_fide" else apcer(values, at_limit),
                        "d_eer": None if curve is None else equal_error_rate(curve),
                        "passes_only_enhanced": change.only_after,
                        "passes_only_plain": change.only_before,
                        "p_value": change.p_value,
                        "simulated": simulated,
                    }
                )
    return lines


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


def _frame(measures: Iterable[Measures]) -> DataFrame:
    import pandas as pd

    return pd.DataFrame(list(measures), columns=[field.name for field in fields(Measures)])


def _split(table: str, metric: str) -> tuple[str, str]:
    condition, name = metric.rsplit("_", 1)
    if table == "V":
        camera, what = condition.split("_", 1)
        condition = f"{'KinectFaceDB' if camera == KINECTFACEDB else 'RealSense D435'}, {what}"
    return TITLES.get(condition, CONDITIONS.get(condition, condition)), name


def _note(row: str, verdict: Verdict | None) -> str:
    if verdict is not None:
        return verdict.note
    return "not in this table of the paper" if row in rows("IV") else "the kit's own row, not in the paper"
