"""The RealSense SDK's filters on arrays: by hand, against small references in plain Python, for long and in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import psutil
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.realsense_sdk import realsense_sdk
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.enhancers import get
from facedepth_kit.enhancers.filters import (
    TABLE_II,
    Decimation,
    HoleFill,
    Spatial,
    decimated,
    filtered,
)

H = int(HOLE)


@pytest.fixture(scope="module", autouse=True)
def _sdk() -> None:
    pytest.importorskip("libusb_package")
    try:
        realsense_sdk()
    except KitError as error:
        pytest.skip(str(error))


def image(value: int = 1000) -> DepthImage:
    return np.full((256, 256), value, np.uint16)


def noisy(seed: int, share_of_holes: float = 0.3) -> DepthImage:
    """Depths over the whole range, 0 and 65534 included, and holes."""
    rng = np.random.default_rng(seed)
    depth = rng.integers(0, 65535, (256, 256)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.01] = 0
    depth[rng.random(depth.shape) < 0.01] = 65534
    depth[rng.random(depth.shape) < share_of_holes] = HOLE
    return depth


# --- decimation -----------------------------------------------------------------------------------------------------


def window_value(window: DepthImage) -> int:
    """What a decimation window becomes: lower median up to 3x3, floor of the mean from 4x4 on, of the valid pixels."""
    valid = sorted(int(value) for value in window.ravel() if value != H)
    if not valid:
        return H
    return valid[(len(valid) - 1) // 2] if len(window) <= 3 else sum(valid) // len(valid)


def test_decimation_2_takes_the_lower_median_of_the_pixels_that_are_no_holes() -> None:
    depth = image()
    depth[:2, :2] = [[10, 40], [20, 30]]
    depth[:2, 2:4] = [[10, H], [0, 30]]
    depth[:2, 4:6] = [[H, 7], [H, 9]]
    depth[:2, 6:8] = H
    assert decimated(depth, 2)[0, :4].tolist() == [20, 10, 7, H]


def test_decimation_8_takes_the_mean_rounded_down() -> None:
    depth = image()
    depth[:8, :8] = H
    depth[0, :3] = [1, 2, 5]  # 8 / 3
    assert decimated(depth, 8)[0, :2].tolist() == [2, 1000]


@pytest.mark.parametrize("magnitude", range(2, 9))
def test_decimation_of_every_window(magnitude: int) -> None:
    depth = noisy(magnitude, share_of_holes=0.6)
    side = 256 // magnitude
    windows = depth[: side * magnitude, : side * magnitude].reshape(side, magnitude, side, magnitude).swapaxes(1, 2)
    expected = [[window_value(window) for window in row] for row in windows]
    np.testing.assert_array_equal(decimated(depth, magnitude), expected)


def test_upscaling_goes_evenly_from_one_window_to_the_next() -> None:
    depth = image(1000)
    depth[:, 8:] = 2600
    # Window centres lie at 4 and 12, the pixels' centres between them at 4.5, 5.5, ...: a sixteenth of the step, ...
    row = filtered(depth, Decimation(8))[100, :16]
    assert row.tolist() == [1000] * 4 + [1100, 1300, 1500, 1700, 1900, 2100, 2300, 2500] + [2600] * 4


@pytest.mark.parametrize("magnitude", [3, 5, 6, 7])
def test_the_sdks_zero_padding_does_not_reach_the_image(magnitude: int) -> None:
    # These do not divide 256: the SDK pads their outputs, and a rest of rows and columns lies in no window.
    np.testing.assert_array_equal(filtered(image(), Decimation(magnitude)), image())


def test_a_hole_that_decimation_leaves_is_upscaled_as_its_value_by_default() -> None:
    depth = image(1000)
    depth[:, 120:136] = H  # two windows wide
    row = filtered(depth, Decimation(8))[100, 112:144].astype(int)
    assert row[12:20].tolist() == [H] * 8  # between the centres of the two windows
    assert np.all(np.diff(row[4:12]) > 0)
    assert row[4] == round(1000 + (H - 1000) / 16)
    assert row[0] == 1000


def test_a_hole_that_decimation_leaves_can_stay_out_of_its_neighbours() -> None:
    depth = image(1000)
    depth[:, 120:136] = H
    row = filtered(depth, Decimation(8, hole_upscaling="aware"))[100]
    assert row[120:136].tolist() == [H] * 16
    assert set(row[:120]) | set(row[136:]) == {1000}


# --- hole filling ---------------------------------------------------------------------------------------------------


def reference_hole_fill(depth: DepthImage, mode: str) -> DepthImage:
    """The SDK's hole-filling filter as a loop over pixels, in place, from left to right and top to bottom."""
    result = depth.astype(int)
    height, width = result.shape
    for row in range(height):
        for column in range(1, width):
            if result[row, column] != H:
                continue
            if mode == "left":
                result[row, column] = result[row, column - 1]
            elif 0 < row < height - 1:
                around = [(-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0)]
                values = [int(result[row + down, column + right]) for down, right in around]
                valid = [value for value in values if value != H]
                if mode == "farthest" and valid:
                    result[row, column] = max(valid)
                elif mode == "nearest" and values[0] != H:
                    result[row, column] = min(valid)
    return result.astype(np.uint16)


