"""OpenCV's inpainting on 16-bit depth: what is filled, what stays, and that 16 bits survive."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, holes
from facedepth_kit.enhancers.inpainting import ROWS, Bilateral, Inpainting, inpainted

PLAIN = ("Telea", "Navier-Stokes")


def surface() -> DepthImage:
    """A smooth slope over most of the 16-bit range, a few units from pixel to pixel in one direction."""
    rows, columns = np.mgrid[:256, :256]
    return (5000 + 200 * rows + 3 * columns).astype(np.uint16)


def with_holes(depth: DepthImage) -> DepthImage:
    degraded = depth.copy()
    degraded[100:110, 60:75] = HOLE
    degraded[200, :] = HOLE
    degraded[np.random.default_rng(0).random(depth.shape) < 0.2] = HOLE
    return degraded


@pytest.mark.parametrize("name", ROWS)
def test_every_hole_is_filled_near_the_true_depth(name: str) -> None:
    truth = surface()
    degraded = with_holes(truth)
    filled = inpainted(degraded, ROWS[name])
    assert not holes(filled).any()
    inside = np.s_[4:-4, 4:-4]
    error = np.abs(filled[inside].astype(int) - truth[inside])
    assert error.mean() < 60  # less than a third of the step from row to row: 8 bits would leave 128 and more
    assert error.max() < 1500


@pytest.mark.parametrize("name", PLAIN)
def test_pixels_that_were_no_holes_stay_to_the_last_bit(name: str) -> None:
    degraded = with_holes(surface())
    valid = ~holes(degraded)
    np.testing.assert_array_equal(inpainted(degraded, ROWS[name])[valid], degraded[valid])


@pytest.mark.parametrize("name", PLAIN)
def test_the_holes_value_does_not_leak(name: str) -> None:
    depth = np.full((256, 256), 300, np.uint16)
    depth[50:90, 50:90] = HOLE
    depth[:, :20] = HOLE  # at the image's border, too
    np.testing.assert_allclose(inpainted(depth, ROWS[name]), 300, atol=30)  # roundings add up over a wide hole


@pytest.mark.parametrize("name", ROWS)
def test_the_farthest_point_does_not_become_a_hole(name: str) -> None:
    depth = np.full((256, 256), FARTHEST, np.uint16)
    depth[50:90, 50:90] = HOLE
    np.testing.assert_allclose(inpainted(depth, ROWS[name]), FARTHEST, atol=30)
    assert not holes(inpainted(depth, ROWS[name])).any()


def test_the_bilateral_filter_smooths_noise_and_spares_an_edge() -> None:
    rng = np.random.default_rng(1)
    truth = np.full((256, 256), 10000, np.uint16)
    truth[:, 128:] = 50000
    noisy = (truth + rng.integers(-800, 801, truth.shape)).astype(np.uint16)
    smooth = inpainted(noisy, Inpainting("telea", bilateral=Bilateral()))
    before, after = (np.abs(depth.astype(int) - truth) for depth in (noisy, smooth))
    assert after.mean() < 0.4 * before.mean()
    assert after[:, 124:132].max() <= before.max()  # 40,000 apart: nothing crosses the edge


@pytest.mark.parametrize(
    "make",
    [
        lambda: Inpainting("patchmatch"),  # type: ignore[arg-type]
        lambda: Inpainting(radius_px=0),
        lambda: Bilateral(window_px=4),
        lambda: Bilateral(sigma_depth=0),
    ],
)
def test_settings_that_make_no_sense(make: object) -> None:
    with pytest.raises(KitError, match=r"found .*expected"):
        make()  # type: ignore[operator]
