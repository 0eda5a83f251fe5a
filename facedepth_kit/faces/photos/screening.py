"""Which photos make ground truth: the three stages of Table I, for folders of any size (section III-A).

1. Files with identical SHA3-512 digests: the first by path stays.
2. Photos above 1024 pixels in width or height.
3. Photos whose 3D face is deformed: side lengths of its triangles outside the ranges of well-formed examples.

The paper learnt the ranges from 428 examples picked by hand and says no more about them. Here a side's range is the
smallest and largest length among the examples, each length divided by the mesh's mean: a photo does not say how large a
face is, and meshes come in pixels of photos of any size, so **ranges are free of scale**. Of a hundred thousand sides
some fall outside in any new face. So two limits say how much is too much: the share of sides outside, and how far the
worst one lies outside. Both are learnt, too: examples are held out of the ranges in turn, and the limits are where one
in a hundred of them would be lost.

What side lengths cannot see is a mesh that is bent or mirrored without stretching.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import heapq
import io
import itertools
import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.arrays import TEXT, Kind, read_npz
from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import refuse_irregular
from facedepth_kit.common.parts import open_parts, remove_parts
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.photos.reconstruction import EXPECTED, SUFFIXES, photo_size

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
Status = Literal["kept", "duplicate", "oversized", "deformed", "no face", "unreadable"]

LARGEST_PX = 1024
FOLDS = 8  # parts in which examples are held out
LOSSES = 0.01  # share of well-formed faces that may be lost
SHORT = 0.3  # mean side lengths added to a side's own: between closed lips some are next to nothing
FEWEST = 8
FORMAT = 1
STORED = {
    "format": Kind("int64"),
    "low": Kind("float32", (None,)),
    "high": Kind("float32", (None,)),
    "limits": Kind("float64", (2,)),
    "examples": Kind("int64"),
    "topology": Kind(TEXT),
    "source": Kind(TEXT),
}
COLUMNS = ("file", "status", "width", "height", "sha3_512", "same_as", "sides_outside", "worst_excess", "note")
PART = 256  # photos in a part of the journal


# --- Meshes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """How far a mesh lies outside the ranges: the share of its sides, and by how much of its usual length the worst."""

    outside: float
    excess: float


@dataclass(frozen=True, eq=False)
class SideLengthRanges:
    """What lengths the sides of well-formed faces have, for one topology.

    ``low`` and ``high`` float32 (S,) are lengths in mean side lengths, in the order of :func:`edges`;
    ``outside_limit`` and ``excess_limit`` what a :class:`Shape` may reach. ``topology`` is the digest of the triangles,
    ``source`` what the meshes come from, ``examples`` how many there were.
    """

    low: FloatArray
    high: FloatArray
    outside_limit: float
    excess_limit: float
    examples: int
    topology: str
    source: str

    def shape(self, lengths: FloatArray) -> Shape:
        """Compare side lengths (S,) of :func:`side_lengths`; what is not finite is as deformed as can be."""
        if not np.isfinite(lengths).all():
            return Shape(1.0, float("inf"))
        beyond = np.maximum(lengths - self.high, self.low - lengths)
        usual = (self.low + self.high) / 2 + SHORT
        return Shape(float((beyond > 0).mean()), float(max((beyond / usual).max(), 0.0)))

    def deformed(self, shape: Shape) -> bool:
        """Whether a mesh goes beyond either limit."""
        return shape.outside > self.outside_limit or shape.excess > self.excess_limit


def edges(triangles: IntArray) -> IntArray:
    """The distinct sides (S, 2) of triangles (T, 3), sorted; a side that two triangles share counts once."""
    ends = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64), axis=1)
    count = int(ends.max()) + 1
    codes = np.unique(ends[:, 0] * count + ends[:, 1])
    return np.stack(np.divmod(codes, count), axis=1).astype(np.int32)


def side_lengths(vertices: npt.NDArray[np.floating], sides: IntArray) -> FloatArray:
    """Lengths (S,) of a mesh's sides divided by their mean; NaN for a mesh without extent or with bad points."""
    with np.errstate(all="ignore"):
        difference = vertices[sides[:, 0]].astype(np.float32) - vertices[sides[:, 1]].astype(np.float32)
        lengths = np.sqrt((difference * difference).sum(axis=1))
        mean = lengths.mean(dtype=np.float64)
        return (lengths / mean).astype(np.float32) if mean > 0 else np.full(len(sides), np.nan, np.float32)


