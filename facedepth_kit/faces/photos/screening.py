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

import csv
import hashlib
import io
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.photos.reconstruction import SUFFIXES, photo_size

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]
Status = Literal["kept", "duplicate", "oversized", "deformed", "no face", "unreadable"]

LARGEST_PX = 1024
FOLDS = 8  # parts in which examples are held out
LOSSES = 0.01  # share of well-formed faces that may be lost
SHORT = 0.3  # mean side lengths added to a side's own: between closed lips some are next to nothing
FEWEST = 8
FORMAT = 1
STATUSES: tuple[Status, ...] = ("duplicate", "oversized", "deformed", "no face", "unreadable", "kept")
COLUMNS = ("file", "status", "width", "height", "sha3_512", "same_as", "sides_outside", "worst_excess", "note")
COMMIT_EVERY = 256


# --- Meshes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """How far a mesh lies outside the ranges: the share of its sides, and by how much of its usual length the worst."""

    outside: float
    excess: float


@dataclass(frozen=True, eq=False)
class SideRanges:
    """What lengths the sides of well-formed faces have, for one topology.

    ``low`` and ``high`` float32 (S,) are lengths in mean side lengths, in the order of :func:`sides_of`;
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


def sides_of(triangles: IntArray) -> IntArray:
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
) -> SideRanges:
    """Ranges and limits from well-formed examples: vertices (V, 3) each, in any unit, all with the same triangles.

    Examples are read once and spooled to a temporary file, one row of lengths each. Eight parts of them are held out
    in turn and compared with the ranges of the others; the limits are set so that ``losses`` of them go beyond, half
    by either limit. Examples must be of many different people: ranges of a few know no other's nose, and examples that
    resemble each other make the limits too narrow. Raises :class:`KitError` for fewer than eight examples, or one
    without extent.
    """
    if not 0 <= losses < 1:
        raise KitError(f"losses: found {losses}, expected a share of the well-formed faces from 0 to 1")
    sides = sides_of(triangles)
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
) -> SideRanges:
    low, high = parts[0].min(axis=0), parts[1].max(axis=0)
    return SideRanges(low, high, outside, excess, count, topology_digest(triangles), source)


def save_ranges(path: str | Path, ranges: SideRanges, *, overwrite: bool = False) -> None:
    """Write ranges as an NPZ file, whole or not at all."""
    content = io.BytesIO()
    np.savez_compressed(
        content,
        format=FORMAT,
        low=ranges.low,
        high=ranges.high,
        limits=np.array([ranges.outside_limit, ranges.excess_limit]),
        examples=ranges.examples,
        topology=ranges.topology,
        source=ranges.source,
    )
    with write_atomically(path, overwrite) as temporary:
        temporary.write_bytes(content.getvalue())


def load_ranges(path: str | Path, triangles: IntArray | None = None) -> SideRanges:
    """Read ranges that :func:`save_ranges` wrote; with ``triangles``, only those learnt on this topology.

    Raises :class:`KitError` for a missing, damaged or foreign file.
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT:
                raise KitError(f"{path}: found format {int(stored['format'])}, expected {FORMAT}")
            outside, excess = (float(limit) for limit in stored["limits"])
            ranges = SideRanges(
                stored["low"].astype(np.float32),
                stored["high"].astype(np.float32),
                outside,
                excess,
                int(stored["examples"]),
                str(stored["topology"]),
                str(stored["source"]),
            )
    except FileNotFoundError:
        raise KitError(
            f"{path}: found no such file, expected side length ranges (facedepth screen learns them)"
        ) from None
    except KitError:
        raise
    except Exception as error:  # whatever NumPy and zipfile make of another file
        raise KitError(
            f"{path}: found no side length ranges ({type(error).__name__}), expected an NPZ of them"
        ) from None
    if triangles is not None and ranges.topology != topology_digest(triangles):
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
    ranges: SideRanges | None = None,
    triangles: IntArray | None = None,
    largest_px: int = LARGEST_PX,
    overwrite: bool = False,
    progress: bool = True,
) -> Counts:
    """Screen all photos in a folder and its subfolders; write a row for each to the CSV file ``output``.

    ``meshes`` turns the photos that passed the first two stages into meshes of ``triangles``, one by one; without it
    or without ``ranges`` the third stage is left out. Photos are read one at a time, and what is known of them (path,
    digest, size, verdict) lies in a journal beside the output, so that memory does not grow with the folder and a
    killed run goes on where it was; the journal goes when the CSV is written. Files that changed in between are
    looked at again. Raises :class:`KitError` for a folder that is none or an output that exists.
    """
    folder, output = Path(folder), Path(output)
    if not folder.is_dir():
        raise KitError(f"{folder}: found no such folder, expected one with photos")
    if output.exists() and not overwrite:
        raise KitError(f"{output}: found a file that is already there, expected a new one (--overwrite replaces it)")
    if ranges is not None and triangles is not None and ranges.topology != topology_digest(triangles):
        raise KitError(f"ranges: found those of {ranges.source}, expected those of the meshes at hand")
    output.parent.mkdir(parents=True, exist_ok=True)
    journal = output.with_name(f"{output.name}.journal")
    with closing(_open_journal(journal)) as database:
        _list(database, folder)
        _hash(database, folder, progress)
        _sort_out(database, largest_px)
        if meshes is not None and ranges is not None and triangles is not None:
            _look(database, folder, meshes, ranges, sides_of(triangles), progress)
        else:
            database.execute("UPDATE photos SET status = 'kept' WHERE status IS NULL")
        database.commit()
        _write(database, output, overwrite)
        counts = dict(database.execute("SELECT status, COUNT(*) FROM photos GROUP BY status"))
    journal.unlink()
    numbers = {status: counts.get(status, 0) for status in STATUSES}
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
    try:
        with Path(table).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is None or not {"file", "status"} <= set(reader.fieldnames):
                raise KitError(f"{table}: found no columns file and status, expected a table of facedepth screen")
            discarded = frozenset(row["file"] for row in reader if row["status"] != "kept")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KitError(f"{table}: found no readable table ({type(error).__name__}), expected a CSV file") from None
    return lambda name: name not in discarded


