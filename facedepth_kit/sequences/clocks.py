"""When two cameras saw what: nearest frames (equation 2), the difference of the starts, and paths of moving points."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.sequences.recordings import Stream

Matrix = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

LOST_PX = 0.7  # a point tracked forth and back that ends farther away was lost


def nearest_frames(lower_ms: Matrix, higher_ms: Matrix, shift_ms: float) -> npt.NDArray[np.intp]:
    """For each lower-quality time stamp the index of the nearest shifted higher-quality one (equation 2)."""
    shifted = higher_ms + shift_ms
    after = np.clip(np.searchsorted(shifted, lower_ms), 1, len(shifted) - 1)
    return np.where(lower_ms - shifted[after - 1] <= shifted[after] - lower_ms, after - 1, after)


def motion(stream: Stream) -> Matrix:
    """How much each picture differs from the one before: float64 (n - 1, 2) of time (ms) and mean change a second."""
    rows: list[tuple[float, float]] = []
    before: npt.NDArray[np.float32] | None = None
    for i, time in enumerate(stream.times_ms):
        small = cv2.resize(stream.picture(i), (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = np.asarray(small, np.float32)
        if before is not None:
            step = max(time - stream.times_ms[i - 1], 1.0)
            rows.append(((time + stream.times_ms[i - 1]) / 2, float(np.abs(small - before).mean()) * 1000 / step))
        before = small
    return np.asarray(rows)


def start_shift_ms(lower: Matrix, higher: Matrix, limit_s: float, *, step_ms: float = 10.0) -> float:
    """The shift at which two motion curves (n, 2) correlate best, over at least half of the shorter one.

    Raises :class:`KitError` when nothing moves or no shift makes them alike.
    """

    def curve(rows: Matrix) -> tuple[float, Matrix]:
        grid = np.arange(rows[0, 0], rows[-1, 0], step_ms)
        smooth = np.convolve(np.interp(grid, rows[:, 0], rows[:, 1]), np.ones(15) / 15, "same")
        return float(rows[0, 0]), smooth

    (start_l, a), (start_h, b) = curve(lower), curve(higher)
    if min(a.std(), b.std()) < 1e-3:
        raise KitError("alignment: found no motion in the pictures, expected a person who moves")
    best = (-1.0, 0.0)
    reach = int(limit_s * 1000 / step_ms)
    # Clocks may count from anywhere, so the search is about equal starts of the two recordings.
    for offset in range(-reach, reach + 1):
        low, high = max(0, offset), min(len(a), len(b) + offset)
        if high - low < 0.5 * min(len(a), len(b)):
            continue
        one, other = a[low:high], b[low - offset : high - offset]
        if min(one.std(), other.std()) < 1e-6:
            continue
        alike = float(np.corrcoef(one, other)[0, 1])
        best = max(best, (alike, start_l - start_h + offset * step_ms))
    if best[0] < 0.3:
        raise KitError(
            f"alignment: found motion that correlates by {best[0]:.2f} at most, expected two recordings of one scene "
            f"that start within {limit_s:g} s of each other"
        )
    return best[1]


def paths(
    pictures: Sequence[Picture], times_ms: Sequence[float], pixels: Matrix
) -> tuple[Matrix, Matrix, npt.NDArray[np.bool_]]:
    """How points (n, 2) of the middle one of three pictures move: px/ms (n, 2), px/ms² (n, 2) and which were tracked.

    A point is ``pixels + velocity * t + bend * t**2`` at ``t`` ms after its picture: the parabola through the three
    places that Lucas and Kanade's tracker finds. Untracked points get zeros.
    """
    velocity, bend = np.zeros_like(pixels), np.zeros_like(pixels)
    if not len(pixels):
        return velocity, bend, np.zeros(0, np.bool_)
    before, middle, after = (np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), np.uint8) for each in pictures)
    here = pixels.astype(np.float32)[:, None]
    tracked, places = np.ones(len(pixels), np.bool_), []
    for other in (before, after):
        there, found = _followed(middle, other, here)
        back, again = _followed(other, middle, there)
        tracked &= found & again & (np.linalg.norm((back - here)[:, 0], axis=1) < LOST_PX)
        places.append((there - here)[:, 0].astype(np.float64))
    earlier, later = times_ms[0] - times_ms[1], times_ms[2] - times_ms[1]
    bend[tracked] = (places[1] / later - places[0] / earlier)[tracked] / (later - earlier)
    velocity[tracked] = (places[1] / later)[tracked] - bend[tracked] * later
    return velocity, bend, tracked


def _followed(
    grey: Picture, other: Picture, points: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    there, found, _ = cv2.calcOpticalFlowPyrLK(grey, other, points, points.copy(), winSize=(17, 17), maxLevel=3)
    return np.asarray(there, np.float32), np.asarray(found)[:, 0] > 0
