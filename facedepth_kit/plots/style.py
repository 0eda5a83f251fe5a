"""What all figures share: colours, an empty figure, axes in inches, pictures, arrows and boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET, LINE = "#22303c", "#6b7785", "#9aa5b1"
OURS, THEIRS, KIT_ONLY, MISSING = "#1f6fb2", "#c9ced6", "#e08a1e", "#f3f4f6"
GOOD, BAD = "#ffffff", "#e4003a"
GRID = "#e5e8ec"

Shown = npt.NDArray[Any]  # a picture (uint8), a mask, or a depth image that is coloured before it is shown


def blank_figure(width: float, height: float) -> Figure:
    """An empty white figure, in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor="white")


def readable_pt(width: float) -> float:
    """Font size with letters of about 9 pixels where JupyterLab shows a figure of ``width`` inches 880 pixels wide."""
    return 0.76 * width


def axes_at(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes at inches from the lower left corner, so that pictures keep their size whatever surrounds them."""
    total_width, total_height = figure.get_size_inches()
    axes = figure.add_axes((x / total_width, y / total_height, width / total_width, height / total_height))
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def show_picture(axes: Axes, picture: Shown, title: str = "", *, size: float = 9) -> None:
    """A picture with a thin frame and a title."""
    axes.imshow(picture, cmap="gray", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(LINE)
        spine.set_linewidth(0.8)
    if title:
        axes.set_title(title, fontsize=size, color=INK, pad=4)


def canvas_of(figure: Figure) -> Axes:
    """Axes over the whole figure in inches, for arrows and boxes."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return axes


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], *, bend: str = "arc3") -> None:
    """An arrow on a canvas; ``bend`` is a Matplotlib connection style."""
    style = {"arrowstyle": "-|>,head_width=0.25,head_length=0.45", "color": QUIET, "lw": 1.4, "connectionstyle": bend}
    axes.annotate("", end, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, *, colour: str = "#eef3f8") -> None:
    """A rounded box with text on a canvas."""
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0,rounding_size=0.08", fc=colour, ec=LINE, lw=0.9)
    )
    axes.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=9, color=INK, linespacing=1.35)


def plain_spines(axes: Axes) -> None:
    """Only the left and the lower edge, in a quiet colour."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=INK, labelsize=8)
