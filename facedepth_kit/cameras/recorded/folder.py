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
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import aligned_picture, depth_files, read_frame, read_picture
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically

ABOUT = "recording.json"
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
    frames: Mapping[str, Mapping[str, Any]] | None = None


class RecordingFolder:
    """The recordings in a folder and its subfolders, read lazily, in the order of their names (2 before 10).

    ``names`` are the frames' paths below ``root`` without their endings, ``damaged`` has a line for each file that
    could not be read so far: frames without a readable depth file are passed over, those whose picture or points cannot
    be read come without them. ``unit_mm`` overrides what ``recording.json`` says, ``image_suffix`` (``_ir.png``) names
    the picture beside a depth file, by default ``_color`` or else ``_infrared``. Raises :class:`KitError` when there
    are no depth images, and for a damaged ``recording.json``: without it the unit would be a guess.
    """

    def __init__(self, root: str | Path, *, unit_mm: float | None = None, image_suffix: str | None = None) -> None:
        self.root = Path(root)
        self._image_suffix = image_suffix
        if not self.root.is_dir():
            raise KitError(f"{self.root}: found no such folder, expected one of recordings")
        self._files: dict[str, Path] = {}
        for path in depth_files(self.root):
            name = path.relative_to(self.root).with_suffix("").as_posix().removesuffix("_depth")
            if name in self._files:
                raise KitError(f"{path}: found a second depth image {name}, beside {self._files[name].name}")
            if not name.endswith(PICTURES):
                self._files[name] = path
        self.names = sorted(self._files, key=_by_number)
        self._unit_mm = unit_mm
        self._about: dict[Path, RecordingMetadata] = {}
        self._points: dict[Path, Mapping[str, Any]] = {}
        self._damage: dict[Path, str] = {}
        for folder in {path.parent for path in self._files.values()}:
            self._about[folder] = nearest_metadata(folder, self.root)[0]
        self.simulated = any(about.simulated for about in self._about.values())

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

    @property
    def units_mm(self) -> dict[Path, float]:
        """The depth unit of each folder that holds frames."""
        return {
            folder: about.unit_mm if self._unit_mm is None else self._unit_mm for folder, about in self._about.items()
        }

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
        about = self._about[path.parent]
        depth = read_frame(path)
        index = path.stem.removesuffix("_depth")
        frame = (about.frames or {}).get(index, {})
        marks, mark_names = self._marks(path, index, frame, about, strict)
        return RecordedFrame(
            name,
            depth,
            unit_mm=about.unit_mm if self._unit_mm is None else self._unit_mm,
            picture=self._picture(name, depth, strict),
            intrinsics=about.intrinsics or _phone_intrinsics(frame, depth, about.rotated),
            person=str(frame.get("person") or _person(path)),
            session=str(frame.get("session", "")),
            variant=str(frame.get("variant", "")),
            marks=marks,
            mark_names=mark_names,
            simulated=about.simulated,
        )

    def _picture(self, name: str, depth: Frame, strict: bool) -> npt.NDArray[np.generic] | None:
        path = self.picture_path(name)
        if path is None:
            return None
        try:
            picture = read_picture(path)
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
        self, path: Path, index: str, frame: Mapping[str, Any], about: RecordingMetadata, strict: bool
    ) -> tuple[npt.NDArray[np.float64] | None, tuple[str, ...]]:
        source = path.parent / ABOUT
        marks, names = frame.get("marks"), tuple(map(str, frame.get("mark_names", about.mark_names)))
        try:
            if marks is None and (path.parent / POINTS).is_file():
                source = path.parent / POINTS
                if source not in self._points:
                    self._points[source] = _read_object(source)
                entry = self._points[source].get(index) or {}
                marks, names = entry.get("points_xy") if isinstance(entry, dict) else entry, POINT_NAMES
            if marks is None:
                return None, ()
            points = _as_points(marks)
            if points is None or (names and len(names) != len(points)):
                raise KitError(f"{source}: found no points x, y for frame {index}, expected {len(names) or 'some'}")
        except KitError as error:
            if strict:
                raise
            self._damage[source] = str(error)
            return None, ()
        return points, names


