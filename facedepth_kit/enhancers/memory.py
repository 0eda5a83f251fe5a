"""What earlier frames of a recording saw of a face, beside what this one sees (ours; the papers take frames alone).

A face that is seen again is measured again, with other noise and other holes. Its last few crops are carried into this
one's place by optical flow between the pictures, and moved in depth by the smooth part of the difference, so that
neither a head that comes nearer nor one that turns is an error. An earlier value then counts only where it lies within
this sensor's noise of what is measured now, or, in a hole, where it did all around; and only where the pictures agree.
A crop most of which disagrees shows something else and is passed over: nothing is left of a scene that was cut. What is
measured is taken from, not what was made of it, so that any frame can be enhanced again alone, with the few before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.depth import CAMERA_SPAN_MM, HOLE, SIZE, DepthImage, Mask, from_millimetres, to_millimetres
from facedepth_kit.enhancers.measured_bias import LEAST_MOVE, noise_steps
from facedepth_kit.faces.detection import to_grey
from facedepth_kit.sequences.flow import places_before

FloatArray = npt.NDArray[np.float32]

EARLIER = 3  # crops that are looked at: from more than those nothing was gained
DEVIATIONS = 3.0  # of the noise, within which values agree; at least a quarter of the least move (0.75 mm)
MOST_SHIFT_MM = 15.0  # between two frames' depths of one place, once both heads are as far away
SHIFT_SIGMA_PX, TRUST_SIGMA_PX, GREY_SIGMA_PX = 12.0, 4.0, 2.0
REDUCED = 4  # the shift is smooth: it is looked for in an image smaller by that
TRUSTED, SAME_FACE = 0.7, 0.6  # shares of agreeing pixels: around a pixel, and of the face
MEASURED = 0.99  # of what an interpolated value comes from
GREY_STEPS = 8.0  # by which pictures may differ, of 255


def with_earlier(crop: FaceCrop, earlier: Sequence[FaceCrop]) -> DepthImage:
    """The crop's depth, uint16 (256, 256), averaged with what ``earlier`` crops of the same camera saw, holes filled.

    Without earlier crops, without pictures, and after another scene it is the crop's own. Holes that no earlier crop
    can fill stay holes.
    """
    measured = crop.depth != HOLE
    near = max(DEVIATIONS * noise_steps(crop.depth), LEAST_MOVE * HOLE / 4) * CAMERA_SPAN_MM / HOLE
    own_mm = to_millimetres(crop.depth, crop.depth_range)
    total, count = np.where(measured, own_mm, 0), measured.astype(np.float32)
    for one in earlier:
        if crop.picture is None or one.picture is None:
            continue
        carried_mm = _carried(crop, one, own_mm, near)
        known = np.isfinite(carried_mm)
        total += np.where(known, carried_mm, 0)
        count += known
    added = count > measured
    if not added.any():
        return crop.depth
    mean_mm = np.where(added, total / np.maximum(count, 1), np.float32(np.nan))
    return np.where(added, from_millimetres(mean_mm, crop.depth_range), crop.depth)


def _carried(crop: FaceCrop, earlier: FaceCrop, own_mm: FloatArray, near_mm: float) -> FloatArray:
    """An earlier crop's depth in this one's place, float32 (256, 256) mm; NaN where it says nothing of this frame."""
    assert crop.picture is not None
    assert earlier.picture is not None
    nothing = np.full(own_mm.shape, np.nan, np.float32)
    now, before = to_grey(crop.picture), to_grey(earlier.picture)
    places = places_before(now, before)
    before_mm = to_millimetres(earlier.depth, earlier.depth_range)
    share = cv2.remap(np.isfinite(before_mm).astype(np.float32), *places, cv2.INTER_LINEAR)
    there = share > MEASURED
    both = there & np.isfinite(own_mm)
    if not both.any():
        return nothing
    there_mm = cv2.remap(np.nan_to_num(before_mm), *places, cv2.INTER_LINEAR) / np.maximum(share, MEASURED)
    there_mm += _shift_mm(np.where(both, own_mm - there_mm, np.float32(np.nan)))
    agrees = both & (np.abs(there_mm - np.nan_to_num(own_mm)) < near_mm)
    apart = cv2.absdiff(now, cv2.remap(before, *places, cv2.INTER_LINEAR)).astype(np.float32)
    alike = np.asarray(cv2.GaussianBlur(apart, (0, 0), GREY_SIGMA_PX)) < GREY_STEPS
    face = both if crop.mask is None else both & crop.mask
    if (agrees & alike & face).sum() < SAME_FACE * max(int(face.sum()), 1):
        return nothing
    trusted = alike & (_blurred(agrees, TRUST_SIGMA_PX) > TRUSTED * _blurred(both, TRUST_SIGMA_PX))
    return np.where(trusted & there & (agrees | ~np.isfinite(own_mm)), there_mm, np.float32(np.nan))


def _shift_mm(difference_mm: FloatArray) -> FloatArray:
    """The smooth part of how much farther a surface is now than it was, from differences with NaN."""
    known = difference_mm[np.isfinite(difference_mm)]
    middle = np.float32(np.median(known[:: max(known.size // 1000, 1)]))
    with np.errstate(invalid="ignore"):
        usable = np.abs(difference_mm - middle) < MOST_SHIFT_MM
    both = cv2.merge([np.where(usable, difference_mm - middle, 0), usable.astype(np.float32)])
    small = cv2.resize(both, (SIZE // REDUCED, SIZE // REDUCED), interpolation=cv2.INTER_AREA)
    total, count = cv2.split(cv2.GaussianBlur(small, (0, 0), SHIFT_SIGMA_PX / REDUCED))
    return np.asarray(middle + cv2.resize(total / (count + 1e-3), difference_mm.shape[::-1]), np.float32)


def _blurred(mask: Mask, sigma_px: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma_px), np.float32)
