"""Operations counted by hand, and the shape of the remarks on time."""

from __future__ import annotations

import numpy as np
import pytest

from facedepth_kit.evaluation.costs import cost_rows, gflop, milliseconds, time_verdicts


def test_operations_by_hand() -> None:
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same"),  # 9 weights x 4 filters x 64 places
            layers.MaxPooling2D(2),
            layers.Conv2DTranspose(2, 2, strides=2),  # 4 weights x 4 channels x 2 filters x 16 places
            layers.Conv2D(1, 1, strides=2),  # 2 weights x 16 places
        ]
    )
    assert gflop(model) == pytest.approx(2 * (9 * 4 * 64 + 4 * 4 * 2 * 16 + 2 * 16) / 1e9)
    anything = keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(1, 3, padding="same")])
    assert gflop(anything) == pytest.approx(2 * 9 * 256**2 / 1e9)
    outer = keras.Sequential([keras.Input((8, 8, 1)), model])
    assert gflop(outer) == gflop(model)


def test_the_first_run_does_not_count() -> None:
    calls = []

    def enhance(depth: np.ndarray) -> np.ndarray:
        calls.append(1)
        return depth

    assert milliseconds(enhance, np.zeros((4, 4), np.uint16), runs=3) >= 0
    assert len(calls) == 4


def test_remarks_on_time() -> None:
    times = {"De-M2": 0.30, "De-M3": 0.32, "De-M4": 0.11, "Hf-L": 0.18, "Sp-HfU": 0.6}
    assert [verdict.holds for verdict in time_verdicts(times)] == [True, True]
    assert [verdict.holds for verdict in time_verdicts({**times, "De-M4": 0.4, "Hf-L": 0.7})] == [False, False]


def test_every_enhancer_has_its_costs() -> None:
    rows = {row["enhancer"]: row for row in cost_rows(np.full((256, 256), 20_000, np.uint16), runs=1)}
    assert rows["DL-Beta"]["parameters"] == 13_746_881
    assert rows["DL-Delta-4"]["parameters"] == 4_175_713
    assert rows["DL-Delta-1"]["gflop"] < rows["DL-Alpha"]["gflop"] < rows["DL-Gamma"]["gflop"]
    assert rows["DDRNet-dn"]["gflop"] > 0
    assert rows["Telea"]["gflop"] is None
    assert rows["None"]["frame_ms"] is not None
    assert [f"De-M{magnitude}" in rows for magnitude in range(2, 9)] == [True] * 7
