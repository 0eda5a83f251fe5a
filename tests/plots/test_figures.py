"""Figures: they hold what the data hold, the same data give the same bytes, and nothing needs a screen."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from facedepth_kit.depth import HOLE, DepthImage, colourize
from facedepth_kit.plots import figures as plots


def face(radius: float = 90.0) -> DepthImage:
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 128, columns - 128)
    return np.where(distance < radius, distance * 700, int(HOLE)).astype(np.uint16)


def texts(figure: object) -> list[str]:
    from matplotlib.text import Text

    return [artist.get_text() for artist in figure.findobj(Text) if artist.get_text()]  # type: ignore[attr-defined]


def png(figure: object) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=50, metadata={"Software": None})  # type: ignore[attr-defined]
    return buffer.getvalue()


ROWS = [
    {"enhancer": "None", "mean": 0.28, "std": 0.02, "published_mean": 0.2872, "published_std": 0.0256},
    {"enhancer": "DL-Beta", "mean": np.nan, "std": np.nan, "published_mean": 0.1532, "published_std": 0.023},
    {"enhancer": "DL-Kit-1", "mean": 0.02, "std": 0.01, "published_mean": np.nan, "published_std": np.nan},
]


def test_error_bars_sort_by_ours_and_mark_what_was_not_run() -> None:
    figure = plots.error_bars(ROWS)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["DL-Kit-1", "DL-Beta", "None"]
    assert texts(figure).count("not run") == 1


def test_sample_grid_lists_enhancers_without_weights() -> None:
    figure = plots.sample_grid(
        face(), face(60), {"Sp-HfU": face(), "DL-Alpha": None}, [["Ground Truth", "Degraded", "Sp-HfU"], ["DL-Alpha"]]
    )
    assert {"Ground Truth", "Degraded", "Sp-HfU", "DL-Alpha\nno weights"} <= set(texts(figure))


def test_sample_grid_masks_by_the_ground_truth() -> None:
    full = np.zeros((256, 256), np.uint16)
    figure = plots.sample_grid(face(), face(), {"fills all": full}, [["fills all"]])
    shown = np.asarray(figure.axes[0].images[0].get_array())
    assert (shown[0, 0] == np.asarray(colourize(np.full((256, 256), HOLE))[0, 0])).all()


@pytest.mark.parametrize("stage", ["outline", "noise", "blurred background"])
def test_degradation_process_needs_every_stage(stage: str) -> None:
    names = ["ground truth", "outline", "outline holes", "random holes", "all holes", "punched", "noise", "blurred"]
    names += ["random background", "blurred background"]
    stages = {name: (face() != HOLE) if "hole" in name or name == "outline" else face() for name in names}
    assert (
        len(
            plots.degradation_process(stages).findobj(
                lambda artist: hasattr(artist, "get_array") and hasattr(artist, "get_extent")
            )
        )
        >= 10
    )
    with pytest.raises(KeyError, match=stage):
        plots.degradation_process({name: picture for name, picture in stages.items() if name != stage})


def test_same_data_same_bytes() -> None:
    assert png(plots.error_bars(ROWS)) == png(plots.error_bars(ROWS))
    assert png(plots.strip({"a": face()})) == png(plots.strip({"a": face()}))


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
    figure = plots.network_drawing(layers, "small")
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == 1
    assert "convolution 3x3, ReLU" in texts(figure)
    assert "24" in texts(figure)


def test_denoiser_drawing_shows_every_layer_and_skip() -> None:
    kinds = [("depth", "InputLayer", 8, 1), ("cnv0", "Conv2D", 8, 32), ("down", "Conv2D", 4, 64)]
    kinds += [("up", "Conv2DTranspose", 8, 32), ("cat", "Concatenate", 8, 65), ("output", "Add", 8, 1)]
    layers = [{"name": n, "kind": kind, "size": size, "channels": channels} for n, kind, size, channels in kinds]
    figure = plots.denoiser_drawing(layers, {"cat": "cnv0", "output": "depth"}, "small")
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    assert {"cnv0", "65", "8²", "4²", "small"} <= set(texts(figure))
