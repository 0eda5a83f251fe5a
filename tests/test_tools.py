"""The tools that train variants of DL-Kit-2: what they change, and what they leave as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from facedepth_kit.depth import HOLE, to_unit
from facedepth_kit.networks.small import SmallSize, build_small
from facedepth_kit.pairs.recipes import load_recipe
from facedepth_kit.pairs.store import SynthesisSettings, synthesize
from facedepth_kit.pairs.training_batches import Stage, StoreBatches
from tools.ablate import VARIANTS
from tools.harden import AttackedBatches, hardened

TINY = SmallSize((2, 2), convolutions=1)


def test_a_variant_leaves_out_what_it_names_and_nothing_else() -> None:
    recipe = load_recipe("DL-Kit-2")
    whole = VARIANTS["whole"].of(recipe, recipe.name)
    assert whole == recipe
    scenes = VARIANTS["no-camera-pairs"].of(recipe, recipe.name).stages[0].scenes
    assert scenes == replace(recipe.stages[0].scenes, camera_share=0.0)
    slopeless = VARIANTS["no-slope"].of(recipe, recipe.name)
    assert slopeless.training == replace(recipe.training, loss="surface")
    assert slopeless.stages == recipe.stages


def test_a_network_without_the_guess_begins_flat() -> None:
    """A head of zeros says nothing: what comes out is the guess, which a plane tells from a flat one."""
    plane = np.linspace(0.2, 0.4, 64, dtype=np.float32)[None, :, None, None] * np.ones((1, 1, 64, 1), np.float32)
    guessed, flat = (build_small(replace(TINY, guess=guess), side=64)(plane)[0, ..., 0] for guess in (True, False))
    assert np.ptp(np.asarray(guessed)) > 0.15
    np.testing.assert_array_equal(np.asarray(flat), 0.5)


def test_attacked_batches_add_a_budget_and_holes_have_none(tmp_path: Path) -> None:
    store = synthesize(tmp_path / "pairs", 4, seed=3, settings=SynthesisSettings(), progress=False)
    stage = Stage(ground_truths=4, chunks=1, epochs=1, hole_values=("keep",))
    plain = StoreBatches([store], [stage], "slope", 2, 0)
    attacked = AttackedBatches([store], [stage], "slope", 2, 0, deviations=2.0)
    (inputs, wanted), (given, same) = plain.batch(0, 0), attacked.batch(0, 0)
    np.testing.assert_array_equal(given[..., :1], inputs)
    np.testing.assert_array_equal(same, wanted)
    hole = inputs[..., 0] == to_unit(np.asarray(HOLE))
    assert (given[hole, 1] == 0).all()
    assert (given[~hole, 1] > 0).all()
    assert attacked.fingerprint != plain.fingerprint


def test_without_a_budget_an_attacked_step_is_a_plain_one() -> None:
    import keras

    rng = np.random.default_rng(0)
    depth = rng.random((2, 64, 64, 1), dtype=np.float32)
    wanted = np.concatenate([depth, np.ones_like(depth)], axis=-1)
    weights = []
    for attacked in (False, True):
        keras.utils.set_random_seed(1)
        model = build_small(TINY, side=64)
        start = model.get_weights()
        model = hardened(lambda: build_small(TINY, side=64)) if attacked else model
        model.set_weights(start)
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", jit_compile=False)
        given = np.concatenate([depth, np.zeros_like(depth)], axis=-1) if attacked else depth
        model.train_on_batch(given, wanted)
        weights.append(model.get_weights())
    for plain, moved in zip(*weights, strict=True):
        np.testing.assert_allclose(moved, plain, rtol=1e-5, atol=1e-7)
    assert any(np.abs(before - after).max() > 0 for before, after in zip(start, weights[0], strict=True))
