"""Weights in files: what each storage keeps, and foreign files; the shipped weights are small and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import PACKAGE
from facedepth_kit.networks.cards import ModelCard, check_weights
from facedepth_kit.networks.ddrnet import build_ddrnet
from facedepth_kit.networks.unet import NetworkSize, build_unet
from facedepth_kit.networks.weights import SMALL, load_weights, read_arrays, save_weights
from facedepth_kit.pairs.recipes import PAPERS

CARDS = sorted((PACKAGE / "weights").glob("*.json"))


@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_what_a_file_keeps(storage: str, tmp_path: Path) -> None:
    model = build_ddrnet()
    before = model.get_weights()
    save_weights(model, tmp_path / "a.safetensors", storage=storage)  # type: ignore[arg-type]
    arrays, about = read_arrays(tmp_path / "a.safetensors")
    assert about["storage"] == storage
    again = build_ddrnet()
    load_weights(again, tmp_path / "a.safetensors")
    for one, other in zip(before, again.get_weights(), strict=True):
        step = {"float32": 0.0, "float16": 2.0**-11, "int8": 0.5 / 127}[storage]
        assert np.abs(one - other).max() <= 1.001 * step * np.abs(one).max()
    kinds = {array.dtype.name for array in arrays.values()}
    assert kinds == {"float32": {"float32"}, "float16": {"float16"}, "int8": {"int8", "float16", "float32"}}[storage]
    if storage == "int8":
        assert all(array.size >= SMALL for array in arrays.values() if array.dtype == np.int8)


def test_the_largest_kernels_take_six_bits_a_value(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((4, 4, 128)), keras.layers.Conv2D(353, 3)])  # 406,656 weights
    before = model.get_weights()
    save_weights(model, tmp_path / "a.safetensors", storage="int8")
    assert (tmp_path / "a.safetensors").stat().st_size < 0.76 * before[0].size
    again = keras.models.clone_model(model)
    load_weights(again, tmp_path / "a.safetensors")
    off = np.abs(again.get_weights()[0] - before[0]).max(axis=(0, 1, 2))
    assert (off <= 0.501 / 31 * np.abs(before[0]).max(axis=(0, 1, 2))).all()


def test_a_transposed_kernels_scales_are_those_of_its_output_channels(tmp_path: Path) -> None:
    model = build_ddrnet()
    kernel, bias = model.get_layer("cnv_up0").get_weights()
    kernel[:, :, 0] *= 1000  # one output channel is far larger than the others
    model.get_layer("cnv_up0").set_weights([kernel, bias])
    save_weights(model, tmp_path / "a.safetensors", storage="int8")
    again = build_ddrnet()
    load_weights(again, tmp_path / "a.safetensors")
    off = np.abs(again.get_layer("cnv_up0").get_weights()[0] - kernel)
    assert off[:, :, 1:].max() < 0.01 * np.abs(kernel[:, :, 1:]).max()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_weights(build_unet(NetworkSize((2, 2), bottom_filters=2)), tmp_path / "a.safetensors")
    for wrong in (NetworkSize((2, 4), bottom_filters=2), NetworkSize((2,), bottom_filters=2)):
        with pytest.raises(KitError, match=r"a\.safetensors: found no weights for U-Net"):
            load_weights(build_unet(wrong), tmp_path / "a.safetensors")


def test_the_shipped_weights_are_those_of_their_cards_and_60_mb_at_most() -> None:
    assert CARDS
    sizes = [check_weights(card)[1].stat().st_size for card in CARDS]
    assert sum(sizes) <= 60e6
    assert {path.suffix for path in (PACKAGE / "weights").iterdir()} <= {".json", ".safetensors"}
    for card in map(ModelCard.read, CARDS):
        if card.name in PAPERS:  # what storing fewer bits costs, as a share of the face RMSE
            assert card.measured["storage_cost"] < 0.005
            assert card.fraction == ModelCard.read(CARDS[0].with_name("DL-Delta-1.json")).fraction
        assert card.machine
        assert card.loss_by_epoch
        assert card.recipe
