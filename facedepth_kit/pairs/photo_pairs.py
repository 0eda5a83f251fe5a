"""Pairs of photos: the paper's own way to ground truth, into the same pair store as the parametric faces.

Photo, 3D face (``faces/photos/reconstruction.py``), depth image, degraded images. The paper says no more of its camera
than "depth rendering": a ground truth need not lie where the face lies in the photo. So the camera is the parametric
faces': half a metre away, its focal length and place drawn so that the face fills most of the image. A face's pair has
its own random stream, drawn from the seed, the photo's path in the folder and the face's number in the photo.

Which photo each pair comes from, and which photos gave none and why, stands beside each shard in
``shard_NNNNN_photos.json``; it also tells a killed run where to go on.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.jobs import run_jobs
from facedepth_kit.common.parts import write_description
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.photos.reconstruction import (
    BATCH,
    MeshSource,
    Which,
    photo_files,
    reconstruct,
)
from facedepth_kit.faces.photos.screening import Found, SideLengthRanges, edges, side_lengths, topology_digest
from facedepth_kit.pairs.store import (
    SHARD,
    STORE,
    Pair,
    PairStore,
    SynthesisSettings,
    degrade_pair,
    describe,
    open_for_writing,
    render_mesh,
    shard_path,
    write_shard,
)

NO_FACE, DEFORMED, UNREADABLE = "no face", "deformed", "unreadable"
Entry = dict[str, Any]
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PhotoCounts:
    """What became of a folder's photos: pairs made of them, and how many gave none for which reason."""

    pairs: int
    no_face: int
    deformed: int
    unreadable: int


def synthesize_photos(
    photos: str | Path,
    output: str | Path,
    source: MeshSource,
    *,
    seed: int,
    settings: SynthesisSettings | None = None,
    which: Which = "largest",
    ranges: SideLengthRanges | None = None,
    wanted: Callable[[str], bool] | None = None,
    count: int | None = None,
    workers: int = 1,
    executor: Executor | None = None,
    overwrite: bool = False,
    progress: bool = True,
    on_problem: Callable[[str], object] = lambda line: None,
) -> tuple[PairStore, PhotoCounts]:
    """Write (or go on writing) a pair store of the photos in a folder and its subfolders, and open it.

    ``which`` faces of a photo; ``ranges`` leave out deformed ones; ``wanted`` says by a photo's path in the folder
    whether it counts (:func:`kept_photos`). ``count`` stops at so many pairs. Photos
    that cannot be read, show no face or a deformed one are skipped; unreadable ones are reported to ``on_problem``, a
    line each. ``workers`` is the number of processes (a network by itself uses several cores); ``executor`` runs the
    work elsewhere, on machines that see the photos. Called again after a kill, or with more photos in the folder, it
    keeps what is there and goes on; the store can be opened at any moment. Raises :class:`KitError` if the output
    holds something else, while another run writes to it, when the disk is full, or if no photo gave a face.
    """
    settings, photos, folder = settings or SynthesisSettings(), Path(photos).absolute(), Path(output).absolute()
    if ranges is not None and ranges.topology != topology_digest(source.triangles):
        raise KitError(f"ranges: found those of {ranges.source}, expected those of {source.name}")
    names = [path.relative_to(photos).as_posix() for path in photo_files(photos)]
    names = [name for name in names if wanted is None or wanted(name)]
    if not names:
        raise KitError(f"{photos}: found no photos, expected some there or in its subfolders")
    marks = "" if ranges is None else hashlib.sha256(ranges.low.tobytes() + ranges.high.tobytes()).hexdigest()[:12]
    kind = {"photos": which, "source": source.fingerprint, "ranges": marks, "streams": "of photos"}
    description = describe(0, seed, settings) | {"faces": kind, "origin": ""}
    with open_for_writing(folder, description, overwrite) as known:
        store = _Store(folder, description)
        if count is not None and store.pairs > count:
            raise KitError(
                f"{folder}: found {store.pairs} pairs, expected at most {count}; choose another folder or --overwrite"
            )
        if known is None or (store.pairs != count and not store.done.issuperset(names)):
            store.drop_partial()
            waiting = [name for name in names if name not in store.done]
            results = run_jobs(
                _make_pairs,
                (
                    (photos, waiting[first : first + BATCH], source, which, ranges, settings, seed)
                    for first in range(0, len(waiting), BATCH)
                ),
                name=lambda photos, batch, *rest: f"photos {batch[0]} to {batch[-1]}",
                workers=workers,
                executor=executor,
            )
            with closing(results):
                made = (one for batch in results for one in batch)
                _store_pairs(store, made, count, len(waiting), progress, on_problem)
        store.write_description()
    if not store.pairs:
        raise KitError(f"{photos}: found no face that can be used in {len(names)} photos, expected one or more")
    return PairStore(output), PhotoCounts(
        store.pairs, store.skipped[NO_FACE], store.skipped[DEFORMED], store.skipped[UNREADABLE]
    )


