"""Where what is seen now was a moment ago: optical flow between two pictures of one camera."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


def places_before(now: npt.NDArray[np.uint8], before: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Columns and rows, float32 (rows, columns), where each pixel of a grey picture lies in another (OpenCV's DIS)."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    moved = flow.calc(now, before, np.zeros((*now.shape, 2), np.float32))
    rows, columns = np.mgrid[0 : now.shape[0], 0 : now.shape[1]].astype(np.float32)
    return columns + moved[..., 0], rows + moved[..., 1]
