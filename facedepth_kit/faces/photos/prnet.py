"""PRNet (Feng et al. 2018): from a photo to a position map, the paper's source of 3D faces (section III-A).

The network is rebuilt in Keras with every variable of the official checkpoint in name and shape. Its weights are not
part of the kit: the user fetches them; they are checked before they are read, and reading executes no code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import data_dir
from facedepth_kit.faces.detection import Face
from facedepth_kit.faces.photos.position_map import (
    SIDE,
    Crop,
    Topology,
    box_square,
    dlib_square,
    load_topology,
    square_crop,
)
from facedepth_kit.faces.photos.reconstruction import PhotoFace, mesh_in_millimetres
from facedepth_kit.rendering.mesh import Mesh

if TYPE_CHECKING:
    import keras

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

REPOSITORY = "github.com/YadiraF/PRNet"
NET_FOLDER, UV_FOLDER = Path("Data/net-data"), Path("Data/uv-data")
CHECKPOINT = NET_FOLDER / "256_256_resfcn256_weight"
INDEX_SUFFIX, DATA_SUFFIX = ".index", ".data-00000-of-00001"
INDEX_BYTES, DATA_BYTES = 20_319, 160_290_984
DATA_SHA256 = "59d338bf0c21b10be813f17f84042c9d3a5bf318e588855ff2b2c041c25bb91a"
TERMS = "code MIT; the weights for research purposes, by the terms of their training data"

# Filters and stride of the residual blocks, then of the transposed convolutions.
BLOCKS = ((32, 2), (32, 1), (64, 2), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
UPWARDS = (
    *((512, 1), (256, 2), (256, 1), (256, 1), (128, 2), (128, 1), (128, 1), (64, 2), (64, 1), (64, 1)),
    *((32, 2), (32, 1), (16, 2), (16, 1), (3, 1), (3, 1), (3, 1)),
)
KERNEL = 4
REACH = 1.1  # the sigmoid's 1 stands for this many crop sides: faces may reach a little beyond the crop
BATCH = 8


def build_network() -> keras.Model:
    """PRNet without weights: (n, 256, 256, 3) float32 RGB in 0..1 to the same shape in 0..1 (x 256 x 1.1: positions).

    Its 245 variables hold 13,365,508 values; :func:`variables` names them as the official checkpoint does.
    """
    import keras
    from keras import layers

    def convolve(x: Any, scope: str, filters: int, kernel: int, stride: int = 1, normalized: bool = True) -> Any:
        convolution = layers.Conv2D(
            filters, kernel, strides=stride, padding="same", use_bias=False, name=_layer_name(scope)
        )
        return normalize(convolution(x), scope) if normalized else convolution(x)

    def normalize(x: Any, scope: str, activation: str = "relu") -> Any:
        name = _layer_name(f"{scope}/BatchNorm")
        return layers.Activation(activation)(layers.BatchNormalization(epsilon=1e-3, momentum=0.999, name=name)(x))

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # a trainer in this process may have set another one
    try:
        inputs = keras.Input((SIDE, SIDE, 3), name="photo")
        x = convolve(inputs, "Conv", 16, KERNEL)
        channels = 16
        for number, (filters, stride) in enumerate(BLOCKS):
            scope = _numbered("resBlock", number)
            shortcut = x
            if stride != 1 or channels != filters:
                shortcut = convolve(x, f"{scope}/shortcut", filters, 1, stride, normalized=False)
            x = convolve(x, f"{scope}/Conv", filters // 2, 1)
            x = convolve(x, f"{scope}/Conv_1", filters // 2, KERNEL, stride)
            x = convolve(x, f"{scope}/Conv_2", filters, 1, normalized=False)
            x = normalize(layers.Add()([shortcut, x]), scope)
            channels = filters
        for number, (filters, stride) in enumerate(UPWARDS):
            scope = _numbered("Conv2d_transpose", number)
            x = layers.Conv2DTranspose(
                filters, KERNEL, strides=stride, padding="same", use_bias=False, name=_layer_name(scope)
            )(x)
            x = normalize(x, scope, "sigmoid" if number == len(UPWARDS) - 1 else "relu")
        return keras.Model(inputs, x, name="resfcn256")
    finally:
        keras.config.set_dtype_policy(policy)


def _numbered(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _layer_name(scope: str) -> str:
    return scope.replace("/", "-")  # Keras keeps the slash for itself


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by their names in the official checkpoint, such as ``resfcn256/Conv/weights``."""
    found = {}
    for layer in model.layers:
        scope = f"resfcn256/{layer.name.replace('-', '/')}"
        for variable in layer.variables:
            name = "weights" if variable.name == "kernel" else variable.name
            found[f"{scope}/{name}"] = variable
    return found