def test_holes_filled_from_the_left() -> None:
    depth = image()
    depth[5, :4] = H
    depth[7, 100:104] = [30, H, H, 50]
    filled = filtered(depth, HoleFill("left"))
    assert filled[7, 100:104].tolist() == [30, 30, 30, 50]
    assert filled[5, :5].tolist() == [H, H, H, H, 1000]  # nothing to the left


@pytest.mark.parametrize(("mode", "expected"), [("farthest", 900), ("nearest", 100)])
def test_holes_filled_from_around(mode: str, expected: int) -> None:
    depth = image(500)
    depth[9:12, 19] = [100, 300, 400]  # up-left, left, down-left
    depth[9:12, 20] = [700, H, 900]  # up, the hole, down
    depth[9:12, 21] = [0, 65000, 0]  # to the right: not looked at
    assert filtered(depth, HoleFill(mode))[10, 20] == expected  # type: ignore[arg-type]


def test_nearest_fills_nothing_below_a_hole() -> None:
    depth = image(500)
    depth[0, 20] = depth[1, 20] = depth[2, 20] = H  # the first row is never filled
    assert filtered(depth, HoleFill("nearest"))[:3, 20].tolist() == [H, H, H]
    assert filtered(depth, HoleFill("farthest"))[:3, 20].tolist() == [H, 500, 500]


def test_the_nearest_point_fills_holes_like_any_other() -> None:
    # The kit's nearest point is 0, which the SDK would take for a hole itself.
    depth = image(500)
    depth[10, 19:21] = [0, H]
    assert filtered(depth, HoleFill("nearest"))[10, 19:21].tolist() == [0, 0]
    assert filtered(depth, HoleFill("left"))[10, 19:21].tolist() == [0, 0]
    assert filtered(depth, HoleFill("farthest"))[10, 19:21].tolist() == [0, 500]


def test_the_farthest_point_is_no_hole() -> None:
    depth = image(65534)
    depth[10, 20] = H
    np.testing.assert_array_equal(filtered(depth, HoleFill("farthest")), image(65534))


@pytest.mark.parametrize("mode", ["farthest", "nearest"])
def test_filling_from_around_skips_first_and_last_row_and_first_column(mode: str) -> None:
    depth = image()
    depth[[0, 255], 50] = H
    depth[50, 0] = H
    depth[50, 255] = H
    filled = filtered(depth, HoleFill(mode))  # type: ignore[arg-type]
    assert filled[0, 50] == filled[255, 50] == filled[50, 0] == H
    assert filled[50, 255] == 1000


