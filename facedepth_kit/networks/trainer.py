"""Training the U-Nets: the paper's schedule at any scale, safe against a kill at any moment (section IV-C).

A run lives in a folder of its own. After each epoch ``checkpoint.npz`` (weights, optimizer, position, losses) replaces
its predecessor by a rename, so a killed run loses the running epoch at most. The best weights are exported with a
model card that states what they saw.
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

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.common.settings import settings_hash, to_dict
from facedepth_kit.depth import HOLE, DepthImage, to_unit
from facedepth_kit.pairs.augmentation import SceneSettings, draw_training_pair
from facedepth_kit.pairs.store import PairStore

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
RIM_PX = 8.0  # how far outside the face the outline's uncertainty reaches
BACKGROUND_WEIGHT = 0.15
Batch = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class TrainingSettings:
    """One training run.

    The paper's DL-Delta-1: ``chunks`` of 10,000 ground truths, each in three degraded forms, ``epochs`` passes over a
    chunk before the next, weights kept only when the chunk's loss improves. It leaves open batch size, learning rate,
    its decay and the loss; ours are batches of 16, Adam at 1e-3 with cosine decay to 2 %, and the squared error over
    the whole image.

    ``objective``: "image" is that squared error. "face" leaves the rim outside the face out of it
    (:func:`face_loss`). "surface" is the kit's own (DL-Kit-1): absolute and squared error over the ground truth's
    surface only, and a second output channel, the logit of "there is surface here", learnt by cross-entropy.
    ``fresh``: degrade every ground truth anew each time it is seen, in more varied ways (``scenes``); otherwise the
    pair store's own degraded images are used. ``initial_weights`` continues from a weights file (a one-channel head
    is widened).
    """

    name: str = "DL-Delta-1"
    size: str = "DL-Delta"
    objective: Literal["image", "face", "surface"] = "image"
    chunks: int = 6
    epochs: int = 10
    batch: int = 16
    learning_rate: float = 1e-3
    final_rate_share: float = 0.02
    warmup_steps: int = 100
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    fresh: bool = False
    scenes: SceneSettings = field(default_factory=SceneSettings)
    initial_weights: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("chunks", "epochs", "batch"):
            if getattr(self, name) < 1:
                raise KitError(f"{name}: found {getattr(self, name)}, expected 1 or more")


@dataclass
class Progress:
    """Where a run stands: epochs finished over all chunks, steps, images seen, losses by epoch, the chunk's best
    loss."""

    epoch: int = 0
    steps: int = 0
    images: int = 0
    losses: list[float] = field(default_factory=list)
    best_loss: float = float("inf")
    seconds: float = 0.0


def image_loss(target: Any, prediction: Any) -> Any:
    """Mean squared error over the whole image, holes (1.0) included: the objective of the paper's networks here."""
    from keras import ops

    return ops.mean(ops.square(prediction - target))


def face_loss(target: Any, prediction: Any) -> Any:
    """Absolute plus four times squared error, weighted: ``target`` holds depth and :func:`face_weight` of each pixel.

    Shapes (n, 256, 256, 2) and (n, 256, 256, 1), depth 0..1. The rim outside the face does not count, so that a face
    pixel whose place is uncertain is not drawn into the background.
    """
    from keras import ops

    weight = target[..., 1]
    error = ops.abs(prediction[..., 0] - target[..., 0])
    return ops.sum(weight * (error + 4.0 * ops.square(error))) / (ops.sum(weight) + 1.0)


def surface_loss(target: Any, prediction: Any) -> Any:
    """The kit's objective: ``target`` holds depth and surface mask, ``prediction`` depth and the mask's logit.

    Both (n, 256, 256, 2), depth 0..1.
    Depth counts on the surface only (absolute plus four times squared error); the mask is learnt by cross-entropy.
    What the depth channel says off the surface is free, so no face pixel is drawn towards the background.
    """
    from keras import ops

    mask = target[..., 1]
    error = (prediction[..., 0] - target[..., 0]) * mask
    depth = (ops.sum(ops.abs(error)) + 4.0 * ops.sum(ops.square(error))) / (ops.sum(mask) + 1.0)
    logit = prediction[..., 1]
    entropy = ops.maximum(logit, 0.0) - logit * mask + ops.log1p(ops.exp(-ops.abs(logit)))
    return depth + 0.03 * ops.mean(entropy)


LOSSES = {"image": image_loss, "face": face_loss, "surface": surface_loss}


def face_weight(truth: DepthImage) -> FloatArray:
    """Weights of :func:`face_loss`: 1 on the face, 0 up to ``RIM_PX`` outside it, ``BACKGROUND_WEIGHT`` beyond."""
    import cv2

    away = cv2.distanceTransform((truth == HOLE).astype(np.uint8), cv2.DIST_L2, 5)
    return np.where(away == 0, np.float32(1), np.where(away > RIM_PX, np.float32(BACKGROUND_WEIGHT), np.float32(0)))


