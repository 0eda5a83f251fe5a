"""The two cameras' data sets: the user's own where there are any, otherwise simulated ones of the same form.

The user's lie in the data folder (FACEDEPTH_DATA, or ``data`` in the repository): KinectFaceDB under its own name or
any other, recordings of a RealSense in ``realsense``, as ``.bag`` or ``.db3`` files or as folders of frames. Simulated
ones are written once and kept. Whether a data set is simulated is said by its ``simulated``; tables and captions made
from it must pass that on.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.cameras.recorded.kinectfacedb import KinectFaceDB, is_kinectfacedb
from facedepth_kit.cameras.recorded.realsense import BAG_SUFFIXES
from facedepth_kit.cameras.recorded.sources import ConcatenatedRecordings, Recordings, open_recordings
from facedepth_kit.cameras.simulated.data_sets import (
    KinectSettings,
    RealSenseSettings,
    write_kinectfacedb,
    write_realsense,
)
from facedepth_kit.common.cache import cache_folder
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import data_dir
from facedepth_kit.common.settings import settings_hash

REALSENSE = "realsense"
SIMULATION = ["facedepth_kit.cameras.simulated.data_sets"]


@dataclass(frozen=True)
class CameraData:
    """What is simulated where the user has no recordings, and where it is kept.

    ``cache`` is the folder for it; ``seed`` decides it. ``people`` is how many the simulated KinectFaceDB has,
    ``frames`` how many frames the simulated RealSense took. ``progress`` shows a bar while they are made.
    """

    cache: Path
    seed: int
    people: int
    frames: int
    progress: bool = False


def kinectfacedb(data: CameraData) -> KinectFaceDB:
    """KinectFaceDB from the data folder, all of it; without one a simulated one of so many ``people``.

    The simulated one is written, or finished after a kill, before it is opened.
    """
    found = real_kinectfacedb()
    if found is not None:
        return KinectFaceDB(found)
    settings, seed = KinectSettings(), _seed(data, "KinectFaceDB")
    # The number of people is no part of the key: more people extend what is there.
    folder = cache_folder(data.cache, "kinectfacedb", f"{settings_hash(settings)} {seed}", SIMULATION)
    return write_kinectfacedb(folder, data.people, seed=seed, settings=settings, progress=data.progress)


def realsense(data: CameraData) -> Recordings:
    """RealSense recordings from ``realsense`` in the data folder; without any, simulated ones of so many ``frames``.

    The simulated ones show bona fide people, flat and bent prints, as their ``variant`` says.
    """
    found = real_realsense()
    if found:
        return found[0] if len(found) == 1 else ConcatenatedRecordings(found)
    settings, seed = RealSenseSettings(), _seed(data, "RealSense")
    key = f"{data.frames} {settings_hash(settings)} {seed}"
    folder = cache_folder(data.cache, "realsense", key, SIMULATION)
    return write_realsense(folder, data.frames, seed=seed, settings=settings, progress=data.progress)


def real_kinectfacedb() -> Path | None:
    """Where the user's KinectFaceDB lies: the data folder itself, or the first folder in it that holds one."""
    base = data_dir()
    if not base.is_dir():
        return None
    folders = [base, *sorted(path for path in base.iterdir() if path.is_dir() and not path.name.startswith("."))]
    return next((path for path in folders if is_kinectfacedb(path)), None)


def real_realsense() -> list[Recordings]:
    """The user's RealSense recordings, in ``realsense`` of the data folder: each file of the SDK, folders of frames."""
    base = data_dir()
    folder = next((path for path in _children(base) if path.name.lower() == REALSENSE and path.is_dir()), None)
    if folder is None:
        return []
    bags = sorted(path for path in folder.rglob("*") if path.suffix.lower() in BAG_SUFFIXES)
    found: list[Recordings] = []
    damaged: list[str] = []
    for bag in bags:
        try:
            found.append(open_recordings(bag))
        except KitError as error:  # one file does not keep the others from being used
            damaged.append(str(error))
    if next(folder.rglob("*_depth.*"), None) is not None:
        found.append(RecordingFolder(folder))
    if damaged and not found:
        raise KitError(damaged[0])
    return [ConcatenatedRecordings(found, damaged)] if damaged else found


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _seed(data: CameraData, purpose: str) -> int:
    return zlib.crc32(f"{data.seed} {purpose}".encode())