def topology_digest(triangles: IntArray) -> str:
    """A fingerprint (12 hex digits) of triangles and their order."""
    return hashlib.sha256(np.ascontiguousarray(triangles, "<i4").tobytes()).hexdigest()[:12]


def learn_ranges(
    examples: Iterable[npt.NDArray[np.floating]], triangles: IntArray, *, source: str, losses: float = LOSSES
) -> SideLengthRanges:
    """Ranges and limits from well-formed examples: vertices (V, 3) each, in any unit, all with the same triangles.

    Examples are read once and spooled to a temporary file, one row of lengths each. Eight parts of them are held out
    in turn and compared with the ranges of the others; the limits are set so that ``losses`` of them go beyond, half
    by either limit. Examples must be of many different people: ranges of a few know no other's nose, and examples that
    resemble each other make the limits too narrow. Raises :class:`KitError` for fewer than eight examples, or one
    without extent.
    """
    if not 0 <= losses < 1:
        raise KitError(f"losses: found {losses}, expected a share of the well-formed faces from 0 to 1")
    sides = edges(triangles)
    with tempfile.TemporaryFile() as spool:
        count = 0
        parts = np.stack([np.full((FOLDS, len(sides)), np.inf, "f4"), np.full((FOLDS, len(sides)), -np.inf, "f4")])
        for vertices in examples:
            lengths = side_lengths(vertices, sides)
            if not np.isfinite(lengths).all():
                raise KitError(f"example {count + 1}: found a mesh without extent, expected a well-formed face")
            low, high = parts[0, count % FOLDS], parts[1, count % FOLDS]
            np.minimum(low, lengths, out=low)
            np.maximum(high, lengths, out=high)
            spool.write(lengths.tobytes())
            count += 1
        if count < FEWEST:
            raise KitError(f"examples: found {count} well-formed faces, expected {FEWEST} or more (the paper: 428)")
        shapes = []
        for fold in range(min(FOLDS, count)):
            others = np.arange(FOLDS) != fold
            held = _ranges(parts[:, others], 0, 0, count, triangles, source)
            for number in range(fold, count, FOLDS):
                spool.seek(number * len(sides) * 4)
                shapes.append(held.shape(np.frombuffer(spool.read(len(sides) * 4), "f4")))
    outside, excess = (
        float(np.quantile(values, 1 - losses / 2))
        for values in ([shape.outside for shape in shapes], [shape.excess for shape in shapes])
    )
    return _ranges(parts, outside, excess, count, triangles, source)


def _ranges(
    parts: FloatArray, outside: float, excess: float, count: int, triangles: IntArray, source: str
) -> SideLengthRanges:
    low, high = parts[0].min(axis=0), parts[1].max(axis=0)
    return SideLengthRanges(low, high, outside, excess, count, topology_digest(triangles), source)


