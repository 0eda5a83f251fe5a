"""The trainer of every network of the kit: it knows arrays and batches, and is safe against a kill at any moment.

A run lives in a folder of its own. After each epoch ``checkpoint.safetensors`` (weights, best weights, optimizer,
position, losses) replaces its predecessor by a rename, so a killed run loses the running epoch at most. What is drawn
for a batch depends on epoch and index alone, so a resumed run ends with the very weights of one that was never killed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.declared import decode_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import only_run
from facedepth_kit.common.paths import remove_temporary
from facedepth_kit.common.settings import check_bounds, check_shares, settings_hash
from facedepth_kit.networks.losses import LOSSES
from facedepth_kit.networks.weights import read_arrays, write_arrays

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
Batch = tuple[FloatArray, FloatArray]
CHECKPOINT = "checkpoint.safetensors"
PREPARING_THREADS = 2
Counted = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Batches(Protocol):
    """What a network learns from. Equal fingerprints mean equal batches; every batch has ``batch`` images."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever a batch would."""
        ...

    @property
    def epochs(self) -> int:
        """Epochs over all data."""
        ...

    @property
    def batch_size(self) -> int:
        """Images a step."""
        ...

    def steps(self, epoch: int) -> int:
        """Batches of an epoch."""
        ...

    def new_data(self, epoch: int) -> bool:
        """Whether an epoch is the first on its data, so that earlier losses do not compare."""
        ...

    def batch(self, epoch: int, index: int) -> Batch:
        """Inputs and targets, float32 with the images first. Called from several threads."""
        ...


@dataclass(frozen=True)
class TrainingSettings:
    """How the weights are moved. The paper leaves all of this open, so every value is ours.

    ``loss`` is one of ``losses.LOSSES``. Adam's learning rate rises to ``learning_rate`` over ``warmup_steps`` (at most
    a tenth of the run) and falls as a cosine to ``final_rate_share`` of it; with ``decay_steps`` it is multiplied by
    ``decay`` every so many steps instead, with ``plateau_epochs`` whenever the loss has not fallen for so many epochs
    (the second paper, section 7.1). ``clip_norm`` caps the gradient's norm. ``precision`` is a Keras dtype policy;
    heads stay float32.
    """

    loss: Literal["image", "face", "surface", "slope", "masked"] = "face"
    learning_rate: float = 1e-3
    final_rate_share: float = 0.02
    warmup_steps: int = 100
    decay: float = 0.8
    decay_steps: int = 0
    plateau_epochs: int = 0
    clip_norm: float | None = 1.0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "decay", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise KitError(f"{name}: found {value}, expected a finite number above 0")
        check_shares(self)
        counts = dict.fromkeys(("warmup_steps", "decay_steps", "plateau_epochs"), (0, 10**9))
        check_bounds(self, **counts, seed=(0, 2**32 - 1))


@dataclass
class Progress:
    """Where a run stands: epochs finished, steps, images seen, losses by epoch, the best loss on the present data."""

    epoch: Counted = 0
    steps: Counted = 0
    images: Counted = 0
    losses: list[float] = field(default_factory=list)
    best_loss: float | None = None
    seconds: float = 0.0

    def on_card(self, *, frames: int = 1, before: int = 0) -> dict[str, Any]:
        """What a model card says of it; an image is ``frames`` frames, ``before`` were seen before the run."""
        return {
            "images_seen": self.images * frames,
            "images_seen_in_all": self.images * frames + before,
            "steps": self.steps,
            "epochs_finished": self.epoch,
            "training_seconds": round(self.seconds),
            "loss_by_epoch": tuple(round(loss, 6) for loss in self.losses),
        }


