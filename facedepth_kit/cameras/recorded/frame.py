"""One recorded frame, as every camera and every data set hands it on: depth, the picture beside it, and what is known.

Cameras' own units end here: ``depth`` keeps the camera's steps with 0 as hole, ``unit_mm`` says what a step is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera in pixels; the centre of the top left pixel is (0, 0), as in the RealSense SDK."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """A depth frame and what belongs to it.

    ``depth`` is uint16 (height, width) in steps of ``unit_mm`` millimetres, 0 = hole. ``picture`` is the aligned colour
    (uint8, (height, width, 3) RGB) or infrared image (uint8 or uint16, (height, width)), or None. ``marks`` are known
    points in the image, float64 (n, 2), x right and y down in pixels, NaN where unknown; ``mark_names`` their names.
    ``person``, ``session`` and ``variant`` are empty where a source does not say them. ``simulated`` marks what no
    camera has seen: tables and captions made from it must say so. ``metric`` is false where a source keeps depth as
    grey levels, not in millimetres: ``unit_mm`` is then a step's nominal size.
    """

    name: str
    depth: npt.NDArray[np.uint16]
    unit_mm: float = 1.0
    picture: npt.NDArray[np.generic] | None = None
    intrinsics: Intrinsics | None = None
    person: str = ""
    session: str = ""
    variant: str = ""
    marks: npt.NDArray[np.float64] | None = None
    mark_names: tuple[str, ...] = ()
    simulated: bool = False
    metric: bool = True

    def __post_init__(self) -> None:
        if not (np.isfinite(self.unit_mm) and self.unit_mm > 0):
            raise KitError(f"{self.name}: found a unit of {self.unit_mm} mm, expected millimetres per step above 0")
        if self.depth.dtype != np.uint16 or self.depth.ndim != 2:
            raise KitError(
                f"{self.name}: found depth {self.depth.dtype} of shape {self.depth.shape}, expected uint16 (height, "
                "width)"
            )
        if self.picture is not None and self.picture.shape[:2] != self.depth.shape:
            raise KitError(
                f"{self.name}: found a picture of {self.picture.shape[:2]}, expected that of the depth image, "
                f"{self.depth.shape}"
            )

    def millimetres(self) -> npt.NDArray[np.float32]:
        """The depth as float32 (height, width) millimetres, NaN = hole."""
        return np.where(self.depth > 0, self.depth * np.float32(self.unit_mm), np.float32(np.nan)).astype(np.float32)
