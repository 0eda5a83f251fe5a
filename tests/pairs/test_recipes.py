"""Recipes: the paper's counts, one fraction for all, weights that start from others, and tests on other faces only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.enhancers import get
from facedepth_kit.evaluation.error import evaluate
from facedepth_kit.networks.cards import Faces, ModelCard
from facedepth_kit.networks.trainer import TrainingSettings
from facedepth_kit.networks.unet import SIZES, NetworkSize
from facedepth_kit.pairs.recipes import (
    PAPERS,
    Recipe,
    chosen_recipe,
    export_network,
    load_recipe,
    recipe_names,
    recipe_stores,
    train_recipe,
)
from facedepth_kit.pairs.store import synthesize
from facedepth_kit.pairs.training_batches import Stage


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe of two steps for a network of a few parameters."""
    monkeypatch.setitem(SIZES, "Tiny", NetworkSize((2, 2), bottom_filters=2))
    stage = Stage(ground_truths=2, seed=3, hole_values=("keep",), chunks=1, epochs=2, resolution_px=(128,))
    training = TrainingSettings(loss="face", warmup_steps=1)
    return Recipe(name="Trial", size="Tiny", batch=2, stages=(stage,), training=training)


def test_the_papers_counts() -> None:
    assert set(PAPERS) <= set(recipe_names())
    recipes = {name: load_recipe(name) for name in PAPERS}
    for name, recipe in recipes.items():
        assert recipe.name == name
        assert recipe.training.loss == "face"
        assert replace(recipe.training, seed=0) == recipes["DL-Alpha"].training  # the same for all seven
        assert recipe.stages[-1].epochs == 10
    counts = {name: [stage.ground_truths for stage in recipe.stages] for name, recipe in recipes.items()}
    assert counts["DL-Alpha"] == [70_000, 60_000, 240_000]
    assert counts["DL-Beta"] == counts["DL-Gamma"] == [240_000]
    assert recipes["DL-Beta"].stages == recipes["DL-Gamma"].stages == recipes["DL-Alpha"].stages[2:]
    assert recipes["DL-Gamma"].stages[0].chunks == 8
    for number in range(1, 5):
        delta = recipes[f"DL-Delta-{number}"]
        assert delta.stages == recipes["DL-Delta-1"].stages
        assert (delta.stages[0].ground_truths, delta.stages[0].chunks) == (60_000, 6)
        assert delta.stages[0].hole_values == ("keep", "random", "blurred")
        assert delta.start_from == (None if number == 1 else f"DL-Delta-{number - 1}")


def test_a_few_steps_touch_every_stage() -> None:
    for recipe in map(load_recipe, PAPERS):
        few = recipe.in_few_steps()
        assert [stage.seed for stage in few.stages] == [stage.seed for stage in recipe.stages]
        assert sum(stage.ground_truths * len(stage.hole_values) for stage in few.stages) <= 3 * recipe.batch
        assert (few.start_from, few.training) == (recipe.start_from, recipe.training)
        assert few.fraction < 1e-4


def test_one_fraction_scales_the_ground_truths_and_nothing_else() -> None:
    recipe = load_recipe("DL-Alpha").at(0.01)
    assert [stage.ground_truths for stage in recipe.stages] == [700, 600, 2400]
    assert [stage.epochs for stage in recipe.stages] == [1, 1, 10]
    assert recipe.fraction == 0.01
    assert {side for stage in recipe.stages for side in stage.resolution_px} == {128, 256}
    assert {s.resolution_px for s in recipe.at_full_resolution().stages} == {(256,)}
    for wrong in (0, 1.1):
        with pytest.raises(KitError, match="fraction"):
            recipe.at(wrong)


def test_unknown_recipes_and_bad_names_are_refused() -> None:
    with pytest.raises(KitError, match="DL-Alpha, DL-Beta"):
        load_recipe("DL-Omega")
    with pytest.raises(KitError, match="name: found"):
        Recipe(name="../DL-Delta-1")
    with pytest.raises(KitError, match="size: found"):
        Recipe(size="DL-Omega")
    with pytest.raises(KitError, match="resolution_px: found 128, expected a multiple of 256 for DL-Small"):
        Recipe(size="DL-Small", stages=(Stage(resolution_px=(256, 128)),))