@pytest.mark.parametrize("mode", ["left", "farthest", "nearest"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_hole_filling_is_the_documented_loop(mode: str, share: float) -> None:
    depth = noisy(1, share)
    filled = filtered(depth, HoleFill(mode))  # type: ignore[arg-type]
    np.testing.assert_array_equal(filled, reference_hole_fill(depth, mode))


# --- spatial filter -------------------------------------------------------------------------------------------------


def filled_from_the_right(length: int, settings: Spatial) -> int:
    """How many pixels get filled in rows whose first ``length`` pixels are holes."""
    depth = image()
    depth[:, :length] = H
    return length - int(np.count_nonzero(filtered(depth, settings)[128] == H))


def filled_from_the_left(length: int, settings: Spatial) -> int:
    """The same for the last ``length`` pixels of the rows."""
    depth = image()
    depth[:, -length:] = H
    return length - int(np.count_nonzero(filtered(depth, settings)[128] == H))


def test_spatial_16_fills_15_pixels_at_a_time() -> None:
    for filled in (filled_from_the_left, filled_from_the_right):
        assert filled(100, Spatial("16 pixels", iterations=1)) == 15
        assert filled(100, Spatial("16 pixels")) == 30  # the SDK's default of two iterations
        assert filled(100, Spatial("off")) == 0


def test_spatial_unlimited_fills_254_pixels_at_a_time() -> None:
    assert filled_from_the_right(255, Spatial("unlimited", iterations=1)) == 254
    assert filled_from_the_left(255, Spatial("unlimited")) == 254  # all but the last column
    assert filled_from_the_right(255, Spatial("unlimited")) == 255


def test_spatial_filling_goes_along_rows_from_both_sides() -> None:
    depth = image(1000)
    depth[:, 128:] = 3000
    depth[:, 100:160] = H
    depth[50] = H
    filled = filtered(depth, Spatial("16 pixels", iterations=1))
    assert filled[10, 100:115].tolist() == [1000] * 15
    assert filled[10, 115:145].tolist() == [H] * 30
    assert filled[10, 145:160].tolist() == [3000] * 15
    assert np.all(filled[50] == H)  # a row without any depth stays empty, whatever lies above


def test_the_nearest_point_survives_the_spatial_filter() -> None:
    depth = image(3000)
    depth[100, 100] = 0
    for settings in (Spatial("16 pixels"), Spatial("unlimited"), Spatial("off")):
        np.testing.assert_array_equal(filtered(depth, settings), depth)


def test_spatial_smoothing_spares_what_differs_by_more_than_delta() -> None:
    depth = image()
    depth[:, 128:] = 1010  # below the default delta of 20
    assert len(np.unique(filtered(depth, Spatial())[128])) > 2
    depth[:, 128:] = 1100
    np.testing.assert_array_equal(filtered(depth, Spatial()), depth)


# --- all of Table II ------------------------------------------------------------------------------------------------


def test_table_2_is_the_papers() -> None:
    assert {
        "De-M2": Decimation(2),
        "De-M8": Decimation(8),
        "Hf-FFA": HoleFill("farthest"),
        "Hf-NFA": HoleFill("nearest"),
        "Hf-L": HoleFill("left"),
        "Sp-Hf16": Spatial("16 pixels"),
        "Sp-HfU": Spatial("unlimited"),
    } == TABLE_II


@pytest.mark.parametrize(("name", "mode"), [("Hf-FFA", "farthest"), ("Hf-NFA", "nearest"), ("Hf-L", "left")])
def test_a_name_gets_its_own_hole_filling(name: str, mode: str) -> None:
    depth = noisy(5)
    np.testing.assert_array_equal(get(name).enhance(depth), reference_hole_fill(depth, mode))


@pytest.mark.parametrize(("name", "magnitude"), [("De-M2", 2), ("De-M8", 8)])
def test_a_name_gets_its_own_decimation(name: str, magnitude: int) -> None:
    depth = image(1000)
    depth[:, 128:] = 3000  # a step between windows becomes a ramp as wide as a window
    ramp = np.flatnonzero(np.diff(get(name).enhance(depth)[100].astype(int)))
    assert len(ramp) == magnitude + 1
    assert ramp.mean() == pytest.approx(127)


@pytest.mark.parametrize(("name", "filled"), [("Sp-Hf16", 30), ("Sp-HfU", 99)])
def test_a_name_gets_its_own_spatial_filter(name: str, filled: int) -> None:
    depth = image()
    depth[:, -100:] = H
    assert np.count_nonzero(get(name).enhance(depth)[128] != H) == 156 + filled


def test_thousands_of_frames_need_no_more_memory() -> None:
    depth = noisy(2)

    def run(times: int) -> int:
        for index in range(times):
            filtered(depth, HoleFill("left") if index % 10 == 0 else Decimation(8))
        return int(psutil.Process().memory_info().rss)

    before = run(100)
    assert run(2000) - before < 32 * 2**20  # 2,000 frames of 128 KiB would be 250 MiB


def test_many_outputs_may_be_kept() -> None:
    # A filter of the SDK stops once 16 of its own frames are alive.
    kept = [filtered(noisy(3), HoleFill("left")) for _ in range(40)]
    assert all(np.array_equal(kept[0], other) for other in kept)


def test_threads_do_not_mix_their_frames() -> None:
    inputs = [noisy(seed) for seed in range(4)]
    expected = [filtered(depth, HoleFill("nearest")) for depth in inputs]
    wrong: list[int] = []

    def work(index: int) -> Callable[[], None]:
        def run() -> None:
            for _ in range(25):
                if not np.array_equal(filtered(inputs[index], HoleFill("nearest")), expected[index]):
                    wrong.append(index)

        return run

    threads = [threading.Thread(target=work(index)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    "make",
    [
        lambda: Decimation(9),
        lambda: Decimation(2, hole_upscaling="nearest"),  # type: ignore[arg-type]
        lambda: HoleFill("right"),  # type: ignore[arg-type]
        lambda: Spatial("3 pixels"),  # type: ignore[arg-type]
        lambda: Spatial(alpha=0.0),
        lambda: Spatial(delta=51),
    ],
)
def test_settings_that_the_sdk_does_not_have(make: Callable[[], object]) -> None:
    with pytest.raises(KitError, match=r"found .*expected"):
        make()


def test_a_depth_image_of_another_type_is_refused() -> None:
    with pytest.raises(KitError, match="uint16"):
        filtered(np.zeros((256, 256), np.float32), HoleFill("left"))
    with pytest.raises(KitError, match="256"):
        filtered(np.zeros((480, 640), np.uint16), HoleFill("left"))
