"""The networks of Table III, and enhancers from weights files, with random weights: sound, damaged and foreign ones."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, from_unit, holes, to_unit
from facedepth_kit.enhancers import available, get, offered
from facedepth_kit.networks.unet import SIZES, NetworkSize, build_unet
from facedepth_kit.networks.weights import load_weights, save_weights, sha256_of

TINY = NetworkSize((2, 2), bottom_filters=2)


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("DL-Alpha", 6_731_041), ("DL-Beta", 13_746_881), ("DL-Gamma", 11_593_825), ("DL-Delta", 4_175_713)],
)
def test_table_3(name: str, parameters: int) -> None:
    model = build_unet(name)
    assert sum(int(np.prod(weights.shape)) for weights in model.trainable_variables) == parameters
    assert model.count_params() == parameters
    assert model.output_shape == (None, 256, 256, 1)


def test_an_unknown_size() -> None:
    with pytest.raises(KitError, match="DL-Alpha, DL-Beta, DL-Gamma, DL-Delta"):
        build_unet("DL-Delta-1")


@pytest.mark.parametrize("channels", [1, 2])
def test_forward(channels: int) -> None:
    model = build_unet(TINY, head_channels=channels)
    result = np.asarray(model(np.zeros((3, 256, 256, 1), np.float32)))
    assert result.shape == (3, 256, 256, channels)
    assert result.dtype == np.float32


@pytest.mark.usefixtures("mixed_precision")
def test_the_head_stays_float32_under_mixed_precision() -> None:
    model = build_unet(TINY)
    assert model.get_layer("head").compute_dtype == "float32"
    assert model.get_layer("down1_conv1").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


def test_a_network_of_seven_halvings_sees_the_whole_image() -> None:
    # A hole in one corner must be able to matter in the other one: the way through the 2x2 bottom.
    model = build_unet(NetworkSize((2,) * 7, bottom_filters=2))
    for layer in model.layers:
        if layer.weights:  # positive weights, so that no ReLU cuts the way
            layer.set_weights([np.abs(weights) for weights in layer.get_weights()])
    flat = np.full((1, 256, 256, 1), 0.5, np.float32)
    dented = flat.copy()
    dented[0, :8, :8] = 1
    assert abs(float(np.asarray(model(dented) - model(flat))[0, -1, -1, 0])) > 0


def write_network(folder: Path, name: str, *, size: str = "Tiny", channels: int = 1, seed: int = 0, **card: Any) -> Any:
    """Random weights of a network and their model card, as training writes them; returns the network."""
    import keras

    keras.utils.set_random_seed(seed)
    model = build_unet(size, head_channels=channels)
    head = model.get_layer("head")
    kernel, bias = head.get_weights()
    # Depths around the middle of the range, and a validity that has both signs.
    head.set_weights([kernel * 0.05, np.array([0.5, 0.0][:channels], bias.dtype)])
    path = folder / f"{name}.safetensors"
    save_weights(model, path, overwrite=True)
    fields = {
        "name": name,
        "size": size,
        "head_channels": channels,
        "validity_threshold": 0.5,
        "sha256": sha256_of(path),
    }
    (folder / f"{name}.json").write_text(json.dumps(fields | card))
    return model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path)
    monkeypatch.setitem(SIZES, "Tiny", TINY)  # a size of our own, to be quick
    return tmp_path


def degraded() -> np.ndarray[Any, np.dtype[np.uint16]]:
    rng = np.random.default_rng(0)
    depth = rng.integers(0, 65535, (3, 256, 256)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.3] = HOLE
    return depth


def test_a_learned_enhancer_is_the_networks_forward_pass(folder: Path) -> None:
    model = write_network(folder, "DL-Delta-1", size="DL-Delta")
    assert [name for name in available() if name.startswith("DL-")] == ["DL-Delta-1"]
    depth = degraded()
    before = depth.copy()
    enhanced = get("DL-Delta-1").enhance(depth)
    expected = from_unit(np.asarray(model(to_unit(depth)[..., None]))[..., 0])
    assert enhanced.dtype == np.uint16
    assert enhanced.shape == depth.shape
    assert np.abs(enhanced.astype(int) - expected).max() <= 1
    np.testing.assert_array_equal(depth, before)


def test_a_stack_gives_what_its_images_give(folder: Path) -> None:
    write_network(folder, "DL-Delta-2")
    depth = degraded()
    enhance = get("DL-Delta-2").enhance
    single = np.stack([enhance(image) for image in depth])
    # Sums of float32 come in another order in a batch: a step or two of 65535.
    np.testing.assert_allclose(enhance(depth).astype(int), single.astype(int), atol=2)
    assert enhance(depth[:0]).shape == (0, 256, 256)


def change_card(folder: Path, name: str, **fields: Any) -> None:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_the_second_channel_decides_on_holes(folder: Path) -> None:
    model = write_network(folder, "DL-Kit-1", channels=2)
    depth = degraded()[0]
    raw = np.asarray(model(to_unit(depth)[None, ..., None]))[0].astype(np.float64)
    validity = 1 / (1 + np.exp(-raw[..., 1]))
    threshold = float(np.quantile(validity, 0.7))
    change_card(folder, "DL-Kit-1", validity_threshold=threshold)
    enhanced = get("DL-Kit-1").enhance(depth)
    sure = np.abs(validity - threshold) > 1e-6
    assert 0.1 < np.mean(sure & (validity > threshold)) < 0.4
    np.testing.assert_array_equal(~holes(enhanced)[sure], (validity > threshold)[sure])
    kept = ~holes(enhanced)
    assert np.abs(enhanced.astype(int) - from_unit(raw[..., 0]))[kept].max() <= 1


def test_a_valid_pixel_never_reads_as_a_hole(folder: Path) -> None:
    model = write_network(folder, "DL-Kit-1", channels=2, seed=1)
    kernel, _ = model.get_layer("head").get_weights()
    model.get_layer("head").set_weights([kernel * 0, np.array([2.0, 9.0])])  # beyond the far end, and surely valid
    path = folder / "DL-Kit-1.safetensors"
    save_weights(model, path, overwrite=True)
    change_card(folder, "DL-Kit-1", sha256=sha256_of(path))
    np.testing.assert_array_equal(get("DL-Kit-1").enhance(degraded()[0]), 65534)


@pytest.mark.usefixtures("mixed_precision")
def test_a_trainers_precision_does_not_reach_the_enhancer(folder: Path) -> None:
    import keras

    write_network(folder, "DL-Delta-3")
    coarse = get("DL-Delta-3").enhance(degraded()[0])
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    keras.config.set_dtype_policy("float32")
    model = build_unet("Tiny")
    load_weights(model, folder / "DL-Delta-3.safetensors")
    expected = from_unit(np.asarray(model(to_unit(degraded()[:1])[..., None]))[0, ..., 0])
    assert np.abs(coarse.astype(int) - expected).max() <= 1


def test_a_network_of_the_users_own_is_found_by_its_card(folder: Path) -> None:
    write_network(folder, "my-network")
    assert get("my-network").enhance(degraded()[0]).shape == (256, 256)


@pytest.fixture
def own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder beside the shipped one (``folder``)."""
    place = folder / "of my own"
    place.mkdir()
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(place))
    return place


