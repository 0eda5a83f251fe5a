"""Depth of a mesh seen by a camera, in millimetres, by a z-buffer."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.rendering.camera import Camera, project
from facedepth_kit.rendering.mesh import FloatArray, Mesh


@numba.njit(cache=True, nogil=True)
def fill_buffers(
    projected: FloatArray, triangles: npt.NDArray[np.int32], inverse: FloatArray, nearest: npt.NDArray[np.int32]
) -> None:
    """Keep, per pixel, the largest 1/depth (linear in the image plane, so exact) and the triangle it came from."""
    height, width = inverse.shape
    nearness = np.empty(len(projected), np.float64)
    for v in range(len(projected)):
        nearness[v] = 1.0 / projected[v, 2]
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by = projected[a, 0], projected[a, 1], projected[b, 0], projected[b, 1]
        cx, cy = projected[c, 0], projected[c, 1]
        left = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        right = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        if left > right:
            continue
        top = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        bottom = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if top > bottom or area == 0.0:
            continue
        scale = 1.0 / area
        ia, ib, ic = nearness[a], nearness[b], nearness[c]
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wb = ((x - ax) * (cy - ay) - (y - ay) * (cx - ax)) * scale
                wc = ((bx - ax) * (y - ay) - (by - ay) * (x - ax)) * scale
                wa = 1.0 - wb - wc
                # A small tolerance: a pixel centre on a shared edge belongs to both triangles, never to none.
                if wa < -1e-5 or wb < -1e-5 or wc < -1e-5:
                    continue
                value = wa * ia + wb * ib + wc * ic
                if value > inverse[row, column]:
                    inverse[row, column] = value
                    nearest[row, column] = t


def rasterize(mesh: Mesh, camera: Camera) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    """Depth (float32 mm, NaN = nothing there) and visible triangle (int32, -1 = none), both of the camera's shape."""
    inverse = np.zeros(camera.shape, np.float32)
    nearest = np.full(camera.shape, -1, np.int32)
    fill_buffers(project(mesh.vertices_mm, camera), mesh.triangles, inverse, nearest)
    depth_mm = np.full(camera.shape, np.nan, np.float32)
    np.divide(np.float32(1), inverse, out=depth_mm, where=nearest >= 0)
    return depth_mm, nearest


def render_depth_mm(mesh: Mesh, camera: Camera) -> FloatArray:
    """Depth along the optical axis in millimetres, float32 (rows, columns); NaN where no triangle is seen."""
    return rasterize(mesh, camera)[0]
