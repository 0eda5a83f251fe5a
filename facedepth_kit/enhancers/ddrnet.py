"""DDRNet-dn, the denoising part of DDRNet (Yan et al. 2018), in Keras 3 (section IV-B of the Schlett paper).

Its weights come from the checkpoint that its authors published, where the user has fetched it, or else from a stand-in
that this kit trained on simulated people (``pairs/body_training.py``): that one's numbers are not comparable.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import (
    CAMERA_SPAN_MM,
    FARTHEST,
    HOLE,
    SIZE,
    DepthImage,
    DepthRange,
    check_depth,
    to_millimetres,
)

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]

NAME = "DDRNet-dn"
SCOPE = "dn_net"  # the published checkpoint holds a second network, which needs colour and is not used
LOW_MM, HIGH_MM = 500.0, 2000.0  # the published checkpoint's range
HALF_MM = (HIGH_MM - LOW_MM) / 2
PAD_PX = 8
BLOCKS = 2
BATCH = 4
PUBLISHED_STEM = "noBN_L1_sd100_B16-6000"
PUBLISHED_DATA_BYTES = 12_019_716
PARAMETERS = 868_001
# Where an image's span is put when its millimetres are not known (see ddrnet_enhancer).
PLACEMENT = DepthRange(1000.0, CAMERA_SPAN_MM)


def build_ddrnet() -> keras.Model:
    """Build an untrained DDRNet-dn: 20 variables, 868,001 parameters.

    Returns a model from (n, height, width, 1) float32, normalised to -1..1 (:func:`normalise`), height and width
    multiples of 4, to the same shape. The head starts at zero, so that an untrained network hands its input on; it
    computes in float32 under any Keras dtype policy. Activations are plain ReLU as in the published checkpoint's graph
    (the source code that came later says leaky ReLU).
    """
    import keras
    from keras import layers, ops

    def convolve(x: keras.KerasTensor, filters: int, name: str, stride: int = 1) -> keras.KerasTensor:
        return layers.Conv2D(filters, 3, strides=stride, padding="same", name=name)(x)

    def enlarge(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        return layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu", name=name)(x)

    inputs = keras.Input((None, None, 1), name="depth", dtype="float32")
    full = ops.relu(convolve(inputs, 32, "cnv0"))
    half = ops.relu(convolve(full, 64, "cnv_down0", stride=2))
    quarter = ops.relu(convolve(half, 128, "cnv_down1", stride=2))
    x = quarter
    for block in range(BLOCKS):
        y = convolve(ops.relu(x), 128, f"res{block}_conv1")
        x = layers.Add(name=f"res{block}")([x, convolve(ops.relu(y), 128, f"res{block}_conv2")])
    x = enlarge(layers.Concatenate(name="cat1")([quarter, x]), 64, "cnv_up0")
    x = enlarge(layers.Concatenate(name="cat2")([half, x]), 32, "cnv_up1")
    x = layers.Concatenate(name="cat_final")([full, x])
    change = layers.Conv2D(
        1, 3, padding="same", activation="tanh", kernel_initializer="zeros", dtype="float32", name="cnv_final"
    )(x)
    return keras.Model(inputs, ops.clip(inputs + change, -1.0, 1.0), name=NAME)


def official_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The model's variables under the published checkpoint's names, such as ``dn_net/res0/conv1/weights``.

    A residual block's convolutions are ``resN_convM`` in Keras, where names have no slashes.
    """
    kinds = {"kernel": "weights", "bias": "biases"}
    found = {}
    for layer in model.layers:
        for variable in layer.weights:
            place = layer.name.replace("_conv", "/conv") if layer.name.startswith("res") else layer.name
            found[f"{SCOPE}/{place}/{kinds[variable.name]}"] = variable
    return found


# --- Weights ------------------------------------------------------------------------------------------------------


def find_checkpoint(place: str | Path | None = None) -> Path | None:
    """The prefix of the published checkpoint, or None where there is none.

    ``place``: a prefix itself, or a folder that is searched with all its subfolders; without it the folder that
    FACEDEPTH_DDRNET names, or ``DDRNet`` in the data folder. Of several checkpoints the one with the published name
    counts, or else the last by name.
    """
    from facedepth_kit.common.paths import data_dir

    given = place or os.environ.get("FACEDEPTH_DDRNET") or data_dir() / "DDRNet"
    start = Path(given).expanduser()
    if start.with_name(f"{start.name}.index").is_file():
        return start
    if not start.is_dir():
        return None
    found = sorted(start.rglob("*.index"))
    found.sort(key=lambda path: path.stem == PUBLISHED_STEM)
    return found[-1].with_suffix("") if found else None


