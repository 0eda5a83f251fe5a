"""Figures 11 and 12, and the rules of the geometric PAD: landmarks on pictures and depth images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import DepthImage, Mask, Picture
from facedepth_kit.plots.colours import colourize
from facedepth_kit.plots.samples import face_limits, face_window
from facedepth_kit.plots.style import BAD, GOOD, INK, LINE, OURS, QUIET, axes_at, blank_figure, canvas_of, show_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = npt.NDArray[np.floating]
BEFORE, JAW_RULE = "#ff9d00", "#b000ff"
# Dlib's 68 landmarks: first and last of each line; eyes and lips are closed ones.
CLOSED = ((36, 41), (42, 47), (48, 59), (60, 67))
LINES = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35), *CLOSED)


def landmark_errors(
    pictures: Sequence[Picture],
    depths: Sequence[DepthImage],
    manual: Sequence[tuple[Points, Mask]],
    dlib: Sequence[tuple[Points, Mask]],
    windows: Sequence[tuple[slice, slice]],
    labels: Sequence[str],
) -> Figure:
    """Figure 11: colour, depth with the data set's six marks, depth with Dlib's 68; those in holes are red.

    Points come with a mask that says which lie in a hole.
    """
    size = 2.1
    figure = blank_figure(3 * (size + 0.1) + 0.4, len(labels) * (size + 0.1) + 0.3)
    for index, (picture, depth, window) in enumerate(zip(pictures, depths, windows, strict=True)):
        y = (len(labels) - 1 - index) * (size + 0.1) + 0.05
        limits = face_limits(depth, np.ones(depth.shape, np.bool_))
        heads = ("Color", "Manual", "Dlib") if index == 0 else ("", "", "")
        for column, (head, points) in enumerate(zip(heads, (None, manual[index], dlib[index]), strict=True)):
            axes = axes_at(figure, 0.35 + column * (size + 0.1), y, size, size)
            whole = picture if points is None else colourize(depth, limits=limits)
            show_picture(axes, whole[window], head)
            if points is not None:
                _scatter(axes, points[0], points[1], window, 26 if column == 1 else 9)
        canvas_of(figure).text(
            0.16, y + size / 2, labels[index], rotation=90, va="center", ha="center", fontsize=8, color=QUIET
        )
    return figure


def _scatter(axes: Axes, points: Points, bad: Mask, window: tuple[slice, slice], size: float) -> None:
    shifted = points - np.array([window[1].start, window[0].start])
    for chosen, colour, order in ((~bad, GOOD, 3), (bad, BAD, 4)):
        axes.scatter(
            shifted[chosen, 0], shifted[chosen, 1], s=size, c=colour, edgecolors="black", linewidths=0.5, zorder=order
        )
    axes.set_xlim(-0.5, window[1].stop - window[1].start - 0.5)
    axes.set_ylim(window[0].stop - window[0].start - 0.5, -0.5)


def dlib_landmarks(points: Points, picture: Picture | None = None) -> Figure:
    """Figure 12: Dlib's 68 landmarks, numbered from 1 as in the paper; ``points`` (68, 2) in pixels, y down."""
    figure = blank_figure(5.2, 5.2)
    axes = figure.add_axes((0, 0, 1, 1))
    if picture is not None:
        axes.imshow(picture, cmap="gray", alpha=0.35)
    for first, last in LINES:
        line = points[[*range(first, last + 1), *([first] if (first, last) in CLOSED else [])]]
        axes.plot(*line.T, color=LINE, lw=1.0, zorder=1)
    axes.scatter(points[:, 0], points[:, 1], s=14, color=OURS, zorder=2)
    for number, (x, y) in enumerate(points, start=1):
        away = _label_direction(points, number - 1) * float(np.ptp(points[:, 0])) * 0.03
        axes.text(x + away[0], y + away[1], str(number), fontsize=7, color=INK, ha="center", va="center", zorder=3)
    low, high = points.min(axis=0), points.max(axis=0)
    half = float(max(high - low)) * 0.56
    centre = (low + high) / 2
    axes.set_xlim(centre[0] - half, centre[0] + half)
    axes.set_ylim(centre[1] + half, centre[1] - half)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure


def _label_direction(points: Points, index: int) -> npt.NDArray[np.float64]:
    """Where a landmark's number stands beside it: outside of its line, but inside at the inner corners of the mouth."""
    if 27 <= index <= 30:
        return np.array([1.0, 0.0])
    if 31 <= index <= 35:
        return np.array([0.0, 1.0])
    first, last = next((line for line in CLOSED if line[0] <= index <= line[1]), (0, 67))
    away = points[index] - points[first : last + 1].mean(axis=0)
    away = away / max(float(np.linalg.norm(away)), 1e-9)
    return np.asarray(-away if index in (60, 64) else away)


def pad_rules(depth: DepthImage, landmarks: Points, rules: Mapping[str, Mask], mask: Mask, title: str) -> Figure:
    """One depth image with its 68 landmarks, coloured by the first rule of the geometric PAD that each breaks.

    ``rules`` maps ``hole``, ``before the nose`` and ``jaw`` to masks (68,).
    """
    figure = blank_figure(4.6, 3.6)
    axes = axes_at(figure, 0.1, 0.15, 3.0, 3.0)
    window = face_window(mask, 0.2)
    show_picture(axes, colourize(depth, limits=face_limits(depth, mask))[window], title)
    shifted = landmarks - np.array([window[1].start, window[0].start])
    left = np.ones(len(landmarks), np.bool_)
    handles = []
    for (name, broken), colour in zip(rules.items(), (BAD, BEFORE, JAW_RULE), strict=True):
        x, y = shifted[broken & left].T
        handles.append(axes.scatter(x, y, s=24, c=colour, edgecolors="black", linewidths=0.6, label=name))
        left &= ~broken
    x, y = shifted[left].T
    handles.append(axes.scatter(x, y, s=14, c=GOOD, edgecolors="black", linewidths=0.6, label="valid"))
    figure.legend(handles=handles, loc="center left", bbox_to_anchor=(0.69, 0.5), frameon=False, fontsize=8)
    return figure
