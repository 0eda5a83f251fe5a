"""DL-Kit-2's network: a U-Net on 4x4 blocks of pixels that corrects a smooth guess of the surface (ours).

A U-Net at 256x256 spends most of its work on pixels. Here a normalised average pyramid says what the surface roughly
is, holes included; the network sees how each pixel differs from that, sixteen pixels to a place, and says what is to
be added. A seventh of DL-Delta's operations (``costs.csv``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.quiet import quiet_tensorflow
from facedepth_kit.depth import SIZE
from facedepth_kit.networks.unet import convolve

if TYPE_CHECKING:
    import keras

BLOCK = 4  # pixels on a side that become the channels of one place
LIFT = 8.0  # the difference to the guess is small: it goes in as many times larger
PRIOR = 0.02  # how much the coarser level counts beside the share of measured pixels of the finer one
EMPTY = 0.5  # the guess for an image of holes


@dataclass(frozen=True)
class SmallSize:
    """How large the network is: ``filters`` of each level from 64x64 places down, each half as wide as the last.

    ``convolutions`` of 3x3 a level on either way; the lowest level has as many. Without ``guess`` the surface is
    guessed flat, as in an image of holes, so that the network says all of the depth.
    """

    filters: tuple[int, ...] = (32, 56, 96, 128, 128)
    convolutions: int = 2
    guess: bool = True


SMALL_SIZES: dict[str, SmallSize] = {"DL-Small": SmallSize()}


def prefill(blocks: Any, mask: Any, levels: int) -> Any:
    """A smooth guess of the surface, a value a block: averages of measured pixels, where there are none coarser ones.

    ``blocks`` and ``mask`` (1 = measured) are tensors (n, places, places, 16) float32, as :func:`unshuffle` gives
    them; ``levels`` is the number of halvings below the blocks. Returns (n, places, places, 1).
    """
    from keras import layers, ops

    total, count = ops.mean(blocks * mask, axis=-1, keepdims=True), ops.mean(mask, axis=-1, keepdims=True)
    pyramid = [(total, count)]
    for _ in range(levels):
        total, count = ops.average_pool(total, 2, 2), ops.average_pool(count, 2, 2)
        pyramid.append((total, count))
    total, count = (ops.mean(part, axis=(1, 2), keepdims=True) for part in pyramid[-1])
    guess = (total + 1e-4 * EMPTY) / (count + 1e-4)
    for index, (total, count) in enumerate(reversed(pyramid)):
        if index:
            guess = layers.UpSampling2D(2, interpolation="bilinear", dtype="float32")(guess)
        guess = (total + PRIOR * guess) / (count + PRIOR)
    return guess


def enlarge(guess: Any) -> Any:
    """A value a block, (n, places, places, 1), interpolated bilinearly between blocks: (n, places, places, 16)."""
    from keras import ops

    # Pixel k of 4 lies at (k + 1/2) / 4 - 1/2 of its block's width from the block's centre.
    away = (np.arange(BLOCK) + 0.5) / BLOCK - 0.5
    line = np.stack([np.maximum(-away, 0), 1 - np.abs(away), np.maximum(away, 0)])
    kernel = np.einsum("ak,bl->abkl", line, line).reshape(3, 3, 1, BLOCK**2).astype(np.float32)
    padded = ops.pad(guess, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    return ops.conv(padded, kernel, padding="valid")


def unshuffle(image: Any, side: int) -> Any:
    """Blocks of 4x4 pixels as channels: (n, side, side, 1) to (n, side / 4, side / 4, 16)."""
    from keras import ops

    places = side // BLOCK
    blocks = ops.reshape(image, (-1, places, BLOCK, places, BLOCK))
    return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4)), (-1, places, places, BLOCK**2))


def shuffle(image: Any, side: int) -> Any:
    """The inverse of :func:`unshuffle`: (n, side / 4, side / 4, 16 c) to (n, side, side, c)."""
    from keras import ops

    places, channels = side // BLOCK, image.shape[-1] // BLOCK**2
    blocks = ops.reshape(image, (-1, places, places, BLOCK, BLOCK, channels))
    return ops.reshape(ops.transpose(blocks, (0, 1, 3, 2, 4, 5)), (-1, side, side, channels))


def before(depth: Any, levels: int, *, flat: bool = False) -> tuple[Any, Any]:
    """What the convolutions see of a depth image (n, side, side, 1), and the guess that they correct.

    Returns tensors (n, side / 4, side / 4, 33: a difference and a mask for each pixel, the guess) and (..., 16).
    ``flat``: the guess is ``EMPTY`` everywhere.
    """
    from keras import ops

    side = depth.shape[1]
    places = side // BLOCK
    blocks = unshuffle(depth, side)
    mask = ops.cast(blocks < 1.0, "float32")
    guess = prefill(blocks, mask, levels)
    guess = ops.full_like(guess, EMPTY) if flat else guess
    surface = enlarge(guess)
    pixels = ops.stack([(blocks - surface) * mask * LIFT, mask], axis=-1)
    return ops.concatenate([ops.reshape(pixels, (-1, places, places, 2 * BLOCK**2)), guess], -1), surface


def after(head: Any, surface: Any) -> Any:
    """The network's output (n, side, side, channels) from what its convolutions said and the guess they correct."""
    from keras import ops

    places, channels = surface.shape[1], head.shape[-1] // BLOCK**2
    raw = ops.reshape(head, (-1, places, places, BLOCK**2, channels))
    depth = surface + raw[..., 0] / LIFT
    said = ops.stack([depth, *(raw[..., channel] for channel in range(1, channels))], axis=-1)
    return shuffle(ops.reshape(said, (-1, places, places, BLOCK**2 * channels)), BLOCK * places)


