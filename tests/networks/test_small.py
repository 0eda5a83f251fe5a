"""The small network: its cost, its guess at holes, its blocks, and how it computes under mixed precision."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation.costs import gflop
from facedepth_kit.networks.build import build_network, sizes
from facedepth_kit.networks.small import SmallSize, build_small, enlarge, prefill, shuffle, unshuffle

TINY = SmallSize((2, 2), convolutions=1)


def test_a_sixth_of_the_work_of_delta() -> None:
    model = build_network("DL-Small", head_channels=2)
    assert model.output_shape == (None, 256, 256, 2)
    assert 1e6 < model.count_params() < 2e6
    assert gflop(model) < min(1.0, gflop(build_network("DL-Delta")) / 6)
    assert "DL-Small" in sizes()


def test_bad_sizes_are_refused() -> None:
    with pytest.raises(KitError, match="expected one of DL-Alpha, DL-Beta, DL-Gamma, DL-Delta, DL-Small"):
        build_network("DL-Kit-2")
    with pytest.raises(KitError, match="side: found 100"):
        build_small(TINY, side=100)


def blocks_of(image: np.ndarray[Any, np.dtype[np.float32]]) -> Any:
    return unshuffle(keras.ops.convert_to_tensor(image), image.shape[1])


def test_the_guess_goes_on_smoothly_where_nothing_was_measured() -> None:
    plane = np.broadcast_to(np.linspace(0.2, 0.6, 256, dtype=np.float32)[None, :, None], (1, 256, 256, 1))
    mask = np.ones_like(plane)
    mask[:, 64:160, 64:160] = 0
    guess = np.asarray(prefill(blocks_of(plane), blocks_of(mask), 4))
    assert guess.shape == (1, 64, 64, 1)
    means = plane.reshape(1, 64, 4, 64, 4, 1).mean(axis=(2, 4))
    assert np.abs(guess - means).max() < 0.12
    assert np.abs(guess - means)[:, :15, :15].max() < 0.005
    empty = np.asarray(prefill(blocks_of(plane), blocks_of(np.zeros_like(plane)), 4))
    np.testing.assert_allclose(empty, 0.5, atol=1e-6)


def test_the_guess_is_enlarged_as_bilinear_interpolation_does() -> None:
    guess = np.random.default_rng(0).random((2, 8, 8, 1), dtype=np.float32)
    expected = keras.layers.UpSampling2D(4, interpolation="bilinear")(guess)
    np.testing.assert_allclose(np.asarray(shuffle(enlarge(guess), 32)), np.asarray(expected), atol=1e-6)


def test_blocks_and_back() -> None:
    image = np.random.default_rng(0).random((2, 16, 16, 1), dtype=np.float32)
    blocks = unshuffle(keras.ops.convert_to_tensor(image), 16)
    assert tuple(blocks.shape) == (2, 4, 4, 16)
    np.testing.assert_array_equal(np.asarray(blocks)[0, 1, 2].reshape(4, 4), image[0, 4:8, 8:12, 0])
    np.testing.assert_array_equal(np.asarray(shuffle(blocks, 16)), image)


def test_holes_tell_nothing_but_where_they_are() -> None:
    keras.utils.set_random_seed(0)
    model = build_small(TINY)
    depth = np.random.default_rng(0).uniform(0.2, 0.8, (1, 256, 256, 1)).astype(np.float32)
    depth[:, 100:150] = 1
    result = np.asarray(model(depth))
    assert result.shape == (1, 256, 256, 2)
    assert np.isfinite(result).all()
    assert np.isfinite(np.asarray(model(np.ones_like(depth)))).all()


def test_guess_and_head_stay_float32_under_mixed_precision() -> None:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        keras.utils.set_random_seed(0)
        mixed = build_small(TINY)
    finally:
        keras.config.set_dtype_policy(before)
    assert mixed.get_layer("down1_conv1").compute_dtype == "bfloat16"
    assert mixed.output.dtype == "float32"
    exact = build_small(TINY)
    exact.set_weights(mixed.get_weights())
    depth = np.random.default_rng(0).uniform(0.2, 0.8, (1, 256, 256, 1)).astype(np.float32)
    given = np.abs(np.asarray(mixed(depth)) - np.asarray(exact(depth)))[..., 0]
    assert given.max() < 0.01  # 16-bit depth itself would be off by up to 0.004, everywhere
    assert np.median(given) < 0.001
