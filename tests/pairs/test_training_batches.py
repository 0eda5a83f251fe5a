"""Batches from pair stores: the paper's order of images, their targets, smaller images, and varied training pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, to_unit
from facedepth_kit.pairs.augmentation import SceneSettings, coarsen, draw_training_pair, respan
from facedepth_kit.pairs.store import MIXED, PairStore, SynthesisSettings, synthesize
from facedepth_kit.pairs.training_batches import Stage, StoreBatches, epoch_jobs, face_weight, make_batch

STAGE = Stage(ground_truths=4, hole_values=MIXED, chunks=2, epochs=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    folder = tmp_path_factory.mktemp("store") / "pairs"
    return synthesize(folder, 4, seed=11, workers=1, progress=False, settings=SynthesisSettings(hole_values=MIXED))


def test_each_chunk_shows_its_ground_truths_in_three_forms_every_epoch() -> None:
    first, again, second = (epoch_jobs(4, STAGE, epoch, 0) for epoch in (0, 1, 2))
    assert sorted(map(tuple, first)) == sorted(map(tuple, again)) == [(i, v) for i in (0, 1) for v in (0, 1, 2)]
    assert first.tolist() != again.tolist()  # shuffled anew
    assert sorted(map(tuple, second)) == [(i, v) for i in (2, 3) for v in (0, 1, 2)]


def test_a_batch_holds_unit_images_and_the_losses_target(store: PairStore) -> None:
    jobs = np.asarray([[0, 0], [1, 2]])
    inputs, target = make_batch(store, jobs, STAGE, "image", epoch=0, seed=0)
    assert inputs.shape == target.shape == (2, 256, 256, 1)
    np.testing.assert_array_equal(inputs[1, ..., 0], to_unit(store[1].degraded[2]))
    _, target = make_batch(store, jobs, STAGE, "surface", epoch=0, seed=0)
    assert target.shape == (2, 256, 256, 2)
    np.testing.assert_array_equal(target[0, ..., 1] > 0, store[0].ground_truth != HOLE)
    _, target = make_batch(store, jobs, STAGE, "face", epoch=0, seed=0)
    np.testing.assert_array_equal(target[0, ..., 1], face_weight(store[0].ground_truth))


def test_smaller_images_are_every_second_pixel(store: PairStore) -> None:
    jobs = np.asarray([[0, 0]])
    whole, truth = make_batch(store, jobs, STAGE, "face", epoch=0, seed=0)
    seen = set()
    for epoch in range(12):
        inputs, target = make_batch(store, jobs, STAGE, "face", epoch=epoch, seed=0, side=128)
        assert inputs.shape == (1, 128, 128, 1)
        places = [(top, left) for top in (0, 1) for left in (0, 1) if (whole[:, top::2, left::2] == inputs).all()]
        assert len(places) == 1
        top, left = places[0]
        np.testing.assert_array_equal(target, truth[:, top::2, left::2])
        seen.add(places[0])
    assert len(seen) > 1


def test_the_face_losses_weights_leave_the_rim_outside_the_face_out() -> None:
    truth = np.full((64, 64), HOLE)
    truth[:, :20] = 1000
    weight = face_weight(truth)
    assert (weight[:, :20] == 1).all()
    assert (weight[:, 20:28] == 0).all()
    np.testing.assert_allclose(weight[:, 28:], 0.15)


def test_stages_follow_one_another(store: PairStore) -> None:
    second = Stage(ground_truths=4, hole_values=("keep",), chunks=1, epochs=3, resolution_px=(128,))
    batches = StoreBatches([store, store], [STAGE, second], "face", 2, 0)
    assert batches.epochs == 4 + 3
    assert [batches.new_data(epoch) for epoch in range(7)] == [True, False, True, False, True, False, False]
    assert [batches.steps(epoch) for epoch in range(7)] == [3, 3, 3, 3, 2, 2, 2]
    assert batches.batch(3, 0)[0].shape == (2, 256, 256, 1)
    assert batches.batch(4, 1)[0].shape == (2, 128, 128, 1)
    np.testing.assert_array_equal(batches.batch(5, 1)[0], batches.batch(5, 1)[0])
    assert not np.array_equal(batches.batch(0, 0)[0], batches.batch(1, 0)[0])
    other = StoreBatches([store, store], [STAGE, replace(second, resolution_px=(256,))], "face", 2, 0)
    assert batches.fingerprint != other.fingerprint
    with pytest.raises(KitError, match="found 6 images in a chunk, expected at least a batch of 7"):
        StoreBatches([store], [STAGE], "face", 7, 0)


def test_bad_stages_are_refused() -> None:
    for change in ({"chunks": 0}, {"epochs": 0}, {"ground_truths": 0}, {"resolution_px": (100,)}):
        with pytest.raises(KitError, match="expected"):
            Stage(**change)


def test_varied_training_pairs_keep_the_face_and_its_proportions(store: PairStore) -> None:
    pair = store[0]
    longer, depth_range = respan(pair.ground_truth, pair.depth_range, 300.0)
    face = pair.ground_truth != HOLE
    np.testing.assert_array_equal(longer == HOLE, ~face)
    before_mm = pair.ground_truth[face] * (pair.depth_range.span_mm / 65534)
    np.testing.assert_allclose(longer[face] * (depth_range.span_mm / 65534), before_mm, atol=0.005)
    for seed in range(20):
        truth, degraded = draw_training_pair(
            pair, store[1], store.settings.degradation, SceneSettings(), np.random.default_rng(seed)
        )
        assert truth.shape == degraded.shape == (256, 256)
        both = (truth != HOLE) & (degraded != HOLE)
        assert both.sum() > 0.2 * face.sum()
    assert (coarsen(pair.ground_truth, 100) != HOLE).sum() == pytest.approx(face.sum(), rel=0.03)


def test_pairs_as_cameras_show_them(store: PairStore) -> None:
    settings = SceneSettings(camera_share=1.0)
    shares, errors = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        truth, degraded = draw_training_pair(store[0], store[1], store.settings.degradation, settings, rng)
        assert truth.shape == degraded.shape == (256, 256)
        assert truth.dtype == degraded.dtype == np.uint16
        again = draw_training_pair(
            store[0], store[1], store.settings.degradation, settings, np.random.default_rng(seed)
        )
        np.testing.assert_array_equal(again, (truth, degraded))
        both = (truth != HOLE) & (degraded != HOLE)
        shares.append(both.sum() / max((truth != HOLE).sum(), 1))
        errors.append(np.median(np.abs(truth[both] - degraded[both].astype(float))) * 250 / 65534 if both.any() else 0)
    assert 0.3 < np.mean(shares) < 0.95  # holes, but not too many
    assert 0.2 < np.median(errors) < 4.0  # millimetres of 25 cm: the noise of depth cameras
