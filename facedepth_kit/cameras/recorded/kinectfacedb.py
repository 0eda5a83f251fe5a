"""KinectFaceDB as it lies on disk, read lazily and written in the same layout (52 people, 2 sessions, 9 variants).

Raw depth is a text file of one line per pixel: column, row and millimetres, 0 = hole, in the coordinates of the whole
Kinect frame, of which the data set keeps 256x256. What the files say is checked: a file in which a pixel is absent or
twice, or a line is no three whole numbers, is named and passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import read_picture
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.people.landmarks import MARK_NAMES

SESSIONS = ("s1", "s2")
VARIANTS = (
    "Neutral",
    "Smile",
    "OpenMouth",
    "LeftProfile",
    "RightProfile",
    "OcclusionEyes",
    "OcclusionMouth",
    "OcclusionPaper",
    "LightOn",
)

FOLDER = "EURECOM_Kinect_Face_Dataset"
SIMULATED = "simulated.json"
SIDE = 256
LEFT, TOP = 192, 74
# Of the whole 640x480 frame: 525 px and its middle, as loaders of the data set use them.
INTRINSICS = Intrinsics(SIDE, SIDE, 525.0, 525.0, 319.5 - LEFT, 239.5 - TOP)

_PERSON = re.compile(r"\d{4}")
_LARGEST_TEXT = 4_000_000  # bytes; a file of 65,536 pixels has 0.7 to 1.2 million

Frame = npt.NDArray[np.uint16]


class Key(NamedTuple):
    """Which of the frames: person ``0001`` to ``0052``, session ``s1`` or ``s2``, one of :data:`VARIANTS`."""

    person: str
    session: str
    variant: str

    @property
    def stem(self) -> str:
        """The part that all file names of a frame have in common: ``0001_s1_Neutral``."""
        return "_".join(self)


@dataclass(frozen=True)
class _Part:
    """Where one kind of file lies in a session's folder."""

    folder: str
    before: str
    after: str

    def path(self, key: Key) -> Path:
        return Path(self.folder) / f"{self.before}{key.stem}{self.after}"


_COLOUR = _Part("RGB", "rgb_", ".bmp")
_DEPTH_PICTURE = _Part("Depth/DepthBMP", "depth_", ".bmp")
_DEPTH = _Part("Depth/DepthKinect", "depth_", ".txt")
_MESH = _Part("3DObj", "depth_", ".obj")
_MARKS = _Part("Mark/MarkRGB", "rgb_", "_Points.txt")
_MARKS_3D = _Part("Mark/Mark3DObj", "depth_", "_Points_OBJ.txt")


