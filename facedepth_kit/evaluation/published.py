"""The papers' own numbers and remarks as claims, and how measured ones compare: failures are listed, never dropped.

A verdict says where its number comes from. *Configured*: a setting or a network's size that the kit chose to be the
paper's. *Fitted*: the kit's degradation or sensors were calibrated until it came out. *By itself*: neither. Only the
last kind says anything about the paper.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, Literal

from facedepth_kit.common.errors import KitError

Comparison = Literal["exact", "tolerance", "ranking", "not comparable"]
Origin = Literal["configured", "fitted", "by itself"]
Value = float | int | str
Measured = Mapping[str, Mapping[str, Value]]

# Rows that need no learning are deterministic given the degradation, and that is calibrated on them.
MEAN_TOLERANCE = 0.10
STD_TOLERANCE = 0.50
# Table IV prints Sp-HfU 0.0448 and Sp-Hf16 0.0449: published rows that are closer than this are a tie.
TIE = 0.01
# The simulated sensors are calibrated on the row None of Table V; real data and the SDK's filters leave less room.
SIMULATED_TOLERANCE = 0.15
REAL_TOLERANCE = 0.10
# "Similar" differences between enhancers (the paper gives no measure): the correlation of their means with those over
# all variants.
LEAST_CORRELATION = 0.9
# Half a step of the last printed digit either way: rows that differ by no more are equal as printed.
PRINTED = {"IV": 1e-4, "V": 0.01, "VI": 0.01, "VII": 1e-3}
# A stand-in for weights that are not shipped, or another way of setting its millimetres.
NOT_COMPARABLE = ("DDRNet-dn",)
CAMERA_TABLES = ("V", "VI", "VII")
KINECTFACEDB, REALSENSE = "kinectfacedb", "realsense"
WORDS = {True: "holds", False: "FAILS", None: "open"}
ORIGINS: tuple[Origin, ...] = ("configured", "fitted", "by itself")
# The paper's enhancers from best to worst in groups (Table IV, section IV-D); filling: filters but for the spatial one.
GROUPS: dict[str, tuple[str, ...]] = {
    "DL-Delta": ("DL-Delta-1", "DL-Delta-2", "DL-Delta-3", "DL-Delta-4"),
    "spatial": ("Sp-HfU", "Sp-Hf16"),
    "other filling": ("Hf-FFA", "De-M8", "Hf-L"),
    "DL-Alpha": ("DL-Alpha",),
    "DL-Gamma": ("DL-Gamma",),
    "DL-Beta": ("DL-Beta",),
}
SUBTABLES = ("manual_landmark_holes", "dlib_landmark_holes", "geometric_pad_error")


@dataclass(frozen=True)
class Claim:
    """One published number and how a measured one may be held against it.

    ``comparison``: ``exact``; ``tolerance`` (relative, in ``tolerance``); ``ranking`` (the row's place among the other
    rows, or an inequality); ``not comparable``. ``reason`` says why it is not a stricter kind.
    """

    table: str
    row: str
    metric: str
    value: Value
    comparison: Comparison
    tolerance: float | None = None
    reason: str = ""
    origin: Origin = "by itself"


@dataclass(frozen=True)
class Verdict:
    """A claim, what was measured, and whether the claim holds (None: nothing measured, or not comparable)."""

    claim: Claim
    measured: Value | None
    holds: bool | None
    note: str


@cache
def tables() -> Mapping[str, Any]:
    """The tables as in ``published_tables.json``, keyed ``schlett_table_4_face_rmse`` and so on."""
    return json.loads(Path(__file__).with_name("published_tables.json").read_text(encoding="utf-8"))


def rows(table: str) -> Mapping[str, Mapping[str, Value]]:
    """Table ``"I"``..``"VII"`` of the Schlett paper as row -> metric -> value, in the paper's order.

    Metrics of V to VII name camera or condition first: ``kinectfacedb_roughness_mean``, ``mouth_std``,
    ``geometric_pad_error_max``; V and VI are in percent as printed. A key of :func:`tables` that holds rows will do,
    too. Raises :class:`KitError` for a table that the kit lacks.
    """
    everything = tables()
    if table == "I":
        return {stage: {"count": count} for stage, count in everything["schlett_table_1_filter_counts"].items()}
    if table == "II":
        rows_2 = {}
        for label, entry in everything["schlett_table_2_handcrafted"].items():
            mode = next((f"{key}: {value}" for key, value in entry.items() if key not in ("type", "mode")), "")
            rows_2[label] = {"type": entry["type"], "mode": entry.get("mode", mode.replace("_", "-").capitalize())}
        return rows_2
    if table == "III":
        return {
            label: {"parameters": count} for label, count in everything["schlett_table_3_trainable_parameters"].items()
        }
    if table == "IV":
        return everything["schlett_table_4_face_rmse"]["rows"]
    if table == "V":
        return everything["schlett_table_5_roughness_holes"]["rows"]
    if table == "VI":
        return everything["schlett_table_6_falsification"]["rows"]
    if table == "VII":
        parts = everything["schlett_table_7_landmarks"]
        return {
            row: {f"{part}_{name}": value for part in SUBTABLES for name, value in parts[part][row].items()}
            for row in parts[SUBTABLES[0]]
        }
    if isinstance(everything.get(table), dict) and "rows" in everything[table]:
        return everything[table]["rows"]
    raise KitError(f"published tables: found {table!r}, expected one of I, II, III, IV, V, VI, VII")


def claims(table: str, real: Collection[str] = ()) -> list[Claim]:
    """Every number of a table (``"I"``..``"VII"``) as a claim, in the paper's order.

    ``real`` names the cameras (:data:`KINECTFACEDB`, :data:`REALSENSE`) whose own recordings were measured; the others
    are simulated, and Tables V to VII are then held to less.
    """
    return [
        _camera_claim(table, row, metric, value, real) if table in CAMERA_TABLES else _claim(table, row, metric, value)
        for row, metrics in rows(table).items()
        for metric, value in metrics.items()
    ]


def _camera_claim(table: str, row: str, metric: str, value: Value, real: Collection[str]) -> Claim:
    """Tables V to VII: how strictly depends on whose recordings were measured."""
    camera = REALSENSE if metric.startswith(REALSENSE) else KINECTFACEDB
    statistic = metric.rsplit("_", 1)[1]
    if row in NOT_COMPARABLE:
        return _claim(table, row, metric, value)
    if row.startswith("DL-"):
        reason = "trained on parametric faces and on fewer pairs than the paper's"
    elif camera in real:
        reason = "the paper does not say what its kernel sees at holes and at the mask's border; ours is one reading"
        if camera == REALSENSE:
            reason = "other recordings than the paper's, which are not published"
        elif statistic in ("mean", "std"):
            return Claim(table, row, metric, value, "tolerance", REAL_TOLERANCE, reason)
    else:
        reason = "simulated sensors and faces"
        if table == "V" and row == "None" and statistic in ("mean", "std"):
            tolerance = SIMULATED_TOLERANCE if statistic == "mean" else STD_TOLERANCE
            reason = f"{reason}, calibrated on this row's means"
            return Claim(table, row, metric, value, "tolerance", tolerance, reason, "fitted")
    return Claim(table, row, metric, value, "ranking" if statistic == "mean" else "not comparable", reason=reason)


def _claim(table: str, row: str, metric: str, value: Value) -> Claim:
    if table in ("II", "III"):
        return Claim(table, row, metric, value, "exact", origin="configured")
    if table == "I":
        return Claim(
            table, row, metric, value, "not comparable", reason="counts of MegaFace photos; the kit draws its faces"
        )
    if row in NOT_COMPARABLE:
        reason = "the paper does not say how its millimetres were set; without DDRNet's own weights a stand-in runs"
        return Claim(table, row, metric, value, "not comparable", reason=reason)
    if metric in ("skewness", "excess_kurtosis"):
        reason = "tails depend on the hole generator and the faces, of which the paper gives no parameters"
        return Claim(table, row, metric, value, "not comparable", reason=reason)
    if row.startswith("DL-"):
        reason = "trained on parametric faces and on fewer pairs than the paper's"
        if metric == "mean":
            return Claim(table, row, metric, value, "ranking", reason=reason)
        return Claim(table, row, metric, value, "not comparable", reason=reason)
    tolerance = MEAN_TOLERANCE if metric == "mean" else STD_TOLERANCE
    reason = "parametric faces in place of photos; degradation calibrated on these rows"
    return Claim(table, row, metric, value, "tolerance", tolerance, reason, "fitted")


def verdicts(table: str, measured: Measured, real: Collection[str] = ()) -> list[Verdict]:
    """Hold measured numbers (row -> metric -> value) against every claim of a table.

    Claims without a measured value are kept with ``measured`` None and the note "not measured"; measured rows that the
    paper does not have are ours and left out. Failures are part of the list. ``real`` as in :func:`claims`.
    """
    published = rows(table)
    return [_verdict(claim, published, measured) for claim in claims(table, real)]


def _verdict(claim: Claim, published: Measured, measured: Measured) -> Verdict:
    value = measured.get(claim.row, {}).get(claim.metric)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Verdict(claim, None, None, f"not measured{': ' + claim.reason if claim.reason else ''}")
    if claim.comparison == "not comparable":
        return Verdict(claim, value, None, claim.reason)
    if claim.comparison == "exact":
        return Verdict(claim, value, value == claim.value, "equal" if value == claim.value else "differs")
    if claim.comparison == "tolerance":
        assert claim.tolerance is not None
        off = float(value) / float(claim.value) - 1.0
        return Verdict(claim, value, abs(off) <= claim.tolerance, f"off by {off:+.1%}, allowed {claim.tolerance:.0%}")
    return _ranking(claim, published, measured)


def _ranking(claim: Claim, published: Measured, measured: Measured) -> Verdict:
    """A ranking claim holds when no other measured row of the paper lies on the other side than published.

    A published tie has no side, nor have rows that are equal as printed here, nor a row that may not be compared at
    all. Without any other row the claim is open.
    """
    value = measured[claim.row][claim.metric]
    rivals = [row for row in published if row not in (claim.row, *NOT_COMPARABLE)]
    others = [row for row in rivals if claim.metric in measured.get(row, {})]
    if not others:
        return Verdict(claim, value, None, "no other row of the paper to rank it with")
    wrong, tied = [], []
    for row in others:
        theirs, ours = (
            float(numbers[row][claim.metric]) - float(numbers[claim.row][claim.metric])
            for numbers in (published, measured)
        )
        if _tie(claim.table, published[row][claim.metric], claim.value):
            tied.append(row)
        elif abs(ours) >= PRINTED.get(claim.table, 0.0) and theirs * ours < 0:
            wrong.append(row)
    sided = len(others) - len(tied)
    note = f"wrong side of {', '.join(wrong)}" if wrong else f"published side of {sided} of {len(others)} other rows"
    return Verdict(claim, value, not wrong, f"{note}{_tied(tied)}")


def _tie(table: str, first: Value, second: Value) -> bool:
    """Whether two published numbers are too close to rank: within rounding, or within :data:`TIE` of each other."""
    difference = abs(float(first) - float(second))
    return difference <= max(TIE * min(abs(float(first)), abs(float(second))), 1.0001 * PRINTED.get(table, 0.0))


def _tied(rows: Sequence[str]) -> str:
    return f"; a tie in the paper: {', '.join(rows)}" if rows else ""


def order_kept(measured: Measured, names: Sequence[str], metric: str = "mean") -> Verdict:
    """Whether rows of Table IV come in the published order of their ``metric``; published ties are named."""
    published = rows("IV")
    wrong, ties = [], []
    for first, second in combinations(sorted(names, key=lambda name: float(published[name][metric])), 2):
        if _tie("IV", published[first][metric], published[second][metric]):
            ties.append(f"{first} and {second} ({published[first][metric]} and {published[second][metric]})")
        elif float(measured[second][metric]) <= float(measured[first][metric]):
            wrong.append(f"{first} and {second}")
    order = " < ".join(sorted(names, key=lambda name: float(published[name][metric])))
    found = " < ".join(sorted(names, key=lambda name: float(measured[name][metric])))
    claim = Claim("IV", "rows without learning", f"order of {metric}", order, "ranking", origin="fitted")
    note = f"swapped: {'; '.join(wrong)}" if wrong else "published order"
    return Verdict(claim, found, not wrong, f"{note}{_tied(ties)}")


def groups_kept(measured: Measured, metric: str = "mean") -> list[Verdict]:
    """The order of the paper's groups (:data:`GROUPS`), a verdict for each two neighbours.

    It holds when the worst of the better group is better than the best of the other; open where one was not measured.
    """
    found = []
    for better, worse in pairwise(GROUPS):
        here = [
            [float(measured[name][metric]) for name in GROUPS[group] if name in measured] for group in (better, worse)
        ]
        learned = any(group.startswith("DL-") for group in (better, worse))
        claim = Claim(
            "IV", f"{better} < {worse}", metric, "better", "ranking", origin="by itself" if learned else "fitted"
        )
        if not all(here):
            found.append(Verdict(claim, None, None, "not measured"))
            continue
        holds = max(here[0]) < min(here[1])
        note = f"{max(here[0]):.4f} at most in the one, {min(here[1]):.4f} at least in the other"
        found.append(Verdict(claim, "better" if holds else "not better", holds, note))
    return found


def share_of_best(
    measured: Measured, name: str, rivals: Sequence[str], metric: str = "mean", *, goal: float | None = None
) -> Verdict:
    """A row's error as a share of the best rival's: at most the paper's share, or a goal of the kit's, is asked."""
    published = rows("IV")

    def share(values: Measured) -> float:
        return float(values[name][metric]) / min(float(values[rival][metric]) for rival in rivals if rival in values)

    limit, whose = (share(published), "the paper's share") if goal is None else (goal, "the kit's own goal")
    claim = Claim("IV", name, f"{metric} / best of {len(rivals)} rivals", round(limit, 4), "ranking")
    return Verdict(claim, round(share(measured), 4), share(measured) <= limit, f"at most {whose} is asked")


def full_image(measured: Measured, networks: Sequence[str], rivals: Sequence[str]) -> list[Verdict]:
    """Section IV-D: over the full image every network did better than every filter; a verdict for each network.

    ``measured``: row -> ``mean`` of the RMSE over the full image.
    """
    best = min((rival for rival in rivals if rival in measured), key=lambda rival: float(measured[rival]["mean"]))
    limit = float(measured[best]["mean"])
    found = []
    for name in networks:
        claim = Claim("IV-D", name, "mean over the full image", "better than every filter", "ranking")
        value = float(measured[name]["mean"]) if name in measured else None
        if value is None:
            found.append(Verdict(claim, None, None, "not measured"))
            continue
        note = f"{value:.4f}; {best}, the best filter, {limit:.4f}"
        found.append(Verdict(claim, "better" if value < limit else "not better", value < limit, note))
    return found


def same_as_none(measured: Measured, row: str = "Sp", metric: str = "mean") -> Verdict:
    """Section IV-C: the spatial filter without hole filling is comparable to no enhancement (within 10 %, ours)."""
    ratio = float(measured[row][metric]) / float(measured["None"][metric])
    claim = Claim("IV-C", row, f"{metric} / None", "comparable", "tolerance", MEAN_TOLERANCE)
    note = f"{ratio:.3f} of None, comparable: within {MEAN_TOLERANCE:.0%} (ours)"
    return Verdict(claim, round(ratio, 4), abs(ratio - 1) <= MEAN_TOLERANCE, note)


def same_ranking(few: Measured, all_: Measured, counts: tuple[int, int], metric: str = "mean") -> Verdict:
    """Section IV-D: a tenth of the pairs gives the same ranking and about the same numbers.

    ``few`` and ``all_`` are the same rows measured on ``counts`` pairs.
    """
    ranked, ranked_all = (sorted(numbers, key=lambda name: float(numbers[name][metric])) for numbers in (few, all_))
    moved = [f"{first} and {second}" for first, second in zip(ranked, ranked_all, strict=True) if first != second]
    off = max(abs(float(few[name][metric]) / float(all_[name][metric]) - 1) for name in all_)
    claim = Claim(
        "IV-D", f"{len(all_)} rows", f"ranking on {counts[0]:,} of {counts[1]:,} pairs", "identical", "ranking"
    )
    note = f"places that differ: {'; '.join(moved) or 'none'}; largest difference of a mean {off:.1%}"
    return Verdict(claim, "differs" if moved else "identical", not moved, note)


def no_more_falsified(measured: Measured, row: str, condition: str, base: str = "none") -> list[Verdict]:
    """Table VI: a network changes an occluded face no more than in the paper, in absolute terms and against ``base``.

    The ratio to the bare face alone would fall with every damage done to that, so it holds only where the mean does,
    too.
    """
    published = rows("VI")

    def multiple(values: Measured) -> float:
        return float(values[row][f"{condition}_mean"]) / float(values[row][f"{base}_mean"])

    theirs, ours = float(published[row][f"{condition}_mean"]), float(measured[row][f"{condition}_mean"])
    small = ours <= theirs
    found = [_at_most(row, f"{condition} mean", theirs, ours, small, f"at most the paper's {theirs:g} is asked")]
    if condition != base:
        ratios = round(multiple(published), 2), round(multiple(measured), 2)
        note = f"at most the paper's multiple is asked, and a mean ({ours:.2f}) of at most the paper's ({theirs:g})"
        kept = small and multiple(measured) <= multiple(published)
        found.append(_at_most(row, f"{condition} / {base}", *ratios, kept, note))
    return found


def _at_most(row: str, metric: str, theirs: float, ours: float, holds: bool, note: str) -> Verdict:
    if row in NOT_COMPARABLE:
        claim = _claim("VI", row, metric, theirs)
        return Verdict(claim, ours, None, claim.reason)
    return Verdict(Claim("VI", row, metric, theirs, "ranking"), ours, holds, note)


def pad_error_reduced(measured: Measured, row: str, unlearned: Sequence[str]) -> Verdict:
    """Table VII: what a network leaves of the geometric PAD error without enhancement, at most the paper's share.

    The note names the best of the rows without learning (which the paper's table does not have).
    """
    published, key = rows("VII"), f"{SUBTABLES[2]}_mean"
    shares = [round(float(numbers[row][key]) / float(numbers["None"][key]), 3) for numbers in (published, measured)]
    claim = Claim("VII", row, f"{key} / None", shares[0], "ranking")
    if row in NOT_COMPARABLE:
        reason = _claim("VII", row, key, shares[0]).reason
        return Verdict(replace(claim, comparison="not comparable", reason=reason), shares[1], None, reason)
    note = "at most the paper's share is asked"
    rivals = [name for name in unlearned if name in measured]
    if rivals:
        best = min(rivals, key=lambda name: float(measured[name][key]))
        ours, theirs = float(measured[row][key]), float(measured[best][key])
        note += f"; {best}, without learning, has {theirs:.3f}, this {ours:.3f}"
    return Verdict(claim, shares[1], shares[1] <= shares[0], note)


def similar_in_isolation(correlations: Sequence[float], what: str) -> Verdict:
    """Section IV-E: the differences between enhancers are similar when the variants are looked at in isolation.

    ``correlations``: of each variant's means with those of all; similar means 0.9 or more in the worst (ours).
    """
    worst = min(correlations)
    claim = Claim("V", f"{len(correlations)} variants", f"{what}, least correlation", "similar", "ranking")
    note = f"similar in isolation: at least {LEAST_CORRELATION} is asked of every variant (ours)"
    return Verdict(claim, round(worst, 3), worst >= LEAST_CORRELATION, note)


def verdict_row(verdict: Verdict) -> dict[str, Any]:
    """A verdict as a line of a table."""
    claim = verdict.claim
    return {
        **{key: getattr(claim, key) for key in ("table", "row", "metric")},
        "published": claim.value,
        "measured": verdict.measured,
        "how": claim.comparison,
        "origin": claim.origin,
        "verdict": WORDS[verdict.holds],
        "note": verdict.note,
    }


def tally(lines: Iterable[Mapping[str, Any]]) -> str:
    """How many claims hold, by where their numbers come from; ``lines`` have ``origin`` and ``verdict``."""
    judged = [(line["origin"], line["verdict"]) for line in lines if line["verdict"]]
    found = []
    for origin in ORIGINS:
        held, failed = (judged.count((origin, WORDS[word])) for word in (True, False))
        if held + failed:
            found.append(f"{origin}: {held} of {held + failed} hold")
    still_open = sum(word == WORDS[None] for _, word in judged)
    return "; ".join([*found, f"open: {still_open}"])
