"""Rendered portraits: photos of people who do not exist, for every step that wants a photo or a print."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import Picture
from facedepth_kit.faces.people.appearance import Appearance, coloured_person, draw_appearance
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceParameters
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.shading import Light, render_view

DISTANCE_MM = 900.0
HEIGHT_MM = 400.0  # how much of the person the picture shows: the head and some of the shoulders


@dataclass(frozen=True, eq=False)
class Portrait:
    """A rendered picture, uint8 RGB (rows, columns, 3), of a parametric face, and the camera that took it."""

    picture: Picture
    face: FaceParameters
    camera: Camera

    @cached_property
    def landmarks(self) -> npt.NDArray[np.float64]:
        """Dlib's 68 points in pixels, float64 (68, 2); the centre of the top left pixel is (0, 0)."""
        return project_points(landmarks_68_mm(self.face), self.camera)

    @property
    def width_mm(self) -> float:
        """How wide the picture is when the face in it has its natural size."""
        return self.camera.size_px * self.camera.distance_mm / self.camera.focal_px


def take_portrait(face: FaceParameters, appearance: Appearance, camera: Camera, light: Light | None = None) -> Portrait:
    """A portrait of a person by this camera, in this light."""
    view = render_view(coloured_person(face, appearance), camera, light, samples=2)
    return Portrait(view.picture, face, camera)


def draw_portrait(face: FaceParameters, rng: np.random.Generator, *, size_px: int = 320) -> Portrait:
    """A square photo of a face with random skin, hair and clothes, in random light, before a random wall."""
    camera = Camera(DISTANCE_MM, size_px / HEIGHT_MM * DISTANCE_MM, (size_px / 2, size_px * 0.52), size_px)
    wall = rng.uniform(0.05, 0.5) * np.exp(rng.normal(0, 0.15, 3))
    light = Light(
        direction=(float(rng.uniform(-0.8, 0.8)), float(rng.uniform(0.1, 0.9)), 1.0),
        intensity=float(rng.uniform(0.8, 1.2)),
        ambient=float(rng.uniform(0.3, 0.6)),
        backdrop=(float(wall[0]), float(wall[1]), float(wall[2])),
    )
    return take_portrait(face, draw_appearance(rng, face), camera, light)
