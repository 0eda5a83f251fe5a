"""Face RMSE and its summary, on cases worked out by hand and against scipy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.evaluation.error import evaluate, face_rmse, read_errors, summary, write_errors


def image(*values: int | np.uint16) -> DepthImage:
    return np.array(values, np.uint16).reshape(1, -1)


def test_rmse_by_hand() -> None:
    # Two face pixels, off by 0.2 and 0.1 of the range (65535 * 0.2 = 13107): sqrt((0.04 + 0.01) / 2).
    target = image(13107, 26214, HOLE, HOLE)
    prediction = image(0, 19660, 5, HOLE)
    assert face_rmse(prediction, target) == pytest.approx(math.sqrt((0.2**2 + (6554 / 65535) ** 2) / 2), rel=1e-6)


def test_hole_in_the_face_counts_as_one_and_background_does_not_count() -> None:
    target = image(0, HOLE)
    assert face_rmse(image(HOLE, 0), target) == 1.0
    assert face_rmse(image(0, 0), target) == 0.0


def test_mask_replaces_the_face() -> None:
    target, prediction = image(0, 0), image(0, HOLE)
    assert face_rmse(prediction, target, mask=np.array([[True, False]])) == 0.0
    assert face_rmse(prediction, target) == pytest.approx(math.sqrt(0.5))


def test_stack_gives_one_value_an_image() -> None:
    rng = np.random.default_rng(1)
    target = rng.integers(0, 65535, (3, 16, 16)).astype(np.uint16)
    prediction = rng.integers(0, 65535, (3, 16, 16)).astype(np.uint16)
    stacked = face_rmse(prediction, target)
    assert isinstance(stacked, np.ndarray)
    assert stacked.shape == (3,)
    assert stacked.tolist() == [face_rmse(p, t) for p, t in zip(prediction, target, strict=True)]


def test_rmse_does_not_change_its_input() -> None:
    target, prediction = image(1, HOLE), image(2, 3)
    before = target.copy(), prediction.copy()
    face_rmse(prediction, target)
    assert np.array_equal(before[0], target)
    assert np.array_equal(before[1], prediction)


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (image(1, 2).astype(np.float32), image(1, 2), "prediction: found dtype float32"),
        (image(1, 2), image(1, 2).astype(np.uint8), "target: found dtype uint8"),
        (image(1, 2, 3), image(1, 2), "found shapes"),
        (image(1, 2), image(HOLE, HOLE), "without a pixel to compare"),
    ],
)
def test_rmse_refuses(prediction: DepthImage, target: DepthImage, message: str) -> None:
    with pytest.raises(KitError, match=message):
        face_rmse(prediction, target)


def test_summary_by_hand() -> None:
    # 1, 1, 1, 5: mean 2, deviations -1 -1 -1 3; m2 = 12/4 = 3, m3 = 24/4 = 6, m4 = 84/4 = 21.
    result = summary([1, 1, 1, 5])
    assert result.mean == 2.0
    assert result.std == pytest.approx(2.0)  # sqrt(12 / 3)
    assert result.skewness == pytest.approx(6 / 3**1.5)
    assert result.excess_kurtosis == pytest.approx(21 / 9 - 3)
    assert result.count == 4


def test_summary_agrees_with_scipy() -> None:
    values = np.random.default_rng(2).gamma(2.0, 0.01, 1000)
    result = summary(values)
    assert result.std == pytest.approx(stats.tstd(values))
    assert result.skewness == pytest.approx(stats.skew(values))
    assert result.excess_kurtosis == pytest.approx(stats.kurtosis(values))


def test_summary_of_too_little() -> None:
    assert math.isnan(summary([0.5]).std)
    equal = summary([0.1] * 7)
    assert equal.std == pytest.approx(0.0)
    assert math.isnan(equal.skewness)
    assert math.isnan(equal.excess_kurtosis)
    for empty in ([], [0.1, float("nan")]):
        with pytest.raises(KitError, match="expected finite"):
            summary(empty)


class Pairs:
    """Ten pairs in which pixel (0, 0) is off by i / 65535, and a note of what was read at a time."""

    def __init__(self) -> None:
        self.read: list[list[int]] = []

    def __len__(self) -> int:
        return 10

    def batch(self, indices: Sequence[int]) -> tuple[DepthImage, DepthImage]:
        self.read.append(list(indices))
        target = np.zeros((len(indices), 4, 4), np.uint16)
        degraded = target.copy()
        degraded[:, 0, 0] = indices
        return target, degraded


def test_evaluate_streams_and_keeps_order() -> None:
    pairs = Pairs()
    errors = evaluate(
        pairs, {"None": lambda depth: depth, "zero": lambda depth: depth * np.uint16(0)}, batch_size=4, progress=False
    )
    assert errors["None"] == pytest.approx(np.arange(10) / 65535 / 4)
    assert not errors["zero"].any()
    assert pairs.read == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_evaluate_refuses_an_enhancer_that_changes_the_size() -> None:
    with pytest.raises(KitError, match="half: found output shape"):
        evaluate(Pairs(), {"half": lambda depth: depth[:, ::2, ::2]}, progress=False)


def test_evaluate_goes_on_where_it_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = tmp_path / "partial.npz"
    clock = iter(range(0, 10000, 100))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    calls = 0

    def dies_in_the_third_batch(depth: DepthImage) -> DepthImage:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return depth

    with pytest.raises(KeyboardInterrupt):
        evaluate(Pairs(), {"None": dies_in_the_third_batch}, batch_size=4, progress=False, partial=partial, key="a")
    kept = partial.read_bytes()
    again, other = Pairs(), Pairs()
    errors = evaluate(again, {"None": lambda d: d}, batch_size=4, progress=False, partial=partial, key="a")
    assert again.read == [[8, 9]]
    assert errors["None"] == pytest.approx(np.arange(10) / 65535 / 4)
    assert not partial.exists()
    partial.write_bytes(kept)
    evaluate(other, {"None": lambda d: d}, batch_size=10, progress=False, partial=partial, key="b")
    assert other.read == [list(range(10))]


def test_errors_survive_the_file(tmp_path: Path) -> None:
    errors = {"None": np.array([0.25, 1 / 3]), "Sp-HfU": np.array([0.0, 1e-7])}
    write_errors(tmp_path / "errors.csv", errors)
    back = read_errors(tmp_path / "errors.csv")
    assert list(back) == list(errors)
    for name, values in errors.items():
        assert back[name] == pytest.approx(values, rel=1e-8)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(KitError, match="per-image errors"):
        read_errors(tmp_path / "other.csv")
