"""People at 0.5 to 2 m in front of walls and things, as a time-of-flight or structured-light camera measures them.

What DDRNet-dn's stand-in is trained on: the adjacent scene of section IV-B (whole bodies), simulated. The sensor's
noise is set by eye and by the first-order statistics of time-of-flight recordings; the numbers are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds, check_shares
from facedepth_kit.faces.people.bodies import body_mesh, draw_body
from facedepth_kit.faces.people.parametric import rotation
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import Mesh, joined
from facedepth_kit.rendering.zbuffer import render_depth_mm

FloatArray = npt.NDArray[np.float32]

BOX = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
BOX_TRIANGLES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]], np.int32)  # fmt: skip


@dataclass(frozen=True)
class BodySceneSettings:
    """What a scene shows and how it is measured (our choice, but for the distances, which section IV-B's network asks).

    ``distance_mm`` from the camera to the hips or to what the camera looks at; ``focal_px`` of a Kinect v2's depth
    mapped onto 640x480 colour. ``bare_share`` of the scenes have nothing behind the person, as in DDRNet's data;
    ``objects`` things stand around. ``structured_share`` of the frames have steps of disparity as a structured-light
    camera; the others are time of flight. ``noise_mm`` at 1 m, growing with the square of the distance.
    """

    distance_mm: tuple[float, float] = (600.0, 1900.0)
    focal_px: tuple[float, float] = (365.0, 600.0)
    bare_share: float = 0.45
    objects: tuple[int, int] = (0, 6)
    structured_share: float = 0.2
    noise_mm: tuple[float, float] = (0.8, 3.5)
    near_mm: float = 400.0
    far_mm: float = 4500.0

    def __post_init__(self) -> None:
        check_shares(self)
        check_bounds(self, distance_mm=(100, 100_000), focal_px=(10, 100_000), objects=(0, 1000), noise_mm=(0, 1000))
        check_bounds(self, near_mm=(1, 65_535), far_mm=(self.near_mm, 65_535))


def _ball(steps: int = 24) -> Mesh:
    """A unit ball of longitudes and latitudes."""
    around, down = np.meshgrid(np.linspace(0, 2 * np.pi, steps), np.linspace(0, np.pi, steps // 2 + 1))
    points = np.stack([np.sin(down) * np.cos(around), np.cos(down), np.sin(down) * np.sin(around)], axis=-1)
    index = np.arange(points.shape[0] * steps).reshape(-1, steps)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    triangles = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (a, c, d))])
    return Mesh(points.reshape(-1, 3).astype(np.float32), triangles.astype(np.int32))


def _draw_thing(rng: np.random.Generator) -> Mesh:
    """A box or an ellipsoid of 5 to 80 cm, turned at random, around the origin."""
    ball = rng.random() < 0.35
    shape = _ball() if ball else Mesh(BOX, BOX_TRIANGLES)
    size = np.exp(rng.uniform(np.log(25), np.log(400), 3))
    turn = rotation(*rng.uniform(-180, 180, 3)) if rng.random() < 0.5 else rotation(rng.uniform(-180, 180), 0, 0)
    return Mesh((shape.vertices_mm * size @ turn.T).astype(np.float32), shape.triangles)


def _around(rng: np.random.Generator, settings: BodySceneSettings, floor_mm: float, room_mm: float) -> list[Mesh]:
    """Wall, floor and things around a person whose hips are the origin; nothing nearer than ``room_mm`` before them."""
    parts = []
    if rng.random() >= settings.bare_share:
        away = -rng.uniform(200, 1400)
        turn = rotation(rng.normal(0, 18), rng.normal(0, 4), rng.normal(0, 3))
        wall = np.array([[-9e3, -9e3, 0], [9e3, -9e3, 0], [9e3, 9e3, 0], [-9e3, 9e3, 0]]) * (0.25, 0.25, 1)
        wall = wall @ turn.T + (0, 0, away)
        wall[:, 2] = np.minimum(wall[:, 2], 0.5 * room_mm)
        parts.append(Mesh(wall.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
        near, far = 0.8 * room_mm, -6e3
        floor = np.array([[-6e3, floor_mm, near], [6e3, floor_mm, near], [6e3, floor_mm, far], [-6e3, floor_mm, far]])
        parts.append(Mesh(floor.astype(np.float32), np.array([[0, 1, 2], [0, 2, 3]], np.int32)))
    for _ in range(int(rng.integers(settings.objects[0], settings.objects[1] + 1))):
        thing = _draw_thing(rng)
        place = np.array([rng.normal(0, 500), rng.normal(-100, 450), rng.uniform(-900, 250)])
        moved = thing.vertices_mm + place.astype(np.float32)
        if moved[:, 2].max() < 0.7 * room_mm:
            parts.append(Mesh(moved, thing.triangles))
    return parts


def draw_body_scene(
    rng: np.random.Generator, settings: BodySceneSettings | None = None, *, size_px: int = 256
) -> FloatArray:
    """The true depth of a random view of a person, float32 (size_px, size_px) millimetres, NaN where nothing is.

    The camera looks at a random place of the body (head, arms, trunk, legs).
    """
    settings = settings or BodySceneSettings()
    while True:
        parameters = draw_body(rng)
        body = body_mesh(parameters)
        distance_mm = float(rng.uniform(*settings.distance_mm))
        reach_mm = float(body.vertices_mm[:, 2].max())
        if reach_mm > distance_mm - settings.near_mm:
            continue  # an arm or a knee would reach past the camera
        low_mm = float(body.vertices_mm[:, 1].min())
        scene = joined([body, *_around(rng, settings, low_mm, distance_mm - settings.near_mm)])
        looked_at = body.vertices_mm[int(rng.integers(len(body.vertices_mm)))]
        # Hands, feet and face have most of the vertices: half of the views go to the trunk and around it.
        if rng.random() < 0.5:
            looked_at = rng.normal(0, 1, 3) * (150, 300, 50) + (0, 250, 0)
        focal = float(rng.uniform(*settings.focal_px)) * size_px / 256
        scale = focal / (distance_mm - float(looked_at[2]))
        aim = rng.uniform(0.25, 0.75, 2) * size_px
        centre = (float(aim[0] - looked_at[0] * scale), float(aim[1] + looked_at[1] * scale))
        try:
            depth_mm = render_depth_mm(scene, Camera(distance_mm, focal, centre, size_px))
        except KitError:
            continue
        depth_mm[(depth_mm > settings.far_mm) | (depth_mm < settings.near_mm)] = np.nan
        if np.isfinite(depth_mm).mean() > 0.15:
            return depth_mm


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float) -> FloatArray:
    """Gaussian noise of standard deviation 1, correlated over about ``sigma_px``."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if sigma_px < 0.3:
        return white
    smooth = cv2.GaussianBlur(white, (0, 0), sigma_px)
    return np.asarray(smooth / max(float(smooth.std()), 1e-6), np.float32)


def sense(
    depth_mm: FloatArray,
    rng: np.random.Generator,
    settings: BodySceneSettings | None = None,
    *,
    focal_px: float = 480.0,
) -> FloatArray:
    """A camera's frame of a true depth (h, w) in millimetres, NaN = nothing: float32 whole millimetres, NaN = hole.

    Jagged and flying pixels at the edges, noise that neighbours share and that grows with distance and slant, steps of
    disparity (structured light only), dropouts at edges, at grazing angles and in patches.
    """
    settings = settings or BodySceneSettings()
    height, width = depth_mm.shape
    structured = rng.random() < settings.structured_share
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    jitter = rng.uniform(0.2, 1.6)
    scale = rng.uniform(0.5, 2.5)
    across, down = (_smooth_noise(rng, depth_mm.shape, scale) * np.float32(jitter) for _ in range(2))
    filled = np.where(np.isfinite(depth_mm), depth_mm, 0).astype(np.float32)
    seen = np.asarray(
        cv2.remap(filled, columns + across, rows + down, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    )

    kernel = np.ones((3, 3), np.uint8)
    far_filled = np.where(seen > 0, seen, settings.far_mm).astype(np.float32)
    nearest, farthest = cv2.erode(far_filled, kernel), cv2.dilate(far_filled, kernel)
    slope = (farthest - nearest) / 2 / np.maximum(nearest / focal_px, 0.1)  # tangent of the slant, about
    edge = farthest - nearest > 0.03 * nearest + 10
    flying = edge & (_smooth_noise(rng, seen.shape, 0.7) > rng.uniform(-0.5, 2.5)) & (farthest < settings.far_mm)
    mix = rng.random(seen.shape, dtype=np.float32)
    seen = np.where(flying & (seen > 0), nearest + mix * (farthest - nearest), seen).astype(np.float32)

    strength = np.exp(rng.uniform(*np.log(settings.noise_mm))) * (seen / 1000) ** 2
    strength = (0.4 + strength) * np.minimum(1 + 0.25 * np.where(edge, 3.0, slope), 4.0)
    fine, middle, coarse = rng.uniform(0.1, 0.8), rng.uniform(0.4, 1.2), rng.uniform(0, 0.5)
    noise = fine * _smooth_noise(rng, seen.shape, 0.0) + middle * _smooth_noise(rng, seen.shape, rng.uniform(0.8, 2.8))
    noise += coarse * _smooth_noise(rng, seen.shape, rng.uniform(5, 16))
    noise *= 1 + np.maximum(_smooth_noise(rng, seen.shape, 4.0) - 1.2, 0)  # patches of worse signal
    measured = seen + strength.astype(np.float32) * noise.astype(np.float32)
    if structured:
        baseline = 75.0 * 8 * focal_px * rng.uniform(0.8, 1.6)  # mm times eighths of a pixel
        steps = np.rint(baseline / np.maximum(measured, 1.0))
        measured = (baseline / np.maximum(steps, 1.0)).astype(np.float32)

    gone = seen <= 0
    gone |= edge & (_smooth_noise(rng, seen.shape, rng.uniform(0.6, 2.5)) > rng.uniform(0.0, 2.5))
    gone |= (slope > rng.uniform(3, 10)) & ~edge
    if structured:
        shadow = cv2.dilate(edge.astype(np.uint8), np.ones((1, int(rng.integers(2, 8))), np.uint8)) > 0
        gone |= shadow & (seen > nearest + 20)
    if rng.random() < 0.3:
        gone |= _smooth_noise(rng, seen.shape, rng.uniform(3, 12)) > rng.uniform(1.8, 3)
    gone |= rng.random(seen.shape) < rng.uniform(0, 0.004)
    return np.where(gone, np.float32(np.nan), np.rint(measured)).astype(np.float32)