def _open_journal(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(path)
        database.execute(
            "CREATE TABLE IF NOT EXISTS photos (file BLOB PRIMARY KEY, bytes INTEGER, changed INTEGER, round INTEGER,"
            " digest BLOB, width INTEGER, height INTEGER, problem TEXT, outside REAL, excess REAL, looked TEXT,"
            " status TEXT, same_as BLOB)"
        )
        database.execute("CREATE INDEX IF NOT EXISTS by_digest ON photos (digest, file)")
    except sqlite3.DatabaseError as error:
        raise KitError(f"{path}: found no journal of a screening ({error}), expected one or no such file") from None
    return database


def _scan(folder: Path) -> Iterator[tuple[str, int, int]]:
    """Photos by relative path, with size and time of change; unsorted, so that nothing is held."""
    waiting = [""]
    while waiting:
        place = waiting.pop()
        with os.scandir(folder / place) as entries:
            for entry in entries:
                name = f"{place}/{entry.name}" if place else entry.name
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file():
                    stat = entry.stat()
                    yield name, stat.st_size, stat.st_mtime_ns


def _list(database: sqlite3.Connection, folder: Path) -> None:
    (last,) = database.execute("SELECT COALESCE(MAX(round), 0) FROM photos").fetchone()
    database.executemany(
        "INSERT INTO photos (file, bytes, changed, round) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (file) DO UPDATE SET"
        " round = ?4, digest = CASE WHEN bytes = ?2 AND changed = ?3 THEN digest END,"
        " looked = CASE WHEN bytes = ?2 AND changed = ?3 THEN looked END, bytes = ?2, changed = ?3",
        ((_packed(name), size, changed, last + 1) for name, size, changed in _scan(folder)),
    )
    database.execute("DELETE FROM photos WHERE round <= ?", (last,))
    database.commit()


def _hash(database: sqlite3.Connection, folder: Path, progress: bool) -> None:
    """Digest and size of every photo that has none yet."""
    from tqdm.auto import tqdm

    (waiting,) = database.execute("SELECT COUNT(*) FROM photos WHERE digest IS NULL").fetchone()
    with tqdm(total=waiting, desc="digests", unit="photo", disable=not progress) as bar:
        while names := _next(database, "digest IS NULL"):
            for name in names:
                digest, width, height, problem = _examine(folder / name)
                database.execute(
                    "UPDATE photos SET digest = ?, width = ?, height = ?, problem = ? WHERE file = ?",
                    (digest, width, height, problem, _packed(name)),
                )
                bar.update()
            database.commit()


def _next(database: sqlite3.Connection, condition: str) -> list[str]:
    query = f"SELECT file FROM photos WHERE {condition} ORDER BY file LIMIT {COMMIT_EVERY}"
    return [_unpacked(name) for (name,) in database.execute(query)]


def _packed(name: str) -> bytes:
    """A file's name for the journal: as bytes, since it need not be text."""
    return name.encode("utf-8", "surrogateescape")


def _unpacked(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _examine(path: Path) -> tuple[bytes, int | None, int | None, str]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha3_512").digest()
    except OSError as error:
        return b"", None, None, error.strerror or type(error).__name__
    try:
        return digest, *photo_size(path), ""
    except KitError as error:
        return digest, None, None, str(error).removeprefix(f"{path}: ")


def _sort_out(database: sqlite3.Connection, largest_px: int) -> None:
    """The first two stages; what they leave gets no status yet."""
    # An empty digest stands for a file that could not be opened: it is no copy of the next such one.
    database.execute(
        "UPDATE photos SET same_as = CASE WHEN length(digest) > 0 THEN"
        " (SELECT MIN(other.file) FROM photos AS other WHERE other.digest = photos.digest) END"
    )
    database.execute(
        "UPDATE photos SET status = CASE WHEN same_as < file THEN 'duplicate' WHEN problem != '' THEN 'unreadable'"
        " WHEN width > ?1 OR height > ?1 THEN 'oversized' END",
        (largest_px,),
    )
    database.commit()


def _look(
    database: sqlite3.Connection, folder: Path, meshes: Meshes, ranges: SideRanges, sides: IntArray, progress: bool
) -> None:
    """The third stage. A mesh counts as looked at by these ranges only: with others it is compared anew."""
    from tqdm.auto import tqdm

    marks = hashlib.sha256(ranges.low.tobytes() + ranges.high.tobytes()).hexdigest()[:12]
    database.execute("UPDATE photos SET looked = NULL WHERE looked NOT LIKE ?", (f"{marks}%",))
    (waiting,) = database.execute("SELECT COUNT(*) FROM photos WHERE status IS NULL AND looked IS NULL").fetchone()
    with tqdm(total=waiting, desc="meshes", unit="photo", disable=not progress) as bar:
        while names := _next(database, "status IS NULL AND looked IS NULL"):
            for name, found in zip(names, meshes(folder / name for name in names), strict=True):
                outside = excess = None
                looked = f"{marks} {'unreadable' if found.problem else 'no face'}"
                if found.vertices is not None:
                    shape = ranges.shape(side_lengths(found.vertices, sides))
                    outside, excess = shape.outside, min(shape.excess, 1e9)
                    looked = f"{marks} {'deformed' if ranges.deformed(shape) else 'kept'}"
                database.execute(
                    "UPDATE photos SET outside = ?, excess = ?, looked = ?, problem = ? WHERE file = ?",
                    (outside, excess, looked, found.problem.removeprefix(f"{folder / name}: "), _packed(name)),
                )
                bar.update()
            database.commit()
    database.execute("UPDATE photos SET status = substr(looked, ?) WHERE status IS NULL", (len(marks) + 2,))


def _write(database: sqlite3.Connection, output: Path, overwrite: bool) -> None:
    query = (
        "SELECT file, status, width, height, digest, CASE WHEN status = 'duplicate' THEN same_as END, outside, excess,"
        " problem FROM photos ORDER BY file"
    )
    with (
        write_atomically(output, overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, status, width, height, digest, same_as, outside, excess, problem in database.execute(query):
            numbers = ["" if number is None else f"{number:.6g}" for number in (outside, excess)]
            names = [_unpacked(name), status, width, height, digest.hex(), _unpacked(same_as or b"")]
            writer.writerow([*names, *numbers, problem])
