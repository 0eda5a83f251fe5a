"""DDD (Sterzentsenko et al., Self-Supervised Deep Depth Denoising, ICCV 2019) in Keras, and the numbers that it sees.

An autoencoder of partial convolutions: each looks at measured pixels alone and is scaled up for those that lack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.quiet import quiet_tensorflow

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]

NAME = "DDD"
WIDTH = 8  # the published network's; its authors' autoencoder without views has 16
NEAR_M, FAR_M = 0.1, 6.5  # what lies outside counts as a hole
SIDE_MULTIPLE = 8


def build_ddd() -> keras.Model:
    """DDD without weights: (n, height, width, 1) float32 metres, 0 = hole, sides multiples of 8, to the same shape.

    25 kernels without biases, 467,152 values. What it gives at holes means nothing.
    """
    quiet_tensorflow()
    import keras
    from keras import layers, ops

    def partial(x: keras.KerasTensor, mask: keras.KerasTensor, filters: int, name: str, kernel: int = 3,
                stride: int = 1) -> tuple[keras.KerasTensor, keras.KerasTensor]:  # fmt: skip
        """A partial convolution and the mask of where it saw anything; zeros on all sides, as PyTorch pads."""
        pads = ((0, 0), (kernel // 2, kernel // 2), (kernel // 2, kernel // 2), (0, 0))
        window = np.ones((kernel, kernel, 1, 1), np.float32)
        seen = ops.conv(ops.pad(mask, pads), window, strides=stride, padding="valid")
        share = ops.where(seen > 0, kernel**2 / ops.maximum(seen, 1.0), 0.0)
        convolution = layers.Conv2D(
            filters, kernel, strides=stride, padding="valid", use_bias=False, dtype="float32", name=name
        )
        return convolution(ops.pad(x * mask, pads)) * share, ops.minimum(seen, 1.0)

    def convolve(x: keras.KerasTensor, mask: keras.KerasTensor, filters: int, name: str, kernel: int = 3,
                 stride: int = 1) -> tuple[keras.KerasTensor, keras.KerasTensor]:  # fmt: skip
        x, mask = partial(x, mask, filters, name, kernel, stride)
        return ops.elu(x), mask

    def enlarge(x: keras.KerasTensor) -> keras.KerasTensor:
        return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)

    def join(x: keras.KerasTensor, earlier: keras.KerasTensor, level: int) -> keras.KerasTensor:
        both = ops.concatenate([x, earlier], axis=-1)
        layer = layers.Conv2D(x.shape[-1], 1, use_bias=False, dtype="float32", name=f"decoder_conv_id_{level}-0")
        return ops.elu(layer(both))

    one, two, four, eight = WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH
    inputs = keras.Input((None, None, 1), name="depth", dtype="float32")
    mask = ops.cast(ops.logical_and(inputs > NEAR_M, inputs < FAR_M), "float32")

    x, mask = convolve(inputs, mask, one, "encoder_conv1_1-conv", 7)
    first, mask = convolve(x, mask, two, "encoder_conv1_2-conv", 5)
    x, mask = convolve(first, mask, four, "encoder_conv2_1-conv", stride=2)
    x, mask = convolve(x, mask, four, "encoder_conv2_2-conv")
    second, mask = convolve(x, mask, four, "encoder_conv2_3-conv")
    x, mask = convolve(second, mask, eight, "encoder_conv3_1-conv", stride=2)
    x, mask = convolve(x, mask, eight, "encoder_conv3_2-conv")
    third, mask = convolve(x, mask, eight, "encoder_conv3_3-conv")
    x, mask = convolve(third, mask, eight, "encoder_conv4-conv", stride=2)
    for block in ("encoder_resblock1", "encoder_resblock2"):
        before = x
        x, mask = partial(ops.elu(x), mask, eight, f"{block}-conv1")
        x, mask = partial(ops.elu(x), mask, eight, f"{block}-conv2")
        x = x + before

    x, mask = convolve(enlarge(x), enlarge(mask), eight, "decoder_deconv4-conv")
    x = join(x, third, 3)
    x, mask = convolve(x, mask, eight, "decoder_deconv3_3-conv")
    x, mask = convolve(x, mask, eight, "decoder_deconv3_2-conv")
    x, mask = convolve(enlarge(x), enlarge(mask), four, "decoder_deconv3_1-conv")
    x = join(x, second, 2)
    x, mask = convolve(x, mask, four, "decoder_deconv2_3-conv")
    x, mask = convolve(x, mask, four, "decoder_deconv2_2-conv")
    x, mask = convolve(enlarge(x), enlarge(mask), two, "decoder_deconv2_1-conv")
    x = join(x, first, 1)
    x, mask = convolve(x, mask, one, "decoder_deconv1_2-conv")
    x, mask = partial(x, mask, 1, "decoder_deconv1_1-conv")
    return keras.Model(inputs, x, name=NAME)


def denoise(forward: Callable[[FloatArray], FloatArray], depth_mm: FloatArray) -> FloatArray:
    """Millimetres (rows, columns), NaN = hole, to float32 of the same shape, as its authors evaluate it.

    In metres, holes 0; masked by what was measured from 0.1 to 6.5 m; cut to whole millimetres. They feed frames of
    640 x 360 px; the network itself has no size, and a frame of another is made larger by holes, not resized.
    """
    rows, columns = depth_mm.shape
    metres = np.nan_to_num(depth_mm).astype(np.float32) / np.float32(1000)
    padded = np.pad(metres, ((0, -rows % SIDE_MULTIPLE), (0, -columns % SIDE_MULTIPLE)))
    made = np.floor(forward(padded[None, ..., None])[0, :rows, :columns, 0] * np.float32(1000))
    return np.where((metres > NEAR_M) & (metres < FAR_M), made, np.float32(np.nan))
