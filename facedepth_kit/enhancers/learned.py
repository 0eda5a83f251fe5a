"""The networks of Table III: plain U-Nets in backend-neutral Keras 3, and enhancers made of their trained weights."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import FARTHEST, HOLE, SIZE, DepthImage, check_depth, from_unit, to_unit

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
INPUT_PIXELS = SIZE
BATCH = 16  # images a pass: on 2 cores a fifth faster each than one by one, and what an accelerator wants


@dataclass(frozen=True)
class NetworkSize:
    """How large a U-Net is: everything that its parameter count depends on (Figure 7, Table III).

    ``filters`` holds the filter count of each level going down (and, mirrored, going up); between levels the image is
    halved. ``convolutions`` is the number of convolutions that a level has on either way, ``kernel`` their side in
    pixels. The bottom has two convolutions with ``bottom_filters`` filters in every network.
    """

    filters: tuple[int, ...]
    convolutions: int = 2
    kernel: int = 3
    bottom_filters: int = 256


_NARROW = (16, 32, 64, 128, 128, 128, 128)
_WIDE = (32, 64, 128, 256, 256, 256, 256)

# Section IV-C calls DL-Gamma "DL-Alpha with 5x5"; by the published counts it is DL-Delta with 5x5, and DL-Alpha is
# DL-Delta with four convolutions a level instead of two.
SIZES: dict[str, NetworkSize] = {
    "DL-Alpha": NetworkSize(_NARROW, convolutions=4),
    "DL-Beta": NetworkSize(_WIDE),
    "DL-Gamma": NetworkSize(_NARROW, kernel=5),
    "DL-Delta": NetworkSize(_NARROW),
}


def build_network(size: str | NetworkSize, *, head_channels: int = 1) -> keras.Model:
    """Build an untrained U-Net of Table III.

    ``size``: a name of ``SIZES``, or a :class:`NetworkSize` of your own. ``head_channels``: channels of the linear
    output; 1 in the paper (depth), 2 for depth and a logit of "there is a face". Returns a model from (n, 256, 256, 1)
    float32 (0 nearest, 1 farthest or hole) to (n, 256, 256, head_channels) float32. The head computes in float32 under
    any Keras dtype policy, so that 16-bit depth survives mixed precision. Raises :class:`KitError` for an unknown
    name.
    """
    import keras
    from keras import layers

    if isinstance(size, str) and size not in SIZES:
        raise KitError(f"network: found size {size!r}, expected one of {', '.join(SIZES)}")
    shape = SIZES[size] if isinstance(size, str) else size

    def convolve(x: keras.KerasTensor, filters: int, count: int, name: str) -> keras.KerasTensor:
        for i in range(count):
            x = layers.Conv2D(
                filters,
                shape.kernel,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"{name}_conv{i + 1}",
            )(x)
        return x

    inputs = keras.Input((INPUT_PIXELS, INPUT_PIXELS, 1), name="depth", dtype="float32")
    x = inputs
    skips = []
    for level, filters in enumerate(shape.filters, start=1):
        x = convolve(x, filters, shape.convolutions, f"down{level}")
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = convolve(x, shape.bottom_filters, 2, "bottom")
    for level in range(len(shape.filters), 0, -1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}_upsample")(x)
        x = layers.Concatenate(name=f"up{level}_concatenate")([x, skips[level - 1]])
        x = convolve(x, shape.filters[level - 1], shape.convolutions, f"up{level}")
    outputs = layers.Conv2D(head_channels, 1, dtype="float32", name="head")(x)
    return keras.Model(inputs, outputs, name=size if isinstance(size, str) else "U-Net")


def weights_present(name: str) -> bool:
    """Whether the weights folder holds a model card and weights of that name; neither is opened."""
    card, weights = _paths(name)
    return card.name == f"{name}.json" and card.is_file() and weights.is_file()


def _paths(name: str) -> tuple[Path, Path]:
    from facedepth_kit.common.paths import weights_dir

    folder = weights_dir()
    return folder / f"{name}.json", folder / f"{name}.weights.h5"


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Read a Keras 3 ``.weights.h5`` file into a network of the same size; no code is executed.

    Raises :class:`KitError` for a missing, truncated or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise KitError(f"{path}: no such file, expected weights for {model.name}")
    try:
        with warnings.catch_warnings():
            # Keras would go on with random weights in the layers that the file does not know.
            warnings.filterwarnings("error", message="Skipping nested", category=UserWarning)
            model.load_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError, UserWarning) as error:
        reason = str(error).strip().splitlines()
        raise KitError(
            f"{path}: found no weights for {model.name} ({reason[0][:120] if reason else type(error).__name__})"
        ) from None


@dataclass(frozen=True)
class ModelCard:
    """The fields of a model card that the code depends on; the rest of the JSON is for people.

    A network with two channels calls a pixel a hole where its validity lies below ``validity_threshold``, but never
    within ``fill_reach_px`` of a measured pixel: there a hole left open costs more than one filled in vain.
    """

    name: str
    size: str
    head_channels: int
    validity_threshold: float
    sha256: str
    fill_reach_px: float = 0.0

    @staticmethod
    def read(path: str | Path) -> ModelCard:
        """Read and check a model card. Raises :class:`KitError` if the file is missing, no JSON, or lacks a field."""
        path = Path(path)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise KitError(f"{path}: no such file, expected a model card (facedepth train writes one)") from None
        except (OSError, ValueError) as error:
            raise KitError(f"{path}: found {type(error).__name__}, expected a model card in JSON") from None
        try:
            card = ModelCard(
                name=str(fields["name"]),
                size=str(fields["size"]),
                head_channels=int(fields["head_channels"]),
                validity_threshold=float(fields.get("validity_threshold", 0.5)),
                sha256=str(fields["sha256"]),
                fill_reach_px=float(fields.get("fill_reach_px", 0.0)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise KitError(
                f"{path}: found no usable field {error}, expected name, size, head_channels and sha256"
            ) from None
        if card.size not in SIZES or card.head_channels not in (1, 2) or not 0 < card.validity_threshold < 1:
            raise KitError(
                f"{path}: found size {card.size!r}, {card.head_channels} channels, threshold "
                f"{card.validity_threshold}, expected one of {', '.join(SIZES)}, 1 or 2, and a threshold within 0..1"
            )
        return card


class _Network:
    """A network with its weights, compiled."""

    def __init__(self, card: ModelCard, weights: Path) -> None:
        import keras

        self.card = card
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float32")  # a trainer in this process may have set another one
        try:
            self.model = build_network(card.size, head_channels=card.head_channels)
        finally:
            keras.config.set_dtype_policy(policy)
        load_weights(self.model, weights)
        self._forward = compiled_forward(self.model)
        # TensorFlow's graph takes any number of images; the other backends compile anew for each shape.
        self._one_shape = keras.backend.backend() != "tensorflow"

    def __call__(self, images: DepthImage) -> DepthImage:
        """(n, 256, 256) uint16 to the same."""
        result = np.empty(images.shape, np.uint16)
        step = BATCH if len(images) > 1 else 1
        for first in range(0, len(images), step):
            part = images[first : first + step]
            unit = to_unit(part)[..., None]
            if self._one_shape and len(part) < step:
                unit = np.concatenate([unit, np.zeros((step - len(part), *unit.shape[1:]), np.float32)])
            raw = self._forward(unit)[: len(part)]
            result[first : first + step] = self._depth(raw, part)
        return result

    def _depth(self, raw: FloatArray, given: DepthImage) -> DepthImage:
        """The network's output (n, 256, 256, channels) for ``given`` (n, 256, 256) as depth images."""
        depth = from_unit(raw[..., 0])
        if self.card.head_channels == 2:
            # The second channel alone decides on holes: a valid pixel must not read as one, however far it lies.
            threshold = self.card.validity_threshold
            invalid = raw[..., 1] < math.log(threshold / (1 - threshold))
            if self.card.fill_reach_px > 0:
                invalid &= np.stack([_distance_to_measured(image) > self.card.fill_reach_px for image in given])
            depth = np.where(invalid, HOLE, np.minimum(depth, np.uint16(FARTHEST)))
        return depth


