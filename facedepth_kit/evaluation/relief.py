"""A plausibility check for faces (ours): how far does the nose stand out of the best bent sheet through the landmarks?

Section IV-G speaks of a real-time check in which "sufficiently large or implausible depth deviations" at Dlib's
landmarks lead to rejection, and which detects bent paper; it gives no rule. The geometric PAD error alone is none: it
counts landmarks, not millimetres, and a sheet that is bent like a face has the ends of the jaw behind the nose, too.
The kit's rule fits the surface that paper can take, a plane bent about one axis, to the landmarks without the nose, and
measures how far the tip of the nose stands before it. A print, flat or bent, has about 0 mm whatever its bend. On real
faces (66 Kinect v2 and 7 TrueDepth frames) it was 14 to 47 mm; simulated faces with flat noses go down to 3 mm,
simulated prints up to 2 mm. The thresholds lie between.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, DepthRange, check_depth
from facedepth_kit.evaluation.landmarks import Points
from facedepth_kit.evaluation.pad import LANDMARKS, NOSE_TIP

FloatArray = npt.NDArray[np.float64]

NOSE = range(27, 36)
DIRECTIONS = 18
PASSES = 3


@dataclass(frozen=True)
class ReliefSettings:
    """When a relief is plausible (ours).

    The nose must stand out by ``least_mm`` to ``most_mm``. ``landmarks`` is the share of the 59 other landmarks that
    must have depth. ``window_px``: odd side of the window whose median is a landmark's depth, against noise and single
    holes.
    """

    least_mm: float = 5.0
    most_mm: float = 60.0
    landmarks: float = 0.5
    window_px: int = 5


@dataclass(frozen=True)
class Relief:
    """``nose_mm``: how far the tip of the nose stands before the sheet; NaN without depth there or at too few others.

    ``sheet_mm``: mean distance of the other landmarks from the sheet.
    """

    nose_mm: float
    sheet_mm: float

    def plausible(self, settings: ReliefSettings | None = None) -> bool:
        """Whether this may be a face; False for what could not be measured."""
        chosen = settings or ReliefSettings()
        return chosen.least_mm <= self.nose_mm <= chosen.most_mm


def face_relief(
    depth: DepthImage, landmarks: Points, depth_range: DepthRange, settings: ReliefSettings | None = None
) -> Relief:
    """Fit a sheet of paper to the landmarks of one depth image and measure how far the nose stands out of it.

    ``depth`` is uint16 (height, width) with hole 65535, ``landmarks`` (68, 2) pixels, ``depth_range`` its span. Raises
    :class:`KitError` for other shapes.
    """
    chosen = settings or ReliefSettings()
    check_depth(depth, size=None)
    points: FloatArray = np.asarray(landmarks, np.float64)
    if depth.ndim != 2 or points.shape != (LANDMARKS, 2):
        raise KitError(f"relief: found depth {depth.shape}, landmarks {points.shape}, expected one image and 68")
    values = _medians(depth, points, chosen.window_px) * (depth_range.span_mm / FARTHEST)
    others = np.isfinite(values)
    others[list(NOSE)] = False
    if not np.isfinite(values[NOSE_TIP]) or others.sum() < chosen.landmarks * (LANDMARKS - len(NOSE)):
        return Relief(float("nan"), float("nan"))
    residuals = sheet_residuals(points, values, others)
    return Relief(float(-residuals[NOSE_TIP]), float(np.abs(residuals[others]).mean()))


def sheet_residuals(points: FloatArray, depth_mm: FloatArray, used: npt.NDArray[np.bool_]) -> FloatArray:
    """Depth less that of the bent sheet that fits best, float64 (n,), at points (n, 2).

    The sheet is a plane plus a parabola along one direction (every 10 degrees is tried); ``used`` says which points it
    is fitted to, from which outliers are dropped (2.5 times the median deviation).
    """
    centred = points - points[used].mean(axis=0)
    centred = centred / max(float(np.abs(centred[used]).max()), 1e-9)
    angles = np.arange(DIRECTIONS) * (np.pi / DIRECTIONS)
    along = np.stack([np.cos(angles), np.sin(angles)], axis=1) @ centred.T
    plane = np.broadcast_to(np.column_stack([np.ones(len(points)), centred]), (DIRECTIONS, len(points), 3))
    terms = np.concatenate([plane, along[..., None] ** 2], axis=2)
    depth = np.where(np.isfinite(depth_mm), depth_mm, 0.0)
    chosen = np.broadcast_to(used, (DIRECTIONS, len(points)))
    residuals = np.zeros((DIRECTIONS, len(points)))
    for _ in range(PASSES):
        weighted = np.where(chosen[..., None], terms, 0.0)
        # A pinch of damping keeps landmarks on one line from being without a solution.
        squares = weighted.transpose(0, 2, 1) @ terms + 1e-9 * np.eye(4)
        coefficients = np.linalg.solve(squares, weighted.transpose(0, 2, 1) @ depth[:, None])
        residuals = depth_mm - (terms @ coefficients)[..., 0]
        deviation = 1.4826 * np.nanmedian(np.where(chosen, np.abs(residuals), np.nan), axis=1)
        with np.errstate(invalid="ignore"):
            chosen = used & (np.abs(residuals) <= np.maximum(2.5 * deviation, 1.0)[:, None])
    costs = np.abs(residuals[:, used]).mean(axis=1)
    return np.asarray(residuals[int(np.argmin(costs))])


def _medians(depth: DepthImage, points: FloatArray, window_px: int) -> FloatArray:
    """Median of the measured pixels in a window around each point, in depth steps; NaN for points in a hole."""
    reach = window_px // 2
    height, width = depth.shape
    medians = np.full(len(points), np.nan)
    for index, (x, y) in enumerate(np.floor(points + 0.5)):
        if not (0 <= x < width and 0 <= y < height):
            continue
        column, row = int(x), int(y)
        window = depth[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
        measured = window[window != HOLE]
        if 2 * measured.size > window.size:
            medians[index] = float(np.median(measured))
    return medians
