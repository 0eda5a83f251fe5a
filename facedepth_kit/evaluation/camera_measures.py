"""Prepared camera images kept on disk, and every measure of section IV-E to IV-G of every enhancer on them.

Preparing (Dlib) and enhancing take longest, so both are done once: :func:`keep_faces` writes each prepared image,
:func:`measure_faces` a line for each image and enhancer. Tables and figures only read those lines.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypedDict

import msgspec
import numpy as np

from facedepth_kit.cameras.recorded.face_crop import FaceCrop, Square
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.sources import Recordings
from facedepth_kit.common.arrays import Kind, read_npz
from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.depth import SIZE, DepthImage, DepthRange
from facedepth_kit.evaluation.falsification import falsification
from facedepth_kit.evaluation.landmarks import landmark_holes
from facedepth_kit.evaluation.pad import geometric_pad
from facedepth_kit.evaluation.prepared_faces import LeftOut
from facedepth_kit.evaluation.relief import face_relief
from facedepth_kit.evaluation.surface import MEASURED, hole_share, roughness

Enhance = Callable[[DepthImage], DepthImage]
Prepare = Callable[[Iterable[RecordedFrame], list[LeftOut]], Iterator[FaceCrop]]

INDEX = "index.json"
POINTS = Kind("float64", (None, 2))
ARRAYS = {
    "depth": Kind("uint16", (SIZE, SIZE)),
    "mask": Kind("bool", (SIZE, SIZE)),
    "landmarks": POINTS,
    "marks": POINTS,
    "outline": POINTS,
    "picture": None,
}
NAMES = ("name", "person", "session", "variant", "simulated", "unit_mm", "frame_size")


class _Range(TypedDict):
    near_mm: float
    span_mm: float


class _Entry(TypedDict):
    """A prepared image in ``index.json``: what :class:`FaceCrop` has of it beside its arrays."""

    name: str
    person: str
    session: str
    variant: str
    simulated: bool
    unit_mm: float
    frame_size: tuple[int, int]
    depth_range: _Range
    square: tuple[float, float, float]


class _Index(msgspec.Struct, frozen=True):
    """``index.json``."""

    simulated: bool
    images: list[_Entry]
    left_out: list[LeftOut]
    damaged: list[str]


class FaceStore:
    """Prepared images in a folder, read one by one; ``left_out`` and ``damaged`` say what is missing, and why.

    Raises :class:`KitError` when the folder holds no finished store.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            content = read_json(self.folder / INDEX, _Index)
        except KitError as error:
            raise KitError(f"{self.folder}: found no prepared images ({error}), expected {INDEX}") from None
        self.entries, self.simulated = content.images, content.simulated
        self.left_out, self.damaged = content.left_out, content.damaged

    def __len__(self) -> int:
        """How many images were prepared."""
        return len(self.entries)

    def __getitem__(self, index: int) -> FaceCrop:
        """One image; raises :class:`KitError` when its file is damaged."""
        entry = self.entries[index]
        path = self.folder / f"{range(len(self))[index]:05d}.npz"
        arrays: dict[str, Any] = read_npz(path, ARRAYS, optional=ARRAYS.keys() - {"depth"})
        names: dict[str, Any] = {key: value for key, value in entry.items() if key in NAMES}
        depth_range = DepthRange(**entry["depth_range"])
        return FaceCrop(**arrays, **names, depth_range=depth_range, square=Square(*entry["square"]))

    def __iter__(self) -> Iterator[FaceCrop]:
        """All images, in order."""
        return (self[index] for index in range(len(self)))

    def find(self, **wanted: str) -> FaceCrop | None:
        """The first image whose ``person``, ``session``, ``variant`` or ``name`` are as given, or None."""
        for index, entry in enumerate(self.entries):
            if wanted.items() <= entry.items():
                return self[index]
        return None


def keep_faces(folder: str | Path, recordings: Recordings, prepare: Prepare, *, progress: bool = False) -> FaceStore:
    """Prepare all recordings (``prepare_kinectfacedb`` or ``prepare_faces``) into a folder, unless that was done.

    A run that was killed begins anew: the store counts once its index is there.
    """
    from tqdm.auto import tqdm

    folder = Path(folder)
    if not (folder / INDEX).exists():
        folder.mkdir(parents=True, exist_ok=True)
        left_out: list[LeftOut] = []
        entries = []
        images = prepare(recordings, left_out)
        for index, image in enumerate(tqdm(images, desc="finding faces", disable=not progress, leave=False)):
            arrays = {name: value for name in ARRAYS if (value := getattr(image, name)) is not None}
            np.savez(folder / f"{index:05d}.npz", **arrays)
            names = {key: getattr(image, key) for key in NAMES}
            entries.append({**names, "depth_range": asdict(image.depth_range), "square": image.square})
        content = {
            "simulated": recordings.simulated,
            "images": entries,
            "left_out": [asdict(entry) for entry in left_out],
            "damaged": list(recordings.damaged),
        }
        with write_atomically(folder / INDEX, overwrite=True) as temporary:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return FaceStore(folder)


