"""Surfaces fused from seven frames of a turn, and how far they are from the true one (section 7 and Figure 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.cameras.simulated.paired_recordings import SURFACE, TRUTH, PairTruth, read_clean_depth, read_truth
from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import Mesh, read_mesh
from facedepth_kit.sequences.clocks import nearest_frames
from facedepth_kit.sequences.fusion import Fused, FusionSettings, distances_mm, evenly_spaced, fuse
from facedepth_kit.sequences.recordings import PairedRecording
from facedepth_kit.sequences.reprojection import reproject

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


def denoised_frames(turn: Turn, folder: str | Path) -> list[FloatArray]:
    """The same frames from a recording that a denoiser wrote, file for file (``facedepth denoise``)."""
    recording, frames = RecordingFolder(folder), []
    for i, person in zip(turn.picked, turn.people, strict=True):
        frame = recording.read(turn.pair.lower.names[i])
        depth_mm = frame.depth.astype(np.float32) * np.float32(frame.unit_mm)
        frames.append(np.where(person & (frame.depth > 0), depth_mm, np.float32(np.nan)))
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
    ``turn_found_deg`` how far the person was turned according to the tracking. The paper's methods that are missing
    are rows, too, with a note.
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
                "note": "",
            }
        )
    note = "not run: no denoised recording"
    rows += [
        {"method": method, "published_mm": published, "note": note}
        for method, published in PUBLISHED_MM.items()
        if method not in tracked
    ]
    return rows


def _mean_mm(points_mm: FloatArray, reference: Fused) -> float:
    return float(distances_mm(points_mm, reference.surface).mean())
