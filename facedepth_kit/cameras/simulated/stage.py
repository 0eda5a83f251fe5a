"""Simulated people in front of a camera: scenes of coloured meshes, and frames taken of them.

Everything is drawn from seeds by number (person, session, picture), so that any frame can be made again alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.cameras.simulated.occluders import spectacles
from facedepth_kit.cameras.simulated.sensors import SensorSettings, measure_depth
from facedepth_kit.depth import Picture
from facedepth_kit.faces.people.appearance import Appearance, coloured_person, draw_appearance
from facedepth_kit.faces.people.landmarks import landmarks_68_mm, marks_mm
from facedepth_kit.faces.people.parametric import FaceParameters, FaceSettings, draw_face, rotation
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, joined, painted
from facedepth_kit.rendering.shading import Light, render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm

Points = npt.NDArray[np.float64]
Frame = npt.NDArray[np.uint16]

IDENTITY = FaceSettings(expressive_share=0.0, yaw_deg=(0.0, 0.0), pitch_deg=(0.0, 0.0), roll_deg=(0.0, 0.0))
NOSE_TIP, EYES = 30, slice(36, 48)  # of the 68 landmarks
PIVOT_MM = 90.0  # heads turn about an axis that far behind the eyes
GOLDEN_RATIO = (1 + 5**0.5) / 2  # its multiples' fractions are spread evenly
LENS_VEIL = 0.05  # a spectacle lens adds this much white to the picture


@dataclass(frozen=True, eq=False)
class Person:
    """An identity: the same in every session and picture."""

    name: str
    face: FaceParameters
    appearance: Appearance
    spectacles: bool
    seed: tuple[int, ...]

    def rng(self, *purpose: int) -> np.random.Generator:
        """A generator of its own for each session and picture of this person."""
        return np.random.default_rng([*self.seed, 1, *purpose])


@dataclass(frozen=True, eq=False)
class Scene:
    """Meshes in one space, clear ``lenses`` among them, and known points of the face, float64 (68, 3) and (6, 3) mm."""

    parts: tuple[ColouredMesh, ...]
    lenses: tuple[Mesh, ...] = ()
    landmarks_mm: Points | None = None
    marks_mm: Points | None = None

    def moved(self, by_mm: npt.ArrayLike) -> Scene:
        """The same, shifted."""
        shift = np.asarray(by_mm, np.float64)
        return Scene(
            tuple(replace(part, mesh=part.mesh.moved(shift)) for part in self.parts),
            tuple(lens.moved(shift) for lens in self.lenses),
            None if self.landmarks_mm is None else self.landmarks_mm + shift,
            None if self.marks_mm is None else self.marks_mm + shift,
        )

    @property
    def solid(self) -> Mesh:
        """All parts as one mesh."""
        return joined([part.mesh for part in self.parts])

    def with_parts(self, *parts: ColouredMesh) -> Scene:
        """The same with more in it."""
        return replace(self, parts=(*self.parts, *parts))


@dataclass(frozen=True, eq=False)
class Shot:
    """What a depth camera delivers: depth in the sensor's steps (0 = hole), the aligned picture, projected points."""

    depth: Frame
    picture: Picture
    marks: Points | None
    landmarks: Points | None


def draw_person(seed: int, number: int, *, spectacles_share: float) -> Person:
    """Person ``number`` of the data set with this ``seed``; of any few in a row about that share wears spectacles."""
    rng = np.random.default_rng([seed, number, 0])
    face = replace(draw_face(rng, IDENTITY), extent="head")
    look = draw_appearance(rng, face)
    return Person(f"{number:04d}", face, look, spread(seed, number) < spectacles_share, (seed, number))


def spread(seed: int, number: int) -> float:
    """A number in 0..1 for each of 1, 2, 3 ..., so even that of any few in a row the right share lies below a limit."""
    return float((np.random.default_rng([seed, 0]).random() + number * GOLDEN_RATIO) % 1)


