"""A folder of recordings: ``NNN_depth.png`` with ``NNN_color.png`` or ``NNN_infrared.png``, and ``recording.json``.

What the recorder and the simulated cameras write, and what users bring. ``recording.json`` says what the files do not:

    {"unit_mm": 0.1, "intrinsics": {"width": 640, "height": 480, "fx": ..., "fy": ..., "cx": ..., "cy": ...},
     "simulated": false, "frames": {"000": {"person": "0001", "session": "s1", "variant": "Neutral",
     "marks": [[x, y], ...], "mark_names": ["nose tip", ...]}}}

All of it may be absent: then a step is a millimetre. Folders may lie in folders; each frame takes the file nearest
above it. The writer leaves a readable recording whenever it is stopped: a frame counts from the moment its depth file
has its name, and what is known of it stands in ``frames.jsonl``, a line a frame, until :meth:`FolderWriter.close` moves
it into ``recording.json``. Read, too: recordings of an iPhone's TrueDepth camera by StandardCyborg (``depth_unit_mm``,
intrinsics a frame) and the hand-placed points (``landmarks.json``) of Kinect v2 faces.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import (
    aligned_picture,
    depth_files,
    frames_in_stack,
    open_depth,
    read_picture,
)
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.common.declared import LONGEST_FILE, decode_json, read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file
from facedepth_kit.common.parts import only_run
from facedepth_kit.common.paths import remove_temporary, write_atomically

METADATA = "recording.json"
LINES = "frames.jsonl"
POINTS = "landmarks.json"
PICTURES = ("_color", "_infrared")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy")

# Kinect v2 faces, delphifirst/Intensity-Depth-Face-Alignment; sides as seen in the picture.
_EYE = ("left", "top", "right", "bottom")
POINT_NAMES = (
    *(f"left eye {end}" for end in _EYE),
    *(f"right eye {end}" for end in _EYE),
    "nose tip",
    "left nostril",
    "right nostril",
    *(f"mouth {end}" for end in ("left", "top", "right", "bottom")),
)

Frame = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class RecordingMetadata:
    """What a ``recording.json`` (with ``frames.jsonl``) says about the frames below it."""

    unit_mm: float = 1.0
    intrinsics: Intrinsics | None = None
    simulated: bool = False
    rotated: bool = False
    mark_names: tuple[str, ...] = ()
    frames: Mapping[str, DescribedFrame] | None = None


class RecordingFolder:
    """The recordings in a folder and its subfolders, read lazily, in the order of their names (2 before 10).

    ``root`` may be a depth file, too. ``names`` are the frames' paths below ``root`` without their endings, those in an
    NPY stack with their number (``take/000003``). ``damaged`` has a line for each file that could not be read so far:
    frames without a readable depth file are passed over, those whose picture or points cannot be read come without
    them. ``unit_mm`` overrides what ``recording.json`` says, ``image_suffix`` (``_ir.png``) names the picture beside a
    depth file (beside a stack, a stack), by default ``_color`` or else ``_infrared``. Raises :class:`KitError` when
    there are no depth images, and where every ``recording.json`` is damaged: without it the unit would be a guess.
    Folders with a damaged one beside others are passed over.
    """

    def __init__(self, root: str | Path, *, unit_mm: float | None = None, image_suffix: str | None = None) -> None:
        self.root = Path(root)
        self._image_suffix = image_suffix
        if not self.root.exists():
            raise KitError(f"{self.root}: found no such folder, expected one of recordings")
        files = [self.root] if self.root.is_file() else depth_files(self.root)
        if self.root.is_file():
            self.root = self.root.parent
        self._files: dict[str, Path] = {}
        self._index: dict[str, int] = {}  # of frames in a stack
        for path in files:
            name = path.relative_to(self.root).with_suffix("").as_posix().removesuffix("_depth")
            if name in self._files:
                raise KitError(f"{path}: found a second depth image {name}, beside {self._files[name].name}")
            if name.endswith(PICTURES):
                continue
            count = frames_in_stack(path)
            numbers = {f"{name}/{index:06d}": index for index in range(count or 0)}
            self._index |= numbers
            self._files |= dict.fromkeys([name] if count is None else numbers, path)
        self.names = sorted(self._files, key=_by_number)
        self._unit_mm = unit_mm
        self._metadata: dict[Path, RecordingMetadata] = {}
        self._points: dict[Path, Mapping[str, msgspec.Raw]] = {}
        self._damage: dict[Path, str] = {}
        for folder in sorted({path.parent for path in self._files.values()}):
            try:
                self._metadata[folder] = nearest_metadata(folder, self.root)[0]
            except KitError as error:
                self._damage[folder] = str(error)
        if self._damage and not self._metadata:
            raise KitError(next(iter(self._damage.values())))
        # Without its description a folder's unit would be a guess: the others are read.
        self.names = [name for name in self.names if self._files[name].parent in self._metadata]
        self.simulated = any(metadata.simulated for metadata in self._metadata.values())

    def __len__(self) -> int:
        """How many depth files there are; damaged ones are known after reading them."""
        return len(self.names)

    def __iter__(self) -> Iterator[RecordedFrame]:
        """The frames in the order of :attr:`names`; what cannot be read is passed over and named in :attr:`damaged`."""
        for name in self.names:
            try:
                yield self._read(name, strict=False)
            except KitError as error:
                self._damage[self._files[name]] = str(error)

    @property
    def damaged(self) -> list[str]:
        """A line for each file that could not be read so far."""
        return list(self._damage.values())

    def path(self, name: str) -> Path:
        """The depth file of a frame. Raises :class:`KitError` when there is none of that name."""
        if name not in self._files:
            raise KitError(
                f"{self.root}: found no frame {name!r}, expected one of {len(self._files)} such as {self.names[0]}"
            )
        return self._files[name]

    def picture_path(self, name: str) -> Path | None:
        """The picture's file beside a frame; None without one."""
        if self._image_suffix is None:
            return aligned_beside(self.path(name))
        picture = aligned_picture(self.path(name), self._image_suffix)
        return picture if picture.is_file() else None

    def read(self, name: str) -> RecordedFrame:
        """One frame. Raises :class:`KitError`, naming the file, when depth, picture or points are damaged."""
        return self._read(name, strict=True)

    def _read(self, name: str, *, strict: bool) -> RecordedFrame:
        path = self.path(name)
        metadata = self._metadata[path.parent]
        number = self._index.get(name)
        file = open_depth(path, metadata.unit_mm if self._unit_mm is None else self._unit_mm)
        depth = file.frame(number or 0)
        index = path.stem.removesuffix("_depth") + ("" if number is None else f"/{number:06d}")
        frame = (metadata.frames or {}).get(index, DescribedFrame())
        marks, mark_names = self._marks(path, index, frame, metadata, strict)
        return RecordedFrame(
            name,
            depth,
            unit_mm=file.unit_mm,
            picture=self._picture(name, depth, strict),
            intrinsics=metadata.intrinsics or _phone_intrinsics(path, frame, depth, metadata.rotated),
            person=str(frame.person or _person(path)),
            session=str(frame.session or ""),
            variant=str(frame.variant or ""),
            marks=marks,
            mark_names=mark_names,
            simulated=metadata.simulated,
        )

    def _picture(self, name: str, depth: Frame, strict: bool) -> npt.NDArray[np.generic] | None:
        path = self.picture_path(name)
        if path is None:
            return None
        try:
            picture = read_picture(path, self._index.get(name))
            if picture.shape[:2] != depth.shape:
                found, expected = ("x".join(map(str, shape[1::-1])) for shape in (picture.shape, depth.shape))
                raise KitError(f"{path}: found {found} pixels, expected {expected} as in its depth image")
        except KitError as error:
            if strict:
                raise
            self._damage[path] = str(error)
            return None
        return picture

    def _marks(
        self, path: Path, index: str, frame: DescribedFrame, metadata: RecordingMetadata, strict: bool
    ) -> tuple[npt.NDArray[np.float64] | None, tuple[str, ...]]:
        source, names = path.parent / METADATA, frame.mark_names or metadata.mark_names
        try:
            given: Points | None = decode_json(source, frame.marks, Points | None, within=f"marks of frame {index}")
            if given is None and (path.parent / POINTS).is_file():
                source, names = path.parent / POINTS, POINT_NAMES
                if source not in self._points:
                    self._points[source] = read_json(source, dict[str, msgspec.Raw])
                placed = self._points[source].get(index, NULL)
                entry = decode_json(source, placed, PlacedPoints | Points | None, within=f"frame {index}")
                given = entry.points_xy if isinstance(entry, PlacedPoints) else entry
            if given is None:
                return None, ()
            if names and len(names) != len(given):
                raise KitError(f"{source}: found {len(given)} points for frame {index}, expected {len(names)}")
        except KitError as error:
            if strict:
                raise
            self._damage[source] = str(error)
            return None, ()
        return _as_array(given), names


