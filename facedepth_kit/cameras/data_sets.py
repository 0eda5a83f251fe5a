"""The camera data sets of the notebooks: the user's own where there are any, otherwise simulated ones of the same form.

Real ones lie in the data folder (FACEDEPTH_DATA, or ``data`` in the repository): KinectFaceDB under its own name or any
other, recordings of a RealSense in ``realsense``, as ``.bag`` or ``.db3`` files or as folders of frames. Simulated ones
are written once a profile, with as many people and frames as it says, and kept in ``build``. Whether a data set is
simulated is said by its ``simulated``; tables and captions made from it must pass that on.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

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
from facedepth_kit.common.paths import data_dir
from facedepth_kit.common.settings import settings_hash

if TYPE_CHECKING:
    from facedepth_kit.pipeline.workspace import Workspace

REALSENSE = "realsense"


def kinectfacedb(work: Workspace) -> KinectFaceDB:
    """KinectFaceDB from the data folder, all of it; without one a simulated one of the profile's ``people``.

    The simulated one is written, or finished after a kill, before it is opened.
    """
    found = real_kinectfacedb()
    if found is not None:
        return KinectFaceDB(found)
    settings, seed = KinectSettings(), _seed(work, "KinectFaceDB")
    # The number of people is no part of the key: more people extend what is there.
    key = f"{settings_hash(settings)} {seed}"
    folder = work.cache_folder("kinectfacedb", key, ["facedepth_kit.cameras.simulated.data_sets"])
    return write_kinectfacedb(folder, work.profile.people, seed=seed, settings=settings, progress=work.by_hand)


def realsense(work: Workspace) -> Recordings:
    """RealSense recordings from ``realsense`` in the data folder; without any, simulated ones.

    The simulated ones hold the profile's ``camera_frames`` frames: bona fide people, flat and bent prints, as their
    ``variant`` says.
    """
    found = real_realsense()
    if found:
        return found[0] if len(found) == 1 else ConcatenatedRecordings(found)
    settings, seed = RealSenseSettings(), _seed(work, "RealSense")
    frames = work.profile.camera_frames
    key = f"{frames} {settings_hash(settings)} {seed}"
    folder = work.cache_folder("realsense", key, ["facedepth_kit.cameras.simulated.data_sets"])
    return write_realsense(folder, frames, seed=seed, settings=settings, progress=work.by_hand)


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
    found: list[Recordings] = [open_recordings(bag) for bag in bags]
    if next(folder.rglob("*_depth.*"), None) is not None:
        found.append(RecordingFolder(folder))
    return found


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _seed(work: Workspace, purpose: str) -> int:
    return zlib.crc32(f"{work.seed} {purpose}".encode())