def test_own_networks_are_offered_and_run_beside_the_shipped_ones(folder: Path, own: Path) -> None:
    write_network(folder, "DL-Delta-1")
    write_network(own, "my-network")
    write_network(own, "DL-Alpha")  # one of the paper's, which is not shipped, takes its row
    assert [name for name in available() if name.startswith(("DL-", "my-"))] == ["DL-Alpha", "DL-Delta-1"]
    assert offered() == [*available(), "my-network"]
    assert get("my-network").ours
    for name in ("DL-Delta-1", "my-network", "DL-Alpha"):
        assert get(name).enhance(degraded()[0]).shape == (256, 256)


def test_a_shipped_network_keeps_its_name(folder: Path, own: Path) -> None:
    write_network(folder, "DL-Delta-1", seed=0)
    shipped = get("DL-Delta-1").enhance(degraded()[0])
    write_network(own, "DL-Delta-1", seed=1)
    np.testing.assert_array_equal(get("DL-Delta-1").enhance(degraded()[0]), shipped)
    assert offered() == available()


def test_a_card_without_weights_is_no_network(own: Path) -> None:
    write_network(own, "half")
    (own / "half.safetensors").unlink()
    assert "half" not in offered()


def test_weights_trained_anew_are_read_again(folder: Path) -> None:
    write_network(folder, "DL-Delta-1", seed=0)
    first = get("DL-Delta-1").enhance(degraded()[0])
    write_network(folder, "DL-Delta-1", seed=1)
    assert not np.array_equal(get("DL-Delta-1").enhance(degraded()[0]), first)