def make_batch(store: PairStore, jobs: npt.NDArray[np.int64], settings: TrainingSettings, epoch: int) -> Batch:
    """Network input (n, 256, 256, 1) and target (n, 256, 256, 1 or 2) for jobs (n, 2) of pair index and variant."""
    inputs, targets, masks = [], [], []
    for index, variant in jobs:
        pair = store[int(index)]
        truth, degraded = pair.ground_truth, pair.degraded[variant % len(pair.degraded)]
        if settings.fresh:
            rng = np.random.default_rng([settings.seed, epoch, int(index), int(variant)])
            other = store[int(rng.integers(len(store)))]
            truth, degraded = draw_training_pair(pair, other, store.settings.degradation, settings.scenes, rng)
        inputs.append(to_unit(degraded))
        targets.append(to_unit(truth))
        masks.append(face_weight(truth) if settings.objective == "face" else truth != HOLE)
    target = np.stack(targets)[..., None]
    if settings.objective != "image":
        target = np.concatenate([target, np.stack(masks)[..., None].astype(np.float32)], axis=-1)
    return np.stack(inputs)[..., None], target


def epoch_jobs(store: PairStore, settings: TrainingSettings, epoch: int) -> npt.NDArray[np.int64]:
    """(n, 2) pair indices and variants of one epoch, shuffled: the variants of a chunk's ground truths, interleaved."""
    chunk = epoch // settings.epochs
    bounds = np.linspace(0, len(store), settings.chunks + 1).astype(int)
    variants = len(store.settings.hole_values) if not settings.fresh else 1
    jobs = np.stack(
        np.meshgrid(np.arange(bounds[chunk], bounds[chunk + 1]), np.arange(variants), indexing="ij"), axis=-1
    )
    return np.random.default_rng([settings.seed, epoch]).permutation(jobs.reshape(-1, 2))


def epoch_batches(store: PairStore, settings: TrainingSettings, epoch: int) -> Iterator[Batch]:
    """The batches of one epoch, prepared one ahead in a thread."""
    jobs = epoch_jobs(store, settings, epoch)
    parts = [jobs[i : i + settings.batch] for i in range(0, len(jobs), settings.batch)]
    if len(parts) > 1 and len(parts[-1]) < settings.batch:
        parts.pop()  # a short last batch would be compiled anew
    with ThreadPoolExecutor(1) as pool:
        ahead: list[Future[Batch]] = [pool.submit(make_batch, store, part, settings, epoch) for part in parts[:2]]
        for i in range(len(parts)):
            if i + 2 < len(parts):
                ahead.append(pool.submit(make_batch, store, parts[i + 2], settings, epoch))
            yield ahead.pop(0).result()


