"""What tests of figures share: a face, a bowl with its mask, and what a figure holds."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.text import Text

from facedepth_kit.depth import HOLE, DepthImage


def face(radius: float = 90.0) -> DepthImage:
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 128, columns - 128)
    return np.where(distance < radius, distance * 700, int(HOLE)).astype(np.uint16)


def bowl() -> tuple[DepthImage, npt.NDArray[np.bool_]]:
    """A bowl with two holes, and the mask of its middle."""
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 100, columns - 140)
    depth = np.minimum(distance * 300, 65534).astype(np.uint16)
    depth[100, 120:124] = HOLE
    return depth, distance < 40


def texts(figure: Figure) -> list[str]:
    """All texts in a figure."""
    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]


def png(figure: Figure) -> bytes:
    """The figure as a file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=50, metadata={"Software": None})
    return buffer.getvalue()
