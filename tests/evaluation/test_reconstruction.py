"""Fusing a turn: what a denoiser sees of it, and the table of distances."""

import numpy as np
import pytest

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.cameras.simulated.paired_recordings import (
    PairSettings,
    read_clean_depth,
    read_truth,
    simulate_pair,
    true_bodies,
)
from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation.reconstruction import (
    BETTER,
    CLEAN,
    RAW,
    CanonicalFusion,
    Turn,
    canonical_models,
    canonical_table,
    denoised_frames,
    distance_table,
    fuse_all,
    read_turn,
)
from facedepth_kit.rendering.mesh import Mesh, grid_triangles
from facedepth_kit.sequences.denoisers import SingleFrames
from facedepth_kit.sequences.fusion import FusionSettings
from facedepth_kit.sequences.recordings import PairedRecording
from facedepth_kit.sequences.training_windows import AlignedPair, true_alignment

FUSION = FusionSettings(frames=2, voxel_mm=16.0, truncation_mm=60.0)
TURN = PairSettings(seconds=1.6, lower_fps=8, higher_fps=8, start_s=(0, 0), chair_turn_deg=10)


class Watching(SingleFrames):
    """Puts everything at the person's median, and remembers how many frames it was shown."""

    shown = 0

    def forget(self) -> None:
        """Another recording."""
        Watching.shown = 0

    def __call__(self, depth_mm: np.ndarray, picture: np.ndarray, person: np.ndarray) -> np.ndarray:
        """One frame."""
        Watching.shown += 1
        return super().__call__(depth_mm, picture, person)


@pytest.fixture(scope="module")
def turn(tmp_path_factory: pytest.TempPathFactory) -> Turn:
    folder = tmp_path_factory.mktemp("turn")
    simulate_pair(folder, seed=3, number=0, settings=TURN)
    return read_turn(PairedRecording(folder), FUSION)


def test_a_denoiser_sees_the_whole_turn_and_gives_the_picked_frames(turn: Turn) -> None:
    flat = Watching(lambda x: np.zeros((*x.shape[:3], 1), np.float32))
    frames = denoised_frames(turn, flat)
    assert Watching.shown == len(turn.pair.lower) > len(turn.picked) == len(frames) == 2
    for frame, person in zip(frames, turn.people, strict=True):
        assert (np.isfinite(frame) == person).all()
        assert np.ptp(frame[person]) < 0.01


def test_clean_depth_gives_a_surface_nearer_to_the_truth_than_raw(turn: Turn) -> None:
    tracked, known = fuse_all(turn, turn.depths_mm, FUSION)
    rows = {row["method"]: row for row in distance_table(turn, tracked, known)}
    assert list(rows) == [RAW, BETTER, CLEAN]
    assert rows[CLEAN]["true_mm"] < 8
    assert rows[CLEAN]["true_mm_known_poses"] < rows[RAW]["true_mm_known_poses"]
    assert rows[BETTER]["better_mm"] is None
    assert rows[RAW]["published_mm"] == "13"


def test_a_pair_that_is_no_turn_is_refused(turn: Turn) -> None:
    surface = turn.pair.folder / "truth" / "surface.ply"
    content = surface.read_bytes()
    surface.unlink()
    with pytest.raises(KitError, match="person on a chair"):
        read_turn(turn.pair, FUSION)
    surface.write_bytes(content)
    assert read_clean_depth(turn.pair.folder, turn.pair.lower.names[0])[1].any()


def test_a_board_that_is_measured_too_far_away_lies_inwards_by_the_median() -> None:
    camera = Intrinsics(40, 40, 400.0, 400.0, 19.5, 19.5)
    across, up = np.meshgrid(np.linspace(-60, 60, 9), np.linspace(60, -60, 9))
    vertices = np.stack([across, up, np.full(up.shape, -1500.0)], axis=-1).reshape(-1, 3).astype(np.float32)
    board = Mesh(vertices, grid_triangles(9, 9))
    moved = board.moved((0.0, 0.0, -100.0))
    fusion = CanonicalFusion([board, moved], camera)
    for number, (distance_mm, off_mm) in enumerate(((1500.0, 10.0), (1600.0, 30.0))):
        true = np.full((40, 40), distance_mm, np.float32)
        measured = true + np.float32(off_mm)
        measured[:12] = np.nan
        fusion.add(number, measured, true)
    model = fusion.canonical()
    seen = np.isfinite(model.off_mm)
    assert 0.5 < seen.mean() < 0.8
    assert np.allclose(model.off_mm[seen], -20, atol=1e-3)  # its front is its outside
    assert len(model.used) == len(model.surface.vertices_mm) <= seen.sum()
    assert np.allclose(model.surface.vertices_mm[:, 2], -1520, atol=1e-3)


def test_the_better_sensor_gives_the_better_canonical_model(turn: Turn) -> None:
    aligned = AlignedPair(turn.pair, true_alignment(turn.pair.folder))
    models = canonical_models(aligned, TURN, {})
    rows = {row["method"]: row for row in canonical_table(models)}
    assert rows[BETTER]["true_mm"] < 8 < rows[RAW]["true_mm"]
    assert rows[BETTER]["better_mm"] is None
    assert (np.isfinite(models[RAW].off_mm) == np.isfinite(models[BETTER].off_mm)).all()


def test_the_true_surface_of_the_first_frame_is_the_stored_one(turn: Turn) -> None:
    truth = read_truth(turn.pair.folder)
    first, last = true_bodies(truth, TURN, turn.pair.lower.times_ms[[0, -1]])
    assert np.allclose(first.vertices_mm, turn.surface.vertices_mm, atol=0.01)
    assert np.abs(last.vertices_mm - first.vertices_mm).max() > 10
