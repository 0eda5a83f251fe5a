"""Weights that others have saved with PyTorch, read without it: the zip format, and the pickles in a row of before 1.6.

Both hold a pickle, which is a small program. It is not run but looked at: numbers, texts, containers and tensors are
taken from it, nothing is imported and nothing called, and a name that no checkpoint of weights needs is refused.
"""

from __future__ import annotations

import io
import math
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.arrays import read_member
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]

LARGEST_PICKLE = 2_000_000  # bytes; a network of a hundred arrays takes less than a tenth
LARGEST_ARCHIVE = 10_000  # members; one for each array and optimizer's array
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # its magic number, pickled
ITEM_BYTES = {"torch FloatStorage": 4, "torch DoubleStorage": 8, "torch HalfStorage": 2}
TENSORS = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
PARAMETERS = ("torch._utils _rebuild_parameter", "torch.nn.parameter Parameter")
OBJECTS = (
    "collections OrderedDict",
    # a whole network was saved: its layers are containers of arrays to us
    *(f"ulapsrn {name}" for name in ("Net_Quarter_Deep_Mask", "Net_Quarter_Half", "Net_Quarter_Half_Original")),
    *(f"ulapsrn _{name}" for name in ("Distinct_Source_Residual_Block", "Downsample_Block", "Upsample_Block")),
    "torch.nn.modules.activation LeakyReLU",
    "torch.nn.modules.container Sequential",
    *(f"torch.nn.modules.conv {name}" for name in ("Conv2d", "ConvTranspose2d")),
    "torch.nn.modules.upsampling Upsample",
    "torch.nn.backends.thnn _get_thnn_function_backend",
)


class _Name(NamedTuple):
    """What a pickle calls by module and name."""

    text: str


class _Storage(NamedTuple):
    kind: str
    key: str
    length: int


class _Tensor(NamedTuple):
    """As the pickle has it; any of these may be anything until :func:`_check` has looked."""

    storage: Any
    offset: Any
    shape: Any
    strides: Any


class _Object(dict[Any, Any]):
    """An ordered dictionary, or a part of a network, which has attributes beside."""

    def __init__(self) -> None:
        super().__init__()
        self.attributes: dict[Any, Any] = {}


class _Unreadable(Exception):
    """Ends the reading of a file; its text is what was found there."""


def torch_names(model: keras.Model) -> dict[str, keras.Variable]:
    """A model's kernels by their names in PyTorch: its layers have a hyphen where PyTorch has a dot."""
    return {f"{layer.name.replace('-', '.')}.weight": layer.kernel for layer in model.layers if layer.weights}


def load_torch_checkpoint(path: Path, entry: str, wanted: Mapping[str, keras.Variable], network: str) -> None:
    """Read kernels by their names in a file of PyTorch's: exactly those of ``wanted``, float32, in their shapes.

    ``entry`` is where the file's dictionary has them, arrays by name or a whole network; other entries are passed
    over. Keras keeps kernels as (rows, columns, in, out), out before in where transposed, PyTorch the other way round.
    Names and shapes are compared before any value is read. Raises :class:`KitError` in one line, with the variables
    as they were, for what is missing, too large, damaged, or asks for anything but arrays.
    """
    data = read_file(path, f"{network}'s weights")
    try:
        saved, storages = _read_legacy(data) if data.startswith(LEGACY) else _read_zip(path, data)
        if not isinstance(saved, dict) or entry not in saved:
            raise _Unreadable(f"no entry {entry} in it")
        tensors = _tensors(saved[entry])
        if unknown := [name for name in tensors if name not in wanted]:
            raise _Unreadable(f"{unknown[0][:60]!r}, which is none of {network}'s {len(wanted)} arrays")
        for name, variable in wanted.items():
            if name not in tensors:
                raise _Unreadable(f"no {name}")
            _check(name, tensors[name], tuple(variable.shape[axis] for axis in (3, 2, 0, 1)))
        arrays = {name: _array(name, tensor, storages) for name, tensor in tensors.items()}
    except _Unreadable as error:
        raise KitError(f"{path}: found {error}, expected {network}'s weights as PyTorch saves them") from None
    for name, variable in wanted.items():
        variable.assign(arrays[name].transpose(2, 3, 1, 0))


