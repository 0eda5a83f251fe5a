"""A pinhole camera before a mesh.

The camera sits ``distance_mm`` in front of the mesh's origin and looks along +z of its own axes; x points right and y
down in the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
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


@numba.njit(cache=True, nogil=True)
def _project(
    vertices: FloatArray, distance: np.float32, focal: np.float32, x: np.float32, y: np.float32, seen: FloatArray
) -> np.float32:
    """Fill ``seen`` with columns, rows and depths; returns the smallest depth."""
    nearest = np.float32(np.inf)
    for v in range(len(vertices)):
        depth = distance - vertices[v, 2]
        nearest = min(nearest, depth)
        scale = focal / depth
        seen[v, 0] = x + vertices[v, 0] * scale
        seen[v, 1] = y - vertices[v, 1] * scale
        seen[v, 2] = depth
    return nearest


def project(vertices_mm: FloatArray, camera: Camera) -> FloatArray:
    """Vertices (V, 3) in millimetres to (V, 3): column and row in pixels, depth from the camera in millimetres."""
    seen = np.empty((len(vertices_mm), 3), np.float32)
    distance, focal, x, y = (np.float32(one) for one in (camera.distance_mm, camera.focal_px, *camera.centre_px))
    nearest = float(_project(np.asarray(vertices_mm, np.float32), distance, focal, x, y, seen))
    if nearest <= 0:
        raise KitError(f"mesh: found a vertex {nearest:.1f} mm in front of the camera, expected all beyond it")
    return seen


def project_points(points_mm: npt.NDArray[np.floating], camera: Camera) -> npt.NDArray[np.float64]:
    """Points (n, 3) to the picture's pixels (n, 2), x right and y down; the centre of the top left pixel is (0, 0)."""
    return project(np.asarray(points_mm, np.float32), camera)[:, :2].astype(np.float64) - 0.5


@numba.njit(cache=True, nogil=True)
def _bounds(seen: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Smallest and largest column and row."""
    low, high = np.full(2, np.inf, np.float32), np.full(2, -np.inf, np.float32)
    for v in range(len(seen)):
        for axis in range(2):
            low[axis] = min(low[axis], seen[v, axis])
            high[axis] = max(high[axis], seen[v, axis])
    return low, high


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
    low, high = _bounds(project(mesh.vertices_mm, Camera(distance_mm, 1.0, (0.0, 0.0))))
    focal_px = fill * SIZE / float((high - low).max())
    free = (SIZE - focal_px * (high - low)) / 2
    centre = SIZE / 2 - focal_px * (low + high) / 2 + np.asarray(offset) * free
    return Camera(distance_mm, focal_px, (float(centre[0]), float(centre[1])))