def train(
    build: Callable[[], keras.Model],
    batches: Batches,
    folder: str | Path,
    settings: TrainingSettings,
    *,
    initial: Sequence[npt.NDArray[Any]] | None = None,
    progress_bar: bool = True,
    label: str = "training",
    stop_after_s: float | None = None,
) -> tuple[Progress, list[npt.NDArray[Any]]]:
    """Train (or go on training) in ``folder`` until the epochs end or ``stop_after_s`` seconds have passed.

    ``build`` makes the network; ``initial`` are weights to start from. Returns where the run stands and its best
    weights: those of the epoch with the lowest loss on the last data. The same arguments resume a run. Raises
    :class:`KitError` if ``folder`` holds another run, or one at work, and when data or loss are no longer finite.
    """
    from tqdm.auto import tqdm

    folder = Path(folder)
    with only_run(folder):
        remove_temporary(folder)
        total = sum(batches.steps(epoch) for epoch in range(batches.epochs))
        model = _compiled(build, settings, total)
        identity = f"{model.name}-{settings_hash(settings)}-{batches.fingerprint}"
        if initial is not None:
            model.set_weights(list(initial))
            identity += f"-{_digest(initial)}"
        progress, best = Progress(), model.get_weights()
        if os.path.lexists(folder / CHECKPOINT):
            progress, best = _resume(folder / CHECKPOINT, model, identity)
        began = time.monotonic()
        with tqdm(total=total, initial=progress.steps, desc=label, unit="step", disable=not progress_bar) as bar:
            while progress.epoch < batches.epochs and (stop_after_s is None or time.monotonic() - began < stop_after_s):
                epoch_began = time.monotonic()
                if batches.new_data(progress.epoch):
                    progress.best_loss = None
                if settings.plateau_epochs:
                    model.optimizer.learning_rate = plateau_rate(settings, progress.losses)
                steps = batches.steps(progress.epoch)
                loss = _run_epoch(model, batches, progress.epoch)
                _check_finite(f"weights: found some after epoch {progress.epoch + 1}", model.get_weights())
                progress.steps += steps
                progress.images += steps * batches.batch_size
                progress.losses.append(loss)
                progress.epoch += 1
                if progress.best_loss is None or loss < progress.best_loss:
                    progress.best_loss, best = loss, model.get_weights()
                progress.seconds += time.monotonic() - epoch_began
                _save(folder / CHECKPOINT, model, progress, best, identity)
                bar.update(steps)
                bar.set_postfix(epoch=progress.epoch, loss=f"{loss:.5f}")
        return progress, best


def _run_epoch(model: keras.Model, batches: Batches, epoch: int) -> float:
    """One epoch by ``Model.fit``; returns its mean loss.

    One call an epoch: a data set of Keras has one length and one size of image for all its epochs, ours has not.
    """
    import keras

    steps = batches.steps(epoch)

    class Epoch(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=PREPARING_THREADS, max_queue_size=2 * PREPARING_THREADS)
            self.error: KitError | None = None

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> Batch:
            try:
                inputs, targets = batches.batch(epoch, index)
                if not (np.isfinite(inputs).all() and np.isfinite(targets).all()):
                    found = f"found values that are not finite in batch {index} of epoch {epoch}"
                    raise KitError(f"training pairs: {found}, expected depth in 0..1 or -1..1")
            except KitError as error:
                self.error = error  # the backend's data pipeline would wrap it in an error of its own
                raise
            return inputs, targets

    data = Epoch()
    try:
        history = model.fit(
            data,
            initial_epoch=epoch,
            epochs=epoch + 1,
            shuffle=False,
            verbose=0,
            callbacks=[keras.callbacks.TerminateOnNaN()],
        ).history
    except Exception:
        if data.error is not None:
            raise data.error from None
        raise
    loss = float(history["loss"][-1])
    if not math.isfinite(loss):
        raise KitError(f"loss: found {loss} in epoch {epoch + 1}, expected a finite number: try a lower learning_rate")
    return loss