class _Storages:
    """The values behind the tensors, as bytes: members of an archive, or parts of one file."""

    def __init__(self, data: bytes, *, path: Path | None = None, folder: str = "") -> None:
        self._data, self._path, self._folder = data, path, folder
        self.places: dict[str, int] = {}

    def read(self, storage: _Storage) -> bytes:
        size = storage.length * ITEM_BYTES[storage.kind]
        if self._path is None:
            if storage.key not in self.places:
                raise _Unreadable("a tensor without values")
            start = self.places[storage.key]
            return self._data[start : start + size]
        return read_member(self._path, self._data, f"{self._folder}data/{storage.key}", most=size) or b""


def _read_zip(path: Path, data: bytes) -> tuple[object, _Storages]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except Exception as error:  # zipfile raises many kinds on damaged archives
        raise _Unreadable(f"neither a zip archive nor pickles in a row ({type(error).__name__})") from None
    folders = [name.removesuffix("data.pkl") for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
    if len(folders) != 1 or len(names) > LARGEST_ARCHIVE:
        raise _Unreadable(f"{len(folders)} members data.pkl among {len(names):,} in its archive")
    order = read_member(path, data, f"{folders[0]}byteorder", most=10, missing=True)
    if order not in (None, b"little"):
        raise _Unreadable("numbers of a big-endian machine")
    content = read_member(path, data, f"{folders[0]}data.pkl", most=LARGEST_PICKLE)
    saved = _unpickled(io.BytesIO(content or b""), {})
    return saved, _Storages(data, path=path, folder=folders[0])


def _read_legacy(data: bytes) -> tuple[object, _Storages]:
    """Five pickles (magic number, version, machine, what was saved, keys), then by key a count and the values."""
    stream = io.BytesIO(data)
    stream.seek(len(LEGACY))
    known: dict[str, _Storage] = {}
    version, machine, saved, keys = (_unpickled(stream, known) for _ in range(4))
    little = isinstance(machine, dict) and machine.get("little_endian") is True
    if version != 1001 or not little or not isinstance(keys, list):
        raise _Unreadable("pickles in a row of an unknown version or machine")
    storages = _Storages(data)
    place = stream.tell()
    for key in keys:
        storage = known.get(key) if isinstance(key, str) else None
        if storage is None or int.from_bytes(data[place : place + 8], "little") != storage.length:
            raise _Unreadable("values that no tensor asks for")
        storages.places[storage.key] = place + 8
        place += 8 + storage.length * ITEM_BYTES[storage.kind]
    if place != len(data):
        raise _Unreadable(f"{len(data):,} bytes where its tensors take {place:,}")
    return saved, storages


def _tensors(saved: object) -> dict[str, _Tensor]:
    """Tensors by name: of a dictionary, or of a network with its layers' names before theirs."""
    found: dict[str, _Tensor] = {}
    waiting, seen = [("", saved)], set[int]()
    while waiting:
        prefix, part = waiting.pop()
        if not isinstance(part, dict) or id(part) in seen:
            raise _Unreadable(f"something else than arrays in {prefix[:60]!r}")
        seen.add(id(part))
        inner = part.attributes if isinstance(part, _Object) else {}
        whole = "_modules" in inner
        arrays = (inner.get("_parameters"), inner.get("_buffers")) if whole else (part,)
        for group in arrays:
            for name, tensor in group.items() if isinstance(group, dict) else ():
                if tensor is None and whole:
                    continue  # a layer without a bias
                if not isinstance(tensor, _Tensor) or not isinstance(name, str):
                    raise _Unreadable(f"something else than an array in {f'{prefix}{name}'[:60]!r}")
                found[prefix + name] = tensor
        layers = inner["_modules"] if whole else {}
        waiting += [(f"{prefix}{name}.", layer) for name, layer in layers.items()] if isinstance(layers, dict) else []
    return found


def _check(name: str, tensor: _Tensor, shape: tuple[int, ...]) -> None:
    """Raise where a tensor is not float32 of that shape, row by row, with all values of a storage of its own."""
    storage, offset, found, strides = tensor
    if not isinstance(storage, _Storage) or storage.kind != "torch FloatStorage":
        raise _Unreadable(f"{name} in a storage of another kind than torch FloatStorage")
    if found != shape:
        plain = isinstance(found, tuple) and all(isinstance(length, int) for length in found)
        raise _Unreadable(f"{name} of shape {str(found)[:40] if plain else 'unknown'} where {shape} belongs")
    steps = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    in_rows = isinstance(strides, tuple) and len(strides) == len(shape) and all(
        length == 1 or step == stride for length, step, stride in zip(shape, steps, strides, strict=True)
    )  # fmt: skip
    if offset != 0 or not in_rows or storage.length != math.prod(shape):
        raise _Unreadable(f"{name} as a part of other values, or not row by row")


def _array(name: str, tensor: _Tensor, storages: _Storages) -> FloatArray:
    storage, _, shape, _ = tensor
    values = storages.read(storage)
    if len(values) != 4 * storage.length:
        raise _Unreadable(f"{len(values):,} bytes of {name}, which has {4 * storage.length:,}")
    array = np.frombuffer(values, "<f4").reshape(shape)
    if not np.isfinite(array).all():
        raise _Unreadable(f"values in {name} that are not finite")
    return array


# --- pickles ----------------------------------------------------------------------------------------------------------

_VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "BINSTRING"}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


