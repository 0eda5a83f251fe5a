"""Training: the paper's order of images, the objectives by hand, and a kill that loses one epoch at most."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, to_unit
from facedepth_kit.networks.trainer import (
    TrainingSettings,
    epoch_batches,
    epoch_jobs,
    export,
    face_loss,
    face_weight,
    image_loss,
    learning_rate,
    make_batch,
    surface_loss,
    train,
)
from facedepth_kit.pairs.augmentation import SceneSettings, coarsen, draw_training_pair, respan
from facedepth_kit.pairs.store import MIXED, PairStore, SynthesisSettings, synthesize

SHORT = TrainingSettings(name="DL-Delta-1", chunks=2, epochs=2, batch=2, warmup_steps=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PairStore:
    folder = tmp_path_factory.mktemp("store") / "pairs"
    return synthesize(folder, 4, seed=11, workers=1, progress=False, settings=SynthesisSettings(hole_values=MIXED))


def test_each_chunk_shows_its_ground_truths_in_three_forms_every_epoch(store: PairStore) -> None:
    first, again, second = (epoch_jobs(store, SHORT, epoch) for epoch in (0, 1, 2))
    assert sorted(map(tuple, first)) == sorted(map(tuple, again)) == [(i, v) for i in (0, 1) for v in (0, 1, 2)]
    assert first.tolist() != again.tolist()  # shuffled anew
    assert sorted(map(tuple, second)) == [(i, v) for i in (2, 3) for v in (0, 1, 2)]


def test_a_batch_holds_unit_images_and_the_objectives_target(store: PairStore) -> None:
    inputs, target = make_batch(store, np.asarray([[0, 0], [1, 2]]), SHORT, 0)
    assert inputs.shape == target.shape == (2, 256, 256, 1)
    np.testing.assert_array_equal(inputs[1, ..., 0], to_unit(store[1].degraded[2]))
    surface = TrainingSettings(objective="surface", batch=2)
    _, target = make_batch(store, np.asarray([[0, 0], [1, 2]]), surface, 0)
    assert target.shape == (2, 256, 256, 2)
    np.testing.assert_array_equal(target[0, ..., 1] > 0, store[0].ground_truth != HOLE)


def test_batches_come_in_the_order_of_the_jobs(store: PairStore) -> None:
    jobs = epoch_jobs(store, SHORT, 0)
    inputs = np.concatenate([batch for batch, _ in epoch_batches(store, SHORT, 0)])
    np.testing.assert_array_equal(inputs, make_batch(store, jobs, SHORT, 0)[0])


def test_the_objectives_by_hand() -> None:
    target = np.zeros((1, 2, 2, 2), np.float32)
    target[0, 0, :, 1] = 1  # two pixels of surface at depth 0
    prediction = np.zeros_like(target)
    prediction[0, 0, 0, 0], prediction[0, 1, 1, 0] = 0.5, 0.9  # the second error lies off the surface
    # |0.5| + 4 * 0.25 over (2 + 1) pixels; logits of 0 cost ln 2 each
    assert float(surface_loss(target, prediction)) == pytest.approx(1.5 / 3 + 0.03 * np.log(2), rel=1e-5)
    assert float(image_loss(target[..., :1], prediction[..., :1])) == pytest.approx((0.25 + 0.81) / 4)


def test_the_face_objective_leaves_the_rim_outside_the_face_out() -> None:
    truth = np.full((64, 64), HOLE)
    truth[:, :20] = 1000
    weight = face_weight(truth)
    assert (weight[:, :20] == 1).all()
    assert (weight[:, 20:28] == 0).all()
    np.testing.assert_allclose(weight[:, 28:], 0.15)
    target = np.stack([np.zeros((64, 64)), weight], axis=-1)[None].astype(np.float32)
    wrong = np.zeros((1, 64, 64, 1), np.float32)
    wrong[:, :, 20:28] = 1.0  # any value in the rim is free
    assert float(face_loss(target, wrong)) == 0.0
    wrong[:, :, 28:] = 0.5  # |0.5| + 4 * 0.25 = 1.5 at a weight of 0.15
    share = 0.15 * 36 / (20 + 0.15 * 36)
    assert float(face_loss(target, wrong)) == pytest.approx(1.5 * share, rel=1e-3)


def test_the_learning_rate_warms_up_and_decays_to_its_share() -> None:
    settings = TrainingSettings(warmup_steps=10, learning_rate=1.0, final_rate_share=0.1)
    assert learning_rate(0, 1000, settings) == pytest.approx(0.1)
    assert learning_rate(9, 1000, settings) == pytest.approx(1.0)
    assert learning_rate(500, 1000, settings) == pytest.approx(0.55)
    assert learning_rate(1000, 1000, settings) == pytest.approx(0.1)


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


@pytest.mark.parametrize("objective", ["image", "surface"])
def test_training_lowers_the_loss_and_exports_weights_with_a_card(
    store: PairStore, tmp_path: Path, objective: Literal["image", "surface"]
) -> None:
    fresh = objective == "surface"
    settings = TrainingSettings(
        name="Trial", objective=objective, chunks=1, epochs=3, batch=2, warmup_steps=1, fresh=fresh
    )
    progress = train(store, tmp_path / "run", settings, progress_bar=False)
    assert progress.epoch == 3
    assert progress.losses[-1] < 0.95 * progress.losses[0]
    card_path = export(store, tmp_path / "run", settings, tmp_path / "weights")
    card = json.loads(card_path.read_text())
    assert card["images_seen"] == progress.images == 3 * (4 if fresh else 12)
    assert card["head_channels"] == (2 if fresh else 1)
    with pytest.raises(KitError, match="exists"):
        export(store, tmp_path / "run", settings, tmp_path / "weights")


def test_another_run_in_the_same_folder_is_refused(store: PairStore, tmp_path: Path) -> None:
    train(store, tmp_path / "run", SHORT, progress_bar=False, stop_after_s=0.01)
    with pytest.raises(KitError, match="other settings"):
        train(store, tmp_path / "run", TrainingSettings(epochs=3), progress_bar=False)


def test_killed_in_the_middle_it_loses_one_epoch_at_most(store: PairStore, tmp_path: Path) -> None:
    whole = train(store, tmp_path / "whole", SHORT, progress_bar=False)
    script = tmp_path / "run.py"
    script.write_text(
        "from facedepth_kit.pairs.store import PairStore\n"
        "from facedepth_kit.networks.trainer import TrainingSettings, train\n"
        "if __name__ == '__main__':\n"
        "    short = TrainingSettings(name='DL-Delta-1', chunks=2, epochs=2, batch=2, warmup_steps=1)\n"
        f"    train(PairStore({str(store.folder)!r}), {str(tmp_path / 'killed')!r}, short, progress_bar=False)\n"
    )
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    checkpoint = tmp_path / "killed" / "checkpoint.npz"
    deadline = time.monotonic() + 200
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = json.loads(str(np.load(checkpoint)["progress"]))
    assert 1 <= before["epoch"] < 4
    resumed = train(store, tmp_path / "killed", SHORT, progress_bar=False)
    assert resumed.epoch == 4
    assert resumed.images == whole.images
    assert resumed.losses == pytest.approx(whole.losses, rel=0.05)
