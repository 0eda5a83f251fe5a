"""From measures per image to Tables V, VI and VII, each number beside the published one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit.common.tables import Table, frame, records
from facedepth_kit.evaluation.camera_measures import Measures
from facedepth_kit.evaluation.prepared_faces import NEUTRAL, PROFILES
from facedepth_kit.evaluation.published import (
    KINECTFACEDB,
    REALSENSE,
    SUBTABLES,
    WORDS,
    Measured,
    Verdict,
    no_more_falsified,
    pad_error_reduced,
    rows,
    similar_in_isolation,
    verdict_row,
    verdicts,
)

if TYPE_CHECKING:
    from pandas import DataFrame, Series


Numbers = dict[str, dict[str, float]]
Row = dict[str, Any]

NONE = "None"
INSTRUMENTS = ("flat_print", "bent_print")
CONDITIONS = {"none": NEUTRAL, "mouth": "OcclusionMouth", "paper": "OcclusionPaper"}
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
            for key, value in statistics(100 * group[what][group["camera"] == camera], f"{camera}_{what}").items()
        }
        for enhancer, group in table[~table["variant"].isin(INSTRUMENTS)].groupby("enhancer", sort=False)
    }


def averaged_images(measures: Iterable[Measures]) -> dict[str, int]:
    """How many images of each camera :func:`table_5` averages: bona fide, with a mask."""
    table = _frame(measures)
    table = table[table["holes"].notna() & ~table["variant"].isin(INSTRUMENTS)]
    return {camera: int(table["name"][table["camera"] == camera].nunique()) for camera in (KINECTFACEDB, REALSENSE)}


def table_6(measures: Iterable[Measures]) -> Numbers:
    """Enhancer -> ``<none, mouth or paper>_<mean or std>``: falsification of KinectFaceDB's images, times 100."""
    table = _frame(measures)
    return {
        enhancer: {
            key: value
            for condition, variant in CONDITIONS.items()
            for key, value in statistics(100 * group["falsification"][group["variant"] == variant], condition).items()
        }
        for enhancer, group in table[table["camera"] == KINECTFACEDB].groupby("enhancer", sort=False)
    }


def landmark_subsets(measures: Iterable[Measures]) -> dict[str, set[str]]:
    """Names of the KinectFaceDB images of Table VII: those whose input has a hole at a mark, or at one of Dlib's 68.

    Profiles do not count for the marks: some of theirs lie on the far side of the face, where no camera sees depth.
    """
    plain = [row for row in measures if row.camera == KINECTFACEDB and row.enhancer == NONE]
    return {
        "manual": {row.name for row in plain if row.mark_holes > 0 and row.variant not in PROFILES},
        "dlib": {row.name for row in plain if row.landmark_holes > 0},
    }


def mark_rows(measures: Iterable[Measures]) -> list[Row]:
    """KinectFaceDB's six marks by variant: how many images, how many with a mark in a hole, and what share of marks.

    ``counted`` says whether the variant belongs to Table VII's subset.
    """
    table = _frame(measures)
    table = table[(table["camera"] == KINECTFACEDB) & (table["enhancer"] == NONE) & table["mark_holes"].notna()]
    return [
        {
            "variant": variant,
            "images": len(group),
            "images_with_a_hole": int((group["mark_holes"] > 0).sum()),
            "share_of_marks_in_holes": float(group["mark_holes"].mean()),
            "counted": variant not in PROFILES,
        }
        for variant, group in table.groupby("variant", sort=False)
    ]


def variant_rows(measures: Iterable[Measures]) -> list[Row]:
    """Roughness and holes of KinectFaceDB's frontal variants, each in isolation (section IV-E), a line for each.

    Beside the means without enhancement stands the correlation of the enhancers' means with those over all variants:
    1 when the differences between enhancers are proportionally the same in this variant as in all together.
    """
    from scipy.stats import pearsonr

    table = _frame(measures)
    table = table[(table["camera"] == KINECTFACEDB) & table["holes"].notna()]
    lines = []
    for variant, group in table.groupby("variant", sort=False):
        line: Row = {"variant": variant, "images": group["name"].nunique()}
        for what in ("roughness", "holes"):
            here, together = (part.groupby("enhancer")[what].mean() for part in (group, table))
            correlation = pearsonr(here, together.loc[here.index]).statistic
            line |= {f"{what}_none": 100 * float(here[NONE]), f"{what}_correlation": float(correlation)}
        lines.append(line)
    return lines


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
            for key, value in statistics(column[group.index], part, ("mean", "std", "min", "max")).items()
        }
        for enhancer, group in table[table["camera"] == KINECTFACEDB].groupby("enhancer", sort=False)
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
                    "origin": "" if verdict is None else verdict.claim.origin,
                    "verdict": "" if verdict is None else WORDS[verdict.holds],
                    "note": (notes or {}).get(row) or _note(row, verdict),
                    "simulated": camera not in real,
                }
            )
    return lines


