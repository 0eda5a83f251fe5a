"""Presentation attacks: a portrait printed on paper, flat or bent, held before the camera (section IV-G).

Simulated: the portrait is a rendering of a parametric face.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import Picture
from facedepth_kit.faces.people.appearance import Appearance
from facedepth_kit.faces.people.parametric import FaceParameters, rotation
from facedepth_kit.faces.people.portraits import Portrait, take_portrait
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, grid_triangles
from facedepth_kit.rendering.shading import Light, decode_srgb

FloatArray = npt.NDArray[np.float32]
Points = npt.NDArray[np.float64]

PAPER, INK = 0.82, 0.03  # linear albedo of white paper, and of the darkest print on it
SPACING_MM = 0.9  # one vertex carries one colour
PORTRAIT_MM = (190.0, 250.0)  # the face's surroundings that a portrait shows
PORTRAIT_DISTANCE_MM = 1200.0


@dataclass(frozen=True)
class Sheet:
    """How a print lies in space, in millimetres and degrees.

    ``width_mm`` is the printed picture's, around it runs a white border. ``bend_mm`` is the radius of the cylinder
    about the vertical axis that the paper is bent round, its middle towards the camera; negative: the middle away from
    it; None: flat. The middle of the sheet is at ``centre_mm``; angles as for faces.
    """

    width_mm: float
    bend_mm: float | None = None
    border_mm: float = 10.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def place(self, across_mm: npt.NDArray[np.floating], up_mm: npt.NDArray[np.floating]) -> Points:
        """Points (n, 3) in space from their place on the paper, measured from its middle."""
        x, z = np.asarray(across_mm, np.float64), np.zeros(len(across_mm))
        if self.bend_mm is not None:
            if abs(self.bend_mm) < np.abs(x).max(initial=0) / np.pi:
                raise KitError(f"bend: found a radius of {self.bend_mm} mm, expected one that the paper fits round")
            angle = x / self.bend_mm
            x, z = self.bend_mm * np.sin(angle), self.bend_mm * (np.cos(angle) - 1)
        flat = np.stack([x, np.asarray(up_mm, np.float64), z], axis=1)
        return flat @ rotation(self.yaw_deg, self.pitch_deg, self.roll_deg).T + np.asarray(self.centre_mm)


def portrait_to_print(
    face: FaceParameters, appearance: Appearance, light: Light | None = None, *, px_per_mm: float = 2.5
) -> Portrait:
    """A portrait of a person from 1.2 m, straight from the front, to be printed."""
    width, height = (round(side * px_per_mm) for side in PORTRAIT_MM)
    focal_px = px_per_mm * PORTRAIT_DISTANCE_MM
    camera = Camera(PORTRAIT_DISTANCE_MM, focal_px, (width / 2, height / 2), size_px=width, height_px=height)
    return take_portrait(face, appearance, camera, light)


def print_points_mm(points: npt.NDArray[np.floating], shape: tuple[int, ...], sheet: Sheet) -> Points:
    """Where points (n, 2) of a printed picture of this ``shape`` lie in space, float64 (n, 3): a print's landmarks."""
    per_px = sheet.width_mm / shape[1]
    offset = (np.asarray(points, np.float64) + 0.5 - (shape[1] / 2, shape[0] / 2)) * per_px
    return sheet.place(offset[:, 0], -offset[:, 1])


def printed_sheet(picture: Picture, sheet: Sheet, *, gloss: float = 0.15) -> ColouredMesh:
    """A sheet of paper with a picture on it, uint8 (h, w, 3) RGB, in a white border.

    Raises :class:`KitError` for another kind of picture, or a bend that the paper does not fit round.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise KitError(f"print: found a picture {picture.dtype} {picture.shape}, expected uint8 (height, width, 3)")
    height_mm = sheet.width_mm * picture.shape[0] / picture.shape[1]
    rows, columns = (max(round(side / SPACING_MM), 2) for side in (height_mm, sheet.width_mm))
    border = max(round(sheet.border_mm / SPACING_MM), 1)
    ink = np.asarray(cv2.resize(decode_srgb(picture), (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
    colours = np.full((rows + 2 * border, columns + 2 * border, 3), PAPER, np.float32)
    colours[border:-border, border:-border] = INK + (PAPER - INK) * ink
    across = (np.arange(colours.shape[1]) - (colours.shape[1] - 1) / 2) * sheet.width_mm / columns
    up = -(np.arange(colours.shape[0]) - (colours.shape[0] - 1) / 2) * height_mm / rows
    x, y = np.meshgrid(across, up)
    mesh = Mesh(sheet.place(x.ravel(), y.ravel()).astype(np.float32), grid_triangles(*x.shape))
    return ColouredMesh(mesh, colours.reshape(-1, 3), np.full(x.size, gloss, np.float32), "print")
