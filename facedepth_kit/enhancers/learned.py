"""Enhancers made of trained U-Nets: their weights are found by name in the weights folder (section IV-C)."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.quiet import quiet_tensorflow
from facedepth_kit.depth import FARTHEST, HOLE, SIZE, DepthImage, check_depth, from_unit, to_unit
from facedepth_kit.networks import fast
from facedepth_kit.networks.build import build_network, sizes
from facedepth_kit.networks.cards import ModelCard, check_weights, network_files, retrain_command
from facedepth_kit.networks.forward import compiled_forward
from facedepth_kit.networks.weights import load_weights

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
BATCH = 16  # images a pass: on 2 cores a fifth faster each than one by one, and what an accelerator wants


class _Network:
    """A network with its weights, compiled."""

    def __init__(self, card_path: Path, *, runs_fast: bool = False) -> None:
        card = ModelCard.read(card_path)
        if card.size not in sizes():
            raise KitError(f"{card_path}: found size {card.size!r}, expected one of {', '.join(sizes())}")
        _, weights = check_weights(card_path)
        self.card = card
        self.model: keras.Model | None = None
        if runs_fast:
            self._forward = fast.forward(fast.export_folder(card_path.stem))
            self._one_shape = False
            return
        quiet_tensorflow()
        import keras

        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("float32")  # a trainer in this process may have set another one
        try:
            model = build_network(card.size, head_channels=card.head_channels)
        finally:
            keras.config.set_dtype_policy(policy)
        load_weights(model, weights)
        self.model = model
        self._forward = compiled_forward(model)
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


# Keyed by path and the file's state, so that weights which are trained anew under the same name are read again.
_loaded: dict[str, tuple[tuple[int, ...], _Network]] = {}
_loading = threading.Lock()


def _network(name: str, runs_fast: bool = False) -> _Network:
    card_path, weights = network_files(name)
    try:
        state = tuple(
            value for path in (card_path, weights) for value in (path.stat().st_mtime_ns, path.stat().st_size)
        )
    except FileNotFoundError as error:
        raise KitError(
            f"{error.filename}: no such file, expected the weights of {name}; {retrain_command(name)} makes them"
        ) from None
    with _loading:
        key = f"{weights}{' fast' if runs_fast else ''}"
        known = _loaded.get(key)
        if known is None or known[0] != state:
            known = _loaded[key] = (state, _Network(card_path, runs_fast=runs_fast))
        return known[1]


def learned_enhancer(name: str, *, runs_fast: bool = False) -> Callable[[DepthImage], DepthImage]:
    """The enhancer whose weights and model card bear that name in the weights folder.

    Nothing is read before the first call; then the weights are checked against the card's SHA-256, loaded once per
    process and shared by all threads. The function takes and returns uint16 (256, 256) or (n, 256, 256), of any span
    (a face's own range or 25 cm): holes go in as 1. In a stack a value may differ by a step or two from the image's
    alone. With one output channel, what rounds to 1 comes out as hole; with two, the pixels whose validity lies below
    the card's threshold. ``runs_fast`` takes OpenVINO's export of it (:mod:`facedepth_kit.networks.fast`), which must
    be there (``fast.exported``). Raises :class:`KitError`, on call, for another shape or dtype, and for missing,
    damaged or foreign weights.
    """

    def enhance(depth: DepthImage) -> DepthImage:
        check_depth(depth)
        return _network(name, runs_fast)(depth.reshape(-1, SIZE, SIZE)).reshape(depth.shape)

    return enhance


def network_gradient(name: str) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """How a learned enhancer's depth moves with its input: what gradient attacks need.

    The function takes the input (n, 256, 256) float32 from 0 to 1 (holes 1) and a weight for each output pixel, of the
    same shape, and returns the gradient of the weighted sum of the network's depth with respect to the input. Raises
    :class:`KitError`, on call, as :func:`learned_enhancer`, and with another backend than TensorFlow.
    """

    def gradient(unit: FloatArray, weight: FloatArray) -> FloatArray:
        model = _network(name).model
        assert model is not None  # TensorFlow's, not the fast runtime's
        import keras

        if keras.backend.backend() != "tensorflow":
            raise KitError(f"{name}: found the backend {keras.backend.backend()}, expected tensorflow for gradients")
        import tensorflow as tf

        given = tf.constant(unit[..., None])
        with tf.GradientTape() as tape:
            tape.watch(given)
            total = tf.reduce_sum(model(given, training=False)[..., 0] * tf.constant(weight))
        return np.asarray(tape.gradient(total, given))[..., 0]

    return gradient