def checkpoint_files(prefix: Path) -> tuple[Path, Path]:
    """The two files of a checkpoint: its index and its data."""
    return Path(f"{prefix}.index"), Path(f"{prefix}.data-00000-of-00001")


def checkpoint_state() -> str:
    """Which checkpoint would be used, with its size and time; empty for the stand-in. For whoever caches results."""
    prefix = find_checkpoint()
    if prefix is None:
        return ""
    stats = [path.stat() for path in checkpoint_files(prefix) if path.is_file()]
    return f"{prefix} {[(stat.st_size, stat.st_mtime_ns) for stat in stats]}"


def load_checkpoint(model: keras.Model, prefix: str | Path) -> None:
    """Read the published checkpoint's denoising variables into a DDRNet-dn; no code is executed.

    ``prefix`` is the checkpoint's path without ``.index``. The optimizer's variables and the second network in the
    file are passed over. Raises :class:`KitError` for missing files, for variables that lack, have another shape or
    type or are not finite, and for truncated or damaged data (the format keeps a checksum of every variable).
    """
    import tensorflow as tf

    prefix = Path(prefix)
    index, data = checkpoint_files(prefix)
    for path in (index, data):
        if not path.is_file():
            raise KitError(f"{path}: no such file, expected half of DDRNet's checkpoint (both lie in its download)")
    wanted = official_variables(model)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes: Mapping[str, Any] = reader.get_variable_to_shape_map()
        types: Mapping[str, Any] = reader.get_variable_to_dtype_map()
    except Exception as error:  # TensorFlow's own errors, and a plain RuntimeError for a damaged table
        raise KitError(f"{index}: found no readable checkpoint index ({_first_line(error)})") from None
    _check_variables(index, wanted, shapes, types)
    values = {}
    for name in wanted:
        try:
            values[name] = np.asarray(reader.get_tensor(name))
        except Exception as error:
            size = f"{data.stat().st_size:,} bytes; the published file has {PUBLISHED_DATA_BYTES:,}"
            raise KitError(f"{data}: found {name} truncated or damaged ({size}): {_first_line(error)}") from None
        if not np.isfinite(values[name]).all():
            raise KitError(f"{data}: found values in {name} that are not finite, expected trained weights")
    for name, variable in wanted.items():
        variable.assign(values[name])


def _check_variables(
    index: Path, wanted: Mapping[str, Any], shapes: Mapping[str, Any], types: Mapping[str, Any]
) -> None:
    missing = [name for name in wanted if name not in shapes]
    if missing:
        raise KitError(
            f"{index}: found no {missing[0]}, expected DDRNet's checkpoint with {len(wanted)} variables {SCOPE}/..."
        )
    for name, variable in wanted.items():
        if tuple(shapes[name]) != tuple(variable.shape):
            raise KitError(f"{index}: found {name} of shape {tuple(shapes[name])}, expected {tuple(variable.shape)}")
        if types[name].name != "float32":
            raise KitError(f"{index}: found {name} of type {types[name].name}, expected float32")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:120] if lines else type(error).__name__


def _stand_in_paths() -> tuple[Path, Path]:
    from facedepth_kit.common.paths import weights_dir

    return weights_dir() / f"{NAME}.json", weights_dir() / f"{NAME}.weights.h5"