def _compiled(build: Callable[[], keras.Model], settings: TrainingSettings, total: int) -> keras.Model:
    """The network with fresh weights in the wanted precision, ready to be trained."""
    import keras

    keras.utils.set_random_seed(settings.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(settings.precision)
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate(settings, total), global_clipnorm=settings.clip_norm),
        loss=LOSSES[settings.loss],
        jit_compile=False,  # on CPUs XLA is slower for these networks (measured: 1.3 to 3 times)
    )
    model.optimizer.build(model.trainable_variables)
    return model


def plateau_rate(settings: TrainingSettings, losses: Sequence[float]) -> float:
    """The learning rate after epochs of these losses: times ``decay`` at each ``plateau_epochs`` without a new best."""
    rate, best, waited = settings.learning_rate, math.inf, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited == settings.plateau_epochs:
            rate, waited = rate * settings.decay, 0
    return rate


def learning_rate(settings: TrainingSettings, total: int) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate, of a run of ``total`` steps: by step, or what it starts with where losses decide."""
    from keras.optimizers import schedules

    if settings.plateau_epochs:
        return settings.learning_rate
    if settings.decay_steps:
        return schedules.ExponentialDecay(settings.learning_rate, settings.decay_steps, settings.decay, staircase=True)
    warmup = max(min(settings.warmup_steps, total // 10), 1)
    return schedules.CosineDecay(
        settings.learning_rate / warmup,
        max(total - warmup, 1),
        alpha=settings.final_rate_share,
        warmup_target=settings.learning_rate,
        warmup_steps=warmup,
    )


def _digest(arrays: Sequence[npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def _save(path: Path, model: keras.Model, progress: Progress, best: Sequence[Any], identity: str) -> None:
    """Write weights, best weights, optimizer and position of a run, replacing what ``path`` held."""
    arrays = {f"weight_{i}": weight for i, weight in enumerate(model.get_weights())}
    arrays |= {f"best_{i}": weight for i, weight in enumerate(best)}
    arrays |= {f"optimizer_{i}": _numpy(variable) for i, variable in enumerate(model.optimizer.variables)}
    about = {"progress": json.dumps(asdict(progress)), "identity": identity}
    write_arrays(path, arrays, about, overwrite=True)


def _numpy(variable: keras.Variable) -> npt.NDArray[Any]:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable))


def _resume(path: Path, model: keras.Model, identity: str) -> tuple[Progress, list[npt.NDArray[Any]]]:
    """Put a run's weights and optimizer into ``model``; returns its position and best weights."""
    try:
        arrays, about = read_arrays(path)
    except KitError as error:
        raise KitError(f"{error}; delete it to start again") from None
    if about.get("identity") != identity:
        raise KitError(
            f"{path}: found a run with other settings or pairs, expected the same to resume; choose another folder"
        )
    progress: Progress = decode_json(path, about.get("progress", "").encode(), Progress, within="progress")
    wanted = {f"{kind}_{i}": v for kind in ("weight", "best") for i, v in enumerate(model.weights)}
    wanted |= {f"optimizer_{i}": variable for i, variable in enumerate(model.optimizer.variables)}
    for name, variable in wanted.items():
        array = arrays.get(name)
        if array is None or array.shape != tuple(variable.shape) or array.dtype != _numpy(variable).dtype:
            found = "no" if array is None else f"{array.dtype} of shape {array.shape} as"
            expected = f"{variable.dtype} of shape {tuple(variable.shape)}; delete it to start again"
            raise KitError(f"{path}: found {found} {name}, expected {expected}")
        _check_finite(f"{path}: found {name}", [array])
    count = len(model.weights)
    model.set_weights([arrays[f"weight_{i}"] for i in range(count)])
    for i, variable in enumerate(model.optimizer.variables):
        variable.assign(arrays[f"optimizer_{i}"])
    return progress, [arrays[f"best_{i}"] for i in range(count)]


def _check_finite(found: str, arrays: Sequence[npt.NDArray[Any]]) -> None:
    """Refuse arrays with values that are not finite: from there on every weight would become such."""
    if not all(np.isfinite(array).all() for array in arrays):
        raise KitError(f"{found} with values that are not finite, expected numbers: try a lower learning_rate")
