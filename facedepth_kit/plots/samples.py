"""Figures 1, 2, 10 and 13 to 18: images before and after enhancement; of a face only the face area is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, Mask, Picture
from facedepth_kit.plots.colours import colourize
from facedepth_kit.plots.grids import picture_grid
from facedepth_kit.plots.style import arrow, axes_at, blank_figure, box, canvas_of, show_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Limits = tuple[float, float]


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


def masked_face(depth: DepthImage, mask: Mask | None, limits: Limits = (0.0, 1.0)) -> Picture:
    """Depth in colour, cut to the square around the mask and grey outside it; without a mask the whole image."""
    if mask is None:
        return colourize(depth, limits=limits)
    picture = colourize(depth, limits=limits)
    picture[~mask] = 255
    return picture[face_window(mask)]


def cut_to_face(picture: Picture, mask: Mask | None) -> Picture:
    """A colour or infrared picture in the same window as :func:`masked_face`."""
    return picture if mask is None else picture[face_window(mask)]


def enhancement_concept(picture: Picture, given: DepthImage, enhanced: DepthImage, mask: Mask, name: str) -> Figure:
    """Figure 1: depth before and after; the colour image beside them is not used for the enhancement."""
    size = 1.9
    figure = blank_figure(9.4, 2.5)
    canvas = canvas_of(figure)
    limits = face_limits(given, mask)
    show_picture(axes_at(figure, 0.1, 0.2, size, size), cut_to_face(picture, mask), "Colour (not used)")
    show_picture(axes_at(figure, 2.5, 0.2, size, size), masked_face(given, mask, limits), "Original depth")
    box(canvas, 4.95, 0.75, 1.6, 0.8, f"Enhancement\n({name})")
    show_picture(axes_at(figure, 7.1, 0.2, size, size), masked_face(enhanced, mask, limits), "Enhanced depth")
    arrow(canvas, (4.45, 1.15), (4.92, 1.15))
    arrow(canvas, (6.58, 1.15), (7.05, 1.15))
    return figure


def distance_rows(pictures: Sequence[Picture], depths: Sequence[Picture], titles: Sequence[str]) -> Figure:
    """Figure 2: colour above, masked depth below, a column for each distance."""
    return picture_grid(
        [pictures, depths], [list(titles), [""] * len(depths)], row_labels=["colour", "depth"], size=2.2
    )


def sample_grid(
    ground_truth: DepthImage,
    degraded: DepthImage,
    enhanced: Mapping[str, DepthImage | None],
    rows: Sequence[Sequence[str]],
    errors: Mapping[str, float] | None = None,
) -> Figure:
    """Figures 13 and 14: ground truth, degraded and hand-crafted output on top, learned and ours below.

    ``rows`` gives the labels of each row; "Ground Truth" and "Degraded" are the images themselves, the rest are looked
    up in ``enhanced``, where a missing one means "no weights". As in the paper, the face area is masked by the ground
    truth for clarity. ``errors``: numbers to print beside the labels.
    """
    face = ground_truth != HOLE
    pictures: list[list[Picture | None]] = []
    titles: list[list[str]] = []
    for row in rows:
        depths = [{"Ground Truth": ground_truth, "Degraded": degraded}.get(name, enhanced.get(name)) for name in row]
        pictures.append([None if depth is None else colourize(np.where(face, depth, HOLE)) for depth in depths])
        numbers = [f"\n{errors[name]:.4f}" if errors and name in errors else "" for name in row]
        titles.append(
            [
                f"{name}\nno weights" if depth is None else name.replace("+", "\n+ ") + number
                for name, depth, number in zip(row, depths, numbers, strict=True)
            ]
        )
    return picture_grid(pictures, titles)


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
        shown = [masked_face(outputs[name], mask, limits) if name in outputs else None for name in names]
        rows.append([cut_to_face(picture, mask), masked_face(depth, mask, limits), *shown])
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
                shown.append(cut_to_face(picture, mask))
            else:
                depth = given if name == "Depth" else enhanced.get(name)
                shown.append(None if depth is None else masked_face(depth, mask, limits))
        pictures.append(shown)
        titles.append(
            [
                f"{name}\nnot run" if image is None else name.replace("+", "\n+ ")
                for name, image in zip(row, shown, strict=True)
            ]
        )
    return picture_grid(pictures, titles)