def nearest_metadata(folder: Path, root: Path) -> tuple[RecordingMetadata, Path | None]:
    """What the ``recording.json`` nearest above a folder says, up to ``root``, and where it lies; None without one.

    Raises :class:`KitError` when it is damaged.
    """
    for above in (folder, *folder.parents):
        if (above / ABOUT).is_file():
            return read_metadata(above), above / ABOUT
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
    :class:`KitError` when the folder already holds a recording, unless ``overwrite``: then the old frames are removed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        unit_mm: float | None = None,
        intrinsics: Intrinsics | None = None,
        simulated: bool = False,
        about: Mapping[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise KitError(f"{self.folder}: found a file, expected a folder for the recording")
        old = _recorded(self.folder) if self.folder.is_dir() else []
        if old and not overwrite:
            raise KitError(
                f"{self.folder}: found a recording ({old[0].name}), expected a new folder (--overwrite replaces it)"
            )
        for path in old:
            path.unlink()
        self.count = 0
        self._frames: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._head: dict[str, Any] = {
            "unit_mm": unit_mm,
            "intrinsics": None if intrinsics is None else asdict(intrinsics),
            "simulated": simulated,
            **(about or {}),
        }
        self._described = unit_mm is not None
        if self._described:
            self._write_about()

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
        if self._described:
            self._write_about()
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
        self._described = True
        self._write_about()

    def _write_about(self) -> None:
        content = {**self._head, "frames": {name: known for name, known in self._frames.items() if known}}
        with write_atomically(self.folder / ABOUT, overwrite=True) as temporary:
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
    frame = re.compile(r".+_(depth|color|infrared)\.png")
    return sorted(
        (path for path in folder.iterdir() if path.name in (ABOUT, LINES) or frame.fullmatch(path.name)),
        key=lambda path: (path.name not in (ABOUT, LINES), path.name),
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


# --- recording.json -------------------------------------------------------------------------------------------------


def read_metadata(folder: Path) -> RecordingMetadata:
    """Read a folder's ``recording.json``. Raises :class:`KitError`, naming it, when it is damaged."""
    path = folder / ABOUT
    content = _read_object(path)
    unit = content.get("unit_mm", content.get("depth_unit_mm", 1.0))
    if isinstance(unit, bool) or not isinstance(unit, int | float) or not 0 < unit < float("inf"):
        raise KitError(f"{path}: found unit_mm {unit!r}, expected millimetres per step above 0")
    frames = content.get("frames", {})
    if not isinstance(frames, dict) or not all(isinstance(frame, dict) for frame in frames.values()):
        raise KitError(f"{path}: found frames that are no table, expected one entry a frame")
    return RecordingMetadata(
        float(unit),
        _intrinsics(path, content.get("intrinsics")),
        bool(content.get("simulated", False)),
        "clockwise" in str(content.get("note", "")),
        tuple(map(str, content.get("mark_names", ()))),
        {**frames, **_read_lines(folder / LINES)},
    )


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise KitError(f"{path}: found a file that cannot be read ({error.strerror})") from None
    except ValueError:
        raise KitError(f"{path}: found a damaged file, expected JSON") from None
    if not isinstance(content, dict):
        raise KitError(f"{path}: found a {type(content).__name__}, expected a JSON object")
    return content


def _read_lines(path: Path) -> dict[str, dict[str, Any]]:
    """Frames of a recording that was not closed; its last line may be half written."""
    frames: dict[str, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frames
    for line in lines:
        try:
            entry = json.loads(line)
            frames[str(entry.pop("name"))] = entry
        except (ValueError, KeyError, AttributeError):
            continue
    return frames


def _intrinsics(path: Path, content: Any) -> Intrinsics | None:
    if content is None:
        return None
    try:
        numbers = {name: float(content[name]) for name in ("fx", "fy", "cx", "cy")}
        if not all(map(np.isfinite, numbers.values())):
            raise ValueError
        return Intrinsics(int(content["width"]), int(content["height"]), **numbers)
    except (KeyError, TypeError, ValueError):
        raise KitError(
            f"{path}: found incomplete intrinsics, expected width, height, fx, fy, cx and cy as numbers"
        ) from None


def _phone_intrinsics(frame: Mapping[str, Any], depth: Frame, rotated: bool) -> Intrinsics | None:
    """Intrinsics as an iPhone gives them: for its photograph, column by column, before the frame was turned upright."""
    given = frame.get("camera_intrinsics")
    if not isinstance(given, dict):
        return None
    try:
        width, height = int(given["width"]), int(given["height"])
        matrix = [float(value) for value in given["intrinsic_matrix"]]
        across = width / float(given["intrinsic_matrix_reference_dimensions_width"])
        down = height / float(given["intrinsic_matrix_reference_dimensions_height"])
        # The photograph counts from the corner of its first pixel, the kit from its centre.
        fx, fy, cx, cy = matrix[0] * across, matrix[4] * down, matrix[6] * across - 0.5, matrix[7] * down - 0.5
    except (TypeError, KeyError, ValueError, IndexError, ZeroDivisionError):
        return None
    if rotated and depth.shape == (width, height):
        return Intrinsics(height, width, fy, fx, height - 1 - cy, cx)
    return Intrinsics(width, height, fx, fy, cx, cy) if depth.shape == (height, width) else None


def _as_points(rows: Any) -> npt.NDArray[np.float64] | None:
    try:
        points = np.array([[np.nan if value is None else float(value) for value in row] for row in rows], np.float64)
    except (TypeError, ValueError):
        return None
    return points if points.ndim == 2 and points.shape[1] == 2 else None


def _person(path: Path) -> str:
    """The person that a folder is named after, as in ``subject_01``; empty for other folders."""
    return path.parent.name if re.fullmatch(r"(subject|person)_\w+", path.parent.name) else ""


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]