def _distance_to_measured(depth: DepthImage) -> FloatArray:
    """Pixels from each pixel to the nearest one that is no hole, float32 (256, 256)."""
    import cv2

    return np.asarray(cv2.distanceTransform((depth == HOLE).astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def compiled_forward(model: keras.Model) -> Callable[[FloatArray], FloatArray]:
    """A forward pass, compiled: (n, 256, 256, 1) float32 to (n, 256, 256, channels) float32.

    ``Model.predict`` gives the same several times slower: it sets up a data pipeline on each call.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return lambda unit: np.asarray(model.predict_on_batch(unit), dtype=np.float32)
    import tensorflow as tf

    signature = [tf.TensorSpec((None, INPUT_PIXELS, INPUT_PIXELS, 1), tf.float32)]
    forward = tf.function(lambda unit: model(unit, training=False), input_signature=signature)
    return lambda unit: np.asarray(forward(tf.constant(unit)))


# Keyed by path and the file's state, so that weights which are trained anew under the same name are read again.
_loaded: dict[str, tuple[tuple[int, ...], _Network]] = {}
_loading = threading.Lock()


def _network(name: str) -> _Network:
    card_path, weights = _paths(name)
    try:
        state = tuple(
            value for path in (card_path, weights) for value in (path.stat().st_mtime_ns, path.stat().st_size)
        )
    except FileNotFoundError as error:
        raise KitError(
            f"{error.filename}: no such file, expected the weights of {name} (facedepth train makes them)"
        ) from None
    with _loading:
        key = str(weights)
        known = _loaded.get(key)
        if known is None or known[0] != state:
            card = ModelCard.read(card_path)
            with weights.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != card.sha256:
                raise KitError(
                    f"{weights}: found SHA-256 {found[:12]}..., expected {card.sha256[:12]}... as in {card_path.name}"
                )
            known = _loaded[key] = (state, _Network(card, weights))
        return known[1]


def learned_enhancer(name: str) -> Callable[[DepthImage], DepthImage]:
    """The enhancer whose weights and model card bear that name in the weights folder.

    Nothing is read before the first call; then the weights are checked against the card's SHA-256, loaded once per
    process and shared by all threads. The function takes and returns uint16 (256, 256) or (n, 256, 256), of any span
    (a face's own range or 25 cm): holes go in as 1. In a stack a value may differ by a step or two from the image's
    alone. With one output channel, what rounds to 1 comes out as hole; with two, the pixels whose validity lies below
    the card's threshold. Raises :class:`KitError`, on call, for another shape or dtype, and for missing, damaged or
    foreign weights.
    """

    def enhance(depth: DepthImage) -> DepthImage:
        check_depth(depth)
        return _network(name)(depth.reshape(-1, INPUT_PIXELS, INPUT_PIXELS)).reshape(depth.shape)

    return enhance
