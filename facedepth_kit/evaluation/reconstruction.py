"""Surfaces fused from seven frames of a turn, and how far they are from the true one (section 7 and Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.cameras.simulated.paired_recordings import (
    SURFACE,
    TRUTH,
    PairSettings,
    PairTruth,
    read_clean_depth,
    read_truth,
    true_bodies,
)
from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import Mesh, read_mesh, vertex_normals
from facedepth_kit.sequences.clocks import nearest_frames
from facedepth_kit.sequences.denoisers import FrameDenoiser
from facedepth_kit.sequences.fusion import Fused, FusionSettings, distances_mm, evenly_spaced, fuse
from facedepth_kit.sequences.recordings import PairedRecording
from facedepth_kit.sequences.reprojection import project, reproject
from facedepth_kit.sequences.training_windows import AlignedPair

FloatArray = npt.NDArray[np.float32]

RAW, SINGLE, MEMORY, BETTER, CLEAN = "Raw", "Ours (basic)", "Ours (LSTM)", "Better sensor", "True depth"
# Section 6.3: mean distance to the surface from the better sensor, of DoubleFusion's models of people who move.
PUBLISHED_MM = {RAW: "13", SINGLE: "5.9", MEMORY: "5.7"}


@dataclass(frozen=True, eq=False)
class Turn:
    """A simulated person who is turned on a chair: the frames that are fused, by method.

    ``depths_mm`` of a method are float32 (rows, columns) in the lower-quality camera, NaN = hole or background.
    ``picked`` are the indices of those frames, ``people`` the masks and ``surface`` the true one in the first of them.
    """

    pair: PairedRecording
    truth: PairTruth
    camera: Intrinsics
    picked: list[int]
    people: list[npt.NDArray[np.bool_]]
    depths_mm: dict[str, list[FloatArray]]
    surface: Mesh


def read_turn(pair: PairedRecording, settings: FusionSettings) -> Turn:
    """Raw, better and true depth of evenly picked frames, the background cut off by the person's true mask.

    The better sensor's frames are the nearest ones in time, reprojected. Raises :class:`KitError` for a pair that is no
    simulated turn.
    """
    truth = read_truth(pair.folder)
    surface = pair.folder / TRUTH / SURFACE
    if not surface.is_file():
        raise KitError(f"{surface}: found no such file, expected a simulated person on a chair")
    lower, higher = pair.lower, pair.higher
    picked = evenly_spaced(len(lower), settings.frames)
    nearest = nearest_frames(lower.times_ms, higher.times_ms, truth.shift_ms)
    depths: dict[str, list[FloatArray]] = {RAW: [], BETTER: [], CLEAN: []}
    people = []
    for i in picked:
        clean, person = read_clean_depth(pair.folder, lower.names[i])
        better = higher.read(int(nearest[i])).depth_mm
        arrived = reproject(better, higher.intrinsics, truth.extrinsic, lower.intrinsics).depth_mm
        for method, depth_mm in ((RAW, lower.read(i).depth_mm), (BETTER, arrived), (CLEAN, clean)):
            depths[method].append(np.where(person, depth_mm, np.float32(np.nan)))
        people.append(person)
    return Turn(pair, truth, lower.intrinsics, picked, people, depths, read_mesh(surface))


def denoised_frames(turn: Turn, denoiser: FrameDenoiser) -> list[FloatArray]:
    """The picked frames as a denoiser gives them, which sees the whole turn in the order of time."""
    denoiser.forget()
    frames = []
    for i, name in enumerate(turn.pair.lower.names):
        shot = turn.pair.lower.read(i)
        made = denoiser(shot.depth_mm, shot.picture, read_clean_depth(turn.pair.folder, name)[1])
        if i in turn.picked:
            frames.append(made)
    return frames


def fuse_all(
    turn: Turn, depths_mm: Mapping[str, list[FloatArray]], settings: FusionSettings
) -> tuple[dict[str, Fused], dict[str, Fused]]:
    """Each method's surface, tracked by its own depth, and with the poses that the true depth gives."""
    tracked = {method: fuse(frames, turn.camera, settings) for method, frames in depths_mm.items()}
    poses = tracked[CLEAN].poses
    return tracked, {method: fuse(frames, turn.camera, settings, poses=poses) for method, frames in depths_mm.items()}


def distance_table(turn: Turn, tracked: Mapping[str, Fused], known: Mapping[str, Fused]) -> list[dict[str, Any]]:
    """A row a method: frames tracked and mean distances in mm, beside the paper's.

    ``true_mm`` is to the true surface, ``better_mm`` to the one fused from the better sensor, as the paper measures;
    ``turn_found_deg`` how far the person was turned according to the tracking.
    """
    rows: list[dict[str, Any]] = []
    for method, fused in tracked.items():
        points, posed = fused.surface.vertices_mm, known[method].surface.vertices_mm
        rows.append(
            {
                "method": method,
                "frames_tracked": fused.tracked,
                "turn_found_deg": fused.turned_deg,
                "true_mm": float(distances_mm(points, turn.surface).mean()),
                "better_mm": None if method == BETTER else _mean_mm(points, tracked[BETTER]),
                "true_mm_known_poses": float(distances_mm(posed, turn.surface).mean()),
                "better_mm_known_poses": None if method == BETTER else _mean_mm(posed, known[BETTER]),
                "published_mm": PUBLISHED_MM.get(method, ""),
            }
        )
    return rows


def _mean_mm(points_mm: FloatArray, reference: Fused) -> float:
    return float(distances_mm(points_mm, reference.surface).mean())


# --- people who move (Figure 6) ---------------------------------------------------------------------------------------

