"""PRNet's files as the tests write them: the official layout and naming, values and indices of our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from facedepth_kit.faces.photos.position_map import LANDMARKS, SIDE, VERTICES
from facedepth_kit.faces.photos.prnet import CHECKPOINT, UV_FOLDER
from facedepth_kit.networks.prnet import build_prnet, variables

Values = dict[str, npt.NDArray[np.float32]]


def random_values(seed: int = 1) -> Values:
    """Random values for every variable, of a size that keeps the signal alive from layer to layer."""
    rng = np.random.default_rng(seed)
    values: Values = {}
    for name, variable in variables(build_prnet()).items():
        shape = tuple(variable.shape)
        if name.endswith("weights"):
            # a transposed kernel's inputs stand last, and each output pixel sees a quarter of them at stride 2
            fan_in = np.prod(shape[:2]) * (shape[3] if "transpose" in name else shape[2])
            value = rng.normal(0, np.sqrt(2.0 / fan_in), shape)
        elif name.endswith(("gamma", "moving_variance")):
            value = rng.uniform(0.7, 1.4, shape)
        else:
            value = rng.normal(0, 0.1, shape)
        values[name] = value.astype(np.float32)
    return values


def write_checkpoint(prefix: Path, values: Values) -> None:
    """Write a checkpoint in the official naming, with an optimizer's slots beside the variables as there."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    entries = {**values, "beta1_power": np.float32(0.9), "resfcn256/Conv/weights/Adam": np.zeros((4, 4, 3, 16), "f4")}
    names = sorted(entries)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(entries[name]) for name in names],
    )


def write_uv_data(folder: Path) -> npt.NDArray[np.int64]:
    """Index files of the right size: the face is a disc, landmarks are spread over it; returns the face's pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    distance = (rows - 127.5) ** 2 + (columns - 127.5) ** 2
    index = np.sort(np.argsort(distance.ravel(), kind="stable")[:VERTICES])
    np.savetxt(folder / "face_ind.txt", index)
    turn = np.linspace(0, 12 * np.pi, LANDMARKS)
    reach = np.linspace(110, 5, LANDMARKS)
    points = np.rint(127.5 + reach * np.stack([np.cos(turn), np.sin(turn)]))
    np.savetxt(folder / "uv_kpt_ind.txt", points)
    return index


def write_root(root: Path, seed: int = 1) -> Path:
    """A PRNet folder with a checkpoint of random values; returns the checkpoint's prefix."""
    write_uv_data(root / UV_FOLDER)
    write_checkpoint(root / CHECKPOINT, random_values(seed))
    return root / CHECKPOINT