def nearest_metadata(folder: Path, root: Path) -> tuple[RecordingMetadata, Path | None]:
    """What the ``recording.json`` nearest above a folder says, up to ``root``, and where it lies; None without one.

    Raises :class:`KitError` when it is damaged.
    """
    for above in (folder, *folder.parents):
        if (above / METADATA).is_file():
            return read_metadata(above), above / METADATA
        if above == root:
            break
    return RecordingMetadata(), None


def aligned_beside(depth_path: Path) -> Path | None:
    """The picture of a depth file, ``x_color`` or else ``x_infrared`` with any picture ending; None without either."""
    stem = depth_path.stem.removesuffix("_depth")
    for kind in PICTURES:
        for suffix in PICTURE_SUFFIXES:
            candidate = depth_path.with_name(f"{stem}{kind}{suffix}")
            if candidate.is_file():
                return candidate
    return None


class FolderWriter:
    """Writes frames into a folder as they come; whatever ends it, what was written can be read.

    Depth goes to ``<name>_depth.png`` in its own steps, colour (uint8 (height, width, 3) RGB) to ``_color.png`` and
    one-channel pictures to ``_infrared.png``. Without ``unit_mm`` the first frame says unit and intrinsics.
    :meth:`write` may be called from several threads. Use it in a ``with`` block, or call :meth:`close`. Raises
    :class:`KitError` when the folder already holds a recording, unless ``overwrite``: then the old frames are removed,
    once there is a new one.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        unit_mm: float | None = None,
        intrinsics: Intrinsics | None = None,
        simulated: bool = False,
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise KitError(f"{self.folder}: found a file, expected a folder for the recording")
        self._overwrite = overwrite
        self._old()
        self._held, self._holds = ExitStack(), self.folder.is_dir()
        if self._holds:
            self._held.enter_context(only_run(self.folder))
        self._begun = False
        self.count = 0
        self._frames: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._head: dict[str, Any] = {
            "unit_mm": unit_mm,
            "intrinsics": None if intrinsics is None else asdict(intrinsics),
            "simulated": simulated,
            **(metadata or {}),
        }
        self._described = unit_mm is not None
        if self._described:
            self._write_metadata()

    def write(self, recording: RecordedFrame, **more: Any) -> Path:
        """Write one frame; ``more`` (numbers, texts) is kept beside it in ``frames``. Returns the depth file.

        An empty ``recording.name`` takes the next number. Raises :class:`KitError` for another unit than the folder's,
        for a name with a folder in it and for one that is already there.
        """
        with self._lock:
            if not self._described:
                self._describe(recording)
            if not np.isclose(recording.unit_mm, self._head["unit_mm"], rtol=1e-6):
                expected = f"{self._head['unit_mm']} as in the frames before"
                raise KitError(f"{recording.name}: found steps of {recording.unit_mm} mm, expected {expected}")
            name = recording.name or f"{self.count:06d}"
            if "/" in name or "\\" in name or name.startswith("."):
                raise KitError(f"{name}: found a path, expected a plain name for a frame in {self.folder}")
            path = self.folder / f"{name}_depth.png"
            if name in self._frames:
                raise KitError(f"{path}: found a frame of that name in this recording, expected another name")
            self._frames[name] = known = {**_known(recording), **more}
            self.count += 1
            if known:
                with (self.folder / LINES).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"name": name, **known}) + "\n")
        if recording.picture is not None:
            kind = "_color" if recording.picture.ndim == 3 else "_infrared"
            self._write_png(self.folder / f"{name}{kind}.png", recording.picture)
        self._write_png(path, recording.depth)  # last: with it, the frame is there
        return path

    def close(self) -> None:
        """Move what is known of the frames into ``recording.json``; without any frame nothing is written."""
        with self._held:
            if self._described:
                self._write_metadata()
                (self.folder / LINES).unlink(missing_ok=True)

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _describe(self, first: RecordedFrame) -> None:
        self._head["unit_mm"] = first.unit_mm
        if self._head["intrinsics"] is None and first.intrinsics is not None:
            self._head["intrinsics"] = asdict(first.intrinsics)
        self._head["simulated"] = self._head["simulated"] or first.simulated
        self._write_metadata()
        self._described = True  # not before: where this is refused, no frame is written

    def _old(self) -> list[Path]:
        """What another recording has left. Raises :class:`KitError` unless it may be replaced."""
        old = _recorded(self.folder) if self.folder.is_dir() else []
        if old and not self._overwrite:
            raise KitError(
                f"{self.folder}: found a recording ({old[0].name}), expected a new folder (--overwrite replaces it)"
            )
        return old

    def _begin(self) -> None:
        if not self._holds:
            self._held.enter_context(only_run(self.folder))
            self._holds = True
        for path in self._old():
            path.unlink()
        remove_temporary(self.folder)
        self._begun = True

    def _write_metadata(self) -> None:
        if not self._begun:
            self._begin()
        # Several threads write, so frames come in any order.
        frames = {name: known for name in sorted(self._frames, key=_by_number) if (known := self._frames[name])}
        content = {**self._head, "frames": frames}
        with write_atomically(self.folder / METADATA, overwrite=True) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    @staticmethod
    def _write_png(path: Path, picture: npt.NDArray[np.generic]) -> None:
        if picture.ndim == 3:
            picture = picture[..., ::-1]
        encoded = cv2.imencode(".png", np.ascontiguousarray(picture))[1]
        with write_atomically(path) as temporary:
            temporary.write_bytes(encoded.tobytes())


def _recorded(folder: Path) -> list[Path]:
    """The files of a recording in a folder: descriptions first, then frames; what else lies there is not ours."""
    frame = re.compile(r"(?!\.).+_(depth|color|infrared)\.png")
    return sorted(
        (path for path in folder.iterdir() if path.name in (METADATA, LINES) or frame.fullmatch(path.name)),
        key=lambda path: (path.name not in (METADATA, LINES), path.name),
    )


def _known(recording: RecordedFrame) -> dict[str, Any]:
    known: dict[str, Any] = {
        key: value for key in ("person", "session", "variant") if (value := getattr(recording, key))
    }
    if recording.marks is not None:
        rows = np.round(recording.marks, 3).tolist()
        known["marks"] = [[None if np.isnan(value) else value for value in row] for row in rows]
        known["mark_names"] = list(recording.mark_names)
    return known


# --- recording.json ---------------------------------------------------------------------------------------------------

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Pixel = Annotated[float, msgspec.Meta(ge=-1e6, le=1e6)]
Side = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Points = list[tuple[Pixel | None, Pixel | None]]
NULL = msgspec.Raw(b"null")


class DescribedIntrinsics(msgspec.Struct, frozen=True):
    """``intrinsics`` in ``recording.json``: a pinhole camera in pixels."""

    width: Side
    height: Side
    fx: Positive
    fy: Positive
    cx: Pixel
    cy: Pixel


class PhoneIntrinsics(msgspec.Struct, frozen=True):
    """``camera_intrinsics`` of an iPhone's frame: a matrix column by column, for a photograph of the reference size."""

    width: Side
    height: Side
    intrinsic_matrix: tuple[Pixel, Pixel, Pixel, Pixel, Pixel, Pixel, Pixel, Pixel, Pixel]
    intrinsic_matrix_reference_dimensions_width: Positive
    intrinsic_matrix_reference_dimensions_height: Positive


