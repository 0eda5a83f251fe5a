"""A triangle mesh seen by a perspective camera: millimetres of depth per pixel, by a z-buffer.

The camera sits at the origin and looks along +z; x points right and y down in the image. Meshes
follow the face model's axes (x to the image's right, y up, z towards the camera, millimetres), with
their origin inside the head; the camera stands ``distance_mm`` in front of that origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import SIZE
from facedepth_kit.errors import KitError

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """Triangles in space.

    ``vertices_mm`` is float32 (V, 3) in millimetres (x right, y up, z towards the camera), ``triangles``
    int32 (T, 3), counter-clockwise seen from outside.
    """

    vertices_mm: FloatArray
    triangles: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in front of the mesh's origin.

    ``distance_mm`` is 0.5 m as in section III (256 pixels match the face region of a D435 there).
    ``focal_px`` and ``centre_px`` (x, y) are pixels; the centre of the top left pixel is (0.5, 0.5).
    """

    distance_mm: float = 500.0
    focal_px: float = 512.0
    centre_px: tuple[float, float] = (SIZE / 2, SIZE / 2)
    size_px: int = SIZE


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


@numba.njit(cache=True, nogil=True)
def _rasterize(
    projected: FloatArray, triangles: npt.NDArray[np.int32], inverse: FloatArray, nearest: npt.NDArray[np.int32]
) -> None:
    """Keep, per pixel, the largest 1/depth (linear in the image plane, so exact) and the triangle it came from."""
    height, width = inverse.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by = projected[a, 0], projected[a, 1], projected[b, 0], projected[b, 1]
        cx, cy = projected[c, 0], projected[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0.0:
            continue
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        if left > right or top > bottom:
            continue
        scale = 1.0 / area
        ia, ib, ic = 1.0 / projected[a, 2], 1.0 / projected[b, 2], 1.0 / projected[c, 2]
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) * scale
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) * scale
                wa = 1.0 - wb - wc
                # A hair of tolerance: a pixel centre on a shared edge belongs to both triangles, never to none.
                if wa < -1e-5 or wb < -1e-5 or wc < -1e-5:
                    continue
                value = wa * ia + wb * ib + wc * ic
                if value > inverse[row, column]:
                    inverse[row, column] = value
                    nearest[row, column] = t


def rasterize(mesh: Mesh, camera: Camera) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    """Depth (float32 mm, NaN = nothing there) and visible triangle (int32, -1 = none), both (size_px, size_px)."""
    inverse = np.zeros((camera.size_px, camera.size_px), np.float32)
    nearest = np.full((camera.size_px, camera.size_px), -1, np.int32)
    _rasterize(project(mesh.vertices_mm, camera), mesh.triangles, inverse, nearest)
    with np.errstate(divide="ignore"):
        depth_mm = np.where(nearest >= 0, 1.0 / inverse, np.float32(np.nan)).astype(np.float32)
    return depth_mm, nearest


def render_depth_mm(mesh: Mesh, camera: Camera) -> FloatArray:
    """Depth along the optical axis in millimetres, float32 (size_px, size_px); NaN where no triangle is seen."""
    return rasterize(mesh, camera)[0]


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
