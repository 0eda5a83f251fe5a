"""The networks of Table III: plain U-Nets in backend-neutral Keras 3 (section IV-C)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.quiet import quiet_tensorflow
from facedepth_kit.depth import SIZE

if TYPE_CHECKING:
    import keras


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


def convolve(x: keras.KerasTensor, filters: int, name: str, *, count: int = 2, kernel: int = 3) -> keras.KerasTensor:
    """A level of a U-Net: ``count`` convolutions with ReLU, ``kernel`` pixels on a side."""
    from keras import layers

    for i in range(count):
        x = layers.Conv2D(
            filters,
            kernel,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"{name}_conv{i + 1}",
        )(x)
    return x


def build_unet(size: str | NetworkSize, *, head_channels: int = 1, side: int | None = SIZE) -> keras.Model:
    """Build an untrained U-Net of Table III.

    ``size``: a name of ``SIZES``, or a :class:`NetworkSize` of your own. ``head_channels``: channels of the linear
    output; 1 in the paper (depth), 2 for depth and a logit of "there is a face". ``side``: pixels of the input; None
    takes any multiple of 2 to the number of levels (128 for the paper's seven), with the same weights. Returns a model
    from (n, side, side, 1) float32 (0 nearest, 1 farthest or hole) to (n, side, side, head_channels) float32. The head
    computes in float32 under any Keras dtype policy, so that 16-bit depth survives mixed precision. Raises
    :class:`KitError` for an unknown name.
    """
    quiet_tensorflow()
    import keras
    from keras import layers

    if isinstance(size, str) and size not in SIZES:
        raise KitError(f"network: found size {size!r}, expected one of {', '.join(SIZES)}")
    shape = SIZES[size] if isinstance(size, str) else size

    inputs = keras.Input((side, side, 1), name="depth", dtype="float32")
    x = inputs
    skips = []
    for level, filters in enumerate(shape.filters, start=1):
        x = convolve(x, filters, f"down{level}", count=shape.convolutions, kernel=shape.kernel)
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = convolve(x, shape.bottom_filters, "bottom", kernel=shape.kernel)
    for level in range(len(shape.filters), 0, -1):
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}_upsample")(x)
        x = layers.Concatenate(name=f"up{level}_concatenate")([x, skips[level - 1]])
        x = convolve(x, shape.filters[level - 1], f"up{level}", count=shape.convolutions, kernel=shape.kernel)
    outputs = layers.Conv2D(head_channels, 1, dtype="float32", name="head")(x)
    return keras.Model(inputs, outputs, name=size if isinstance(size, str) else "U-Net")
