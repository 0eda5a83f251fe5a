"""Aligning two unsynchronised recordings in space and time without a calibration board (section 4, Figure 2).

First the seconds between the two starts, from how much the pictures change; then the rigid transform between the
cameras, from key points (section 4.1); then the clocks' difference, which only key points that move can tell
(section 4.2): each is followed in the lower-quality pictures, so where it was when the other camera saw it is known
between the frames, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.sequences.clocks import motion, nearest_frames, paths, start_shift_ms
from facedepth_kit.sequences.matching import KeyPoints, key_points, matched
from facedepth_kit.sequences.recordings import PairedRecording
from facedepth_kit.sequences.reprojection import Matrix, Reprojected, project, reproject, unproject

T = TypeVar("T")

FARTHEST_PX = 20.0  # distances beyond it count as this
WRONG_PX = 3.0  # a match that comes no nearer than that at any shift is wrong
MOVING_PX_S = 15.0  # slower points tell nothing about the clocks
NEAR_PX = 15.0  # where a moving point's partner is looked for
AGREE = 0.5  # the share of points that move by a pixel or more between two frames which must follow their paths
ROUNDS = 4  # of matching with a better shift


@dataclass(frozen=True)
class AlignmentSettings:
    """How the alignment searches.

    ``search_ms`` and ``step_ms`` are section 4.2's. Ours: ``starts_s``, how far apart the two starts may lie;
    ``frame_pairs`` used for the transform and ``timing_frames`` for the shift; ``near_px``, where a key point's partner
    is looked for in each round; ``robust_px``, from where on a distance counts less than squared; ``least_matches`` of
    all key points and ``least_moving`` of those that move.
    """

    search_ms: float = 60.0
    step_ms: float = 5.0
    starts_s: float = 5.0
    frame_pairs: int = 8
    timing_frames: int = 20
    near_px: tuple[float, ...] = (120.0, 40.0, 12.0)
    robust_px: float = 1.5
    least_matches: int = 60
    least_moving: int = 40

    def __post_init__(self) -> None:
        if not (0 < self.step_ms <= self.search_ms and self.near_px and self.robust_px > 0):
            raise KitError(f"alignment: found {self}, expected steps above 0 and within the search")


@dataclass(frozen=True, eq=False)
class Alignment:
    """What aligns a pair.

    ``shift_ms`` is added to higher-quality time stamps to get the lower-quality clock, ``extrinsic`` float64 (4, 4)
    takes higher-quality camera points into the lower-quality camera's axes, millimetres: both fitted at once to where
    key points are when the other camera sees them. ``losses`` float64 (n, 3) are shifts and mean squared distances of
    moving key points in px²: to the nearest frame, as in equation 4 (``nearest_shift_ms`` is its minimum), and (ours)
    to where the point is at the moment of the other frame. ``distance_px`` is the median distance of all ``matches``
    after fitting, ``moving`` how many of them move.
    """

    shift_ms: float
    nearest_shift_ms: float
    extrinsic: Matrix
    losses: Matrix
    distance_px: float
    matches: int
    moving: int


def fit_rig(
    points_mm: Matrix,
    pixels_at: Callable[[float], Matrix],
    camera: Callable[[Matrix], Matrix],
    start: Matrix,
    shift_ms: float | None,
    robust_px: float,
) -> tuple[Matrix, float]:
    """The rigid transform (4, 4) and the shift that bring points (n, 3) nearest to their pixels: equation 4.

    ``pixels_at`` gives the pixels (n, 2) at a shift; with ``shift_ms`` None they stay, and 0 is returned for it.
    Rotation as a quaternion and translation are descended from ``start``; distances beyond ``robust_px`` count less
    than squared, since some matches are wrong. The steps are damped Gauss-Newton's: plain gradient descent, as in the
    paper, gets there too, but a millimetre and a radian differ so much in effect that it takes thousands.
    """
    turn, offset, clock = Rotation.from_matrix(start[:3, :3]), start[:3, 3], shift_ms or 0.0
    fixed = pixels_at(clock) if shift_ms is None else None

    def moved(values: Matrix) -> Matrix:
        # The quaternion (x, y, z, 1), normalised, turns from where the search began.
        quaternion = np.append(values[:3], 1.0)
        return (Rotation.from_quat(quaternion) * turn).apply(points_mm) + offset + 1000.0 * values[3:6]

    def residual(values: Matrix) -> Matrix:
        pixels = pixels_at(clock + 1000.0 * values[6]) if fixed is None else fixed
        return (camera(moved(values)) - pixels).ravel()

    found = np.zeros(6 if fixed is not None else 7)
    for loss in ("soft_l1", "cauchy"):  # the second forgets wrong matches altogether, from where the first has got to
        found = least_squares(residual, found, loss=loss, f_scale=robust_px, max_nfev=60).x
    fitted = np.eye(4)
    fitted[:3, :3] = (Rotation.from_quat(np.append(found[:3], 1.0)) * turn).as_matrix()
    fitted[:3, 3] = offset + 1000.0 * found[3:6]
    return fitted, clock if fixed is not None else clock + 1000.0 * float(found[6])


Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
FourNumbers = tuple[Number, Number, Number, Number]


class AlignmentFile(msgspec.Struct, frozen=True):
    """``alignment.json`` as it lies on disk: see :class:`Alignment`."""

    shift_ms: Number
    nearest_shift_ms: Number
    extrinsic: tuple[FourNumbers, FourNumbers, FourNumbers, FourNumbers]
    losses: list[tuple[Number, Number, Number]]
    distance_px: Number
    matches: Count
    moving: Count


def write_alignment(path: str | Path, alignment: Alignment, *, overwrite: bool = False) -> None:
    """Write an alignment as JSON, for :func:`read_alignment`."""
    content = {
        "shift_ms": alignment.shift_ms,
        "nearest_shift_ms": alignment.nearest_shift_ms,
        "extrinsic": alignment.extrinsic.tolist(),
        "losses": alignment.losses.tolist(),
        "distance_px": alignment.distance_px,
        "matches": alignment.matches,
        "moving": alignment.moving,
    }
    with write_atomically(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_alignment(path: str | Path) -> Alignment:
    """An alignment from its file. Raises :class:`KitError`, naming the field, for anything else."""
    content = read_json(Path(path), AlignmentFile)
    return Alignment(
        content.shift_ms,
        content.nearest_shift_ms,
        np.asarray(content.extrinsic, np.float64),
        np.asarray(content.losses, np.float64).reshape(-1, 3),
        content.distance_px,
        content.matches,
        content.moving,
    )


@dataclass(frozen=True, eq=False)
class _Sightings:
    """Key points that both cameras saw, one row each time.

    ``frame`` and ``partner`` are the indices of the two frames and ``ahead_ms`` how much later the partner was taken by
    its own clock; ``points_mm`` (n, 3) as the higher-quality camera measured them; ``pixels``, ``velocity`` and
    ``bend`` (n, 2) their path in the lower-quality picture.
    """

    frame: npt.NDArray[np.intp]
    partner: npt.NDArray[np.intp]
    ahead_ms: Matrix
    points_mm: Matrix
    pixels: Matrix
    velocity: Matrix
    bend: Matrix

    def at(self, shift_ms: float) -> Matrix:
        """Where each point was in the lower-quality picture (n, 2) when its partner was taken, clocks shifted."""
        time = (self.ahead_ms + shift_ms)[:, None]
        return self.pixels + time * (self.velocity + time * self.bend)

    @property
    def moving(self) -> npt.NDArray[np.bool_]:
        """Which points move fast enough to tell something about the clocks."""
        return np.asarray(np.linalg.norm(self.velocity, axis=1) * 1000 > MOVING_PX_S)

    def some(self, chosen: npt.NDArray[np.bool_]) -> _Sightings:
        """The rows that are chosen."""
        return _Sightings(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


class _Aligner:
    """Frames and key points of a pair, each read and found once."""

    def __init__(self, pair: PairedRecording, settings: AlignmentSettings, progress: bool) -> None:
        self.pair, self.settings, self.progress = pair, settings, progress
        self._lower: dict[int, KeyPoints] = {}
        self._higher: dict[int, tuple[KeyPoints, Matrix]] = {}

    @cached_property
    def motion(self) -> Matrix:
        """How much moves in the lower-quality pictures, and when."""
        return motion(self.pair.lower)

    @cached_property
    def start_ms(self) -> float:
        """The shift to some tens of milliseconds."""
        return start_shift_ms(self.motion, motion(self.pair.higher), self.settings.starts_s)

    def _bar(self, over: Iterable[T], title: str) -> Iterable[T]:
        from tqdm.auto import tqdm

        return tqdm(over, desc=title, unit="frame", disable=not self.progress, leave=False)

    def lower(self, i: int) -> KeyPoints:
        """Key points of a lower-quality picture."""
        if i not in self._lower:
            self._lower[i] = key_points(self.pair.lower.picture(i))
        return self._lower[i]

    def higher(self, j: int, extrinsic: Matrix) -> tuple[KeyPoints, Matrix]:
        """Key points of a higher-quality picture as reprojected by ``extrinsic``, and their points (n, 3) in space."""
        frame = self.pair.higher.read(j)
        camera = self.pair.higher.intrinsics
        arrived: Reprojected = reproject(frame.depth_mm, camera, extrinsic, self.pair.lower.intrinsics)
        found = key_points(arrived.picture(frame.picture))
        columns, rows = np.rint(found.pixels).astype(int).T if len(found.pixels) else np.empty((2, 0), int)
        source = arrived.source[rows, columns]
        kept = source >= 0
        points = unproject(frame.depth_mm, camera).reshape(-1, 3)[source[kept]]
        # A key point lies between pixels: its point in space is moved along by what rounding took away.
        at = project(points @ extrinsic[:3, :3].T + extrinsic[:3, 3], self.pair.lower.intrinsics)
        off = found.pixels[kept] - at
        depth = points[:, 2:] / (self.pair.lower.intrinsics.fx, self.pair.lower.intrinsics.fy)
        points = points + np.pad(off * depth, ((0, 0), (0, 1))) @ extrinsic[:3, :3]
        return KeyPoints(found.pixels[kept], found.descriptors[kept]), points

    def inside(self, shift_ms: float, margin_ms: float = 0.0) -> npt.NDArray[np.intp]:
        """Lower-quality frames, but the first and the last, that the other camera was recording at, too."""
        shifted = self.pair.higher.times_ms + shift_ms
        times = self.pair.lower.times_ms
        inside = np.flatnonzero((times >= shifted[0] + margin_ms) & (times <= shifted[-1] - margin_ms))
        inside = inside[(inside > 0) & (inside < len(times) - 1)]
        if len(inside) < 4:
            raise KitError(f"{self.pair.folder}: found {len(inside)} frames that overlap in time, expected 4 or more")
        return inside

    def extrinsic(self, shift_ms: float) -> Matrix:
        """Section 4.1: the transform from identity, correspondences found anew in each round."""
        inside = self.inside(shift_ms)
        chosen = inside[np.linspace(0, len(inside) - 1, min(self.settings.frame_pairs, len(inside))).astype(int)]
        nearest = nearest_frames(self.pair.lower.times_ms, self.pair.higher.times_ms, shift_ms)
        extrinsic = np.eye(4)
        for near_px in self.settings.near_px:
            points, pixels = [], []
            for i in self._bar(chosen, f"matching, {near_px:g} px"):
                found, space = self.higher(int(nearest[i]), extrinsic)
                pairs = matched(self.lower(int(i)), found, near_px=near_px)
                pixels.append(self.lower(int(i)).pixels[pairs[:, 0]])
                points.append(space[pairs[:, 1]])
            there, here = np.concatenate(points), np.concatenate(pixels)
            if len(there) < self.settings.least_matches:
                raise KitError(
                    f"{self.pair.folder}: found {len(there)} key points seen by both cameras in {len(chosen)} frames, "
                    f"expected {self.settings.least_matches} or more (do both see the same scene, with texture?)"
                )

            def fixed(_: float, at: Matrix = here) -> Matrix:
                return at

            extrinsic, _ = fit_rig(there, fixed, self._to_pixels, extrinsic, None, self.settings.robust_px)
        away = float(np.median(np.linalg.norm(self._to_pixels(_moved(there, extrinsic)) - here, axis=1)))
        if away > 5.0:
            raise KitError(
                f"{self.pair.folder}: found key points that stay {away:.1f} px apart at the median, "
                "expected below 5 (two recordings of one rigid rig)"
            )
        return extrinsic

    def sightings(self, extrinsic: Matrix, shift_ms: float) -> _Sightings:
        """Key points of the liveliest lower-quality frames in all frames within ``search_ms``, and their paths."""
        lower, higher = self.pair.lower, self.pair.higher
        inside = self.inside(shift_ms, self.settings.search_ms)
        stretches = np.array_split(inside, min(self.settings.timing_frames, len(inside)))
        lively = np.minimum(self.motion[:-1, 1], self.motion[1:, 1])  # of each frame but the first and the last
        reach = np.arange(-self.settings.search_ms, self.settings.search_ms + 1, self.settings.step_ms)
        rows: list[tuple[npt.NDArray[np.generic], ...]] = []
        for stretch in self._bar(stretches, "following points"):
            i = int(stretch[lively[stretch - 1].argmax()])
            mine = self.lower(i)
            times = (float(lower.times_ms[i - 1]), float(lower.times_ms[i]), float(lower.times_ms[i + 1]))
            velocity, bend, tracked = paths([lower.picture(k) for k in (i - 1, i, i + 1)], times, mine.pixels)
            for j in np.unique(nearest_frames(times[1] + reach, higher.times_ms, shift_ms)):
                if j not in self._higher:
                    self._higher[j] = self.higher(int(j), extrinsic)
                there, points = self._higher[j]
                ahead = float(higher.times_ms[j]) - times[1]
                time = ahead + shift_ms
                expected = KeyPoints(mine.pixels + time * (velocity + time * bend), mine.descriptors)
                seen = KeyPoints(self._to_pixels(_moved(points, extrinsic)), there.descriptors)
                first, second = matched(expected, seen, near_px=NEAR_PX).T
                first, second = first[tracked[first]], second[tracked[first]]
                ones = np.ones(len(first), np.intp)
                rows.append(
                    (i * ones, j * ones, ahead * ones, points[second], mine.pixels[first], velocity[first], bend[first])
                )
        return _Sightings(*(np.concatenate(column) for column in zip(*rows, strict=True)))

    def both(self, extrinsic: Matrix, shift_ms: float) -> tuple[Matrix, float, _Sightings, _Sightings]:
        """Section 4.2, refined: transform and shift at once, with all sightings and those fitted."""
        span_ms = float(np.median(np.diff(self.pair.higher.times_ms)))
        for _ in range(ROUNDS):
            seen = self.sightings(extrinsic, shift_ms)
            near = seen.some(np.abs(seen.ahead_ms + shift_ms) <= 0.75 * span_ms)
            before = shift_ms
            extrinsic, shift_ms = fit_rig(
                near.points_mm, near.at, self._to_pixels, extrinsic, shift_ms, self.settings.robust_px
            )
            if abs(shift_ms - before) < self.settings.step_ms:
                break
        arrived, path = self._to_pixels(_moved(near.points_mm, extrinsic)), near.at(shift_ms)
        moved = np.linalg.norm(path - near.pixels, axis=1) > 1.0
        on_path = np.linalg.norm(arrived - path, axis=1)
        agree = moved & (on_path < WRONG_PX) & (on_path < np.linalg.norm(arrived - near.pixels, axis=1))
        if agree.sum() < max(self.settings.least_moving, AGREE * moved.sum()):
            raise KitError(
                f"{self.pair.folder}: found {moved.sum()} key points that move, {agree.sum()} of which agree on one "
                f"shift, expected {self.settings.least_moving} or more and at least {AGREE:.0%} (does a person move, "
                "seen by both cameras at the same time?)"
            )
        return extrinsic, shift_ms, seen, near

    def losses(self, extrinsic: Matrix, around_ms: float, seen: _Sightings) -> Matrix:
        """Section 4.2: shifts around one, and mean squared distances of moving key points in px² (n, 3).

        At each shift every frame counts with its nearest partner (equation 2): its points' distance to where they are
        in the frame itself, and to where they are at the partner's moment.
        """
        settings = self.settings
        steps = round(settings.search_ms / settings.step_ms)
        shifts = around_ms + settings.step_ms * np.arange(-steps, steps + 1)
        seen = seen.some(seen.moving)
        arrived = self._to_pixels(_moved(seen.points_mm, extrinsic))
        between = np.stack([((arrived - seen.at(shift)) ** 2).sum(axis=1) for shift in shifts])
        # A wrong match comes near at no shift, so it goes whatever the shift is.
        right = between.min(axis=0) < WRONG_PX**2
        nearest = ((arrived - seen.pixels) ** 2).sum(axis=1)
        rows = []
        for shift, distance in zip(shifts, between, strict=True):
            partner = nearest_frames(self.pair.lower.times_ms[seen.frame], self.pair.higher.times_ms, shift)
            used = right & (partner == seen.partner)
            if used.any():
                both = (np.minimum(each[used], FARTHEST_PX**2).mean() for each in (nearest, distance))
                rows.append((shift, *both))
        return np.asarray(rows, np.float64).reshape(-1, 3)

    def _to_pixels(self, points_mm: Matrix) -> Matrix:
        return project(points_mm, self.pair.lower.intrinsics)


def _moved(points_mm: Matrix, extrinsic: Matrix) -> Matrix:
    return points_mm @ extrinsic[:3, :3].T + extrinsic[:3, 3]


def lowest(losses: Matrix, column: int) -> float:
    """The shift of the lowest loss, between its neighbours by a parabola through the seven values around it."""
    k = int(losses[:, column].argmin())
    near = losses[max(k - 3, 0) : k + 4]
    if len(near) < 5:
        return float(losses[k, 0])
    a, b, _ = np.polyfit(near[:, 0] - losses[k, 0], near[:, column], 2)
    step = losses[1, 0] - losses[0, 0]
    return float(losses[k, 0] + (np.clip(-b / (2 * a), -step, step) if a > 0 else 0.0))


def align(pair: PairedRecording, settings: AlignmentSettings | None = None, *, progress: bool = False) -> Alignment:
    """Transform and shift of a pair. Raises :class:`KitError`, one line, for pairs that cannot be aligned."""
    settings = settings or AlignmentSettings()
    aligner = _Aligner(pair, settings, progress)
    start_ms = aligner.start_ms
    extrinsic, shift_ms, seen, near = aligner.both(aligner.extrinsic(start_ms), start_ms)
    away = np.linalg.norm(project(_moved(near.points_mm, extrinsic), pair.lower.intrinsics) - near.at(shift_ms), axis=1)
    losses = aligner.losses(extrinsic, shift_ms, seen)
    return Alignment(
        shift_ms,
        lowest(losses, 1),
        extrinsic,
        losses,
        float(np.median(away)),
        len(near.frame),
        int(near.moving.sum()),
    )