NEAR_MS = 15.0  # section 5
OWN_MM = 250.0  # what is measured farther off belongs to another surface, as behind a truncated volume's limit
SEEN_MM = 15.0  # a vertex is seen where the true depth at its pixel is its own
LEAST_COSINE = 0.3  # of the angle between view and surface


@dataclass(frozen=True, eq=False)
class Canonical:
    """A moving person's surface in one posture: ``body``, and how far off it is measured along each vertex's normal.

    ``off_mm`` float32 (vertices,), towards the outside; NaN where no frame has seen the vertex.
    """

    body: Mesh
    off_mm: FloatArray

    @property
    def used(self) -> npt.NDArray[np.intp]:
        """Vertices of triangles that were seen whole."""
        return np.unique(self._triangles)

    @property
    def surface(self) -> Mesh:
        """The measured surface: what was seen of it, with the vertices of :attr:`used`."""
        moved = self.body.vertices_mm + np.nan_to_num(self.off_mm)[:, None] * vertex_normals(self.body)
        index = np.searchsorted(self.used, self._triangles)
        return Mesh(moved[self.used].astype(np.float32), index.astype(np.int32))

    @property
    def _triangles(self) -> npt.NDArray[np.int32]:
        return self.body.triangles[np.isfinite(self.off_mm)[self.body.triangles].all(axis=1)]


class CanonicalFusion:
    """DoubleFusion's outcome with its hardest part given away: the motion is the simulator's own, no tracking fails.

    Every frame's error at the vertices that it sees is carried along the body; the median stays (section 7, Figure 6).
    """

    def __init__(self, bodies: Sequence[Mesh], camera: Intrinsics) -> None:
        self._bodies, self._camera = bodies, camera
        self._off_mm: list[FloatArray] = []

    def add(self, number: int, depth_mm: FloatArray, true_mm: FloatArray) -> None:
        """Add frame ``number``: measured and true depth (rows, columns) mm, NaN = hole or background."""
        body = self._bodies[number]
        points = body.vertices_mm.astype(np.float64) * (1, -1, -1)
        columns, rows = np.rint(project(points, self._camera)).astype(int).T
        inside = (columns >= 0) & (columns < depth_mm.shape[1]) & (rows >= 0) & (rows < depth_mm.shape[0])
        k = np.flatnonzero(inside)
        measured, true = depth_mm[rows[k], columns[k]], true_mm[rows[k], columns[k]]
        rays = points[k] / points[k, 2:]
        normals = vertex_normals(body)[k] * (1, -1, -1)
        facing = (normals * rays).sum(axis=1) / np.linalg.norm(rays, axis=1)
        with np.errstate(invalid="ignore"):
            own = np.abs(measured - true) < OWN_MM
        seen = own & (np.abs(true - points[k, 2]) < SEEN_MM) & (facing < -LEAST_COSINE)
        off = np.full(len(body.vertices_mm), np.nan, np.float32)
        off[k[seen]] = ((measured - true) * (normals * rays).sum(axis=1))[seen]
        self._off_mm.append(off)

    def canonical(self) -> Canonical:
        """What has been added, in the first frame's posture."""
        off = np.sort(self._off_mm, axis=0)  # NaN comes last
        count = np.isfinite(off).sum(axis=0)
        middle = [np.take_along_axis(off, np.maximum(k, 0)[None], axis=0)[0] for k in ((count - 1) // 2, count // 2)]
        return Canonical(self._bodies[0], np.where(count > 0, (middle[0] + middle[1]) / 2, np.float32(np.nan)))


def canonical_models(
    aligned: AlignedPair, settings: PairSettings, denoisers: Mapping[str, FrameDenoiser]
) -> dict[str, Canonical]:
    """Canonical surfaces of a simulated recording: raw, by each denoiser, and by the better sensor.

    Frames count where the better sensor's is within 15 ms. ``settings`` are those it was simulated with. A vertex that
    one of the methods has not seen is left out of all.
    """
    lower = aligned.pair.lower
    frames = [int(i) for i in aligned.frames]
    bodies = true_bodies(read_truth(aligned.pair.folder), settings, lower.times_ms[frames])
    fusions = {method: CanonicalFusion(bodies, lower.intrinsics) for method in (RAW, *denoisers, BETTER)}
    for denoiser in denoisers.values():
        denoiser.forget()
    for number, i in enumerate(frames):
        shot = lower.read(i)
        clean, person = read_clean_depth(aligned.pair.folder, lower.names[i])
        depths = {RAW: shot.depth_mm, BETTER: aligned.target(i).depth_mm}
        depths |= {name: run(shot.depth_mm, shot.picture, person) for name, run in denoisers.items()}
        if aligned.away_ms(i) > NEAR_MS:
            continue
        for method, depth_mm in depths.items():
            fusions[method].add(number, np.where(person, depth_mm, np.float32(np.nan)), clean)
    models = {method: fusion.canonical() for method, fusion in fusions.items()}
    seen = np.all([np.isfinite(model.off_mm) for model in models.values()], axis=0)
    return {
        method: Canonical(model.body, np.where(seen, model.off_mm, np.float32(np.nan)))
        for method, model in models.items()
    }


def canonical_table(models: Mapping[str, Canonical]) -> list[dict[str, Any]]:
    """Mean distances in mm along the normals: to the better sensor's surface, and to the true one."""
    better = models[BETTER].off_mm
    return [
        {
            "method": method,
            "better_mm": None if method == BETTER else float(np.nanmean(np.abs(model.off_mm - better))),
            "true_mm": float(np.nanmean(np.abs(model.off_mm))),
            "published_mm": PUBLISHED_MM.get(method, ""),
        }
        for method, model in models.items()
    ]
