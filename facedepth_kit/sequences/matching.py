"""Key points of two pictures and which of them are the same (section 4.1).

The paper takes SuperPoint; its weights come with no package, so these are SIFT's, matched both ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KeyPoints:
    """``pixels`` float64 (n, 2), x right and y down; ``descriptors`` float32 (n, 128) of unit length."""

    pixels: Points
    descriptors: npt.NDArray[np.float32]


def key_points(picture: npt.NDArray[np.uint8], *, most: int = 1200) -> KeyPoints:
    """SIFT's key points of an RGB picture (rows, columns, 3), the strongest ``most``, with RootSIFT descriptors."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    found, descriptors = cv2.SIFT.create(nfeatures=most, contrastThreshold=0.02).detectAndCompute(grey, None)
    if descriptors is None or len(found) == 0:
        return KeyPoints(np.empty((0, 2)), np.empty((0, 128), np.float32))
    root = np.sqrt(descriptors / np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-6)).astype(np.float32)
    return KeyPoints(np.asarray([point.pt for point in found], np.float64), root)


def matched(
    first: KeyPoints, second: KeyPoints, *, near_px: float | None = None, ratio: float = 0.85
) -> npt.NDArray[np.intp]:
    """Pairs (m, 2) of indices: each the other's best, clearly better than the next, and within ``near_px`` if given."""
    if min(len(first.pixels), len(second.pixels)) < 2:
        return np.empty((0, 2), np.intp)
    likeness = first.descriptors @ second.descriptors.T
    if near_px is not None:
        one, other = first.pixels.astype(np.float32), second.pixels.astype(np.float32)
        away = (one[:, :1] - other[:, 0]) ** 2 + (one[:, 1:] - other[:, 1]) ** 2
        likeness = np.where(away <= near_px**2, likeness, np.float32(-1))
    best = likeness.argmax(axis=1)
    rows = np.arange(len(best))
    highest = likeness[rows, best].copy()
    mutual = likeness.argmax(axis=0)[best] == rows
    likeness[rows, best] = -1.0
    distance, next_distance = (np.sqrt(np.maximum(2 - 2 * value, 0)) for value in (highest, likeness.max(axis=1)))
    kept = np.flatnonzero(mutual & (highest > 0) & (distance < ratio * next_distance))
    return np.stack([kept, best[kept]], axis=1)
