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
    return lambda images: np.asarray(forward(tf.constant(images)))