def build_small(size: str | SmallSize = "DL-Small", *, head_channels: int = 2, side: int | None = SIZE) -> keras.Model:
    """Build an untrained small network.

    ``size``: a name of ``SMALL_SIZES``, or a :class:`SmallSize` of your own. ``head_channels``: 1 for depth, 2 for
    depth and a logit of "there is a face". ``side``: pixels of the input, a multiple of 64 for five levels (None:
    256). Returns a model as :func:`facedepth_kit.networks.unet.build_unet` does. Guess and sum are float32 under any
    Keras dtype policy. Raises :class:`KitError` for another side.
    """
    quiet_tensorflow()
    import keras
    from keras import layers

    shape = SMALL_SIZES[size] if isinstance(size, str) else size
    side = side or SIZE
    halvings = len(shape.filters) - 1
    if side % (BLOCK << halvings):
        raise KitError(f"side: found {side} pixels, expected a multiple of {BLOCK << halvings}")

    inputs = keras.Input((side, side, 1), name="depth", dtype="float32")
    x, surface = before(inputs, halvings, flat=not shape.guess)
    skips = []
    for level, filters in enumerate(shape.filters[:-1], start=1):
        x = convolve(x, filters, f"down{level}", count=shape.convolutions)
        skips.append(x)
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = convolve(x, shape.filters[-1], "bottom", count=shape.convolutions)
    for level in range(halvings, 0, -1):
        # Narrowed before it is enlarged: a quarter of the work, and less for the convolution that follows.
        x = layers.Conv2D(shape.filters[level - 1], 1, name=f"up{level}_narrow")(x)
        x = layers.UpSampling2D(2, interpolation="nearest", name=f"up{level}_upsample")(x)
        x = layers.Concatenate(name=f"up{level}_concatenate")([x, skips[level - 1]])
        x = convolve(x, shape.filters[level - 1], f"up{level}", count=shape.convolutions)
    # Training begins at the guess itself: with a random head its first steps would silence the layers before it.
    head = layers.Conv2D(head_channels * BLOCK**2, 1, kernel_initializer="zeros", dtype="float32", name="head")(x)
    return keras.Model(inputs, after(head, surface), name=size if isinstance(size, str) else "Small")


def parts(model: keras.Model) -> dict[str, keras.Model]:
    """A small network in three: "before" and "after" its convolutions, where float32 matters, and the "core" between.

    "before" gives two outputs, the core's input and the guess; "after" takes the core's output and that guess.
    """
    import keras

    first, head = model.get_layer("down1_conv1"), model.get_layer("head")
    levels = sum(layer.name.endswith("_pool") for layer in model.layers)
    depth = keras.Input(model.input_shape[1:], name="depth")
    seen, surface = before(depth, levels)
    said, guess = keras.Input(head.output.shape[1:], name="said"), keras.Input(surface.shape[1:], name="guess")
    return {
        "before": keras.Model(depth, [seen, surface]),
        "core": keras.Model(first.input, head.output),
        "after": keras.Model([said, guess], after(said, guess)),
    }
