"""The second paper's networks: a U-Net for single frames (M1) and one that remembers (M2); sections 5 and 7.1.

Both see colour, depth, the person's mask and an x-y grid, and predict depth. M1 has four downsamplings, and its input,
made smaller, is joined to every level of the encoder. M2 is the same with a convolutional LSTM after every convolution;
it sees M1's prediction beside the measured depth and gives what has to be added to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.quiet import quiet_tensorflow

if TYPE_CHECKING:
    import keras

CHANNELS = 7  # red, green, blue, depth, mask, x, y
DOWNSAMPLINGS = 4
SIDE_MULTIPLE = 2**DOWNSAMPLINGS
FRAMES = 4  # section 7.1: sequences of four


@dataclass(frozen=True)
class DenoiserSize:
    """How large a network is: ``widths`` are the filters of its five levels, ``convolutions`` those of a level.

    ``remembers``: a convolutional LSTM follows every convolution (M2). The paper names no widths.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96, 128)
    convolutions: int = 2
    remembers: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) != DOWNSAMPLINGS + 1 or min(self.widths) < 1 or self.convolutions < 1:
            raise KitError(f"denoiser: found {self}, expected {DOWNSAMPLINGS + 1} widths and one convolution or more")

    @property
    def channels(self) -> int:
        """Channels of the input: M2 sees M1's prediction, too."""
        return CHANNELS + self.remembers


def build_denoiser(size: DenoiserSize) -> keras.Model:
    """M1, untrained: (n, height, width, 7) float32 to (n, height, width, 1), sides multiples of 16.

    The head computes in float32 under any Keras dtype policy.
    """
    quiet_tensorflow()
    import keras

    inputs = keras.Input((None, None, size.channels), name="frame", dtype="float32")
    network = _Network(size)
    return keras.Model(inputs, network.head(network(inputs, lambda _, x: x)), name="M1")


def build_remembering(size: DenoiserSize, frames: int = FRAMES) -> keras.Model:
    """M2, untrained, for sequences: (n, frames, height, width, 8) to (n, frames, height, width, 1).

    Channel 7 is M1's prediction; the output is that plus a correction, which starts at zero. The memory is empty before
    the first frame.
    """
    quiet_tensorflow()
    import keras
    from keras import ops

    inputs = keras.Input((frames, None, None, size.channels), name="sequence", dtype="float32")
    network = _Network(size)
    states: dict[str, tuple[Any, Any]] = {}

    def remember(name: str, x: Any) -> Any:
        empty = ops.zeros_like(x)
        states[name] = network.cell(name, x, *states.get(name, (empty, empty)))
        return states[name][0]

    outputs = []
    for i in range(frames):
        frame = inputs[:, i]
        outputs.append(frame[..., CHANNELS:] + network.head(network(frame, remember)))
    return keras.Model(inputs, ops.stack(outputs, axis=1), name="M2")


def build_step(size: DenoiserSize) -> keras.Model:
    """M2 for one frame after another: [frame, h and c of each cell ...] to [prediction, the same anew ...].

    It has the weights of :func:`build_remembering`, in the same order. A cell's h and c have its level's size.
    """
    quiet_tensorflow()
    import keras

    frame = keras.Input((None, None, size.channels), name="frame", dtype="float32")
    network = _Network(size)
    before: list[Any] = []
    after: list[Any] = []

    def remember(name: str, x: Any) -> Any:
        pair = [keras.Input((None, None, x.shape[-1]), name=f"{name}_{kind}") for kind in ("h", "c")]
        h, c = network.cell(name, x, *pair)
        before.extend(pair)
        after.extend((h, c))
        return h

    prediction = frame[..., CHANNELS:] + network.head(network(frame, remember))
    return keras.Model([frame, *before], [prediction, *after], name="M2")


def cell_levels(size: DenoiserSize) -> list[tuple[int, int]]:
    """Level (0 is full size) and filters of each cell of M2, in the order of :func:`build_step`'s memory."""
    down = [(level, width) for level, width in enumerate(size.widths) for _ in range(size.convolutions)]
    up = [(i, size.widths[i]) for i in range(DOWNSAMPLINGS - 1, -1, -1) for _ in range(size.convolutions)]
    return down + up


class _Network:
    """The layers, made once and used for each frame."""

    def __init__(self, size: DenoiserSize) -> None:
        from keras import layers

        self.size = size
        self._layers: dict[str, Any] = {}
        start = "zeros" if size.remembers else "glorot_uniform"
        self.head: Callable[[Any], Any] = layers.Conv2D(1, 1, kernel_initializer=start, dtype="float32", name="head")

    def _convolution(self, name: str, filters: int, **options: Any) -> Any:
        from keras import layers

        if name not in self._layers:
            self._layers[name] = layers.Conv2D(filters, 3, padding="same", name=name, **options)
        return self._layers[name]

    def cell(self, name: str, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """One step of a convolutional LSTM: all four gates from one convolution on x and h side by side."""
        from keras import ops

        gates = self._convolution(f"{name}_lstm", 4 * x.shape[-1])(ops.concatenate([x, h], axis=-1))
        let_in, keep, show, new = ops.split(gates, 4, axis=-1)
        c = ops.sigmoid(keep + 1.0) * c + ops.sigmoid(let_in) * ops.tanh(new)
        return ops.sigmoid(show) * ops.tanh(c), c

    def __call__(self, x: Any, remember: Callable[[str, Any], Any]) -> Any:
        from keras import ops

        def convolve(x: Any, filters: int, place: str) -> Any:
            for i in range(1, self.size.convolutions + 1):
                name = f"{place}_conv{i}"
                x = self._convolution(name, filters, activation="relu", kernel_initializer="he_normal")(x)
                x = remember(name, x)
            return x

        *widths, bottom = self.size.widths
        skips = []
        smaller = x
        for level, filters in enumerate(widths):
            x = convolve(x if level == 0 else ops.concatenate([x, smaller], axis=-1), filters, f"down{level + 1}")
            skips.append(x)
            x, smaller = ops.max_pool(x, 2), ops.average_pool(smaller, 2)
        x = convolve(ops.concatenate([x, smaller], axis=-1), bottom, "bottom")
        for level in range(DOWNSAMPLINGS - 1, -1, -1):
            x = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
            x = convolve(ops.concatenate([x, skips[level]], axis=-1), widths[level], f"up{level + 1}")
        return x
