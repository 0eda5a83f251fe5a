"""Files as PyTorch writes them, zip and before 1.6, made with Python's pickle and stand-ins for PyTorch's classes."""

from __future__ import annotations

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NAMES = {
    "torch": ("FloatStorage", "DoubleStorage"),
    "torch._utils": ("_rebuild_tensor_v2", "_rebuild_parameter"),
    "torch.nn.modules.conv": ("Conv2d",),
    "torch.nn.modules.container": ("Sequential",),
    "torch.nn.backends.thnn": ("_get_thnn_function_backend",),
    "ulapsrn": ("Net_Quarter_Half_Original",),
}


class Part:
    """A layer or a network; its attributes are pickled."""


def _module(name: str) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update({one: type(one, (Part,), {"__module__": name}) for one in NAMES[name]})
    return module


MODULES = {name: _module(name) for name in NAMES}


@contextmanager
def stand_ins() -> Iterator[None]:
    """Modules with PyTorch's names, for as long as something is pickled."""
    before = {name: sys.modules.get(name) for name in MODULES}
    sys.modules |= MODULES
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old


def of(name: str) -> Any:
    """PyTorch's class of that name, such as ``torch.nn.modules.conv.Conv2d``."""
    module, _, last = name.rpartition(".")
    return getattr(MODULES[module], last)


class Storage:
    """The values of a tensor; in a pickle its kind, key and length stand for it."""

    def __init__(self, values: Array) -> None:
        self.values = np.ascontiguousarray(values)
        self.kind = "DoubleStorage" if values.dtype == np.float64 else "FloatStorage"


class Tensor:
    """A tensor of a storage of its own; ``shape`` and ``strides`` tell another story where a test asks for one."""

    def __init__(self, values: Array, *, strides: tuple[int, ...] | None = None, offset: int = 0) -> None:
        self.storage, self.shape, self.offset = Storage(values), values.shape, offset
        self.strides = strides or tuple(step // values.itemsize for step in self.storage.values.strides)

    def __reduce__(self) -> Any:
        hooks: OrderedDict[str, object] = OrderedDict()
        arguments = (self.storage, self.offset, self.shape, self.strides, False, hooks)
        return of("torch._utils._rebuild_tensor_v2"), arguments


class Parameter:
    """A tensor that is trained."""

    def __init__(self, values: Array) -> None:
        self.tensor = Tensor(values)

    def __reduce__(self) -> Any:
        return of("torch._utils._rebuild_parameter"), (self.tensor, True, OrderedDict())


class Backend:
    """What every layer of PyTorch 1.0 carries with it."""

    def __reduce__(self) -> Any:
        return of("torch.nn.backends.thnn._get_thnn_function_backend"), ()


def network(arrays: dict[str, Array]) -> Any:
    """A whole network, layer in layer, with these kernels: what DRR's authors saved."""
    root = _part("ulapsrn.Net_Quarter_Half_Original")
    for name, values in arrays.items():
        *path, last = name.split(".")
        part = root
        for step in path:
            kind = "torch.nn.modules.conv.Conv2d" if step == path[-1] else "torch.nn.modules.container.Sequential"
            part = part._modules.setdefault(step, _part(kind))
        part._parameters[last] = Parameter(values)
        part._parameters["bias"] = None
    return root


def _part(name: str) -> Any:
    part = of(name)()
    part.__dict__ |= {"_backend": Backend(), "_parameters": OrderedDict(), "_buffers": OrderedDict(), "training": True}
    part._modules = OrderedDict()
    return part


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, *, legacy: bool) -> None:
        super().__init__(file, protocol=2)
        self.legacy, self.storages, self.classes = legacy, list[Storage](), set[type]()

    def persistent_id(self, obj: object) -> Any:
        if isinstance(obj, Storage):
            self.storages.append(obj)
            known = ("storage", of(f"torch.{obj.kind}"), str(len(self.storages) - 1), "cuda:1", obj.values.size)
            return (*known, None) if self.legacy else known
        if self.legacy and isinstance(obj, type) and issubclass(obj, Part) and obj not in self.classes:
            self.classes.add(obj)
            if "torch._utils" != obj.__module__ != "torch":
                return ("module", obj, "layers.py", "class ...: its source code")
        return None


def zip_file(path: Path, saved: object) -> Path:
    """The format since 1.6: an archive with a pickle and the values of each storage."""
    with stand_ins():
        pickler = _Pickler(stream := io.BytesIO(), legacy=False)
        pickler.dump(saved)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for number, storage in enumerate(pickler.storages):
            archive.writestr(f"archive/data/{number}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")
    return path


def legacy_file(path: Path, saved: object) -> Path:
    """The format before: five pickles in a row, then the values."""
    stream = io.BytesIO()
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for one in (0x1950A86A20F9469CFC6C, 1001, machine):
        pickle.dump(one, stream, protocol=2)
    with stand_ins():
        pickler = _Pickler(stream, legacy=True)
        pickler.dump(saved)
    pickle.dump([str(number) for number in range(len(pickler.storages))], stream, protocol=2)
    for storage in pickler.storages:
        stream.write(storage.values.size.to_bytes(8, "little") + storage.values.tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())
    return path
