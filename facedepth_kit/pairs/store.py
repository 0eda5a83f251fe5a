"""The pair store: ground truth and degraded depth images on disk, in shards, written once and read lazily.

A store is a folder with ``store.json`` and shards of at most ``shard`` (64) pairs, three NumPy files each:

==============================  ==================================================================================
``store.json``                  ``count`` pairs, ``seed``, ``shard``, the ``settings``, ``format`` 1
``shard_00000_ground_truth``    uint16 (n, 256, 256); 65535 is a hole, 0 to 65534 run from near to far
``shard_00000_range``           float64 (n, 2): millimetres from the camera at 0, and from there to 65534
``shard_00000_degraded``        uint16 (n, variants, 256, 256), a variant for each of the settings' ``hole_values``
``shard_00000_photos.json``     stores of photos only: which photo and which of its faces each pair comes from
==============================  ==================================================================================

Pair i lies in shard i // 64 at place i % 64. Nothing but NumPy is needed to read it, here as a data set for PyTorch::

    import json, numpy, torch

    class Pairs(torch.utils.data.Dataset):
        def __init__(self, folder):
            self.folder, self.about = folder, json.load(open(f"{folder}/store.json"))
        def __len__(self):
            return self.about["count"]
        def __getitem__(self, index):
            shard, place = divmod(index, self.about["shard"])
            files = (f"{self.folder}/shard_{shard:05d}_{what}.npy" for what in ("degraded", "ground_truth"))
            degraded, truth = (numpy.load(file, mmap_mode="r")[place] for file in files)
            return torch.tensor(degraded[0] / 65535.0).float(), torch.tensor(truth / 65535.0).float()

Every shard is written under a temporary name and renamed, its degraded images last: where they are, it is whole, and a
killed run goes on behind it. Every pair has its own random stream, drawn from (seed, index): the store's bytes depend
neither on the number of workers nor on where a run was cut.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.arrays import Kind, read_npy
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.jobs import cores, run_jobs
from facedepth_kit.common.parts import is_tidy, open_parts, read_description, write_description
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.common.settings import check_bounds, from_dict, settings_hash, to_dict
from facedepth_kit.depth import (
    CAMERA_SPAN_MM,
    SIZE,
    DepthImage,
    DepthRange,
    from_millimetres,
    own_range,
    read_png,
    write_png,
)
from facedepth_kit.faces.people.parametric import FaceParameters, FaceSettings, draw_face, face_mesh
from facedepth_kit.networks.cards import Faces
from facedepth_kit.pairs.degradation import DegradationSettings, HoleValues, degrade
from facedepth_kit.rendering.camera import fit_camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import render_depth_mm

SHARD = 64
FORMAT = 1
STORE = "store.json"
HOLDS = "a pair store (facedepth synthesize writes one)"
PARTS = ("shard_*",)
MIXED: tuple[HoleValues, ...] = ("keep", "random", "blurred")


@dataclass(frozen=True)
class SynthesisSettings:
    """How pairs are made.

    ``fill`` is the share of the image that the face's longer side takes (``head_fill`` for whole heads), ``offset``
    the shift of its centre as a share of the free margin, ``distance_mm`` the camera's (0.5 m, ours).
    ``span``: "own" scales
    each ground truth to its face's own depth range (what the published filter rows imply for the paper's synthetic
    data), "camera" to 25 cm as camera images, "mixed" to anything between the own range and 30 cm. ``hole_values``:
    one degraded image per entry ("keep", "random", "blurred"); the paper's DL-Delta training uses all three (section
    IV-C).
    """

    faces: FaceSettings = field(default_factory=FaceSettings)
    degradation: DegradationSettings = field(default_factory=DegradationSettings)
    fill: tuple[float, float] = (0.82, 0.98)
    head_fill: tuple[float, float] = (0.75, 1.35)
    offset: float = 0.6
    distance_mm: float = 500.0
    span: Literal["own", "camera", "mixed"] = "own"
    hole_values: tuple[HoleValues, ...] = ("keep",)

    def __post_init__(self) -> None:
        check_bounds(self, fill=(0.05, 2), head_fill=(0.05, 2), offset=(0, 1), distance_mm=(100, 10_000))
        if not 1 <= len(self.hole_values) <= 16:
            raise KitError(f"hole_values: found {len(self.hole_values)} entries, expected 1 to 16")


@dataclass(frozen=True)
class Pair:
    """One ground truth (uint16 (256, 256)), its degraded images (variants, 256, 256) and what its values mean in
    millimetres."""

    ground_truth: DepthImage
    degraded: DepthImage
    depth_range: DepthRange


def render_ground_truth(
    parameters: FaceParameters, settings: SynthesisSettings, rng: np.random.Generator
) -> tuple[DepthImage, DepthRange]:
    """The ground truth image of a face and its depth range (section III-A, with the parametric face in PRNet's
    place)."""
    return render_mesh(face_mesh(parameters), settings, rng, head=parameters.extent == "head")


def render_mesh(
    mesh: Mesh, settings: SynthesisSettings, rng: np.random.Generator, *, head: bool = False
) -> tuple[DepthImage, DepthRange]:
    """The ground truth image of any face's mesh and its depth range, by a camera drawn from the settings.

    Raises :class:`KitError` for a mesh that reaches the camera or shows nothing.
    """
    offset = rng.uniform(-settings.offset, settings.offset, 2)
    fill = rng.uniform(*(settings.head_fill if head else settings.fill))
    camera = fit_camera(mesh, fill=fill, offset=(offset[0], offset[1]), distance_mm=settings.distance_mm)
    depth_mm = render_depth_mm(mesh, camera)
    depth_range = own_range(depth_mm)
    if settings.span == "camera":
        depth_range = DepthRange(depth_range.near_mm, CAMERA_SPAN_MM)
    elif settings.span == "mixed":
        depth_range = DepthRange(depth_range.near_mm, max(depth_range.span_mm, rng.uniform(depth_range.span_mm, 300.0)))
    return from_millimetres(depth_mm, depth_range), depth_range


def make_pair(seed: int, index: int, settings: SynthesisSettings) -> Pair:
    """The pair number ``index`` of the store with this seed: the same at any time, on any worker."""
    rng = np.random.default_rng([seed, index])
    return degrade_pair(*render_ground_truth(draw_face(rng, settings.faces), settings, rng), settings, rng)


def degrade_pair(
    ground_truth: DepthImage, depth_range: DepthRange, settings: SynthesisSettings, rng: np.random.Generator
) -> Pair:
    """A ground truth with its degraded images, one for each of the settings' hole values."""
    degraded = [
        degrade(ground_truth, depth_range=depth_range, settings=settings.degradation, rng=rng, hole_values=values)
        for values in settings.hole_values
    ]
    return Pair(ground_truth, np.stack(degraded), depth_range)


