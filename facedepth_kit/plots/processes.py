"""Figures 3 to 6: how ground truth is made, how it is degraded, and how a network learns from both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facedepth_kit.depth import DepthImage, Mask, Picture
from facedepth_kit.plots.colours import colourize
from facedepth_kit.plots.grids import picture_grid
from facedepth_kit.plots.style import (
    INK,
    LINE,
    QUIET,
    Shown,
    arrow,
    axes_at,
    blank_figure,
    box,
    canvas_of,
    show_picture,
)
from facedepth_kit.rendering.mesh import Mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class GroundTruthWay:
    """One way to ground truth for Figure 3: what goes in (a photo, or a text in its place), by what, what comes out.

    ``between`` is a further picture on the way, such as a position map, with its title; None where there is none.
    """

    given: Picture | str
    model: str
    mesh: Mesh
    depth: DepthImage
    between: tuple[str, Picture] | None = None


def ground_truth_process(ways: Sequence[GroundTruthWay]) -> Figure:
    """Figure 3: from photo or parameters by way of a 3D mesh to the ground truth depth image, a row for each way."""
    row, size, wide = 2.35, 1.75, any(way.between for way in ways)
    shift = size + 0.45 if wide else 0.0
    figure = blank_figure(10.0 + shift, row * len(ways) + 0.5)
    canvas = canvas_of(figure)
    heads = ((0.1 + size / 2, "1. Input"), (5.0 + shift, "2. Intermediate"), (9.0 + shift, "3. Output"))
    for x, text in heads:
        canvas.text(x, row * len(ways) + 0.3, text, ha="center", fontsize=11, color=QUIET, weight="bold")
    for number, way in enumerate(ways):
        y = row * (len(ways) - 1 - number) + 0.1
        middle = y + size / 2
        if isinstance(way.given, str):
            box(canvas, 0.1, y + 0.2, size, size - 0.4, way.given, colour="#fdf3e3")
        else:
            show_picture(axes_at(figure, 0.1, y, size, size), way.given, "photo")
        stops = [0.1 + size, 2.3]
        box(canvas, 2.3, middle - 0.5, 1.5, 1.0, way.model)
        if way.between is not None:
            show_picture(axes_at(figure, 4.2, y, size, size), way.between[1], way.between[0])
            stops += [3.8, 4.2, 4.2 + size, 4.2 + shift]
        else:
            stops += [3.8, 4.2 + shift]
        _points(axes_at(figure, 4.2 + shift, y, size, size), way.mesh, "3D face mesh (vertices)")
        box(canvas, 6.4 + shift, middle - 0.5, 1.2, 1.0, "Depth\nrendering\n(z-buffer)")
        show_picture(axes_at(figure, 8.05 + shift, y, size, size), colourize(way.depth), "Ground truth depth image")
        stops += [4.2 + shift + size, 6.4 + shift, 7.6 + shift, 8.05 + shift]
        for start, end in zip(stops[::2], stops[1::2], strict=True):
            arrow(canvas, (start + 0.04, middle), (end - 0.04, middle))
    return figure


def _points(axes: Axes, mesh: Mesh, title: str) -> None:
    """The mesh's vertices seen from the front, nearer ones darker."""
    x, y, z = np.asarray(mesh.vertices_mm, np.float64).T
    axes.scatter(x, y, c=z, s=0.3, cmap="viridis", linewidths=0, rasterized=True)
    axes.set_aspect("equal")
    axes.margins(0.08)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    axes.set_title(title, fontsize=9, color=INK, pad=4)


def ground_truth_examples(
    photos: Sequence[Picture], labels: Sequence[str], depths: Mapping[str, Sequence[DepthImage]]
) -> Figure:
    """Figure 4: first row photos with their resolutions, then a row of colourised depth for each way, named by it."""
    blank = [""] * len(photos)
    return picture_grid(
        [photos, *([colourize(depth) for depth in row] for row in depths.values())],
        [list(labels), *(blank for _ in depths)],
        row_labels=["photo", *depths],
        size=2.0,
    )


