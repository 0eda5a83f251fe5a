"""Curves: every kind, the limits in use, the axes."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.plots.curves import decision_curves, depth_rows, error_against_distance, screening_curve


def test_the_screening_curve_shows_every_kind_and_where_the_limits_lie() -> None:
    curves = {"mild": [(0.0, 0.1), (0.5, 0.9)], "strong": [(0.0, 0.6), (0.5, 1.0)]}
    figure = screening_curve(curves, {"mild": (0.0, 0.1), "strong": (0.5, 1.0)})
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines if not str(line.get_label()).startswith("_")] == ["mild", "strong"]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [tuple(float(v) for v in np.ravel(dot.get_xydata())) for dot in dots] == [(0.0, 0.1), (0.5, 1.0)]


def test_curves_of_both_checks() -> None:
    rows = [
        {"check": check, "enhancer": "None", "presentation": kind, "threshold": t / 4, "rate": t / 4}
        for check in ("a", "b")
        for kind in ("bona_fide", "flat_print")
        for t in range(5)
    ]
    figure = decision_curves(rows, ["None", "missing"], {"a": 0.3, "b": 0.5})
    assert len(figure.axes) == 4
    assert [len(axes.lines) for axes in figure.axes] == [3, 1, 3, 1]  # two curves and the threshold, or that alone
    assert figure.axes[0].lines[2].get_xdata()[0] == pytest.approx(0.3)  # type: ignore[index]


def test_sensors_curves() -> None:
    steps = {"a": [1.0, 4.0], "b": [0.5, 2.0]}
    assert error_against_distance([400.0, 800.0], steps, steps).axes[0].get_xscale() == "log"
    figure = depth_rows({"true": (np.arange(3.0), np.array([1.0, np.nan, 2.0]))})
    assert figure.axes[0].yaxis_inverted()