class KinectFaceDB:
    """The frames of a KinectFaceDB folder, by person, session and variant; nothing is read before it is asked for.

    ``root`` may be the folder of the people or one or two above it (archives often unpack into a doubled root); case
    does not matter in any name below it. ``people``, ``sessions`` and ``variants`` choose some; all by default.
    ``keys`` lists what was chosen and has a depth file, in the order of the data set; ``damaged`` has a line for each
    file that is missing or, once read, turned out damaged. Frames without a readable depth file are passed over, those
    whose colour or marks cannot be read come without them. ``simulated`` is true for what :mod:`.simulated` has
    written. Raises :class:`KitError` when there is no such data set in ``root``, or nothing of what was asked for.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        people: Iterable[str] | None = None,
        sessions: Iterable[str] = SESSIONS,
        variants: Iterable[str] = VARIANTS,
    ) -> None:
        self.root = Path(root)
        self.folder = _people_folder(self.root)
        found = {path.name: path for path in sorted(self.folder.iterdir()) if _is_person(path)}
        self.people = tuple(found) if people is None else tuple(people)
        for kind, given, known in (
            ("person", self.people, tuple(found)),
            ("session", tuple(sessions), SESSIONS),
            ("variant", tuple(variants), VARIANTS),
        ):
            for name in given:
                if name not in known:
                    raise KitError(f"{self.root}: found no {kind} {name!r}, expected one of {', '.join(known)}")
        self.simulated = any((folder / SIMULATED).is_file() for folder in {self.root, self.folder, self.folder.parent})
        self._files = {person: _Files(path) for person, path in found.items() if person in self.people}
        self._damage: dict[tuple[str, str], str] = {}  # by frame or session and kind of file
        self.keys: list[Key] = []
        for person in self.people:
            for session in sessions:
                if self._files[person].find(Path(session)) is None:
                    path = found[person] / session
                    line = f"{path}: found no such folder, expected a session of {len(VARIANTS)} variants"
                    self._damage[f"{person}_{session}", ""] = line
                    continue
                for variant in variants:
                    key = Key(person, session, variant)
                    try:
                        self._path(key, _DEPTH)
                    except KitError as error:
                        self._damage[key.stem, _DEPTH.folder] = str(error)
                    else:
                        self.keys.append(key)

    def __len__(self) -> int:
        """How many frames were chosen and have a depth file; damaged ones are known after reading them."""
        return len(self.keys)

    def __iter__(self) -> Iterator[RecordedFrame]:
        """The frames in the order of :attr:`keys`; what cannot be read is passed over and named in :attr:`damaged`."""
        for key in self.keys:
            recording = self._attempt(key)
            if recording is not None:
                yield recording

    @property
    def damaged(self) -> list[str]:
        """A line for each file that is missing or could not be read so far."""
        return list(self._damage.values())

    def read(self, person: str, session: str, variant: str) -> RecordedFrame:
        """One frame. Raises :class:`KitError`, naming the file, when depth, colour or marks are missing or damaged."""
        key = Key(person, session, variant)
        return self._recording(key, self._read(key, _COLOUR), self._read(key, _MARKS))

    def path(self, person: str, session: str, variant: str) -> Path:
        """The depth file of a frame. Raises :class:`KitError` when there is none."""
        return self._path(Key(person, session, variant), _DEPTH)

    def _attempt(self, key: Key) -> RecordedFrame | None:
        beside: dict[_Part, Any] = {}
        for part in (_COLOUR, _MARKS):
            try:
                beside[part] = self._read(key, part)
            except KitError as error:
                self._damage[key.stem, part.folder] = str(error)
        try:
            return self._recording(key, beside.get(_COLOUR), beside.get(_MARKS))
        except KitError as error:
            self._damage[key.stem, _DEPTH.folder] = str(error)
            return None

    def _read(self, key: Key, part: _Part) -> Any:
        path = self._path(key, part)
        if part is _MARKS:
            return read_marks(path)
        if part is _DEPTH:
            return read_depth_text(path)
        picture = read_picture(path)
        if picture.shape != (SIDE, SIDE, 3) or picture.dtype != np.uint8:
            size = "x".join(map(str, picture.shape[1::-1]))
            raise KitError(f"{path}: found {picture.dtype} pixels, {size}, expected a colour picture of {SIDE}x{SIDE}")
        return picture

    def _recording(self, key: Key, picture: Any, marks: Any) -> RecordedFrame:
        return RecordedFrame(
            key.stem,
            self._read(key, _DEPTH),
            picture=picture,
            intrinsics=INTRINSICS,
            person=key.person,
            session=key.session,
            variant=key.variant,
            marks=marks,
            mark_names=() if marks is None else MARK_NAMES,
            simulated=self.simulated,
        )

    def _path(self, key: Key, part: _Part) -> Path:
        files = self._files.get(key.person)
        if files is None:
            raise KitError(f"{self.root}: found no person {key.person!r}, expected one of {', '.join(self._files)}")
        wanted = Path(key.session) / part.path(key)
        path = files.find(wanted)
        if path is None:
            raise KitError(f"{files.folder / wanted}: found no such file, expected it as in KinectFaceDB")
        return path


class _Files:
    """A folder's files by name whatever the case; each folder below it is listed once, when first looked into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._inside: dict[Path, dict[str, Path]] = {}

    def find(self, relative: Path) -> Path | None:
        path = self.folder
        for name in relative.parts:
            if path not in self._inside:
                try:
                    self._inside[path] = {child.name.lower(): child for child in path.iterdir()}
                except OSError:  # a file, or a folder that may not be read
                    self._inside[path] = {}
            child = self._inside[path].get(name.lower())
            if child is None:
                return None
            path = child
        return path