def degradation_process(stages: Mapping[str, Shown]) -> Figure:
    """Figure 5: the degradation stage by stage.

    ``stages`` maps ``ground truth, outline, outline holes, random holes, all holes, punched, noise, blurred, random
    background, blurred background`` to pictures: depth images (uint16) or masks (bool).
    """
    size, step, left, lower, upper = 1.6, 1.92, 0.1, 0.3, 2.4
    figure = blank_figure(left * 2 + 6 * step + size, 4.6)
    canvas = canvas_of(figure)
    spots = {
        "ground truth": (0, lower, "Ground truth depth"),
        "outline": (0, upper, "Outline detected"),
        "outline holes": (1, upper, "Outline region holes"),
        "random holes": (2, upper, "Random holes"),
        "all holes": (3, upper, "Shapes combined"),
        "punched": (3, lower, "Holes drawn"),
        "noise": (4, lower, "Per-pixel depth noise"),
        "blurred": (5, lower, "Blurred: degraded"),
        "random background": (6, upper, "Hole values random"),
        "blurred background": (6, lower, "Hole background blurred"),
    }
    for name, (column, y, title) in spots.items():
        picture = stages[name]
        shown = colourize(picture) if picture.dtype == np.uint16 else picture
        if name == "outline":
            shown = _thick(picture)
        show_picture(axes_at(figure, left + column * step, y, size, size), shown, title, size=10.5)
    heads = {
        "1. Input": (0.0, 0.05),
        "2. Intermediate": (1.5, 4.32),
        "3. Output": (5.0, 0.05),
        "4. Training only": (6.0, 4.32),
    }
    for text, (place, y) in heads.items():
        canvas.text(left + place * step + size / 2, y, text, fontsize=11, color=QUIET, weight="bold", ha="center")

    def across(column: int, y: float, until: int | None = None) -> None:
        end = left + (column + 1 if until is None else until) * step
        arrow(canvas, (left + column * step + size + 0.05, y + size / 2), (end - 0.04, y + size / 2))

    for column in (0, 2):
        across(column, upper)
    canvas.text(
        left + 2 * step - (step - size) / 2, upper + size / 2, "+", fontsize=16, color=QUIET, ha="center", va="center"
    )
    across(0, lower, until=3)
    for column in (3, 4, 5):
        across(column, lower)
    first, third = left + size / 2, left + 3 * step + size / 2
    arrow(canvas, (first, lower + size + 0.27), (first, upper - 0.03))
    arrow(canvas, (third, upper - 0.03), (third, lower + size + 0.27))
    arrow(canvas, (left + 5 * step + size + 0.05, lower + size - 0.1), (left + 6 * step - 0.04, upper + 0.15))
    return figure


def _thick(mask: Mask) -> Mask:
    """A line one pixel wide, three pixels wide: one would vanish when the picture is scaled down."""
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def training_concept(ground_truth: DepthImage, degraded: DepthImage, enhanced: DepthImage) -> Figure:
    """Figure 6: enhance, compare, adjust, repeat; with one real triple of images."""
    figure = blank_figure(9.6, 4.5)
    canvas = canvas_of(figure)
    size = 1.6
    show_picture(axes_at(figure, 0.3, 2.5, size, size), colourize(degraded), "Degraded images")
    show_picture(axes_at(figure, 6.6, 2.5, size, size), colourize(enhanced), "Enhanced images")
    show_picture(axes_at(figure, 6.6, 0.1, size, size), colourize(ground_truth), "Ground truth images")
    box(canvas, 3.2, 2.75, 1.9, 1.1, "Neural network")
    box(canvas, 3.0, 0.5, 2.3, 1.1, "Compare enhanced\nwith ground truth,\nadjust the network", colour="#fdf3e3")
    arrow(canvas, (0.3 + size + 0.05, 3.3), (3.17, 3.3))
    arrow(canvas, (5.13, 3.3), (6.55, 3.3))
    arrow(canvas, (6.55, 0.9), (5.35, 0.9))
    arrow(canvas, (6.55, 2.6), (5.35, 1.45))
    arrow(canvas, (4.15, 1.63), (4.15, 2.72))
    canvas.text(2.55, 3.42, "step 1", fontsize=9, color=QUIET, ha="center")
    canvas.text(4.28, 2.15, "step 2", fontsize=9, color=QUIET)
    canvas.text(8.9, 2.2, "repeat\nsteps 1 and 2", fontsize=9, color=QUIET, ha="center", va="center")
    return figure
