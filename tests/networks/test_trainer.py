"""The one trainer: a real kill and what it costs, weights kept on improvement alone, and bad numbers that stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import only_run
from facedepth_kit.common.paths import TEMPORARY
from facedepth_kit.networks.ddrnet import build_ddrnet
from facedepth_kit.networks.losses import face_loss, image_loss, masked_l1, slope_loss, surface_loss
from facedepth_kit.networks.trainer import CHECKPOINT, Batch, TrainingSettings, learning_rate, train
from facedepth_kit.networks.weights import read_arrays, write_arrays

SHORT = TrainingSettings(loss="masked", warmup_steps=1)


@dataclass
class Noise:
    """Random batches by epoch and index; ``scale`` makes the targets of an epoch unreachable."""

    epochs: int = 4
    batch_size: int = 2
    fingerprint: str = "noise"
    scale: dict[int, float] = field(default_factory=dict)

    def steps(self, epoch: int) -> int:
        return 3

    def new_data(self, epoch: int) -> bool:
        return epoch % 2 == 0

    def batch(self, epoch: int, index: int) -> Batch:
        rng = np.random.default_rng([epoch, index])
        inputs = rng.uniform(-0.5, 0.5, (2, 16, 16, 1)).astype(np.float32)
        target = np.concatenate([inputs * self.scale.get(epoch, 0.5), np.ones_like(inputs)], axis=-1)
        return inputs, target.astype(np.float32)


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    progress, best = train(build_ddrnet, Noise(epochs=12), tmp_path, SHORT, progress_bar=False)
    assert (progress.epoch, progress.steps, progress.images) == (12, 36, 72)
    assert progress.losses[-1] < 0.8 * progress.losses[0]
    assert sum(weights.size for weights in best) == 868_001


def test_weights_are_kept_only_when_the_loss_improves(tmp_path: Path) -> None:
    # The fourth epoch's targets are far away: its loss is higher than the third's, on the same data.
    worse = Noise(scale={3: -9.0})
    progress, best = train(build_ddrnet, worse, tmp_path, SHORT, progress_bar=False)
    assert progress.losses[3] > progress.losses[2] == progress.best_loss
    arrays, _ = read_arrays(tmp_path / CHECKPOINT)
    last = [arrays[f"weight_{i}"] for i in range(len(best))]
    assert any(not np.array_equal(a, b) for a, b in zip(best, last, strict=True))
    improving, best = train(build_ddrnet, Noise(epochs=2), tmp_path / "improving", SHORT, progress_bar=False)
    assert improving.losses[1] < improving.losses[0]
    arrays, _ = read_arrays(tmp_path / "improving" / CHECKPOINT)
    assert all(np.array_equal(arrays[f"weight_{i}"], best[i]) for i in range(len(best)))


def test_losses_of_other_data_do_not_compare(tmp_path: Path) -> None:
    # The second chunk (epochs 2 and 3) is harder than the first: its best weights count nevertheless.
    harder = Noise(scale={2: -3.0, 3: -3.0})
    progress, best = train(build_ddrnet, harder, tmp_path, SHORT, progress_bar=False)
    assert min(progress.losses[2:]) > max(progress.losses[:2])
    assert progress.best_loss == min(progress.losses[2:])
    arrays, _ = read_arrays(tmp_path / CHECKPOINT)
    if progress.best_loss == progress.losses[3]:
        assert all(np.array_equal(arrays[f"weight_{i}"], best[i]) for i in range(len(best)))


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from tests.networks.test_trainer import SHORT, Noise
from facedepth_kit.networks.ddrnet import build_ddrnet
from facedepth_kit.networks.trainer import train
train(build_ddrnet, Noise(), {folder!r}, SHORT, progress_bar=False)
"""


def test_killed_it_loses_an_epoch_at_most_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, weights = train(build_ddrnet, Noise(), tmp_path / "whole", SHORT, progress_bar=False)
    folder = tmp_path / "killed"
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(root=root, folder=str(folder))], start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not (folder / CHECKPOINT).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / CHECKPOINT).exists()
    _, about = read_arrays(folder / CHECKPOINT)
    assert '"epoch": 4' not in about["progress"], "the run ended before it could be killed"
    resumed, again = train(build_ddrnet, Noise(), folder, SHORT, progress_bar=False)
    assert resumed.losses == whole.losses
    assert (resumed.steps, resumed.images) == (whole.steps, whole.images)
    for one, other in zip(weights, again, strict=True):
        np.testing.assert_array_equal(one, other)
    first, _ = read_arrays(tmp_path / "whole" / CHECKPOINT)
    second, _ = read_arrays(folder / CHECKPOINT)
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


