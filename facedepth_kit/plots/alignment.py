"""Two cameras being aligned: loss over shift, and one picture laid over the other (second paper, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.plots.style import BAD, GRID, INK, KIT_ONLY, OURS, axes_at, blank_figure, plain_spines, show_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = npt.NDArray[np.uint8]
SQUARES_PX = 40


def chequered(first: Picture, second: Picture, *, squares_px: int = SQUARES_PX) -> Picture:
    """Two pictures (rows, columns, 3) of one size in alternating squares: where they fit, lines run on.

    Where the second one is black (nothing was reprojected there) the first one shows, darkened.
    """
    rows, columns = (np.arange(side) // squares_px for side in first.shape[:2])
    use_second = ((rows[:, None] + columns) % 2 == 1)[..., None]
    missing = np.bitwise_or.reduce(second, axis=-1, keepdims=True) == 0
    return np.where(use_second, np.where(missing, first // 3, second), first)


def loss_over_shift(losses: npt.NDArray[np.float64], shift_ms: float, true_shift_ms: float | None = None) -> Figure:
    """Mean squared distance of key points against the shift between the clocks (section 4.2).

    ``losses`` (n, 3) as in :class:`~facedepth_kit.sequences.alignment.Alignment`; the found and, in a simulation, the
    true shift are marked.
    """
    figure = blank_figure(6.4, 3.4)
    axes = figure.add_axes((0.12, 0.18, 0.84, 0.76))
    axes.plot(losses[:, 0], losses[:, 1], "o-", ms=4, color=KIT_ONLY, label="nearest frame (equation 4)")
    axes.plot(losses[:, 0], losses[:, 2], "o-", ms=4, color=OURS, label="at the frame's moment (ours)")
    axes.axvline(shift_ms, color=INK, lw=1.2, label=f"found: {shift_ms:+.1f} ms")
    if true_shift_ms is not None:
        axes.axvline(true_shift_ms, color=BAD, lw=1.2, ls="--", label=f"true: {true_shift_ms:+.1f} ms")
    axes.set_xlabel("shift (ms)")
    axes.set_ylabel("mean squared distance (px²)")
    axes.grid(color=GRID, lw=0.6)
    axes.legend(frameon=False)
    plain_spines(axes)
    return figure


def before_and_after(pictures: dict[str, Picture]) -> Figure:
    """Pictures of one height beside each other, each under its title."""
    figure = blank_figure(3.2 * len(pictures), 4.6)
    for place, (title, picture) in enumerate(pictures.items()):
        axes = axes_at(figure, 3.2 * place + 0.05, 0.05, 3.1, 4.2)
        show_picture(axes, picture, title, size=11)
    return figure
