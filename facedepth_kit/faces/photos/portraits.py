"""Rendered portraits: photos of people who do not exist, for every step that wants a photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.faces.people.appearance import coloured_person, draw_appearance
from facedepth_kit.faces.people.parametric import FaceParameters
from facedepth_kit.faces.photos.mediapipe_mesh import FaceMesh, model_present
from facedepth_kit.faces.photos.prnet import PRNet, files_present
from facedepth_kit.faces.photos.reconstruction import MeshSource
from facedepth_kit.faces.photos.unwrapping import StandIn
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.shading import Light, render_view

DISTANCE_MM = 900.0
HEIGHT_MM = 400.0  # how much of the person the picture shows: the head and some of the shoulders


@dataclass(frozen=True, eq=False)
class Portrait:
    """A rendered photo, uint8 RGB (size, size, 3), of a parametric face, and the camera that took it."""

    picture: npt.NDArray[np.uint8]
    face: FaceParameters
    camera: Camera


def portrait(face: FaceParameters, rng: np.random.Generator, *, size_px: int = 320) -> Portrait:
    """A photo of a face with skin, hair and clothes drawn for it, under a lamp and before a wall drawn, too."""
    camera = Camera(DISTANCE_MM, size_px / HEIGHT_MM * DISTANCE_MM, (size_px / 2, size_px * 0.52), size_px)
    wall = rng.uniform(0.05, 0.5) * np.exp(rng.normal(0, 0.15, 3))
    light = Light(
        direction=(float(rng.uniform(-0.8, 0.8)), float(rng.uniform(0.1, 0.9)), 1.0),
        intensity=float(rng.uniform(0.8, 1.2)),
        ambient=float(rng.uniform(0.3, 0.6)),
        backdrop=(float(wall[0]), float(wall[1]), float(wall[2])),
    )
    view = render_view(coloured_person(face, draw_appearance(rng, face)), camera, light, samples=2)
    return Portrait(view.picture, face, camera)


def source_at_hand(taken: Portrait) -> MeshSource:
    """The best mesh source there is: PRNet, else MediaPipe's face mesh, else the stand-in, which knows the portrait.

    Raises :class:`KitError` where files are there but not sound.
    """
    if files_present():
        return PRNet()
    if model_present():
        return FaceMesh()
    return StandIn(taken.face, taken.camera)
