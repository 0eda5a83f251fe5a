"""The depth image: millimetres, unit values, PNG."""

from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import (
    FARTHEST,
    HOLE,
    DepthRange,
    camera_range,
    check_depth,
    from_millimetres,
    from_unit,
    own_range,
    read_png,
    to_millimetres,
    to_unit,
    write_png,
)


def test_own_range_reaches_from_nearest_to_farthest() -> None:
    depth_mm = np.full((256, 256), np.nan)
    depth_mm[10, 10:13] = 500.0, 550.0, 600.0
    depth = from_millimetres(depth_mm, own_range(depth_mm))
    assert depth[10, 10:13].tolist() == [0, FARTHEST // 2, FARTHEST]
    assert depth[0, 0] == HOLE


def test_camera_range_is_25_cm_and_the_rest_is_hole() -> None:
    depth_mm = np.full((256, 256), np.nan)
    depth_mm[0, :3] = 500.0, 749.9, 760.0
    depth_range = camera_range(depth_mm)
    depth = from_millimetres(depth_mm, depth_range)
    assert depth_range == DepthRange(500.0, 250.0)
    assert depth[0, 0] == 0
    assert depth[0, 1] < HOLE
    assert depth[0, 2] == HOLE
    assert from_millimetres(np.array([[499.0]]), depth_range)[0, 0] == HOLE  # nothing is clamped onto the face


def test_millimetres_survive_within_a_step() -> None:
    depth_mm = np.random.default_rng(0).uniform(400, 650, (256, 256)).astype(np.float32)
    depth_range = DepthRange(400, 250)
    back = to_millimetres(from_millimetres(depth_mm, depth_range), depth_range)
    np.testing.assert_allclose(back, depth_mm, atol=0.5 * 250 / FARTHEST + 1e-4)


def test_unit_values_keep_every_level() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert to_unit(levels).max() == 1.0
    np.testing.assert_array_equal(from_unit(to_unit(levels)), levels)
    assert from_unit(np.array([[np.nan, 1.2, -0.1]])).tolist() == [[HOLE, HOLE, 0]]


@pytest.mark.parametrize("wrong", [np.zeros((256, 256)), np.zeros((256, 255), np.uint16), np.zeros(256, np.uint16)])
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(KitError, match="expected"):
        check_depth(wrong)


def test_ranges_must_be_sound() -> None:
    for near, span in ((0.0, 0.0), (np.nan, 250.0), (0.0, -1.0)):
        with pytest.raises(KitError, match="span"):
            DepthRange(near, span)
    with pytest.raises(KitError, match="holes only"):
        own_range(np.full((4, 4), np.nan))


def test_png_keeps_every_value(tmp_path: Path) -> None:
    depth = np.random.default_rng(0).integers(0, 65536, (256, 256), dtype=np.uint16)
    write_png(tmp_path / "a.png", depth)
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), depth)


def test_png_is_not_overwritten_unasked(tmp_path: Path) -> None:
    depth = np.zeros((256, 256), np.uint16)
    write_png(tmp_path / "a.png", depth)
    with pytest.raises(KitError, match="already there"):
        write_png(tmp_path / "a.png", depth + 1)
    assert read_png(tmp_path / "a.png").max() == 0
    write_png(tmp_path / "a.png", depth + 1, overwrite=True)
    assert read_png(tmp_path / "a.png").min() == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_what_is_no_depth_image_is_not_read(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "grey8.png"), np.zeros((256, 256), np.uint8))
    cv2.imwrite(str(tmp_path / "colour.png"), np.zeros((256, 256, 3), np.uint16))
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((100, 100), np.uint16))
    (tmp_path / "empty.png").touch()
    for name in ("grey8.png", "colour.png", "small.png", "empty.png", "missing.png"):
        with pytest.raises(KitError, match=name):
            read_png(tmp_path / name)
