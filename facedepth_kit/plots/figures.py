"""Figures in the papers' arrangement; each function takes data and returns a matplotlib ``Figure``, nothing is shown.

Depth images are uint16 (256, 256) with 65535 as hole. Texts inside a figure say where the kit differs from the paper.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import Table, records
from facedepth_kit.depth import HOLE, DepthImage, colourize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from facedepth_kit.rendering.mesh import Mesh

Picture = npt.NDArray[Any]

INK, QUIET, LINE = "#22303c", "#6b7785", "#9aa5b1"
OURS, THEIRS, KIT_ONLY, MISSING = "#1f6fb2", "#c9ced6", "#e08a1e", "#f3f4f6"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def _place(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at inches from the lower left corner, so that pictures keep their size whatever surrounds them."""
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes((x / total_width, y / total_height, width / total_width, height / total_height))
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _show(axes: Axes, picture: Picture, title: str = "", *, size: float = 9) -> None:
    axes.imshow(picture, cmap="gray", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LINE)
        spine.set_linewidth(0.8)
    if title:
        axes.set_title(title, fontsize=size, color=INK, pad=4)


def _canvas(figure: Figure) -> Axes:
    """Axes over the whole figure in inches, for arrows and boxes."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return axes


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, bend: str = "arc3") -> None:
    style = {"arrowstyle": "-|>,head_width=0.25,head_length=0.45", "color": QUIET, "lw": 1.4, "connectionstyle": bend}
    axes.annotate("", end, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _box(axes: Axes, x: float, y: float, width: float, height: float, text: str, *, colour: str = "#eef3f8") -> None:
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.08", fc=colour, ec=LINE, lw=0.9)
    )
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9, color=INK, linespacing=1.35)


def _points(axes: Axes, mesh: Mesh, title: str) -> None:
    """The mesh's vertices seen from the front, nearer ones darker."""
    x, y, z = np.asarray(mesh.vertices_mm, np.float64).T
    axes.scatter(x, y, c=z, s=0.3, cmap="viridis", linewidths=0, rasterized=True)
    axes.set_aspect("equal")
    axes.margins(0.08)
    for spine in axes.spines.values():
        spine.set_color(LINE)
    axes.set_title(title, fontsize=9, color=INK, pad=4)


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
    figure = _figure(10.0 + shift, row * len(ways) + 0.5)
    canvas = _canvas(figure)
    heads = ((0.1 + size / 2, "1. Input"), (5.0 + shift, "2. Intermediate"), (9.0 + shift, "3. Output"))
    for x, text in heads:
        canvas.text(x, row * len(ways) + 0.3, text, ha="center", fontsize=10, color=QUIET, weight="bold")
    for number, way in enumerate(ways):
        y = row * (len(ways) - 1 - number) + 0.1
        middle = y + size / 2
        if isinstance(way.given, str):
            _box(canvas, 0.1, y + 0.2, size, size - 0.4, way.given, colour="#fdf3e3")
        else:
            _show(_place(figure, 0.1, y, size, size), way.given, "photo")
        stops = [0.1 + size, 2.3]
        _box(canvas, 2.3, middle - 0.5, 1.5, 1.0, way.model)
        if way.between is not None:
            _show(_place(figure, 4.2, y, size, size), way.between[1], way.between[0])
            stops += [3.8, 4.2, 4.2 + size, 4.2 + shift]
        else:
            stops += [3.8, 4.2 + shift]
        _points(_place(figure, 4.2 + shift, y, size, size), way.mesh, "3D face mesh (vertices)")
        _box(canvas, 6.4 + shift, middle - 0.5, 1.2, 1.0, "Depth\nrendering\n(z-buffer)")
        _show(_place(figure, 8.05 + shift, y, size, size), colourize(way.depth), "Ground truth depth image")
        stops += [4.2 + shift + size, 6.4 + shift, 7.6 + shift, 8.05 + shift]
        for start, end in zip(stops[::2], stops[1::2], strict=True):
            _arrow(canvas, (start + 0.04, middle), (end - 0.04, middle))
    return figure


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


