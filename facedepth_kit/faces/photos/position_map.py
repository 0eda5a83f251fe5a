"""UV position maps: pictures whose pixels are points of a face, and the mesh that lies in one (PRNet's output).

A position map is float32 (256, 256, 3): x and y in pixels of the network's input crop, z in the same unit, larger =
nearer to the camera. Which pixels belong to the face, and which of them are landmarks, two index files of PRNet say;
the triangles follow from the first by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file
from facedepth_kit.depth import Picture

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

SIDE = 256
VERTICES = 43_867  # entries of the official face_ind.txt
LANDMARKS = 68
# Section III-A gives no crop; these are PRNet's own: how much larger than a face box, and Dlib's box lies too high.
BOX_GROWTH, DLIB_GROWTH, DLIB_DROP = 1.6, 1.58, 0.14


@dataclass(frozen=True, eq=False)
class Crop:
    """What a network sees of a photo, and the way back.

    ``pixels`` is float32 (side, side, 3) RGB in 0..1; black where the photo ends. ``to_photo`` (2, 3) maps crop
    coordinates to the photo's (0 = centre of the first pixel in both); ``step`` is photo pixels a crop pixel.
    """

    pixels: FloatArray
    to_photo: npt.NDArray[np.float64]
    step: float

    def restore(self, points: npt.NDArray[np.floating]) -> FloatArray:
        """Points (..., 3) of the crop in photo pixels, z in the same unit."""
        matrix = np.zeros((3, 3))
        matrix[:2, :2], matrix[2, 2] = self.to_photo[:, :2], self.step
        return (points @ matrix.T + np.append(self.to_photo[:, 2], 0.0)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Topology:
    """What is the same in all position maps of a kind.

    ``index`` int32 (V,): the face's pixels as row x 256 + column, sorted. ``triangles`` int32 (T, 3) of positions in
    ``index``; clockwise seen from outside once y points up. ``landmarks`` int32 (n, 2): column and row of each.
    """

    index: IntArray
    triangles: IntArray
    landmarks: IntArray

    def vertices(self, position_map: FloatArray) -> FloatArray:
        """The face's points (V, 3) in a position map (256, 256, 3)."""
        return np.ascontiguousarray(position_map.reshape(-1, 3)[self.index])

    def landmark_points(self, position_map: FloatArray) -> FloatArray:
        """The landmarks (n, 3) in a position map (256, 256, 3)."""
        return np.ascontiguousarray(position_map[self.landmarks[:, 1], self.landmarks[:, 0]])


def triangles_of(index: npt.NDArray[np.integer], side: int = SIDE) -> IntArray:
    """The triangles (T, 3) between the given pixels of a square map, in PRNet's order.

    Each cell of four neighbouring pixels A B / C D gives (A, B, C) and (B, D, C), row by row; those with all corners
    in ``index`` (sorted) stay, but for the first one, which PRNet's own list lacks. The numbers are positions in
    ``index``.
    """
    number = np.full(side * side, -1, np.int32)
    number[index] = np.arange(len(index), dtype=np.int32)
    corner = np.arange(side * side, dtype=np.int32).reshape(side, side)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    triangles = number[np.stack([a, b, c, b, d, c], axis=-1).reshape(-1, 3)]
    return np.ascontiguousarray(triangles[(triangles >= 0).all(axis=1)][1:])


def load_topology(folder: str | Path) -> Topology:
    """Read PRNet's ``face_ind.txt`` and ``uv_kpt_ind.txt`` from a folder (``Data/uv-data`` of its repository).

    Raises :class:`KitError` for missing files and for anything but 43,867 sorted pixels and 2 x 68 coordinates.
    """
    folder = Path(folder)
    index = _numbers(folder / "face_ind.txt").ravel()
    if len(index) != VERTICES or index[0] < 0 or index[-1] >= SIDE * SIDE or (np.diff(index) <= 0).any():
        expected = f"{VERTICES} ascending pixel numbers below {SIDE * SIDE}"
        raise KitError(f"{folder / 'face_ind.txt'}: found {len(index)} numbers, expected {expected}")
    points = _numbers(folder / "uv_kpt_ind.txt")
    if points.shape != (2, LANDMARKS) or points.min() < 0 or points.max() >= SIDE:
        found = f"numbers of shape {points.shape}"
        raise KitError(f"{folder / 'uv_kpt_ind.txt'}: found {found}, expected 2 x {LANDMARKS} below {SIDE}")
    return Topology(index, triangles_of(index), np.ascontiguousarray(points.T))


