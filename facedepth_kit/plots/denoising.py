"""People's depth as sculptures, from the front and turned (Figures 4 and 5 of the second paper)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.depth import DepthRange, Picture, from_millimetres
from facedepth_kit.plots.colours import shaded_relief
from facedepth_kit.sequences.reprojection import reproject, rigid

FloatArray = npt.NDArray[np.float32]
SPAN_MM = 900.0


def sculpture(depth_mm: FloatArray, middle_mm: float, camera: Intrinsics) -> Picture:
    """Depth (rows, columns) mm, NaN = nothing, about a middle distance, as a grey sculpture (rows, columns, 3)."""
    depth = from_millimetres(depth_mm, DepthRange(middle_mm - SPAN_MM / 2, SPAN_MM))
    return shaded_relief(depth, DepthRange(0.0, SPAN_MM), pixel_mm=middle_mm / camera.fx)


def turned(depth_mm: FloatArray, middle_mm: float, camera: Intrinsics, angle_deg: float = 25.0) -> FloatArray:
    """The surface turned about the upright axis through its middle, seen by the same camera."""
    half = np.radians(angle_deg) / 2
    turn = rigid([0.0, np.sin(half), 0.0, np.cos(half)], [0.0, 0.0, 0.0])
    centre = np.array([0.0, 0.0, middle_mm])
    turn[:3, 3] = centre - turn[:3, :3] @ centre
    return reproject(depth_mm, camera, turn, camera).depth_mm
