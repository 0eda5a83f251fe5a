"""Colour pictures of coloured meshes: a lamp with shadows, light from all around, gloss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.camera import Camera, project
from facedepth_kit.rendering.mesh import ColouredMesh, FloatArray, Mesh, joined, vertex_normals
from facedepth_kit.rendering.zbuffer import fill_buffers, rasterize

SHADOW_MAP_PX = 512
SHADOW_BIAS_MM = 3.0
BASE_REFLECTION = 0.04  # share of light that skin, hair, paper and plastic mirror when seen head-on


@dataclass(frozen=True)
class Light:
    """One lamp far away and light from all around.

    ``direction`` points to the lamp in the mesh's axes (z towards the camera), of any length. ``intensity`` is the
    linear brightness that the lamp gives a white surface facing it; ``ambient`` what a white surface that faces
    upwards gets from all around (three quarters of it when upright, half when facing down). ``softness`` (0..1) lets
    the lamp's light creep round the edge of the lit side, as skin does. ``backdrop`` is the linear colour where no mesh
    is seen.
    """

    direction: tuple[float, float, float] = (0.3, 0.5, 1.0)
    intensity: float = 1.0
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ambient: float = 0.5
    ambient_colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    softness: float = 0.15
    shadows: bool = True
    backdrop: tuple[float, float, float] = (0.30, 0.31, 0.33)


@dataclass(frozen=True, eq=False)
class View:
    """What a camera sees: arrays of the camera's (rows, columns).

    ``depth_mm`` float32, NaN where nothing is seen; ``picture`` uint8 (rows, columns, 3) sRGB. What the picture was
    made from, 0 where nothing is seen: ``albedo`` float32 (.., 3) linear, ``gloss`` float32, ``normals`` float32
    (.., 3) of length 1 in the mesh's axes. ``part`` int32 is the index into the parts, -1 for nothing.
    """

    depth_mm: FloatArray
    picture: npt.NDArray[np.uint8]
    albedo: FloatArray
    gloss: FloatArray
    normals: FloatArray
    part: npt.NDArray[np.int32]


@numba.njit(cache=True, nogil=True)
def _interpolate(
    projected: FloatArray,
    triangles: npt.NDArray[np.int32],
    nearest: npt.NDArray[np.int32],
    values: FloatArray,
    albedo: FloatArray,
    gloss: FloatArray,
    normals: FloatArray,
) -> None:
    """Values of the vertices (V, 7: colour, gloss, normal) at every pixel, perspective-correct; normals face the
    camera."""
    height, width = nearest.shape
    for row in range(height):
        y = np.float32(row + 0.5)
        for column in range(width):
            t = nearest[row, column]
            if t < 0:
                continue
            x = np.float32(column + 0.5)
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            ax, ay = projected[a, 0], projected[a, 1]
            ux, uy, vx, vy = projected[b, 0] - ax, projected[b, 1] - ay, projected[c, 0] - ax, projected[c, 1] - ay
            area = ux * vy - uy * vx
            wb = ((x - ax) * vy - (y - ay) * vx) / area
            wc = (ux * (y - ay) - uy * (x - ax)) / area
            wa = (np.float32(1) - wb - wc) / projected[a, 2]
            wb /= projected[b, 2]
            wc /= projected[c, 2]
            total = wa + wb + wc
            wa, wb, wc = wa / total, wb / total, wc / total
            for k in range(3):
                albedo[row, column, k] = wa * values[a, k] + wb * values[b, k] + wc * values[c, k]
            gloss[row, column] = wa * values[a, 3] + wb * values[b, 3] + wc * values[c, 3]
            nx = wa * values[a, 4] + wb * values[b, 4] + wc * values[c, 4]
            ny = wa * values[a, 5] + wb * values[b, 5] + wc * values[c, 5]
            nz = wa * values[a, 6] + wb * values[b, 6] + wc * values[c, 6]
            length = np.sqrt(nx * nx + ny * ny + nz * nz)
            # Counter-clockwise seen from outside is negative in an image whose rows run down.
            sign = np.float32(-1) if area > 0 else np.float32(1)
            scale = sign / length if length > 0 else np.float32(0)
            normals[row, column, 0], normals[row, column, 1], normals[row, column, 2] = (
                nx * scale,
                ny * scale,
                nz * scale,
            )


@numba.njit(cache=True, nogil=True)
def _shadowed(shadow: FloatArray, i: int, j: int, level: float) -> float:
    """The share of a small neighbourhood on the shadow map that lies nearer to the lamp than ``level``."""
    rows, columns = shadow.shape
    if i < 2 or j < 2 or i >= columns - 2 or j >= rows - 2:
        return 0.0
    # Most places are wholly lit or wholly dark: the corners and the middle tell.
    hidden = 0
    for dj in (-2, 2):
        for di in (-2, 2):
            if shadow[j + dj, i + di] > level:
                hidden += 1
    if shadow[j, i] > level:
        hidden += 1
    if hidden == 0 or hidden == 5:
        return hidden / 5
    hidden = 0
    for dj in range(-2, 3):
        for di in range(-2, 3):
            if shadow[j + dj, i + di] > level:
                hidden += 1
    return hidden / 25


@numba.njit(cache=True, nogil=True)
def _shade(
    depth_mm: FloatArray,
    albedo: FloatArray,
    glosses: FloatArray,
    normals: FloatArray,
    camera: FloatArray,
    basis: FloatArray,
    lamp: FloatArray,
    sky: FloatArray,
    softness: float,
    shadow: FloatArray,
    shadow_frame: FloatArray,
    bias_mm: float,
    radiance: FloatArray,
) -> None:
    """Linear radiance (rows, columns, 3): Lambert, light from all around, Blinn's highlight, a shadow map."""
    height, width = depth_mm.shape
    distance, focal, centre_x, centre_y = camera
    for row in range(height):
        for column in range(width):
            z = depth_mm[row, column]
            if np.isnan(z):
                continue
            px, py = (column + 0.5 - centre_x) * z / focal, -(row + 0.5 - centre_y) * z / focal
            pz = distance - z
            nx, ny, nz = normals[row, column, 0], normals[row, column, 1], normals[row, column, 2]
            facing = nx * basis[2, 0] + ny * basis[2, 1] + nz * basis[2, 2]
            diffuse = max((facing + softness) / (1 + softness), 0.0)
            lit = 1.0
            if len(shadow) > 1 and diffuse > 0:
                # The point is lifted off its own surface first, or it would shade itself.
                qx, qy, qz = px + bias_mm * nx, py + bias_mm * ny, pz + bias_mm * nz
                u = qx * basis[0, 0] + qy * basis[0, 1] + qz * basis[0, 2]
                v = qx * basis[1, 0] + qy * basis[1, 1] + qz * basis[1, 2]
                w = qx * basis[2, 0] + qy * basis[2, 1] + qz * basis[2, 2]
                i = int((u - shadow_frame[0]) * shadow_frame[3])
                j = int((v - shadow_frame[1]) * shadow_frame[3])
                lit = 1 - _shadowed(shadow, i, j, w - shadow_frame[2] + bias_mm)
            ex, ey, ez = -px, -py, distance - pz
            length = np.sqrt(ex * ex + ey * ey + ez * ez)
            hx, hy, hz = ex / length + basis[2, 0], ey / length + basis[2, 1], ez / length + basis[2, 2]
            length = np.sqrt(hx * hx + hy * hy + hz * hz)
            gloss = glosses[row, column]
            highlight = 0.0
            if gloss > 0 and length > 0 and facing > 0:
                exponent = 6 + 160 * gloss * gloss
                cosine = max((nx * hx + ny * hy + nz * hz) / length, 0.0)
                highlight = gloss * BASE_REFLECTION * (exponent + 8) / 8 * cosine**exponent
            around = 0.75 + 0.25 * ny  # more light from above than from below
            for k in range(3):
                radiance[row, column, k] = (
                    albedo[row, column, k] * (sky[k] * around + lamp[k] * diffuse * lit) + lamp[k] * highlight * lit
                )


