"""Every stage of Figure 5 alone, and the whole in its order."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import from_dict, load_yaml, save_yaml
from facedepth_kit.depth import HOLE, DepthRange
from facedepth_kit.pairs.degradation import (
    DegradationSettings,
    add_noise,
    blur_depth,
    blurred_hole_values,
    degrade,
    detect_outline,
    outline_holes,
    punch_holes,
    random_holes,
    randomize_hole_values,
)
from facedepth_kit.pairs.store import SynthesisSettings

RANGE = DepthRange(450, 100)
QUIET = DegradationSettings(outline_holes=(0, 0), random_holes=(0, 0), noise_mm=0, blur_px=(1, 1))


def disc(radius: float = 60, value: int = 30000) -> np.ndarray:
    rows, columns = np.mgrid[0:256, 0:256]
    return np.where((rows - 128) ** 2 + (columns - 128) ** 2 < radius**2, value, HOLE).astype(np.uint16)


def test_nothing_asked_for_changes_nothing() -> None:
    truth = disc()
    np.testing.assert_array_equal(
        degrade(truth, depth_range=RANGE, settings=QUIET, rng=np.random.default_rng(0)), truth
    )


def test_the_outline_of_a_rectangle_is_its_border_pixels() -> None:
    truth = np.full((256, 256), HOLE)
    truth[100:110, 50:70] = 1000
    outline = detect_outline(truth)
    assert len(outline) == 2 * (20 + 10) - 4
    assert set(map(tuple, outline)) == {
        (x, y) for x in range(50, 70) for y in range(100, 110) if x in (50, 69) or y in (100, 109)
    }
    assert len(detect_outline(np.full((256, 256), HOLE))) == 0


def test_outline_holes_stand_on_the_outline_and_random_ones_anywhere() -> None:
    settings = DegradationSettings(outline_holes=(200, 200), outline_hole_px=(4, 12), random_holes=(400, 400))
    rng = np.random.default_rng(1)
    centres = outline_holes(detect_outline(disc()), settings, rng).mean(axis=1)
    assert np.abs(np.hypot(*(centres - 128.5).T) - 60).max() < 8
    anywhere = random_holes(settings, rng).mean(axis=1)
    assert len(anywhere) == 400
    assert anywhere.min() < 40
    assert anywhere.max() > 216


def test_a_triangle_covers_the_pixels_whose_centres_lie_in_it() -> None:
    truth = disc(300)
    triangle = np.asarray([[(10, 10), (20, 10), (10, 20)]], np.float32)
    punched = punch_holes(truth, triangle)
    expected = np.add.outer(np.arange(256) + 0.5, np.arange(256) + 0.5) <= 30
    expected[:10], expected[:, :10] = False, False
    np.testing.assert_array_equal(punched == HOLE, expected)
    np.testing.assert_array_equal(punch_holes(truth, triangle[:, ::-1].copy()), punched)  # either orientation
    assert (truth != HOLE).all()  # the input is untouched


def test_overlapping_shapes_are_one_hole() -> None:
    triangle = np.asarray([[(10, 10), (60, 10), (10, 60)]], np.float32)
    np.testing.assert_array_equal(
        punch_holes(disc(300), np.concatenate([triangle, triangle])), punch_holes(disc(300), triangle)
    )


def test_noise_is_even_within_15_mm_and_leaves_holes() -> None:
    noisy = add_noise(disc(), RANGE, 15, np.random.default_rng(0))
    np.testing.assert_array_equal(noisy == HOLE, disc() == HOLE)
    error_mm = (noisy[noisy != HOLE].astype(float) - 30000) * 100 / 65534
    assert np.abs(error_mm).max() <= 15.01
    assert error_mm.std() == pytest.approx(15 / np.sqrt(3), rel=0.03)
    assert abs(error_mm.mean()) < 0.3


def test_noise_keeps_the_nearest_and_farthest_points_in_range() -> None:
    for value in (0, 65534):
        noisy = add_noise(disc(60, value), RANGE, 15, np.random.default_rng(0))
        np.testing.assert_array_equal(noisy == HOLE, disc() == HOLE)


def test_blur_averages_over_non_hole_pixels_only() -> None:
    depth = np.full((256, 256), HOLE)
    depth[10, 10], depth[10, 11], depth[12, 12] = 1000, 2000, 6000
    blurred = blur_depth(depth, 3)
    assert blurred[10, 10] == blurred[10, 11] == 1500
    assert blurred[12, 12] == 6000
    assert (blurred == HOLE).sum() == 256 * 256 - 3
    assert blur_depth(depth, 5)[10, 10] == 3000


def test_hole_values_are_random_or_soft_and_the_rest_is_untouched() -> None:
    truth = disc()
    for changed in (
        randomize_hole_values(truth, np.random.default_rng(0)),
        blurred_hole_values(truth, DegradationSettings(), np.random.default_rng(0)),
    ):
        assert not (changed == HOLE).any()
        np.testing.assert_array_equal(changed[truth != HOLE], truth[truth != HOLE])
    random = randomize_hole_values(truth, np.random.default_rng(0))[truth == HOLE].astype(float)
    assert random.mean() == pytest.approx(32767, rel=0.02)
    soft = blurred_hole_values(
        truth, DegradationSettings(background_blur_px=(15, 15)), np.random.default_rng(0)
    ).astype(float)
    assert np.abs(np.diff(soft[:40], axis=1)).mean() < 0.2 * np.abs(np.diff(random)).mean()


def test_the_same_generator_gives_the_same_image() -> None:
    one, two, other = (
        degrade(disc(), depth_range=RANGE, settings=DegradationSettings(), rng=np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_wrong_input_is_named() -> None:
    wrong: list[tuple[Any, str]] = [(disc().astype(np.float32), "float32"), (disc()[0], "shape")]
    for broken, message in wrong:
        with pytest.raises(KitError, match=message):
            degrade(broken, depth_range=RANGE, settings=QUIET, rng=np.random.default_rng(0))
    with pytest.raises(KitError, match="keep, random, blurred"):
        degrade(disc(), depth_range=RANGE, settings=QUIET, rng=np.random.default_rng(0), hole_values="none")  # type: ignore[arg-type]
    with pytest.raises(KitError, match="blur_px"):
        DegradationSettings(blur_px=(9, 5))


def test_settings_travel_through_yaml_and_mistakes_are_named(tmp_path: Path) -> None:
    settings = DegradationSettings(noise_mm=7.5, blur_px=(3, 4))
    save_yaml(settings, tmp_path / "preset.yaml")
    assert load_yaml(DegradationSettings, tmp_path / "preset.yaml") == settings
    with pytest.raises(KitError, match="already there"):
        save_yaml(settings, tmp_path / "preset.yaml")
    (tmp_path / "bad.yaml").write_text("noise: 3\n")
    with pytest.raises(KitError, match=r"bad\.yaml: noise: unknown setting, expected one of outline_holes"):
        load_yaml(DegradationSettings, tmp_path / "bad.yaml")
    (tmp_path / "kind.yaml").write_text("blur_px: [1, two]\n")
    with pytest.raises(KitError, match="blur_px: found 'two', expected int"):
        load_yaml(DegradationSettings, tmp_path / "kind.yaml")


@pytest.mark.parametrize(
    "values",
    [
        {"faces": {"azimuth_deg": [0, 0]}},
        {"faces": {"top_mm": [1, 1]}},
        {"faces": {"expression_units": [900, 900]}},
        {"fill": [0.9, 0.5]},
        {"offset": 2},
        {"distance_mm": 0},
        {"hole_values": []},
        {"degradation": {"outline_holes": [10**8, 10**8]}},
        {"degradation": {"blur_px": [10**6, 10**6]}},
    ],
)
def test_settings_that_cannot_be_drawn_are_refused_by_name(values: dict[str, Any]) -> None:
    name = next(iter(values))
    inner = values[name]
    with pytest.raises(KitError, match=f"{next(iter(inner)) if isinstance(inner, dict) else name}: found"):
        from_dict(SynthesisSettings, values)