def save_ranges(path: str | Path, ranges: SideLengthRanges, *, overwrite: bool = False) -> None:
    """Write ranges as an NPZ file, whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        format=np.int64(FORMAT),
        low=ranges.low,
        high=ranges.high,
        limits=np.array([ranges.outside_limit, ranges.excess_limit]),
        examples=np.int64(ranges.examples),
        topology=ranges.topology,
        source=ranges.source,
    )
    with write_atomically(path, overwrite) as temporary:
        temporary.write_bytes(content.getvalue())


def load_ranges(path: str | Path, triangles: IntArray | None = None) -> SideLengthRanges:
    """Read ranges that :func:`save_ranges` wrote; with ``triangles``, only those learnt on this topology.

    Raises :class:`KitError` for a missing, damaged or foreign file.
    """
    path = Path(path)
    try:
        stored = read_npz(path, STORED)
    except KitError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise KitError(f"{path}: found no side length ranges ({reason}), expected an NPZ of facedepth screen") from None
    if int(stored["format"]) != FORMAT:
        raise KitError(f"{path}: found format {int(stored['format'])}, expected {FORMAT}")
    low, high, limits = stored["low"], stored["high"], stored["limits"]
    if low.shape != high.shape or not (np.isfinite(limits).all() and (low <= high).all()):
        raise KitError(f"{path}: found no side length ranges, expected a finite low and high end of each")
    names = str(stored["topology"]), str(stored["source"])
    ranges = SideLengthRanges(low, high, float(limits[0]), float(limits[1]), int(stored["examples"]), *names)
    if triangles is not None and (ranges.topology != topology_digest(triangles) or len(low) != len(edges(triangles))):
        found, expected = f"ranges of {ranges.source} ({ranges.topology})", topology_digest(triangles)
        raise KitError(f"{path}: found {found}, expected those of the same triangles ({expected})")
    return ranges


# --- Folders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Found:
    """What a mesh source made of a photo: vertices (V, 3), or None for no face, or why it could not be read."""

    path: Path
    vertices: npt.NDArray[np.floating] | None
    problem: str = ""


Meshes = Callable[[Iterable[Path]], Iterator[Found]]


@dataclass(frozen=True)
class Counts:
    """Table I for a folder: photos by what became of them; ``stage_3`` is false where meshes were not looked at."""

    total: int
    duplicate: int
    oversized: int
    deformed: int
    no_face: int
    unreadable: int
    stage_3: bool

    @property
    def discarded(self) -> int:
        """All that did not pass."""
        return self.duplicate + self.oversized + self.deformed + self.no_face + self.unreadable

    @property
    def remaining(self) -> int:
        """All that did."""
        return self.total - self.discarded


def screen(
    folder: str | Path,
    output: str | Path,
    *,
    meshes: Meshes | None = None,
    ranges: SideLengthRanges | None = None,
    triangles: IntArray | None = None,
    largest_px: int = LARGEST_PX,
    overwrite: bool = False,
    progress: bool = True,
) -> Counts:
    """Screen all photos in a folder and its subfolders; write a row for each to the CSV file ``output``.

    ``meshes`` turns the photos that passed the first two stages into meshes of ``triangles``, one by one; without it
    or without ``ranges`` the third stage is left out. Photos are read one at a time, and what is known of them (path,
    digest, size, verdict) lies in a journal beside the output, so that memory holds a few bytes a photo and a
    killed run goes on where it was; the journal goes when the CSV is written. Files that changed in between are
    looked at again. Raises :class:`KitError` for a folder that is none, an output that exists, while another run works
    on the same output, and when the disk is full.
    """
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise KitError(f"{folder}: found no such folder, expected one with photos")
    if output.exists() and not overwrite:
        raise KitError(f"{output}: found a file that is already there, expected a new one (--overwrite replaces it)")
    if ranges is not None and triangles is not None and ranges.topology != topology_digest(triangles):
        raise KitError(f"ranges: found those of {ranges.source}, expected those of the meshes at hand")
    journal = output.with_name(f"{output.name}.journal")
    about = {"format": FORMAT, "screening": "digests and verdicts of photos"}
    name, parts = "screening.json", ("digests_*.json", "verdicts_*.json")
    holds = "the journal of a screening"
    with open_parts(journal, about, name=name, fixed=tuple(about), parts=parts, holds=holds):
        digests, verdicts = _digests(journal, folder, progress), None
        if meshes is not None and ranges is not None and triangles is not None:
            sides = edges(triangles)
            verdicts = _verdicts(journal, digests, folder, largest_px, meshes, ranges, sides, progress)
        numbers = _write(journal, digests, verdicts, output, largest_px, overwrite)
        remove_parts(journal, name, parts)
    with contextlib.suppress(OSError):  # another run may just have begun
        journal.rmdir()
    return Counts(
        sum(numbers.values()),
        numbers["duplicate"],
        numbers["oversized"],
        numbers["deformed"],
        numbers["no face"],
        numbers["unreadable"],
        stage_3=meshes is not None and ranges is not None,
    )


def as_table_1(counts: Counts) -> dict[str, dict[str, int]]:
    """Counts under the names of the published Table I, and what it has no row for: no face, unreadable."""
    return {
        "total": {"count": counts.total},
        "duplicates_sha3_512": {"count": counts.duplicate},
        "resolution_above_1024": {"count": counts.oversized},
        "deformed_output": {"count": counts.deformed},
        "no_face": {"count": counts.no_face},
        "unreadable": {"count": counts.unreadable},
        "discarded": {"count": counts.discarded},
        "remaining": {"count": counts.remaining},
    }


def kept_photos(table: str | Path) -> Callable[[str], bool]:
    """Whether a photo (by its path in the folder) has passed, from a CSV file of :func:`screen`."""
    refuse_irregular(Path(table), "a CSV file")
    try:
        with Path(table).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not {"file", "status"} <= set(reader.fieldnames):
                raise KitError(f"{table}: found no columns file and status, expected a table of facedepth screen")
            discarded = frozenset(row["file"] for row in reader if row["status"] != "kept")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KitError(f"{table}: found no readable table ({type(error).__name__}), expected a CSV file") from None
    return lambda name: name not in discarded


# --- The journal ----------------------------------------------------------------------------------------------------
#
# Two lists of photos in the order of their paths, one of digests and one of verdicts, each in parts of 256 rows. A row
# is a photo's path, a stamp (what the rest of the row depends on: the file's size and time of change, the ranges) and
# what was found. A run makes each list anew and takes over every row of earlier runs whose stamp still holds.

Row = list[Any]
# Path, stamp; digest, width, height, problem, or verdict, share outside, worst excess, problem.
_Known = tuple[str, str, str, float | int | None, float | int | None, str]


def _make_list(
    journal: Path, kind: str, photos: Iterable[tuple[str, str]], work: Callable[[Sequence[str]], Iterable[Row]]
) -> str:
    """Write a list's parts: for each of ``photos`` (path and stamp) an earlier row, or what ``work`` finds.

    Returns what the names of the parts begin with.
    """
    before = sorted({path.name.rpartition("_")[0] for path in journal.glob(f"{kind}_*")}, reverse=True)
    this = f"{kind}_{int(before[0].rpartition('_')[2]) + 1 if before else 1:03d}"
    earlier = heapq.merge(*(_read_list(journal, one) for one in before), key=lambda row: _key(row[0]))
    known = next(earlier, None)
    waiting = iter(photos)
    for number in itertools.count():
        batch = list(itertools.islice(waiting, PART))
        if not batch:
            break
        rows: dict[str, Row] = {}
        for name, stamp in batch:
            while known is not None and _key(known[0]) <= _key(name):
                if known[:2] == [name, stamp]:
                    rows[name] = known
                known = next(earlier, None)
        new = [name for name, _ in batch if name not in rows]
        for name, found in zip(new, work(new), strict=True):
            rows[name] = [name, None, *found]
        with write_atomically(_part(journal, this, number)) as temporary:
            temporary.write_text(json.dumps([[name, stamp, *rows[name][2:]] for name, stamp in batch]))
    for one in before:
        for path in journal.glob(f"{one}_*"):
            path.unlink()
    return this


def _read_list(journal: Path, which: str) -> Iterator[Row]:
    """The rows of a list in order."""
    for number in itertools.count():
        rows = _read_part(_part(journal, which, number))
        if not rows:
            return
        yield from rows


def _read_part(path: Path) -> list[Row]:
    if not path.exists():
        return []
    try:
        return [list(row) for row in read_json(path, list[_Known])]
    except KitError as error:
        raise KitError(f"{error} (a part of a journal; remove it)") from None


def _part(journal: Path, which: str, number: int) -> Path:
    return journal / f"{which}_{number:06d}.json"


def _key(name: str) -> bytes:
    """What paths are sorted by: bytes, since a file's name need not be text."""
    return name.encode("utf-8", "surrogateescape")


