"""DDD and DRR: published names and shapes, forward passes computed a second time in numpy, rows of Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation.denoising import DenoisingFrame, not_run, published_networks, table_1_verdicts
from facedepth_kit.networks.ddd import build_ddd
from facedepth_kit.networks.drr import build_drr
from facedepth_kit.networks.published import PUBLISHED_NETWORKS
from facedepth_kit.networks.torch_files import torch_names
from tests.networks.torch_writing import Tensor, legacy_file, network, zip_file

Array = npt.NDArray[Any]

# The published kernels as PyTorch keeps them: (out, in, side), of transposed ones (in, out, side).
DDD = {
    "encoder_conv1_1.conv": (8, 1, 7),
    "encoder_conv1_2.conv": (16, 8, 5),
    "encoder_conv2_1.conv": (32, 16, 3),
    "encoder_conv2_2.conv": (32, 32, 3),
    "encoder_conv2_3.conv": (32, 32, 3),
    "encoder_conv3_1.conv": (64, 32, 3),
    "encoder_conv3_2.conv": (64, 64, 3),
    "encoder_conv3_3.conv": (64, 64, 3),
    "encoder_conv4.conv": (64, 64, 3),
    "encoder_resblock1.conv1": (64, 64, 3),
    "encoder_resblock1.conv2": (64, 64, 3),
    "encoder_resblock2.conv1": (64, 64, 3),
    "encoder_resblock2.conv2": (64, 64, 3),
    "decoder_deconv4.conv": (64, 64, 3),
    "decoder_conv_id_3.0": (64, 128, 1),
    "decoder_deconv3_3.conv": (64, 64, 3),
    "decoder_deconv3_2.conv": (64, 64, 3),
    "decoder_deconv3_1.conv": (32, 64, 3),
    "decoder_conv_id_2.0": (32, 64, 1),
    "decoder_deconv2_3.conv": (32, 32, 3),
    "decoder_deconv2_2.conv": (32, 32, 3),
    "decoder_deconv2_1.conv": (16, 32, 3),
    "decoder_conv_id_1.0": (16, 32, 1),
    "decoder_deconv1_2.conv": (8, 16, 3),
    "decoder_deconv1_1.conv": (1, 8, 3),
}
HALF, QUARTER = "HalfNet.", "HalfNet.QuarterNet."
BLOCKS = {
    f"{QUARTER}en_feature_original": 10,
    f"{QUARTER}en_feature_half": 10,
    f"{QUARTER}en_feature_quarter": 10,
    f"{HALF}de_feature_half": 20,
    "de_feature_original": 40,
}
DRR = {
    f"{QUARTER}conv_input": (64, 2, 7),
    f"{QUARTER}en_downsample_half.0.down_block.0": (64, 64, 4),
    f"{QUARTER}en_downsample_quarter.0.down_block.0": (64, 64, 4),
    f"{QUARTER}conv_R_quarter": (1, 64, 3),
    f"{HALF}de_upsample_half.0.cov_block.0": (64, 64, 4),
    f"{HALF}conv_R_half": (1, 64, 3),
    "de_upsample_original.0.cov_block.0": (64, 64, 4),
    "conv_R_original": (1, 64, 3),
    "upsample_img_original": (1, 1, 4),
    **{f"{block}.0.cov_block.{2 * i}": (64, 64, 3) for block, count in BLOCKS.items() for i in range(count)},
}


def kernels(names: dict[str, tuple[int, int, int]], gain: float) -> dict[str, Array]:
    """Random kernels under the published names, of a size that keeps signals alive."""
    rng = np.random.default_rng(0)
    found = {}
    for name, (one, other, side) in names.items():
        inputs = other * side**2
        values = rng.normal(0, (gain / inputs) ** 0.5, (one, other, side, side))
        found[f"{name}.weight"] = values.astype(np.float32)
    return found


def depth_mm(shape: tuple[int, int], seed: int = 0) -> Array:
    """A slope with noise, holes and something beyond DDD's range."""
    rng = np.random.default_rng(seed)
    depth = 900 + 20.0 * np.arange(shape[0])[:, None] + rng.normal(0, 8, shape)
    depth[rng.random(shape) < 0.15] = np.nan
    depth[:5, :6] = np.nan
    depth[-1, -1] = 7000
    return depth.astype(np.float32)


# --- the second computation: numpy, channels first, as PyTorch's documentation defines the operations -----------------


def convolve(x: Array, kernel: Array, stride: int, pad: int) -> Array:
    rows, columns = kernel.shape[2:]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (rows, columns), axis=(1, 2))[:, ::stride, ::stride]
    return np.einsum("iyxrc,oirc->oyx", windows, kernel, optimize=True)


