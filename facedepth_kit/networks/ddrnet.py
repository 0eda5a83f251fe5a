"""The denoising part of DDRNet (Yan et al. 2018) in Keras 3, and the numbers that it sees (section IV-B)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.quiet import quiet_tensorflow

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]

NAME = "DDRNet-dn"
SCOPE = "dn_net"  # the published checkpoint holds a second network, which needs colour and is not used
LOW_MM, HIGH_MM = 500.0, 2000.0  # the published checkpoint's range
HALF_MM = (HIGH_MM - LOW_MM) / 2
BLOCKS = 2


def build_ddrnet() -> keras.Model:
    """Build an untrained DDRNet-dn: 20 variables, 868,001 parameters.

    Returns a model from (n, height, width, 1) float32, normalised to -1..1 (:func:`normalise`), height and width
    multiples of 4, to the same shape. The head starts at zero, so that an untrained network hands its input on; it
    computes in float32 under any Keras dtype policy. Activations are plain ReLU as in the published checkpoint's graph
    (the source code that came later says leaky ReLU).
    """
    quiet_tensorflow()
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


def normalise(depth_mm: npt.NDArray[np.floating]) -> FloatArray:
    """Millimetres (float, NaN = hole) as the network sees them: clipped to 500..2000 mm, mapped to -1..1, holes -1."""
    filled = np.nan_to_num(depth_mm, nan=LOW_MM).astype(np.float32)
    return (np.clip(filled, LOW_MM, HIGH_MM) - np.float32(LOW_MM)) / np.float32(HALF_MM) - np.float32(1)


def denormalise(unit: FloatArray) -> FloatArray:
    """The network's -1..1 back to millimetres, float32 of the same shape."""
    return (unit + np.float32(1)) * np.float32(HALF_MM) + np.float32(LOW_MM)
