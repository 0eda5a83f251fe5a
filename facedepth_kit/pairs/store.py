"""The pair store: ground truth and degraded depth images on disk, in shards, written once and read lazily.

A store is a folder with ``store.json`` (settings, seed, count) and shards of ``.npy`` arrays, each written under a
temporary name and renamed, so that a killed run leaves whole shards only and the next run goes on behind
them. Every pair has its own random stream, drawn from (seed, index): the store's content depends
neither on the number of workers nor on where a run was cut.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import from_dict, settings_hash, to_dict
from facedepth_kit.depth import CAMERA_SPAN_MM, DepthImage, DepthRange, from_millimetres, own_range
from facedepth_kit.faces.people.parametric import FaceParameters, FaceSettings, draw_face, face_mesh
from facedepth_kit.pairs.degradation import DegradationSettings, HoleValues, degrade
from facedepth_kit.rendering.camera import fit_camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import render_depth_mm

SHARD = 64
FORMAT = 1
MIXED: tuple[HoleValues, ...] = ("keep", "random", "blurred")


@dataclass(frozen=True)
class SynthesisSettings:
    """How pairs are made.

    ``fill`` is the share of the image that the face's longer side takes (``head_fill`` for whole heads), ``offset``
    the shift of its centre as a share of the free margin, ``distance_mm`` the paper's 0.5 m. ``span``: "own" scales
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


def shard_path(folder: Path, shard: int, what: str) -> Path:
    """A shard's file of "ground_truth", "range" or "degraded"; the last one is there when the shard is whole."""
    return folder / f"shard_{shard:05d}_{what}.npy"


def _save(path: Path, array: npt.NDArray[Any]) -> None:
    # The store owns these names, and a leftover temporary file of a killed run is simply replaced.
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        np.save(file, array)
    os.replace(temporary, path)


def _write_shard(folder: Path, shard: int, first: int, last: int, seed: int, settings: SynthesisSettings) -> int:
    import cv2

    cv2.setNumThreads(1)
    write_shard(folder, shard, [make_pair(seed, index, settings) for index in range(first, last)])
    return last - first


def write_shard(folder: Path, shard: int, pairs: Sequence[Pair]) -> None:
    """Write the arrays of a shard, at most ``SHARD`` pairs."""
    _save(shard_path(folder, shard, "ground_truth"), np.stack([p.ground_truth for p in pairs]))
    _save(
        shard_path(folder, shard, "range"), np.asarray([(p.depth_range.near_mm, p.depth_range.span_mm) for p in pairs])
    )
    # Last, because its presence marks the shard as whole.
    _save(shard_path(folder, shard, "degraded"), np.stack([p.degraded for p in pairs]))


