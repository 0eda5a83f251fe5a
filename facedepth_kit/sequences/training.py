"""Out-of-fold training of M1 and M2 (section 5, Figure 3), on the kit's one trainer.

The recordings fall into P1 and P2, which share neither people nor rooms. M1_1 learns from P1 and predicts P2, M1_2 the
other way round; M2 learns from those predictions. M1 learns from both and serves at test time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import load_yaml, settings_hash, to_dict
from facedepth_kit.networks.cards import RECIPES, Faces, ModelCard, machine_name, write_network
from facedepth_kit.networks.denoisers import (
    FRAMES,
    SIDE_MULTIPLE,
    DenoiserSize,
    build_denoiser,
    build_remembering,
    build_step,
)
from facedepth_kit.networks.trainer import Batch, Progress, TrainingSettings, train
from facedepth_kit.networks.weights import Storage
from facedepth_kit.sequences.denoisers import MEMORY, SINGLE, SingleFrames, single_frames
from facedepth_kit.sequences.network_frames import STEP_PX, FloatArray, as_unit, network_input
from facedepth_kit.sequences.training_windows import Windows, WindowStore, folds

NAMES = (SINGLE, MEMORY)
Predictions = dict[str, list[FloatArray]]  # by recording: M1's depth of each frame, float32 (h, w) mm


@dataclass(frozen=True)
class Stage:
    """A part of a recipe: targets at most ``near_ms`` away count, for ``epochs`` (section 5: 15 ms, then 5)."""

    near_ms: float = 15.0
    epochs: int = 10

    def __post_init__(self) -> None:
        if not (self.near_ms > 0 and self.epochs > 0):
            raise KitError(f"stage: found {self}, expected times and epochs above 0")


@dataclass(frozen=True)
class DenoiserRecipe:
    """How M1 or M2 is trained.

    The networks see every ``step_px``-th pixel's block, in crops of ``crop_px`` (rows, columns; of those) about the
    person, mirrored half of the time: an economy of the kit, as are ``batch`` (48 in the paper) and the widths.
    """

    name: str = SINGLE
    size: DenoiserSize = field(default_factory=DenoiserSize)
    step_px: int = STEP_PX
    crop_px: tuple[int, int] = (160, 64)
    batch: int = 8
    epoch_steps: int = 100
    stages: tuple[Stage, ...] = (Stage(),)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(loss="masked", decay=0.5, plateau_epochs=2)
    )

    def __post_init__(self) -> None:
        if any(side < SIDE_MULTIPLE or side % SIDE_MULTIPLE for side in self.crop_px):
            raise KitError(f"crop: found {self.crop_px}, expected multiples of {SIDE_MULTIPLE}")
        if min(self.batch, self.epoch_steps, self.step_px) < 1 or not self.stages:
            raise KitError(f"{self.name}: found {self}, expected a stage, and batch, steps and step above 0")


def load_denoiser_recipe(name: str | Path) -> DenoiserRecipe:
    """A recipe that comes with the kit (M1, M2), or from a YAML file."""
    return load_yaml(DenoiserRecipe, RECIPES / f"{name}.yaml" if str(name) in NAMES else name)


class WindowBatches:
    """Batches from recordings (a :class:`facedepth_kit.networks.trainer.Batches`): frames for M1, sequences for M2."""

    def __init__(
        self, recordings: Sequence[Windows], recipe: DenoiserRecipe, digest: str, predictions: Predictions | None = None
    ) -> None:
        if recipe.size.remembers != (predictions is not None):
            raise KitError(f"{recipe.name}: found predictions {predictions is not None}, expected them for M2 only")
        self.recordings, self.recipe, self.predictions = recordings, recipe, predictions
        self._digest = digest
        self._frames = FRAMES if recipe.size.remembers else 1
        self._jobs = [self._starts(stage.near_ms) for stage in recipe.stages]
        for stage, jobs in zip(recipe.stages, self._jobs, strict=True):
            if not len(jobs):
                raise KitError(f"{recipe.name}: found no frame with a target within {stage.near_ms:g} ms")

    def _starts(self, near_ms: float) -> np.ndarray:
        """(n, 2) recording and first frame, of all runs of frames that have a target."""
        jobs = []
        for number, recording in enumerate(self.recordings):
            for first in recording.following(self._frames):
                if (recording.away_ms[first : first + self._frames] <= near_ms).any():
                    jobs.append((number, int(first)))
        return np.asarray(jobs).reshape(-1, 2)

    @property
    def fingerprint(self) -> str:
        """Changes whenever a batch would."""
        digest = hashlib.sha256(self._digest.encode())
        for recording in self.recordings:
            digest.update(recording.name.encode())
            for predicted in (self.predictions or {}).get(recording.name, []):
                digest.update(predicted.tobytes())
        return f"{settings_hash(self.recipe)}-{digest.hexdigest()[:12]}"

    @property
    def batch_size(self) -> int:
        """Frames or sequences a step."""
        return self.recipe.batch

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.recipe.stages)

    def steps(self, epoch: int) -> int:
        """Batches of an epoch."""
        return self.recipe.epoch_steps

    def _stage(self, epoch: int) -> tuple[int, int]:
        for number, stage in enumerate(self.recipe.stages):
            if epoch < stage.epochs:
                return number, epoch
            epoch -= stage.epochs
        raise IndexError(f"epoch beyond the last of {self.epochs}")

    def new_data(self, epoch: int) -> bool:
        """Whether a stage begins."""
        return self._stage(epoch)[1] == 0

    def batch(self, epoch: int, index: int) -> Batch:
        """Inputs (n, [4,] h, w, 7 or 8) and targets (n, [4,] h, w, 2: depth, mask), depth as the networks see it."""
        number, _ = self._stage(epoch)
        rng = np.random.default_rng([self.recipe.training.seed, epoch, index])
        jobs = self._jobs[number]
        made = [
            self._item(jobs[k], self.recipe.stages[number].near_ms, rng)
            for k in rng.integers(len(jobs), size=self.recipe.batch)
        ]
        inputs, targets = (np.stack(part) for part in zip(*made, strict=True))
        return (inputs, targets) if self.recipe.size.remembers else (inputs[:, 0], targets[:, 0])

    def _item(self, job: np.ndarray, near_ms: float, rng: np.random.Generator) -> Batch:
        recording, first = self.recordings[job[0]], int(job[1])
        mirrored = -1 if rng.random() < 0.5 else 1
        brightness = np.float32(np.exp(rng.normal(0, 0.15)))
        corner: tuple[int, int] | None = None
        inputs, targets = [], []
        middle_mm = recording.frame(first).middle_mm
        for i in range(first, first + self._frames):
            frame = recording.frame(i)
            predicted = None if self.predictions is None else self.predictions[recording.name][i]
            channels = network_input(frame, middle_mm, predicted)
            channels[..., :3] *= brightness
            target_mm = recording.target_mm(i)
            known = np.isfinite(target_mm) & (recording.away_ms[i] <= near_ms)
            target = np.stack([as_unit(target_mm, middle_mm), known.astype(np.float32)], axis=-1)
            corner = corner or self._corner(frame.person, rng)
            inputs.append(_cut(channels, corner, self.recipe.crop_px)[:, ::mirrored])
            targets.append(_cut(target, corner, self.recipe.crop_px)[:, ::mirrored])
        return np.stack(inputs), np.stack(targets)

    def _corner(self, person: FloatArray, rng: np.random.Generator) -> tuple[int, int]:
        """The upper left of a crop about a random place on the person."""
        rows, columns = np.nonzero(person > 0)
        k = int(rng.integers(len(rows)))
        place = (int(rows[k]), int(columns.mean() + rng.normal(0, 8)))
        top, left = (
            int(np.clip(at - side // 2, 0, max(whole - side, 0)))
            for at, side, whole in zip(place, self.recipe.crop_px, person.shape, strict=True)
        )
        return top, left


def _cut(values: FloatArray, corner: tuple[int, int], size: tuple[int, int]) -> FloatArray:
    part = values[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
    return np.pad(part, ((0, size[0] - part.shape[0]), (0, size[1] - part.shape[1]), (0, 0)))


@dataclass(frozen=True, eq=False)
class TrainedDenoiser:
    """A network of the scheme: recipe, what it has seen, where its run stands, and its best weights."""

    recipe: DenoiserRecipe
    seen: tuple[Faces, ...]
    progress: Progress
    epochs: int
    weights: list[Any]

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.progress.epoch == self.epochs

    def single(self) -> SingleFrames:
        """M1, ready for use."""
        return single_frames(self.recipe.size, self.weights, self.recipe.step_px)


def train_denoiser(
    recordings: Sequence[Windows],
    recipe: DenoiserRecipe,
    folder: str | Path,
    *,
    digest: str,
    predictions: Predictions | None = None,
    progress_bar: bool = True,
    label: str | None = None,
    stop_after_s: float | None = None,
) -> TrainedDenoiser:
    """Train (or go on training) M1, or with ``predictions`` M2, on recordings; see :func:`..networks.trainer.train`."""
    batches = WindowBatches(recordings, recipe, digest, predictions)
    build = build_remembering if recipe.size.remembers else build_denoiser
    progress, weights = train(
        lambda: build(recipe.size),
        batches,
        folder,
        recipe.training,
        progress_bar=progress_bar,
        label=label or recipe.name,
        stop_after_s=stop_after_s,
    )
    seen = tuple(dict.fromkeys(faces for recording in recordings for faces in recording.session.seen))
    return TrainedDenoiser(recipe, seen, progress, batches.epochs, weights)


def predictions_of(trained: TrainedDenoiser, recordings: Sequence[Windows]) -> Predictions:
    """M1's predictions of recordings. Raises :class:`KitError` where it has seen their person or room."""
    single = trained.single()
    made: Predictions = {}
    for recording in recordings:
        for faces in recording.session.seen:
            if any(faces.meets(known) for known in trained.seen):
                raise KitError(f"{recording.name}: found {faces.source} in training, expected others: out of fold")
        made[recording.name] = [single.small(recording.frame(i)) for i in range(len(recording))]
    return made