# --- The official files -------------------------------------------------------------------------------------------


def find_root(given: str | Path | None = None) -> Path:
    """The folder with PRNet's ``Data``: the given one, FACEDEPTH_PRNET, or ``PRNet`` in the data folder."""
    if given is not None:
        return Path(given).expanduser()
    chosen = os.environ.get("FACEDEPTH_PRNET")
    if chosen:
        return Path(chosen).expanduser()
    folders = [data_dir() / name for name in ("PRNet", "prnet")]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


# Where the official files lie, and their sizes where those are fixed.
FILES: dict[Path, int | None] = {
    NET_FOLDER / f"{CHECKPOINT.name}{INDEX_SUFFIX}": INDEX_BYTES,
    NET_FOLDER / f"{CHECKPOINT.name}{DATA_SUFFIX}": DATA_BYTES,
    UV_FOLDER / "face_ind.txt": None,
    UV_FOLDER / "uv_kpt_ind.txt": None,
}


def file_problems(root: str | Path | None = None) -> list[str]:
    """What is wrong with the official files, none of which is opened: missing ones, other sizes; empty if nothing."""
    folder = find_root(root)
    problems = []
    for path, expected in FILES.items():
        if not (folder / path).is_file():
            problems.append(f"{path.name} is missing")
        elif expected is not None and (folder / path).stat().st_size != expected:
            problems.append(f"{path.name} has {(folder / path).stat().st_size} bytes, not {expected}")
    return problems


def files_present(root: str | Path | None = None) -> bool:
    """Whether the official files all lie where they belong, as large as they should be; none is opened."""
    return not file_problems(root)


def _check_present(root: Path, prefix: Path) -> None:
    data = next(iter(_data_files(prefix)), Path(f"{prefix}{DATA_SUFFIX}"))
    for path in (Path(f"{prefix}{INDEX_SUFFIX}"), data):
        if not path.is_file():
            names = f"{CHECKPOINT.name}{INDEX_SUFFIX} and {CHECKPOINT.name}{DATA_SUFFIX}"
            raise KitError(
                f"{path}: missing, expected PRNet's checkpoint: fetch {names} by the links in the README of "
                f"{REPOSITORY} into {root / NET_FOLDER}, and face_ind.txt and uv_kpt_ind.txt from its {UV_FOLDER} "
                f"into {root / UV_FOLDER} ({TERMS}); mediapipe's face mesh does without"
            )


def _data_files(prefix: Path) -> list[Path]:
    return sorted(prefix.parent.glob(f"{prefix.name}.data-*-of-*"))


def check_official(prefix: str | Path) -> None:
    """Compare size and SHA-256 of a checkpoint's files with the official ones; nothing of them is interpreted.

    Raises :class:`KitError` naming the file, what was found and what is expected.
    """
    for suffix, expected in ((INDEX_SUFFIX, INDEX_BYTES), (DATA_SUFFIX, DATA_BYTES)):
        path = Path(f"{prefix}{suffix}")
        found = path.stat().st_size
        if found != expected:
            kind = "truncated: " if found < expected else ""
            raise KitError(f"{path}: {kind}found {found} bytes, expected PRNet's official file of {expected} bytes")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != DATA_SHA256:
        raise KitError(f"{path}: found SHA-256 {digest[:12]}..., expected {DATA_SHA256[:12]}... of the official file")


def load_checkpoint(model: keras.Model, prefix: str | Path) -> None:
    """Read a TensorFlow checkpoint in the official naming into the network; other entries (Adam's) are left alone.

    ``prefix`` is the path without ``.index``. Raises :class:`KitError`, with the network as it was, when the files
    cannot be read, a variable is missing or of another shape, or a value is not finite.
    """
    import tensorflow as tf

    prefix = Path(prefix)
    wanted = variables(model)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
        for name, variable in wanted.items():
            if name not in shapes:
                raise KitError(f"{prefix}: found no variable {name}, expected PRNet's {len(wanted)}")
            if tuple(shapes[name]) != tuple(variable.shape):
                found, expected = tuple(shapes[name]), tuple(variable.shape)
                raise KitError(f"{prefix}: found {name} of shape {found}, expected {expected}")
        values = {name: np.asarray(reader.get_tensor(name), np.float32) for name in wanted}
    except (tf.errors.OpError, RuntimeError, ValueError, IndexError, OSError) as error:  # TensorFlow raises all these
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise KitError(f"{prefix}: found no readable checkpoint ({reason[:160]})") from None
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise KitError(f"{prefix}: found values that are not finite in {name}, expected trained weights")
    for name, value in values.items():
        wanted[name].assign(value)