def test_another_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    train(build_ddrnet, Noise(epochs=1), tmp_path, SHORT, progress_bar=False)
    for batches, settings in (
        (Noise(epochs=1, fingerprint="other"), SHORT),
        (Noise(epochs=1), TrainingSettings(loss="masked", seed=1)),
    ):
        with pytest.raises(KitError, match="other settings or pairs"):
            train(build_ddrnet, batches, tmp_path, settings, progress_bar=False)
    (tmp_path / CHECKPOINT).write_bytes(b"{")
    with pytest.raises(KitError, match="delete it to start again"):
        train(build_ddrnet, Noise(epochs=1), tmp_path, SHORT, progress_bar=False)


def test_what_a_killed_run_left_is_swept_and_a_second_run_at_once_is_refused(tmp_path: Path) -> None:
    left = tmp_path / f"{TEMPORARY}0123-{CHECKPOINT}"
    left.write_bytes(b"half a checkpoint")
    with only_run(tmp_path), pytest.raises(KitError, match="another run at work"):
        train(build_ddrnet, Noise(epochs=1), tmp_path, SHORT, progress_bar=False)
    assert left.is_file()
    train(build_ddrnet, Noise(epochs=1), tmp_path, SHORT, progress_bar=False)
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]


def test_values_that_are_not_finite_stop_it_with_one_line(tmp_path: Path) -> None:
    class Broken(Noise):
        def batch(self, epoch: int, index: int) -> Batch:
            inputs, target = super().batch(epoch, index)
            if index == 2:
                inputs[0, 0, 0] = np.nan
            return inputs, target

    with pytest.raises(KitError, match="not finite in batch 2 of epoch 0") as caught:
        train(build_ddrnet, Broken(), tmp_path / "pairs", SHORT, progress_bar=False)
    assert "\n" not in str(caught.value)
    with pytest.raises(KitError, match=r"loss: found (nan|inf)") as caught:
        unreachable, settings = Noise(scale={0: 3e38}), TrainingSettings(loss="image")
        train(build_ddrnet, unreachable, tmp_path / "loss", settings, progress_bar=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "loss" / CHECKPOINT).exists()
    for wrong in (float("nan"), 0.0, float("inf")):
        with pytest.raises(KitError, match="learning_rate"):
            TrainingSettings(learning_rate=wrong)


def test_the_learning_rate_warms_up_and_decays_to_its_share() -> None:
    settings = TrainingSettings(warmup_steps=10, learning_rate=1.0, final_rate_share=0.1)
    rate = learning_rate(settings, 1000)
    assert not isinstance(rate, float)
    assert float(rate(10)) == pytest.approx(1.0)
    assert float(rate(5)) == pytest.approx(0.55)
    assert float(rate(505)) == pytest.approx(0.55)
    assert float(rate(1000)) == pytest.approx(0.1)
    stairs = learning_rate(TrainingSettings(learning_rate=1.0, decay=0.8, decay_steps=300), 6000)
    assert not isinstance(stairs, float)
    assert [float(stairs(step)) for step in (0, 299, 300, 600)] == pytest.approx([1.0, 1.0, 0.8, 0.64])


def test_the_losses_by_hand() -> None:
    target = np.zeros((1, 2, 2, 2), np.float32)
    target[0, 0, :, 1] = 1  # two pixels of surface at depth 0
    prediction = np.zeros_like(target)
    prediction[0, 0, 0, 0], prediction[0, 1, 1, 0] = 0.5, 0.9  # the second error lies off the surface
    # |0.5| + 4 * 0.25 over (2 + 1) pixels; logits of 0 cost ln 2 each
    assert float(surface_loss(target, prediction)) == pytest.approx(1.5 / 3 + 0.03 * np.log(2), rel=1e-5)
    # One step within the surface, of 0.5, over (2 + 1) pixels, counts half.
    assert float(slope_loss(target, prediction)) == pytest.approx(
        float(surface_loss(target, prediction)) + 0.5 * 0.5 / 3, rel=1e-5
    )
    assert float(face_loss(target, prediction[..., :1])) == pytest.approx(1.5 / 3)
    assert float(image_loss(target[..., :1], prediction[..., :1])) == pytest.approx((0.25 + 0.81) / 4)
    assert float(masked_l1(target, prediction[..., :1])) == pytest.approx(0.5 / 3)


def test_arrays_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_arrays(path, {"x": np.arange(6, dtype=np.float32).reshape(2, 3).T}, {"note": "ü"})
    arrays, about = read_arrays(path)
    np.testing.assert_array_equal(arrays["x"], [[0, 3], [1, 4], [2, 5]])
    assert about == {"note": "ü"}
    with pytest.raises(KitError, match="already there"):
        write_arrays(path, {}, {})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(KitError, match=r"a\.safetensors: found no readable"):
        read_arrays(path)
