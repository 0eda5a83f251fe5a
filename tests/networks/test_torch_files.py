"""PyTorch's files without PyTorch: both formats, arrays or a whole network; damaged and hostile ones are refused."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.networks.torch_files import LARGEST_PICKLE, load_torch_checkpoint
from tests.networks.torch_writing import Storage, Tensor, legacy_file, network, zip_file

Array = npt.NDArray[np.float32]
SHAPES = {"first.conv.weight": (8, 1, 3, 3), "up.weight": (8, 4, 4, 4), "last.0.weight": (1, 4, 1, 1)}
WRITERS = [zip_file, legacy_file]


class Variable:
    """As much of Keras's as loading needs: a shape, and what was assigned."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = tuple(shape[axis] for axis in (2, 3, 1, 0))
        self.value: Array | None = None

    def assign(self, value: Array) -> None:
        self.value = value


def kernels() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def load(path: Path, entry: str = "model") -> dict[str, Any]:
    variables: dict[str, Any] = {name: Variable(shape) for name, shape in SHAPES.items()}
    try:
        load_torch_checkpoint(path, entry, variables, "X")
    except KitError:
        assert all(variable.value is None for variable in variables.values())
        raise
    return {name: variable.value for name, variable in variables.items()}


def refusal(path: Path) -> str:
    with pytest.raises(KitError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def by_name(arrays: dict[str, Any]) -> OrderedDict[str, Any]:
    """A state dictionary as PyTorch has it, with an attribute of its own."""
    state = OrderedDict((name, Tensor(values)) for name, values in arrays.items())
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    return state


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("whole", [False, True])
def test_arrays_come_out_as_they_went_in(tmp_path: Path, write: Callable[..., Path], whole: bool) -> None:
    model = network(kernels()) if whole else by_name(kernels())
    adam = {"state": {7: {"step": 3, "exp_avg": Tensor(np.ones((2, 2)))}}, "param_groups": [{"lr": 1e-4}]}
    found = load(write(tmp_path / "x", {"epoch": 99, "model": model, "optimizer": adam}))
    for name, values in kernels().items():
        np.testing.assert_array_equal(found[name], values.transpose(2, 3, 1, 0))


@pytest.mark.parametrize("write", WRITERS)
def test_other_networks_are_refused_with_the_reason(tmp_path: Path, write: Callable[..., Path]) -> None:
    def said(change: dict[str, Any], entry: str = "model") -> str:
        arrays = {name: values for name, values in (kernels() | change).items() if values is not None}
        return refusal(write(tmp_path / "x", {entry: by_name(arrays)}))

    assert "no up.weight" in said({"up.weight": None})
    wide = said({"first.conv.weight": np.zeros((8, 1, 5, 5), np.float32)})
    assert "(8, 1, 5, 5)" in wide
    assert "(8, 1, 3, 3)" in wide
    assert "'last.0.bias', which is none of X's 3 arrays" in said({"last.0.bias": np.zeros(1, np.float32)})
    assert "another kind" in said({"up.weight": np.zeros(SHAPES["up.weight"])})
    assert "finite" in said({"up.weight": np.full(SHAPES["up.weight"], np.nan, np.float32)})
    assert "no entry model" in said({}, "weights")
    state = by_name(kernels())
    state["up.weight"] = Tensor(kernels()["up.weight"], strides=(1, 8, 32, 128))
    assert "not row by row" in refusal(write(tmp_path / "x", {"model": state}))
    assert "no such file" in refusal(tmp_path / "absent")


class Call:
    """Pickled as a call of something."""

    def __init__(self, what: Any, *arguments: Any) -> None:
        self.call = (what, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("what", [os.system, eval, getattr, __import__, np.dtype])
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    tmp_path: Path, write: Callable[..., Path], what: Any
) -> None:
    proof = tmp_path / "proof"
    message = refusal(write(tmp_path / "x", {"model": by_name(kernels()), "epoch": Call(what, f"touch {proof}")}))
    assert "asks for" in message
    assert what.__name__ in message
    assert not proof.exists()


def test_what_pytorch_does_not_write_is_refused(tmp_path: Path) -> None:
    def said(content: bytes) -> str:
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            archive.writestr("archive/data.pkl", content)
        return refusal(tmp_path / "x")

    nested = b")" + 300 * b"q\x00h\x00\x86"  # a pair of a pair with itself: its hash would take for ever
    assert "neither texts nor whole numbers" in said(b"\x80\x02}" + nested + b"K\x01s.")
    assert "does not write" in said(pickle.dumps({"model": b"x"}, protocol=4))
    assert "expected at most" in said(b"N" * (LARGEST_PICKLE + 1))
    assert "damaged" in said(b"\x80\x02(t")
    assert "damaged" in said(b"")
    assert "changes what it may not" in said(b"\x80\x02}}b.")
    assert "something else than arrays" in said(pickle.dumps({"model": 5}, protocol=2))
    assert "something else than an array" in said(pickle.dumps({"model": {"up.weight": {}}}, protocol=2))
    assert "calls what is no name" in said(b"\x80\x02X\x01\x00\x00\x00x)R.")
    (tmp_path / "x").write_bytes(pickle.dumps({"model": by_name({})}, protocol=2))
    assert "neither a zip archive nor" in refusal(tmp_path / "x")


@pytest.mark.parametrize("write", WRITERS)
def test_damaged_files_are_refused(tmp_path: Path, write: Callable[..., Path]) -> None:
    path = write(tmp_path / "x", {"model": by_name(kernels())})
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for length in (0, 1, 20, 200, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refusal(path)
    read = 0
    for place in rng.integers(0, len(content), 400):
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with suppress(KitError):  # a changed value or an unused text is nobody's to notice
            load(path)
            read += 1
    assert read < 400


def test_values_that_a_pickle_promises_must_be_there(tmp_path: Path) -> None:
    state = by_name(kernels())
    state["up.weight"].storage = Storage(np.zeros(5, np.float32))
    assert "part of other values" in refusal(zip_file(tmp_path / "x", {"model": state}))
    path = zip_file(tmp_path / "x", {"model": by_name(kernels())})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:-4] if name == "archive/data/1" else content)
    assert "2,044 bytes of up.weight, which has 2,048" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, b"big" if name == "archive/byteorder" else content)
    assert "big-endian" in refusal(path)
