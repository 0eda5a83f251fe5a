"""The measured residual: a bias is taken back, a step at a hole's rim vanishes, noise is not carried along."""

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.enhancers.measured_bias import add_measured_bias, hold_measured, join_to_measured


def plane() -> DepthImage:
    return np.tile(np.linspace(10_000, 30_000, 256), (256, 1)).astype(np.uint16)


def test_an_enhancer_that_is_right_stays_as_it_is() -> None:
    given = plane()
    given[100:130, 100:130] = HOLE
    np.testing.assert_array_equal(add_measured_bias(given, plane()), plane())


def test_a_constant_bias_is_taken_back_in_measured_pixels_and_in_holes() -> None:
    given = plane()
    given[100:140, 100:140] = HOLE
    restored = add_measured_bias(given, plane() + np.uint16(2_000)).astype(int)
    assert np.abs(restored - plane()).max() < 60  # of 2,000


def test_noise_of_the_sensor_is_averaged_not_copied() -> None:
    rng = np.random.default_rng(0)
    noisy = (plane() + rng.normal(0, 500, (256, 256))).astype(np.uint16)
    restored = add_measured_bias(noisy, plane()).astype(float)
    assert (restored - plane())[20:-20, 20:-20].std() < 0.2 * 500


def test_another_surface_is_no_bias_and_holes_stay() -> None:
    enhanced = plane()
    enhanced[:20] = HOLE
    given = plane()
    given[200:] += np.uint16(20_000)
    restored = add_measured_bias(given, enhanced)
    assert (restored[:20] == HOLE).all()
    np.testing.assert_array_equal(restored[20:], enhanced[20:])
    with pytest.raises(KitError, match="float64"):
        add_measured_bias(given.astype(float), enhanced)


def test_another_surface_moves_no_measured_pixel_and_steps_stay() -> None:
    rng = np.random.default_rng(0)
    given = (plane() + rng.normal(0, 300, (256, 256))).astype(np.uint16)  # 1.1 mm of 25 cm
    given[180:] += np.uint16(20_000)  # a step of 8 cm, as from chin to shoulder
    given[100:120, 100:120] = HOLE
    bridged = given.copy()
    bridged[160:200] = (given[160:200].astype(int) + 9_000 * np.sign(180 - np.arange(160, 200))[:, None]).astype(
        np.uint16
    )
    bridged[100:120, 100:120] = 12_345
    bridged[:5] = HOLE
    held = join_to_measured(given, bridged)
    seen = (given != HOLE) & (held != HOLE)
    change = np.abs(held.astype(int) - given)[seen]
    assert change.max() <= 5 * 300  # four deviations of the noise, as the image itself says it
    assert (held[180].astype(int) - held[179]).mean() > 15_000
    assert (held[:5] == HOLE).all()
    assert np.abs(held[100:120, 100:120].astype(int) - 12_345).max() < 3_000
    stack = np.stack([given, given])
    np.testing.assert_array_equal(hold_measured(stack, np.stack([bridged, given]))[1], given)


def test_images_of_holes_have_no_noise() -> None:
    nothing = np.full((256, 256), HOLE)
    np.testing.assert_array_equal(join_to_measured(nothing, plane()), plane())