def _prepare(folder: Path, count: int, seed: int, settings: SynthesisSettings, overwrite: bool) -> None:
    """Create ``store.json``, or check that an existing one describes the same pairs; it may grow, never change."""
    description = describe(count, seed, settings)
    known = prepare_folder(folder, description, overwrite)
    if known is not None:
        if count < known["count"]:
            raise KitError(
                f"{folder / 'store.json'}: found {known['count']} pairs, expected at most {count}; "
                "choose another folder or --overwrite"
            )
        if count > known["count"] and known["count"] % SHARD:
            shard_path(folder, known["count"] // SHARD, "degraded").unlink(missing_ok=True)  # the last shard grows
    write_description(folder, description)


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


def prepare_folder(folder: Path, description: dict[str, Any], overwrite: bool) -> dict[str, Any] | None:
    """Make a store's folder ready; returns the description of a store that is there and can be gone on with.

    Raises :class:`KitError` for a file, for a folder with other files, and for a store of other pairs.
    """
    path = folder / "store.json"
    if folder.exists() and not folder.is_dir():
        raise KitError(f"{folder}: found a file, expected a folder for the pair store")
    if path.exists() and overwrite:
        for old in folder.glob("shard_*"):
            old.unlink()
        path.unlink()
    if path.exists():
        known = _read_description(folder)
        for name in ("format", "seed", "shard", "settings", "faces"):
            if known.get(name) != description.get(name):
                raise KitError(
                    f"{path}: found another {name}, expected the same to resume; choose another folder or --overwrite"
                )
        return known
    if folder.exists() and any(folder.iterdir()):
        raise KitError(f"{folder}: found other files, expected an empty folder or a pair store")
    folder.mkdir(parents=True, exist_ok=True)
    return None


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write ``store.json``, whole or not at all."""
    path = folder / "store.json"
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def synthesize(
    output: str | Path,
    count: int,
    *,
    seed: int,
    settings: SynthesisSettings | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> PairStore:
    """Write (or go on writing) a store of ``count`` pairs and open it.

    Call it again after a kill with the same arguments: whole shards are kept, the rest is written; a larger
    ``count`` extends the store. ``workers`` is the number of processes (default: one a core). Raises
    :class:`KitError` if the folder holds something else.
    """
    if count < 1:
        raise KitError(f"count: found {count}, expected 1 or more pairs")
    settings = settings or SynthesisSettings()
    folder = Path(output)
    _prepare(folder, count, seed, settings, overwrite)
    jobs = [
        (shard, first, min(first + SHARD, count))
        for shard, first in enumerate(range(0, count, SHARD))
        if not shard_path(folder, shard, "degraded").exists()
    ]
    workers = min(workers or os.cpu_count() or 1, max(len(jobs), 1))
    for _ in _progress(_run(folder, jobs, seed, settings, workers), jobs, progress):
        pass
    return PairStore(folder)


def _run(
    folder: Path, jobs: list[tuple[int, int, int]], seed: int, settings: SynthesisSettings, workers: int
) -> Iterator[int]:
    if workers <= 1:
        for job in jobs:
            yield _write_shard(folder, *job, seed, settings)
        return
    # spawn: a forked child of a process that has started TensorFlow or OpenCV threads can deadlock
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_write_shard, folder, *job, seed, settings) for job in jobs]
        for future in as_completed(futures):
            yield future.result()


def _progress(done: Iterator[int], jobs: list[tuple[int, int, int]], show: bool) -> Iterator[int]:
    from tqdm.auto import tqdm

    with tqdm(total=sum(last - first for _, first, last in jobs), desc="pairs", unit="pair", disable=not show) as bar:
        for number in done:
            bar.update(number)
            yield number


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "store.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise KitError(
            f"{folder}: found no store.json, expected a pair store (facedepth synthesize writes one)"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise KitError(f"{path}: found no readable JSON, expected a pair store's description") from None
    if description.get("format") != FORMAT:
        raise KitError(f"{path}: found format {description.get('format')}, expected {FORMAT}")
    return description


class PairStore:
    """A pair store opened for reading; shards are memory-mapped, nothing is read before it is asked for.

    Raises :class:`KitError` where the folder is no store or a shard is missing or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        description = _read_description(self.folder)
        self.count: int = description["count"]
        self.seed: int = description["seed"]
        self.settings = from_dict(SynthesisSettings, description["settings"])
        self._origin = str(description.get("origin", ""))

    def __len__(self) -> int:
        return self.count

    @property
    def fingerprint(self) -> str:
        """Changes whenever the content would: settings, seed and count, and the photos, if it comes from photos."""
        origin = f"-{self._origin}" if self._origin else ""
        return f"{settings_hash(self.settings)}-{self.seed}-{self.count}{origin}"

    def _shard(self, shard: int, what: str) -> npt.NDArray[Any]:
        path = shard_path(self.folder, shard, what)
        expected = min(SHARD, self.count - shard * SHARD)
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise KitError(
                f"{path}: missing, the store is not complete; run facedepth synthesize again to finish it"
            ) from None
        except (ValueError, EOFError, OSError) as error:
            raise KitError(f"{path}: found no readable array ({error}), expected {expected} images") from None
        if len(array) != expected:
            raise KitError(f"{path}: found {len(array)} images, expected {expected}")
        return array

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < self.count:
            raise IndexError(f"pair {index} of {self.count}")
        shard, place = divmod(index, SHARD)
        near_mm, span_mm = self._shard(shard, "range")[place]
        return Pair(
            np.array(self._shard(shard, "ground_truth")[place]),
            np.array(self._shard(shard, "degraded")[place]),
            DepthRange(float(near_mm), float(span_mm)),
        )

    def batch(self, indices: npt.ArrayLike, variant: int = 0) -> tuple[DepthImage, DepthImage]:
        """Ground truth and degraded images, uint16 (n, 256, 256) each, of the given pairs and one degradation
        variant."""
        pairs = [self[int(i)] for i in np.asarray(indices).ravel()]
        return np.stack([p.ground_truth for p in pairs]), np.stack([p.degraded[variant] for p in pairs])

    def batches(self, size: int, *, variant: int = 0) -> Iterator[tuple[DepthImage, DepthImage]]:
        """Consecutive batches of at most ``size`` pairs from first to last."""
        for first in range(0, self.count, size):
            yield self.batch(range(first, min(first + size, self.count)), variant)
