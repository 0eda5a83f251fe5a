"""Slanted planes before one camera, whose depth is worked out by hand."""

import numpy as np

from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import Mesh

CAMERA = Camera(distance_mm=500, focal_px=500, centre_px=(128, 128))


def plane(slope: float, at_mm: float, half_mm: float = 400) -> Mesh:
    """z = at + slope * x, two triangles."""
    corners = [
        (x, y, at_mm + slope * x)
        for x, y in ((-half_mm, -half_mm), (half_mm, -half_mm), (half_mm, half_mm), (-half_mm, half_mm))
    ]
    return Mesh(np.asarray(corners, np.float32), np.asarray([[0, 1, 2], [0, 2, 3]], np.int32))


def rays() -> tuple[np.ndarray, np.ndarray]:
    """Direction (x, y up) per unit of depth through each pixel's centre."""
    offset = (np.arange(256) + 0.5 - 128) / 500
    return np.meshgrid(offset, -offset)
