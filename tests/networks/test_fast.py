"""The small network in OpenVINO: as TensorFlow within bfloat16's precision, found by name, and never stale."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.enhancers.frames import recording_enhancer
from facedepth_kit.networks import fast
from facedepth_kit.networks.build import build_network
from facedepth_kit.networks.cards import ModelCard, write_network
from facedepth_kit.networks.forward import compiled_forward
from facedepth_kit.networks.small import SMALL_SIZES, SmallSize, build_small, parts
from facedepth_kit.pairs.store import SynthesisSettings, make_pair


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> keras.Model:
    """Random weights of a tiny network, under the name "mine"."""
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path))
    monkeypatch.setitem(SMALL_SIZES, "Tiny", SmallSize((4, 4), convolutions=1))
    return _write(tmp_path, seed=0)


def _write(folder: Path, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = build_small("Tiny")
    head = model.get_layer("head")
    head.set_weights([np.random.default_rng(seed).normal(0, 0.1, weights.shape) for weights in head.get_weights()])
    write_network(model, ModelCard("mine", "Tiny", "", head_channels=2), folder, overwrite=True)
    return model


def test_the_parts_make_the_whole(mine: keras.Model) -> None:
    images = np.random.default_rng(0).uniform(0.2, 0.8, (2, 256, 256, 1)).astype(np.float32)
    images[:, 50:90, 50:90] = 1
    part = parts(mine)
    seen, guess = part["before"](images)
    whole = np.asarray(part["after"]([part["core"](seen), guess]))
    np.testing.assert_allclose(whole, np.asarray(mine(images)), atol=1e-6)


WITH_OPENVINO = pytest.mark.skipif(not fast.installed(), reason='needs the extra "fast"')


@WITH_OPENVINO
def test_exported_and_used_by_name(mine: keras.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not fast.exported("mine")
    assert cli.main(["export", "mine", "--images", "2"]) == 0
    assert sys.modules.get("openvino_telemetry") is None  # nothing is reported, and nothing forks
    assert "mm" in capsys.readouterr().out
    assert fast.exported("mine")
    images = np.random.default_rng(0).uniform(0.2, 0.8, (3, 256, 256, 1)).astype(np.float32)
    exact, quick = compiled_forward(mine), fast.forward(fast.export_folder("mine"))
    assert fast.compare(exact, quick, images)["depth_error_max"] < 0.004
    np.testing.assert_array_equal(quick(images)[1:2], quick(images[1:2]))
    depth = make_pair(1, 0, SynthesisSettings()).degraded[0]
    ways = [recording_enhancer("mine", runs_fast=way)(depth).astype(int) for way in (False, True)]
    both = (ways[0] < 65535) & (ways[1] < 65535)  # these random weights doubt many pixels; rounding may decide
    assert np.abs(ways[0] - ways[1])[both].max() < 300  # of 65535: a millimetre of 25 cm
    with pytest.raises(KitError, match="--overwrite"):
        fast.export("mine", images)
    # Weights trained anew under the same name: the export is another network's now.
    _write(tmp_path, seed=1)
    assert not fast.exported("mine")


@WITH_OPENVINO
def test_what_cannot_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path))
    write_network(build_network("DL-Delta"), ModelCard("plain", "DL-Delta", ""), tmp_path)
    with pytest.raises(KitError, match="plain: found a network of size DL-Delta, expected one of DL-Small"):
        fast.export("plain", np.zeros((1, 256, 256, 1), np.float32))
