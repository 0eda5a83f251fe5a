"""DDRNet-dn: official names and shapes, its forward pass computed a second way, foreign checkpoints, the enhancer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthRange
from facedepth_kit.enhancers import available, ddrnet, get, stand_in
from facedepth_kit.networks.ddrnet import build_ddrnet, denormalise, normalise, official_variables
from facedepth_kit.networks.weights import checkpoint_files, load_tensorflow_checkpoint

Array = npt.NDArray[np.float32]

# The specification's layers: kernel (rows, columns, in, out), or (rows, columns, out, in) where it is transposed.
KERNELS = {
    "cnv0": (3, 3, 1, 32),
    "cnv_down0": (3, 3, 32, 64),
    "cnv_down1": (3, 3, 64, 128),
    "res0/conv1": (3, 3, 128, 128),
    "res0/conv2": (3, 3, 128, 128),
    "res1/conv1": (3, 3, 128, 128),
    "res1/conv2": (3, 3, 128, 128),
    "cnv_up0": (3, 3, 64, 256),
    "cnv_up1": (3, 3, 32, 128),
    "cnv_final": (3, 3, 64, 1),
}


def random_variables(seed: int = 0) -> dict[str, Array]:
    """Random values under the published names, of a size that keeps signals alive."""
    rng = np.random.default_rng(seed)
    values: dict[str, Array] = {}
    for name, shape in KERNELS.items():
        inputs = 9 * (shape[3] if "up" in name else shape[2])
        filters = shape[2] if "up" in name else shape[3]
        values[f"dn_net/{name}/weights"] = rng.normal(0, (1.5 / inputs) ** 0.5, shape).astype(np.float32)
        values[f"dn_net/{name}/biases"] = rng.normal(0, 0.05, filters).astype(np.float32)
    return values


def write_checkpoint(prefix: Path, values: dict[str, Any]) -> Path:
    """A checkpoint as TensorFlow's Saver writes it, with the other things that lie in the published one."""
    import tensorflow as tf

    values = values | {
        "Optimizer/beta1_power": np.float32(0.5),
        "Optimizer/dn_net/cnv0/weights/Adam": np.zeros((3, 3, 1, 32), np.float32),
        "dt_net/out/weights": np.zeros((1, 1, 4, 1), np.float32),
        "global_step": np.int32(6000),
    }
    prefix.parent.mkdir(parents=True, exist_ok=True)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(value) for value in values.values()],
    )
    return prefix


def plain_forward(x: Array, values: dict[str, Array]) -> Array:
    """The specification's table, line by line, in plain TensorFlow operations; (n, h, w, 1) to the same."""
    import tensorflow as tf

    def weights(name: str) -> tuple[Array, Array]:
        return values[f"dn_net/{name}/weights"], values[f"dn_net/{name}/biases"]

    def convolve(x: Any, name: str, stride: int = 1) -> Any:
        kernel, bias = weights(name)
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "SAME"), bias)

    def transposed(x: Any, name: str) -> Any:
        kernel, bias = weights(name)
        n, height, width, _ = x.shape
        size = (n, 2 * height, 2 * width, kernel.shape[2])
        return tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d_transpose(x, kernel, size, 2, "SAME"), bias))

    cnv0 = tf.nn.relu(convolve(x, "cnv0"))
    down0 = tf.nn.relu(convolve(cnv0, "cnv_down0", 2))
    down1 = tf.nn.relu(convolve(down0, "cnv_down1", 2))
    res = down1
    for block in ("res0", "res1"):
        res = res + convolve(tf.nn.relu(convolve(tf.nn.relu(res), f"{block}/conv1")), f"{block}/conv2")
    up0 = transposed(tf.concat([down1, res], 3), "cnv_up0")
    up1 = transposed(tf.concat([down0, up0], 3), "cnv_up1")
    final = tf.tanh(convolve(tf.concat([cnv0, up1], 3), "cnv_final"))
    return np.asarray(tf.clip_by_value(x + final, -1.0, 1.0))


def plain_denoised(depth_mm: Array, values: dict[str, Array]) -> Array:
    """The evaluation around the network, from the specification: one frame in millimetres, 0 = hole, to the same."""
    unit = (np.clip(depth_mm, 500, 2000) - 500) / 750 - 1
    unit[depth_mm == 0] = -1
    mirrored = np.concatenate([unit[:, 7::-1], unit, unit[:, :-9:-1]], axis=1)
    mirrored = np.concatenate([mirrored[7::-1], mirrored, mirrored[:-9:-1]], axis=0)
    y = plain_forward(mirrored[None, ..., None].astype(np.float32), values)[0, 8:-8, 8:-8, 0]
    return ((y + 1) * 750 + 500) * (depth_mm > 0)