# --- Photos in, faces out -----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _on_worker(root: str | Path | None, checkpoint: str | Path | None) -> PRNet:
    """A PRNet that travelled to a worker process as its arguments; read there once."""
    return PRNet(root, checkpoint=checkpoint)


class PRNet:
    """PRNet with its weights, as a source of 3D faces (:class:`facedepth_kit.faces.photos.reconstruction.MeshSource`).

    ``root`` holds ``Data/net-data`` and ``Data/uv-data`` as in the official repository. The official checkpoint is
    checked by size and SHA-256; ``checkpoint`` names another one (a path without ``.index``) in the same naming, of
    your own training, which is not. Raises :class:`KitError` for missing or wrong files; where the official ones are
    missing, it says which to fetch, from where, to where, and their terms.
    """

    name = "PRNet"

    def __init__(self, root: str | Path | None = None, *, checkpoint: str | Path | None = None) -> None:
        self._arguments = (root, checkpoint)
        folder = find_root(root)
        prefix = folder / CHECKPOINT if checkpoint is None else Path(str(checkpoint).removesuffix(INDEX_SUFFIX))
        _check_present(folder, prefix)
        if checkpoint is None:
            check_official(prefix)
        self.topology: Topology = load_topology(folder / UV_FOLDER)
        self.triangles = np.ascontiguousarray(self.topology.triangles[:, [0, 2, 1]])
        self.model = build_network()
        load_checkpoint(self.model, prefix)
        self._prefix = prefix
        self._official = checkpoint is None

    def __reduce__(self) -> tuple[Any, ...]:
        return _on_worker, self._arguments

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the weights."""
        if self._official:
            return f"PRNet-{DATA_SHA256[:12]}"
        digest = hashlib.sha256()
        for path in (Path(f"{self._prefix}{INDEX_SUFFIX}"), *_data_files(self._prefix)):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return f"PRNet-{digest.hexdigest()[:12]}"

    def crop(self, picture: Picture, face: Face) -> Crop:
        """What the network sees of a face."""
        return crop_for(picture, face)

    def position_maps(self, crops: Sequence[Crop]) -> FloatArray:
        """Position maps (n, 256, 256, 3) of crops, in crop pixels."""
        if not crops:
            return np.zeros((0, SIDE, SIDE, 3), np.float32)
        return np.concatenate([self._forward(batch) for batch in _batches(crops)]) * np.float32(SIDE * REACH)

    def faces(self, crops: Sequence[Crop]) -> list[PhotoFace | None]:
        """The 3D face in each crop, in photo pixels; PRNet always sees one."""
        return [
            photo_face(position_map, crop, self.topology)
            for position_map, crop in zip(self.position_maps(crops), crops, strict=True)
        ]

    def mesh(self, face: PhotoFace) -> Mesh:
        """A face's surface in millimetres."""
        return mesh_in_millimetres(face.vertices_px, self.triangles, face.landmarks_px)

    @cached_property
    def _forward(self) -> Callable[[FloatArray], FloatArray]:
        import keras

        model = self.model
        if keras.backend.backend() != "tensorflow":
            return lambda pixels: np.asarray(model.predict_on_batch(pixels), np.float32)
        import tensorflow as tf

        signature = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)]
        forward = tf.function(lambda pixels: model(pixels, training=False), input_signature=signature)
        return lambda pixels: np.asarray(forward(tf.constant(pixels)))


def _batches(crops: Sequence[Crop]) -> Iterator[FloatArray]:
    for first in range(0, len(crops), BATCH):
        yield np.stack([crop.pixels for crop in crops[first : first + BATCH]])


def crop_for(picture: Picture, face: Face) -> Crop:
    """PRNet's crop of a face: by Dlib's rectangle where there is one, else by the face's box."""
    square = box_square(face.box) if face.rectangle is None else dlib_square(face.rectangle)
    return square_crop(picture, *square)


def photo_face(position_map: FloatArray, crop: Crop, topology: Topology) -> PhotoFace:
    """The mesh and landmarks of a position map (256, 256, 3), moved from the crop back into the photo."""
    vertices = crop.restore(topology.vertices(position_map))
    return PhotoFace(vertices, crop.restore(topology.landmark_points(position_map)))
