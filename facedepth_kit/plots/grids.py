"""Pictures in rows and columns, and what is drawn into a picture before it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import Picture
from facedepth_kit.plots.colours import colourize
from facedepth_kit.plots.style import (
    MISSING,
    QUIET,
    THEIRS,
    Shown,
    axes_at,
    blank_figure,
    canvas_of,
    readable_pt,
    show_picture,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_grid(
    pictures: Sequence[Sequence[Shown | None]],
    titles: Sequence[Sequence[str]],
    *,
    row_labels: Sequence[str] = (),
    size: float = 1.25,
    title_size: float = 8,
) -> Figure:
    """Rows of pictures with a title over each; None leaves an empty frame with its title inside."""
    columns = max(len(row) for row in pictures)
    gap, left = 0.08, 0.28 if row_labels else 0.05
    width = left + columns * (size + gap)
    title_size = max(title_size, readable_pt(width))
    head = 0.08 + 0.0175 * title_size
    lines = [
        max((name.count("\n") + 1 for image, name in zip(*row, strict=True) if name and image is not None), default=0)
        for row in zip(pictures, titles, strict=True)
    ]
    heights = [size + 0.03 + head * line for line in lines]
    figure = blank_figure(width, sum(heights) + 0.06)
    top = sum(heights) + 0.03
    for row, (images, names) in enumerate(zip(pictures, titles, strict=True)):
        y = top - heights[row]
        for column, (image, name) in enumerate(zip(images, names, strict=True)):
            axes = axes_at(figure, left + column * (size + gap), y, size, size)
            if image is None:
                axes.set_facecolor(MISSING)
                axes.text(
                    0.5,
                    0.5,
                    name,
                    ha="center",
                    va="center",
                    fontsize=title_size - 1,
                    color=QUIET,
                    transform=axes.transAxes,
                )
                for spine in axes.spines.values():
                    spine.set_color(THEIRS)
            else:
                show_picture(axes, image, name, size=title_size)
        if row_labels:
            canvas_of(figure).text(
                0.12,
                y + size / 2,
                row_labels[row],
                rotation=90,
                va="center",
                ha="center",
                fontsize=title_size,
                color=QUIET,
            )
        top = y
    return figure


def strip(pictures: Mapping[str, Shown], *, size: float | None = None) -> Figure:
    """One row of titled pictures: depth images (uint16) colourised, masks and finished pictures as they are.

    ``size`` of a picture in inches; by default few pictures are shown larger than many.
    """
    size = min(max(8.0 / max(len(pictures), 1), 1.9), 2.7) if size is None else size
    shown = [colourize(picture) if picture.dtype == np.uint16 else picture for picture in pictures.values()]
    return picture_grid([shown], [list(pictures)], size=size, title_size=9)


def with_points(picture: Picture, points: npt.NDArray[np.floating], *, box: Sequence[float] | None = None) -> Picture:
    """A picture (height, width, 3) uint8 with points (n, 2) and a box (left, top, right, bottom) drawn into it."""
    import cv2

    drawn = np.array(picture, order="C")
    unit = max(drawn.shape[0] // 160, 1)
    for x, y in points:
        if np.isfinite(x) and np.isfinite(y):
            cv2.circle(drawn, (round(float(x)), round(float(y))), unit, (90, 235, 120), -1, cv2.LINE_AA)
    if box is not None:
        left, top, right, bottom = (round(float(edge)) for edge in box)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), (250, 250, 250), unit)
    return drawn


def squared(picture: Picture) -> Picture:
    """The middle square of a picture."""
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]