class DescribedFrame(msgspec.Struct, frozen=True):
    """A frame in ``recording.json`` or ``frames.jsonl``; points and intrinsics are looked at when it is read."""

    name: str | int = ""
    person: str | int | None = None
    session: str | int | None = None
    variant: str | int | None = None
    marks: msgspec.Raw = NULL
    mark_names: tuple[str, ...] | None = None
    timestamp_ms: Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)] | None = None
    camera_intrinsics: msgspec.Raw = NULL


class Description(msgspec.Struct, frozen=True):
    """``recording.json`` as it lies on disk; what else stands in it is nobody's business."""

    unit_mm: Positive | None = None
    depth_unit_mm: Positive | None = None
    intrinsics: DescribedIntrinsics | None = None
    simulated: bool = False
    note: str = ""
    mark_names: tuple[str, ...] = ()
    frames: dict[str, DescribedFrame] = {}


class PlacedPoints(msgspec.Struct, frozen=True):
    """A frame in ``landmarks.json``."""

    points_xy: Points | None = None


def read_metadata(folder: Path) -> RecordingMetadata:
    """Read a folder's ``recording.json``. Raises :class:`KitError`, naming it, when it is damaged."""
    content = read_json(folder / METADATA, Description)
    given = content.intrinsics
    return RecordingMetadata(
        content.unit_mm or content.depth_unit_mm or 1.0,
        None if given is None else Intrinsics(given.width, given.height, given.fx, given.fy, given.cx, given.cy),
        content.simulated,
        "clockwise" in content.note,
        content.mark_names,
        {**content.frames, **_read_lines(folder / LINES)},
    )


