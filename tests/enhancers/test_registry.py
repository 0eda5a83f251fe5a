"""The registry, and what every enhancer promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facedepth_kit import enhancers
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.enhancers import available, get, names, register

PAPERS = [
    *("None", "De-M2", "De-M8", "Hf-FFA", "Hf-NFA", "Hf-L", "Sp-Hf16", "Sp-HfU"),
    *("DL-Alpha", "DL-Beta", "DL-Gamma", "DL-Delta-1", "DL-Delta-2", "DL-Delta-3", "DL-Delta-4", "DDRNet-dn"),
]
OURS = ["Telea", "Navier-Stokes", "Telea+bilateral", "Navier-Stokes+bilateral", "DL-Kit-0", "DL-Kit-1", "DL-Kit-2"]
NOT_LEARNED = [name for name in PAPERS + OURS if not name.startswith("D")] + ["De-M2", "De-M8"]


@pytest.fixture(params=NOT_LEARNED)
def name(request: pytest.FixtureRequest) -> str:
    if request.param not in available():
        pytest.skip("the RealSense SDK has no package here")
    return str(request.param)


def degraded(seed: int) -> DepthImage:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:256, :256]
    depth = (20000 + 60 * rows + 40 * columns + rng.integers(0, 500, (256, 256))).astype(np.uint16)
    depth[(rows - 128) ** 2 + (columns - 120) ** 2 > 100**2] = HOLE
    depth[rng.random(depth.shape) < 0.1] = HOLE
    return depth


def test_names_are_the_papers_and_then_ours() -> None:
    assert names() == PAPERS + OURS
    assert [name for name in names() if get(name).ours] == OURS


def test_kinds() -> None:
    kinds = {name: get(name).kind for name in names()}
    assert kinds["None"] == "none"
    assert {kinds[name] for name in PAPERS[1:8]} == {"hand-crafted"}
    assert {kind for name, kind in kinds.items() if name.startswith(("DL-", "DDRNet"))} == {"learned"}
    assert {kinds[name] for name in OURS[:4]} == {"classical"}


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(KitError) as caught:
        get("Sp-Hf99")
    message = str(caught.value)
    assert "Sp-Hf99" in message
    assert "\n" not in message
    assert all(name in message for name in names())


@pytest.mark.parametrize("name", ["", "../DL-Delta-1", "dl-kit-1"])
def test_odd_names_are_unknown(name: str) -> None:
    with pytest.raises(KitError, match="expected one of"):
        get(name)


def test_available_is_a_part_of_names_in_the_same_order() -> None:
    assert available() == [name for name in names() if name in available()]
    assert {"None", "Telea", "Navier-Stokes"} <= set(available())


def test_shape_and_type_stay_and_the_input_is_left_alone(name: str) -> None:
    depth = degraded(0)
    before = depth.copy()
    enhanced = get(name).enhance(depth)
    assert enhanced.shape == (256, 256)
    assert enhanced.dtype == np.uint16
    np.testing.assert_array_equal(depth, before)
    enhanced[:] = 7  # a new array, not the input
    np.testing.assert_array_equal(depth, before)


def test_a_read_only_view_is_good_enough(name: str) -> None:
    depth = degraded(0)
    padded = np.full((300, 512), HOLE)
    padded[20:276, ::2] = depth  # rows and columns far apart in memory
    view = padded[20:276, ::2]
    view.flags.writeable = False
    enhance = get(name).enhance
    np.testing.assert_array_equal(enhance(view), enhance(depth))


def test_a_stack_is_enhanced_image_by_image(name: str) -> None:
    stack = np.stack([degraded(seed) for seed in range(3)])
    enhance = get(name).enhance
    expected = np.stack([enhance(depth) for depth in stack])
    np.testing.assert_array_equal(enhance(stack), expected)
    assert enhance(stack[:0]).shape == (0, 256, 256)


def test_an_image_of_holes_stays_one(name: str) -> None:
    np.testing.assert_array_equal(get(name).enhance(np.full((256, 256), HOLE)), HOLE)


@pytest.mark.parametrize("value", [0, 1000, 65534])
def test_a_flat_image_without_holes_stays_as_it_is(name: str, value: int) -> None:
    np.testing.assert_array_equal(get(name).enhance(np.full((256, 256), value, np.uint16)), value)


def test_other_shapes_and_types_are_refused(name: str) -> None:
    enhance = get(name).enhance
    with pytest.raises(KitError, match="uint16"):
        enhance(np.zeros((256, 256), np.uint8))
    with pytest.raises(KitError, match="256"):
        enhance(np.zeros((128, 256), np.uint16))


def test_filters_of_remarks_run_by_name_and_are_no_rows() -> None:
    image = np.full((256, 256), 20_000, np.uint16)
    image[100:110, 100:110] = HOLE
    for name in ("Sp", "De-M3", "De-M7"):
        assert name not in names()
        assert get(name).kind == "hand-crafted"
    assert ((get("Sp").enhance(image) == HOLE) == (image == HOLE)).all()
    assert (get("De-M7").enhance(image) == HOLE).sum() < (image == HOLE).sum()


@pytest.fixture
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enhancers, "_registered", {})


@pytest.mark.usefixtures("_registry")
def test_an_enhancer_of_ones_own_runs_by_name_on_images_and_stacks() -> None:
    register("zeros", lambda depth: np.where(depth == HOLE, 0, depth).astype(np.uint16), "holes become near")
    assert names()[-1] == available()[-1] == "zeros"
    found = get("zeros")
    assert (found.ours, found.description) == (True, "holes become near")
    stack = np.stack([degraded(0), degraded(1)])
    before = stack.copy()
    np.testing.assert_array_equal(found.enhance(stack), np.where(stack == HOLE, 0, stack))
    np.testing.assert_array_equal(found.enhance(stack[1]), found.enhance(stack)[1])
    np.testing.assert_array_equal(stack, before)


@pytest.mark.usefixtures("_registry")
def test_an_own_enhancer_cannot_spoil_its_input() -> None:
    def spoil(depth: DepthImage) -> DepthImage:
        depth[:] = 0
        return depth

    register("spoiler", spoil)
    depth = degraded(0)
    get("spoiler").enhance(depth)
    np.testing.assert_array_equal(depth, degraded(0))


@pytest.mark.usefixtures("_registry")
@pytest.mark.parametrize("name", ["None", "DL-Delta-1", "Sp", "De-M4", " ", ""])
def test_the_kits_own_names_stay_its_own(name: str) -> None:
    with pytest.raises(KitError, match="expected one that the kit does not have"):
        register(name, lambda depth: depth)


@pytest.mark.usefixtures("_registry")
@pytest.mark.parametrize(
    "made", [np.zeros((256, 256)), np.zeros((128, 128), np.uint16), np.zeros((2, 256, 256), np.uint16)]
)
def test_what_an_own_enhancer_returns_is_checked(made: np.ndarray) -> None:
    register("odd", lambda depth: made)
    with pytest.raises(KitError, match="what odd returned"):
        get("odd").enhance(degraded(0))


def test_a_network_in_the_users_folder_runs_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facedepth_kit.networks.cards import ModelCard, own_networks, write_network
    from facedepth_kit.networks.unet import build_unet

    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path))
    for name in ("mine", "DL-Delta-1"):  # a shipped network keeps its name
        write_network(build_unet("DL-Delta"), ModelCard(name=name, size="DL-Delta", sha256=""), tmp_path)
    assert own_networks() == ["mine"]
    assert "mine" not in enhancers.available()  # the tables of the papers do not change with it
    depth = np.full((256, 256), 1000, np.uint16)
    assert enhancers.get("mine").enhance(depth).shape == depth.shape
