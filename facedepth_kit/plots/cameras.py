"""Figures made of camera recordings, in the paper's arrangement: 1, 2, 9 to 12, 15 to 18, and the PAD's curves.

As in :mod:`.plots`, each function takes data and returns a matplotlib ``Figure``. Depth images are uint16 (256, 256)
with hole 65535; masked images show the face area only, as in the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import Table, records
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, Mask, colourize
from facedepth_kit.plots.figures import (
    INK,
    KIT_ONLY,
    LINE,
    OURS,
    QUIET,
    THEIRS,
    Picture,
    _arrow,
    _box,
    _canvas,
    _figure,
    _place,
    _quiet,
    _show,
    picture_grid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Points = npt.NDArray[np.floating]
Limits = tuple[float, float]

GOOD, BAD, BEFORE, JAW_RULE = "#ffffff", "#e4003a", "#ff9d00", "#b000ff"
# Dlib's 68 landmarks: first and last of each line; eyes and lips are closed ones.
CLOSED = ((36, 41), (42, 47), (48, 59), (60, 67))
LINES = ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35), *CLOSED)


def face_window(mask: Mask, margin: float = 0.12) -> tuple[slice, slice]:
    """Rows and columns of the square around a mask, a little larger, inside the image."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    height, width = mask.shape
    side = min(int((max(np.ptp(rows), np.ptp(columns)) + 1) * (1 + 2 * margin)), height, width)
    top = int(np.clip((rows[0] + rows[-1] + 1 - side) // 2, 0, height - side))
    left = int(np.clip((columns[0] + columns[-1] + 1 - side) // 2, 0, width - side))
    return slice(top, top + side), slice(left, left + side)


def face_limits(depth: DepthImage, mask: Mask) -> Limits:
    """Where the colours of a face should begin and end, as shares of the span, so that images of it compare."""
    inside = depth[mask & (depth != HOLE)]
    if not inside.size:
        return 0.0, 1.0
    low, high = np.quantile(inside, (0.005, 0.995)) / FARTHEST
    return max(0.0, float(low) - 0.02), min(1.0, float(high) + 0.05)


def masked(depth: DepthImage, mask: Mask | None, limits: Limits = (0.0, 1.0)) -> Picture:
    """Depth in colour, cut to the square around the mask and grey outside it; without a mask the whole image."""
    if mask is None:
        return colourize(depth, limits=limits)
    picture = colourize(depth, limits=limits)
    picture[~mask] = 255
    return picture[face_window(mask)]


def cut(picture: Picture, mask: Mask | None) -> Picture:
    """A colour or infrared picture in the same window as :func:`masked`."""
    return picture if mask is None else picture[face_window(mask)]


def concept(picture: Picture, given: DepthImage, enhanced: DepthImage, mask: Mask, name: str) -> Figure:
    """Figure 1: depth before and after; the colour image beside them is not used for the enhancement."""
    size = 1.9
    figure = _figure(9.4, 2.5)
    canvas = _canvas(figure)
    limits = face_limits(given, mask)
    _show(_place(figure, 0.1, 0.2, size, size), cut(picture, mask), "Colour (not used)")
    _show(_place(figure, 2.5, 0.2, size, size), masked(given, mask, limits), "Original depth")
    _box(canvas, 4.95, 0.75, 1.6, 0.8, f"Enhancement\n({name})")
    _show(_place(figure, 7.1, 0.2, size, size), masked(enhanced, mask, limits), "Enhanced depth")
    _arrow(canvas, (4.45, 1.15), (4.92, 1.15))
    _arrow(canvas, (6.58, 1.15), (7.05, 1.15))
    return figure


def distances(pictures: Sequence[Picture], depths: Sequence[Picture], titles: Sequence[str]) -> Figure:
    """Figure 2: colour above, masked depth below, a column for each distance."""
    return picture_grid(
        [pictures, depths], [list(titles), [""] * len(depths)], row_labels=["colour", "depth"], size=2.2
    )


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
    figure = _figure(11.4, 0.9 + 0.27 * len(names))
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
        axes.grid(axis="x", color="#e5e8ec", lw=0.6)
        axes.set_axisbelow(True)
        _quiet(axes)
    _legend(figure)
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


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    keys = ((OURS, "this run"), (KIT_ONLY, "this run, the kit's own rows"), (THEIRS, "published"))
    handles = [Patch(fc=colour, label=label) for colour, label in keys]
    figure.legend(handles=handles, frameon=False, loc="lower center", ncols=3, fontsize=8, bbox_to_anchor=(0.5, 0.0))


def sample_rows(
    pictures: Sequence[Picture],
    given: Sequence[DepthImage],
    enhanced: Sequence[Mapping[str, DepthImage]],
    masks: Sequence[Mask],
    names: Sequence[str],
    labels: Sequence[str],
    numbers: Sequence[Mapping[str, float]] | None = None,
) -> Figure:
    """Figure 10: a row for each variant: colour, input, and the output of each enhancer, masked.

    An enhancer of ``names`` that is missing in ``enhanced`` leaves an empty frame. ``numbers``: printed above outputs.
    """
    rows: list[list[Picture | None]] = []
    titles: list[list[str]] = []
    for index, (picture, depth, outputs, mask) in enumerate(zip(pictures, given, enhanced, masks, strict=True)):
        limits = face_limits(depth, mask)
        shown = [masked(outputs[name], mask, limits) if name in outputs else None for name in names]
        rows.append([cut(picture, mask), masked(depth, mask, limits), *shown])
        beside = numbers[index] if numbers else {}
        heads = [name + (f"\n{beside[name]:.2f}" if name in beside else "") for name in names]
        missing = [f"{name}\nnot run" for name in names]
        chosen = [head if name in outputs else gap for name, head, gap in zip(names, heads, missing, strict=True)]
        titles.append(["Color" if index == 0 else "", "None" if index == 0 else "", *chosen])
    return picture_grid(rows, titles, row_labels=list(labels), size=1.15, title_size=7)


def camera_sample(
    picture: Picture,
    given: DepthImage,
    enhanced: Mapping[str, DepthImage],
    mask: Mask,
    rows: Sequence[Sequence[str]],
) -> Figure:
    """Figures 15 to 18: colour, depth and hand-crafted output on top, learned and ours below, masked by the face."""
    limits = face_limits(given, mask)
    pictures: list[list[Picture | None]] = []
    titles = []
    for row in rows:
        shown: list[Picture | None] = []
        for name in row:
            if name == "Color":
                shown.append(cut(picture, mask))
            else:
                depth = given if name == "Depth" else enhanced.get(name)
                shown.append(None if depth is None else masked(depth, mask, limits))
        pictures.append(shown)
        titles.append(
            [
                f"{name}\nnot run" if image is None else name.replace("+", "\n+ ")
                for name, image in zip(row, shown, strict=True)
            ]
        )
    return picture_grid(pictures, titles)


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
    figure = _figure(3 * (size + 0.1) + 0.4, len(labels) * (size + 0.1) + 0.3)
    for index, (picture, depth, window) in enumerate(zip(pictures, depths, windows, strict=True)):
        y = (len(labels) - 1 - index) * (size + 0.1) + 0.05
        limits = face_limits(depth, np.ones(depth.shape, np.bool_))
        heads = ("Color", "Manual", "Dlib") if index == 0 else ("", "", "")
        for column, (head, points) in enumerate(zip(heads, (None, manual[index], dlib[index]), strict=True)):
            axes = _place(figure, 0.35 + column * (size + 0.1), y, size, size)
            whole = picture if points is None else colourize(depth, limits=limits)
            _show(axes, whole[window], head)
            if points is not None:
                _scatter(axes, points[0], points[1], window, 26 if column == 1 else 9)
        _canvas(figure).text(
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
    figure = _figure(5.2, 5.2)
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
    figure = _figure(4.6, 3.6)
    axes = _place(figure, 0.1, 0.15, 3.0, 3.0)
    window = face_window(mask, 0.2)
    _show(axes, colourize(depth, limits=face_limits(depth, mask))[window], title)
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
    figure = _figure(0.8 + len(enhancers) * width, 0.9 + len(checks) * (height + 0.35))
    handles: dict[str, Any] = {}
    for i, check in enumerate(checks):
        for j, enhancer in enumerate(enhancers):
            axes = _place(
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
            axes.grid(color="#e5e8ec", lw=0.6)
            axes.set_title(enhancer if i == 0 else "", fontsize=9, color=INK)
            if j == 0:
                axes.set_ylabel("share", fontsize=8)
            axes.set_xlabel(f"threshold: {check}", fontsize=8)
            _quiet(axes)
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
