"""A pinhole camera before a mesh.

The camera sits ``distance_mm`` in front of the mesh's origin and looks along +z of its own axes; x points right and y
down in the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import SIZE
from facedepth_kit.rendering.mesh import FloatArray, Mesh


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in front of the mesh's origin.

    ``distance_mm`` is 0.5 m: ours, after section III, which says only that 256 pixels are about what a D435 sees of a
    face from there.
    ``focal_px`` and ``centre_px`` (x, y) are pixels; the centre of the top left pixel is (0.5, 0.5). Images are
    ``size_px`` wide and ``height_px`` high; without the latter they are square.
    """

    distance_mm: float = 500.0
    focal_px: float = 512.0
    centre_px: tuple[float, float] = (SIZE / 2, SIZE / 2)
    size_px: int = SIZE
    height_px: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the images."""
        return (self.size_px if self.height_px is None else self.height_px, self.size_px)


def project(vertices_mm: FloatArray, camera: Camera) -> FloatArray:
    """Vertices (V, 3) in millimetres to (V, 3): column and row in pixels, depth from the camera in millimetres."""
    depth_mm = camera.distance_mm - vertices_mm[:, 2]
    if depth_mm.size and float(depth_mm.min()) <= 0:
        raise KitError(
            f"mesh: found a vertex {float(depth_mm.min()):.1f} mm in front of the camera, expected all beyond it"
        )
    scale = camera.focal_px / depth_mm
    return np.stack(
        [camera.centre_px[0] + vertices_mm[:, 0] * scale, camera.centre_px[1] - vertices_mm[:, 1] * scale, depth_mm],
        axis=1,
    ).astype(np.float32)


def project_points(points_mm: npt.NDArray[np.floating], camera: Camera) -> npt.NDArray[np.float64]:
    """Points (n, 3) to the picture's pixels (n, 2), x right and y down; the centre of the top left pixel is (0, 0)."""
    return project(np.asarray(points_mm, np.float32), camera)[:, :2].astype(np.float64) - 0.5


def fit_camera(
    mesh: Mesh, *, fill: float, offset: tuple[float, float] = (0.0, 0.0), distance_mm: float = 500.0
) -> Camera:
    """A camera whose focal length makes the longer side of the projected mesh take ``fill`` of the image.

    ``offset`` moves the mesh's centre by a share of the free margin on each axis (-1..1; 0 = centred).
    More than 1 shows
    a part of the mesh. Raises :class:`KitError` if ``fill`` is not in (0, 2].
    """
    if not 0 < fill <= 2:
        raise KitError(f"fill: found {fill}, expected a share of the image above 0 and at most 2")
    flat = project(mesh.vertices_mm, Camera(distance_mm, 1.0, (0.0, 0.0))).T.copy()[
        :2
    ]  # rows reduce faster than columns
    low, high = flat.min(axis=1), flat.max(axis=1)
    focal_px = fill * SIZE / float((high - low).max())
    free = (SIZE - focal_px * (high - low)) / 2
    centre = SIZE / 2 - focal_px * (low + high) / 2 + np.asarray(offset) * free
    return Camera(distance_mm, focal_px, (float(centre[0]), float(centre[1])))
