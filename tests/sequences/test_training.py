"""The second paper's networks: what they see, how they learn out of fold, and what they do on frames."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit.cameras.recorded.depth_files import read_frame
from facedepth_kit.common.errors import KitError
from facedepth_kit.enhancers.files import denoise_files
from facedepth_kit.networks.denoisers import DenoiserSize, build_remembering, build_step, cell_levels
from facedepth_kit.networks.forward import compiled_step
from facedepth_kit.networks.trainer import TrainingSettings, plateau_rate
from facedepth_kit.networks.weights import Arrays, write_arrays
from facedepth_kit.sequences.denoisers import SingleFrames, card_size, load_denoiser, remembering, single_frames
from facedepth_kit.sequences.network_frames import SmallFrame, block_mean, enlarge, make_small, person_by_depth
from facedepth_kit.sequences.training import (
    DenoiserRecipe,
    Stage,
    WindowBatches,
    export_denoiser,
    load_denoiser_recipe,
    predictions_of,
    train_scheme,
)
from facedepth_kit.sequences.training_windows import NAME, Session, Windows, WindowStore, folds

TINY = DenoiserSize((2, 2, 2, 2, 3), 1)
TINY_MEMORY = DenoiserSize((2, 2, 2, 2, 3), 1, remembers=True)
SETTINGS = TrainingSettings(loss="masked", plateau_epochs=1, decay=0.5)


def recipe(size: DenoiserSize, *stages: Stage) -> DenoiserRecipe:
    name = "M2" if size.remembers else "M1"
    return DenoiserRecipe(name, size, 4, (32, 16), 2, 1, stages or (Stage(15.0, 1),), SETTINGS)


def small_store(folder: Path, sessions: list[tuple[str, str]]) -> WindowStore:
    """A store of six frames a recording: a person at 1.5 m, noisy, with a target that is not."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    (folder / NAME).write_text(json.dumps({"step_px": 4}))
    for i, (person, room) in enumerate(sessions):
        depth = 1500 + rng.normal(0, 50, (6, 40, 24))
        people = np.zeros((6, 40, 24), np.uint8)
        people[:, 8:, 6:18] = 255
        arrays: Arrays = {
            "picture": rng.integers(0, 255, (6, 40, 24, 3)).astype(np.uint8),
            "depth": (depth * 4).astype(np.uint16),
            "person": people,
            "target": np.where(people > 0, 6000, 0).astype(np.uint16),
            "away_ms": np.asarray([0, 4, 8, 12, 20, 3], np.float32),
            "times_ms": np.asarray([0, 66, 133, 200, 400, 466], np.float64),
        }
        write_arrays(folder / f"{i:02d}.safetensors", arrays, {"person": person, "room": room})
    return WindowStore(folder)


def test_folds_share_neither_people_nor_rooms() -> None:
    sessions = [Session(p, r) for p, r in ("a1", "b1", "b2", "c3", "d4", "e3")]
    first, second = folds(sessions)
    assert sorted(first + second) == list(range(6))
    for what in ("person", "room"):
        assert not {getattr(sessions[i], what) for i in first} & {getattr(sessions[i], what) for i in second}


def test_recordings_that_hang_together_cannot_be_split() -> None:
    with pytest.raises(KitError, match="share neither"):
        folds([Session("a", "1"), Session("a", "2"), Session("b", "2")])


def test_no_frame_is_predicted_by_a_network_that_saw_its_person_or_room(tmp_path: Path) -> None:
    store = small_store(tmp_path / "windows", [("a", "1"), ("b", "2"), ("c", "1"), ("d", "3")])
    made = train_scheme(store, tmp_path / "run", recipe(TINY), recipe(TINY_MEMORY), progress_bar=False)
    assert list(made) == ["M1_1", "M1_2", "M1", "M2"]
    assert not set(made["M1_1"].seen) & set(made["M1_2"].seen)
    assert set(made["M1_1"].seen) | set(made["M1_2"].seen) == set(made["M1"].seen) == set(made["M2"].seen)
    for name in ("M1_1", "M1_2", "M1"):
        known = [one for one in store.recordings if set(one.session.seen) & set(made[name].seen)]
        assert known
        for recording in known:
            with pytest.raises(KitError, match="out of fold"):
                predictions_of(made[name], [recording])
    cards = [export_denoiser(made[name], tmp_path / "weights") for name in ("M1", "M2")]
    assert [path.stem for path in cards] == ["M1", "M2"]
    denoiser = load_denoiser("M2", tmp_path / "weights")
    frame = store.recordings[0].frame(0)
    depth = np.kron(frame.depth_mm, np.ones((4, 4), np.float32))
    person = np.kron(frame.person, np.ones((4, 4), np.float32)) > 0
    picture = np.kron(frame.picture, np.ones((4, 4, 1), np.uint8))
    result = denoiser(depth, picture, person)
    assert np.isfinite(result[person]).all()
    assert np.isnan(result[~person]).all()