def _scan(folder: Path, place: str = "") -> Iterator[tuple[str, str]]:
    """Photos by relative path in order, with size and time of change; one folder's names at a time are held."""
    found: list[tuple[bytes, bool]] = []
    with os.scandir(folder / place) as entries:
        for entry in entries:
            name = f"{place}{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                found.append((_key(f"{name}/"), True))
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                found.append((_key(name), False))
    for key, is_folder in sorted(found):
        name = key.decode("utf-8", "surrogateescape")
        if is_folder:
            yield from _scan(folder, name)
        else:
            stat = (folder / name).lstat()
            with contextlib.suppress(OSError):  # a link to nowhere is itself
                stat = (folder / name).stat()
            yield name, f"{stat.st_size} {stat.st_mtime_ns}"


# --- The stages -----------------------------------------------------------------------------------------------------


def _digests(journal: Path, folder: Path, progress: bool) -> str:
    """The list of digests: path, stamp, digest (empty: not to be opened), width, height, problem."""
    from tqdm.auto import tqdm

    with tqdm(desc="digests", unit="photo", disable=not progress) as bar:

        def examine(names: Sequence[str]) -> Iterator[Row]:
            for name in names:
                yield _examine(folder / name)
                bar.update()

        return _make_list(journal, "digests", _scan(folder), examine)


