"""From paired recordings to what the networks learn from: aligned frames with sparse targets, and the two folds.

The better camera's nearest frame is carried into the worse one's view (section 4.2); a frame whose nearest one is
farther away in time than asked has no target (section 5). A store holds one file for each recording.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.simulated.paired_recordings import TRUTH, read_clean_depth, read_truth
from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import open_parts, read_description
from facedepth_kit.networks.cards import Faces
from facedepth_kit.networks.weights import Arrays, read_arrays, write_arrays
from facedepth_kit.sequences.alignment import Alignment, read_alignment
from facedepth_kit.sequences.clocks import nearest_frames
from facedepth_kit.sequences.network_frames import STEP_PX, Mask, SmallFrame, block_mean, make_small, person_by_depth
from facedepth_kit.sequences.recordings import ColourDepth, PairedRecording
from facedepth_kit.sequences.reprojection import FloatArray, reproject

ALIGNMENT = "alignment.json"
SESSION = "session.json"
NAME, HOLDS = "windows.json", "aligned frames to learn from"
SUFFIX = ".safetensors"
STEP_MM = 0.25  # of stored depth, in 16 bits


@dataclass(frozen=True)
class Session:
    """Who was recorded where: what must not be in both folds (section 5)."""

    person: str
    room: str

    @property
    def seen(self) -> tuple[Faces, ...]:
        """Person and room as a model card names them."""
        return Faces(f"person {self.person}", 0, 1), Faces(f"room {self.room}", 0, 1)


def read_session(folder: str | Path) -> Session:
    """Who was recorded where, from ``session.json`` ({"person": ..., "room": ...}) or a simulated pair's truth."""
    path = Path(folder) / SESSION
    if not path.is_file() and (Path(folder) / TRUTH).is_dir():
        truth = read_truth(folder)
        return Session(f"{truth.seed}/{truth.person}", f"{truth.seed}/{truth.room}")
    if not path.exists():
        raise KitError(f'{path}: found no such file, expected {{"person": ..., "room": ...}}')
    return read_json(path, Session)


def folds(sessions: Sequence[Session]) -> tuple[list[int], list[int]]:
    """The sessions of P1 and of P2 (Figure 3), by index: no person and no room is in both, and both are about equal.

    Raises :class:`KitError` where everything hangs together.
    """
    groups: list[set[int]] = []
    for i, session in enumerate(sessions):
        near = [
            group
            for group in groups
            if any(sessions[j].person == session.person or sessions[j].room == session.room for j in group)
        ]
        groups = [group for group in groups if group not in near] + [{i}.union(*near)]
    first: list[int] = []
    second: list[int] = []
    for group in sorted(groups, key=lambda one: (-len(one), min(one))):
        (first if len(first) <= len(second) else second).extend(group)
    if not second:
        found = f"{len(sessions)} recordings that share people or rooms"
        raise KitError(f"folds: found {found}, expected two groups that share neither")
    return sorted(first), sorted(second)


def person_and_truth(pair: PairedRecording, index: int, frame: ColourDepth) -> tuple[Mask, FloatArray | None]:
    """The person in a lower-quality frame, by depth; of simulated pairs the true one, and the depth without noise."""
    if (pair.folder / TRUTH).is_dir():
        clean_mm, person = read_clean_depth(pair.folder, pair.lower.names[index])
        return person, clean_mm
    return person_by_depth(frame.depth_mm), None


def true_alignment(folder: str | Path) -> Alignment:
    """A simulated pair's own alignment, for scoring, and where finding it would take too long; who uses it says so."""
    truth = read_truth(folder)
    return Alignment(truth.shift_ms, truth.shift_ms, truth.extrinsic, np.empty((0, 3)), 0.0, 0, 0)


@dataclass(frozen=True, eq=False)
class Target:
    """What the better camera says of a lower-quality frame: ``depth_mm`` (rows, columns), and how many ms away."""

    depth_mm: FloatArray
    away_ms: float


class AlignedPair:
    """A paired recording with its alignment: frames, people and targets, read as they are asked for."""

    def __init__(self, pair: PairedRecording, alignment: Alignment | None = None) -> None:
        self.pair = pair
        self.alignment = alignment or read_alignment(pair.folder / ALIGNMENT)

    @cached_property
    def frames(self) -> npt.NDArray[np.intp]:
        """Lower-quality frames that the other camera was recording at, too."""
        shifted = self.pair.higher.times_ms + self.alignment.shift_ms
        times = self.pair.lower.times_ms
        return np.flatnonzero((times >= shifted[0] - 1) & (times <= shifted[-1] + 1))

    def _partner(self, index: int) -> tuple[int, float]:
        """The better camera's nearest frame (equation 2), and how many ms away it is."""
        higher, moment = self.pair.higher.times_ms, self.pair.lower.times_ms[[index]]
        j = int(nearest_frames(moment, higher, self.alignment.shift_ms)[0])
        return j, float(abs(higher[j] + self.alignment.shift_ms - moment[0]))

    def away_ms(self, index: int) -> float:
        """How far in time a lower-quality frame's target is."""
        return self._partner(index)[1]

    def target(self, index: int) -> Target:
        """The better camera's nearest frame (equation 2) in the worse one's view (equation 3): the person alone.

        What the better camera sees behind the person would otherwise arrive where the worse one sees the person's side.
        """
        lower, higher = self.pair.lower, self.pair.higher
        j, away = self._partner(index)
        seen = higher.read(j).depth_mm
        person = np.where(person_by_depth(seen), seen, np.float32(np.nan))
        arrived = reproject(person, higher.intrinsics, self.alignment.extrinsic, lower.intrinsics)
        return Target(arrived.depth_mm, away)


