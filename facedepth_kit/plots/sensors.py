"""Figures of the simulated cameras: what they see, how they err, what their data sets look like.

As in :mod:`.plots`, each function takes data and returns a matplotlib ``Figure`` or a picture (uint8 RGB).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import CAMERA_SPAN_MM, DepthRange, colourize, from_millimetres
from facedepth_kit.plots.figures import INK, KIT_ONLY, LINE, OURS, QUIET, Picture, _figure, _quiet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Millimetres = npt.NDArray[np.floating]

COLOURS = (OURS, KIT_ONLY, "#7a5195", "#2f9e44")


def frame_picture(
    frame: npt.NDArray[np.generic], near_mm: float, *, unit_mm: float = 1.0, span_mm: float = CAMERA_SPAN_MM
) -> Picture:
    """A camera's frame (uint16 steps, 0 = hole; or float millimetres, NaN = hole) in colours from ``near_mm`` on.

    Holes and what lies beyond the span are grey, as everywhere in the kit.
    """
    depth_mm = np.asarray(frame, np.float64) * unit_mm
    depth_mm[~(depth_mm > 0)] = np.nan
    return colourize(from_millimetres(depth_mm, DepthRange(near_mm, span_mm)))


def error_picture(error_mm: Millimetres, limit_mm: float) -> Picture:
    """Errors in colours: blue measured too near, white right, red too far; black where there is none."""
    share = np.clip(np.nan_to_num(error_mm) / limit_mm, -1, 1)[..., None]
    near, middle, far = (np.array(colour, float) for colour in ((33, 80, 190), (245, 245, 245), (200, 30, 40)))
    picture = np.where(share < 0, middle + (near - middle) * -share, middle + (far - middle) * share)
    picture[np.isnan(error_mm)] = 25
    return np.rint(picture).astype(np.uint8)


def values_picture(values: npt.NDArray[np.floating], low: float, high: float) -> Picture:
    """A map of numbers as grey, black where there is none (NaN)."""
    grey = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 215 + 40
    return np.repeat(np.where(np.isnan(values), 0, np.nan_to_num(grey)).astype(np.uint8)[..., None], 3, axis=-1)


def error_against_distance(
    distances_mm: Sequence[float], steps_mm: Mapping[str, Sequence[float]], errors_mm: Mapping[str, Sequence[float]]
) -> Figure:
    """One disparity step (lines) and the measured spread on a wall (dots) over the distance, both axes logarithmic."""
    figure = _figure(6.4, 3.6)
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
    axes.grid(color="#e5e8ec", lw=0.6)
    axes.legend(frameon=False, fontsize=8)
    _quiet(axes)
    return figure


def depth_rows(lines: Mapping[str, tuple[Millimetres, Millimetres]], *, equal: bool = False) -> Figure:
    """Depth along one row: name -> (millimetres across, depth; NaN breaks the line). Near is up; ``equal`` scales."""
    figure = _figure(7.6, 3.3)
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
    _quiet(axes)
    return figure
