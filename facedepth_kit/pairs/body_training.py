"""Training DDRNet-dn's stand-in on simulated people: the schedule of its authors, at a size that two cores allow.

A run lives in a folder of its own, as in ``networks/trainer.py``: killed at any moment, it goes on from its last
checkpoint when the same command is given again.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.simulated.body_scenes import BodySceneSettings, draw_body_scene, sense
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.common.settings import settings_hash, to_dict
from facedepth_kit.enhancers.ddrnet import NAME, build_ddrnet, normalise
from facedepth_kit.networks.trainer import Progress, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
Batch = tuple[FloatArray, FloatArray]
SCENE_PX = 256
LEAST_VISIBLE = 0.15  # share of a crop that must show something


@dataclass(frozen=True)
class BodyTrainingSettings:
    """One training run of the stand-in.

    Adam at ``learning_rate``, times ``decay`` every ``decay_steps`` of ``steps``, is the published schedule; ``batch``
    and ``crop_px`` are half of the published 16 and 256. ``scenes`` views are rendered once, and seen through a freshly
    drawn sensor, mirrored and at another distance each time. ``save_every`` steps a checkpoint is written.
    ``precision``: 16-bit floats are faster, but bfloat16 rounds the input to 3 mm, more than the noise.
    """

    name: str = NAME
    scenes: int = 1000
    steps: int = 6000
    batch: int = 8
    crop_px: int = 128
    learning_rate: float = 1e-3
    decay: float = 0.8
    decay_steps: int = 300
    save_every: int = 250
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    bodies: BodySceneSettings = field(default_factory=BodySceneSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("scenes", "steps", "batch", "decay_steps", "save_every"):
            if getattr(self, name) < 1:
                raise KitError(f"{name}: found {getattr(self, name)}, expected 1 or more")
        if self.crop_px % 4 or not 16 <= self.crop_px <= SCENE_PX:
            raise KitError(f"crop: found {self.crop_px} px, expected a multiple of 4 from 16 to {SCENE_PX}")


def masked_l1(target: Any, prediction: Any) -> Any:
    """Mean absolute error where something was measured; ``target`` (n, h, w, 2) holds depth and that mask (0 or 1)."""
    from keras import ops

    mask = target[..., 1]
    return ops.sum(ops.abs(prediction[..., 0] - target[..., 0]) * mask) / (ops.sum(mask) + 1.0)


def render_scenes(settings: BodyTrainingSettings, *, progress_bar: bool = True) -> FloatArray:
    """The run's true views, float32 (scenes, 256, 256) millimetres, NaN = nothing there."""
    from tqdm.auto import tqdm

    return np.stack(
        [
            draw_body_scene(np.random.default_rng([settings.seed, 1, index]), settings.bodies, size_px=SCENE_PX)
            for index in tqdm(range(settings.scenes), desc="scenes", unit="scene", disable=not progress_bar)
        ]
    )


def make_body_batch(scenes: FloatArray, settings: BodyTrainingSettings, step: int) -> Batch:
    """Input (n, crop, crop, 1) and target (n, crop, crop, 2: depth, mask) of a step, normalised to -1..1."""
    inputs, targets = [], []
    for item in range(settings.batch):
        rng = np.random.default_rng([settings.seed, 2, step, item])
        while True:
            truth = scenes[int(rng.integers(len(scenes)))]
            top, left = rng.integers(0, SCENE_PX - settings.crop_px + 1, 2)
            truth = truth[top : top + settings.crop_px, left : left + settings.crop_px]
            if np.isfinite(truth).mean() >= LEAST_VISIBLE:
                break
        truth = truth[:, :: 1 if rng.random() < 0.5 else -1]
        low, high = settings.bodies.distance_mm
        truth = truth + np.float32(rng.uniform(low, high) - np.nanmedian(truth)) * np.float32(rng.random() < 0.5)
        measured = sense(truth, rng, settings.bodies)
        seen = np.isfinite(measured) & np.isfinite(truth) & (truth > settings.bodies.near_mm)
        inputs.append(normalise(measured))
        targets.append(np.stack([normalise(truth), seen.astype(np.float32)], axis=-1))
    return np.stack(inputs)[..., None], np.stack(targets)


