"""Two recordings of the same scene by two cameras: folders beside each other, each with its own clock (equation 1)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import read_picture
from facedepth_kit.cameras.recorded.folder import RecordingFolder, read_metadata
from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.common.errors import KitError

LOWER, HIGHER = "lower", "higher"
LEAST_FRAMES = 10


@dataclass(frozen=True, eq=False)
class ColourDepth:
    """One frame: ``depth_mm`` float32 (rows, columns), NaN = hole; ``picture`` uint8 (rows, columns, 3) aligned RGB."""

    depth_mm: npt.NDArray[np.float32]
    picture: npt.NDArray[np.uint8]


class Stream:
    """One camera's frames in the order of their time stamps.

    ``times_ms`` float64 (n,) are the camera's own clock. Raises :class:`KitError`, a line that names the folder, where
    frames, time stamps, intrinsics or pictures are missing, and where the stream stops for more than ``gap_s``.
    """

    def __init__(self, folder: str | Path, *, gap_s: float = 2.0) -> None:
        self.folder = Path(folder)
        self._recording = RecordingFolder(self.folder)
        about = read_metadata(self.folder)
        frames = about.frames or {}
        stamps = {name: frames[name].timestamp_ms if name in frames else None for name in self._recording.names}
        missing = [name for name, stamp in stamps.items() if stamp is None]
        if missing:
            raise KitError(
                f"{self.folder}: found no timestamp_ms for {len(missing)} of {len(stamps)} frames ({missing[0]} ...), "
                "expected one for each in recording.json"
            )
        if len(stamps) < LEAST_FRAMES:
            raise KitError(f"{self.folder}: found {len(stamps)} frames, expected {LEAST_FRAMES} or more")
        if about.intrinsics is None:
            raise KitError(f"{self.folder}: found no intrinsics, expected them in recording.json")
        self.intrinsics: Intrinsics = about.intrinsics
        self.names = sorted(stamps, key=lambda name: float(stamps[name] or 0))
        self.times_ms = np.asarray([stamps[name] for name in self.names], np.float64)
        gap = float(np.diff(self.times_ms).max())
        if gap > gap_s * 1000:
            at = self.names[int(np.diff(self.times_ms).argmax())]
            raise KitError(
                f"{self.folder}: found {gap / 1000:.1f} s without a frame after {at}, expected at most {gap_s:g} s"
            )

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.names)

    def read(self, index: int) -> ColourDepth:
        """The frame at a place in time order."""
        frame = self._recording.read(self.names[index])
        depth_mm = frame.depth.astype(np.float32) * np.float32(frame.unit_mm)
        depth_mm = np.where(frame.depth > 0, depth_mm, np.float32(np.nan))
        return ColourDepth(depth_mm, self._colour(frame.name, frame.picture))

    def picture(self, index: int) -> npt.NDArray[np.uint8]:
        """The colour picture alone, which takes half the time."""
        name = self.names[index]
        path = self._recording.picture_path(name)
        return self._colour(name, None if path is None else read_picture(path))

    def _colour(self, name: str, picture: npt.NDArray[np.generic] | None) -> npt.NDArray[np.uint8]:
        if picture is None or picture.ndim != 3:
            raise KitError(f"{self.folder}: found no colour picture beside {name}, expected one for key points")
        return np.asarray(picture, np.uint8)


class PairedRecording:
    """A lower- and a higher-quality stream (sections 3 and 4): ``PAIR/lower`` and ``PAIR/higher``."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        for part in (LOWER, HIGHER):
            if not (self.folder / part).is_dir():
                raise KitError(
                    f"{self.folder}: found no folder {part}, expected {LOWER} and {HIGHER}, one for each camera"
                )

    @cached_property
    def lower(self) -> Stream:
        """The camera to be improved."""
        return Stream(self.folder / LOWER)

    @cached_property
    def higher(self) -> Stream:
        """The camera to learn from."""
        return Stream(self.folder / HIGHER)