def _examine(path: Path) -> Row:
    digest = ""
    try:
        refuse_irregular(path, EXPECTED)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha3_512").hexdigest()
        return [digest, *photo_size(path), ""]
    except OSError as error:
        return ["", None, None, error.strerror or type(error).__name__]
    except KitError as error:
        return [digest, None, None, str(error).removeprefix(f"{path}: ")]


def _sorted_out(journal: Path, digests: str, largest_px: int) -> Iterator[tuple[Row, Status | None, str]]:
    """The rows of the list of digests with their status after the first two stages (None: passed), and the first copy
    of a duplicate."""
    first = _first_copies(journal, digests)
    part = lru_cache(maxsize=4)(lambda number: _read_part(_part(journal, digests, number)))
    for number, row in enumerate(_read_list(journal, digests)):
        _, _, digest, width, height, problem = row
        place, index = divmod(int(first[number]), PART)
        copied = part(place)[index] if first[number] != number else row
        if copied is not row and copied[2] == digest:
            yield row, "duplicate", copied[0]
        elif problem:
            yield row, "unreadable", ""
        else:
            yield row, "oversized" if max(width, height) > largest_px else None, ""


def _first_copies(journal: Path, digests: str) -> npt.NDArray[np.int64]:
    """For each photo, the number of the first one whose digest begins with the same 64 bits."""
    # An empty digest stands for a file that could not be opened: it is no copy of the next such one.
    rows = enumerate(_read_list(journal, digests))
    beginnings = np.fromiter((int(row[2][:16], 16) if row[2] else number for number, row in rows), np.uint64)
    order = np.argsort(beginnings, kind="stable")
    new = np.ones(len(order), np.bool_)
    new[1:] = beginnings[order[1:]] != beginnings[order[:-1]]
    starts = np.flatnonzero(new)
    first = np.empty(len(order), np.int64)
    first[order] = order[starts][np.cumsum(new) - 1]
    return first


def _verdicts(
    journal: Path,
    digests: str,
    folder: Path,
    largest_px: int,
    meshes: Meshes,
    ranges: SideLengthRanges,
    sides: IntArray,
    progress: bool,
) -> str:
    """The third stage: the list of verdicts, with path, stamp, verdict, shares outside and worst excess, problem."""
    from tqdm.auto import tqdm

    marks = hashlib.sha256(ranges.low.tobytes() + ranges.high.tobytes()).hexdigest()[:12]
    limits = f"{ranges.outside_limit!r} {ranges.excess_limit!r}"
    passed = (
        (row[0], f"{row[1]} {marks} {limits}")
        for row, status, _ in _sorted_out(journal, digests, largest_px)
        if status is None
    )
    with tqdm(desc="meshes", unit="photo", disable=not progress) as bar:

        def look(names: Sequence[str]) -> Iterator[Row]:
            for name, found in zip(names, meshes(folder / name for name in names), strict=True):
                bar.update()
                if found.vertices is None:
                    problem = found.problem.removeprefix(f"{folder / name}: ")
                    yield ["unreadable" if problem else "no face", None, None, problem]
                else:
                    shape = ranges.shape(side_lengths(found.vertices, sides))
                    verdict = "deformed" if ranges.deformed(shape) else "kept"
                    yield [verdict, shape.outside, min(shape.excess, 1e9), ""]

        return _make_list(journal, "verdicts", passed, look)


def _write(
    journal: Path, digests: str, verdicts: str | None, output: Path, largest_px: int, overwrite: bool
) -> Counter[Status]:
    """Write the table; returns how many photos there are of each status."""
    counts: Counter[Status] = Counter()
    looked = _read_list(journal, verdicts) if verdicts else None
    with (
        write_atomically(output, overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row, status, same_as in _sorted_out(journal, digests, largest_px):
            name, _, digest, width, height, problem = row
            outside = excess = None
            if status is None and looked is not None:
                _, _, status, outside, excess, problem = next(looked)
            status = status or "kept"
            counts[status] += 1
            numbers = ["" if number is None else f"{number:.6g}" for number in (outside, excess)]
            writer.writerow([name, status, width, height, digest, same_as, *numbers, problem])
    return counts
