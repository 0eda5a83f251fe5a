"""The better camera's frame as the other camera would have seen it: rigid transform, projection, z-buffer (eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from facedepth_kit.cameras.recorded.frame import Intrinsics

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

SURFACE_MM = 60.0  # splats nearer than this to the nearest one belong to the same surface
LEAK_PX = 2  # how far around a pixel a nearer surface is looked for


@dataclass(frozen=True, eq=False)
class Reprojected:
    """A frame in another camera's pixels.

    ``depth_mm`` float32 (rows, columns), NaN where nothing arrives (equation 5 masks those out); ``source`` int64 is
    the flat index of the pixel that arrived, -1 for none.
    """

    depth_mm: FloatArray
    source: npt.NDArray[np.int64]

    def picture(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The other camera's picture, carried along; black where nothing arrives."""
        flat = picture.reshape(-1, picture.shape[-1])
        return np.where(self.source[..., None] >= 0, flat[np.maximum(self.source, 0)], np.uint8(0))


def rigid(quaternion: npt.ArrayLike, shift_mm: npt.ArrayLike) -> Matrix:
    """A quaternion (x, y, z, w), of any length, and a translation (3,) as a matrix (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(np.asarray(quaternion, np.float64)).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def rotation_between_deg(first: Matrix, second: Matrix) -> float:
    """The angle between two rigid transforms (4, 4)."""
    return float(np.degrees(Rotation.from_matrix(first[:3, :3].T @ second[:3, :3]).magnitude()))


def unproject(depth_mm: FloatArray, camera: Intrinsics) -> Matrix:
    """Points float64 (rows, columns, 3) in the camera's axes: x right, y down, z forward, millimetres; NaN at holes."""
    rows, columns = np.mgrid[0 : depth_mm.shape[0], 0 : depth_mm.shape[1]]
    z = depth_mm.astype(np.float64)
    return np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z], axis=-1)


def project(points_mm: Matrix, camera: Intrinsics) -> Matrix:
    """Points (..., 3) in the camera's axes to pixels (..., 2); the top left pixel's centre is (0, 0)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1.0 / points_mm[..., 2:]
    return points_mm[..., :2] * scale * (camera.fx, camera.fy) + (camera.cx, camera.cy)


@numba.njit(cache=True)
def _moved(points: Matrix, source: npt.NDArray[np.int64], extrinsic: Matrix) -> Matrix:
    """Some of the points, moved; NumPy's product would start threads for so small a matrix, which takes longer."""
    result = np.empty((len(source), 3))
    for i in range(len(source)):
        for k in range(3):
            total = extrinsic[k, 3]
            for j in range(3):
                total += extrinsic[k, j] * points[source[i], j]
            result[i, k] = total
    return result


@numba.njit(cache=True)
def _splat(
    pixels: Matrix, depth: Matrix, source: npt.NDArray[np.int64], reach: Matrix, nearest: FloatArray,
    arrived: npt.NDArray[np.int64]
) -> None:  # fmt: skip
    """Each point covers the pixels that its own pixel's outline covers; the nearer one stays."""
    height, width = nearest.shape
    for i in range(len(depth)):
        half_x, half_y, z = reach[i, 0], reach[i, 1], np.float32(depth[i])
        for row in range(
            max(int(np.ceil(pixels[i, 1] - half_y)), 0), min(int(np.floor(pixels[i, 1] + half_y)), height - 1) + 1
        ):
            for column in range(
                max(int(np.ceil(pixels[i, 0] - half_x)), 0), min(int(np.floor(pixels[i, 0] + half_x)), width - 1) + 1
            ):
                if z < nearest[row, column]:
                    nearest[row, column] = z
                    arrived[row, column] = source[i]


@numba.njit(cache=True)
def _close_leaks(
    nearest: FloatArray, arrived: npt.NDArray[np.int64], reach: int, apart: float, kept: npt.NDArray[np.bool_]
) -> None:
    """Drop what shows through a sparse nearer surface: nearer neighbours on opposite sides of a pixel."""
    height, width = nearest.shape
    for row in range(height):
        for column in range(width):
            if arrived[row, column] < 0:
                continue
            limit = nearest[row, column] - apart
            for across, down in ((1, 0), (0, 1), (1, 1), (1, -1)):
                before, after = False, False
                for step in range(1, reach + 1):
                    r, c = row - down * step, column - across * step
                    if 0 <= r < height and 0 <= c < width and nearest[r, c] < limit:
                        before = True
                    r, c = row + down * step, column + across * step
                    if 0 <= r < height and 0 <= c < width and nearest[r, c] < limit:
                        after = True
                if before and after:
                    kept[row, column] = False
                    break


def reproject(depth_mm: FloatArray, camera: Intrinsics, extrinsic: Matrix, into: Intrinsics) -> Reprojected:
    """A depth frame (rows, columns) of ``camera`` as ``into`` sees it, by z-buffer (equation 3).

    ``extrinsic`` (4, 4) takes the camera's points into the other's axes. Every measured pixel covers the area that its
    outline has there; where a nearer surface is sparser than the pixels, the background seen through it is dropped.
    """
    points = unproject(depth_mm, camera).reshape(-1, 3)
    source = np.flatnonzero(np.isfinite(points[:, 2])).astype(np.int64)
    moved = _moved(points, source, np.ascontiguousarray(extrinsic, np.float64))
    ahead = moved[:, 2] > 1.0
    moved, source = moved[ahead], source[ahead]
    pixels = project(moved, into)
    scale = points[source, 2] / moved[:, 2]
    reach = 0.5 * scale[:, None] * (into.fx / camera.fx, into.fy / camera.fy)
    nearest = np.full((into.height, into.width), np.inf, np.float32)
    arrived = np.full(nearest.shape, -1, np.int64)
    _splat(pixels, moved[:, 2], source, np.maximum(reach, 0.5), nearest, arrived)
    kept = np.ones(nearest.shape, np.bool_)
    _close_leaks(nearest, arrived, LEAK_PX, SURFACE_MM, kept)
    seen = kept & (arrived >= 0)
    return Reprojected(np.where(seen, nearest, np.float32(np.nan)), np.where(seen, arrived, -1))