def frame(seed: int, shape: tuple[int, int] = (64, 96)) -> Array:
    """Millimetres with holes (0), partly beyond both ends of the network's range."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    depth = 450 + 12.0 * rows + 10.0 * columns + rng.normal(0, 4, shape)
    depth[rng.random(shape) < 0.1] = 0
    return np.rint(depth).astype(np.float32)


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of random values where the kit looks for the published one; its prefix."""
    monkeypatch.setenv("FACEDEPTH_DDRNET", str(tmp_path))
    return write_checkpoint(tmp_path / "log" / "noBN_L1_sd100_B16-6000", random_variables())


def test_official_names_and_shapes() -> None:
    found = official_variables(build_ddrnet())
    expected = {name: value.shape for name, value in random_variables().items()}
    assert {name: tuple(variable.shape) for name, variable in found.items()} == expected
    assert len(found) == 20
    assert sum(int(np.prod(variable.shape)) for variable in found.values()) == 868_001


def test_keras_and_plain_tensorflow_agree(official: Path) -> None:
    model = build_ddrnet()
    load_tensorflow_checkpoint(official, official_variables(model), "DDRNet")
    x = np.random.default_rng(1).uniform(-1, 1, (2, 48, 64, 1)).astype(np.float32)
    plain = plain_forward(x, random_variables())
    assert 0.05 < np.abs(plain - x).mean() < 0.9  # the network does something, and is not stuck at the clip
    np.testing.assert_allclose(np.asarray(model(x)), plain, atol=2e-5)


def test_the_evaluation_around_it_agrees(official: Path) -> None:
    depth = frame(2)
    expected = plain_denoised(depth, random_variables())
    run = ddrnet.load_denoiser()
    assert run.source == official
    denoised = run(np.where(depth > 0, depth, np.nan))
    np.testing.assert_array_equal(np.isnan(denoised), depth == 0)
    seen = depth > 0
    off = expected[seen] - denoised[seen]  # the authors store whole millimetres, cut off
    assert off.min() > -0.05
    assert off.max() < 1.05
    assert (denoised[seen] == np.floor(denoised[seen])).all()


def test_frames_of_any_size(official: Path) -> None:
    run = ddrnet.load_denoiser(official)
    depth = frame(3, (50, 71))
    denoised = run(np.where(depth > 0, depth, np.nan))
    assert denoised.shape == (50, 71)
    stack = np.stack([np.where(depth > 0, depth, np.nan)] * 6)
    np.testing.assert_allclose(run(stack)[5], denoised, atol=1)


def test_normalisation_by_hand() -> None:
    unit = normalise(np.array([[500, 1250, 2000], [100, 3000, np.nan]]))
    np.testing.assert_allclose(unit, [[-1, 0, 1], [-1, 1, -1]])
    np.testing.assert_allclose(denormalise(np.array([-1, 0.5, 1], np.float32)), [500, 1625, 2000])


def refusal(prefix: Path) -> str:
    with pytest.raises(KitError) as caught:
        load_tensorflow_checkpoint(prefix, official_variables(build_ddrnet()), "DDRNet")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_foreign_checkpoints_are_refused_with_the_reason(tmp_path: Path) -> None:
    sound = random_variables()
    lacking = {name: value for name, value in sound.items() if name != "dn_net/res1/conv2/biases"}
    assert "dn_net/res1/conv2/biases" in refusal(write_checkpoint(tmp_path / "lacking", lacking))
    wide = sound | {"dn_net/cnv0/weights": np.zeros((5, 5, 1, 32), np.float32)}
    message = refusal(write_checkpoint(tmp_path / "wide", wide))
    assert "(5, 5, 1, 32)" in message
    assert "(3, 3, 1, 32)" in message
    half = sound | {"dn_net/cnv_final/biases": np.zeros(1, np.float16)}
    assert "float16" in refusal(write_checkpoint(tmp_path / "half", half))
    broken = sound | {"dn_net/cnv_up0/biases": np.full(64, np.nan, np.float32)}
    assert "finite" in refusal(write_checkpoint(tmp_path / "broken", broken))
    assert "no such file" in refusal(tmp_path / "absent")


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, flip_a_byte, empty, Path.unlink])
@pytest.mark.parametrize("part", [0, 1])
def test_damaged_files_are_refused(tmp_path: Path, damage: Callable[[Path], None], part: int) -> None:
    prefix = write_checkpoint(tmp_path / "damaged", random_variables())
    file = checkpoint_files(prefix)[part]
    damage(file)
    assert file.name in refusal(prefix)