def test_batches_leave_out_targets_that_are_too_far_in_time(tmp_path: Path) -> None:
    store = small_store(tmp_path / "windows", [("a", "1"), ("b", "2")])
    frames = [[store.recordings[0].frame(i).depth_mm for i in range(6)]] * 2
    predictions = {one.name: some for one, some in zip(store.recordings, frames, strict=True)}
    batches = WindowBatches(store.recordings, recipe(TINY_MEMORY, Stage(5.0, 1)), "", predictions)
    inputs, targets = batches.batch(0, 0)
    assert inputs.shape == (2, 4, 32, 16, 8)
    assert targets.shape == (2, 4, 32, 16, 2)
    masks = targets[..., 1].any(axis=(2, 3))
    assert masks.tolist() == [[True, True, False, False]] * 2  # frames 0 and 4 ms away; 20 ms is behind a gap
    one = store.recordings[0]
    far = Windows(one.name, one.session, {**one.arrays, "away_ms": one.arrays["away_ms"] + 50})
    with pytest.raises(KitError, match="no frame with a target"):
        WindowBatches([far], recipe(TINY), "")


def test_memory_frame_by_frame_is_memory_over_the_sequence() -> None:
    whole, step = build_remembering(TINY_MEMORY), build_step(TINY_MEMORY)
    rng = np.random.default_rng(1)
    weights = [rng.normal(0, 0.3, weight.shape).astype(np.float32) for weight in whole.get_weights()]
    whole.set_weights(weights)
    step.set_weights(weights)
    frames = rng.random((1, 4, 32, 16, 8), np.float32)
    run = compiled_step(step)
    memory = [np.zeros((1, 32 >> k, 16 >> k, n), np.float32) for k, n in cell_levels(TINY_MEMORY) for _ in "hc"]
    outputs = []
    for i in range(4):
        output, *memory = run([frames[:, i], *memory])
        outputs.append(output)
    assert np.allclose(np.stack(outputs, axis=1), whole.predict_on_batch(frames), atol=1e-5)
    assert np.ptp([output.mean() for output in outputs]) > 0


def test_memory_is_of_four_frames() -> None:
    rng = np.random.default_rng(4)
    single = SingleFrames(lambda x: np.zeros((*x.shape[:3], 1), np.float32))
    weights = [rng.normal(0, 0.3, weight.shape) for weight in build_step(TINY_MEMORY).get_weights()]
    memory = remembering(single, TINY_MEMORY, weights)
    depths = rng.normal(1500, 20, (6, 32, 16)).astype(np.float32)
    person, picture = np.ones((32, 16), np.bool_), rng.integers(0, 255, (32, 16, 3)).astype(np.uint8)
    frames = [make_small(depth, picture, person, 1) for depth in depths]
    results = [memory.refine(frame, single.small(frame)) for frame in frames]
    memory.forget()
    for number, frame in enumerate(frames[2:], start=2):
        again = memory.refine(frame, single.small(frame))
        assert np.array_equal(again, results[number]) == (number == 5)


def test_untrained_memory_hands_on_what_it_gets() -> None:
    single = SingleFrames(lambda x: np.full((*x.shape[:3], 1), 0.25, np.float32))
    memory = remembering(single, TINY_MEMORY, build_step(TINY_MEMORY).get_weights())
    rng = np.random.default_rng(2)
    depth = rng.normal(1500, 20, (20, 12)).astype(np.float32)
    frame = SmallFrame(np.zeros((20, 12, 3), np.uint8), depth, np.ones((20, 12), np.float32))
    assert np.allclose(memory.refine(frame, single.small(frame)), single.small(frame), atol=0.01)