# --- Writing --------------------------------------------------------------------------------------------------------


def shard_path(folder: Path, shard: int, what: str) -> Path:
    """A shard's file of "ground_truth", "range" or "degraded"; the last one is there when the shard is whole."""
    return folder / f"shard_{shard:05d}_{what}.npy"


def write_shard(folder: Path, shard: int, pairs: Sequence[Pair]) -> None:
    """Write the arrays of a shard, at most ``SHARD`` pairs; the one whose presence marks it as whole last."""
    ranges = np.asarray([(pair.depth_range.near_mm, pair.depth_range.span_mm) for pair in pairs])
    for what, array in (
        ("ground_truth", np.stack([pair.ground_truth for pair in pairs])),
        ("range", ranges),
        ("degraded", np.stack([pair.degraded for pair in pairs])),
    ):
        content = io.BytesIO()
        np.save(content, array)
        with write_atomically(shard_path(folder, shard, what), overwrite=True) as temporary:
            temporary.write_bytes(content.getbuffer())


def describe(count: int, seed: int, settings: SynthesisSettings) -> dict[str, Any]:
    """What ``store.json`` holds of a store of parametric faces; others add ``faces`` and ``origin``."""
    return {
        "format": FORMAT,
        "count": count,
        "seed": seed,
        "shard": SHARD,
        "settings": to_dict(settings),
        "simulated": True,
    }


def open_for_writing(
    folder: Path, description: Mapping[str, Any], overwrite: bool
) -> AbstractContextManager[dict[str, Any] | None]:
    """Hold a store's folder for one run (:func:`facedepth_kit.common.parts.open_parts`)."""
    return open_parts(
        folder,
        description,
        name=STORE,
        fixed=("format", "seed", "shard", "settings", "faces"),
        parts=PARTS,
        holds=HOLDS,
        overwrite=overwrite,
    )


