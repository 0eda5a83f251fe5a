"""Aligning two unsynchronised recordings in space and time without a calibration board (section 4, Figure 2).

First the seconds between the two starts, from how much the pictures change; then the rigid transform between the
cameras, from key points (section 4.1); then the clocks' difference to some milliseconds, as the shift at which those
key points agree best (section 4.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.sequences.matching import KeyPoints, key_points, matched
from facedepth_kit.sequences.recordings import PairedRecording, Stream
from facedepth_kit.sequences.reprojection import Matrix, Reprojected, project, reproject, unproject

FARTHEST_PX = 20.0  # distances beyond it count as this
WRONG_PX = 3.0  # a match that comes no nearer than that at any shift is wrong


@dataclass(frozen=True)
class AlignmentSettings:
    """How the alignment searches.

    ``search_ms`` and ``step_ms`` are section 4.2's. Ours: ``starts_s``, how far apart the two starts may lie;
    ``frame_pairs`` used for the transform and ``timing_frames`` for the shift; ``near_px``, where a key point's partner
    is looked for in each round; ``robust_px``, from where on a distance counts less than squared; ``least_matches``.
    """

    search_ms: float = 60.0
    step_ms: float = 5.0
    starts_s: float = 5.0
    frame_pairs: int = 16
    timing_frames: int = 60
    near_px: tuple[float, ...] = (120.0, 40.0, 15.0, 8.0)
    robust_px: float = 2.0
    least_matches: int = 60

    def __post_init__(self) -> None:
        if not (0 < self.step_ms <= self.search_ms and self.near_px and self.robust_px > 0):
            raise KitError(f"alignment: found {self}, expected steps above 0 and within the search")


@dataclass(frozen=True, eq=False)
class Alignment:
    """What aligns a pair.

    ``shift_ms`` is added to higher-quality time stamps to get the lower-quality clock, ``extrinsic`` float64 (4, 4)
    takes higher-quality camera points into the lower-quality camera's axes, millimetres. ``losses`` float64 (n, 3) are
    shifts and mean squared distances of key points in px²: to the nearest frame, as in equation 4, and (ours) to where
    the point is between the two frames around the moment, which is not blurred by the frame rate: ``shift_ms`` is the
    latter's minimum, ``nearest_shift_ms`` the former's. ``distance_px`` is the median distance after fitting the
    transform and ``matches`` how many there were.
    """

    shift_ms: float
    nearest_shift_ms: float
    extrinsic: Matrix
    losses: Matrix
    distance_px: float
    matches: int


def nearest_frames(lower_ms: Matrix, higher_ms: Matrix, shift_ms: float) -> npt.NDArray[np.intp]:
    """For each lower-quality time stamp the index of the nearest shifted higher-quality one (equation 2)."""
    shifted = higher_ms + shift_ms
    after = np.clip(np.searchsorted(shifted, lower_ms), 1, len(shifted) - 1)
    return np.where(lower_ms - shifted[after - 1] <= shifted[after] - lower_ms, after - 1, after)


def motion(stream: Stream) -> Matrix:
    """How much each picture differs from the one before: float64 (n - 1, 2) of time (ms) and mean change a second."""
    rows: list[tuple[float, float]] = []
    before: npt.NDArray[np.float32] | None = None
    for i, time in enumerate(stream.times_ms):
        small = cv2.resize(stream.read(i).picture, (96, 96), interpolation=cv2.INTER_AREA).astype(np.float32)
        small = np.asarray(small, np.float32)
        if before is not None:
            step = max(time - stream.times_ms[i - 1], 1.0)
            rows.append(((time + stream.times_ms[i - 1]) / 2, float(np.abs(small - before).mean()) * 1000 / step))
        before = small
    return np.asarray(rows)


def start_shift_ms(lower: Matrix, higher: Matrix, limit_s: float, *, step_ms: float = 10.0) -> float:
    """The shift at which two motion curves (n, 2) correlate best, over at least half of the shorter one.

    Raises :class:`KitError` when nothing moves or no shift makes them alike.
    """

    def curve(rows: Matrix) -> tuple[float, Matrix]:
        grid = np.arange(rows[0, 0], rows[-1, 0], step_ms)
        smooth = np.convolve(np.interp(grid, rows[:, 0], rows[:, 1]), np.ones(15) / 15, "same")
        return float(rows[0, 0]), smooth

    (start_l, a), (start_h, b) = curve(lower), curve(higher)
    if min(a.std(), b.std()) < 1e-3:
        raise KitError("alignment: found no motion in the pictures, expected a person who moves")
    best = (-1.0, 0.0)
    reach = int(limit_s * 1000 / step_ms)
    # Clocks may count from anywhere, so the search is about equal starts of the two recordings.
    for offset in range(-reach, reach + 1):
        low, high = max(0, offset), min(len(a), len(b) + offset)
        if high - low < 0.5 * min(len(a), len(b)):
            continue
        one, other = a[low:high], b[low - offset : high - offset]
        if min(one.std(), other.std()) < 1e-6:
            continue
        alike = float(np.corrcoef(one, other)[0, 1])
        best = max(best, (alike, start_l - start_h + offset * step_ms))
    if best[0] < 0.3:
        raise KitError(
            f"alignment: found motion that correlates by {best[0]:.2f} at most, expected two recordings of one scene "
            f"that start within {limit_s:g} s of each other"
        )
    return best[1]


def fit_extrinsic(
    points_mm: Matrix, pixels: Matrix, camera: Callable[[Matrix], Matrix], start: Matrix, robust_px: float
) -> Matrix:
    """The rigid transform (4, 4) that brings points (n, 3) nearest to their pixels (n, 2): equation 4.

    Rotation as a quaternion and translation, both descended from ``start``; distances beyond ``robust_px`` count less
    than squared, since some matches are wrong. The steps are damped Gauss-Newton's: plain gradient descent, as in the
    paper, gets there too, but a millimetre and a radian differ so much in effect that it takes thousands.
    """
    turn, shift = Rotation.from_matrix(start[:3, :3]), start[:3, 3]

    def moved(values: Matrix) -> Matrix:
        # The quaternion (x, y, z, 1), normalised, turns from where the search began.
        quaternion = np.append(values[:3], 1.0)
        return (Rotation.from_quat(quaternion) * turn).apply(points_mm) + shift + 1000.0 * values[3:]

    def residual(values: Matrix) -> Matrix:
        return (camera(moved(values)) - pixels).ravel()

    found = np.zeros(6)
    for loss in ("soft_l1", "cauchy"):  # the second forgets wrong matches altogether, from where the first has got to
        found = least_squares(residual, found, loss=loss, f_scale=robust_px, max_nfev=60).x
    fitted = np.eye(4)
    fitted[:3, :3] = (Rotation.from_quat(np.append(found[:3], 1.0)) * turn).as_matrix()
    fitted[:3, 3] = shift + 1000.0 * found[3:]
    return fitted


def write_alignment(path: str | Path, alignment: Alignment, *, overwrite: bool = False) -> None:
    """Write an alignment as JSON, for :func:`read_alignment`."""
    content = {
        "shift_ms": alignment.shift_ms,
        "nearest_shift_ms": alignment.nearest_shift_ms,
        "extrinsic": alignment.extrinsic.tolist(),
        "losses": alignment.losses.tolist(),
        "distance_px": alignment.distance_px,
        "matches": alignment.matches,
    }
    with write_atomically(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_alignment(path: str | Path) -> Alignment:
    """An alignment from its file. Raises :class:`KitError` for anything else."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        extrinsic = np.asarray(content["extrinsic"], np.float64).reshape(4, 4)
        losses = np.asarray(content["losses"], np.float64).reshape(-1, 3)
        shifts = float(content["shift_ms"]), float(content["nearest_shift_ms"])
        return Alignment(*shifts, extrinsic, losses, float(content["distance_px"]), int(content["matches"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise KitError(
            f"{path}: found no readable alignment ({error}), expected one written by facedepth align"
        ) from None


class _Aligner:
    """Frames and key points of a pair, each read and found once."""

    def __init__(self, pair: PairedRecording, settings: AlignmentSettings) -> None:
        self.pair, self.settings = pair, settings
        self._lower: dict[int, KeyPoints] = {}
        self._higher: dict[int, tuple[KeyPoints, Matrix]] = {}

    @cached_property
    def start_ms(self) -> float:
        """The shift to some tens of milliseconds."""
        return start_shift_ms(motion(self.pair.lower), motion(self.pair.higher), self.settings.starts_s)

    def lower(self, i: int) -> KeyPoints:
        """Key points of a lower-quality picture."""
        if i not in self._lower:
            self._lower[i] = key_points(self.pair.lower.read(i).picture)
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

    def higher_once(self, j: int, extrinsic: Matrix) -> tuple[KeyPoints, Matrix]:
        """The same with a transform that stays what it is."""
        if j not in self._higher:
            self._higher[j] = self.higher(j, extrinsic)
        return self._higher[j]

    def inside(self, shift_ms: float, margin_ms: float) -> npt.NDArray[np.intp]:
        """Lower-quality frames that the other camera was recording at, too."""
        shifted = self.pair.higher.times_ms + shift_ms
        times = self.pair.lower.times_ms
        return np.flatnonzero((times >= shifted[0] + margin_ms) & (times <= shifted[-1] - margin_ms))

    def extrinsic(self, shift_ms: float) -> tuple[Matrix, int, float]:
        """Section 4.1: the transform from identity, correspondences found anew in each round."""
        inside = self.inside(shift_ms, 0.0)
        if len(inside) < 4:
            raise KitError(f"{self.pair.folder}: found {len(inside)} frames that overlap in time, expected 4 or more")
        chosen = inside[np.linspace(0, len(inside) - 1, min(self.settings.frame_pairs, len(inside))).astype(int)]
        nearest = nearest_frames(self.pair.lower.times_ms, self.pair.higher.times_ms, shift_ms)
        extrinsic = np.eye(4)
        for near_px in self.settings.near_px:
            points, pixels = [], []
            for i in chosen:
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
            to_pixels = self._to_pixels
            extrinsic = fit_extrinsic(there, here, to_pixels, extrinsic, self.settings.robust_px)
        away = np.linalg.norm(to_pixels(there @ extrinsic[:3, :3].T + extrinsic[:3, 3]) - here, axis=1)
        if np.median(away) > 5.0:
            raise KitError(
                f"{self.pair.folder}: found key points that stay {np.median(away):.1f} px apart at the median, "
                "expected below 5 (two recordings of one rigid rig)"
            )
        return extrinsic, len(there), float(np.median(away))

    def _to_pixels(self, points_mm: Matrix) -> Matrix:
        return project(points_mm, self.pair.lower.intrinsics)

    def losses(self, extrinsic: Matrix, around_ms: float) -> Matrix:
        """Section 4.2: shifts around one, and mean squared distances of key points in px² (nearest, between), (n, 3).

        Only key points with a partner in every candidate frame count: otherwise another shift would see other points.
        """
        settings = self.settings
        steps = round(settings.search_ms / settings.step_ms)
        shifts = around_ms + settings.step_ms * np.arange(-steps, steps + 1)
        inside = self.inside(around_ms, settings.search_ms)
        if len(inside) < 4:
            raise KitError(f"{self.pair.folder}: found {len(inside)} frames that overlap in time, expected 4 or more")
        chosen = inside[np.linspace(0, len(inside) - 1, min(settings.timing_frames, len(inside))).astype(int)]
        higher_ms = self.pair.higher.times_ms
        total, count = np.zeros((len(shifts), 2)), 0
        for i in chosen:
            moments = self.pair.lower.times_ms[i] - shifts
            after = np.clip(np.searchsorted(higher_ms, moments), 1, len(higher_ms) - 1)
            candidates = np.arange(after.min() - 1, after.max() + 1)
            here, seen = self._common(int(i), candidates, extrinsic)
            if not len(here):
                continue
            first, last = seen[after - 1 - candidates[0]], seen[after - candidates[0]]
            share = ((moments - higher_ms[after - 1]) / (higher_ms[after] - higher_ms[after - 1])).clip(0, 1)[
                :, None, None
            ]
            nearest, between = (
                np.minimum(((at - here) ** 2).sum(axis=-1), FARTHEST_PX**2)
                for at in (np.where(share <= 0.5, first, last), first + share * (last - first))
            )
            # A wrong match comes near at no shift, so it goes whatever the shift is.
            right = between.min(axis=0) < WRONG_PX**2
            total += np.stack([nearest[:, right].sum(axis=1), between[:, right].sum(axis=1)], axis=1)
            count += int(right.sum())
        if count == 0:
            raise KitError(
                f"{self.pair.folder}: found no key point that both cameras see over {settings.search_ms:g} ms"
            )
        return np.concatenate([shifts[:, None], total / count], axis=1)

    def _common(self, i: int, candidates: npt.NDArray[np.intp], extrinsic: Matrix) -> tuple[Matrix, Matrix]:
        """Key points of a lower-quality frame, (k, 2), and where each lies in every candidate frame, (frames, k, 2)."""
        mine = self.lower(i)
        places = np.full((len(candidates), len(mine.pixels), 2), np.nan)
        for row, j in enumerate(candidates):
            found, _ = self.higher_once(int(j), extrinsic)
            pairs = matched(mine, found, near_px=2 * FARTHEST_PX)
            places[row, pairs[:, 0]] = found.pixels[pairs[:, 1]]
        everywhere = np.isfinite(places).all(axis=(0, 2))
        return mine.pixels[everywhere], places[:, everywhere]


def lowest(losses: Matrix, column: int) -> float:
    """The shift of the lowest loss, between its neighbours by a parabola through the seven values around it."""
    k = int(losses[:, column].argmin())
    near = losses[max(k - 3, 0) : k + 4]
    if len(near) < 5:
        return float(losses[k, 0])
    a, b, _ = np.polyfit(near[:, 0] - losses[k, 0], near[:, column], 2)
    step = losses[1, 0] - losses[0, 0]
    return float(losses[k, 0] + (np.clip(-b / (2 * a), -step, step) if a > 0 else 0.0))


def align(pair: PairedRecording, settings: AlignmentSettings | None = None) -> Alignment:
    """Transform and shift of a pair. Raises :class:`KitError`, one line, for pairs that cannot be aligned."""
    settings = settings or AlignmentSettings()
    aligner = _Aligner(pair, settings)
    start_ms = aligner.start_ms
    extrinsic, matches, distance_px = aligner.extrinsic(start_ms)
    losses = aligner.losses(extrinsic, start_ms)
    return Alignment(lowest(losses, 2), lowest(losses, 1), extrinsic, losses, distance_px, matches)