def test_blocks_mix_no_background_into_a_person() -> None:
    depth = np.full((8, 8), 3000, np.float32)
    person = np.zeros((8, 8), bool)
    person[:, :3] = True
    depth[person] = 1500
    depth[0, 0] = np.nan
    frame = make_small(depth, np.zeros((8, 8, 3), np.uint8), person)
    assert np.allclose(frame.depth_mm, [[1500, 3000], [1500, 3000]])
    assert np.allclose(frame.person, [[0.75, 0], [0.75, 0]])
    large = enlarge(np.where(frame.person > 0, frame.depth_mm, np.float32(np.nan)), person)
    assert np.allclose(large[person], 1500)
    assert np.isnan(large[~person]).all()
    assert np.isnan(block_mean(depth, np.zeros((8, 8), bool), 4)).all()


def test_a_person_is_found_by_depth() -> None:
    depth = np.full((200, 120), 3200, np.float32)
    depth[40:, 40:80] = 1500 + np.random.default_rng(0).normal(0, 60, (160, 40)).astype(np.float32)
    person = person_by_depth(depth)
    assert person[40:, 40:80].mean() > 0.98
    assert not person[:, :30].any()
    with pytest.raises(KitError, match="expected a person"):
        person_by_depth(np.full((200, 120), np.nan, np.float32))


def test_the_rate_falls_where_the_loss_does_not() -> None:
    settings = TrainingSettings(learning_rate=1.0, decay=0.5, plateau_epochs=2)
    assert plateau_rate(settings, []) == 1.0
    assert plateau_rate(settings, [3, 2, 1, 1.5]) == 1.0
    assert plateau_rate(settings, [3, 2, 1, 1.5, 1.2]) == 0.5
    assert plateau_rate(settings, [3, 2, 1, 1.5, 1.2, 0.5, 2, 2, 2, 2]) == 0.125


def test_recipes_of_the_kit_load() -> None:
    single, memory = load_denoiser_recipe("M1"), load_denoiser_recipe("M2")
    assert [stage.near_ms for stage in memory.stages] == [15.0, 5.0]  # section 5
    assert not single.size.remembers
    assert memory.size.remembers
    assert single.training.plateau_epochs > 0
    assert memory.training.plateau_epochs > 0
    assert single_frames(single.size, single_weights(single)).step_px == single.step_px


def single_weights(of: DenoiserRecipe) -> list[np.ndarray]:
    from facedepth_kit.networks.denoisers import build_denoiser

    model = build_denoiser(of.size)
    assert model.count_params() <= 2_000_000
    return model.get_weights()


def test_recordings_are_denoised_file_for_file(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    rng = np.random.default_rng(3)
    for i in range(3):
        depth = np.full((96, 64), 3000, np.uint16)
        depth[10:, 20:44] = 1500 + rng.normal(0, 40, (86, 24))
        cv2.imwrite(str(folder / f"{i:03d}_depth.png"), depth)
        if i != 1:
            cv2.imwrite(str(folder / f"{i:03d}_color.png"), rng.integers(0, 255, (96, 64, 3)).astype(np.uint8))
    flat = SingleFrames(lambda x: np.zeros((*x.shape[:3], 1), np.float32))
    reports = denoise_files(folder, tmp_path / "out", flat)
    assert [report.ok for report in reports] == [True, False, True]
    assert "001" in str(reports[1].error)
    before, after = (read_frame(place / "000_depth.png") for place in (folder, tmp_path / "out"))
    assert (after[:, :10] == before[:, :10]).all()
    assert np.ptp(after[20:90, 24:40]) == 0
    assert (tmp_path / "out" / "summary.csv").is_file()
    with pytest.raises(KitError, match="earlier run"):
        denoise_files(folder, tmp_path / "out", flat)


def test_another_networks_card_is_refused() -> None:
    from facedepth_kit.networks.cards import ModelCard

    with pytest.raises(KitError, match="M1"):
        card_size(ModelCard("DL-Delta-1", "DL-Delta", ""))