@dataclass(frozen=True)
class _Made:
    """What became of a photo: its faces' pairs by their number, or why there are none; what there is to report."""

    name: str
    pairs: dict[int, Pair]
    reason: str = ""
    problem: str = ""


def _make_pairs(
    photos: Path,
    names: Sequence[str],
    source: MeshSource,
    which: Which,
    ranges: SideLengthRanges | None,
    settings: SynthesisSettings,
    seed: int,
) -> list[_Made]:
    """The pairs of a few photos."""
    sides = edges(source.triangles)
    made = []
    for name, result in zip(names, reconstruct((photos / name for name in names), source, which=which), strict=True):
        if result.problem or not result.faces:
            made.append(_Made(name, {}, UNREADABLE if result.problem else NO_FACE, result.problem))
            continue
        pairs = {}
        stream = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "little")
        for number, face in enumerate(result.faces):
            if ranges is not None and ranges.deformed(ranges.shape(side_lengths(face.vertices_px, sides))):
                continue
            rng = np.random.default_rng([seed, stream, number])
            try:
                truth, depth_range = render_mesh(source.mesh(face), settings, rng)
            except KitError:
                continue  # deformed beyond drawing
            pairs[number] = degrade_pair(truth, depth_range, settings, rng)
        made.append(_Made(name, pairs, "" if pairs else DEFORMED))
    return made


def _store_pairs(
    store: _Store,
    results: Iterable[_Made],
    count: int | None,
    total: int,
    progress: bool,
    on_problem: Callable[[str], object],
) -> None:
    from tqdm.auto import tqdm

    for made in tqdm(results, total=total, desc="photos", unit="photo", disable=not progress):
        if made.problem:
            on_problem(made.problem)
        store.add(made)
        while len(store.waiting) >= SHARD or (count is not None and store.pairs + len(store.waiting) >= count):
            store.write(SHARD if count is None else min(SHARD, count - store.pairs))
            if store.pairs == count:
                return
    store.write(len(store.waiting))


