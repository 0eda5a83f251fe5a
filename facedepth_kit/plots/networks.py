"""Figure 7 and DDRNet-dn: networks drawn from their built layers."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit.plots.style import INK, LINE, QUIET, blank_figure, canvas_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def network_drawing(layers: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Figure 7: a U-Net drawn from its built layers.

    ``layers``: in order, each with ``kind`` (class name), ``size`` (output height), ``channels``, ``kernel``.
    """
    from matplotlib.patches import Rectangle

    figure = blank_figure(12.6, 5.4)
    axes = canvas_of(figure)
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
        _thin_line(axes, (before[0] + before[1], before[2]), (after[0], after[2]))
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
            # A number beside another one stands a line lower.
            beside = index > 0 and column[index - 1][4]["kind"] == "Concatenate"
            axes.text(
                left + width / 2,
                middle - height / 2 - (0.18 if beside else 0.04),
                str(layer["channels"]),
                ha="center",
                va="top",
                fontsize=9.5,
                color=INK,
            )
    for level, size in enumerate(levels):
        axes.text(0.1, 4.75 - level * 0.52, f"{size}²", fontsize=9.5, color=QUIET, va="center", ha="left")
    kernel = max(int(layer["kernel"]) for layer in layers)
    names = {
        "Conv2D": f"convolution {kernel}x{kernel}, ReLU",
        "MaxPooling2D": "max pooling 2",
        "UpSampling2D": "upsampling 2",
        "Concatenate": "concatenation with the skip",
    }
    for index, (kind, name) in enumerate(names.items()):
        axes.add_patch(Rectangle((0.6 + index * 2.7, 0.12), 0.2, 0.16, fc=colours[kind], ec=INK, lw=0.5))
        axes.text(0.88 + index * 2.7, 0.2, name, fontsize=9.5, color=INK, va="center")
    axes.text(6.3, 5.28, title, fontsize=12, color=INK, ha="center", va="center", weight="bold")
    return figure


def denoiser_drawing(layers: Sequence[Mapping[str, Any]], skips: Mapping[str, str], title: str) -> Figure:
    """DDRNet-dn drawn from its built layers, halvings below each other.

    ``layers``: in order, each with ``name``, ``kind`` (class name), ``size`` (output height) and ``channels``.
    ``skips`` maps the name of a layer to the name of the earlier layer whose output it also receives.
    """
    from matplotlib.patches import Rectangle

    figure = blank_figure(11.0, 4.0)
    axes = canvas_of(figure)
    colours = {
        "InputLayer": ("#ffffff", "depth, -1 to 1"),
        "Conv2D": ("#7fb0dc", "convolution 3x3"),
        "Conv2DTranspose": ("#8ecf9a", "transposed convolution 3x3"),
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
        axes.text(x, y, str(layer["channels"]), ha="center", va="center", fontsize=8.5, color=INK)
        name = str(layer["name"]).replace("_", "\n")  # as wide as its box, or it would touch the next one
        axes.text(x, y - height / 2 - 0.04, name, ha="center", va="top", fontsize=7.5, color=QUIET, linespacing=0.9)
    for before, after in itertools.pairwise(places.values()):
        _thin_line(axes, (before[0] + 0.14, before[1]), (after[0] - 0.14, after[1]))
    for end, start in skips.items():
        (x0, y0, h0), (x1, y1, h1) = places[start], places[end]
        top = max(y0 + h0 / 2, y1 + h1 / 2) + (0.32 if x1 - x0 > 5 else 0.12)
        axes.plot([x0, x0, x1, x1], [y0 + h0 / 2, top, top, y1 + h1 / 2], color=LINE, lw=0.9, ls=(0, (3, 2)))
    for size in levels:
        axes.text(0.1, 3.0 - 0.85 * levels.index(size), f"{size}²", fontsize=8, color=QUIET, va="center")
    for index, (fill, words) in enumerate(colours.values()):
        axes.add_patch(Rectangle((0.3 + index * 2.2, 0.09), 0.18, 0.14, fc=fill, ec=INK, lw=0.5))
        axes.text(0.54 + index * 2.2, 0.16, words, fontsize=8.5, color=INK, va="center")
    axes.text(5.5, 3.86, title, fontsize=10, color=INK, ha="center", va="center", weight="bold")
    return figure


def _thin_line(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.plot([start[0], end[0]], [start[1], end[1]], color=LINE, lw=0.6, zorder=0)
