"""PRNet (Feng et al. 2018): from a photo to a position map, the paper's source of 3D faces (section III-A).

The network stands in ``networks/prnet.py``. Its weights are not part of the kit: the user fetches them; they are
checked before they are read, and reading executes no code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

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
from facedepth_kit.networks.forward import compiled_forward
from facedepth_kit.networks.prnet import build_prnet, variables
from facedepth_kit.networks.weights import DATA_SUFFIX, INDEX_SUFFIX, load_tensorflow_checkpoint, sha256_of
from facedepth_kit.rendering.mesh import Mesh

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

REPOSITORY = "github.com/YadiraF/PRNet"
NET_FOLDER, UV_FOLDER = Path("Data/net-data"), Path("Data/uv-data")
CHECKPOINT = NET_FOLDER / "256_256_resfcn256_weight"
INDEX_BYTES, DATA_BYTES = 20_319, 160_290_984
DATA_SHA256 = "59d338bf0c21b10be813f17f84042c9d3a5bf318e588855ff2b2c041c25bb91a"
TERMS = "code MIT; the weights for research purposes, by the terms of their training data"

REACH = 1.1  # the sigmoid's 1 stands for this many crop sides: faces may reach a little beyond the crop
BATCH = 8


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
    digest = sha256_of(path)
    if digest != DATA_SHA256:
        raise KitError(f"{path}: found SHA-256 {digest[:12]}..., expected {DATA_SHA256[:12]}... of the official file")


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
        self.model = build_prnet()
        load_tensorflow_checkpoint(prefix, variables(self.model), "PRNet")
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
            digest.update(bytes.fromhex(sha256_of(path)))
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
        return compiled_forward(self.model)


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