def picture_grid(
    pictures: Sequence[Sequence[Picture | None]],
    titles: Sequence[Sequence[str]],
    *,
    row_labels: Sequence[str] = (),
    size: float = 1.25,
    title_size: float = 8,
) -> Figure:
    """Rows of pictures with a title over each; None leaves an empty frame with its title inside."""
    columns = max(len(row) for row in pictures)
    gap, head, left = 0.08, 0.08 + 0.0175 * title_size, 0.28 if row_labels else 0.05
    lines = [
        max((name.count("\n") + 1 for image, name in zip(*row, strict=True) if name and image is not None), default=0)
        for row in zip(pictures, titles, strict=True)
    ]
    heights = [size + 0.03 + head * line for line in lines]
    figure = _figure(left + columns * (size + gap), sum(heights) + 0.06)
    top = sum(heights) + 0.03
    for row, (images, names) in enumerate(zip(pictures, titles, strict=True)):
        y = top - heights[row]
        for column, (image, name) in enumerate(zip(images, names, strict=True)):
            axes = _place(figure, left + column * (size + gap), y, size, size)
            if image is None:
                axes.set_facecolor(MISSING)
                axes.text(0.5, 0.5, name, ha="center", va="center", fontsize=7, color=QUIET, transform=axes.transAxes)
                for spine in axes.spines.values():
                    spine.set_color(THEIRS)
            else:
                _show(axes, image, name, size=title_size)
        if row_labels:
            _canvas(figure).text(
                0.12, y + size / 2, row_labels[row], rotation=90, va="center", ha="center", fontsize=8, color=QUIET
            )
        top = y
    return figure


def strip(pictures: Mapping[str, Picture], *, size: float = 1.9) -> Figure:
    """One row of titled pictures: depth images (uint16) colourised, masks and finished pictures as they are."""
    shown = [colourize(picture) if picture.dtype == np.uint16 else picture for picture in pictures.values()]
    return picture_grid([shown], [list(pictures)], size=size, title_size=9)


def with_points(picture: Picture, points: Picture, *, box: Sequence[float] | None = None) -> Picture:
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


def channel(values: Picture) -> Picture:
    """A map of one number a pixel, 0 where there is none, as grey (height, width, 3)."""
    known = values != 0
    low, high = np.quantile(values[known], (0.01, 0.99)) if known.any() else (0.0, 1.0)
    shown = np.where(known, np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 0.9 + 0.1, 0)
    return np.repeat((shown * 255).astype(np.uint8)[..., None], 3, axis=-1)


def as_colours(position_map: Picture) -> Picture:
    """A position map (256, 256, 3) as a picture: x red, y green, z blue."""
    return np.stack([channel(position_map[..., k])[..., 0] for k in range(3)], axis=-1)


def degradation_process(stages: Mapping[str, Picture]) -> Figure:
    """Figure 5: the degradation stage by stage.

    ``stages`` maps ``ground truth, outline, outline holes, random holes, all holes, punched, noise, blurred, random
    background, blurred background`` to pictures: depth images (uint16) or masks (bool).
    """
    size, step, left, lower, upper = 1.6, 1.92, 0.1, 0.3, 2.4
    figure = _figure(left * 2 + 6 * step + size, 4.6)
    canvas = _canvas(figure)
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
        _show(_place(figure, left + column * step, y, size, size), shown, title)
    heads = {
        "1. Input": (0.0, 0.05),
        "2. Intermediate": (1.5, 4.32),
        "3. Output": (5.0, 0.05),
        "4. Training only": (6.0, 4.32),
    }
    for text, (place, y) in heads.items():
        canvas.text(left + place * step + size / 2, y, text, fontsize=10, color=QUIET, weight="bold", ha="center")

    def across(column: int, y: float, until: int | None = None) -> None:
        end = left + (column + 1 if until is None else until) * step
        _arrow(canvas, (left + column * step + size + 0.05, y + size / 2), (end - 0.04, y + size / 2))

    for column in (0, 2):
        across(column, upper)
    canvas.text(
        left + 2 * step - (step - size) / 2, upper + size / 2, "+", fontsize=16, color=QUIET, ha="center", va="center"
    )
    across(0, lower, until=3)
    for column in (3, 4, 5):
        across(column, lower)
    first, third = left + size / 2, left + 3 * step + size / 2
    _arrow(canvas, (first, lower + size + 0.27), (first, upper - 0.03))
    _arrow(canvas, (third, upper - 0.03), (third, lower + size + 0.27))
    _arrow(canvas, (left + 5 * step + size + 0.05, lower + size - 0.1), (left + 6 * step - 0.04, upper + 0.15))
    return figure


