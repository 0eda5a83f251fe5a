"""Recordings whatever they lie in: files of the RealSense SDK, a data set as it was published, or depth images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from facedepth_kit.cameras.recorded.depth_files import SUFFIXES
from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import KinectFaceDB, is_kinectfacedb
from facedepth_kit.cameras.recorded.pad_data_sets import PadDataSet, pad_layout
from facedepth_kit.cameras.recorded.realsense import BAG_SUFFIXES, BagFile
from facedepth_kit.common.errors import KitError


class Recordings(Protocol):
    """A data set: frames one by one, read when they are asked for.

    Iterating passes over what cannot be read; ``damaged`` then has a line for each such file. ``simulated`` says that
    no camera has seen them.
    """

    @property
    def simulated(self) -> bool: ...

    @property
    def damaged(self) -> list[str]: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[RecordedFrame]: ...


class ConcatenatedRecordings:
    """Recordings one after the other, as one; ``unopened`` has a line for each that could not be opened."""

    def __init__(self, members: list[Recordings], unopened: Sequence[str] = ()) -> None:
        self.members, self._unopened = members, list(unopened)

    @property
    def simulated(self) -> bool:
        """Whether any of them is."""
        return any(member.simulated for member in self.members)

    @property
    def damaged(self) -> list[str]:
        """A line for each file that could not be read so far."""
        return list(itertools.chain(self._unopened, *(member.damaged for member in self.members)))

    def __len__(self) -> int:
        return sum(len(member) for member in self.members)

    def __iter__(self) -> Iterator[RecordedFrame]:
        return itertools.chain.from_iterable(self.members)


def open_recordings(
    path: str | Path,
    *,
    unit_mm: float | None = None,
    image_suffix: str | None = None,
    frames: int | None = None,
    bright_is_near: bool = False,
) -> Recordings:
    """The recordings at ``path``, by what is found there; nothing but names, headers and ``recording.json`` is read.

    A depth file is a recording, too, such as an NPY stack of frames. ``unit_mm`` and ``image_suffix`` are
    :class:`RecordingFolder`'s, ``frames`` and ``bright_is_near`` :class:`PadDataSet`'s; the others say all themselves.
    Raises :class:`KitError` when there is nothing, or nothing that is a recording.
    """
    path = Path(path)
    if path.suffix.lower() in BAG_SUFFIXES and not path.is_dir():
        return BagFile(path)
    if path.suffix.lower() in SUFFIXES and path.is_file():
        return RecordingFolder(path, unit_mm=unit_mm, image_suffix=image_suffix)
    if not path.is_dir():
        found = "a file" if path.exists() else "no such file or folder"
        raise KitError(f"{path}: found {found}, expected a folder of recordings, a depth file, or a .bag or .db3")
    if is_kinectfacedb(path):
        return KinectFaceDB(path)
    if pad_layout(path) is not None:
        return PadDataSet(path, frames=frames, bright_is_near=bright_is_near)
    return RecordingFolder(path, unit_mm=unit_mm, image_suffix=image_suffix)
