"""Figures 8 and 9 and the calibration: our means beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import Table, records
from facedepth_kit.plots.style import GRID, INK, KIT_ONLY, OURS, QUIET, THEIRS, blank_figure, plain_spines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch


def error_bars(table: Table) -> Figure:
    """Figure 8: mean RMSE with standard deviation, ours beside the published, sorted by ours.

    ``table``: ``enhancer``, ``mean``, ``std``, ``published_mean``, ``published_std`` (floats, NaN where there is none);
    a ``note`` that begins with "stand-in" gives the row a star.
    """
    rows = records(table)
    known = [row for row in rows if np.isfinite(row["mean"]) or np.isfinite(row["published_mean"])]
    order = sorted(known, key=lambda row: row["mean"] if np.isfinite(row["mean"]) else row["published_mean"])
    places = np.arange(len(order))
    figure = blank_figure(9.6, 4.4)
    axes = figure.add_axes((0.08, 0.27, 0.9, 0.66))
    for mean, std, colour, shift in (("published_mean", "published_std", THEIRS, 0.2), ("mean", "std", OURS, -0.2)):
        heights = np.array([row[mean] for row in order], float)
        spread = np.array([row[std] for row in order], float)
        ours_only = [mean == "mean" and not np.isfinite(row["published_mean"]) for row in order]
        colours = [KIT_ONLY if flag else colour for flag in ours_only]
        axes.bar(places + shift, np.nan_to_num(heights), 0.38, color=colours)
        have = np.isfinite(heights) & np.isfinite(spread)
        axes.errorbar(
            (places + shift)[have], heights[have], spread[have], fmt="none", ecolor=INK, elinewidth=0.9, capsize=2
        )
    for place, row in enumerate(order):
        if not np.isfinite(row["mean"]):
            axes.text(place - 0.2, 0.004, "not run", rotation=90, fontsize=7, color=QUIET, ha="center", va="bottom")
    labels = [row["enhancer"] + "*" * str(row.get("note", "")).startswith("stand-in") for row in order]
    axes.set_xticks(places, labels, rotation=50, ha="right", fontsize=8)
    axes.set_ylabel("face RMSE (depth 0..1)")
    axes.set_xlim(-0.7, len(order) - 0.3)
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(handles=_keys(), frameon=False, loc="upper left", fontsize=9)
    plain_spines(axes)
    return figure


def paired_bars(table: Table, label: str) -> Figure:
    """Ours beside the published mean with standard deviations, in the order given (the calibration's picture)."""
    rows = records(table)
    places = np.arange(len(rows))
    figure = blank_figure(7.6, 3.4)
    axes = figure.add_axes((0.1, 0.16, 0.88, 0.76))
    for mean, std, colour, shift, name in (
        ("published_mean", "published_std", THEIRS, -0.2, "published"),
        ("mean", "std", OURS, 0.2, label),
    ):
        heights, spread = [row[mean] for row in rows], [row[std] for row in rows]
        axes.bar(
            places + shift,
            heights,
            0.38,
            yerr=spread,
            color=colour,
            label=name,
            ecolor=INK,
            capsize=2,
            error_kw={"elinewidth": 0.9},
        )
    axes.set_xticks(places, [row["enhancer"] for row in rows], fontsize=9)
    axes.set_ylabel("face RMSE (depth 0..1)")
    axes.grid(axis="y", color=GRID, lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    plain_spines(axes)
    return figure


def surface_bars(table: Table) -> Figure:
    """Figure 9: roughness and holes in percent, a block for each camera, ours beside the published.

    ``table``: Table V in long form (``row, condition, metric, value, published``; empty where there is none),
    conditions such as ``KinectFaceDB, roughness``; a ``note`` that begins with "stand-in" gives the row a star.
    """
    rows = records(table)
    conditions = list(dict.fromkeys(str(row["condition"]) for row in rows))
    names = list(dict.fromkeys(str(row["row"]) for row in rows))
    numbers = {(row["row"], row["condition"], row["metric"]): row for row in rows}
    starred = {str(row["row"]) for row in rows if str(row.get("note", "")).startswith("stand-in")}
    labels = [name + "*" * (name in starred) for name in names]
    figure = blank_figure(11.4, 0.9 + 0.27 * len(names))
    places = np.arange(len(names))[::-1]
    width = (0.985 - 0.115) / len(conditions)
    for index, condition in enumerate(conditions):
        axes = figure.add_axes((0.115 + index * width, 0.1, width - 0.02, 0.8))
        for source, colour, shift in (("value", OURS, 0.19), ("published", THEIRS, -0.19)):
            _bars(axes, names, places + shift, numbers, condition, source, colour)
        axes.set_title(condition.replace(", ", "\n"), fontsize=9, color=INK)
        axes.set_yticks(places, labels if index == 0 else [""] * len(names), fontsize=8)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlim(left=0)
        axes.grid(axis="x", color=GRID, lw=0.6)
        axes.set_axisbelow(True)
        plain_spines(axes)
    figure.legend(handles=_keys(), frameon=False, loc="lower center", ncols=3, fontsize=8, bbox_to_anchor=(0.5, 0.0))
    return figure


def _bars(
    axes: Axes,
    names: Sequence[str],
    places: npt.NDArray[np.floating],
    numbers: Mapping[Any, Mapping[str, Any]],
    condition: str,
    source: str,
    colour: str,
) -> None:
    for name, place in zip(names, places, strict=True):
        mean, deviation = (
            _number(numbers.get((name, condition, metric), {}).get(source)) for metric in ("mean", "std")
        )
        if np.isnan(mean):
            if source == "value":
                axes.text(0, place, " not run", fontsize=6, color=QUIET, va="center")
            continue
        known = numbers[name, condition, "mean"]
        ours_alone = source == "value" and np.isnan(_number(known.get("published")))
        axes.barh(place, mean, 0.36, color=KIT_ONLY if ours_alone else colour)
        if np.isfinite(deviation):
            axes.errorbar(
                mean,
                place,
                xerr=[[min(deviation, mean)], [deviation]],
                fmt="none",
                ecolor=INK,
                elinewidth=0.7,
                capsize=1.5,
            )


def _number(value: Any) -> float:
    return float("nan") if value in (None, "") else float(value)


def _keys() -> list[Patch]:
    from matplotlib.patches import Patch

    keys = ((OURS, "this run"), (KIT_ONLY, "this run, the kit's own rows"), (THEIRS, "published"))
    return [Patch(fc=colour, label=label) for colour, label in keys]