def learning_rate(step: int, total: int, settings: TrainingSettings) -> float:
    """Linear warm-up, then cosine decay to ``final_rate_share`` of the peak."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    share = min(step / max(total, 1), 1.0)
    low = settings.final_rate_share
    return settings.learning_rate * (low + (1 - low) * 0.5 * (1 + float(np.cos(np.pi * share))))


def save_checkpoint(
    path: Path, model: keras.Model, progress: Progress, best: list[npt.NDArray[Any]], identity: str
) -> None:
    """Write weights, best weights, optimizer and position of a run, replacing what ``path`` held."""
    arrays = {f"weight_{i}": w for i, w in enumerate(model.get_weights())}
    arrays |= {f"best_{i}": w for i, w in enumerate(best)}
    arrays |= {f"optimizer_{i}": np.asarray(v) for i, v in enumerate(model.optimizer.variables)}
    arrays["progress"] = np.asarray(json.dumps({**progress.__dict__, "identity": identity}))
    with write_atomically(path, overwrite=True) as temporary, Path(temporary).open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: Path, model: keras.Model, identity: str) -> tuple[Progress, list[npt.NDArray[Any]]]:
    """Put a run's weights and optimizer into ``model``; returns its position and best weights.

    Raises :class:`KitError` for a damaged file, and where ``identity`` says that it is another run's.
    """
    try:
        with np.load(path, allow_pickle=False) as saved:
            arrays = dict(saved)
    except (ValueError, OSError, EOFError) as error:
        raise KitError(f"{path}: found no readable checkpoint ({error}); delete it to start again") from None
    values = json.loads(str(arrays.pop("progress")))
    if values.pop("identity") != identity:
        raise KitError(
            f"{path}: found a run with other settings or pairs, expected the same to resume; choose another folder"
        )
    count = len(model.get_weights())
    model.set_weights([arrays[f"weight_{i}"] for i in range(count)])
    for i, variable in enumerate(model.optimizer.variables):
        variable.assign(arrays[f"optimizer_{i}"])
    return Progress(**values), [arrays[f"best_{i}"] for i in range(count) if f"best_{i}" in arrays]


def _start(settings: TrainingSettings) -> keras.Model:
    """The compiled network, in the wanted precision, with fresh or given weights."""
    import keras

    from facedepth_kit.enhancers.learned import build_network

    keras.utils.set_random_seed(settings.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        model = build_network(settings.size, head_channels=2 if settings.objective == "surface" else 1)
        if settings.initial_weights:
            _load_initial(model, settings)
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate, global_clipnorm=1.0),
        loss=LOSSES[settings.objective],
        jit_compile=False,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def _load_initial(model: keras.Model, settings: TrainingSettings) -> None:
    from facedepth_kit.enhancers.learned import build_network

    if not Path(str(settings.initial_weights)).is_file():
        raise KitError(f"{settings.initial_weights}: no such file, expected weights to start from")
    channels = model.output_shape[-1]
    for given in (channels, 1):
        source = build_network(settings.size, head_channels=given)
        try:
            source.load_weights(settings.initial_weights)
        except (ValueError, OSError):
            continue
        weights = source.get_weights()
        if given < channels:
            head = model.get_weights()[-2:]
            head[0][..., :given], head[1][:given] = weights[-2], weights[-1]
            head[0][..., given:] *= 0.1
            weights[-2:] = head
        model.set_weights(weights)
        return
    raise KitError(f"{settings.initial_weights}: found other weights, expected those of {settings.size}")


def train(
    store: PairStore,
    folder: str | Path,
    settings: TrainingSettings | None = None,
    *,
    progress_bar: bool = True,
    stop_after_s: float | None = None,
) -> Progress:
    """Train (or go on training) in ``folder`` until the schedule ends or ``stop_after_s`` seconds have passed.

    The settings' schedule, the store and the seed decide everything; rerun with the same arguments to resume. Returns
    where the run stands. Raises :class:`KitError` if ``folder`` holds another run.
    """
    from tqdm.auto import tqdm

    settings = settings or TrainingSettings()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.npz"
    identity = f"{settings_hash(settings)}-{store.fingerprint}"
    model = _start(settings)
    progress, best = Progress(), list(model.get_weights())
    if checkpoint.exists():
        progress, best = load_checkpoint(checkpoint, model, identity)
    epochs = settings.chunks * settings.epochs
    total = sum(max(len(epoch_jobs(store, settings, e)) // settings.batch, 1) for e in range(epochs))
    began = time.monotonic()
    with tqdm(total=total, initial=progress.steps, desc=settings.name, unit="step", disable=not progress_bar) as bar:
        while progress.epoch < epochs and (stop_after_s is None or time.monotonic() - began < stop_after_s):
            epoch_began = time.monotonic()
            if progress.epoch % settings.epochs == 0:
                progress.best_loss = float("inf")  # each chunk is new data, so its losses are compared among themselves
            losses = []
            for inputs, targets in epoch_batches(store, settings, progress.epoch):
                model.optimizer.learning_rate = learning_rate(progress.steps, total, settings)
                model.reset_metrics()
                losses.append(float(model.train_on_batch(inputs, targets)))
                progress.steps += 1
                progress.images += len(inputs)
                bar.update()
                bar.set_postfix(epoch=progress.epoch + 1, loss=f"{np.mean(losses[-50:]):.5f}")
            loss = float(np.mean(losses))
            progress.losses.append(loss)
            progress.epoch += 1
            progress.seconds += time.monotonic() - epoch_began
            if loss < progress.best_loss:
                progress.best_loss, best = loss, list(model.get_weights())
            save_checkpoint(checkpoint, model, progress, best, identity)
    return progress


def export(
    store: PairStore,
    folder: str | Path,
    settings: TrainingSettings,
    weights_dir: str | Path,
    *,
    validity_threshold: float = 0.5,
    fill_reach_px: float = 0.0,
    overwrite: bool = False,
    notes: dict[str, Any] | None = None,
) -> Path:
    """Write the run's best weights as ``NAME.weights.h5`` and its model card ``NAME.json`` into ``weights_dir``.

    The card says what the network is, what it saw, and the weights' SHA-256. Returns the card's path.
    """
    import keras

    settings_size = settings.size
    folder, target = Path(folder), Path(weights_dir)
    model = _start(settings)
    progress, best = load_checkpoint(folder / "checkpoint.npz", model, f"{settings_hash(settings)}-{store.fingerprint}")
    from facedepth_kit.enhancers.learned import build_network

    plain = build_network(settings_size, head_channels=model.output_shape[-1])
    plain.set_weights(best)
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
        "size": settings_size,
        "head_channels": int(model.output_shape[-1]),
        "validity_threshold": validity_threshold,
        "fill_reach_px": fill_reach_px,
        "sha256": digest,
        "parameters": int(plain.count_params()),
        "trained_on": "simulated pairs of the kit's parametric faces",
        "ground_truths": len(store),
        "images_seen": progress.images,
        "steps": progress.steps,
        "epochs_finished": progress.epoch,
        "epochs_planned": settings.chunks * settings.epochs,
        "training_seconds": round(progress.seconds),
        "loss_by_epoch": [round(loss, 6) for loss in progress.losses],
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        # The folder that a run started from says nothing elsewhere.
        "training": to_dict(settings)
        | {"initial_weights": settings.initial_weights and Path(settings.initial_weights).name},
        "synthesis": to_dict(store.settings),
        **(notes or {}),
    }
    with write_atomically(card_path, overwrite=overwrite) as path:
        Path(path).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return card_path
