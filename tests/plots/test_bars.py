"""Bars: sorted by ours, and what was not run is marked."""

from __future__ import annotations

from typing import Any

import numpy as np

from facedepth_kit.plots.bars import error_bars, surface_bars
from tests.plots.drawn import texts

ROWS = [
    {"enhancer": "None", "mean": 0.28, "std": 0.02, "published_mean": 0.2872, "published_std": 0.0256},
    {"enhancer": "DL-Beta", "mean": np.nan, "std": np.nan, "published_mean": 0.1532, "published_std": 0.023},
    {"enhancer": "DL-Kit-1", "mean": 0.02, "std": 0.01, "published_mean": np.nan, "published_std": np.nan},
]


def test_error_bars_sort_by_ours_and_mark_what_was_not_run() -> None:
    figure = error_bars(ROWS)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["DL-Kit-1", "DL-Beta", "None"]
    assert texts(figure).count("not run") == 1


LINES: list[dict[str, Any]] = [
    {"row": "None", "condition": "KinectFaceDB, holes", "metric": "mean", "value": "2.0", "published": "2.15"},
    {"row": "None", "condition": "KinectFaceDB, holes", "metric": "std", "value": "1.0", "published": "2.21"},
    {"row": "DL-Beta", "condition": "KinectFaceDB, holes", "metric": "mean", "value": "", "published": "0.69"},
    {
        "row": "Telea",
        "condition": "KinectFaceDB, holes",
        "metric": "mean",
        "value": "0.5",
        "published": "",
        "note": "stand-in: x",
    },
]


def test_surface_bars_read_the_long_table() -> None:
    figure = surface_bars(LINES)
    (axes,) = figure.axes
    widths = sorted(round(bar.get_width(), 3) for bar in axes.patches)  # type: ignore[attr-defined]
    assert widths == [0.5, 0.69, 2.0, 2.15]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["None", "DL-Beta", "Telea*"]
    assert texts(figure).count(" not run") == 1
