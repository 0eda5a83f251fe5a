"""Adversarial training: does DL-Kit-2 resist attacks better after some training on attacked images, and at what cost?

    python tools/harden.py REAL_DEPTH --images 8 --steps 10 --pairs 100 --every 6

goes on training the shipped network for a short while, half of each batch moved within the sensor's noise budget along
the gradient's sign (Madry et al. 2018; one step from a random start, after Wong et al. 2020), and writes
``figures/recordings/adversarial_training.csv``: attack, error on fresh pairs and at punched holes of the recordings in
REAL_DEPTH (numbers only), before and after. Resumable: runs stay in ``build/hardening``. Needs TensorFlow.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.common.paths import repository_root
from facedepth_kit.common.tables import write_table
from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, from_unit
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.evaluation.adversarial import (
    SHARE_OF_STEP,
    Effort,
    Targets,
    attacked,
    distance_rows,
    pair_targets,
    raise_error,
    raise_falsification,
    systems,
)
from facedepth_kit.evaluation.error import evaluate
from facedepth_kit.evaluation.punched import evaluate_punched
from facedepth_kit.evaluation.recordings import faces_in
from facedepth_kit.networks.cards import load_checked, network_files, network_present
from facedepth_kit.networks.trainer import Batch, train
from facedepth_kit.pairs.recipes import Recipe, Trained, chosen_recipe, export_network, recipe_stores
from facedepth_kit.pairs.store import PairStore, synthesize
from facedepth_kit.pairs.training_batches import StoreBatches

if TYPE_CHECKING:
    import keras

BEFORE, AFTER = "DL-Kit-2", "DL-Kit-2-hardened"
ATTACKED_SHARE = 0.5  # of the images; the others stay as they are, for the error without an attack
SEED = 1  # of the faces that both are compared on
RECORDINGS = {"kinect_v2_faces": "Kinect v2", "truedepth_mannequin": "TrueDepth"}


def targets(truth: DepthImage, degraded: DepthImage, deviations: float) -> Targets:
    """Pairs under attack, as notebook 21 has them: 150 mm deep from 600 mm on."""
    return pair_targets(truth, degraded, deviations, span_mm=150, distance_mm=600, pixel_mm=0.8)


@dataclass(frozen=True)
class AttackedBatches(StoreBatches):
    """A recipe's batches with how far each pixel may move, in the network's unit, as a second channel of the input."""

    deviations: float

    @property
    def fingerprint(self) -> str:
        """Changes whenever a batch would."""
        return f"{super().fingerprint}-{self.deviations}"

    def batch(self, epoch: int, index: int) -> Batch:
        """Inputs (n, 256, 256, 2) and targets of a step."""
        inputs, wanted = super().batch(epoch, index)
        images = from_unit(inputs[..., 0])
        reach = targets(images, images, self.deviations).reach / np.float32(HOLE)
        return np.concatenate([inputs, reach[..., None]], axis=-1), wanted


def hardened(build: Callable[[], keras.Model]) -> keras.Model:
    """The network with a step of training that attacks a part of the batch first, by the loss it is trained with."""
    import keras
    import tensorflow as tf

    class Hardened(keras.Model):
        def train_step(self, data: Any) -> Any:
            given, wanted = data[:2]
            depth, reach = given[..., :1], given[..., 1:]
            farthest = tf.where(depth < 1.0, FARTHEST / float(HOLE), 1.0)
            moved = tf.clip_by_value(depth + reach * tf.random.uniform(tf.shape(reach), -1.0, 1.0), 0.0, farthest)
            with tf.GradientTape() as tape:
                tape.watch(moved)
                loss = self.compute_loss(moved, wanted, self(moved, training=False))
            moved += SHARE_OF_STEP / 2 * reach * tf.sign(tape.gradient(loss, moved))
            moved = tf.clip_by_value(tf.clip_by_value(moved, depth - reach, depth + reach), 0.0, farthest)
            chosen = tf.random.uniform(tf.shape(depth)[:1], 0.0, 1.0) < ATTACKED_SHARE
            return super().train_step((tf.where(chosen[:, None, None, None], moved, depth), wanted))

    network = build()
    return Hardened(network.inputs, network.outputs[0], name=network.name)


def harden(recipe: Recipe, work: Path, deviations: float) -> Trained:
    """Go on training the network that the recipe starts from on attacked images."""
    stores = recipe_stores(recipe, work / "pairs")
    training = recipe.training
    batches = AttackedBatches(stores, recipe.stages, training.loss, recipe.batch, training.seed, deviations)
    start = recipe.build()
    card = load_checked(start, network_files(BEFORE)[0])
    progress, weights = train(
        lambda: hardened(recipe.build), batches, work / AFTER, training, initial=start.get_weights(), label=AFTER
    )
    return Trained(recipe, stores, progress, batches.epochs, weights, card)


def under_attack(pairs: PairStore, count: int, deviations: float, steps: int) -> list[dict[str, Any]]:
    """Error and falsification of both networks, plain and held, on the same pairs: as they are, by chance, attacked."""
    given = targets(*pairs.batch(range(count)), deviations)
    lines = []
    under = systems([BEFORE, AFTER])
    for aim, aimed in ((raise_error, given), (raise_falsification, replace(given, truth=None))):
        found = attacked(under, aimed, aim, Effort(steps, 0), np.random.default_rng(SEED))
        lines += distance_rows(under, aimed, found)
    return lines


def cost(pairs: PairStore, real: Path, every: int) -> list[dict[str, Any]]:
    """What it costs where nobody attacks: the error on pairs and at punched holes."""
    names = (BEFORE, AFTER)
    errors = evaluate(pairs, {name: enhancers.get(name).enhance for name in names}).face
    lines: list[dict[str, Any]] = [
        {"measure": "RMSE (100), all pairs", "enhancer": name, "attack": "none", "images": len(pairs),
         "mean": 100 * errors[name].mean(), "largest": 100 * errors[name].max()}
        for name in names
    ]  # fmt: skip
    for folder, title in RECORDINGS.items():
        frames = islice(open_recordings(real / folder), 0, None, every)
        faces = ((frame, face) for frame, face, _ in faces_in(frames, []))
        functions = {name: recording_enhancer(name) for name in names}
        for row in evaluate_punched(faces, functions, np.random.default_rng(0)):
            lines.append({"measure": f"punched holes, {title}, mm", "enhancer": row.enhancer, "attack": "none",
                          "images": row.frames, "mean": row.common_rmse_mm})  # fmt: skip
    return lines


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--fraction", type=float, default=0.25, help="of the recipe's ground truths, seen once")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--deviations", type=float, default=2.0, help="of the sensor's noise: how far a pixel may move")
    parser.add_argument("--images", type=int, default=16, help="attacked to compare")
    parser.add_argument("--steps", type=int, default=20, help="of the attack")
    parser.add_argument("--pairs", type=int, default=300)
    parser.add_argument("--every", type=int, default=1, help="every so many of the recorded frames")
    parser.add_argument("--work", type=Path, default=repository_root() / "build" / "hardening")
    parser.add_argument(
        "--output", type=Path, default=repository_root() / "figures" / "recordings" / "adversarial_training.csv"
    )
    given = parser.parse_args()
    os.environ["FACEDEPTH_WEIGHTS"] = str(given.work / "networks")
    if not network_present(AFTER):
        recipe = chosen_recipe(BEFORE, fraction=given.fraction, epochs=1, name=AFTER)
        training = replace(recipe.training, learning_rate=given.learning_rate, warmup_steps=30)
        recipe = replace(recipe, start_from=BEFORE, training=training)
        export_network(harden(recipe, given.work, given.deviations), given.work / "networks")
    pairs = synthesize(given.work / "fresh", given.pairs, seed=SEED)
    lines = under_attack(pairs, given.images, given.deviations, given.steps) + cost(pairs, given.real, given.every)
    write_table(given.output, lines, significant=4, overwrite=True)
    for line in lines:
        print(*line.values(), sep="\t")


if __name__ == "__main__":
    main()
