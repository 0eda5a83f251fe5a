"""What an enhancer costs: arithmetic, parameters and time for one frame (section IV-A, Table III)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from facedepth_kit import enhancers
from facedepth_kit.depth import SIZE, DepthImage
from facedepth_kit.enhancers.filters import REMARKED, TABLE_II
from facedepth_kit.evaluation.published import Claim, Verdict
from facedepth_kit.networks import ddrnet
from facedepth_kit.networks.build import build_network, sizes
from facedepth_kit.networks.cards import ModelCard, network_files

if TYPE_CHECKING:
    import keras


def gflop(model: keras.Model) -> float:
    """Billions of multiplications and additions that a convolutional network takes for one image of 256x256 pixels.

    Counted are convolutions and transposed ones, two operations for each weight at each place; the rest (pooling,
    activations, joins) is less than a hundredth. A model for images of any size is taken at this one.
    """
    import keras

    if None in model.inputs[0].shape[1:]:
        channels = model.inputs[0].shape[-1]
        model = keras.models.clone_model(model, input_tensors=keras.Input((SIZE, SIZE, channels)))
    return sum(_operations(layer) for layer in _layers(model)) / 1e9


def _layers(model: keras.Model) -> list[Any]:
    nested = [_layers(layer) if hasattr(layer, "layers") else [layer] for layer in model.layers]
    return [layer for group in nested for layer in group]


def _operations(layer: Any) -> float:
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0.0
    # A transposed convolution puts every input pixel to work, a plain one every output pixel.
    transposed = "Transpose" in type(layer).__name__
    shape = (layer.input if transposed else layer.output).shape
    return 2.0 * math.prod(kernel.shape) * math.prod(shape[1:-1])


def milliseconds(enhance: Callable[[DepthImage], DepthImage], depth: DepthImage, *, runs: int = 5) -> float:
    """The shortest of ``runs`` times that one frame takes, after one that does not count (it loads weights)."""
    enhance(depth)
    times = []
    for _ in range(runs):
        began = perf_counter()
        enhance(depth)
        times.append(perf_counter() - began)
    return 1000 * min(times)


def time_verdicts(times_ms: Mapping[str, float]) -> list[Verdict]:
    """Section IV-A's remarks on the SDK's benchmark: decimation gets faster from magnitude 3 to 4; spatial is slowest.

    ``times_ms`` by row, ``De-M2`` to ``De-M8``, ``Hf-...`` and ``Sp-...``. The verdicts hold no time: those are another
    machine's tomorrow.
    """
    found = []
    spatial = min(value for name, value in times_ms.items() if name.startswith("Sp"))
    others = max(value for name, value in times_ms.items() if name.startswith(("De-", "Hf-")))
    for row, metric, holds in (
        ("De-M4", "time / De-M3", times_ms["De-M4"] < times_ms["De-M3"]),
        ("Sp", "time / other filters", spatial > others),
    ):
        expected = "shorter" if row == "De-M4" else "longer"
        claim = Claim("IV-A", row, metric, expected, "ranking")
        found.append(Verdict(claim, expected if holds else f"not {expected}", holds, "shortest of several runs"))
    return found


def cost_rows(depth: DepthImage, *, runs: int = 5) -> list[dict[str, Any]]:
    """Parameters, operations and time for one frame of every enhancer, decimation 2 to 8 and the spatial filter alone.

    ``depth``: the frame, uint16 (256, 256). ``frame_ms`` is None where weights or the SDK are missing, parameters and
    ``gflop`` where nothing is learned.
    """
    able = set(enhancers.available())
    filters = [*TABLE_II, *REMARKED]
    lines = []
    for name in dict.fromkeys([*sorted(filters), *enhancers.names()]):
        enhancer = enhancers.get(name)
        model = network_of(name) if enhancer.kind == "learned" else None
        runs_here = name in able or (name in REMARKED and "Sp-HfU" in able)
        lines.append(
            {
                "enhancer": name,
                "kind": enhancer.kind,
                "parameters": None if model is None else model.count_params(),
                "gflop": None if model is None else gflop(model),
                "frame_ms": milliseconds(enhancer.enhance, depth, runs=runs) if runs_here else None,
            }
        )
    return lines


def network_of(name: str) -> keras.Model:
    """The untrained network behind a learned enhancer: its card's, else the size it is named after."""
    if name == ddrnet.NAME:
        return ddrnet.build_ddrnet()
    path = network_files(name)[0]
    if path.is_file():
        card = ModelCard.read(path)
        return build_network(card.size, head_channels=card.head_channels)
    return build_network(name if name in sizes() else name.rsplit("-", 1)[0])
