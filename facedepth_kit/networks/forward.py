"""One forward pass of a trained network, compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]


def compiled_forward(model: keras.Model) -> Callable[[FloatArray], FloatArray]:
    """A forward pass on any number of images, float32 in the model's input and output shapes.

    ``Model.predict`` gives the same several times slower: it sets up a data pipeline on each call.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return lambda images: np.asarray(model.predict_on_batch(images), dtype=np.float32)
    import tensorflow as tf

    signature = [tf.TensorSpec(model.input_shape, tf.float32)]
    forward = tf.function(lambda images: model(images, training=False), input_signature=signature)
    forward = forward.get_concrete_function()  # called itself, TensorFlow would warn of the fifth network
    return lambda images: np.asarray(forward(tf.constant(images)))


def compiled_step(model: keras.Model) -> Callable[[list[FloatArray]], list[FloatArray]]:
    """The same for a network of several inputs and outputs, which remembers what it is handed back."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return lambda arrays: [np.asarray(array, np.float32) for array in model.predict_on_batch(arrays)]
    import tensorflow as tf

    signature = [[tf.TensorSpec(one.shape, tf.float32) for one in model.inputs]]
    forward = tf.function(lambda arrays: model(arrays, training=False), input_signature=signature)
    return lambda arrays: [np.asarray(array) for array in forward([tf.constant(array) for array in arrays])]