def is_kinectfacedb(root: str | Path) -> bool:
    """Whether a folder holds KinectFaceDB's people, itself or one or two levels down."""
    try:
        _people_folder(Path(root))
    except KitError:
        return False
    return True


def _people_folder(root: Path) -> Path:
    if not root.is_dir():
        raise KitError(f"{root}: found no such folder, expected KinectFaceDB's people 0001 to 0052 in it")
    level = [root]
    for _ in range(3):
        for folder in level:
            if any(_is_person(path) and _has_session(path) for path in folder.iterdir()):
                return folder
        level = [child for folder in level for child in sorted(folder.iterdir()) if child.is_dir()]
        level = [child for child in level if FOLDER.lower() in child.name.lower() or len(level) == 1]
    raise KitError(f"{root}: found no KinectFaceDB, expected folders 0001 to 0052 with s1 and s2 in them")


def _is_person(path: Path) -> bool:
    return bool(_PERSON.fullmatch(path.name)) and path.is_dir()


def _has_session(person: Path) -> bool:
    return any(child.name.lower() in SESSIONS for child in person.iterdir())


# --- text files -----------------------------------------------------------------------------------------------------

_FINE, _STRANGE, _COUNT, _OUTSIDE, _DEEP, _TWICE, _CUT = range(7)