def transpose(x: Array, kernel: Array) -> Array:
    """A transposed convolution, 4 x 4 at stride 2, padding 1: every value leaves its kernel where it stands."""
    _, rows, columns = x.shape
    made = np.zeros((kernel.shape[1], 2 * rows + 2, 2 * columns + 2))
    for r in range(4):
        for c in range(4):
            made[:, r : r + 2 * rows : 2, c : c + 2 * columns : 2] += np.einsum("iyx,io->oyx", x, kernel[:, :, r, c])
    return made[:, 1:-1, 1:-1]


def plain_ddd(metres: Array, values: dict[str, Array]) -> Array:
    """DDD line by line; (rows, columns) to the same."""

    def partial(x: Array, mask: Array, name: str, stride: int = 1) -> tuple[Array, Array]:
        kernel = values[f"{name}.weight"]
        side = kernel.shape[2]
        seen = convolve(mask, np.ones((1, 1, side, side)), stride, side // 2)
        shares = side**2 / (seen + 1e-8) * np.clip(seen, 0, 1)
        return convolve(x * mask, kernel, stride, side // 2) * shares, np.clip(seen, 0, 1)

    def elu(x: Array) -> Array:
        return np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1)

    def block(x: Array, mask: Array, name: str, stride: int = 1) -> tuple[Array, Array]:
        x, mask = partial(x, mask, f"{name}.conv", stride)
        return elu(x), mask

    def twice(x: Array) -> Array:
        return np.kron(x, np.ones((1, 2, 2)))

    mask = ((metres > 0.1) & (metres < 6.5)).astype(float)[None]
    x, m = block(metres[None], mask, "encoder_conv1_1")
    e1, m = block(x, m, "encoder_conv1_2")
    x, m = block(e1, m, "encoder_conv2_1", 2)
    x, m = block(x, m, "encoder_conv2_2")
    e2, m = block(x, m, "encoder_conv2_3")
    x, m = block(e2, m, "encoder_conv3_1", 2)
    x, m = block(x, m, "encoder_conv3_2")
    e3, m = block(x, m, "encoder_conv3_3")
    x, m = block(e3, m, "encoder_conv4", 2)
    for name in ("encoder_resblock1", "encoder_resblock2"):
        y, m = partial(elu(x), m, f"{name}.conv1")
        y, m = partial(elu(y), m, f"{name}.conv2")
        x = x + y
    for level, earlier, up, more in (
        (3, e3, "decoder_deconv4", ("decoder_deconv3_3", "decoder_deconv3_2")),
        (2, e2, "decoder_deconv3_1", ("decoder_deconv2_3", "decoder_deconv2_2")),
        (1, e1, "decoder_deconv2_1", ("decoder_deconv1_2",)),
    ):
        x, m = block(twice(x), twice(m), up)
        x = elu(convolve(np.concatenate([x, earlier]), values[f"decoder_conv_id_{level}.0.weight"], 1, 0))
        for name in more:
            x, m = block(x, m, name)
    return partial(x, m, "decoder_deconv1_1.conv")[0][0]


def plain_drr(metres: Array, values: dict[str, Array]) -> Array:
    """DRR line by line; (rows, columns) to the same."""

    def weight(name: str) -> Array:
        return values[f"{name}.weight"]

    def leaky(x: Array) -> Array:
        return np.where(x > 0, x, 0.2 * x)

    def residual(x: Array, name: str) -> Array:
        y = x
        for i in range(BLOCKS[name]):
            y = convolve(leaky(y) if i else y, weight(f"{name}.0.cov_block.{2 * i}"), 1, 1)
        return x + y

    def down(x: Array, name: str) -> Array:
        return leaky(convolve(x, weight(f"{QUARTER}{name}.0.down_block.0"), 2, 1))

    def up(x: Array, name: str) -> Array:
        return leaky(transpose(x, weight(f"{name}.0.cov_block.0")))

    def between(line: Array, at: Array) -> Array:
        return np.interp(at, np.arange(len(line)), line)

    rows, columns = metres.shape
    small = np.asarray(Image.fromarray(metres).resize((columns // 4, rows // 4), Image.Resampling.NEAREST))
    x = leaky(convolve(np.stack([metres, metres == 0]), weight(f"{QUARTER}conv_input"), 1, 3))
    full = residual(x, f"{QUARTER}en_feature_original")
    half = residual(down(full, "en_downsample_half"), f"{QUARTER}en_feature_half")
    quarter = residual(down(half, "en_downsample_quarter"), f"{QUARTER}en_feature_quarter")
    refined = small[None] + convolve(quarter, weight(f"{QUARTER}conv_R_quarter"), 1, 1)
    x = residual(up(quarter, f"{HALF}de_upsample_half") + half, f"{HALF}de_feature_half")
    for axis, length in ((1, rows // 4), (2, columns // 4)):  # between pixel centres, the border's value beyond them
        at = (np.arange(2 * length) + 0.5) / 2 - 0.5
        refined = np.apply_along_axis(between, axis, refined, at)
    refined = refined + convolve(x, weight(f"{HALF}conv_R_half"), 1, 1)
    x = residual(up(x, "de_upsample_original") + full, "de_feature_original")
    refined = transpose(refined, weight("upsample_img_original")) + convolve(x, weight("conv_R_original"), 1, 1)
    return refined[0]


# --- tests ------------------------------------------------------------------------------------------------------------

NETWORKS: dict[str, Any] = {
    "DDD": (build_ddd, kernels(DDD, 1.5), plain_ddd, 467_152),
    "DRR": (build_drr, kernels(DRR, 1.0), plain_drr, 3_587_920),
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights where the published ones belong, DDD's by name, DRR's as a whole network of before 1.6."""
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path))
    named = {name: Tensor(values) for name, values in NETWORKS["DDD"][1].items()}
    zip_file(tmp_path / "DDD" / "ddd", {"epoch": 1, "model_state_dict": named, "optimizer_state_dict": {}})
    whole = network(NETWORKS["DRR"][1])
    legacy_file(tmp_path / "DRR" / "model_epoch_99.pth", {"epoch": 99, "model": whole})
    return tmp_path


@pytest.mark.parametrize("name", NETWORKS)
def test_published_names_and_shapes(name: str) -> None:
    build, values, _, count = NETWORKS[name]
    found = torch_names(build())
    shapes = {one: tuple(variable.shape[axis] for axis in (3, 2, 0, 1)) for one, variable in found.items()}
    assert shapes == {one: array.shape for one, array in values.items()}
    assert sum(array.size for array in values.values()) == count
    assert len(shapes) == {"DDD": 25, "DRR": 99}[name]


@pytest.mark.usefixtures("weights")
def test_the_rows_run_and_agree_with_plain_numpy() -> None:
    assert not_run() == {}
    methods = published_networks()
    depth = depth_mm((24, 36))
    depth = np.pad(depth, ((0, 0), (0, 1)), constant_values=np.nan)[:, :35]  # a side that is no multiple of anything
    whole = np.ones(depth.shape, bool)
    frame = DenoisingFrame(depth, np.zeros((*depth.shape, 3), np.uint8), whole, depth)
    for name, (_, values, plain, _) in NETWORKS.items():
        metres = np.pad(np.nan_to_num(depth) / np.float32(1000), ((0, 0), (0, 5 if name == "DDD" else 1)))
        expected = plain(metres, values)[:, :35]
        before = depth.copy()
        made = methods[name](frame)
        np.testing.assert_array_equal(frame.depth_mm, before)
        assert made.dtype == np.float32
        if name == "DDD":
            measured = (metres[:, :35] > 0.1) & (metres[:, :35] < 6.5)
            np.testing.assert_array_equal(np.isfinite(made), measured)
        else:
            measured = whole
            expected = cv2.medianBlur(expected.astype(np.float32), 3)
        assert np.std(expected[measured]) > 0.01
        off = 1000 * expected[measured] - made[measured]  # whole millimetres, cut off
        slack = 1e-4 * np.abs(1000 * expected[measured]).max()
        assert off.min() > -slack
        assert off.max() < 1 + slack


def test_without_weights_the_rows_say_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path))
    assert published_networks() == {}
    reasons = not_run()
    assert "fetch ddd from the releases of github.com/VCL3D/DeepDepthDenoising" in reasons["DDD"]
    assert "into the data folder as DRR/model_epoch_99.pth" in reasons["DRR"]
    rows = [{"method": "Raw", "mae_mm": 57.0}, {"method": "DDD", "mae_mm": float("nan")}]
    (verdict,) = [one for one in table_1_verdicts(rows) if one.claim.row == "DDD"]
    assert verdict.claim.reason == reasons["DDD"]
    with pytest.raises(KitError, match="expected DDD's weights: fetch ddd"):
        PUBLISHED_NETWORKS[0].load()


def test_damaged_weights_are_not_passed_over(weights: Path) -> None:
    path = weights / "DRR" / "model_epoch_99.pth"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(KitError, match="expected DRR's weights as PyTorch saves them"):
        published_networks()
