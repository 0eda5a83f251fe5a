"""Curves: the loss over a training, what a limit catches, what a simulated sensor measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import Table, records
from facedepth_kit.plots.style import BAD, GRID, INK, KIT_ONLY, LINE, OURS, QUIET, axes_at, blank_figure, plain_spines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Millimetres = npt.NDArray[np.floating]
COLOURS = (OURS, KIT_ONLY, "#7a5195", "#2f9e44")


def loss_curve(history: Sequence[Mapping[str, float]], *, horizontal: str = "epoch") -> Figure:
    """Training and validation loss over epochs; ``history`` has ``epoch``, ``loss`` and, where known, ``val_loss``."""
    figure = blank_figure(6.4, 3.2)
    axes = figure.add_axes((0.12, 0.18, 0.84, 0.72))
    steps = [entry[horizontal] for entry in history]
    for key, colour, label in (("loss", OURS, "training"), ("val_loss", KIT_ONLY, "held-out pairs")):
        if all(key in entry for entry in history):
            axes.plot(steps, [entry[key] for entry in history], "o-", ms=4, color=colour, label=label)
    axes.set_xlabel(horizontal)
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    axes.grid(axis="y", color=GRID, which="both", lw=0.6)
    axes.legend(frameon=False)
    plain_spines(axes)
    return figure


def screening_curve(
    curves: Mapping[str, Sequence[tuple[float, float]]], chosen: Mapping[str, tuple[float, float]]
) -> Figure:
    """What screening catches (upwards) against what it loses (to the right) as its limits are widened or narrowed.

    ``curves`` maps a kind of fault to (lost, caught) shares; ``chosen`` to the pair at the limits in use.
    """
    figure = blank_figure(6.4, 4.0)
    axes = figure.add_axes((0.12, 0.14, 0.84, 0.8))
    for (name, points), colour in zip(curves.items(), (LINE, KIT_ONLY, OURS, INK), strict=False):
        lost, caught = zip(*sorted(points), strict=True)
        axes.plot(lost, caught, "-", color=colour, lw=1.6, label=name)
        axes.plot(*chosen[name], "o", color=colour, ms=7, mec="white")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.set_xlabel("well-formed faces lost")
    axes.set_ylabel("deformed faces caught")
    axes.grid(color=GRID, lw=0.6)
    axes.legend(frameon=False, title="deformation", title_fontsize=9)
    plain_spines(axes)
    return figure


def decision_curves(table: Table, enhancers: Sequence[str], fixed: Mapping[str, float]) -> Figure:
    """BPCER and APCER over the threshold: a row for each check, a column for each enhancer.

    ``table``: ``check, enhancer, presentation, threshold, rate``; ``fixed`` the decision's own threshold by check.
    """
    rows = records(table)
    checks = list(dict.fromkeys(str(row["check"]) for row in rows))
    styles = {
        "bona_fide": (OURS, "BPCER (bona fide rejected)"),
        "flat_print": (BAD, "APCER, flat print"),
        "bent_print": (KIT_ONLY, "APCER, bent print"),
    }
    width, height = 2.9, 2.1
    figure = blank_figure(0.8 + len(enhancers) * width, 0.9 + len(checks) * (height + 0.35))
    handles: dict[str, Any] = {}
    for i, check in enumerate(checks):
        for j, enhancer in enumerate(enhancers):
            axes = axes_at(
                figure, 0.65 + j * width, 0.75 + (len(checks) - 1 - i) * (height + 0.35), width - 0.3, height - 0.35
            )
            for kind, (colour, label) in styles.items():
                line = [
                    row
                    for row in rows
                    if (row["check"], row["enhancer"], row["presentation"]) == (check, enhancer, kind)
                ]
                if line:
                    values = np.array([[float(row["threshold"]), float(row["rate"])] for row in line])
                    (handles[label],) = axes.plot(*values.T, color=colour, lw=1.6, drawstyle="steps-pre")
            axes.axvline(fixed[check], color=QUIET, lw=0.8, ls=(0, (3, 2)))
            axes.set_ylim(-0.03, 1.03)
            axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"] if j == 0 else [""] * 3)
            axes.xaxis.set_major_locator(_ticker())
            axes.grid(color=GRID, lw=0.6)
            axes.set_title(enhancer if i == 0 else "", fontsize=9, color=INK)
            if j == 0:
                axes.set_ylabel("share", fontsize=8)
            axes.set_xlabel(f"threshold: {check}", fontsize=8)
            plain_spines(axes)
    figure.legend(
        handles.values(),
        handles.keys(),
        frameon=False,
        loc="lower center",
        ncols=3,
        fontsize=8,
        bbox_to_anchor=(0.5, 0.0),
    )
    return figure


def _ticker() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def error_against_distance(
    distances_mm: Sequence[float], steps_mm: Mapping[str, Sequence[float]], errors_mm: Mapping[str, Sequence[float]]
) -> Figure:
    """One disparity step (lines) and the measured spread on a wall (dots) over the distance, both axes logarithmic."""
    figure = blank_figure(6.4, 3.6)
    axes = figure.add_axes((0.11, 0.15, 0.86, 0.8))
    for colour, name in zip(COLOURS, steps_mm, strict=False):
        axes.plot(distances_mm, steps_mm[name], color=colour, lw=1.6, label=f"{name}: one step of disparity")
        axes.plot(distances_mm, errors_mm[name], "o", color=colour, ms=5, label=f"{name}: spread on a wall")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(distances_mm, [f"{distance / 1000:g}" for distance in distances_mm])
    axes.minorticks_off()
    ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("distance (m)", color=INK)
    axes.set_ylabel("mm", color=INK)
    axes.grid(color=GRID, lw=0.6)
    axes.legend(frameon=False, fontsize=8)
    plain_spines(axes)
    return figure


def depth_rows(lines: Mapping[str, tuple[Millimetres, Millimetres]], *, equal: bool = False) -> Figure:
    """Depth along one row: name -> (millimetres across, depth; NaN breaks the line). Near is up; ``equal`` scales."""
    figure = blank_figure(7.6, 3.3)
    axes = figure.add_axes((0.09, 0.15, 0.89, 0.8))
    styles = (("-", "#222222", 1.8), *((".", colour, 1.0) for colour in COLOURS))
    for (name, (across_mm, depth_mm)), (style, colour, width) in zip(lines.items(), styles, strict=False):
        axes.plot(across_mm, depth_mm, style, color=colour, lw=width, ms=3.5, label=name)
    axes.invert_yaxis()
    if equal:
        axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel("mm across", color=QUIET)
    axes.set_ylabel("mm from the camera", color=QUIET)
    axes.grid(color=LINE, lw=0.3, alpha=0.5)
    axes.legend(frameon=False, fontsize=8)
    plain_spines(axes)
    return figure
