"""DDRNet-dn, the denoising part of DDRNet (Yan et al. 2018), in Keras 3 (section IV-B of the Schlett paper).

Its weights come from the checkpoint that its authors published, where the user has fetched it, or from a stand-in that
this kit trained on simulated people (``body_training.py``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]

NAME = "DDRNet-dn"
LOW_MM, HIGH_MM = 500.0, 2000.0  # the published checkpoint's range
HALF_MM = (HIGH_MM - LOW_MM) / 2
BLOCKS = 2
SCOPE = "dn_net"


def normalise(depth_mm: npt.NDArray[np.floating]) -> FloatArray:
    """Millimetres (float, NaN = hole) as the network sees them: 500..2000 mm clipped and mapped to -1..1, holes -1."""
    filled = np.nan_to_num(depth_mm, nan=LOW_MM).astype(np.float32)
    return (np.clip(filled, LOW_MM, HIGH_MM) - np.float32(LOW_MM)) / np.float32(HALF_MM) - np.float32(1)


def denormalise(unit: FloatArray) -> FloatArray:
    """The network's -1..1 back to millimetres, float32 of the same shape."""
    return (unit + np.float32(1)) * np.float32(HALF_MM) + np.float32(LOW_MM)


def build_ddrnet(*, leak: float = 0.0) -> keras.Model:
    """Build an untrained DDRNet-dn: 20 variables, 868,001 parameters.

    Returns a model from (n, height, width, 1) float32, normalised to -1..1, height and width multiples of 4, to the
    same shape. The head starts at zero, so that an untrained network hands its input on.
    The head computes in float32 under any Keras dtype policy. ``leak``: the slope of the activations below zero (the
    published checkpoint's graph has plain ReLU).
    """
    import keras
    from keras import layers, ops

    def activate(x: Any, name: str) -> Any:
        return layers.LeakyReLU(leak, name=name)(x) if leak else layers.ReLU(name=name)(x)

    def convolve(x: Any, filters: int, name: str, *, stride: int = 1) -> Any:
        return layers.Conv2D(filters, 3, strides=stride, padding="same", name=name)(x)

    def enlarge(x: Any, filters: int, name: str) -> Any:
        return layers.Conv2DTranspose(filters, 3, strides=2, padding="same", name=name)(x)

    inputs = keras.Input((None, None, 1), name="depth", dtype="float32")
    full = activate(convolve(inputs, 32, "cnv0"), "cnv0_relu")
    half = activate(convolve(full, 64, "cnv_down0", stride=2), "cnv_down0_relu")
    quarter = activate(convolve(half, 128, "cnv_down1", stride=2), "cnv_down1_relu")
    x = quarter
    for block in range(BLOCKS):
        y = convolve(activate(x, f"res{block}_relu1"), 128, f"res{block}_conv1")
        y = convolve(activate(y, f"res{block}_relu2"), 128, f"res{block}_conv2")
        x = layers.Add(name=f"res{block}")([x, y])
    x = layers.Concatenate(name="cat1")([quarter, x])
    x = activate(enlarge(x, 64, "cnv_up0"), "cnv_up0_relu")
    x = layers.Concatenate(name="cat2")([half, x])
    x = activate(enlarge(x, 32, "cnv_up1"), "cnv_up1_relu")
    x = layers.Concatenate(name="cat_final")([full, x])
    change = layers.Conv2D(
        1, 3, padding="same", activation="tanh", kernel_initializer="zeros", dtype="float32", name="cnv_final"
    )(x)
    total = layers.Add(name="residual", dtype="float32")([inputs, change])
    outputs = layers.Lambda(lambda x: ops.clip(x, -1.0, 1.0), name="clip", dtype="float32")(total)
    return keras.Model(inputs, outputs, name="DDRNet-dn")
