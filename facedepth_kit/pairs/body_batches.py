"""Batches that DDRNet-dn's stand-in learns from: simulated people, at the size that two cores allow (section IV-B)."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit.cameras.simulated.body_scenes import BodySceneSettings, draw_body_scene, sense
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds, settings_hash, to_dict
from facedepth_kit.networks.cards import RECIPES, ModelCard, check_name, write_network
from facedepth_kit.networks.ddrnet import NAME, build_ddrnet, normalise
from facedepth_kit.networks.trainer import Batch, FloatArray, Progress, TrainingSettings, train
from facedepth_kit.networks.weights import Storage

RECIPE = RECIPES / f"{NAME}.yaml"
SCENE_PX = 256
LEAST_VISIBLE = 0.15  # share of a crop that must show something


@dataclass(frozen=True)
class BodyRecipe:
    """How the stand-in is trained.

    Adam, its rate times ``decay`` every ``decay_steps`` of ``steps``, is the published schedule; ``batch`` and
    ``crop_px`` are half of the published 16 and 256. ``scenes`` views are rendered once, and seen through a freshly
    drawn sensor, mirrored and at another distance each time. An epoch has ``epoch_steps``. ``training.precision``:
    16-bit floats are faster, but bfloat16 rounds the input to 3 mm, more than the noise.
    """

    name: str = NAME
    scenes: int = 1000
    steps: int = 6000
    batch: int = 8
    crop_px: int = 128
    epoch_steps: int = 250
    bodies: BodySceneSettings = field(default_factory=BodySceneSettings)
    training: TrainingSettings = field(
        default_factory=lambda: TrainingSettings(loss="masked", decay=0.8, decay_steps=300, clip_norm=None)
    )

    def __post_init__(self) -> None:
        check_name(self.name)
        check_bounds(self, scenes=(1, 10**6), steps=(1, 10**9), batch=(1, 4096), epoch_steps=(1, 10**9))
        if self.crop_px % 4 or not 16 <= self.crop_px <= SCENE_PX:
            raise KitError(f"crop: found {self.crop_px} px, expected a multiple of 4 from 16 to {SCENE_PX}")


def render_scenes(recipe: BodyRecipe, *, progress_bar: bool = True) -> FloatArray:
    """The run's true views, float32 (scenes, 256, 256) millimetres, NaN = nothing there."""
    from tqdm.auto import tqdm

    return np.stack(
        [
            draw_body_scene(np.random.default_rng([recipe.training.seed, 1, index]), recipe.bodies, size_px=SCENE_PX)
            for index in tqdm(range(recipe.scenes), desc="scenes", unit="scene", disable=not progress_bar)
        ]
    )


def make_body_batch(scenes: FloatArray, recipe: BodyRecipe, step: int) -> Batch:
    """Input (n, crop, crop, 1) and target (n, crop, crop, 2: depth, mask) of a step, normalised to -1..1."""
    inputs, targets = [], []
    for item in range(recipe.batch):
        rng = np.random.default_rng([recipe.training.seed, 2, step, item])
        while True:
            truth = scenes[int(rng.integers(len(scenes)))]
            top, left = rng.integers(0, SCENE_PX - recipe.crop_px + 1, 2)
            truth = truth[top : top + recipe.crop_px, left : left + recipe.crop_px]
            if np.isfinite(truth).mean() >= LEAST_VISIBLE:
                break
        truth = truth[:, :: 1 if rng.random() < 0.5 else -1]
        low, high = recipe.bodies.distance_mm
        truth = truth + np.float32(rng.uniform(low, high) - np.nanmedian(truth)) * np.float32(rng.random() < 0.5)
        measured = sense(truth, rng, recipe.bodies)
        seen = np.isfinite(measured) & np.isfinite(truth) & (truth > recipe.bodies.near_mm)
        inputs.append(normalise(measured))
        targets.append(np.stack([normalise(truth), seen.astype(np.float32)], axis=-1))
    return np.stack(inputs)[..., None], np.stack(targets)


class BodyBatches:
    """The batches of the recipe (a :class:`facedepth_kit.networks.trainer.Batches`), rendered when asked for."""

    def __init__(self, recipe: BodyRecipe, progress_bar: bool = True) -> None:
        self.recipe = recipe
        self._progress_bar = progress_bar
        self._scenes: FloatArray | None = None
        self._rendering = threading.Lock()  # batches are prepared in several threads

    @property
    def scenes(self) -> FloatArray:
        """The views, float32 (scenes, 256, 256) millimetres."""
        with self._rendering:
            if self._scenes is None:
                self._scenes = render_scenes(self.recipe, progress_bar=self._progress_bar)
            return self._scenes

    @property
    def fingerprint(self) -> str:
        """Changes whenever a batch would."""
        return settings_hash(self.recipe)

    @property
    def batch_size(self) -> int:
        """Crops a step."""
        return self.recipe.batch

    @property
    def epochs(self) -> int:
        """Parts of the run, after each of which it can be resumed."""
        return -(-self.recipe.steps // self.recipe.epoch_steps)

    def steps(self, epoch: int) -> int:
        """Batches of an epoch; the last one may be shorter."""
        return min(self.recipe.epoch_steps, self.recipe.steps - epoch * self.recipe.epoch_steps)

    def new_data(self, epoch: int) -> bool:
        """Whether losses start to compare anew: never, every batch is drawn from the same scenes."""
        return epoch == 0

    def batch(self, epoch: int, index: int) -> Batch:
        """Inputs and targets of a step."""
        return make_body_batch(self.scenes, self.recipe, epoch * self.recipe.epoch_steps + index)


def train_stand_in(
    folder: str | Path,
    recipe: BodyRecipe | None = None,
    *,
    progress_bar: bool = True,
    stop_after_s: float | None = None,
) -> tuple[Progress, list[Any]]:
    """Train (or go on training) the stand-in in ``folder``; losses are in the network's unit (1 = 750 mm).

    Raises :class:`KitError` if ``folder`` holds another run.
    """
    recipe = recipe or BodyRecipe()
    batches = BodyBatches(recipe, progress_bar)
    return train(
        build_ddrnet,
        batches,
        folder,
        recipe.training,
        progress_bar=progress_bar,
        label=recipe.name,
        stop_after_s=stop_after_s,
    )


def export_stand_in(
    progress: Progress,
    weights: list[Any],
    recipe: BodyRecipe,
    weights_dir: str | Path,
    *,
    storage: Storage = "float16",
    overwrite: bool = False,
) -> Path:
    """Write the stand-in's best weights and its model card; returns the card's path."""
    model = build_ddrnet()
    model.set_weights(weights)
    card = ModelCard(
        name=recipe.name,
        size=NAME,
        sha256="",
        pairs="stand-in: simulated people at 0.5 to 2 m with simulated sensor noise",
        ground_truths=recipe.scenes,
        epochs_planned=BodyBatches(recipe).epochs,
        recipe=to_dict(recipe),
        notes={
            "comparable": "not comparable with the published row: the official weights were trained on real people",
            "bodies": "MakeHuman / MPFB2, CC0 1.0",
            "loss_unit": f"750 mm, mean of {recipe.epoch_steps} steps",
        },
        **progress.on_card(),
    )
    return write_network(model, card, weights_dir, storage=storage, overwrite=overwrite)
