"""Fused surfaces, as sculptures and with their distance to the true one as colours (Figures 6 and 7, second paper)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.plots.style import INK, axes_at, blank_figure, readable_pt, show_picture
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh
from facedepth_kit.rendering.shading import Light, render_view
from facedepth_kit.sequences.reprojection import Matrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Picture = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float32]

LIMIT_MM = 44.0  # Figure 6: "blue corresponds to zero error while red corresponds to 44 mm"
COLOURS = "jet"
PAPER = 255


def surface_picture(
    surface: Mesh, camera: Intrinsics, pose: Matrix, away_mm: FloatArray | None = None, *, limit_mm: float = LIMIT_MM
) -> Picture:
    """A surface in the first frame's camera as the camera saw it at a pose (4, 4): a grey sculpture, or distances.

    ``away_mm`` float32 (vertices,) are shown from blue (0) to red (``limit_mm`` and more).
    """
    import matplotlib as mpl

    flip = np.diag([1.0, -1.0, -1.0])
    into = np.linalg.inv(pose)
    turn, shift = flip @ into[:3, :3] @ flip, flip @ into[:3, 3]
    vertices = (surface.vertices_mm @ turn.T + shift).astype(np.float32)
    colours = np.full((len(vertices), 3), 0.55, np.float32)
    light = Light(shadows=False)
    if away_mm is not None:
        shades = np.asarray(mpl.colormaps[COLOURS](np.clip(away_mm / limit_mm, 0, 1)))[:, :3]
        colours = (shades**2.2).astype(np.float32)  # albedo is linear
        light = Light(intensity=0.35, ambient=0.75, shadows=False)
    part = ColouredMesh(Mesh(vertices, surface.triangles), colours, np.zeros(len(vertices), np.float32), "surface")
    seen = render_view(
        [part], Camera(0.0, camera.fx, (camera.cx + 0.5, camera.cy + 0.5), camera.width, camera.height), light
    )
    return np.where(np.isfinite(seen.depth_mm)[..., None], seen.picture, np.uint8(PAPER))


def cropped(pictures: Mapping[str, Picture], margin_px: int = 12) -> dict[str, Picture]:
    """The same part of pictures of one size: where at least one of them is not white."""
    inked = np.any([(picture != PAPER).any(axis=-1) for picture in pictures.values()], axis=0)
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    if not len(rows):
        return dict(pictures)
    top, left = max(rows[0] - margin_px, 0), max(columns[0] - margin_px, 0)
    return {
        name: picture[top : rows[-1] + margin_px, left : columns[-1] + margin_px] for name, picture in pictures.items()
    }


def reconstructions(
    outlook: Picture, sculptures: Mapping[str, Picture], distances: Mapping[str, Picture], *, limit_mm: float = LIMIT_MM
) -> Figure:
    """Figure 7: surfaces by method as sculptures, their distance maps below, and the scene on the right."""
    import matplotlib as mpl
    from matplotlib.colors import Normalize

    rows, columns = outlook.shape[:2]
    width, gap, bar = 1.9, 0.08, 0.75
    height = width * rows / columns
    names = list(sculptures)
    total = (len(names) + 1) * (width + gap) + bar
    size = max(8.0, readable_pt(total))
    head = 0.03 * size
    figure = blank_figure(total, 2 * (height + head) + 0.1)
    for column, name in enumerate(names):
        x = 0.05 + column * (width + gap)
        show_picture(axes_at(figure, x, height + head + 0.05, width, height), sculptures[name], name, size=size)
        show_picture(axes_at(figure, x, 0.05, width, height), distances[name])
    x = 0.05 + len(names) * (width + gap)
    show_picture(axes_at(figure, x, height + head + 0.05, width, height), outlook, "scene", size=size)
    scale = axes_at(figure, x + 0.1, 0.25, 0.16, height - 0.4)
    mappable = mpl.cm.ScalarMappable(Normalize(0, limit_mm), COLOURS)
    figure.colorbar(mappable, cax=scale).set_label("distance to the true surface (mm)", fontsize=size, color=INK)
    scale.tick_params(labelsize=size)
    return figure