@dataclass(frozen=True)
class Measures:
    """All measures of one enhancer on one image; NaN where a measure does not apply.

    ``roughness``, ``holes`` and ``falsification`` over the mask (0..1, not times 100); ``noise``: the same kernel on
    measured pixels alone, without holes and the mask's border; ``mark_holes`` and
    ``landmark_holes`` as shares of the data set's marks and of Dlib's 68, ``pad_error`` of the geometric PAD, and
    ``nose_mm`` of the relief check.
    """

    camera: str
    name: str
    person: str
    session: str
    variant: str
    enhancer: str
    roughness: float
    holes: float
    noise: float
    falsification: float
    mark_holes: float
    landmark_holes: float
    pad_error: float
    nose_mm: float


TEXTS = ("camera", "name", "person", "session", "variant", "enhancer")


def measure_image(camera: str, image: FaceCrop, enhancer: str, enhanced: DepthImage) -> Measures:
    """Every measure that applies to one image and an enhancer's output for it."""
    mask, landmarks, marks = image.mask, image.landmarks, image.marks
    nan = float("nan")
    known = None if marks is None else marks[np.isfinite(marks).all(axis=1)]
    return Measures(
        camera=camera,
        name=image.name,
        person=image.person,
        session=image.session,
        variant=image.variant,
        enhancer=enhancer,
        roughness=nan if mask is None else float(roughness(enhanced, mask=mask)),
        holes=nan if mask is None else float(hole_share(enhanced, mask=mask)),
        noise=nan if mask is None else float(roughness(enhanced, mask=mask, settings=MEASURED)),
        falsification=nan if mask is None else float(falsification(enhanced, image.depth, mask=mask)),
        mark_holes=nan if known is None or not len(known) else float(landmark_holes(enhanced, known).mean()),
        landmark_holes=nan if landmarks is None else float(landmark_holes(enhanced, landmarks).mean()),
        pad_error=nan if landmarks is None else geometric_pad(enhanced, landmarks).error,
        nose_mm=nan if landmarks is None else face_relief(enhanced, landmarks, image.depth_range).nose_mm,
    )


def measure_faces(
    camera: str,
    images: Sequence[FaceCrop] | FaceStore,
    enhancers: Mapping[str, Enhance],
    path: Path,
    *,
    batch_size: int = 16,
    progress: bool = False,
) -> list[Measures]:
    """Run every enhancer over all images, a stack at a time, and write a line for each to the CSV file ``path``.

    What the file holds already is not done again, so that a killed run goes on and a further enhancer costs only
    itself; it must belong to the same images and code (keep it in a folder named after both). ``enhancers`` maps a name
    to a function (n, 256, 256) uint16 -> same. Raises :class:`KitError` when one returns another shape.
    """
    from tqdm.auto import tqdm

    done = {(row.name, row.enhancer): row for row in read_measures(path)} if path.exists() else {}
    write_measures(path, done.values())
    with tqdm(total=len(images), desc=camera, unit="image", disable=not progress, leave=False) as bar:
        for start in range(0, len(images), batch_size):
            batch = [images[index] for index in range(start, min(start + batch_size, len(images)))]
            depths = np.stack([image.depth for image in batch])
            new = []
            for name, enhance in enhancers.items():
                if all((image.name, name) in done for image in batch):
                    continue
                bar.set_postfix_str(name, refresh=False)
                enhanced = enhance(depths)
                if enhanced.shape != depths.shape:
                    raise KitError(f"{name}: found output shape {enhanced.shape}, expected {depths.shape}")
                new += [
                    measure_image(camera, image, name, output) for image, output in zip(batch, enhanced, strict=True)
                ]
            done |= {(row.name, row.enhancer): row for row in new}
            _append(path, new)
            bar.update(len(batch))
    return [done[image.name, name] for image in images for name in enhancers]


def write_measures(path: Path, rows: Iterable[Measures]) -> None:
    """Write lines as CSV, whole or not at all, nine significant digits; an existing file is replaced."""
    with write_atomically(path, overwrite=True) as temporary:
        _write(temporary, rows)


def read_measures(path: Path) -> list[Measures]:
    """Read what :func:`measure_faces` or :func:`write_measures` wrote; a last line cut short by a kill is passed over.

    Raises :class:`KitError` for a file of another kind.
    """
    names = [field.name for field in fields(Measures)]
    try:
        text = read_file(path, "a CSV of measures per image").decode("utf-8")
        header, *lines = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))
        if header != names:
            raise ValueError(f"columns {header[:3]}")
        return [_parsed(line) for line in lines]
    except ValueError as error:
        raise KitError(f"{path}: found {error}, expected a CSV of measures per image") from error


def _parsed(line: Sequence[str]) -> Measures:
    camera, name, person, session, variant, enhancer, *numbers = line
    return Measures(camera, name, person, session, variant, enhancer, *(float(number) for number in numbers))


def _write(path: Path, rows: Iterable[Measures]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerow([field.name for field in fields(Measures)])
    _append(path, rows)


def _append(path: Path, rows: Iterable[Measures]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for row in rows:
            values = list(asdict(row).values())
            writer.writerow([*values[: len(TEXTS)], *(f"{value:.9g}" for value in values[len(TEXTS) :])])
        file.flush()
        os.fsync(file.fileno())
