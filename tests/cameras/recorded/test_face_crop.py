"""Face crops of camera frames and the way back."""

import cv2
import numpy as np
import pytest

from facedepth_kit.cameras.recorded.face_crop import FaceCrop, close_gaps, crop_face, restore_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, SIZE, DepthImage, from_millimetres, to_millimetres
from facedepth_kit.faces.detection import Box, Face

Frame = np.ndarray


def head(
    height: int = 240, width: int = 320, centre: tuple[int, int] = (160, 120), radius: int = 50, unit_mm: float = 1.0
) -> tuple[Frame, Box]:
    """A ball of a head 600 mm away (radius in pixels, 80 mm deep) before a wall at 1.5 m, with a hole at its rim."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    squared = ((columns - centre[0]) ** 2 + (rows - centre[1]) ** 2) / radius**2
    depth_mm = np.where(squared < 1, 680 - 80 * np.sqrt(np.maximum(1 - squared, 0)), 1500.0)
    depth_mm[(squared > 1) & (squared < 1.1)] = 0
    box = (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius)
    return np.rint(depth_mm / unit_mm).astype(np.uint16), box


def cut(depth: Frame, face: Face | Box | None = None, unit_mm: float = 1.0) -> FaceCrop:
    return crop_face(RecordedFrame("head", depth, unit_mm=unit_mm), face)


def back(depth: Frame, enhanced: DepthImage, crop: FaceCrop) -> Frame:
    return restore_face(RecordedFrame("head", depth, unit_mm=crop.unit_mm), enhanced, crop).depth


def within(box: Box, hull: np.ndarray) -> Face:
    """A face whose landmarks lie on a hull; its brows and nose are in the middle."""
    landmarks = np.repeat(hull.mean(axis=0)[None], 68, axis=0)
    landmarks[[*range(17), *range(45, 68)]] = hull
    return Face(box, landmarks, 1.0)


def fill_flat(crop: DepthImage) -> DepthImage:
    """An enhancer that fills every hole with one value in the middle of the valid ones."""
    return np.where(crop == HOLE, np.uint16(np.median(crop[crop != HOLE])), crop)


def deepen(crop: DepthImage) -> DepthImage:
    """An enhancer that moves the surface back by 5 mm."""
    return np.where(crop == HOLE, HOLE, crop + np.uint16(round(5 / 250 * 65534)))


def test_the_crop_is_25_cm_from_the_nearest_face_point() -> None:
    frame, box = head()
    crop = cut(frame, box)
    assert crop.depth.shape == (SIZE, SIZE)
    assert crop.depth_range.span_mm == 250
    assert crop.depth_range.near_mm == 595  # nearest point 600 mm, less the margin
    depth_mm = to_millimetres(crop.depth, crop.depth_range)
    assert np.nanmin(depth_mm) == pytest.approx(600, abs=0.5)
    assert crop.depth[0, 0] == HOLE  # the wall lies beyond


def test_the_face_fills_as_much_as_the_training_faces() -> None:
    frame, box = head()
    crop = cut(frame, box)
    rows = np.flatnonzero((crop.depth != HOLE).any(axis=1))
    assert 0.72 <= (rows[-1] - rows[0] + 1) / SIZE <= 0.94
    assert abs((rows[-1] + rows[0]) / 2 - 127.5) < 4
    assert crop.square.box == (98, 58, 223, 183)  # 100 pixels / 0.8 around the middle of the box


@pytest.mark.parametrize("radius", [20, 50, 85, 115])
@pytest.mark.parametrize("unit_mm", [1.0, 0.1])
def test_an_enhancer_that_changes_nothing_gives_the_frame_back(
    radius: int, unit_mm: float, rng: np.random.Generator
) -> None:
    frame, box = head(radius=radius, unit_mm=unit_mm)
    frame[rng.random(frame.shape) < 0.1] = 0
    crop = cut(frame, box, unit_mm=unit_mm)
    restored = back(frame, crop.depth.copy(), crop)
    assert restored is not frame
    np.testing.assert_array_equal(restored, frame)


@pytest.mark.parametrize("radius", [20, 50, 115])
def test_far_from_a_change_every_pixel_stays_exactly(radius: int, rng: np.random.Generator) -> None:
    frame, box = head(radius=radius)
    noisy = np.where(frame > 0, frame + rng.integers(0, 4, frame.shape), 0).astype(np.uint16)
    crop = cut(noisy, box)
    enhanced = crop.depth.copy()
    enhanced[118:138, 118:138] += 2000  # 7.6 mm in the middle, 20 of 256 pixels
    changed = back(noisy, enhanced, crop) != noisy
    assert changed.any()
    rows, columns = np.nonzero(changed)
    reach = crop.square.side * 12 / SIZE + 1.5
    assert np.abs(columns - box[0] - radius + 0.5).max() <= reach
    assert np.abs(rows - box[1] - radius + 0.5).max() <= reach


@pytest.mark.parametrize("radius", [30, 110])
@pytest.mark.parametrize("unit_mm", [1.0, 0.1])
def test_a_change_arrives_in_the_frames_unit(radius: int, unit_mm: float) -> None:
    frame, box = head(radius=radius, unit_mm=unit_mm)
    crop = cut(frame, box, unit_mm=unit_mm)
    restored = back(frame, deepen(crop.depth), crop)
    changed = restored != frame
    assert changed.sum() > 0.9 * np.pi * radius**2
    off_mm = np.abs((restored[changed] - frame[changed].astype(float)) * unit_mm - 5)
    # An enlarged crop also evens out what single pixels stick out by: on this small, steep ball a little everywhere.
    assert np.median(off_mm) <= 0.6 * unit_mm + (0.1 if radius == 30 else 0)
    assert off_mm.max() <= 0.6 * unit_mm + (3 if radius == 30 else 0)


def test_fine_noise_that_the_enhancer_smoothed_is_gone_in_the_frame(rng: np.random.Generator) -> None:
    frame, box = head(radius=60, unit_mm=0.1)
    noisy = np.where(frame > 0, frame + rng.normal(0, 30, frame.shape), 0).astype(np.uint16)  # 3 mm
    clean_crop = cut(frame, box, unit_mm=0.1)
    noisy_crop = cut(noisy, box, unit_mm=0.1)
    clean = from_millimetres(to_millimetres(clean_crop.depth, clean_crop.depth_range), noisy_crop.depth_range)
    restored = back(noisy, clean, noisy_crop)
    rows, columns = np.nonzero(frame)
    middle = np.hypot(rows - rows.mean(), columns - columns.mean()) < 40
    error_mm = (restored[rows, columns][middle] - frame[rows, columns][middle].astype(float)) * 0.1
    assert error_mm.std() < 1.2


def test_background_and_holes_outside_the_face_stay() -> None:
    frame, box = head()
    crop = cut(frame, box)
    restored = back(frame, fill_flat(crop.depth), crop)
    np.testing.assert_array_equal(
        restored[frame == 1500], 1500
    )  # measured, beyond 25 cm, though the crop was filled there
    assert crop.writable is not None
    assert (restored[~crop.writable] == frame[~crop.writable]).all()
    assert not crop.writable[: crop.square.box[1]].any()


def test_holes_in_the_face_are_filled_and_what_is_no_face_is_not() -> None:
    frame, box = head()
    frame[110:130, 150:170] = 0  # in the face
    frame[70:75, 100:105] = 0  # in the wall
    crop = cut(frame, box)
    restored = back(frame, fill_flat(crop.depth), crop)
    assert (restored[110:130, 150:170] > 0).all()
    assert (restored[70:75, 100:105] == 0).all()
    kept = back(frame, deepen(crop.depth), crop)  # says hole where it saw a hole
    assert (kept[110:130, 150:170] == 0).all()


def test_measured_pixels_that_the_enhancer_calls_holes_stay() -> None:
    frame, box = head()
    crop = cut(frame, box)
    enhanced = deepen(crop.depth)
    enhanced[:128] = HOLE
    restored = back(frame, enhanced, crop)
    np.testing.assert_array_equal(restored[:115], frame[:115])
    assert (restored[125:150, 150:170] != frame[125:150, 150:170]).all()


def test_no_measured_pixel_becomes_a_hole_by_rounding() -> None:
    frame = np.full((64, 64), 1, np.uint16)  # as near as a camera can say
    crop = cut(frame, (10, 10, 50, 50))
    restored = back(frame, np.zeros_like(crop.depth), crop)
    assert restored.min() == 1


@pytest.mark.parametrize("speck_mm", [50, 300, 560])
def test_specks_in_front_of_the_face_do_not_shift_the_span(speck_mm: int, rng: np.random.Generator) -> None:
    frame, box = head()
    clean = cut(frame, box).depth_range
    for row, column in rng.integers(75, 165, (40, 2)):
        frame[row, column + 40] = speck_mm
    assert cut(frame, box).depth_range.near_mm == pytest.approx(clean.near_mm, abs=1)


def test_a_hand_in_front_does_not_shift_the_span() -> None:
    frame, box = head()
    frame[150:190, 120:160] = 380
    assert cut(frame, box).depth_range.near_mm == pytest.approx(595, abs=1)


def test_a_nose_amid_holes_is_not_cut_off() -> None:
    frame, box = head()
    frame[112:128, 152:168] = 560  # 40 mm before the cheeks
    frame[108:112, 148:172] = frame[128:132, 148:172] = 0
    frame[108:132, 148:152] = frame[108:132, 168:172] = 0
    crop = cut(frame, box)
    assert crop.depth_range.near_mm == 555
    assert np.nanmin(to_millimetres(crop.depth, crop.depth_range)) == pytest.approx(560, abs=0.1)


@pytest.mark.parametrize("radius", [30, 110])
def test_resampling_mixes_neither_holes_nor_jumps(radius: int) -> None:
    frame, box = head(radius=radius)
    frame[:, 160:] = np.where(frame[:, 160:] > 0, 800, 0)  # a step of up to 20 cm down the middle of the face
    frame[90:100] = 0
    crop = cut(frame, box)
    depth_mm = to_millimetres(crop.depth, crop.depth_range)
    seen = depth_mm[np.isfinite(depth_mm)]
    assert (((seen >= 595) & (seen <= 681)) | (np.abs(seen - 800) < 0.1)).all()


def test_a_region_partly_outside_the_frame_works() -> None:
    frame, box = head(centre=(20, 230))
    crop = cut(frame, box)
    assert crop.square.left < 0
    assert crop.square.top + crop.square.side > frame.shape[0]
    assert (crop.depth[:, :50] == HOLE).all()
    restored = back(frame, deepen(crop.depth), crop)
    assert (restored != frame).sum() > 2000
    np.testing.assert_array_equal(back(frame, crop.depth, crop), frame)


def test_without_a_box_the_frame_is_the_face() -> None:
    frame, _ = head(120, 96, (48, 60), 40)
    crop = cut(frame)
    assert crop.square.box == (-12, 0, 108, 120)
    assert (crop.depth[:, :20] == HOLE).all()  # a square of 120 pixels holds 12 columns left of the frame
    assert (back(frame, deepen(crop.depth), crop) != frame).sum() > 4000


def test_an_outline_bounds_what_changes() -> None:
    frame, box = head()
    frame[100:200, 200:320] = 690  # a shoulder in the span, touching the face
    outline = np.array([(160 + 45 * np.cos(a), 120 + 45 * np.sin(a)) for a in np.linspace(0, 6.28, 40)])
    crop = cut(frame, within(box, outline))
    changed = back(frame, deepen(crop.depth), crop) != frame
    rows, columns = np.nonzero(changed)
    assert np.hypot(rows - 120, columns - 160).max() < 45 + 10 + 2


def test_a_cheek_lost_at_the_rim_can_be_filled_inside_the_outline() -> None:
    frame, box = head()
    frame[90:150, 112:140] = 0
    outline = np.array([(160 + 49 * np.cos(a), 120 + 49 * np.sin(a)) for a in np.linspace(0, 6.28, 40)])
    crop = cut(frame, within(box, outline))
    restored = back(frame, fill_flat(crop.depth), crop)
    assert (restored[105:135, 118:140] > 0).all()


@pytest.mark.parametrize(
    "box", [(50, 50, 50, 90), (90, 50, 60, 90), (400, 10, 500, 90), (-80, 10, -5, 90), (5, 5, 9, 9)]
)
def test_bad_boxes_are_refused(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(KitError, match="box: found"):
        cut(head()[0], box)


def test_bad_frames_and_units_are_refused() -> None:
    frame, box = head()
    with pytest.raises(KitError, match="holes only"):
        cut(np.zeros_like(frame), box)
    with pytest.raises(KitError, match="uint16"):
        cut(frame.astype(np.float32), box)
    with pytest.raises(KitError, match="unit"):
        cut(frame, box, unit_mm=0)
    crop = cut(frame, box)
    with pytest.raises(KitError, match="restore"):
        back(frame[1:], crop.depth, crop)


def test_gaps_close_and_only_the_largest_piece_stays() -> None:
    mask = np.zeros((100, 100), np.uint8)
    cv2.circle(mask, (50, 50), 30, 1, -1)
    solid = mask > 0
    mask[45:55, 45:55] = 0  # enclosed, larger than the radius closes
    mask[48:51, 50:90] = 0  # a slit from the rim
    mask[2:6, 2:6] = 1  # far away
    closed = close_gaps(mask > 0, 3)
    assert closed[solid].mean() > 0.99
    assert not closed[:15, :15].any()
