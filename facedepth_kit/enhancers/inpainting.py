"""What the paper left out and anyone would try first: OpenCV's inpainting, alone and followed by a bilateral filter.

These rows are ours. Every hole is filled, the whole background included, as the methods know of no face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, SIZE, DepthImage, check_depth, holes


@dataclass(frozen=True)
class Bilateral:
    """A smoothing that spares edges: Gaussian in distance (``sigma_px``) times Gaussian in depth (``sigma_depth``).

    ``sigma_depth`` is a share of the image's 16-bit span. ``window_px`` is the odd side of the window.
    """

    window_px: int = 9
    sigma_px: float = 3.0
    sigma_depth: float = 0.12

    def __post_init__(self) -> None:
        if not (self.window_px >= 3 and self.window_px % 2 == 1 and self.sigma_px > 0 and self.sigma_depth > 0):
            raise KitError(
                f"bilateral filter: found window {self.window_px} px, sigmas {self.sigma_px} px and "
                f"{self.sigma_depth}, expected an odd window of 3 px or more and sigmas above 0"
            )


@dataclass(frozen=True)
class Inpainting:
    """One of OpenCV's two inpainting methods, with the radius of the neighbourhood that a hole pixel is filled from.

    Radius and bilateral filter were tried on simulated pairs (own span and 25 cm) and on real Kinect v2 faces with
    holes punched: radii from 1 to 5 px differ by 5 %, larger ones only cost time.
    """

    method: Literal["telea", "navier-stokes"] = "telea"
    radius_px: float = 2.0
    bilateral: Bilateral | None = None

    def __post_init__(self) -> None:
        if self.method not in ("telea", "navier-stokes"):
            raise KitError(f"inpainting: found method {self.method!r}, expected 'telea' or 'navier-stokes'")
        if not 1 <= self.radius_px <= 100:
            raise KitError(f"inpainting: found radius {self.radius_px} px, expected 1 to 100")


ROWS: dict[str, Inpainting] = {
    "Telea": Inpainting("telea"),
    "Navier-Stokes": Inpainting("navier-stokes"),
    "Telea+bilateral": Inpainting("telea", bilateral=Bilateral()),
    "Navier-Stokes+bilateral": Inpainting("navier-stokes", bilateral=Bilateral()),
}


def inpainted(depth: DepthImage, settings: Inpainting) -> DepthImage:
    """Fill every hole of a depth image or a stack, and smooth if the settings say so.

    ``depth``: uint16 (256, 256) or (n, 256, 256), hole 65535; it is not modified. Returns a new array of the same
    shape and dtype without holes; an image of holes only stays as it is. Without the bilateral filter, pixels that
    were no holes keep their value. Raises :class:`KitError` for another shape or dtype.
    """
    check_depth(depth)
    result = np.empty(depth.shape, np.uint16)
    for image, out in zip(depth.reshape(-1, SIZE, SIZE), result.reshape(-1, SIZE, SIZE), strict=True):
        out[...] = _inpainted(np.ascontiguousarray(image), settings)
    return result


def _inpainted(image: DepthImage, settings: Inpainting) -> DepthImage:
    missing = holes(image)
    if missing.all():
        return image.copy()
    method = cv2.INPAINT_TELEA if settings.method == "telea" else cv2.INPAINT_NS
    # OpenCV reads masked pixels here and there (a few units of difference): give all holes one value, and a fixed one.
    filled = cv2.inpaint(np.where(missing, np.uint16(0), image), missing.astype(np.uint8), settings.radius_px, method)
    if settings.bilateral is not None:
        how = settings.bilateral
        smooth = cv2.bilateralFilter(filled.astype(np.float32), how.window_px, how.sigma_depth * FARTHEST, how.sigma_px)
        filled = np.rint(smooth).astype(np.uint16)
    return np.minimum(filled, np.uint16(FARTHEST))  # 65535 would read as a hole
