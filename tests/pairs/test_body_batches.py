"""Simulated people, the simulated sensor, and a training run that goes on where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cameras.simulated.body_scenes import BodySceneSettings, draw_body_scene, sense
from facedepth_kit.cli import main as cli
from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.enhancers import ddrnet
from facedepth_kit.networks.cards import ModelCard
from facedepth_kit.pairs.body_batches import (
    BodyRecipe,
    export_stand_in,
    make_body_batch,
    render_scenes,
    train_stand_in,
)

SHORT = BodyRecipe(scenes=2, steps=6, batch=2, crop_px=32, epoch_steps=2)


def test_scenes_show_something_at_the_asked_distances() -> None:
    settings = BodySceneSettings(bare_share=1.0, objects=(0, 0))
    for seed in range(4):
        depth = draw_body_scene(np.random.default_rng(seed), settings, size_px=128)
        assert depth.shape == (128, 128)
        seen = np.isfinite(depth)
        assert seen.mean() > 0.15
        assert np.nanmin(depth) >= 400
        assert np.nanmax(depth) < 1900 + 900  # the hips, and what of a body reaches behind them
    twice = [draw_body_scene(np.random.default_rng(1), size_px=64) for _ in range(2)]
    np.testing.assert_array_equal(twice[0], twice[1])


def wall(distance_mm: float) -> np.ndarray:
    return np.full((200, 200), distance_mm, np.float32)


def test_noise_grows_with_the_distance_and_is_shared_by_neighbours() -> None:
    settings = BodySceneSettings(structured_share=0.0, noise_mm=(2.0, 2.0))
    spread, likeness = [], []
    for distance in (700.0, 1900.0):
        errors = [sense(wall(distance), np.random.default_rng(seed), settings) - distance for seed in range(6)]
        spread.append(np.mean([np.nanstd(error) for error in errors]))
        pairs = [np.stack([error[:, 1:].ravel(), error[:, :-1].ravel()]) for error in errors]
        likeness += [np.corrcoef(pair[:, np.isfinite(pair).all(axis=0)])[0, 1] for pair in pairs]
    assert spread[0] < 4
    assert 2 * spread[0] < spread[1] < 30
    assert 0.2 < np.mean(likeness) < 0.95


def test_frames_are_whole_millimetres_with_holes_where_nothing_is() -> None:
    truth = wall(1000)
    truth[:, 100:] = np.nan
    frame = sense(truth, np.random.default_rng(0))
    assert np.isnan(frame[:, 110:]).all()
    kept = frame[:, :90]
    assert 0.5 < np.isfinite(kept).mean() <= 1
    np.testing.assert_array_equal(kept[np.isfinite(kept)] % 1, 0)


def test_a_step_of_depth_gets_ragged_edges() -> None:
    truth = wall(900)
    truth[:, 100:] = 1500
    frame = sense(truth, np.random.default_rng(3), BodySceneSettings(structured_share=0.0))
    wrong = np.isnan(frame) | (np.abs(frame - truth) > 60)
    assert wrong[:, 95:105].mean() > 3 * wrong[:, :60].mean()
    assert wrong[:, 95:105].mean() > 0.05


def test_a_batch_is_normalised_and_masked_by_what_was_measured() -> None:
    scenes = render_scenes(SHORT, progress_bar=False)
    assert scenes.shape == (2, 256, 256)
    inputs, targets = make_body_batch(scenes, SHORT, 0)
    assert inputs.shape == (2, 32, 32, 1)
    assert targets.shape == (2, 32, 32, 2)
    assert np.abs(inputs).max() <= 1
    mask = targets[..., 1] > 0
    assert mask.any()
    assert (inputs[..., 0][mask] > -1).mean() > 0.9
    error = np.abs(inputs[..., 0] - targets[..., 0])[mask]
    assert 0 < np.median(error) * 750 < 25
    np.testing.assert_array_equal(inputs, make_body_batch(scenes, SHORT, 0)[0])
    assert not np.array_equal(inputs, make_body_batch(scenes, SHORT, 1)[0])


def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, weights = train_stand_in(tmp_path / "whole", SHORT, progress_bar=False)
    assert (whole.steps, whole.images, len(whole.losses)) == (6, 12, 3)
    part, _ = train_stand_in(tmp_path / "parts", SHORT, progress_bar=False, stop_after_s=1e-9)
    assert part.steps < 6
    rest, again = train_stand_in(tmp_path / "parts", SHORT, progress_bar=False)
    assert rest.losses == whole.losses
    assert all(np.array_equal(one, other) for one, other in zip(weights, again, strict=True))
    card_path = export_stand_in(rest, again, SHORT, tmp_path / "weights")
    card = ModelCard.read(card_path)
    assert (card.parameters, card.images_seen, card.storage) == (868_001, 12, "float16")
    with pytest.raises(KitError, match="exists"):
        export_stand_in(rest, again, SHORT, tmp_path / "weights")
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path / "weights")
    monkeypatch.setenv("FACEDEPTH_DDRNET", str(tmp_path / "none"))
    run = ddrnet.load_denoiser()
    assert run.source is None
    assert np.isfinite(run(np.full((64, 64), 900.0))).all()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "short.yaml"
    settings.write_text("crop_px: 32\nbatch: 1\nepoch_steps: 1\n")
    arguments = ["train-ddrnet", "--output", str(tmp_path / "run"), "--settings", str(settings)]
    assert cli.main([*arguments, "--scenes", "1", "--steps", "1", "--export", str(tmp_path / "w")]) == 0
    assert "1 of 1 steps" in capsys.readouterr().out
    assert (tmp_path / "w" / "DDRNet-dn.json").is_file()
    assert cli.main([*arguments, "--scenes", "1", "--steps", "1", "--export", str(tmp_path / "w")]) == 2
    assert "exists" in capsys.readouterr().err
    assert cli.main([*arguments, "--steps", "0"]) == 2


def test_sizes_are_checked() -> None:
    for change in (
        lambda: replace(SHORT, crop_px=30),
        lambda: replace(SHORT, crop_px=512),
        lambda: replace(SHORT, steps=0),
        lambda: replace(SHORT, scenes=0),
    ):
        with pytest.raises(KitError, match="expected"):
            change()
