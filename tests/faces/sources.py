"""A small mesh source of the tests' own: every crop holds a bowl whose depth is the crop's brightness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facedepth_kit.faces.detection import Face
from facedepth_kit.faces.photos.position_map import Crop, box_square, square_crop, triangles_of
from facedepth_kit.faces.photos.reconstruction import PhotoFace, mesh_in_millimetres
from facedepth_kit.rendering.mesh import Mesh

SIDE = 24


class Bowls:
    """Dark crops give flat bowls, bright ones deep ones; red ones show no face, blue ones a torn one."""

    name = "Bowls"
    fingerprint = "bowls-1"

    def __init__(self) -> None:
        self.triangles: npt.NDArray[np.int32] = triangles_of(np.arange(SIDE * SIDE), SIDE)[:, [0, 2, 1]]
        self.batches: list[int] = []

    def crop(self, picture: npt.NDArray[np.uint8], face: Face) -> Crop:
        return square_crop(picture, *box_square(face.box))

    def faces(self, crops: Sequence[Crop]) -> list[PhotoFace | None]:
        self.batches.append(len(crops))
        return [self._face(crop) for crop in crops]

    def _face(self, crop: Crop) -> PhotoFace | None:
        red, green, blue = crop.pixels.mean(axis=(0, 1))
        if red > 2 * green:
            return None
        v, u = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1) * 2 - 1
        height = (20 + 60 * green) * (1 - (u**2 + v**2) / 2)
        points = np.stack([127.5 + 90 * u, 127.5 + 90 * v, height], axis=-1).reshape(-1, 3)
        if blue > 2 * green:
            points[100] = (2000.0, 2000.0, 3000.0)
        vertices = crop.restore(points)
        places = np.linspace(0, SIDE * SIDE - 1, 68).astype(int)
        places[places == 100] = 101
        return PhotoFace(vertices, vertices[places])

    def mesh(self, face: PhotoFace) -> Mesh:
        return mesh_in_millimetres(face.vertices_px, self.triangles, face.landmarks_px)