def train_scheme(
    store: WindowStore,
    folder: str | Path,
    single: DenoiserRecipe,
    memory: DenoiserRecipe | None = None,
    *,
    fold_share: float = 1.0,
    progress_bar: bool = True,
    stop_after_s: float | None = None,
) -> dict[str, TrainedDenoiser]:
    """Figure 3 in ``folder``, to be gone on with after a kill: M1 alone, or with ``memory`` M1_1, M1_2, M1 and M2.

    ``fold_share``: epochs of M1_1 and M1_2 as a share of M1's. A network that ``stop_after_s`` stopped is the last.
    """
    folder, everything = Path(folder), list(range(len(store.recordings)))
    options: dict[str, Any] = {"digest": store.digest, "progress_bar": progress_bar, "stop_after_s": stop_after_s}
    made: dict[str, TrainedDenoiser] = {}
    predictions: Predictions = {}
    if memory is not None:
        stages = tuple(replace(one, epochs=max(round(one.epochs * fold_share), 1)) for one in single.stages)
        halves = folds([recording.session for recording in store.recordings])
        for number, (own, other) in enumerate((halves, halves[::-1]), start=1):
            name = f"{SINGLE}_{number}"
            recipe = replace(single, stages=stages)
            made[name] = train_denoiser(store.part(own), recipe, folder / name, label=name, **options)
            if not made[name].finished:
                return made
            predictions |= predictions_of(made[name], store.part(other))
    made[SINGLE] = train_denoiser(store.part(everything), single, folder / SINGLE, **options)
    if memory is not None and made[SINGLE].finished:
        made[MEMORY] = train_denoiser(
            store.part(everything), memory, folder / MEMORY, predictions=predictions, **options
        )
    return made


def export_denoiser(
    trained: TrainedDenoiser,
    weights_dir: str | Path,
    *,
    storage: Storage = "float16",
    overwrite: bool = False,
    pairs: str = "",
    measured: dict[str, Any] | None = None,
    notes: dict[str, Any] | None = None,
) -> Path:
    """Write weights and model card of M1 or M2; returns the card's path."""
    recipe = trained.recipe
    model = build_step(recipe.size) if recipe.size.remembers else build_denoiser(recipe.size)
    model.set_weights(trained.weights)
    card = ModelCard(
        name=recipe.name,
        size=MEMORY if recipe.size.remembers else SINGLE,
        sha256="",
        pairs=pairs,
        trained_on=trained.seen,
        started_from=SINGLE if recipe.size.remembers else None,
        epochs_planned=trained.epochs,
        machine=machine_name(),
        recipe=to_dict(recipe),
        measured=measured or {},
        notes=notes or {},
        **trained.progress.on_card(frames=FRAMES if recipe.size.remembers else 1),
    )
    return write_network(model, card, weights_dir, storage=storage, overwrite=overwrite)
