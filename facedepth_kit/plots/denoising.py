"""The second paper's Figures 1 to 5 and 8: the rig, alignment, folds, and people's depth as sculptures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.depth import DepthRange, Mask, Picture, from_millimetres
from facedepth_kit.plots.colours import shaded_relief
from facedepth_kit.plots.reconstruction import PAPER, surface_picture
from facedepth_kit.plots.style import (
    INK,
    LINE,
    MISSING,
    QUIET,
    arrow,
    axes_at,
    blank_figure,
    box,
    canvas_of,
    readable_pt,
    show_picture,
)
from facedepth_kit.rendering.mesh import Mesh, quad_triangles
from facedepth_kit.sequences.reprojection import SURFACE_MM, rigid, unproject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FloatArray = npt.NDArray[np.float32]
SPAN_MM = 900.0
LEARNT, PREDICTED = "#e9a2a2", "#a9c6ea"  # red and blue, as in Figure 3


def sculpture(depth_mm: FloatArray, middle_mm: float, camera: Intrinsics) -> Picture:
    """Depth (rows, columns) mm, NaN = nothing, about a middle distance, as a grey sculpture (rows, columns, 3)."""
    depth = from_millimetres(depth_mm, DepthRange(middle_mm - SPAN_MM / 2, SPAN_MM))
    return shaded_relief(depth, DepthRange(0.0, SPAN_MM), pixel_mm=middle_mm / camera.fx)


def on_white(picture: Picture, where: Mask) -> Picture:
    """A picture (rows, columns, 3) where it counts, white elsewhere."""
    return np.where(where[..., None], picture, np.uint8(PAPER))


def turned(depth_mm: FloatArray, middle_mm: float, camera: Intrinsics, angle_deg: float = 25.0) -> Picture:
    """The surface turned about the upright axis through its middle, as a sculpture on white (rows, columns, 3).

    Neighbours more than 60 mm apart in depth are two surfaces.
    """
    points = unproject(depth_mm, camera)
    index = np.arange(depth_mm.size).reshape(depth_mm.shape)
    quads = np.stack([index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]], axis=-1).reshape(-1, 4)
    around = depth_mm.reshape(-1)[quads]
    quads = quads[np.isfinite(around).all(axis=1) & (np.ptp(around, axis=1) < SURFACE_MM)]
    used, quads = np.unique(quads, return_inverse=True)
    vertices = points.reshape(-1, 3)[used] * (1, -1, -1)
    half = np.radians(angle_deg) / 2
    turn = rigid([0.0, np.sin(half), 0.0, np.cos(half)], [0.0, 0.0, 0.0])
    centre = np.array([0.0, 0.0, middle_mm])
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    surface = Mesh(vertices.astype(np.float32), quad_triangles(quads.reshape(-1, 4)))
    return surface_picture(surface, camera, np.asarray(np.linalg.inv(turn), np.float64))


def lettered_columns(rows: Sequence[Mapping[str, Picture | None]]) -> Figure:
    """Figures 4, 5 and 8: a row of pictures of one size for each frame, what they are below the last row.

    None leaves an empty frame: a method that was not run.
    """
    names = list(rows[0])
    gap, total = 0.06, max(7.0, 1.15 * len(names))
    width = total / len(names) - gap
    heights = []
    for row in rows:
        shape = next(picture.shape for picture in row.values() if picture is not None)
        heights.append(width * shape[0] / shape[1])
    size = max(8.0, 0.9 * readable_pt(total))
    foot = 0.05 * size
    figure = blank_figure(total, sum(heights) + gap * len(rows) + foot)
    canvas = canvas_of(figure)
    y = foot + sum(heights) + gap * (len(rows) - 1)
    for row, height in zip(rows, heights, strict=True):
        y -= height
        for column, name in enumerate(names):
            axes = axes_at(figure, gap / 2 + column * (width + gap), y, width, height)
            picture = row[name]
            if picture is None:
                axes.set_facecolor(MISSING)
                axes.text(
                    0.5, 0.5, "not run", ha="center", va="center", fontsize=size, color=QUIET, transform=axes.transAxes
                )
            else:
                show_picture(axes, picture)
            for spine in axes.spines.values():
                spine.set_color(LINE)
        y -= gap
    for column, name in enumerate(names):
        x = gap / 2 + column * (width + gap) + width / 2
        canvas.text(x, foot - 0.06, name.replace(" (", "\n("), ha="center", va="top", fontsize=size, color=INK)
    return figure


def rig_and_result(person: Picture, lower: Picture, ours: Picture) -> Figure:
    """Figure 1: the rig (a), as a drawing with what it sees, the lower-quality depth (b), and ours (c)."""
    rows, columns = person.shape[:2]
    height = 3.6
    width = height * columns / rows
    left = 3.3
    figure = blank_figure(left + 2 * (width + 0.1), height + 0.4)
    canvas = canvas_of(figure)
    seen = axes_at(figure, 0.85, 1.75, 1.85 * columns / rows, 1.85)
    show_picture(seen, person)
    middle = 0.85 + 0.925 * columns / rows
    canvas.plot([0.2, 2.9], [0.48, 0.48], color=INK, lw=5, solid_capstyle="round")
    for x, text, colour in (
        (0.15, "lower quality\n(as TrueDepth)\n480x640", "#fdf3e3"),
        (1.65, "higher quality\n(as Kinect v2)\n512x424", "#eef3f8"),
    ):
        box(canvas, x, 0.56, 1.35, 0.68, text, colour=colour)
        arrow(canvas, (x + 0.67, 1.27), (middle + 0.35 * (x + 0.67 - middle), 1.72))
    for x, picture in ((left, lower), (left + width + 0.1, ours)):
        show_picture(axes_at(figure, x, 0.35, width, height), picture)
    words = ((left / 2, "(a)"), (left + width / 2, "(b) LQ depth"), (left + 1.5 * width + 0.1, "(c) Ours"))
    for x, text in words:
        canvas.text(x, 0.12, text, ha="center", va="center", fontsize=11, color=INK)
    return figure


def alignment_pipeline(lower: Sequence[Picture], higher: Sequence[Picture], result: Mapping[str, Picture]) -> Figure:
    """Figure 2: both streams, the loop over time shifts, and the aligned frames that come out, each under its title."""
    side, box_y, high = 1.05, 1.15, 0.9
    figure = blank_figure(10.6, 3.1)
    canvas = canvas_of(figure)
    for y, pictures, name in ((1.65, lower, "lower quality"), (0.2, higher, "higher quality")):
        for i, picture in enumerate(pictures):
            show_picture(axes_at(figure, 0.1 + 0.28 * i, y + 0.06 * i, side, side), picture)
        canvas.text(0.1, y - 0.13, f"{name}, own clock", fontsize=9, color=QUIET)
    loop = (2.35, 0.55, 5.75, 2.1)
    box(canvas, *loop, "", colour="#f7f9fb")
    canvas.text(2.5, 2.42, "For each possible time shift $\\Delta_{H\\to L}$", fontsize=10, color=INK, va="center")
    stops = ((2.55, "Match\nframes (4.2)"), (4.45, "Find\nextrinsic (4.1)"), (6.35, "Evaluate\nloss (eq. 4)"))
    for x, text in stops:
        box(canvas, x, box_y, 1.5, high, text)
    for x in (4.05, 5.95):
        arrow(canvas, (x + 0.03, box_y + high / 2), (x + 0.37, box_y + high / 2))
    arrow(canvas, (7.1, box_y - 0.03), (3.3, box_y - 0.03), bend="arc3,rad=-0.12")
    for y in (2.1, 0.8):
        arrow(canvas, (1.78, y), (2.5, box_y + high / 2))
    arrow(canvas, (7.9, box_y + high / 2), (8.35, box_y + high / 2))
    for i, (title, picture) in enumerate(result.items()):
        show_picture(axes_at(figure, 8.4 + 1.1 * i, 0.85, side, 1.4), picture)
        canvas.text(8.4 + 1.1 * i + side / 2, 0.68, title, fontsize=9, color=QUIET, ha="center", va="top")
    return figure


def out_of_fold(groups: Mapping[str, str]) -> Figure:
    """Figure 3: which group each model learns from (red) and which it predicts (blue); ``groups`` names the three.

    M2 learns from predictions. What a group holds stands below its name.
    """
    rows = (
        ("M1_1", "learns", "predicts", ""),
        ("M1_2", "predicts", "learns", ""),
        ("M1", "learns", "learns", "predicts"),
        ("M2", "learns", "learns", "predicts"),
    )
    figure = blank_figure(7.0, 3.5)
    canvas = canvas_of(figure)
    width, height, left = 1.95, 0.5, 0.9
    for column, (name, holds) in enumerate(groups.items()):
        x = left + column * (width + 0.05) + width / 2
        canvas.text(x, 3.32, name, ha="center", va="center", fontsize=11, color=INK, weight="bold")
        canvas.text(x, 3.08, holds, ha="center", va="center", fontsize=9, color=QUIET)
    inputs = ("M1_2(P1)", "M1_1(P2)", "M1(Ptest)")
    for number, (model, *parts) in enumerate(rows):
        y = 2.35 - number * 0.72
        canvas.text(left - 0.12, y + height / 2, f"{model}:", ha="right", va="center", fontsize=11, color=INK)
        for column, part in enumerate(parts):
            if not part:
                continue
            x = left + column * (width + 0.05)
            colour = LEARNT if part == "learns" else PREDICTED
            box(canvas, x, y, width, height, inputs[column] if model == "M2" else part, colour=colour)
    return figure