def falsification_rows(measured: Measured, *, simulated: bool) -> list[Row]:
    """Lines for Table VI: no network may change a face, bare or occluded, more than in the paper."""
    return [
        _remark(verdict, CONDITIONS[condition], "at most the paper's", simulated)
        for row in rows("VI")
        if row in measured
        for condition in CONDITIONS
        for verdict in no_more_falsified(measured, row, condition)
    ]


def reduction_rows(measured: Measured, unlearned: Sequence[str], *, simulated: bool) -> list[Row]:
    """Lines for Table VII: how much of the geometric PAD error each network takes away, beside the paper's."""
    return [
        _remark(pad_error_reduced(measured, row, unlearned), TITLES[SUBTABLES[2]], "share of None's", simulated)
        for row in rows("VII")
        if row in measured and row != NONE
    ]


def isolation_rows(lines: Sequence[Row], *, simulated: bool) -> list[Row]:
    """Lines for Table V: the variants in isolation rank the enhancers as all together do (section IV-E)."""
    found = []
    for what in ("roughness", "holes"):
        verdict = similar_in_isolation([line[f"{what}_correlation"] for line in lines], what)
        found.append(_remark(verdict, f"KinectFaceDB, {what}", "least correlation", simulated))
    return found


def sensor_finding(lines: Table, variants: Table) -> str:
    """In what the simulated sensors differ from the paper's cameras, in words; from the lines of Table V.

    ``lines`` are :func:`long_table`'s, ``variants`` :func:`variant_rows`'. Empty where nothing is simulated.
    """
    table, alone = frame(lines), frame(variants).set_index("variant")
    table = table[table["simulated"].astype(bool)]
    if not len(table):
        return ""
    fitted = table[table["origin"] == "fitted"]
    failed = [
        f"{line['condition']} ({line['metric']}, {line['note']})"
        for line in records(fitted[fitted["verdict"] == WORDS[False]])
    ]
    listed = "; ".join(failed) or "none"
    sentences = [f"Of the {len(fitted)} numbers that the sensors were fitted to, {len(failed)} fail: {listed}."]
    filled = table[(table["metric"] == "mean") & table["row"].str.startswith(("Hf-", "Sp-"))]
    for camera in ("KinectFaceDB", "RealSense D435"):
        rough = filled[filled["condition"] == f"{camera}, roughness"].dropna(subset=["value", "published"])
        share = float((rough["value"].astype(float) / rough["published"].astype(float)).mean())
        sentences.append(f"Filled rows of {camera} are {share:.2f} times as rough as published.")
    eyes = alone["holes_none"].astype(float)
    if "OcclusionEyes" in eyes:
        others = eyes.drop("OcclusionEyes").mean()
        sentences.append(
            f"Most holes of KinectFaceDB come from sunglasses: {eyes['OcclusionEyes']:.1f} % of the face with them, "
            f"{others:.1f} % on average in the other variants."
        )
    return " ".join(sentences)


def _remark(verdict: Verdict, condition: str, metric: str, simulated: bool) -> Row:
    """A verdict on what the paper's text says, as a line of :func:`long_table`."""
    line = verdict_row(verdict)
    return {
        "table": line["table"],
        "row": line["row"],
        "condition": f"{condition} / {CONDITIONS['none']}" if " / none" in line["metric"] else condition,
        "metric": "ratio of means" if " / none" in line["metric"] else metric,
        "value": line["measured"],
        "published": line["published"] if isinstance(line["published"], float) else None,
        "images": None,
        "comparison": line["how"],
        "origin": line["origin"],
        "verdict": line["verdict"],
        "note": line["note"],
        "simulated": simulated,
    }


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