def _unpickled(stream: io.BytesIO, storages: dict[str, _Storage]) -> object:
    """What the pickle at the stream's place describes; the stream then stands behind it. ``storages`` is filled."""
    try:
        return _described(stream, storages)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise _Unreadable(f"a damaged pickle ({type(error).__name__})") from None


def _described(stream: io.BytesIO, storages: dict[str, _Storage]) -> object:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    begin = stream.tell()

    def since_mark() -> list[Any]:
        at = len(stack) - 1
        while stack[at] is not _MARK:
            at -= 1
        items = stack[at + 1 :]
        del stack[at:]
        return items

    argument: Any
    for opcode, argument, _ in pickletools.genops(stream):
        if stream.tell() - begin > LARGEST_PICKLE:
            raise _Unreadable(f"a pickle of more than {LARGEST_PICKLE:,} bytes")
        match opcode.name:
            case "PROTO" | "STOP":
                pass
            case name if name in _VALUES:
                stack.append(argument)
            case name if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "MARK":
                stack.append(_MARK)
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case name if name in _TUPLES:
                count = _TUPLES[name]
                stack[-count:] = [tuple(stack[-count:])]
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if opcode.name == "APPEND" else since_mark()
                stack[-1].extend(items)
            case "SETITEM" | "SETITEMS":
                items = [stack.pop(-2), stack.pop()] if opcode.name == "SETITEM" else since_mark()
                _set_items(stack[-1], items)
            case "GLOBAL":
                if argument not in (*ITEM_BYTES, *TENSORS, *PARAMETERS, *OBJECTS):
                    raise _Unreadable(f"a pickle that asks for {str(argument)[:60]!r}")
                stack.append(_Name(argument))
            case "REDUCE" | "NEWOBJ":
                arguments, name = stack.pop(), stack.pop()
                stack.append(_made(name, arguments))
            case "BUILD":
                attributes, made = stack.pop(), stack[-1]
                if not isinstance(made, _Object) or not isinstance(attributes, dict):
                    raise _Unreadable("a pickle that changes what it may not")
                made.attributes = attributes
            case "BINPERSID":
                stack.append(_persistent(stack.pop(), storages))
            case name:
                raise _Unreadable(f"a pickle with {name}, which PyTorch does not write")
    (described,) = stack
    return described


def _set_items(target: object, items: list[Any]) -> None:
    keys = items[::2]
    if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, str | int) for key in keys):
        raise _Unreadable("a dictionary with keys that are neither texts nor whole numbers")
    target.update(zip(keys, items[1::2], strict=True))


def _made(name: object, arguments: object) -> object:
    """What a call in the pickle stands for."""
    text = name.text if isinstance(name, _Name) else ""
    if not isinstance(arguments, tuple):
        raise _Unreadable("a damaged pickle (a call without arguments)")
    if text in TENSORS and len(arguments) >= 4:
        return _Tensor(*arguments[:4])
    if text in PARAMETERS and arguments:
        return arguments[0]
    if text in OBJECTS:
        made = _Object()
        for pair in arguments[0] if arguments else ():  # as Python 2 pickles an ordered dictionary
            _set_items(made, list(pair))
        return made
    raise _Unreadable(f"a pickle that calls {text or 'what is no name'} in an unusual way")


def _persistent(identity: object, storages: dict[str, _Storage]) -> object:
    """A storage, by what was pickled in its place; or the class of a layer, with its source code, which is dropped."""
    match identity:
        case ("module", _Name() as name, *_):
            return name
        case ("storage", _Name(kind), str(key), str(), int(count)) if kind in ITEM_BYTES and key.isdecimal():
            pass
        case ("storage", _Name(kind), str(key), str(), int(count), None) if kind in ITEM_BYTES:
            pass
        case _:
            raise _Unreadable("a pickle with a storage of unknown kind")
    storage = _Storage(kind, key, count)
    if count < 0 or storages.setdefault(key, storage) != storage:
        raise _Unreadable("a pickle that says two things of one storage")
    return storage
