"""DRR (Jeon and Lee, Reconstruction-based Pairwise Depth Dataset for Depth Image Enhancement Using CNN, ECCV 2018).

Its Laplacian pyramid network in Keras, and the numbers that it sees: a quarter of the image is refined first, then,
with what was learnt there, half of it, then the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.quiet import quiet_tensorflow

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]

NAME = "DRR"
FILTERS = 64
SLOPE = 0.2  # of the leaky ReLU below 0
# Convolutions in a residual block: of the encoder at each scale, of the decoder at half and at full size.
ENCODER, HALF_DECODER, FULL_DECODER = 10, 20, 40
SIDE_MULTIPLE = 4
HALF_NET = "HalfNet-"
QUARTER_NET = f"{HALF_NET}QuarterNet-"


def build_drr() -> keras.Model:
    """DRR without weights: (n, height, width, 1) float32 metres, 0 = hole, sides multiples of 4, to the same shape.

    99 kernels without biases, 3,587,920 values. Holes are filled.
    """
    quiet_tensorflow()
    import keras
    from keras import layers, ops

    def convolve(x: keras.KerasTensor, filters: int, name: str, kernel: int = 3, stride: int = 1) -> keras.KerasTensor:
        layer = layers.Conv2D(
            filters, kernel, strides=stride, padding="same", use_bias=False, dtype="float32", name=name
        )
        return layer(x)

    def transposed(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
        layer = layers.Conv2DTranspose(
            filters, 4, strides=2, padding="same", use_bias=False, dtype="float32", name=name
        )
        return layer(x)

    def leaky(x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.leaky_relu(x, negative_slope=SLOPE)

    def residual(x: keras.KerasTensor, count: int, name: str) -> keras.KerasTensor:
        y = x
        for number in range(count):
            y = convolve(y, FILTERS, f"{name}-0-cov_block-{2 * number}")  # the odd numbers are activations
            y = leaky(y) if number < count - 1 else y
        return x + y

    def reduce(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return leaky(convolve(x, FILTERS, f"{QUARTER_NET}{name}-0-down_block-0", 4, 2))

    def enlarge(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return leaky(transposed(x, FILTERS, f"{name}-0-cov_block-0"))

    def twice(x: keras.KerasTensor) -> keras.KerasTensor:
        """Bilinear, between pixel centres; Keras's own wants to know how large images are."""
        x = ops.pad(ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2), ((0, 0), (1, 1), (1, 1), (0, 0)), "symmetric")
        weights = np.outer((1, 2, 1), (1, 2, 1)).astype(np.float32) / 16
        return ops.conv(x, weights[:, :, None, None], padding="valid")

    inputs = keras.Input((None, None, 1), name="depth", dtype="float32")
    both = ops.concatenate([inputs, ops.cast(ops.equal(inputs, 0.0), "float32")], axis=-1)
    x = leaky(convolve(both, FILTERS, f"{QUARTER_NET}conv_input", 7))
    full = residual(x, ENCODER, f"{QUARTER_NET}en_feature_original")
    half = residual(reduce(full, "en_downsample_half"), ENCODER, f"{QUARTER_NET}en_feature_half")
    quarter = residual(reduce(half, "en_downsample_quarter"), ENCODER, f"{QUARTER_NET}en_feature_quarter")
    # Pillow's nearest neighbour, a quarter as large, takes the third of four pixels.
    refined = inputs[:, 2::4, 2::4] + convolve(quarter, 1, f"{QUARTER_NET}conv_R_quarter")

    x = residual(enlarge(quarter, f"{HALF_NET}de_upsample_half") + half, HALF_DECODER, f"{HALF_NET}de_feature_half")
    refined = twice(refined) + convolve(x, 1, f"{HALF_NET}conv_R_half")

    x = residual(enlarge(x, "de_upsample_original") + full, FULL_DECODER, "de_feature_original")
    refined = transposed(refined, 1, "upsample_img_original") + convolve(x, 1, "conv_R_original")
    return keras.Model(inputs, refined, name=NAME)


def denoise(forward: Callable[[FloatArray], FloatArray], depth_mm: FloatArray) -> FloatArray:
    """Millimetres (rows, columns), NaN = hole, to float32 of the same shape without holes, as its authors run it.

    In metres, holes 0; a median over 3 x 3 px afterwards; cut to whole millimetres. Sides that are no multiple of 4
    are made so by holes.
    """
    rows, columns = depth_mm.shape
    metres = np.nan_to_num(depth_mm).astype(np.float32) / np.float32(1000)
    padded = np.pad(metres, ((0, -rows % SIDE_MULTIPLE), (0, -columns % SIDE_MULTIPLE)))
    made = forward(padded[None, ..., None])[0, :rows, :columns, 0]
    return np.asarray(np.floor(cv2.medianBlur(np.ascontiguousarray(made), 3) * np.float32(1000)), np.float32)