def _stored(depth_mm: FloatArray) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(np.nan_to_num(depth_mm) / STEP_MM), 0, 65535).astype(np.uint16)


def _depth(stored: npt.NDArray[np.uint16]) -> FloatArray:
    return np.where(stored > 0, stored * np.float32(STEP_MM), np.float32(np.nan)).astype(np.float32)


def _recording(aligned: AlignedPair, step_px: int) -> Arrays:
    pictures, depths, people, targets, away = [], [], [], [], []
    for i in aligned.frames:
        frame = aligned.pair.lower.read(int(i))
        person, _ = person_and_truth(aligned.pair, int(i), frame)
        target = aligned.target(int(i))
        small = make_small(frame.depth_mm, frame.picture, person, step_px)
        pictures.append(small.picture)
        depths.append(_stored(small.depth_mm))
        people.append(np.rint(small.person * 255).astype(np.uint8))
        targets.append(_stored(block_mean(target.depth_mm, np.isfinite(target.depth_mm) & person, step_px)))
        away.append(target.away_ms)
    return {
        "picture": np.stack(pictures),
        "depth": np.stack(depths),
        "person": np.stack(people),
        "target": np.stack(targets),
        "away_ms": np.asarray(away, np.float32),
        "times_ms": aligned.pair.lower.times_ms[aligned.frames],
    }


@dataclass(frozen=True, eq=False)
class Windows:
    """One recording's frames at the networks' resolution, in the order of time; see :class:`SmallFrame`.

    ``target_mm`` float32 (n, h, w), NaN = none; ``away_ms`` (n,) is how far its frame was from the moment.
    """

    name: str
    session: Session
    arrays: Arrays

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self.arrays["away_ms"])

    def frame(self, index: int) -> SmallFrame:
        """One frame."""
        person = self.arrays["person"][index].astype(np.float32) / 255
        return SmallFrame(self.arrays["picture"][index], _depth(self.arrays["depth"][index]), person)

    def target_mm(self, index: int) -> FloatArray:
        """One frame's target on the person, NaN elsewhere."""
        return _depth(self.arrays["target"][index])

    @property
    def away_ms(self) -> npt.NDArray[np.float32]:
        """How far each target's frame was from the moment."""
        return np.asarray(self.arrays["away_ms"], np.float32)

    def following(self, frames: int) -> npt.NDArray[np.intp]:
        """First indices of runs of ``frames`` frames without a gap of more than 1.75 usual steps."""
        steps = np.diff(self.arrays["times_ms"])
        near = steps < 1.75 * np.median(steps)
        first = np.arange(len(self) - frames + 1)
        return first[[bool(near[i : i + frames - 1].all()) for i in first]]


class WindowStore:
    """A folder of :class:`Windows`, one file for each recording. Raises :class:`KitError` where it holds none."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        about = read_description(self.folder / NAME, HOLDS)
        self.step_px = int(about.get("step_px", STEP_PX))
        self.recordings: list[Windows] = []
        self.digest = ""
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            arrays, texts = read_arrays(path)
            self.recordings.append(Windows(path.stem, Session(texts["person"], texts["room"]), arrays))
            self.digest += f"{path.stem}:{int(arrays['depth'].sum(dtype=np.int64))};"
        if not self.recordings:
            raise KitError(f"{self.folder}: found no recording, expected {HOLDS}")

    def part(self, indices: Iterable[int]) -> list[Windows]:
        """Some of the recordings."""
        return [self.recordings[i] for i in indices]


def build_windows(
    pairs: Sequence[str | Path],
    folder: str | Path,
    *,
    step_px: int = STEP_PX,
    truly_aligned: bool = False,
    progress: bool = True,
) -> WindowStore:
    """Make (or finish) a store from paired recordings that ``facedepth align`` has aligned.

    ``truly_aligned``: simulated ones, whose alignment the simulator gives away. Raises :class:`KitError` for a
    recording without alignment or session.
    """
    from tqdm.auto import tqdm

    folder = Path(folder)
    description = {"step_px": step_px, "truly_aligned": truly_aligned}
    with open_parts(folder, description, name=NAME, fixed=[*description], parts=[f"*{SUFFIX}"], holds=HOLDS):
        for pair in tqdm([Path(pair) for pair in pairs], desc="recordings", unit="pair", disable=not progress):
            path = folder / f"{pair.name}{SUFFIX}"
            if path.is_file():
                continue
            session = read_session(pair)
            alignment = true_alignment(pair) if truly_aligned else None
            arrays = _recording(AlignedPair(PairedRecording(pair), alignment), step_px)
            write_arrays(path, arrays, {"person": session.person, "room": session.room})
    return WindowStore(folder)