def synthesize(
    output: str | Path,
    count: int,
    *,
    seed: int,
    settings: SynthesisSettings | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> PairStore:
    """Write (or go on writing) a store of ``count`` pairs and open it.

    Call it again after a kill with the same arguments: whole shards are kept, the rest is written; a larger
    ``count`` extends the store. ``workers`` is the number of processes (default: one a core); ``executor`` runs the
    work elsewhere, on machines that see the folder or send their pairs here. Raises :class:`KitError` if the folder
    holds something else, while another run writes to it, and when the disk is full; what is there stays whole.
    """
    if count < 1:
        raise KitError(f"count: found {count}, expected 1 or more pairs")
    settings = settings or SynthesisSettings()
    folder = Path(output).absolute()
    description = describe(count, seed, settings)
    if not overwrite and _complete(folder, description):
        return PairStore(output)
    with open_for_writing(folder, description, overwrite) as known:
        before = count if known is None else _read_description(folder).count
        if count < before:
            expected = f"at most {count}; choose another folder or --overwrite"
            raise KitError(f"{folder / STORE}: found {before} pairs, expected {expected}")
        if count > before and before % SHARD:
            shard_path(folder, before // SHARD, "degraded").unlink(missing_ok=True)  # the last shard grows
        write_description(folder / STORE, description)
        _make_shards(folder, count, seed, settings, workers or cores(), executor, progress)
    return PairStore(output)


def _complete(folder: Path, description: Mapping[str, Any]) -> bool:
    """Whether there is nothing to do, so that many may open a store at once."""
    if not (folder / STORE).is_file() or read_description(folder / STORE, HOLDS) != description:
        return False
    return is_tidy(folder, PARTS) and not any(True for _ in _missing(folder, description["count"]))


def _missing(folder: Path, count: int) -> Iterator[tuple[int, int, int]]:
    """Number, first and last pair of the shards that are still to be made."""
    for shard, first in enumerate(range(0, count, SHARD)):
        if not shard_path(folder, shard, "degraded").exists():
            yield shard, first, min(first + SHARD, count)


def _make_shards(
    folder: Path,
    count: int,
    seed: int,
    settings: SynthesisSettings,
    workers: int,
    executor: Executor | None,
    progress: bool,
) -> None:
    from tqdm.auto import tqdm

    whole = (folder / STORE).read_bytes()
    total = sum(last - first for _, first, last in _missing(folder, count))
    results = run_jobs(
        _make_shard,
        ((folder, whole, *shard, seed, settings) for shard in _missing(folder, count)),
        name=lambda folder, whole, shard, first, last, *rest: f"pairs {first} to {last - 1}",
        workers=min(workers, -(-total // SHARD)),
        executor=executor,
    )
    with tqdm(total=total, desc="pairs", unit="pair", disable=not progress) as bar:
        for shard, number, pairs in results:
            if pairs is not None:
                write_shard(folder, shard, pairs)
            bar.update(number)


def _make_shard(
    folder: Path, description: bytes, shard: int, first: int, last: int, seed: int, settings: SynthesisSettings
) -> tuple[int, int, list[Pair] | None]:
    """Make a shard and write it, if this machine sees the store (as ``description`` tells); else hand its pairs back.

    A job whose client has gone does neither harm nor work when the folder has become another store's meanwhile.
    """
    pairs = [make_pair(seed, index, settings) for index in range(first, last)]
    try:
        here = (folder / STORE).read_bytes() == description
    except OSError:
        here = False
    if here:
        write_shard(folder, shard, pairs)
    return shard, last - first, None if here else pairs


def write_images(store: PairStore, folder: str | Path, *, overwrite: bool = False, progress: bool = True) -> None:
    """Write a store's pairs as single 16-bit PNGs as well, to be looked at, and for ``facedepth enhance --normalized``.

    Pair 7 becomes ``ground_truth/000007.png`` and ``degraded/000007.png``, further hole values ``degraded_1/`` and so
    on. What is there and the same stays, so that a killed run goes on. Raises :class:`KitError` for an image that
    differs, unless ``overwrite``.
    """
    from tqdm.auto import tqdm

    for index in tqdm(range(len(store)), desc="images", unit="pair", disable=not progress):
        pair = store[index]
        images = {"ground_truth": pair.ground_truth, "degraded": pair.degraded[0]}
        images |= {f"degraded_{number}": image for number, image in enumerate(pair.degraded[1:], start=1)}
        for kind, image in images.items():
            path = Path(folder) / kind / f"{index:06d}.png"
            if overwrite or not path.exists():
                write_png(path, image, overwrite=overwrite)
            elif not np.array_equal(read_png(path), image):
                raise KitError(f"{path}: found another image, expected none or pair {index} (--overwrite replaces it)")


# --- Reading --------------------------------------------------------------------------------------------------------


class Description(msgspec.Struct, frozen=True):
    """``store.json`` as it lies on disk; settings are looked at when the store is opened."""

    format: int
    count: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    shard: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    settings: dict[str, Any]
    origin: str = ""


def _read_description(folder: Path) -> Description:
    found = read_description(folder / STORE, HOLDS).get("format")
    if found != FORMAT:
        raise KitError(f"{folder / STORE}: found format {str(found)[:20]}, expected {FORMAT}")
    return read_description(folder / STORE, HOLDS, Description)


class PairStore:
    """A pair store opened for reading; shards are memory-mapped, nothing is read before it is asked for.

    Raises :class:`KitError` where the folder is no store or a shard is missing or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        description = _read_description(self.folder)
        self.count, self.seed, self._size = description.count, description.seed, description.shard
        try:
            self.settings = from_dict(SynthesisSettings, description.settings, name="settings.")
        except KitError as error:
            raise KitError(f"{self.folder / STORE}: {error}") from None
        self._origin = description.origin
        self._mapped: dict[tuple[int, str], npt.NDArray[Any]] = {}
        if self.count < 1:
            raise KitError(f"{self.folder}: found no pairs yet, expected some; run facedepth synthesize again to go on")

    def __len__(self) -> int:
        return self.count

    @property
    def fingerprint(self) -> str:
        """Changes whenever the content would: settings, seed and count, and the photos, if it comes from photos."""
        origin = f"-{self._origin}" if self._origin else ""
        return f"{settings_hash(self.settings)}-{self.seed}-{self.count}{origin}"

    @property
    def faces(self) -> Faces:
        """Whose faces these are, for the check that nobody is tested on faces it was trained on."""
        if self._origin:
            return Faces(f"photos {self._origin}", 0, self.count)
        return Faces("parametric", self.seed, self.count)

    def _shard(self, shard: int, what: str) -> npt.NDArray[Any]:
        if (shard, what) not in self._mapped:
            self._mapped[shard, what] = self._read_shard(shard, what)
        return self._mapped[shard, what]

    def _read_shard(self, shard: int, what: str) -> npt.NDArray[Any]:
        path = shard_path(self.folder, shard, what)
        if not path.exists():
            raise KitError(f"{path}: missing, the store is not complete; run facedepth synthesize again to finish it")
        count = min(self._size, self.count - shard * self._size)
        if what == "range":
            return read_npy(path, Kind("float64", (count, 2)), mapped=True)
        variants = (len(self.settings.hole_values),) if what == "degraded" else ()
        return read_npy(path, Kind("uint16", (count, *variants, SIZE, SIZE)), mapped=True)

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < self.count:
            raise IndexError(f"pair {index} of {self.count}")
        shard, place = divmod(index, self._size)
        near_mm, span_mm = self._shard(shard, "range")[place]
        try:
            depth_range = DepthRange(float(near_mm), float(span_mm))
        except KitError as error:
            raise KitError(f"{shard_path(self.folder, shard, 'range')}: {error}") from None
        truth, degraded = (np.array(self._shard(shard, what)[place]) for what in ("ground_truth", "degraded"))
        return Pair(truth, degraded, depth_range)

    def batch(self, indices: npt.ArrayLike, variant: int = 0) -> tuple[DepthImage, DepthImage]:
        """Ground truth and degraded images, uint16 (n, 256, 256) each, of the given pairs and one degradation
        variant."""
        pairs = [self[int(i)] for i in np.asarray(indices).ravel()]
        return np.stack([p.ground_truth for p in pairs]), np.stack([p.degraded[variant] for p in pairs])

    def batches(self, size: int, *, variant: int = 0) -> Iterator[tuple[DepthImage, DepthImage]]:
        """Consecutive batches of at most ``size`` pairs from first to last."""
        for first in range(0, self.count, size):
            yield self.batch(range(first, min(first + size, self.count)), variant)