def _numbers(path: Path) -> IntArray:
    """A text file of whole numbers, written as floats as NumPy does."""
    if not path.exists():
        raise KitError(f"{path}: missing, expected the file of that name from github.com/YadiraF/PRNet")
    try:
        lines = read_file(path, "a table of numbers").decode("ascii").splitlines()
        rows = [line.split() for line in lines if line.strip()]
        values = np.array(rows, np.float64)
    except ValueError as error:
        raise KitError(f"{path}: found no table of numbers ({type(error).__name__}), expected PRNet's") from None
    if values.size == 0 or not np.array_equal(values, np.rint(values)):
        raise KitError(f"{path}: found {values.size} numbers, some not whole, expected pixel numbers")
    return values.astype(np.int32)


def dlib_square(rectangle: Sequence[float]) -> tuple[tuple[float, float], int]:
    """Centre (x, y) and side in pixels of PRNet's crop for Dlib's rectangle (left, top, right, bottom)."""
    left, top, right, bottom = rectangle
    old = (right - left + bottom - top) / 2
    return ((left + right) / 2, (top + bottom) / 2 + DLIB_DROP * old), int(DLIB_GROWTH * old)


def box_square(box: Sequence[float]) -> tuple[tuple[float, float], int]:
    """Centre (x, y) and side in pixels of PRNet's crop for a face box or the box of key points."""
    left, top, right, bottom = box
    return ((left + right) / 2, (top + bottom) / 2), int(BOX_GROWTH * (right - left + bottom - top) / 2)


def square_crop(picture: Picture, centre: tuple[float, float], size: int) -> Crop:
    """PRNet's crop: the square of ``size`` photo pixels around ``centre`` as 256 x 256 (its edges at 0 and 255).

    ``picture`` is uint8 RGB (height, width, 3). Raises :class:`KitError` for a square of less than 8 pixels.
    """
    if size < 8:
        raise KitError(f"face: found a crop of {size} pixels, expected 8 or more")
    step = size / (SIDE - 1)
    to_photo = np.array([[step, 0, centre[0] - size / 2], [0, step, centre[1] - size / 2]])
    return Crop(cut(picture, to_photo, SIDE), to_photo, step)


def cut(picture: Picture, to_photo: npt.NDArray[np.float64], side: int) -> FloatArray:
    """A part of a picture, float32 (side, side, 3) in 0..1, sampled between pixels; black outside.

    ``to_photo`` (2, 3) maps its coordinates to the picture's. Where it shrinks by two or more, pixels are averaged
    first: single samples of a large photo would flicker.
    """
    corners = np.array([[0, 0, 1], [side - 1, 0, 1], [0, side - 1, 1], [side - 1, side - 1, 1]]) @ to_photo.T
    height, width = picture.shape[:2]
    factor = max(int(np.linalg.norm(to_photo[:, 0])), 1)
    low = np.floor(corners.min(axis=0)).astype(int) - 2 * factor
    high = np.ceil(corners.max(axis=0)).astype(int) + 2 * factor + 1
    x0, y0 = (int(np.clip(low[axis], 0, limit)) for axis, limit in ((0, width), (1, height)))
    x1, y1 = (int(np.clip(high[axis], 0, limit)) for axis, limit in ((0, width), (1, height)))
    part = picture[y0:y1, x0:x1]
    if part.size == 0:
        return np.zeros((side, side, 3), np.float32)
    if factor > 1:
        # Whole blocks only, so that the coordinates stay exact; the photo's rim is repeated to fill the last ones.
        more = [(-length) % factor for length in part.shape[:2]]
        part = np.pad(part, ((0, more[0]), (0, more[1]), (0, 0)), mode="edge")
        shape = (part.shape[1] // factor, part.shape[0] // factor)
        part = np.asarray(cv2.resize(np.ascontiguousarray(part), shape, interpolation=cv2.INTER_AREA))
    matrix = to_photo.copy()
    matrix[:, 2] += 0.5 - np.array([x0, y0])
    matrix /= factor
    matrix[:, 2] -= 0.5
    values = part.astype(np.float32) / np.float32(255)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(values, matrix, (side, side), flags=flags), np.float32)