def _thick(mask: Picture) -> Picture:
    """A line one pixel wide, three pixels wide: one would vanish when the picture is scaled down."""
    import cv2

    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))


def training_concept(ground_truth: DepthImage, degraded: DepthImage, enhanced: DepthImage) -> Figure:
    """Figure 6: enhance, compare, adjust, repeat; with one real triple of images."""
    figure = _figure(9.6, 4.5)
    canvas = _canvas(figure)
    size = 1.6
    _show(_place(figure, 0.3, 2.5, size, size), colourize(degraded), "Degraded images")
    _show(_place(figure, 6.6, 2.5, size, size), colourize(enhanced), "Enhanced images")
    _show(_place(figure, 6.6, 0.1, size, size), colourize(ground_truth), "Ground truth images")
    _box(canvas, 3.2, 2.75, 1.9, 1.1, "Neural network")
    _box(canvas, 3.0, 0.5, 2.3, 1.1, "Compare enhanced\nwith ground truth,\nadjust the network", colour="#fdf3e3")
    _arrow(canvas, (0.3 + size + 0.05, 3.3), (3.17, 3.3))
    _arrow(canvas, (5.13, 3.3), (6.55, 3.3))
    _arrow(canvas, (6.55, 0.9), (5.35, 0.9))
    _arrow(canvas, (6.55, 2.6), (5.35, 1.45))
    _arrow(canvas, (4.15, 1.63), (4.15, 2.72))
    canvas.text(2.55, 3.42, "step 1", fontsize=9, color=QUIET, ha="center")
    canvas.text(4.28, 2.15, "step 2", fontsize=9, color=QUIET)
    canvas.text(8.9, 2.2, "repeat\nsteps 1 and 2", fontsize=9, color=QUIET, ha="center", va="center")
    return figure


def loss_curve(history: Sequence[Mapping[str, float]], *, horizontal: str = "epoch") -> Figure:
    """Training and validation loss over epochs; ``history`` has ``epoch``, ``loss`` and, where known, ``val_loss``."""
    figure = _figure(6.4, 3.2)
    axes = figure.add_axes((0.12, 0.18, 0.84, 0.72))
    steps = [entry[horizontal] for entry in history]
    for key, colour, label in (("loss", OURS, "training"), ("val_loss", KIT_ONLY, "held-out pairs")):
        if all(key in entry for entry in history):
            axes.plot(steps, [entry[key] for entry in history], "o-", ms=4, color=colour, label=label)
    axes.set_xlabel(horizontal)
    axes.set_ylabel("loss")
    axes.set_yscale("log")
    axes.grid(axis="y", color="#e5e8ec", which="both", lw=0.6)
    axes.legend(frameon=False)
    _quiet(axes)
    return figure


def screening_curve(
    curves: Mapping[str, Sequence[tuple[float, float]]], chosen: Mapping[str, tuple[float, float]]
) -> Figure:
    """What screening catches (upwards) against what it loses (to the right) as its limits are widened or narrowed.

    ``curves`` maps a kind of fault to (lost, caught) shares; ``chosen`` to the pair at the limits in use.
    """
    figure = _figure(6.4, 4.0)
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
    axes.grid(color="#e5e8ec", lw=0.6)
    axes.legend(frameon=False, title="deformation", title_fontsize=9)
    _quiet(axes)
    return figure


