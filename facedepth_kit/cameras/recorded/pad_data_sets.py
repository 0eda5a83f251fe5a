"""Data sets of presentation attacks as they lie on disk: 3DMAD, WMCA, CASIA-SURF, CeFA; read lazily, and written alike.

None of them may be shipped, and none lay before us: the layouts are those that public documentation and public loaders
describe, and each function below says which. What a file says otherwise is an error that names it. Only 3DMAD keeps
depth in a sensor's own steps. The other three keep 8-bit grey levels, so their frames are not ``metric``: a grey level
counts as a millimetre, rules that compare depths hold as ever, numbers in millimetres mean nothing.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import read_picture
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import FRAME_PX, read_file, refuse_irregular
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.detection import to_grey

Frame = npt.NDArray[np.uint16]

BONA_FIDE = "bona_fide"
SIMULATED = "simulated.json"
LEVELS = 4  # how far below the data set's folder its files may begin
# libfreenect's 11 bits are disparities: 2047 says "none", and metres follow by OpenKinect's calibration.
NO_DISPARITY = 2047
OPENKINECT = (-0.0030711016, 3.3309495161)
DARKEST = 8  # grey levels below are holes: black, and what JPEG leaves beside it


@dataclass(frozen=True)
class Presentation:
    """One video or picture: what was presented (``bona_fide`` or an attack species), and the file or folder it is in.

    ``files`` are the pictures of a source that keeps each frame in a file of its own: colour and depth.
    """

    name: str
    path: Path
    person: str
    session: str
    species: str
    files: tuple[tuple[Path, Path], ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk: what is found there, how many frames each presentation has, and one of them."""

    name: str
    metric: bool
    find: Callable[[Path], list[Presentation]]
    count: Callable[[Presentation], int]
    read: Callable[[Presentation, int, bool], RecordedFrame]


