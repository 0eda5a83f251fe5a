"""Roughness and holes over a mask, on images worked out by hand and against scipy."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE
from facedepth_kit.evaluation.surface import MEASURED, RoughnessSettings, hole_share, response, roughness

FULL = 65535.0


def spike() -> tuple[np.ndarray, np.ndarray]:
    """5x5 pixels of value 13107 (0.2), the middle one 26214 (0.4); the mask is the inner 3x3."""
    depth = np.full((5, 5), 13107, np.uint16)
    depth[2, 2] = 26214
    mask = np.zeros((5, 5), np.bool_)
    mask[1:4, 1:4] = True
    return depth, mask


def test_a_spike_as_the_image_is() -> None:
    depth, mask = spike()
    # The middle stands out by 0.2; each of its eight neighbours sees it as one of eight: 0.025.
    expected = (0.2 + 8 * 0.025) / 9
    assert roughness(depth, mask=mask, settings=RoughnessSettings("as it is")) == pytest.approx(expected)


def test_zero_outside_the_mask_is_the_paper_pattern() -> None:
    depth, mask = spike()
    # A corner: 0.2 against (2 * 0.2 + 0.4) / 8; an edge: 0.2 against (4 * 0.2 + 0.4) / 8; the middle 0.2 as before.
    expected = (0.2 + 4 * abs(0.2 - 0.1) + 4 * abs(0.2 - 0.15)) / 9
    assert roughness(depth, mask=mask) == pytest.approx(expected)
    # What lies outside does not matter.
    changed = np.where(mask, depth, np.uint16(60000))
    assert roughness(changed, mask=mask) == pytest.approx(expected)


def test_farthest_outside_the_mask() -> None:
    depth, mask = spike()
    expected = (0.2 + 4 * abs(0.2 - 5.8 / 8) + 4 * abs(0.2 - 4.2 / 8)) / 9
    assert roughness(depth, mask=mask, settings=RoughnessSettings("farthest")) == pytest.approx(expected)


def test_outside_left_out_averages_over_the_neighbours_that_are_there() -> None:
    depth, mask = spike()
    expected = (0.2 + 4 * (0.8 / 3 - 0.2) + 4 * (1.2 / 5 - 0.2)) / 9
    assert roughness(depth, mask=mask, settings=RoughnessSettings("left out")) == pytest.approx(expected)


def test_a_hole_counts_as_the_farthest_value_or_not_at_all() -> None:
    depth, mask = spike()
    depth[2, 2] = HOLE
    as_one = (0.8 + 8 * 0.1) / 9
    assert roughness(depth, mask=mask, settings=RoughnessSettings("as it is")) == pytest.approx(as_one)
    assert roughness(depth, mask=mask, settings=MEASURED) == pytest.approx(0.0, abs=1e-7)
    assert hole_share(depth, mask=mask) == pytest.approx(1 / 9)


def test_holes_outside_the_mask_are_not_counted() -> None:
    depth, mask = spike()
    depth[0] = HOLE
    assert hole_share(depth, mask=mask) == 0


def test_a_mask_at_the_edge_of_the_image_goes_on_as_outside() -> None:
    depth = np.full((2, 2), 13107, np.uint16)
    everything = np.ones((2, 2), np.bool_)
    assert roughness(depth, mask=everything) == pytest.approx(0.2 - 3 * 0.2 / 8)
    assert roughness(depth, mask=everything, settings=RoughnessSettings("farthest")) == pytest.approx(5.6 / 8 - 0.2)
    for settings in (RoughnessSettings("as it is"), RoughnessSettings("left out")):
        flat = roughness(depth, mask=everything, settings=settings)
        assert flat == pytest.approx(0.0, abs=1e-7)


def test_a_lone_measured_pixel_has_no_roughness() -> None:
    depth = np.full((3, 3), HOLE)
    depth[1, 1] = 5
    assert np.isnan(roughness(depth, mask=np.ones((3, 3), np.bool_), settings=MEASURED))
    assert np.isnan(response(depth, np.ones((3, 3), np.bool_), MEASURED)).all()


def test_against_scipy_on_noise(rng: np.random.Generator) -> None:
    depth = rng.integers(0, 65536, (3, 20, 24), dtype=np.uint16)
    mask = np.zeros((3, 20, 24), np.bool_)
    mask[:, 3:17, 2:23] = True
    kernel = np.full((3, 3), -1 / 8)
    kernel[1, 1] = 1
    images = depth / FULL
    for settings, fill in ((RoughnessSettings("zero"), 0.0), (RoughnessSettings("farthest"), 1.0)):
        given = np.where(mask, images, fill)
        expected = [
            np.abs(ndimage.convolve(image, kernel, mode="nearest"))[area].mean()
            for image, area in zip(given, mask, strict=True)
        ]
        measured = roughness(depth, mask=mask, settings=settings)
        np.testing.assert_allclose(measured, expected, rtol=1e-6)


@pytest.mark.parametrize("outside", ["as it is", "left out"])
def test_valid_support_against_a_loop(outside: str, rng: np.random.Generator) -> None:
    depth = rng.integers(0, 60000, (9, 8), dtype=np.uint16)
    depth[rng.random(depth.shape) < 0.3] = HOLE
    mask = rng.random(depth.shape) < 0.7
    found = []
    for row, column in itertools.product(range(9), range(8)):
        if not mask[row, column] or depth[row, column] == HOLE:
            continue
        around = [
            depth[r, c] / FULL
            for r, c in itertools.product(range(row - 1, row + 2), range(column - 1, column + 2))
            if (r, c) != (row, column)
            and 0 <= r < 9
            and 0 <= c < 8
            and depth[r, c] != HOLE
            and (mask[r, c] or outside == "as it is")
        ]
        if around:
            found.append(abs(depth[row, column] / FULL - np.mean(around)))
    settings = RoughnessSettings(outside, "left out")  # type: ignore[arg-type]
    assert roughness(depth, mask=mask, settings=settings) == pytest.approx(np.mean(found), rel=1e-5)


def test_stacks_and_one_mask_for_all() -> None:
    depth, mask = spike()
    stack = np.stack([depth, depth // 2, depth])
    assert roughness(stack, mask=mask).shape == (3,)
    assert roughness(stack, mask=mask)[2] == roughness(depth, mask=mask)
    assert hole_share(stack, mask=np.stack([mask] * 3)).tolist() == [0, 0, 0]


def test_what_is_refused() -> None:
    depth, mask = spike()
    with pytest.raises(KitError, match="expected bool"):
        roughness(depth, mask=mask[1:])
    with pytest.raises(KitError, match="expected bool"):
        roughness(depth, mask=mask.astype(np.uint8))
    with pytest.raises(KitError, match="without a pixel"):
        hole_share(depth, mask=~(mask | True))


def test_real_kinect_frames_show_the_papers_pattern(real_depth: Path) -> None:
    """Holes, noise and the border's floor, in that order, as Table V has them for Kinect v1."""
    import cv2

    from facedepth_kit.cameras.recorded.depth_files import aligned_picture, read_frame, read_picture
    from facedepth_kit.depth import DepthRange, from_millimetres
    from facedepth_kit.enhancers.filters import TABLE_II, filtered
    from facedepth_kit.faces.detection import detect_face

    found = []
    for path in sorted(real_depth.glob("kinect_v2_faces/subject_0[1-5]/000_depth.png")):
        frame, face = read_frame(path), detect_face(read_picture(aligned_picture(path, "_infrared.png")))
        assert face is not None
        hull = np.zeros((256, 256), np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(face.landmarks).astype(np.int32)), 1)
        frame_mm = np.full((256, 256), np.nan)
        frame_mm[: frame.shape[0], : frame.shape[1]] = np.where(frame > 0, frame, np.nan)
        depth = from_millimetres(frame_mm, DepthRange(float(np.nanmin(frame_mm[hull > 0])), 250.0))
        found.append([roughness(image, mask=hull > 0) for image in (depth, filtered(depth, TABLE_II["De-M8"]))])
    none, smooth = 100 * np.mean(found, axis=0)
    assert 0.9 < none < 1.6
    assert 0.5 < smooth < 0.95
