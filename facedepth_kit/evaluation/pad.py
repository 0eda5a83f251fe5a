"""Presentation attack detection on depth at Dlib's 68 landmarks (section IV-G), and its error rates (ISO/IEC 30107-3).

The geometric PAD error is the share of invalid landmarks. A decision compares it with a threshold: an error of the
threshold or more means attack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, Mask
from facedepth_kit.evaluation.landmarks import Points, landmark_depths

# Dlib counts from 1 in Figure 12; these count from 0.
LANDMARKS = 68
NOSE_TIP = 30
CHIN = 8
JAW = slice(0, 17)


@dataclass(frozen=True, eq=False)
class PadResult:
    """Which landmarks break which rule: bool (68,) each, or (..., 68) for a stack."""

    hole: Mask
    before_nose: Mask
    jaw: Mask

    @property
    def invalid(self) -> Mask:
        """Landmarks that break any of the rules, bool (..., 68)."""
        return self.hole | self.before_nose | self.jaw

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """The geometric PAD error of each image, float64 of the stack's shape."""
        return np.asarray(self.invalid.mean(axis=-1), np.float64)

    @property
    def error(self) -> float:
        """The geometric PAD error of one image: invalid landmarks / 68 (0: a plausible face; 1: none at all)."""
        return float(self.errors)


def geometric_pad(depth: DepthImage, landmarks: Points) -> PadResult:
    """Hold the depth at the 68 landmarks against the three rules of section IV-G.

    ``depth`` is uint16 (..., height, width) with hole 65535, ``landmarks`` (..., 68, 2) pixels, x right and y down.
    A landmark is invalid if it has no depth; if it is nearer than the tip of the nose; or, on the jawline, if it is
    nearer than the landmark before it on the way from the chin. Holes are compared by their value as everything else,
    the farthest of all: with a hole at the tip of the nose every landmark is nearer, and the error is 1 (the maximum
    that Table VII reports); with a hole on the jawline the next landmark outwards is invalid, too. Raises
    :class:`KitError` for other shapes.
    """
    landmarks = np.asarray(landmarks)
    if landmarks.shape[-2:] != (LANDMARKS, 2):
        raise KitError(f"landmarks: found shape {landmarks.shape}, expected (..., {LANDMARKS}, 2)")
    values = landmark_depths(depth, landmarks)
    before_nose = values < values[..., NOSE_TIP, None]
    chin_out = (values[..., CHIN::-1], values[..., CHIN : JAW.stop])
    right, left = (side[..., 1:] < side[..., :-1] for side in chin_out)
    jaw = np.zeros(values.shape, np.bool_)
    jaw[..., :CHIN] = right[..., ::-1]
    jaw[..., CHIN + 1 : JAW.stop] = left
    return PadResult(values == HOLE, before_nose, jaw)