class PadDataSet:
    """The presentations of one of :data:`LAYOUTS`; nothing but names is read before a frame is asked for.

    ``root`` may be the folder of the files or up to four above it. ``frames`` is how many of each presentation are
    read, evenly spaced; all by default. With one, each presentation counts once: frames of one video are no
    independent trials. ``bright_is_near`` turns grey levels round (no matter for 3DMAD): the documentation of the grey
    sets does not say, and more is farther by default. ``damaged`` has a line for each file that could not be read so
    far. ``simulated`` is true for what :mod:`facedepth_kit.cameras.simulated.data_sets` has written. Raises
    :class:`KitError` when ``root`` holds none of these data sets.
    """

    def __init__(self, root: str | Path, *, frames: int | None = None, bright_is_near: bool = False) -> None:
        self.root = Path(root)
        layout = pad_layout(self.root)
        if layout is None:
            raise KitError(f"{self.root}: found none of {', '.join(LAYOUTS)}, expected the files of one of them")
        self.layout = layout
        self.frames, self.bright_is_near = frames, bright_is_near
        self.presentations = sorted(layout.find(self.root), key=lambda presentation: presentation.name)
        self.simulated = any((folder / SIMULATED).is_file() for folder in _parents(self.root, self.presentations[0]))
        self._damage: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.layout.name

    @property
    def metric(self) -> bool:
        """Whether depth is in millimetres."""
        return self.layout.metric

    @property
    def damaged(self) -> list[str]:
        """A line for each presentation that could not be read so far."""
        return list(self._damage.values())

    def __len__(self) -> int:
        """How many frames there are, by what the files say; damaged ones are known after reading them."""
        return sum(len(self._chosen(presentation)) for presentation in self.presentations)

    def __iter__(self) -> Iterator[RecordedFrame]:
        """The frames, presentation by presentation; what cannot be read is passed over and named in ``damaged``."""
        for presentation in self.presentations:
            for index in self._chosen(presentation):
                try:
                    frame = self.layout.read(presentation, index, self.bright_is_near)
                except KitError as error:
                    self._damage[f"{presentation.name} {index}"] = str(error)
                else:
                    yield _described(frame, presentation, index, self.metric, self.simulated)

    def _chosen(self, presentation: Presentation) -> list[int]:
        try:
            count = self.layout.count(presentation)
        except KitError as error:
            self._damage[presentation.name] = str(error)
            return []
        if self.frames is None or self.frames >= count:
            return list(range(count))
        return [(2 * index + 1) * count // (2 * self.frames) for index in range(self.frames)]


def pad_layout(root: str | Path) -> Layout | None:
    """Which of the layouts a folder holds, by the names in it; None for another folder."""
    root = Path(root)
    return next((layout for layout in LAYOUTS.values() if root.is_dir() and layout.find(root)), None)


def _described(
    frame: RecordedFrame, presentation: Presentation, index: int, metric: bool, simulated: bool
) -> RecordedFrame:
    return RecordedFrame(
        f"{presentation.name}/{index:03d}",
        frame.depth,
        picture=frame.picture,
        person=presentation.person,
        session=presentation.session,
        variant=presentation.species,
        marks=frame.marks,
        mark_names=frame.mark_names,
        simulated=simulated,
        metric=metric,
    )


def _parents(root: Path, presentation: Presentation) -> list[Path]:
    return [root, *(folder for folder in presentation.path.parents if root in folder.parents)]


def _below(folder: Path, levels: int = LEVELS) -> Iterator[tuple[Path, bool]]:
    """Everything in a folder and down to so many levels below it, in the order of names, and whether it is a folder."""
    with os.scandir(folder) as entries:
        inside = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in inside:
        yield folder / name, is_folder
        if levels and is_folder:
            yield from _below(folder / name, levels - 1)


def _named(root: Path, pattern: re.Pattern[str], *, folders: bool = False) -> list[tuple[Path, re.Match[str]]]:
    """Files (or folders) whose whole name matches."""
    found = ((path, pattern.fullmatch(path.name)) for path, is_folder in _below(root) if is_folder == folders)
    return [(path, match) for path, match in found if match]


# --- HDF5 -----------------------------------------------------------------------------------------------------------


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    """An open HDF5 file. Raises :class:`KitError` for a damaged one, also while it is read."""
    import h5py

    refuse_irregular(path, "an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except KitError:
        raise
    except Exception as error:  # damaged files raise many kinds
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise KitError(f"{path}: found a file that is no HDF5, or a damaged one ({reason}), expected one") from None


def _data_set(path: Path, file: Any, name: str) -> Any:
    """A data set of an open file that lies in this file, with one dimension or more."""
    import h5py

    if name not in file:
        raise KitError(f"{path}: found {', '.join(list(file)[:8]) or 'nothing'}, expected {name}")
    values = file[name]
    if not isinstance(values, h5py.Dataset) or not values.shape:
        raise KitError(f"{path}: found no array in {name}, expected one")
    if values.file.filename != file.filename or values.external:
        raise KitError(f"{path}: found {name} in another file, expected it here")
    return values


def _array(path: Path, file: Any, name: str, index: int | None = None) -> npt.NDArray[Any]:
    """A data set of an open file, or one entry of it."""
    values = _data_set(path, file, name)
    pixels = math.prod(values.shape[0 if index is None else 1 :])
    FRAME_PX.check(path, pixels, f"{name} of {pixels:,} pixels")
    return np.asarray(values[()] if index is None else values[index])


# --- 3DMAD ----------------------------------------------------------------------------------------------------------

_3DMAD = re.compile(r"(\d{2})_(\d{2})_(\d{2})\.hdf5")
MASK_SESSION = "03"


def _find_3dmad(root: Path) -> list[Presentation]:
    """``PP_SS_VV.hdf5``: person 01 to 17, session 01 to 03, video 01 to 05 (Idiap's description and Bob's interface).

    Sessions 1 and 2 are bona fide, in session 3 an operator wears the person's 3D mask.
    """
    return [
        Presentation(path.stem, path, match[1], match[2], "mask" if match[2] == MASK_SESSION else BONA_FIDE)
        for path, match in _named(root, _3DMAD)
    ]


def _count_3dmad(presentation: Presentation) -> int:
    with _hdf5(presentation.path) as file:
        return int(_data_set(presentation.path, file, "Depth_Data").shape[0])


def _read_3dmad(presentation: Presentation, index: int, bright_is_near: bool) -> RecordedFrame:
    """``Depth_Data`` (n, 1, 480, 640), ``Color_Data`` (n, 3, 480, 640), ``Eye_Pos`` (n, 4), as Bob's interface reads.

    The description says "11 bits" and no more. Where most pixels without depth read 2047 these are libfreenect's
    disparities, turned into millimetres by OpenKinect's calibration; otherwise they count as millimetres, 0 = hole.
    The order within ``Eye_Pos`` is not described: eyes lie side by side, so the two numbers that differ more are x.
    """
    path = presentation.path
    with _hdf5(path) as file:
        depth = _array(path, file, "Depth_Data", index)
        colour = _array(path, file, "Color_Data", index)
        eyes = _array(path, file, "Eye_Pos", index) if "Eye_Pos" in file else None
    depth = depth[0] if depth.ndim == 3 and depth.shape[0] == 1 else depth
    if depth.ndim != 2 or depth.dtype.kind not in "ui":
        raise KitError(f"{path}: found Depth_Data {depth.dtype} {depth.shape}, expected whole (1, rows, columns)")
    picture = np.moveaxis(colour, 0, -1) if colour.ndim == 3 and colour.shape[0] == 3 else colour
    if picture.shape != (*depth.shape, 3) or picture.dtype != np.uint8:
        raise KitError(f"{path}: found Color_Data {colour.dtype} {colour.shape}, expected uint8 (3, {depth.shape})")
    marks = None if eyes is None else _eyes(path, eyes)
    return RecordedFrame(
        presentation.name,
        _millimetres(depth),
        picture=np.ascontiguousarray(picture),
        marks=marks,
        mark_names=() if marks is None else ("eye", "eye"),
    )


def _millimetres(depth: npt.NDArray[Any]) -> Frame:
    if depth.max(initial=0) != NO_DISPARITY or (depth == NO_DISPARITY).sum() <= (depth == 0).sum():
        return np.clip(depth, 0, 65535).astype(np.uint16)
    slope, offset = OPENKINECT
    with np.errstate(divide="ignore"):
        depth_mm = 1000 / (slope * depth.astype(np.float64) + offset)
    known = (depth > 0) & (depth < NO_DISPARITY) & (depth_mm > 0) & (depth_mm < 10_000)
    return np.where(known, np.rint(np.where(known, depth_mm, 0)), 0).astype(np.uint16)


def _eyes(path: Path, eyes: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if eyes.shape != (4,):
        raise KitError(f"{path}: found Eye_Pos of shape {eyes.shape}, expected two points for each frame")
    pairs = eyes.astype(np.float64).reshape(2, 2)
    first, second = np.abs(pairs[0] - pairs[1])
    return pairs if first >= second else pairs[:, ::-1]


# --- WMCA -----------------------------------------------------------------------------------------------------------

_WMCA = re.compile(r"(\d{3})_(\d{2})_(\d{3})_(\d)_(\d{2,3})\.(?:hdf5|h5)")
# Idiap's documentation names 0 to 3; 4 to 7 follow the order of the data set's paper.
WMCA_TYPES = {
    "0": BONA_FIDE,
    "1": "glasses",
    "2": "fake_face",
    "3": "print",
    "4": "replay",
    "5": "rigid_mask",
    "6": "flexible_mask",
    "7": "paper_mask",
}


def _find_wmca(root: Path) -> list[Presentation]:
    """``CLIENT_SESSION_PRESENTER_TYPE_PAI.hdf5`` (Idiap's naming conventions), e.g. ``018_02_000_3_10.hdf5``."""
    return [
        Presentation(path.stem, path, match[1], match[2], WMCA_TYPES.get(match[4], f"type_{match[4]}"))
        for path, match in _named(root, _WMCA)
    ]


def _wmca_frames(path: Path, file: Any) -> list[str]:
    """``Frame_0`` and so on, as Bob's containers of video frames write them."""
    names = sorted((name for name in file if re.fullmatch(r"Frame_\d{1,9}", name)), key=lambda name: int(name[6:]))
    if not names:
        found = ", ".join(list(file)[:8]) or "nothing"
        raise KitError(f"{path}: found {found}, expected Frame_0, ... of the preprocessed CDIT channels")
    return names


def _count_wmca(presentation: Presentation) -> int:
    with _hdf5(presentation.path) as file:
        return len(_wmca_frames(presentation.path, file))


def _read_wmca(presentation: Presentation, index: int, bright_is_near: bool) -> RecordedFrame:
    """``Frame_i/array``: uint8 (4, rows, columns): grey, depth, infrared, thermal of the aligned face (public loaders).

    That is the preprocessed release; the raw one is not read. Its depth is normalised to 8 bits: not metric.
    """
    path = presentation.path
    with _hdf5(path) as file:
        channels = _array(path, file, f"{_wmca_frames(path, file)[index]}/array")
    if channels.ndim != 3 or channels.shape[0] != 4 or channels.dtype != np.uint8:
        raise KitError(f"{path}: found {channels.dtype} {channels.shape}, expected uint8 (4, rows, columns): CDIT")
    return RecordedFrame(
        presentation.name, _from_grey(channels[1], bright_is_near), picture=np.ascontiguousarray(channels[0])
    )


# --- CASIA-SURF -----------------------------------------------------------------------------------------------------

_SURF_VIDEO = re.compile(r"(?:(real)|(\d{2})_.*)\.rssdk")
_SURF_PICTURE = re.compile(r"(\d+)-depth\.jpg")


def _find_surf(root: Path) -> list[Presentation]:
    """The challenge's folders, as Bob's interface and public loaders walk them.

    ``Training/real_part/PERSON/real.rssdk/depth/NNN.jpg`` and ``Training/fake_part/PERSON/04_en_b.rssdk/depth``, where
    the number is the attack (1 to 6: flat and curved prints with eyes, nose and mouth cut out in turn); beside
    ``depth`` lies ``color``. ``Val/0000/000000-depth.jpg`` are single pictures; whether they are attacks is said by
    lists of colour, depth, infrared and label (1 = bona fide), without which they are left out.
    """
    found = []
    for path, match in _named(root, _SURF_VIDEO, folders=True):
        if (files := _pictures(path)) and path.parent.parent.name in ("real_part", "fake_part"):
            species = BONA_FIDE if match[1] else f"attack_{int(match[2])}"
            person = path.parent.name
            found.append(Presentation(f"{person}_{path.stem}", path, person, "Training", species, files))
    for listing in sorted(root.glob("*list*.txt")):
        found += _listed_surf(root, listing)
    return found


def _listed_surf(root: Path, listing: Path) -> list[Presentation]:
    found = []
    for line in read_file(listing, "a list of pictures").decode("utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) == 4 and words[3] in ("0", "1") and _SURF_PICTURE.fullmatch(Path(words[1]).name):
            colour, depth = root / words[0], root / words[1]
            name = depth.stem.removesuffix("-depth")
            species = BONA_FIDE if words[3] == "1" else "attack"
            part = Path(words[1]).parts[0]
            found.append(Presentation(f"{part}_{name}", depth, "", part, species, ((colour, depth),)))
    return found


# --- CeFA -----------------------------------------------------------------------------------------------------------

_CEFA = re.compile(r"(\d)_(\d{3})_(\d)_(\d)_(\d)(?:_(\d)_(\d))?")
CEFA_TYPES = {"1": BONA_FIDE, "2": "print", "3": "photo", "4": "screen"}
CEFA_MASKS = {"1": "3d_mask", "2": "silicone_mask"}


def _find_cefa(root: Path) -> list[Presentation]:
    """Folders ``RACE_ID_DEVICE_SESSION_TYPE`` with ``depth`` in them (the authors' description of their release).

    Beside ``depth`` lies ``profile`` (the challenge's colour pictures) or ``color`` (the full release). Type 1 is bona
    fide, 2 a print (on cloth), 3 a photo, 4 a screen. Names of seven numbers are masks: 1 printed in 3D, 2 of silicone.
    """
    found = []
    for path, match in _named(root, _CEFA, folders=True):
        if files := _pictures(path):
            mask = match[6] is not None
            species = CEFA_MASKS.get(match[1], "mask") if mask else CEFA_TYPES.get(match[5], f"type_{match[5]}")
            kind = "mask" if mask else match[1]
            person, session = f"{kind}_{match[2]}", match[6] if mask else match[4]
            found.append(Presentation(path.name, path, person, session, species, files))
    return found


# --- pictures -------------------------------------------------------------------------------------------------------


def _pictures(folder: Path) -> tuple[tuple[Path, Path], ...]:
    """Colour and depth of each frame of a video's folder, in the order of names."""
    colour = next((folder / name for name in ("profile", "color") if (folder / name).is_dir()), None)
    depth = folder / "depth"
    if colour is None or not depth.is_dir():
        return ()
    return tuple((colour / path.name, path) for path in sorted(depth.glob("*.jpg")))


def _count_pictures(presentation: Presentation) -> int:
    return len(presentation.files)


def _read_pictures(presentation: Presentation, index: int, bright_is_near: bool) -> RecordedFrame:
    """One frame: depth as an 8-bit JPEG of grey levels, not metric; the colour picture is scaled to its size."""
    colour_path, depth_path = presentation.files[index]
    grey, colour = read_picture(depth_path), read_picture(colour_path)
    if grey.dtype != np.uint8 or colour.dtype != np.uint8:
        raise KitError(f"{depth_path}: found {grey.dtype} and colour {colour.dtype}, expected 8-bit pictures")
    grey = to_grey(grey)
    if colour.shape[:2] != grey.shape:
        colour = np.asarray(cv2.resize(np.asarray(colour, np.uint8), grey.shape[::-1], interpolation=cv2.INTER_AREA))
    return RecordedFrame(presentation.name, _from_grey(grey, bright_is_near), picture=colour)


def _from_grey(grey: npt.NDArray[Any], bright_is_near: bool) -> Frame:
    """Grey levels as depth steps, one each; black is a hole."""
    values = grey.astype(np.uint16)
    return np.where(grey < DARKEST, 0, 256 - values if bright_is_near else values).astype(np.uint16)


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("3DMAD", True, _find_3dmad, _count_3dmad, _read_3dmad),
        Layout("WMCA", False, _find_wmca, _count_wmca, _read_wmca),
        Layout("CASIA-SURF", False, _find_surf, _count_pictures, _read_pictures),
        Layout("CeFA", False, _find_cefa, _count_pictures, _read_pictures),
    )
}


# --- writing --------------------------------------------------------------------------------------------------------

# What the simulator presents, as each data set names it. A kind that is not there the data set does not have.
KINDS: dict[str, dict[str, str]] = {
    "3DMAD": {"bona_fide": "01", "mask": MASK_SESSION},
    "WMCA": {"bona_fide": "0", "flat_print": "3", "mask": "5"},
    "CASIA-SURF": {"bona_fide": "real", "flat_print": "01_en_b", "bent_print": "02_en_b"},
    "CeFA": {"bona_fide": "1", "flat_print": "2"},
}
GREY_SIDE_PX = 256


def write_presentation(root: str | Path, layout: str, frames: Sequence[RecordedFrame]) -> None:
    """Write one presentation in a data set's layout below ``root``: frames of one person and ``variant``, with marks.

    ``variant`` is one of :data:`KINDS`. The grey sets get what their documentation says: the face alone, on 8 bits.
    Raises :class:`KitError` for a kind that the data set does not have, and for files that are already there.
    """
    kind, person = frames[0].variant, int(frames[0].person)
    if kind not in KINDS[layout]:
        raise KitError(f"{layout}: found {kind!r}, expected one of {', '.join(KINDS[layout])}")
    code, root = KINDS[layout][kind], Path(root)
    if layout == "3DMAD":
        _write_hdf5(root / "Data" / f"{person:02d}_{code}_01.hdf5", _arrays_3dmad(frames))
        return
    cut = [_grey_face(frame) for frame in frames]
    if layout == "WMCA":
        channels = [np.stack([to_grey(picture), grey, grey, grey]) for picture, grey in cut]
        arrays = {f"Frame_{index}/array": array for index, array in enumerate(channels)}
        _write_hdf5(root / f"{person:03d}_01_000_{code}_{person % 100:02d}.hdf5", arrays)
        return
    if layout == "CeFA":
        folder, colour = root / "train" / f"1_{person:03d}_1_1_{code}", "profile"
    else:
        part = "real_part" if kind == "bona_fide" else "fake_part"
        folder, colour = root / "Training" / part / f"CLKJ_AS{person:04d}" / f"{code}.rssdk", "color"
    for index, (picture, grey) in enumerate(cut, 1):
        for name, content in ((colour, picture[..., ::-1]), ("depth", grey)):
            with write_atomically(folder / name / f"{index:04d}.jpg") as temporary:
                temporary.write_bytes(bytes(cv2.imencode(".jpg", np.ascontiguousarray(content))[1]))


def _arrays_3dmad(frames: Sequence[RecordedFrame]) -> dict[str, npt.NDArray[Any]]:
    """Millimetres become libfreenect's 11 bits; the eyes are the first two of a simulated frame's marks."""
    slope, offset = OPENKINECT
    depth_m = np.stack([frame.millimetres() for frame in frames]) / 1000.0
    raw = np.where(np.isfinite(depth_m), np.rint((1 / np.nan_to_num(depth_m, nan=1.0) - offset) / slope), NO_DISPARITY)
    return {
        "Depth_Data": np.clip(raw, 0, NO_DISPARITY).astype(np.uint16)[:, None],
        "Color_Data": np.stack([np.moveaxis(np.asarray(frame.picture), -1, 0) for frame in frames]),
        "Eye_Pos": np.stack([np.rint(_marks(frame)[:2]).astype(np.int16).ravel() for frame in frames]),
    }


def _grey_face(frame: RecordedFrame) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The square around the marks, colour and depth, 250 mm from its nearest pixel on grey levels above the darkest."""
    marks = _marks(frame)
    middle, side = marks.mean(axis=0), 3.2 * float(np.ptp(marks, axis=0).max())
    scale, (left, top) = GREY_SIDE_PX / side, middle - side / 2
    warp = np.array([[scale, 0.0, -scale * left], [0.0, scale, -scale * top]])
    size = (GREY_SIDE_PX, GREY_SIDE_PX)
    picture = np.asarray(cv2.warpAffine(np.asarray(frame.picture), warp, size), np.uint8)
    depth_mm = frame.millimetres()
    cut = np.asarray(cv2.warpAffine(np.nan_to_num(depth_mm), warp, size, flags=cv2.INTER_NEAREST))
    near = float(cut[cut > 0].min(initial=65535.0))
    seen = (cut > 0) & (cut <= near + 250)
    grey = np.where(seen, DARKEST + 2 + (cut - near) * ((255 - DARKEST - 2) / 250), 0)
    return picture, np.rint(grey).astype(np.uint8)


def _marks(frame: RecordedFrame) -> npt.NDArray[np.float64]:
    if frame.marks is None or frame.picture is None:
        raise KitError(f"{frame.name}: found no marks or no picture, expected both")
    return frame.marks


def _write_hdf5(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    import h5py

    with write_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip", compression_opts=1)