@numba.njit(cache=True, nogil=True)
def _parse(text: npt.NDArray[np.uint8], depth: Frame, seen: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Fill ``depth`` and ``seen`` from lines of column, row, depth; returns what is wrong, in which line, and where."""
    line, fields, inside = 1, 0, False
    values = np.zeros(3, np.int64)
    tabbed = False  # whether lines end with a separator: then a number at the very end is one cut short
    for i in range(text.size + 1):
        at_end = i == text.size
        byte = 10 if at_end else int(text[i])
        if 48 <= byte <= 57:
            if not inside:
                if fields == 3:
                    return _COUNT, line, 0, 0
                inside = True
                values[fields] = 0
                fields += 1
            if values[fields - 1] < 1_000_000:
                values[fields - 1] = values[fields - 1] * 10 + (byte - 48)
            continue
        if byte == 10:
            if at_end and inside and tabbed:
                return _CUT, line, 0, 0
            if fields == 3:
                column, row = values[0] - LEFT, values[1] - TOP
                if column < 0 or column >= SIDE or row < 0 or row >= SIDE:
                    return _OUTSIDE, line, values[0], values[1]
                if values[2] > 65535:
                    return _DEEP, line, values[0], values[1]
                if seen[row, column]:
                    return _TWICE, line, values[0], values[1]
                seen[row, column] = True
                depth[row, column] = values[2]
            elif fields > 0:
                return _COUNT, line, 0, 0
            line, fields, inside = line + 1, 0, False
        elif byte == 9 or byte == 32 or byte == 13:
            tabbed = tabbed or (byte == 9 and fields == 3)
            inside = False
        else:
            return _STRANGE, line, 0, 0
    return _FINE, 0, 0, 0


def read_depth_text(path: str | Path) -> Frame:
    """Read a raw depth file: uint16 (256, 256) in millimetres, 0 = hole.

    Lines are column, row and depth, in any order, with blanks or tabs between and behind them and any line ends. Raises
    :class:`KitError`, naming the file and the line, for anything that is not each of the 65,536 pixels once.
    """
    path = Path(path)
    expected = "column, row and depth in whole millimetres"
    data = _read_text(path, _LARGEST_TEXT)
    depth = np.zeros((SIDE, SIDE), np.uint16)
    seen = np.zeros((SIDE, SIDE), np.bool_)
    wrong, line, x, y = _parse(np.frombuffer(data.removeprefix(b"\xef\xbb\xbf"), np.uint8), depth, seen)
    problems = {
        _STRANGE: f"something other than whole numbers in line {line}, expected {expected}",
        _COUNT: f"not three numbers in line {line}, expected {expected}",
        _OUTSIDE: f"pixel {x}, {y} in line {line}, expected columns {LEFT} to {LEFT + SIDE - 1} and rows {TOP} to "
        f"{TOP + SIDE - 1}",
        _DEEP: f"a depth beyond 65535 mm in line {line}, expected {expected}",
        _TWICE: f"pixel {x}, {y} a second time in line {line}, expected each once",
        _CUT: f"a line {line} that is cut short, expected {expected}",
    }
    if wrong != _FINE:
        raise KitError(f"{path}: found {problems[wrong]}")
    if not seen.all():
        row, column = (int(i) for i in np.argwhere(~seen)[0])
        raise KitError(
            f"{path}: found {int(seen.sum())} pixels (none for {column + LEFT}, {row + TOP}), expected {SIDE * SIDE}"
        )
    return depth


def read_marks(path: str | Path) -> npt.NDArray[np.float64]:
    """Read the six marks of a frame, float64 (6, 2), in the order of :data:`MARK_NAMES`.

    Raises :class:`KitError`, naming the file, for anything but so many finite numbers.
    """
    path = Path(path)
    words = _read_text(path, 100_000).removeprefix(b"\xef\xbb\xbf").split()
    count = len(MARK_NAMES) * 2
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise KitError(f"{path}: found something other than numbers, expected {count} coordinates") from None
    if numbers.size != count or not np.isfinite(numbers).all():
        raise KitError(f"{path}: found {numbers.size} numbers, expected {count} finite coordinates of six marks")
    return numbers.reshape(len(MARK_NAMES), 2)


def _read_text(path: Path, largest: int) -> bytes:
    data = read_file(path, "a text as in KinectFaceDB", most=largest)
    if not data.strip():
        raise KitError(f"{path}: found an empty file, expected a text of numbers")
    return data


# --- writing --------------------------------------------------------------------------------------------------------


def mark_simulated(root: str | Path, about: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Say in ``root`` that no Kinect saw what lies there, and how it was made: ``simulated.json``."""
    with write_atomically(Path(root) / SIMULATED, overwrite) as temporary:
        temporary.write_text(json.dumps({"simulated": True, **about}, indent=1) + "\n", encoding="utf-8")


def write_variant(root: str | Path, recording: RecordedFrame, *, mesh: bool = False, overwrite: bool = False) -> None:
    """Write one frame in KinectFaceDB's layout into ``root``, the folder of the people; the depth file last.

    ``recording`` is 256x256 with millimetre steps, ``person`` of four digits, ``session`` and ``variant`` of the data
    set; colour and six marks are written where it has them. ``mesh`` adds the surface as OBJ (4 MB a frame). Raises
    :class:`KitError` for another recording, and for files that are already there unless ``overwrite``.
    """
    key = Key(recording.person, recording.session, recording.variant)
    if not _PERSON.fullmatch(key.person) or key.session not in SESSIONS or key.variant not in VARIANTS:
        raise KitError(f"{recording.name}: found {key.stem!r}, expected a person, session and variant of KinectFaceDB")
    if recording.depth.shape != (SIDE, SIDE) or recording.unit_mm != 1.0:
        found = f"{recording.depth.shape} in steps of {recording.unit_mm} mm"
        raise KitError(f"{recording.name}: found {found}, expected {(SIDE, SIDE)} in millimetres")
    folder = Path(root) / key.person / key.session
    files: dict[_Part, bytes] = {}
    if recording.picture is not None:
        files[_COLOUR] = _bmp(recording.name, recording.picture[..., ::-1])
    if recording.marks is not None:
        if recording.marks.shape != (len(MARK_NAMES), 2):
            raise KitError(f"{recording.name}: found marks of shape {recording.marks.shape}, expected (6, 2)")
        files[_MARKS] = _table(recording.marks)
        files[_MARKS_3D] = _table(_marks_in_space(recording.depth, recording.marks))
    files[_DEPTH_PICTURE] = _bmp(recording.name, _depth_picture(recording.depth))
    if mesh:
        files[_MESH] = _obj(recording.depth)
    files[_DEPTH] = _depth_text(recording.depth)
    for part, content in files.items():
        with write_atomically(folder / part.path(key), overwrite) as temporary:
            temporary.write_bytes(content)


def _depth_text(depth: Frame) -> bytes:
    return "".join(
        f"{pixel}{value}\t\n" for pixel, value in zip(_pixels(), depth.ravel().tolist(), strict=True)
    ).encode()


@cache
def _pixels() -> tuple[str, ...]:
    return tuple(f"{column}\t{row}\t" for row in range(TOP, TOP + SIDE) for column in range(LEFT, LEFT + SIDE))


def _depth_picture(depth: Frame) -> npt.NDArray[np.uint8]:
    """Depth as 8 bits to look at: near bright, holes black, over the span of the frame."""
    picture = np.zeros(depth.shape, np.uint8)
    seen = depth > 0
    if seen.any():
        low, high = float(depth[seen].min()), float(depth[seen].max())
        picture[seen] = np.rint(255 - 254 * (depth[seen] - low) / max(high - low, 1.0)).astype(np.uint8)
    return picture


def _bmp(name: str, picture: npt.NDArray[np.generic]) -> bytes:
    if picture.dtype != np.uint8:
        raise KitError(f"{name}: found a picture of {picture.dtype}, expected uint8 colours")
    return bytes(cv2.imencode(".bmp", np.ascontiguousarray(picture))[1])


def _table(rows: npt.NDArray[np.float64]) -> bytes:
    return "".join("\t".join(f"{value:.4f}" for value in row) + "\n" for row in rows.tolist()).encode()


def _in_space(columns: npt.NDArray[Any], rows: npt.NDArray[Any], depth_mm: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Points (n, 3) in millimetres: x to the right, y up, z negative in front of the camera."""
    depth_mm = np.asarray(depth_mm, np.float64)
    x = (columns - INTRINSICS.cx) * depth_mm / INTRINSICS.fx
    y = (INTRINSICS.cy - rows) * depth_mm / INTRINSICS.fy
    return np.stack([x, y, -depth_mm], axis=-1)


def _marks_in_space(depth: Frame, marks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    columns, rows = np.clip(np.rint(np.nan_to_num(marks)), 0, SIDE - 1).astype(np.intp).T
    return _in_space(marks[:, 0], marks[:, 1], depth[rows, columns])


def _obj(depth: Frame) -> bytes:
    """The measured pixels as vertices, and two triangles between four neighbours that all were measured."""
    seen = depth > 0
    rows, columns = np.nonzero(seen)
    number = np.cumsum(seen).reshape(depth.shape)  # OBJ counts from 1
    corners: Sequence[tuple[slice, slice]] = (np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:])
    whole = np.logical_and.reduce([seen[corner] for corner in corners])
    a, b, c, d = (number[corner][whole] for corner in corners)
    triangles = np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])
    lines = [f"v {x:.3f} {y:.3f} {z:.0f}\n" for x, y, z in _in_space(columns, rows, depth[seen]).tolist()]
    lines += [f"f {i} {j} {k}\n" for i, j, k in triangles.tolist()]
    return "".join(lines).encode()