def test_where_the_checkpoint_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEDEPTH_DDRNET", raising=False)
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path))
    assert ddrnet.find_checkpoint() is None
    assert ddrnet.checkpoint_state() == ""
    other = tmp_path / "DDRNet" / "zz-9000"
    for prefix in (other, tmp_path / "DDRNet" / "log" / "noBN_L1_sd100_B16-6000"):
        prefix.parent.mkdir(parents=True, exist_ok=True)
        checkpoint_files(prefix)[0].touch()
    assert ddrnet.find_checkpoint() == tmp_path / "DDRNet" / "log" / "noBN_L1_sd100_B16-6000"
    assert ddrnet.find_checkpoint(other) == other
    assert str(other.parent / "log") in ddrnet.checkpoint_state()
    monkeypatch.setenv("FACEDEPTH_DDRNET", str(other))
    assert ddrnet.find_checkpoint() == other
    with pytest.raises(KitError, match="expected DDRNet's checkpoint"):
        ddrnet.load_denoiser(tmp_path / "nowhere")


def test_the_row_says_which_weights_run(official: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert get("DDRNet-dn").note == stand_in("DDRNet-dn") == ""
    assert "DDRNet-dn" in available()
    monkeypatch.setenv("FACEDEPTH_DDRNET", str(tmp_path / "elsewhere"))
    assert "stand-in" in stand_in("DDRNet-dn")
    assert "not comparable" in get("DDRNet-dn").note
    assert "stand-in" in get("DDRNet-dn").description
    assert get("DL-Delta-1").note == stand_in("Telea") == ""
    assert official.parent.is_dir()


@pytest.mark.usefixtures("official")
def test_a_damaged_checkpoint_is_not_passed_over_for_the_stand_in(official: Path) -> None:
    cut_short(checkpoint_files(official)[1])
    with pytest.raises(KitError, match="truncated or damaged"):
        get("DDRNet-dn").enhance(np.zeros((256, 256), np.uint16))


def degraded(seed: int = 0) -> npt.NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:256, :256]
    depth = (8000 + 90 * rows + 60 * columns + rng.integers(0, 900, (256, 256))).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.1] = HOLE
    return depth


def test_the_enhancer_is_the_network_at_one_metre(official: Path) -> None:
    depth = degraded()
    before = depth.copy()
    enhanced = get("DDRNet-dn").enhance(depth)
    np.testing.assert_array_equal(depth, before)
    millimetres = np.where(depth == HOLE, 0, 1000 + depth.astype(np.float64) * 250 / 65534).astype(np.float32)
    expected = (np.floor(plain_denoised(millimetres, random_variables())) - 1000) * 65534 / 250
    inside = (depth != HOLE) & (expected > 0) & (expected < 65000)
    assert inside.mean() > 0.05
    assert (np.abs(enhanced[inside] - expected[inside]) <= 263).all()  # a millimetre, where rounding falls otherwise
    assert (enhanced[depth == HOLE] == HOLE).all()
    assert (enhanced[(depth != HOLE) & (expected < -300)] == 0).all()
    assert (enhanced[expected > 65900] == HOLE).all()
    assert official.parent.is_dir()


def shifting(shift_mm: float) -> ddrnet.Denoiser:
    """A denoiser that moves everything by some millimetres."""
    return ddrnet.Denoiser(None, lambda unit: unit + np.float32(shift_mm / 750))


@pytest.mark.parametrize("placement", [DepthRange(1000, 250), DepthRange(700, 120)])
def test_what_leaves_the_span_is_clipped_near_and_a_hole_far(placement: DepthRange) -> None:
    depth = degraded()
    depth[0, 0], depth[0, 1], depth[0, 2] = 0, 65534, HOLE
    step = 65534 / placement.span_mm
    farther = ddrnet.ddrnet_enhancer(placement, shifting(20.5))(depth)
    assert abs(farther[0, 0] - 20 * step) < 1  # whole millimetres, cut off
    assert farther[0, 1] == HOLE
    assert farther[0, 2] == HOLE
    nearer = ddrnet.ddrnet_enhancer(placement, shifting(-30.5))(depth)
    assert nearer[0, 0] == 0
    assert abs(nearer[0, 1] - (placement.span_mm - 31) * step) < 1
    assert nearer[0, 2] == HOLE


def test_an_untrained_network_hands_its_input_on() -> None:
    model = build_ddrnet()
    x = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 1)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(model(x)), x)


def test_a_stand_in_of_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path)
    monkeypatch.setenv("FACEDEPTH_DDRNET", str(tmp_path / "none"))
    with pytest.raises(KitError, match="no such file"):
        ddrnet.load_denoiser()
    (tmp_path / "DDRNet-dn.safetensors").write_bytes(b"x")
    card = {"name": "DDRNet-dn", "size": "DDRNet-dn", "sha256": "0" * 64}
    (tmp_path / "DDRNet-dn.json").write_text(json.dumps(card))
    with pytest.raises(KitError, match="SHA-256"):
        ddrnet.load_denoiser()
    (tmp_path / "DDRNet-dn.json").write_text("[]")
    with pytest.raises(KitError, match="model card"):
        ddrnet.load_denoiser()