def network_drawing(layers: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Figure 7: a U-Net drawn from its built layers.

    ``layers``: in order, each with ``kind`` (class name), ``size`` (output height), ``channels``, ``kernel``.
    """
    from matplotlib.patches import Rectangle

    figure = _figure(12.6, 5.4)
    axes = _canvas(figure)
    colours = {"Conv2D": "#7fb0dc", "MaxPooling2D": "#e58a7b", "UpSampling2D": "#8ecf9a", "Concatenate": "#d9c27a"}
    levels = sorted({int(layer["size"]) for layer in layers}, reverse=True)
    shown = [layer for layer in layers if layer["kind"] in colours or layer["kind"] == "InputLayer"]
    step = 11.8 / len(shown)
    x, skips, column = 0.6, [], []
    for layer in shown:
        level = levels.index(int(layer["size"]))
        middle = 4.75 - level * 0.52
        # Heights follow the resolution by its logarithm: true to scale, 2x2 would be a dot beside 256x256.
        height = 0.12 + 0.055 * np.log2(float(layer["size"]))
        width = 0.62 * step * (0.45 + 0.55 * np.log2(1 + float(layer["channels"])) / np.log2(257.0))
        axes.add_patch(
            Rectangle((x, middle - height / 2), width, height, fc=colours.get(layer["kind"], "#ffffff"), ec=INK, lw=0.5)
        )
        column.append((x, width, middle, height, layer))
        x += step
    for before, after in itertools.pairwise(column):
        _arrow_thin(axes, (before[0] + before[1], before[2]), (after[0], after[2]))
    for index, (left, width, middle, height, layer) in enumerate(column):
        if layer["kind"] == "MaxPooling2D":
            skips.append(column[index - 1])
        if layer["kind"] == "Concatenate" and skips:
            start = skips.pop()
            y = start[2] + start[3] / 2 + 0.05
            axes.plot(
                [start[0] + start[1] / 2] * 2 + [left + width / 2] * 2,
                [start[2] + start[3] / 2, y, y, middle + height / 2],
                color=LINE,
                lw=0.9,
                ls=(0, (3, 2)),
            )
        changes = index == 0 or layer["channels"] != column[index - 1][4]["channels"] or layer["kind"] == "Concatenate"
        if changes:
            axes.text(
                left + width / 2,
                middle - height / 2 - 0.05,
                str(layer["channels"]),
                ha="center",
                va="top",
                fontsize=6,
                color=INK,
            )
    for level, size in enumerate(levels):
        axes.text(0.1, 4.75 - level * 0.52, f"{size}²", fontsize=7, color=QUIET, va="center", ha="left")
    kernel = max(int(layer["kernel"]) for layer in layers)
    names = {
        "Conv2D": f"convolution {kernel}x{kernel}, ReLU",
        "MaxPooling2D": "max pooling 2",
        "UpSampling2D": "upsampling 2",
        "Concatenate": "concatenation with the skip",
    }
    for index, (kind, name) in enumerate(names.items()):
        axes.add_patch(Rectangle((0.6 + index * 2.7, 0.12), 0.2, 0.16, fc=colours[kind], ec=INK, lw=0.5))
        axes.text(0.88 + index * 2.7, 0.2, name, fontsize=8, color=INK, va="center")
    axes.text(6.3, 5.28, title, fontsize=11, color=INK, ha="center", va="center", weight="bold")
    return figure


def denoiser_drawing(layers: Sequence[Mapping[str, Any]], skips: Mapping[str, str], title: str) -> Figure:
    """DDRNet-dn drawn from its built layers, halvings below each other.

    ``layers``: in order, each with ``name``, ``kind`` (class name), ``size`` (output height) and ``channels``.
    ``skips`` maps the name of a layer to that of the one whose output it is handed, too.
    """
    from matplotlib.patches import Rectangle

    figure = _figure(11.0, 4.0)
    axes = _canvas(figure)
    colours = {
        "InputLayer": ("#ffffff", "depth in and out, -1 to 1"),
        "Conv2D": ("#7fb0dc", "convolution 3x3 (narrower: halves)"),
        "Conv2DTranspose": ("#8ecf9a", "transposed convolution 3x3, doubles"),
        "Concatenate": ("#d9c27a", "concatenation"),
        "Add": ("#d7b6e0", "sum"),
    }
    levels = sorted({int(layer["size"]) for layer in layers}, reverse=True)
    step = 10.0 / len(layers)
    places: dict[str, tuple[float, float, float]] = {}
    for index, layer in enumerate(layers):
        x, y = 0.9 + index * step, 3.0 - 0.85 * levels.index(int(layer["size"]))
        height = 0.22 + 0.1 * np.log2(1 + float(layer["channels"]))
        places[str(layer["name"])] = (x, y, height)
        fill = colours.get(str(layer["kind"]), ("#ffffff", ""))[0]
        axes.add_patch(Rectangle((x - 0.14, y - height / 2), 0.28, height, fc=fill, ec=INK, lw=0.6))
        axes.text(x, y, str(layer["channels"]), ha="center", va="center", fontsize=7, color=INK)
        axes.text(x, y - height / 2 - 0.04, str(layer["name"]), ha="center", va="top", fontsize=5.5, color=QUIET)
    for before, after in itertools.pairwise(places.values()):
        _arrow_thin(axes, (before[0] + 0.14, before[1]), (after[0] - 0.14, after[1]))
    for end, start in skips.items():
        (x0, y0, h0), (x1, y1, h1) = places[start], places[end]
        top = max(y0 + h0 / 2, y1 + h1 / 2) + (0.32 if x1 - x0 > 5 else 0.12)
        axes.plot([x0, x0, x1, x1], [y0 + h0 / 2, top, top, y1 + h1 / 2], color=LINE, lw=0.9, ls=(0, (3, 2)))
    for size in levels:
        axes.text(0.1, 3.0 - 0.85 * levels.index(size), f"{size}²", fontsize=8, color=QUIET, va="center")
    for index, (fill, words) in enumerate(colours.values()):
        axes.add_patch(Rectangle((0.3 + index * 2.2, 0.15), 0.18, 0.14, fc=fill, ec=INK, lw=0.5))
        axes.text(0.54 + index * 2.2, 0.22, words, fontsize=6.5, color=INK, va="center")
    axes.text(5.5, 3.86, title, fontsize=10, color=INK, ha="center", va="center", weight="bold")
    return figure


def _arrow_thin(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.plot([start[0], end[0]], [start[1], end[1]], color=LINE, lw=0.6, zorder=0)


def error_bars(table: Table) -> Figure:
    """Figure 8: mean RMSE with standard deviation, ours beside the published, sorted by ours.

    ``table``: ``enhancer``, ``mean``, ``std``, ``published_mean``, ``published_std`` (floats, NaN where there is none);
    a ``note`` that begins with "stand-in" gives the row a star.
    """
    from matplotlib.patches import Patch

    rows = records(table)
    known = [row for row in rows if np.isfinite(row["mean"]) or np.isfinite(row["published_mean"])]
    order = sorted(known, key=lambda row: row["mean"] if np.isfinite(row["mean"]) else row["published_mean"])
    places = np.arange(len(order))
    figure = _figure(9.6, 4.4)
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
    axes.grid(axis="y", color="#e5e8ec", lw=0.6)
    axes.set_axisbelow(True)
    keys = ((OURS, "this run"), (KIT_ONLY, "this run, the kit's own rows"), (THEIRS, "published"))
    axes.legend(
        handles=[Patch(fc=colour, label=label) for colour, label in keys], frameon=False, loc="upper left", fontsize=9
    )
    _quiet(axes)
    return figure


def paired_bars(table: Table, label: str) -> Figure:
    """Ours beside the published mean with standard deviations, in the order given (the calibration's picture)."""
    rows = records(table)
    places = np.arange(len(rows))
    figure = _figure(7.6, 3.4)
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
    axes.grid(axis="y", color="#e5e8ec", lw=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    _quiet(axes)
    return figure


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


def _quiet(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=INK, labelsize=8)
