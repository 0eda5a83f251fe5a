"""Batches for the trainer from pair stores: chunks of ground truths in several epochs each, at one or two sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds, settings_hash
from facedepth_kit.depth import HOLE, SIZE, DepthImage, to_unit
from facedepth_kit.networks.losses import TWO_CHANNELS
from facedepth_kit.networks.trainer import Batch, FloatArray
from facedepth_kit.pairs.augmentation import SceneSettings, draw_training_pair
from facedepth_kit.pairs.degradation import HoleValues
from facedepth_kit.pairs.store import PairStore

RIM_PX = 8.0  # how far outside the face, at 256 px, the outline's uncertainty reaches
BACKGROUND_WEIGHT = 0.15


@dataclass(frozen=True)
class Stage:
    """A part of a recipe: ``ground_truths`` in ``chunks``, each trained for ``epochs`` before the next.

    Every ground truth is shown in as many degraded forms as ``hole_values`` has entries, interleaved. ``seed`` decides
    the faces. ``resolution_px`` is the side of the images by chunk (the last value for the rest): the networks take
    any multiple of 128, and at 128 a step costs a quarter; an economy of the kit. ``fresh``: degrade every ground
    truth anew each time it is seen, in more varied ways (``scenes``), instead of once.
    """

    ground_truths: int = 60_000
    seed: int = 0
    hole_values: tuple[HoleValues, ...] = ("keep", "random", "blurred")
    chunks: int = 6
    epochs: int = 10
    resolution_px: tuple[int, ...] = (SIZE,)
    fresh: bool = False
    scenes: SceneSettings = field(default_factory=SceneSettings)

    def __post_init__(self) -> None:
        check_bounds(self, ground_truths=(1, 10**8), chunks=(1, 10**6), epochs=(1, 10**6), seed=(0, 2**32 - 1))
        for side in self.resolution_px or (0,):
            if side < 1 or SIZE % side:
                raise KitError(f"resolution_px: found {side}, expected divisors of {SIZE}")

    def side(self, chunk: int) -> int:
        """Side of the images of a chunk, in pixels."""
        return self.resolution_px[min(chunk, len(self.resolution_px) - 1)]


def face_weight(truth: DepthImage) -> FloatArray:
    """Weights of the face loss: 1 on the face, 0 up to ``RIM_PX`` outside it, ``BACKGROUND_WEIGHT`` beyond."""
    away = cv2.distanceTransform((truth == HOLE).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(away == 0, np.float32(1), np.where(away > RIM_PX, np.float32(BACKGROUND_WEIGHT), np.float32(0)))


def make_batch(
    store: PairStore, jobs: npt.NDArray[np.int64], stage: Stage, loss: str, *, epoch: int, seed: int, side: int = SIZE
) -> Batch:
    """Network input (n, side, side, 1) and target (n, side, side, 1 or 2) for jobs (n, 2) of pair index and variant.

    Smaller images are every second (fourth, ...) pixel, from a place drawn anew each time.
    """
    inputs, targets = [], []
    step = SIZE // side
    for index, variant in jobs:
        rng = np.random.default_rng([seed, epoch, int(index), int(variant)])
        pair = store[int(index)]
        truth, degraded = pair.ground_truth, pair.degraded[variant % len(pair.degraded)]
        if stage.fresh:
            other = store[int(rng.integers(len(store)))]
            truth, degraded = draw_training_pair(pair, other, store.settings.degradation, stage.scenes, rng)
        target = [to_unit(truth)]
        if loss == "face":
            target.append(face_weight(truth))
        elif loss in TWO_CHANNELS:
            target.append((truth != HOLE).astype(np.float32))
        top, left = rng.integers(0, step, 2)
        inputs.append(to_unit(degraded)[top::step, left::step, None])
        targets.append(np.stack(target, axis=-1)[top::step, left::step])
    return np.stack(inputs), np.stack(targets)


def epoch_jobs(count: int, stage: Stage, epoch: int, seed: int) -> npt.NDArray[np.int64]:
    """(n, 2) pair indices and variants of one epoch, shuffled: the variants of a chunk's ground truths, interleaved."""
    chunk = epoch // stage.epochs
    bounds = np.linspace(0, count, stage.chunks + 1).astype(int)
    variants = 1 if stage.fresh else len(stage.hole_values)
    jobs = np.stack(
        np.meshgrid(np.arange(bounds[chunk], bounds[chunk + 1]), np.arange(variants), indexing="ij"), axis=-1
    )
    return np.random.default_rng([seed, epoch]).permutation(jobs.reshape(-1, 2))


@dataclass(frozen=True)
class StoreBatches:
    """The batches of a recipe's stages, one after another (:class:`facedepth_kit.networks.trainer.Batches`).

    A store for each stage. Epochs are counted over all stages; what does not fill a batch is left out.
    """

    stores: Sequence[PairStore]
    stages: Sequence[Stage]
    loss: str
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        for store, stage in zip(self.stores, self.stages, strict=True):
            smallest = len(store) // stage.chunks * (1 if stage.fresh else len(stage.hole_values))
            if smallest < self.batch_size:
                raise KitError(
                    f"{store.folder}: found {smallest} images in a chunk, expected at least a batch of "
                    f"{self.batch_size}; ask for more pairs, fewer chunks or a smaller batch"
                )

    @property
    def fingerprint(self) -> str:
        """Changes whenever a batch would."""
        parts = [f"{settings_hash(a)}-{b.fingerprint}" for a, b in zip(self.stages, self.stores, strict=True)]
        return f"{'-'.join(parts)}-{self.loss}-{self.batch_size}-{self.seed}"

    @property
    def epochs(self) -> int:
        """Epochs over all stages and chunks."""
        return sum(stage.chunks * stage.epochs for stage in self.stages)

    def _place(self, epoch: int) -> tuple[int, int]:
        """The stage of an epoch, and the epoch's number within it."""
        for number, stage in enumerate(self.stages):
            if epoch < stage.chunks * stage.epochs:
                return number, epoch
            epoch -= stage.chunks * stage.epochs
        raise IndexError(f"epoch beyond the last of {self.epochs}")

    def _jobs(self, epoch: int) -> npt.NDArray[np.int64]:
        number, own = self._place(epoch)
        return epoch_jobs(len(self.stores[number]), self.stages[number], own, self.seed + number)

    def steps(self, epoch: int) -> int:
        """Whole batches of an epoch."""
        return len(self._jobs(epoch)) // self.batch_size

    def new_data(self, epoch: int) -> bool:
        """Whether a chunk begins."""
        number, own = self._place(epoch)
        return own % self.stages[number].epochs == 0

    def batch(self, epoch: int, index: int) -> Batch:
        """Inputs and targets of a step."""
        number, own = self._place(epoch)
        stage = self.stages[number]
        jobs = self._jobs(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        side = stage.side(own // stage.epochs)
        return make_batch(self.stores[number], jobs, stage, self.loss, epoch=own, seed=self.seed + number, side=side)
