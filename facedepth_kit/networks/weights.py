"""Arrays in files: weights and checkpoints as safetensors, official TensorFlow checkpoints, and their checksums.

Reading executes no code: safetensors files hold arrays and text, TensorFlow's checkpoints are read by name.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import FILE_BYTES
from facedepth_kit.common.paths import write_atomically

if TYPE_CHECKING:
    import keras

Arrays = dict[str, npt.NDArray[Any]]
Storage = Literal["float32", "float16", "int8"]
SMALL = 20_000  # kernels of fewer values keep half precision: they are where 8 bits would cost accuracy
LARGE = 400_000  # kernels of as many values or more (DL-Beta's and DL-Gamma's) are kept with 6 bits
BITS = 6
SCALE = ":scale"  # an 8-bit array's companion: what one step is worth, by output channel
LARGEST_INDEX = 10_000_000  # bytes; PRNet's has 20,000
INDEX_SUFFIX, DATA_SUFFIX = ".index", ".data-00000-of-00001"


def sha256_of(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- Our own files --------------------------------------------------------------------------------------------------


def write_arrays(
    path: str | Path, arrays: Mapping[str, npt.NDArray[Any]], about: Mapping[str, str], *, overwrite: bool = False
) -> None:
    """Write named arrays and named texts as one safetensors file, whole or not at all."""
    from safetensors.numpy import save

    whole = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    with write_atomically(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(whole, metadata=dict(about)))


def read_arrays(path: str | Path) -> tuple[Arrays, dict[str, str]]:
    """The arrays and texts of a safetensors file. Raises :class:`KitError` for a missing or damaged one."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise KitError(f"{path}: no such file, expected arrays in safetensors format")
    size = path.stat().st_size
    FILE_BYTES.check(path, size, f"{size:,} bytes")
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError, MemoryError) as error:
        raise KitError(f"{path}: found no readable safetensors file ({error})") from None


def named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """A network's variables by layer and name, such as ``down1_conv1/kernel``."""
    return {f"{layer.name}/{variable.name}": variable for layer in model.layers for variable in layer.weights}


def save_weights(
    model: keras.Model, path: str | Path, *, storage: Storage = "float32", overwrite: bool = False
) -> None:
    """Write a network's weights.

    ``storage``: "int8" keeps kernels as 8 bits with a scale for each output channel, the largest as 6 bits (four values
    in three bytes), small ones in half precision, biases in float32.
    """
    from keras import ops

    arrays: Arrays = {}
    for name, variable in named_weights(model).items():
        values = np.asarray(ops.convert_to_numpy(variable), np.float32)
        if storage == "float16" or (storage == "int8" and values.ndim > 1 and values.size < SMALL):
            arrays[name] = values.astype(np.float16)
        elif storage == "int8" and values.ndim > 1:
            # A transposed convolution has its output channels before its input channels.
            across = (0, 1, 3) if "cnv_up" in name else tuple(range(values.ndim - 1))
            bits = BITS if values.size >= LARGE else 8
            scale = np.maximum(np.abs(values).max(axis=across, keepdims=True), 1e-12) / np.float32(2 ** (bits - 1) - 1)
            steps = np.rint(values / scale).astype(np.int8)
            arrays[name] = steps if bits == 8 else _packed(steps)
            arrays[f"{name}{SCALE}"] = scale.astype(np.float32)
        else:
            arrays[name] = values
    write_arrays(path, arrays, {"network": model.name, "storage": storage}, overwrite=overwrite)


def _packed(steps: npt.NDArray[np.int8]) -> npt.NDArray[np.uint8]:
    """Values of -31 to 31 with 6 bits each, one after another; uint8 in one dimension."""
    positive = (steps.reshape(-1, 1) + 2 ** (BITS - 1)).astype(np.uint8)
    return np.packbits(np.unpackbits(positive, axis=1)[:, -BITS:])