def _load_stand_in(model: keras.Model) -> None:
    from facedepth_kit.enhancers.learned import load_weights

    card, weights = _stand_in_paths()
    if not weights.is_file():
        raise KitError(f"{weights}: no such file, expected the stand-in's weights, or DDRNet's own checkpoint")
    try:
        wanted = str(json.loads(card.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KitError(f"{card}: found {type(error).__name__}, expected a model card with sha256") from None
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted:
        raise KitError(f"{weights}: found SHA-256 {found[:12]}..., expected {wanted[:12]}... as in {card.name}")
    load_weights(model, weights)


# --- Use ----------------------------------------------------------------------------------------------------------


def normalise(depth_mm: npt.NDArray[np.floating]) -> FloatArray:
    """Millimetres (float, NaN = hole) as the network sees them: clipped to 500..2000 mm, mapped to -1..1, holes -1."""
    filled = np.nan_to_num(depth_mm, nan=LOW_MM).astype(np.float32)
    return (np.clip(filled, LOW_MM, HIGH_MM) - np.float32(LOW_MM)) / np.float32(HALF_MM) - np.float32(1)


def denormalise(unit: FloatArray) -> FloatArray:
    """The network's -1..1 back to millimetres, float32 of the same shape."""
    return (unit + np.float32(1)) * np.float32(HALF_MM) + np.float32(LOW_MM)


@dataclass(frozen=True)
class Denoiser:
    """DDRNet-dn with its weights; ``source`` is the published checkpoint's prefix, or None for the stand-in."""

    source: Path | None
    forward: Callable[[FloatArray], FloatArray]

    def __call__(self, depth_mm: npt.NDArray[np.floating]) -> FloatArray:
        """Millimetres (h, w) or (n, h, w), NaN = hole, to float32 of the same shape, as its authors evaluate it.

        Normalised, padded by 8 px (mirrored; more at the lower right where a side is no multiple of 4), run, cropped,
        masked by what was measured, and cut to whole millimetres. What was a hole stays one.
        """
        stack = np.asarray(depth_mm).reshape(-1, *depth_mm.shape[-2:])
        result = np.empty(stack.shape, np.float32)
        height, width = stack.shape[1:]
        pads = ((0, 0), *((PAD_PX, PAD_PX + -size % 4) for size in (height, width)))
        for first in range(0, len(stack), BATCH):
            part = stack[first : first + BATCH]
            padded = np.pad(normalise(part), pads, mode="symmetric")
            unit = self.forward(padded[..., None])[:, PAD_PX : PAD_PX + height, PAD_PX : PAD_PX + width, 0]
            whole = np.floor(denormalise(unit))
            result[first : first + BATCH] = np.where(np.isnan(part), np.float32(np.nan), whole)
        return result.reshape(depth_mm.shape)


def _compiled(model: keras.Model) -> Callable[[FloatArray], FloatArray]:
    import keras

    if keras.backend.backend() != "tensorflow":
        return lambda unit: np.asarray(model.predict_on_batch(unit), dtype=np.float32)
    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, None, 1), tf.float32)]
    forward = tf.function(lambda unit: model(unit, training=False), input_signature=signature)
    return lambda unit: np.asarray(forward(tf.constant(unit)))


def load_denoiser(checkpoint: str | Path | None = None) -> Denoiser:
    """DDRNet-dn with the published weights where they are found (:func:`find_checkpoint`), with the stand-in's if not.

    With ``checkpoint`` (a prefix, or a folder that holds one) only that will do. Raises :class:`KitError` for missing,
    damaged or foreign weights: a checkpoint that is there but wrong is never passed over for the stand-in.
    """
    import keras

    prefix = find_checkpoint(checkpoint)
    if checkpoint is not None and prefix is None:
        raise KitError(f"{checkpoint}: found no .index file, expected DDRNet's checkpoint ({PUBLISHED_STEM})")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # a trainer in this process may have set another one
    try:
        model = build_ddrnet()
    finally:
        keras.config.set_dtype_policy(policy)
    if prefix is None:
        _load_stand_in(model)
    else:
        load_checkpoint(model, prefix)
    return Denoiser(prefix, _compiled(model))


# Keyed by what is loaded and its state, so that weights which come or change are noticed.
_loaded: dict[tuple[tuple[str, int, int], ...], Denoiser] = {}
_loading = threading.Lock()


def _shared_denoiser() -> Denoiser:
    """The denoiser of this process, loaded once and shared by all threads."""
    prefix = find_checkpoint()
    files = checkpoint_files(prefix) if prefix else _stand_in_paths()
    key = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files if path.is_file())
    with _loading:
        if key not in _loaded:
            denoiser = load_denoiser()
            _loaded.clear()
            _loaded[key] = denoiser
        return _loaded[key]


def ddrnet_enhancer(
    placement: DepthRange = PLACEMENT, denoiser: Denoiser | None = None
) -> Callable[[DepthImage], DepthImage]:
    """DDRNet-dn as an enhancer of depth images, uint16 (256, 256) or (n, 256, 256), hole 65535.

    The network knows millimetres, the image only shares of its span, and the paper does not say how the one became the
    other. Here every image is put at ``placement``: value 0 at 1 m, well inside the network's 0.5 to 2 m, and a span of
    25 cm, that of camera images. What the network brings nearer than the span's begin is put there; what it moves
    beyond the far end becomes a hole, as do the holes that came in. Nothing is read before the first call. Raises
    :class:`KitError`, on call, for another shape or dtype, and for missing, damaged or foreign weights.
    """

    def enhance(depth: DepthImage) -> DepthImage:
        check_depth(depth)
        run = denoiser or _shared_denoiser()
        stack = depth.reshape(-1, SIZE, SIZE)
        moved = run(to_millimetres(stack, placement)) - np.float32(placement.near_mm)
        value = np.rint(moved * np.float32(FARTHEST / placement.span_mm))
        with np.errstate(invalid="ignore"):
            inside = value <= FARTHEST
        result = np.full(stack.shape, HOLE, np.uint16)
        result[inside] = np.maximum(value[inside], 0).astype(np.uint16)
        return result.reshape(depth.shape)

    return enhance