def test_a_network_may_start_from_another_and_be_widened(
    tiny: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = recipe_stores(tiny, tmp_path / "pairs", workers=1, progress=False)
    first = train_recipe(tiny, stores, tmp_path / "first", progress_bar=False)
    assert first.finished
    card = ModelCard.read(export_network(first, tmp_path / "weights", storage="float32"))
    assert (card.images_seen, card.steps, card.epochs_planned) == (4, 2, 2)
    assert card.trained_on == (Faces("parametric", 3, 2),)
    surface = replace(tiny.training, loss="surface", learning_rate=1e-12)
    other = replace(tiny.stages[0], seed=4)
    again = replace(tiny, name="Again", start_from="Trial", training=surface, stages=(other,))
    stores = recipe_stores(again, tmp_path / "pairs", workers=1, progress=False)
    second = train_recipe(again, stores, tmp_path / "second", weights_dir=tmp_path / "weights", progress_bar=False)
    np.testing.assert_allclose(second.weights[0], first.weights[0], atol=1e-6)
    np.testing.assert_allclose(second.weights[-2][..., :1], first.weights[-2], atol=1e-6)
    card = ModelCard.read(export_network(second, tmp_path / "weights"))
    assert card.images_seen_in_all == 8
    assert card.trained_on == (Faces("parametric", 3, 2), Faces("parametric", 4, 2))
    with pytest.raises(KitError, match=r"Trial\.json: no such file"):
        train_recipe(again, stores, tmp_path / "third", weights_dir=tmp_path / "nowhere", progress_bar=False)
    monkeypatch.setenv("FACEDEPTH_WEIGHTS", str(tmp_path / "weights"))
    assert get("Again").enhance(np.full((256, 256), 9, np.uint16)).shape == (256, 256)
    # Nobody is tested on faces it was trained on.
    seen = synthesize(tmp_path / "seen", 1, seed=4, workers=1, progress=False)
    with pytest.raises(KitError, match="Again: found test faces that it was trained on"):
        evaluate(seen, {"Again": get("Again").enhance}, progress=False)
    unseen = synthesize(tmp_path / "unseen", 1, seed=5, workers=1, progress=False)
    assert evaluate(unseen, {"Again": get("Again").enhance}, progress=False).face["Again"].shape == (1,)


def test_faces_meet_where_their_ranges_do() -> None:
    faces = Faces("parametric", 1, 100)
    assert faces.meets(Faces("parametric", 1, 1, first=99))
    assert not faces.meets(Faces("parametric", 1, 100, first=100))
    assert not faces.meets(Faces("parametric", 2, 100))
    assert not faces.meets(Faces("photos abc", 1, 100))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, run, weights = (str(tmp_path / name) for name in ("pairs", "run", "weights"))
    assert cli.main(["synthesize", "--count", "2", "--output", pairs, "--seed", "8", "--workers", "1"]) == 0
    small = tmp_path / "small.yaml"
    stage = "{ground_truths: 2, chunks: 1, epochs: 1, resolution_px: [128]}"
    small.write_text(f"size: Tiny\nbatch: 2\nstages:\n  - {stage}\n")
    arguments = ["train", "--pairs", pairs, "--output", run, "--settings", str(small), "--name", "mine"]
    assert cli.main([*arguments, "--export", weights]) == 0
    assert "1 of 1 epochs, 1 steps" in capsys.readouterr().out
    assert ModelCard.read(tmp_path / "weights" / "mine.json").trained_on == (Faces("parametric", 8, 2),)
    assert cli.main([*arguments, "--export", weights]) == 2  # before any training
    assert "exists" in capsys.readouterr().err
    assert cli.main(["train", "--recipe", "DL-Alpha", "--pairs", pairs, "--output", run]) == 2
    assert "3 stages" in capsys.readouterr().err


def test_options_win_over_the_recipe() -> None:
    recipe = chosen_recipe("DL-Gamma", fraction=0.001, epochs=2, seed=9, batch=8, full_resolution=True)
    assert (recipe.stages[0].ground_truths, recipe.stages[0].epochs, recipe.stages[0].chunks) == (240, 2, 8)
    assert (recipe.training.seed, recipe.batch, recipe.stages[0].resolution_px) == (9, 8, (256,))
