"""What the second paper's networks see of a frame, and the way back to its pixels and millimetres (sections 5 to 7.1).

The networks work at a part of the frame's resolution: each value is a mean over a block of pixels. The lower-quality
sensor's error is shared by neighbours within some ten pixels, so little that could help is lost, and a step costs a
fraction. Depth is told from the person's own median, which is taken away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.networks.denoisers import SIDE_MULTIPLE

FloatArray = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Picture = npt.NDArray[np.uint8]

STEP_PX = 4
SPAN_MM = 300.0  # one unit of the networks' depth: about half a person's extent
FARTHEST = 2.0  # what is farther from the person's median counts as this
PERSON_BAND_MM = 450.0
LEAST_PERSON_PX = 500


@dataclass(frozen=True, eq=False)
class SmallFrame:
    """A frame at the networks' resolution.

    ``picture`` uint8 (h, w, 3); ``depth_mm`` float32 (h, w), the mean of the person's pixels in each block, or of all
    measured ones where there is no person, NaN where nothing was measured; ``person`` float32 (h, w), each block's
    share.
    """

    picture: Picture
    depth_mm: FloatArray
    person: FloatArray

    @property
    def middle_mm(self) -> float:
        """The person's median depth. Raises :class:`KitError` where no depth was measured on a person."""
        values = self.depth_mm[(self.person > 0) & np.isfinite(self.depth_mm)]
        if not len(values):
            raise KitError("found no depth on a person, expected some")
        return float(np.median(values))


def block_mean(values: FloatArray, known: Mask, step_px: int) -> FloatArray:
    """Means over blocks of the known values of (rows, columns), NaN where a block has none; a rest is left out."""
    rows, columns = (side // step_px for side in values.shape)
    shape = rows, step_px, columns, step_px
    cut = np.s_[: rows * step_px, : columns * step_px]
    count = known[cut].reshape(shape).sum(axis=(1, 3), dtype=np.float32)
    total = np.where(known, values, np.float32(0))[cut].reshape(shape).sum(axis=(1, 3), dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), np.float32(np.nan)).astype(np.float32)


def make_small(depth_mm: FloatArray, picture: Picture, person: Mask, step_px: int = STEP_PX) -> SmallFrame:
    """A frame (rows, columns), NaN = hole, with its aligned picture and the person's mask, made smaller."""
    if depth_mm.shape != person.shape or picture.shape != (*depth_mm.shape, 3):
        found = f"{depth_mm.shape}, {picture.shape} and {person.shape}"
        raise KitError(f"frame: found depth, picture and mask of {found}, expected one size")
    measured = np.isfinite(depth_mm)
    on_person = block_mean(depth_mm, measured & person, step_px)
    anywhere = block_mean(depth_mm, measured, step_px)
    size = on_person.shape[1] * step_px, on_person.shape[0] * step_px
    small = cv2.resize(picture[: size[1], : size[0]], on_person.shape[::-1], interpolation=cv2.INTER_AREA)
    share = block_mean(person.astype(np.float32), np.ones(person.shape, np.bool_), step_px)
    return SmallFrame(
        np.asarray(small, np.uint8), np.where(np.isfinite(on_person), on_person, anywhere), share.astype(np.float32)
    )


def as_unit(depth_mm: FloatArray, middle_mm: float) -> FloatArray:
    """Millimetres as the networks see them: about the person's median, in spans of 300 mm; holes 0."""
    unit = np.nan_to_num((depth_mm - np.float32(middle_mm)) / np.float32(SPAN_MM))
    return np.clip(unit, -FARTHEST, FARTHEST).astype(np.float32)


def network_input(frame: SmallFrame, middle_mm: float, predicted_mm: FloatArray | None = None) -> FloatArray:
    """The channels (h, w, 7): colour 0..1, depth, person, x and y from -1 to 1; and an eighth, M1's prediction."""
    height, width = frame.depth_mm.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    channels = [
        *np.moveaxis(frame.picture.astype(np.float32) / 255, -1, 0),
        as_unit(frame.depth_mm, middle_mm),
        frame.person,
        x,
        y,
    ]
    if predicted_mm is not None:
        channels.append(as_unit(predicted_mm, middle_mm))
    return np.stack(channels, axis=-1).astype(np.float32)


def padded(channels: FloatArray) -> FloatArray:
    """Zeros at the right and below, so that both sides of (h, w, c) are multiples of 16."""
    height, width = channels.shape[:2]
    return np.pad(channels, ((0, -height % SIDE_MULTIPLE), (0, -width % SIDE_MULTIPLE), (0, 0)))


def enlarge(depth_mm: FloatArray, person: Mask, step_px: int = STEP_PX) -> FloatArray:
    """Small depth (h, w), NaN = unknown, at the frame's own pixels within ``person`` (rows, columns), NaN elsewhere.

    Linear between the blocks that are known, so that no background is mixed in.
    """
    known = np.isfinite(depth_mm).astype(np.float32)
    size = depth_mm.shape[1] * step_px, depth_mm.shape[0] * step_px
    filled = cv2.resize(np.nan_to_num(depth_mm), size, interpolation=cv2.INTER_LINEAR)
    weight = cv2.resize(known, size, interpolation=cv2.INTER_LINEAR)
    with np.errstate(invalid="ignore", divide="ignore"):
        large = np.where(weight > 0.01, filled / weight, np.float32(np.nan))
    result = np.full(person.shape, np.nan, np.float32)
    rows, columns = min(size[1], person.shape[0]), min(size[0], person.shape[1])
    result[:rows, :columns] = large[:rows, :columns]
    return np.where(person, result, np.float32(np.nan))


def person_by_depth(depth_mm: FloatArray, band_mm: float = PERSON_BAND_MM) -> Mask:
    """The person's mask (rows, columns) by depth thresholding: the largest connected surface about the nearest one.

    The nearest tenth of the depths in the frame's middle half tells how far away the person is; everything within
    ``band_mm`` of that belongs to them where it hangs together. Raises :class:`KitError` where nothing does.
    """
    rows, columns = depth_mm.shape
    middle = depth_mm[rows // 8 : rows - rows // 8, columns // 4 : columns - columns // 4]
    values = middle[np.isfinite(middle)]
    if len(values) < LEAST_PERSON_PX:
        raise KitError(f"found {len(values)} measured pixels in the middle, expected a person")
    near = float(np.percentile(values, 10))
    within = (np.abs(np.nan_to_num(depth_mm, nan=-1e6) - near) < band_mm).astype(np.uint8)
    closed = cv2.morphologyEx(within, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
    if count < 2 or stats[1:, cv2.CC_STAT_AREA].max() < LEAST_PERSON_PX:
        raise KitError("found no connected surface of a person's size, expected one")
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()), np.bool_)