def test_threads_share_one_network(folder: Path) -> None:
    write_network(folder, "DL-Delta-4")
    depth = degraded()
    results: dict[int, Any] = {}

    def work(index: int) -> None:
        results[index] = get("DL-Delta-4").enhance(depth[index % 3])

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [get("DL-Delta-4").enhance(image) for image in depth]
    assert len(results) == 4
    assert all(np.array_equal(result, expected[index % 3]) for index, result in results.items())


def refusal(name: str) -> str:
    """The one line that calling this enhancer is answered with."""
    with pytest.raises(KitError) as caught:
        get(name).enhance(degraded()[0])
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_missing_weights_are_named(folder: Path) -> None:
    assert "DL-Beta.json" in refusal("DL-Beta")
    write_network(folder, "DL-Delta-1")
    (folder / "DL-Delta-1.safetensors").unlink()
    assert "DL-Delta-1.safetensors" in refusal("DL-Delta-1")
    assert "facedepth train --recipe DL-Delta-1" in refusal("DL-Delta-1")
    assert "DL-Delta-1" not in available()


def test_weights_that_are_not_the_cards_are_refused(folder: Path) -> None:
    write_network(folder, "DL-Delta-1")
    path = folder / "DL-Delta-1.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    message = refusal("DL-Delta-1")
    assert "SHA-256" in message
    assert "facedepth train --recipe DL-Delta-1" in message
    assert "DL-Delta-1.safetensors" in message


def test_truncated_weights_are_refused_even_if_the_card_was_made_of_them(folder: Path) -> None:
    write_network(folder, "DL-Delta-1")
    path = folder / "DL-Delta-1.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "SHA-256" in refusal("DL-Delta-1")
    change_card(folder, "DL-Delta-1", sha256=sha256_of(path))
    assert "found no readable safetensors file" in refusal("DL-Delta-1")


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    write_network(folder, "DL-Alpha")
    change_card(folder, "DL-Alpha", size="DL-Delta")
    assert "DL-Alpha.safetensors" in refusal("DL-Alpha")


@pytest.mark.parametrize(
    "card",
    ["", "{", "[]", "{}", '{"name": "x", "size": "DL-Delta", "head_channels": "two", "sha256": "0"}'],
)
def test_damaged_model_cards_are_refused(folder: Path, card: str) -> None:
    (folder / "DL-Delta-1.safetensors").write_bytes(b"")
    (folder / "DL-Delta-1.json").write_text(card)
    assert "DL-Delta-1.json" in refusal("DL-Delta-1")


@pytest.mark.parametrize("field", [{"size": "DL-Omega"}, {"head_channels": 3}, {"validity_threshold": 1.5}])
def test_model_cards_that_make_no_sense_are_refused(folder: Path, field: dict[str, Any]) -> None:
    (folder / "DL-Delta-1.safetensors").write_bytes(b"")
    sound = {"name": "DL-Delta-1", "size": "DL-Delta", "head_channels": 1, "validity_threshold": 0.5, "sha256": "0"}
    (folder / "DL-Delta-1.json").write_text(json.dumps(sound | field))
    assert str(next(iter(field.values()))) in refusal("DL-Delta-1")