def seat(
    person: Person,
    *,
    expression: Mapping[str, float] | None = None,
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    wearing: np.random.Generator | None = None,
) -> Scene:
    """The person in the pose ``turn_deg`` (yaw, pitch, roll); who looks ahead has the tip of the nose at the origin.

    The head turns about a point between the ears, which stays where it is. ``expression`` maps action units
    ("jawOpen") to strengths 0..1. ``wearing`` draws the spectacles: the same generator state, the same pair.
    """
    yaw, pitch, roll = turn_deg
    units = {f"faceunits/{name}": float(value) for name, value in (expression or {}).items() if value > 0}
    face = replace(person.face, targets={**person.face.targets, **units}, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
    landmarks = landmarks_68_mm(face)
    scene = Scene(tuple(coloured_person(face, person.appearance)), (), landmarks, marks_mm(face))
    if wearing is not None:
        frame, lenses = spectacles(landmarks, scene.parts[0].mesh, wearing)
        scene = replace(scene, parts=(*scene.parts, *frame), lenses=lenses)
    turn = rotation(yaw, pitch, roll)
    pivot = landmarks[EYES].mean(axis=0) - turn @ (0.0, 0.0, PIVOT_MM)
    ahead = (landmarks[NOSE_TIP] - pivot) @ turn
    return scene.moved(-pivot - ahead)


def shoot(
    scene: Scene,
    camera: Camera,
    sensor: SensorSettings,
    light: Light,
    rng: np.random.Generator,
    *,
    picture_noise: float = 1.5,
) -> Shot:
    """Measure and photograph a scene; ``picture_noise`` is the standard deviation of a colour value of 0..255."""
    depth = measure_depth(scene.parts, camera, sensor, rng, lenses=scene.lenses)
    picture = photograph(scene, camera, light).astype(np.float32)
    picture += rng.standard_normal(picture.shape, np.float32) * np.float32(picture_noise)
    points = [
        None if known is None else project_points(known, camera) for known in (scene.marks_mm, scene.landmarks_mm)
    ]
    return Shot(depth, np.clip(np.rint(picture), 0, 255).astype(np.uint8), *points)


def photograph(scene: Scene, camera: Camera, light: Light, *, samples: int = 2) -> Picture:
    """The colour picture alone, uint8 (rows, columns, 3) RGB."""
    view = render_view(scene.parts, camera, light, samples=samples)
    picture = view.picture
    for lens in scene.lenses:
        with np.errstate(invalid="ignore"):
            veil = (render_depth_mm(lens, camera) < view.depth_mm).astype(np.float32) * np.float32(LENS_VEIL)
        share = np.asarray(cv2.blur(veil, (3, 3)))[..., None]
        picture = np.rint(picture * (1 - share) + 255 * share).astype(np.uint8)
    return picture


def intrinsics(camera: Camera) -> Intrinsics:
    """A rendering camera as recordings describe it."""
    rows, columns = camera.shape
    x, y = camera.centre_px
    return Intrinsics(columns, rows, camera.focal_px, camera.focal_px, x - 0.5, y - 0.5)


def wall(depth_mm: float, camera: Camera, colour: tuple[float, float, float]) -> ColouredMesh:
    """A plain wall that fills the picture, ``depth_mm`` from the camera."""
    half = depth_mm * (max(camera.shape) + abs(camera.centre_px[0]) + abs(camera.centre_px[1])) / camera.focal_px
    z = camera.distance_mm - depth_mm
    corners = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]], np.float32)
    return painted(Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32)), colour, 0.0, "wall")


def room(camera: Camera, rng: np.random.Generator) -> tuple[ColouredMesh, ...]:
    """A wall 1 to 2.5 m away with a few boxes before it, as tall as shelves and tables."""
    back_mm = float(rng.uniform(1100, 2500))
    parts = [wall(back_mm, camera, _muted(rng, 0.35, 0.75))]
    for _ in range(int(rng.integers(2, 6))):
        depth_mm = float(rng.uniform(0.75, 0.97) * back_mm)
        reach = depth_mm * camera.shape[1] / camera.focal_px / 2
        size = rng.uniform((120, 200, 60), (500, 900, 200))
        x = rng.choice([-1, 1]) * rng.uniform(0.35, 1.0) * reach
        low = -depth_mm * camera.shape[0] / camera.focal_px * rng.uniform(0.1, 0.6)
        middle = np.array([x, low + size[1] / 2 - 100, camera.distance_mm - depth_mm - size[2] / 2])
        parts.append(painted(_box(middle, size), _muted(rng, 0.05, 0.6), 0.1, "furniture"))
    return tuple(parts)


def _muted(rng: np.random.Generator, low: float, high: float) -> tuple[float, float, float]:
    r, g, b = rng.uniform(low, high) * rng.uniform(0.8, 1.15, 3)
    return float(r), float(g), float(b)


def _box(middle: Points, size: Points) -> Mesh:
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    # Every side has corners of its own: shared ones would round the edges' shading.
    corners = np.concatenate([signs[list(quad)] for quad in quads]) * size / 2 + middle
    triangles = np.array([[4 * i, 4 * i + a, 4 * i + b] for i in range(6) for a, b in ((1, 2), (2, 3))], np.int32)
    return Mesh(corners.astype(np.float32), triangles)


def wander(times: Sequence[float] | npt.NDArray[np.floating], rng: np.random.Generator) -> Points:
    """Six smooth, small movements of a sitting person over time, float64 (len(times), 6), each within about -1..1."""
    seconds = np.asarray(times, np.float64)[:, None]
    total = np.zeros((len(seconds), 6))
    for strength in (0.6, 0.3, 0.1):
        total += strength * np.sin(2 * np.pi * rng.uniform(0.1, 0.9, 6) * seconds + rng.uniform(0, 2 * np.pi, 6))
    return total
