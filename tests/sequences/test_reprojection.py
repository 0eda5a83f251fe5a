"""A frame of one camera in another's pixels: worked out by hand on planes."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.sequences.reprojection import project, reproject, rigid, rotation_between_deg, unproject

NARROW = Intrinsics(40, 30, 50.0, 50.0, 19.5, 14.5)
WIDE = Intrinsics(80, 60, 100.0, 100.0, 39.5, 29.5)


def plane(depth_mm: float, camera: Intrinsics = NARROW) -> np.ndarray:
    return np.full((camera.height, camera.width), depth_mm, np.float32)


def test_points_go_there_and_back() -> None:
    depth_mm = np.random.default_rng(0).uniform(500, 2000, (30, 40)).astype(np.float32)
    rows, columns = np.mgrid[0:30, 0:40]
    np.testing.assert_allclose(project(unproject(depth_mm, NARROW), NARROW), np.stack([columns, rows], -1), atol=1e-9)


def test_the_same_camera_sees_the_same() -> None:
    depth_mm = plane(1000.0)
    depth_mm[3, 5] = np.nan
    seen = reproject(depth_mm, NARROW, np.eye(4), NARROW)
    np.testing.assert_array_equal(np.isnan(seen.depth_mm), np.isnan(depth_mm))
    np.testing.assert_allclose(seen.depth_mm[~np.isnan(depth_mm)], 1000.0)
    assert seen.source[3, 5] == -1
    assert seen.source[3, 6] == 3 * 40 + 6


def test_a_camera_moved_by_100_mm_sees_the_plane_5_px_further() -> None:
    extrinsic = rigid([0, 0, 0, 1], [100.0, 0.0, 0.0])
    seen = reproject(plane(1000.0), NARROW, extrinsic, NARROW)
    assert np.isnan(seen.depth_mm[:, :5]).all()
    assert np.isfinite(seen.depth_mm[:, 5:]).all()
    assert seen.source[10, 5] == 10 * 40


def test_a_finer_camera_gets_no_gaps() -> None:
    seen = reproject(plane(1000.0), NARROW, np.eye(4), WIDE)
    assert np.isfinite(seen.depth_mm[1:-1, 1:-1]).all()


def test_the_nearer_surface_hides_the_farther_one() -> None:
    depth_mm = plane(2000.0)
    depth_mm[:, 10:20] = 1000.0
    # 200 mm to the right: the near strip moves by 10 px, the wall by 5.
    seen = reproject(depth_mm, NARROW, rigid([0, 0, 0, 1], [200.0, 0.0, 0.0]), NARROW)
    np.testing.assert_allclose(seen.depth_mm[15, 20:30], 1000.0)
    np.testing.assert_allclose(seen.depth_mm[15, 30:], 2000.0)
    assert np.isnan(seen.depth_mm[15, 15:20]).all()  # nobody saw the wall behind the strip


def test_no_background_leaks_through_a_sparse_nearer_surface() -> None:
    depth_mm = plane(2000.0, WIDE)
    rows, columns = np.mgrid[0:60, 0:80]
    near = (rows > 10) & (rows < 50) & (columns > 20) & (columns < 60)
    depth_mm[near & (columns % 2 == 0)] = 1000.0  # every other column of the near square was lost to the wall behind
    seen = reproject(depth_mm, WIDE, np.eye(4), WIDE)
    inside = near & (columns > 22) & (columns < 58)
    assert not (seen.depth_mm[inside] > 1500).any()
    np.testing.assert_allclose(seen.depth_mm[:5], 2000.0)


def test_the_picture_is_carried_along() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
    seen = reproject(plane(1000.0), NARROW, rigid([0, 0, 0, 1], [100.0, 0.0, 0.0]), NARROW)
    np.testing.assert_array_equal(seen.picture(picture)[:, 5:], picture[:, :-5])
    assert not seen.picture(picture)[:, :5].any()


def test_the_angle_between_two_mountings() -> None:
    turned = rigid([0, 0, np.sin(np.radians(5)), np.cos(np.radians(5))], [1, 2, 3])
    assert rotation_between_deg(np.eye(4), turned) == pytest.approx(10.0)