class _Store:
    """The folder: whole shards with where their pairs come from, and what waits to be written.

    ``done``: photos that need no further look. ``begun``: faces that are stored of a photo whose other faces are not.
    ``skipped`` counts photos by the reason why they gave no pair.
    """

    def __init__(self, folder: Path, description: Entry) -> None:
        self.path = folder
        self.description = description
        self.waiting: list[tuple[Pair, Entry]] = []
        self._skips: list[Entry] = []
        self._read()

    def _read(self) -> None:
        self.done: set[str] = set()
        self.begun: set[tuple[str, int]] = set()
        self.skipped: Counter[str] = Counter()
        self.shards, self.pairs, self._origin, self._last = 0, 0, "", 0
        for content in self._contents():
            self._take(content)

    def _contents(self) -> Iterator[Entry]:
        rest = self._notes("rest")
        if rest.is_file():
            yield _read_json(rest)
        while shard_path(self.path, self.shards, "degraded").exists():
            notes = self._notes(f"{self.shards:05d}")
            content = _read_json(notes)
            if not content["pairs"]:
                raise KitError(f"{notes}: found no photos, expected those of a shard")
            yield content

    def _notes(self, which: str) -> Path:
        return self.path / f"shard_{which}_photos.json"

    def _take(self, content: Entry) -> None:
        for entry in content["pairs"]:
            self.begun.add((entry["photo"], entry["face"]))
            if entry.get("last"):
                self.done.add(entry["photo"])
        self.begun = {(name, face) for name, face in self.begun if name not in self.done}
        for entry in content["skipped"]:
            self.done.add(entry["photo"])
            self.skipped[entry["reason"]] += 1
        if content["pairs"]:
            self.shards += 1
            self.pairs += len(content["pairs"])
            self._last = len(content["pairs"])
            chain = self._origin + json.dumps(content["pairs"], sort_keys=True)
            self._origin = hashlib.sha256(chain.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    def drop_partial(self) -> None:
        """A finished run's last shard, if it has room: it is made anew with what comes now."""
        if self.shards and self._last < SHARD:
            shard_path(self.path, self.shards - 1, "degraded").unlink()
            self._read()

    def add(self, made: _Made) -> None:
        """Let a photo's pairs wait for their shard, those that are stored already left out."""
        if made.reason:
            self._skips.append({"photo": made.name, "reason": made.reason})
            return
        new = [number for number in made.pairs if (made.name, number) not in self.begun]
        for number in new:
            self.waiting.append((made.pairs[number], {"photo": made.name, "face": number}))
        if new:
            self.waiting[-1][1]["last"] = True
        else:
            self.done.add(made.name)

    def write(self, count: int) -> None:
        """Write the first ``count`` waiting pairs as a shard, or, without any, the photos skipped since the last."""
        content: Entry = {"pairs": [entry for _, entry in self.waiting[:count]], "skipped": self._skips}
        if count:
            _write_json(self._notes(f"{self.shards:05d}"), content)
            write_shard(self.path, self.shards, [pair for pair, _ in self.waiting[:count]])
        elif self._skips:
            rest = self._notes("rest")
            earlier = _read_json(rest)["skipped"] if rest.is_file() else []
            _write_json(rest, {"pairs": [], "skipped": [*earlier, *self._skips]})
        self.waiting, self._skips = self.waiting[count:], []
        self._take(content)
        self.write_description()

    def write_description(self) -> None:
        """Say in ``store.json`` what is there."""
        write_description(self.path / STORE, self.description | {"count": self.pairs, "origin": self._origin})


class _FromPhoto(TypedDict):
    photo: str
    face: int
    last: NotRequired[bool]


class _Skipped(TypedDict):
    photo: str
    reason: str


class _Notes(TypedDict):
    """``shard_NNNNN_photos.json``."""

    pairs: list[_FromPhoto]
    skipped: list[_Skipped]


def _read_json(path: Path) -> Entry:
    if not path.exists():
        raise KitError(f"{path}: missing, the store does not say which photos it holds; --overwrite starts anew")
    return dict(read_json(path, _Notes))


def _write_json(path: Path, content: Entry) -> None:
    with write_atomically(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")


# --- Meshes for screening -------------------------------------------------------------------------------------------


def photo_meshes(source: MeshSource, which: Which = "largest") -> Callable[[Iterable[Path]], Iterator[Found]]:
    """What :func:`facedepth_kit.faces.photos.screening.screen` asks for: the mesh of each photo's largest face."""

    def meshes(paths: Iterable[Path]) -> Iterator[Found]:
        for result in reconstruct(paths, source, which=which):
            vertices = result.faces[0].vertices_px if result.faces else None
            yield Found(result.path, vertices, result.problem)

    return meshes


def usable_vertices(
    paths: Iterable[Path], source: MeshSource, which: Which, on_problem: Callable[[str], object]
) -> Iterator[FloatArray]:
    """The meshes of photos that show a face, for learning ranges; the others are reported and left out."""
    for result in reconstruct(paths, source, which=which):
        if result.faces:
            yield result.faces[0].vertices_px
        else:
            on_problem(result.problem or f"{result.path}: found no face, left out of the examples")
