"""Face RMSE and its summary, on cases worked out by hand and against scipy."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from facedepth_kit import enhancers
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import SHIPPED_WEIGHTS
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.evaluation.error import (
    ErrorParts,
    Moments,
    evaluate,
    evaluate_parts,
    face_rmse,
    read_errors,
    summary,
    weights_key,
    write_errors,
)
from facedepth_kit.pairs.store import PairStore, synthesize


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
    assert errors.face["None"] == pytest.approx(np.arange(10) / 65535 / 4)
    assert not errors.face["zero"].any()
    assert pairs.read == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_evaluate_refuses_an_enhancer_that_changes_the_size() -> None:
    with pytest.raises(KitError, match="half: found output shape"):
        evaluate(Pairs(), {"half": lambda depth: depth[:, ::2, ::2]}, progress=False)


def test_moments_of_parts_merge_to_those_of_all() -> None:
    values = np.random.default_rng(3).gamma(2.0, 0.01, 1000) + 0.2
    whole = Moments.of(values)
    for cuts in ([1], [333, 334], [0, 500, 500], list(range(1, 1000, 7))):
        merged = sum((Moments.of(part) for part in np.split(values, cuts)), Moments())
        assert merged.count == whole.count
        for name in ("mean", "m2", "m3", "m4"):
            assert getattr(merged, name) == pytest.approx(getattr(whole, name), rel=1e-10)
    assert Moments.of([0.1] * 5) + Moments() == Moments.of([0.1] * 5)
    far = Moments.of(values + 1e6) + Moments.of(values + 1e6)  # a large mean does not eat the digits of the rest
    assert far.summary().std == pytest.approx(np.std(values, ddof=0), rel=2e-3)
    with pytest.raises(KitError, match="found no values"):
        Moments().summary()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "store"
    synthesize(folder, 9, seed=3, workers=1, progress=False)
    return folder


def test_parts_give_what_one_pass_gives_on_any_number_of_workers(store: Path, tmp_path: Path) -> None:
    names = ["None", "Telea"]
    whole = evaluate(PairStore(store), {name: enhancers.get(name).enhance for name in names}, progress=False)
    alone = evaluate_parts(tmp_path / "one", store, names, part=4, progress=False)
    for area in ("face", "image"):
        for name in names:
            assert getattr(alone.errors(), area)[name].tolist() == getattr(whole, area)[name].tolist()
            found = alone.summaries("face" if area == "face" else "image")[name]
            expected = summary(getattr(whole, area)[name])
            assert found.count == 9
            assert found.excess_kurtosis == pytest.approx(expected.excess_kurtosis, rel=1e-9)
    assert alone.summaries(count=5)["None"].mean == pytest.approx(whole.face["None"][:5].mean())
    several = evaluate_parts(tmp_path / "two", store, names, part=4, workers=2, progress=False)
    with ThreadPoolExecutor(2) as executor:
        threads = evaluate_parts(tmp_path / "three", store, names, part=4, executor=executor, progress=False)
    assert several.summaries() == threads.summaries() == alone.summaries()


def test_a_killed_evaluation_goes_on_with_the_parts_that_are_missing(store: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    evaluate_parts(folder, store, ["None"], part=4, progress=False)
    first, second, _ = sorted(folder.glob("None-*/part_*.npz"))
    second.unlink()
    kept = first.stat().st_mtime_ns
    with pytest.raises(KitError, match=r"part_00000004\.npz: found .*run the same command again"):
        ErrorParts(folder, ["None"]).summaries()
    evaluate_parts(folder, store, ["None"], part=4, progress=False)
    assert first.stat().st_mtime_ns == kept
    assert ErrorParts(folder, ["None"]).summaries()["None"].count == 9
    both = evaluate_parts(folder, store, ["Telea", "None"], part=4, progress=False)  # a further one costs only itself
    assert first.stat().st_mtime_ns == kept
    alone = evaluate_parts(tmp_path / "alone", store, ["Telea"], part=4, progress=False)
    assert both.summaries()["Telea"] == alone.summaries()["Telea"]
    with pytest.raises(KitError, match="found another count"):
        evaluate_parts(folder, store, ["None"], count=5, part=4, progress=False)


def test_new_weights_are_measured_anew(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".json", ".safetensors"):
        shutil.copy2(SHIPPED_WEIGHTS / f"DDRNet-dn{suffix}", tmp_path / f"mine{suffix}")
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path))
    before = weights_key(["mine"])
    card = tmp_path / "mine.json"
    read = json.loads(card.read_text())
    card.write_text(json.dumps(read | {"measured": {"mean": 0.1}}))
    assert weights_key(["mine"]) == before  # what a card says of errors is not what they depend on
    card.write_text(json.dumps(read | {"sha256": "other"}))
    assert weights_key(["mine"]) != before


def test_the_full_image_counts_what_lies_around_the_face() -> None:
    target = np.full((1, 4, 4), HOLE, np.uint16)
    target[0, 0, 0] = 0

    class One:
        def __len__(self) -> int:
            return 1

        def batch(self, indices: Sequence[int]) -> tuple[DepthImage, DepthImage]:
            return target, np.zeros_like(target)

    errors = evaluate(One(), {"None": lambda depth: depth}, progress=False)
    assert errors.face["None"].tolist() == [0.0]
    assert errors.image["None"] == pytest.approx([math.sqrt(15 / 16)])


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