def _batches(scenes: FloatArray, settings: BodyTrainingSettings, first: int) -> Iterator[Batch]:
    """The batches from step ``first`` on, prepared two ahead in a thread."""
    with ThreadPoolExecutor(1) as pool:
        ahead: list[Future[Batch]] = []
        for step in range(first, settings.steps):
            while len(ahead) < 3 and step + len(ahead) < settings.steps:
                ahead.append(pool.submit(make_body_batch, scenes, settings, step + len(ahead)))
            yield ahead.pop(0).result()


def _start(settings: BodyTrainingSettings) -> keras.Model:
    import keras

    keras.utils.set_random_seed(settings.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        model = build_ddrnet()
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(optimizer=keras.optimizers.Adam(settings.learning_rate), loss=masked_l1, jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def train_stand_in(
    folder: str | Path,
    settings: BodyTrainingSettings | None = None,
    *,
    progress_bar: bool = True,
    stop_after_s: float | None = None,
) -> Progress:
    """Train (or go on training) in ``folder`` until the schedule ends or ``stop_after_s`` seconds have passed.

    Settings and seed decide everything; rerun with the same arguments to resume. ``Progress.losses`` holds a mean per
    ``save_every`` steps, in the network's unit (1 = 750 mm). Raises :class:`KitError` if ``folder`` holds another run.
    """
    from tqdm.auto import tqdm

    settings = settings or BodyTrainingSettings()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, identity = folder / "checkpoint.npz", settings_hash(settings)
    model = _start(settings)
    progress = Progress()
    if checkpoint.exists():
        progress, _ = load_checkpoint(checkpoint, model, identity)
    if progress.steps >= settings.steps:
        return progress
    scenes = render_scenes(settings, progress_bar=progress_bar)
    began = lap = time.monotonic()
    losses: list[float] = []
    with tqdm(
        total=settings.steps, initial=progress.steps, desc=settings.name, unit="step", disable=not progress_bar
    ) as bar:
        for inputs, targets in _batches(scenes, settings, progress.steps):
            model.optimizer.learning_rate = settings.learning_rate * settings.decay ** (
                progress.steps // settings.decay_steps
            )
            model.reset_metrics()
            losses.append(float(model.train_on_batch(inputs, targets)))
            progress.steps += 1
            progress.images += len(inputs)
            bar.update()
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.5f}")
            if progress.steps % settings.save_every == 0 or progress.steps == settings.steps:
                progress.losses.append(float(np.mean(losses)))
                losses = []
                progress.epoch += 1
                progress.seconds += time.monotonic() - lap
                lap = time.monotonic()
                save_checkpoint(checkpoint, model, progress, [], identity)
                if stop_after_s is not None and time.monotonic() - began >= stop_after_s:
                    break
    return progress


def export_stand_in(
    folder: str | Path,
    settings: BodyTrainingSettings,
    weights_dir: str | Path,
    *,
    overwrite: bool = False,
    notes: dict[str, Any] | None = None,
) -> Path:
    """Write the run's weights as ``NAME.weights.h5`` and its model card ``NAME.json``; returns the card's path."""
    import keras

    folder, target = Path(folder), Path(weights_dir)
    model = _start(settings)
    progress, _ = load_checkpoint(folder / "checkpoint.npz", model, settings_hash(settings))
    plain = build_ddrnet()
    plain.set_weights(model.get_weights())
    target.mkdir(parents=True, exist_ok=True)
    weights, card_path = target / f"{settings.name}.weights.h5", target / f"{settings.name}.json"
    for path in (weights, card_path):
        if path.exists() and not overwrite:
            raise KitError(f"{path}: exists, expected a new name or overwrite")
    temporary = weights.with_name(f".{settings.name}.partial.weights.h5")
    plain.save_weights(temporary)
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    os.replace(temporary, weights)
    card = {
        "name": settings.name,
        "architecture": "DDRNet-dn (Yan et al. 2018)",
        "stand_in": True,
        "comparable": "not comparable with the published row: the official weights were trained on real people",
        "sha256": digest,
        "parameters": int(plain.count_params()),
        "trained_on": "stand-in: simulated people at 0.5 to 2 m with simulated sensor noise",
        "bodies": "MakeHuman / MPFB2, CC0 1.0",
        "ground_truths": settings.scenes,
        "images_seen": progress.images,
        "steps": progress.steps,
        "training_seconds": round(progress.seconds),
        "loss_by_epoch": [round(loss, 6) for loss in progress.losses],
        "loss_unit": f"750 mm, mean of {settings.save_every} steps",
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "training": to_dict(settings),
        **(notes or {}),
    }
    with write_atomically(card_path, overwrite=overwrite) as path:
        Path(path).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return card_path