def _unpacked(packed: npt.NDArray[np.uint8], shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """The values of :func:`_packed` in their own shape."""
    bits = np.unpackbits(packed, count=BITS * math.prod(shape)).reshape(-1, BITS)
    steps = np.packbits(bits, axis=1).ravel() >> (8 - BITS)
    return (steps.astype(np.float32) - 2 ** (BITS - 1)).reshape(shape)


def load_weights(model: keras.Model, path: str | Path) -> None:
    """Read a file of :func:`save_weights` into a network of the same size.

    Raises :class:`KitError` for a missing, truncated or foreign file.
    """
    arrays, _ = read_arrays(path)
    wanted = named_weights(model)
    for name, variable in wanted.items():
        if name not in arrays or not _fits(arrays[name], tuple(variable.shape)):
            found = f"{name} of shape {arrays[name].shape}" if name in arrays else f"no {name}"
            raise KitError(f"{path}: found no weights for {model.name} ({found}, expected {tuple(variable.shape)})")
    unknown = [name for name in arrays if name.removesuffix(SCALE) not in wanted]
    if unknown:
        raise KitError(f"{path}: found no weights for {model.name} ({unknown[0]} is unknown to it)")
    values = {}
    for name, variable in wanted.items():
        array, scale, shape = arrays[name], arrays.get(f"{name}{SCALE}"), tuple(variable.shape)
        whole = array.dtype in (np.int8, np.uint8)
        if array.dtype not in (np.float32, np.float16, np.int8, np.uint8) or (scale is not None) != whole:
            expected = "float32, float16, or int8 or six bits with a scale"
            raise KitError(f"{path}: found {name} of type {array.dtype}, expected {expected}")
        values[name] = _unpacked(array, shape) if array.dtype == np.uint8 else array.astype(np.float32)
        if scale is not None:
            fits = scale.ndim == len(shape) and all(a in (1, b) for a, b in zip(scale.shape, shape, strict=False))
            if scale.dtype != np.float32 or not fits:
                found = f"{scale.dtype} of shape {scale.shape}"
                raise KitError(f"{path}: found {name}{SCALE} {found}, expected float32 that fits {shape}")
            values[name] *= scale
        if not np.isfinite(values[name]).all():
            raise KitError(f"{path}: found values in {name} that are not finite, expected trained weights")
    for name, variable in wanted.items():
        variable.assign(values[name])


def _fits(array: npt.NDArray[Any], shape: tuple[int, ...]) -> bool:
    """Whether an array of a file holds a variable of that shape, packed or not."""
    return array.shape == ((math.ceil(math.prod(shape) * BITS / 8),) if array.dtype == np.uint8 else shape)


# --- TensorFlow's checkpoints ---------------------------------------------------------------------------------------


def checkpoint_files(prefix: str | Path) -> tuple[Path, Path]:
    """The two files of a TensorFlow checkpoint: its index and its data."""
    return Path(f"{prefix}{INDEX_SUFFIX}"), Path(f"{prefix}{DATA_SUFFIX}")


def load_tensorflow_checkpoint(prefix: str | Path, wanted: Mapping[str, keras.Variable], network: str) -> None:
    """Read variables by their names in a TensorFlow checkpoint; its other entries are passed over.

    ``prefix`` is the checkpoint's path without ``.index``, ``network`` its name in messages. Raises
    :class:`KitError`, with the variables as they were, for files that cannot be read, for truncated or damaged data
    (the format keeps a checksum of every variable), and for variables that lack, have another shape or type or are
    not finite.
    """
    import tensorflow as tf

    index, data = checkpoint_files(prefix)
    for path in (index, data):
        if not path.is_file():
            raise KitError(f"{path}: no such file, found no readable checkpoint of {network}, expected both its files")
    for path, most in ((index, LARGEST_INDEX), (data, FILE_BYTES())):
        if (size := path.stat().st_size) > most:
            raise KitError(f"{path}: found {size:,} bytes, expected a checkpoint's file of at most {most:,}")
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes: Mapping[str, Any] = reader.get_variable_to_shape_map()
        types: Mapping[str, Any] = reader.get_variable_to_dtype_map()
    except Exception as error:  # TensorFlow's own errors, and a plain RuntimeError for a damaged table
        raise KitError(f"{index}: found no readable checkpoint index ({_first_line(error)})") from None
    for name, variable in wanted.items():
        if name not in shapes:
            raise KitError(f"{index}: found no variable {name}, expected {network}'s {len(wanted)}")
        if tuple(shapes[name]) != tuple(variable.shape):
            raise KitError(f"{index}: found {name} of shape {tuple(shapes[name])}, expected {tuple(variable.shape)}")
        if types[name].name != "float32":
            raise KitError(f"{index}: found {name} of type {types[name].name}, expected float32")
    values: Arrays = {}
    for name in wanted:
        try:
            values[name] = np.asarray(reader.get_tensor(name))
        except Exception as error:
            reason = f"{name} is truncated or damaged; the file has {data.stat().st_size:,} bytes"
            raise KitError(f"{data}: found no readable checkpoint ({reason}): {_first_line(error)}") from None
        if not np.isfinite(values[name]).all():
            raise KitError(f"{data}: found values in {name} that are not finite, expected trained weights")
    for name, variable in wanted.items():
        variable.assign(values[name])


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:120] if lines else type(error).__name__
