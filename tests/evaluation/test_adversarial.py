"""Adversarial attacks: budgets by hand, slopes against differences, and attacks that keep to their budget."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit import enhancers
from facedepth_kit.cameras.simulated.sensors import ActiveStereo
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, SIZE, to_unit
from facedepth_kit.enhancers.learned import network_gradient
from facedepth_kit.evaluation.adversarial import (
    Effort,
    System,
    Targets,
    attacked,
    gradient_attack,
    noise_mm,
    pad_rows,
    pass_for_a_face,
    raise_error,
    raise_falsification,
    random_change,
    square_search,
    systems,
)

SPAN_MM = 250.0


def flat(n: int = 1, *, reach: float = 300.0) -> Targets:
    """Sheets with a hole in the corner, landmarks on a grid, the tip of the nose in the middle."""
    depth = np.full((n, SIZE, SIZE), 20_000, np.uint16)
    depth[:, :20, :20] = HOLE
    mask = np.zeros(depth.shape, np.bool_)
    mask[:, 40:216, 40:216] = True
    points = np.stack(np.meshgrid(np.linspace(50, 205, 17), np.linspace(60, 200, 4)), axis=-1).reshape(68, 2)
    points[30] = (128, 128)
    reaches = np.where(depth == HOLE, 0, reach).astype(np.float32)
    truth = np.full_like(depth, 21_000)
    return Targets(depth, mask, reaches, np.full(n, SPAN_MM), ("flat_print",) * n, truth, np.stack([points] * n))


def test_noise_grows_with_the_square_of_the_distance_and_with_the_angle() -> None:
    sensor = ActiveStereo()
    near, far = (noise_mm(np.full((32, 32), z), 1.0, sensor)[16, 16] for z in (400.0, 800.0))
    assert far == pytest.approx(4 * near, rel=1e-3)
    features = sensor.window_px**2 * sensor.feature_share
    disparity = np.sqrt(sensor.feature_noise_px**2 / features + sensor.pixel_noise_px**2 + 1 / (12 * 32**2))
    assert near == pytest.approx(400**2 / (640 * 50) * disparity, rel=1e-3)
    turned = 400.0 + np.arange(32.0)[None] * np.ones((32, 1))  # 45 degrees at 1 mm a pixel
    assert noise_mm(turned, 1.0, sensor)[16, 16] == pytest.approx(np.hypot(near * 1.08, 0.8 * 416 / 640), rel=0.05)


def test_changes_stay_within_the_budget_and_holes_stay() -> None:
    targets = flat(2, reach=300.4)
    for changed in (
        random_change(targets, np.random.default_rng(0)),
        gradient_attack(System("None"), targets, pass_for_a_face, steps=3, rng=np.random.default_rng(1)),
        square_search(System("None"), targets, raise_error, queries=5, rng=np.random.default_rng(2)),
    ):
        assert changed.dtype == np.uint16
        assert ((changed == HOLE) == (targets.depth == HOLE)).all()
        moved = np.abs(changed.astype(int) - targets.depth)
        assert 0 < moved.max() <= 300


@pytest.mark.parametrize("aim", [raise_error, raise_falsification, pass_for_a_face])
def test_slopes_agree_with_differences(aim: object) -> None:
    targets = flat()
    rng = np.random.default_rng(3)
    output = (targets.depth + rng.integers(-400, 400, targets.depth.shape)).astype(np.uint16)
    output[targets.depth == HOLE] = HOLE
    _, slope, _ = aim(targets, targets.depth, output)  # type: ignore[operator]
    # Both windows of landmarks and single pixels: a landmark's slope is spread over the pixels around it.
    step = np.zeros(output.shape, np.int64)
    step[0, 126:131, 126:131] = 40
    up, down = (aim(targets, targets.depth, (output + sign * step).astype(np.uint16))[0][0] for sign in (1, -1))  # type: ignore[operator]
    assert np.sign(up - down) == np.sign((slope * step).sum())


def test_doing_nothing_falls_to_the_gradient_as_far_as_the_budget_goes() -> None:
    targets = flat(reach=300.0)
    changed = gradient_attack(System("None"), targets, pass_for_a_face, steps=4, rng=np.random.default_rng(0))
    assert int(changed[0, 128, 128]) == 20_000 - 300  # the nose forward
    assert int(changed[0, 60, 50]) == 20_000 + 300  # the others back
    worse = gradient_attack(System("None"), targets, raise_error, steps=4, rng=np.random.default_rng(0))
    assert (worse[targets.mask] == 19_700).all()  # away from the truth


def test_a_network_has_a_gradient_and_an_attack_beats_chance() -> None:
    name = next(name for name in ("DL-Kit-2", "DL-Kit-1") if name in enhancers.available())
    targets = flat()
    weight = np.zeros((1, SIZE, SIZE), np.float32)
    weight[0, 128, 128] = 1.0
    slope = network_gradient(name)(to_unit(targets.depth), weight)
    assert slope.shape == weight.shape
    assert np.abs(slope[0, 100:156, 100:156]).sum() > 10 * np.abs(slope[0, :20, 200:]).sum()
    system = System(name)
    made = gradient_attack(system, targets, raise_error, steps=2, rng=np.random.default_rng(0))
    chance = random_change(targets, np.random.default_rng(0))
    aimed, random = (raise_error(targets, given, system.enhance(given))[0][0] for given in (made, chance))
    assert aimed > random


def test_what_has_no_gradient_is_searched_and_says_so() -> None:
    assert [system.label for system in systems(["None", "Telea", "DL-Omega"])] == ["None", "Telea"]
    targets = flat()
    found = attacked([System("Telea"), System("None")], targets, raise_error, Effort(1, 2), np.random.default_rng(0))
    assert {attack for label, attack in found if label == "Telea"} == {"none", "random", "search"}
    assert {attack for label, attack in found if label == "None"} == {"none", "random", "gradient"}
    with pytest.raises(KitError, match="found no gradient"):
        gradient_attack(System("Telea"), targets, raise_error, steps=1, rng=np.random.default_rng(0))


def test_prints_pass_once_the_budget_is_a_nose() -> None:
    rates, system, faces = [], System("None"), flat(2)
    for budget_mm in (0.5, 5.0):
        prints = flat(3, reach=budget_mm * FARTHEST / SPAN_MM)
        given = attacked([system], prints, pass_for_a_face, Effort(4, 1), np.random.default_rng(0))
        lines = pad_rows([system], faces, prints, {"relief (ours)": -5.0}, given)
        assert {line["n"] for line in lines} == {3}
        rates.append({line["attack"]: line["APCER"] for line in lines if line["presentation"] == "worst species"})
    assert rates[0] == {"none": 0.0, "random": 0.0, "gradient": 0.0}
    assert rates[1]["gradient"] == 1.0
    assert list(attacked([system], faces, pass_for_a_face, None, np.random.default_rng(0))) == [("None", "none")]
