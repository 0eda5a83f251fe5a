"""Networks are drawn from their layers."""

from __future__ import annotations

from facedepth_kit.plots.networks import denoiser_drawing, network_drawing
from tests.plots.drawn import texts


def test_network_drawing_has_a_skip_for_every_concatenation() -> None:
    kinds = [
        ("InputLayer", 4, 1),
        ("Conv2D", 4, 8),
        ("MaxPooling2D", 2, 8),
        ("Conv2D", 2, 16),
        ("UpSampling2D", 4, 16),
        ("Concatenate", 4, 24),
        ("Conv2D", 4, 1),
    ]
    layers = [{"kind": kind, "size": size, "channels": channels, "kernel": 3} for kind, size, channels in kinds]
    figure = network_drawing(layers, "small")
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    assert "convolution 3x3, ReLU" in texts(figure)
    assert "24" in texts(figure)


def test_denoiser_drawing_shows_every_layer_and_skip() -> None:
    kinds = [("depth", "InputLayer", 8, 1), ("cnv0", "Conv2D", 8, 32), ("down", "Conv2D", 4, 64)]
    kinds += [("up", "Conv2DTranspose", 8, 32), ("cat", "Concatenate", 8, 65), ("output", "Add", 8, 1)]
    layers = [{"name": n, "kind": kind, "size": size, "channels": channels} for n, kind, size, channels in kinds]
    figure = denoiser_drawing(layers, {"cat": "cnv0", "output": "depth"}, "small")
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    assert {"cnv0", "65", "8²", "4²", "small"} <= set(texts(figure))