def _read_lines(path: Path) -> dict[str, DescribedFrame]:
    """Frames of a recording that was not closed; its last line may be half written."""
    frames: dict[str, DescribedFrame] = {}
    lines = read_file(path, "a line of JSON a frame", most=LONGEST_FILE) if os.path.lexists(path) else b""
    for line in lines.splitlines():
        try:
            entry = decode_json(path, line, DescribedFrame)
        except KitError:
            continue
        if entry.name != "":
            frames[str(entry.name)] = entry
    return frames


def _phone_intrinsics(path: Path, frame: DescribedFrame, depth: Frame, rotated: bool) -> Intrinsics | None:
    """Intrinsics as an iPhone gives them: for its photograph, column by column, before the frame was turned upright."""
    try:
        given = decode_json(path, frame.camera_intrinsics, PhoneIntrinsics)
    except KitError:
        return None
    across = given.width / given.intrinsic_matrix_reference_dimensions_width
    down = given.height / given.intrinsic_matrix_reference_dimensions_height
    matrix = given.intrinsic_matrix
    # The photograph counts from the corner of its first pixel, the kit from its centre.
    fx, fy, cx, cy = matrix[0] * across, matrix[4] * down, matrix[6] * across - 0.5, matrix[7] * down - 0.5
    if rotated and depth.shape == (given.width, given.height):
        return Intrinsics(given.height, given.width, fy, fx, given.height - 1 - cy, cx)
    return Intrinsics(given.width, given.height, fx, fy, cx, cy) if depth.shape == (given.height, given.width) else None


def _as_array(points: Points) -> npt.NDArray[np.float64]:
    rows = [[np.nan if value is None else value for value in row] for row in points]
    return np.array(rows, np.float64).reshape(-1, 2)


def _person(path: Path) -> str:
    """The person that a folder is named after, as in ``subject_01``; empty for other folders."""
    return path.parent.name if re.fullmatch(r"(subject|person)_\w+", path.parent.name) else ""


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]