def _light_basis(light: Light) -> FloatArray:
    """Rows u, v, w (3, 3): w points to the lamp."""
    w = np.asarray(light.direction, np.float64)
    length = float(np.linalg.norm(w))
    if not length > 0:
        raise KitError(f"light direction: found {light.direction}, expected a vector that is not zero")
    w /= length
    u = np.cross((0.0, 1.0, 0.0) if abs(w[1]) < 0.9 else (1.0, 0.0, 0.0), w)
    u /= np.linalg.norm(u)
    return np.stack([u, np.cross(w, u), w]).astype(np.float32)


def _shadow_map(mesh: Mesh, points_mm: FloatArray, basis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """How far towards the lamp the first surface lies, on a grid around the visible points; and (u, v, w, per mm)."""
    frame = np.zeros(4, np.float32)
    shown = points_mm @ basis.T
    low, high = shown[:, :2].min(axis=0), shown[:, :2].max(axis=0)
    per_mm = (SHADOW_MAP_PX - 6) / max(float((high - low).max()), 1.0)
    placed = mesh.vertices_mm @ basis.T
    frame[:] = low[0] - 3 / per_mm, low[1] - 3 / per_mm, float(placed[:, 2].min()) - 1, per_mm
    # The rasterizer keeps the largest 1/depth; here that shall be the height towards the lamp, linear as well.
    flat = np.empty_like(placed)
    flat[:, :2] = (placed[:, :2] - frame[:2]) * per_mm
    flat[:, 2] = 1 / (placed[:, 2] - frame[2])
    shadow = np.zeros((SHADOW_MAP_PX, SHADOW_MAP_PX), np.float32)
    fill_buffers(flat, mesh.triangles, shadow, np.empty(shadow.shape, np.int32))
    return shadow, frame


@numba.njit(cache=True, nogil=True)
def _look_up(linear: FloatArray, table: npt.NDArray[np.uint8], encoded: npt.NDArray[np.uint8]) -> None:
    last = len(table) - 1
    for i in range(len(linear)):
        encoded[i] = table[int(min(max(linear[i], 0.0), 1.0) * last + 0.5)]


def encode_srgb(linear: FloatArray) -> npt.NDArray[np.uint8]:
    """Linear brightness (1 = white) of any shape as sRGB bytes."""
    steps = np.arange(4096, dtype=np.float64) / 4095
    curve = np.where(steps <= 0.0031308, 12.92 * steps, 1.055 * steps ** (1 / 2.4) - 0.055)
    encoded = np.empty(linear.shape, np.uint8)
    _look_up(
        np.ascontiguousarray(linear, np.float32).ravel(), np.rint(curve * 255).astype(np.uint8), encoded.reshape(-1)
    )
    return encoded


def decode_srgb(picture: npt.NDArray[np.uint8]) -> FloatArray:
    """sRGB bytes of any shape as linear brightness, float32 in 0..1."""
    steps = np.arange(256) / 255
    curve = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return curve[picture]


def render_view(parts: Sequence[ColouredMesh], camera: Camera, light: Light | None = None, *, samples: int = 1) -> View:
    """Depth and colour picture of several meshes that hide, and shade, one another.

    ``samples`` squared rays a pixel go into the picture (2 smooths edges); all other arrays are taken at pixel centres.
    Raises :class:`KitError` for a vertex behind the camera, or no parts.
    """
    light = light or Light()
    if not parts:
        raise KitError("view: found no meshes, expected at least one")
    mesh = joined([part.mesh for part in parts])
    part_of = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.mesh.triangles) for part in parts])
    values = np.concatenate(
        [
            np.concatenate([part.colours for part in parts]),
            np.concatenate([part.gloss for part in parts])[:, None],
            vertex_normals(mesh),
        ],
        axis=1,
        dtype=np.float32,
    )

    depth_mm, nearest, surface = _look(mesh, values, camera)
    fine, fine_depth_mm, fine_surface = camera, depth_mm, surface
    if samples > 1:
        fine = replace(
            camera,
            focal_px=camera.focal_px * samples,
            centre_px=(camera.centre_px[0] * samples, camera.centre_px[1] * samples),
            size_px=camera.size_px * samples,
            height_px=camera.shape[0] * samples,
        )
        fine_depth_mm, _, fine_surface = _look(mesh, values, fine)
    basis = _light_basis(light)
    shadow, frame = np.zeros((1, 1), np.float32), np.zeros(4, np.float32)
    if light.shadows and (nearest >= 0).any():
        shadow, frame = _shadow_map(mesh, _points_mm(depth_mm, camera), basis)
    radiance = np.empty((*fine.shape, 3), np.float32)
    radiance[:] = light.backdrop
    _shade(
        fine_depth_mm,
        *fine_surface,
        np.asarray((fine.distance_mm, fine.focal_px, *fine.centre_px), np.float32),
        basis,
        np.asarray(light.colour, np.float32) * np.float32(light.intensity),
        np.asarray(light.ambient_colour, np.float32) * np.float32(light.ambient),
        light.softness,
        shadow,
        frame,
        SHADOW_BIAS_MM,
        radiance,
    )
    if samples > 1:
        radiance = np.asarray(cv2.resize(radiance, camera.shape[::-1], interpolation=cv2.INTER_AREA), np.float32)
    seen = np.where(nearest >= 0, part_of[nearest], np.int32(-1)).astype(np.int32)
    return View(depth_mm, encode_srgb(radiance), *surface, seen)


def _look(
    mesh: Mesh, values: FloatArray, camera: Camera
) -> tuple[FloatArray, npt.NDArray[np.int32], tuple[FloatArray, FloatArray, FloatArray]]:
    """Depth, visible triangle, and albedo, gloss and normals at every pixel's centre."""
    depth_mm, nearest = rasterize(mesh, camera)
    surface = tuple(np.zeros((*camera.shape, *rest), np.float32) for rest in ((3,), (), (3,)))
    _interpolate(project(mesh.vertices_mm, camera), mesh.triangles, nearest, values, *surface)
    return depth_mm, nearest, (surface[0], surface[1], surface[2])


def _points_mm(depth_mm: FloatArray, camera: Camera) -> FloatArray:
    """The visible points (n, 3) in the mesh's axes."""
    rows, columns = np.nonzero(~np.isnan(depth_mm))
    z = depth_mm[rows, columns]
    x = (columns + 0.5 - camera.centre_px[0]) * z / camera.focal_px
    y = -(rows + 0.5 - camera.centre_px[1]) * z / camera.focal_px
    return np.stack([x, y, camera.distance_mm - z], axis=1).astype(np.float32)
