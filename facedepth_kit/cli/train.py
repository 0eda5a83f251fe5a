"""``facedepth train`` trains the paper's networks, ``facedepth train-ddrnet`` DDRNet-dn's stand-in."""

from __future__ import annotations

from pathlib import Path

import click

from facedepth_kit.cli.options import (
    COUNT,
    EXISTING_FILE,
    EXISTING_FOLDER,
    PATH,
    SEED,
    SMALL_COUNT,
    TIME,
    Number,
    refuse_both,
)
from facedepth_kit.cli.terminal import say
from facedepth_kit.common.errors import KitError

DENOISERS = ("M1", "M2")

RUN_FOLDER = click.option(
    "--output", type=PATH, required=True, metavar="DIR", help="Folder of the run; again to resume."
)
SETTINGS = click.option(
    "--settings", type=EXISTING_FILE, metavar="YAML", help="A recipe of your own; the options below win."
)
EXPORT = click.option("--export", type=PATH, metavar="DIR", help="At the end, write weights and model card there.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace exported weights of the same name.")


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


@click.command()
@click.option(
    "--recipe", metavar="NAME", help="One of the papers' networks, such as DL-Gamma, M1 or M2, or a YAML file."
)
@click.option("--fraction", type=Number(1), metavar="F", help="Share of the recipe's ground truths (default: 1).")
@click.option(
    "--pairs",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Pair store to learn from (default: synthesised as needed); M1, M2: folder of aligned paired recordings.",
)
@RUN_FOLDER
@SETTINGS
@click.option("--name", metavar="NAME", help="Name of the weights, such as DL-Delta-1.")
@click.option("--size", metavar="NETWORK", help="DL-Alpha, DL-Beta, DL-Gamma or DL-Delta.")
@click.option("--chunks", type=COUNT, metavar="N", help="Parts that the pairs are trained in, one by one.")
@click.option("--epochs", type=COUNT, metavar="N", help="Passes over each chunk.")
@click.option("--batch", type=SMALL_COUNT, metavar="N", help="Images a step.")
@click.option("--seed", type=SEED, metavar="N", help="Decides initial weights and order.")
@click.option("--full-resolution", is_flag=True, help="256 px throughout, whatever the recipe says.")
@click.option("--stop-after-minutes", type=TIME, metavar="T", help="Stop behind the epoch that passes T.")
@EXPORT
@OVERWRITE
def train(
    recipe: str | None,
    fraction: float | None,
    pairs: Path | None,
    output: Path,
    settings: Path | None,
    name: str | None,
    size: str | None,
    chunks: int | None,
    epochs: int | None,
    batch: int | None,
    seed: int | None,
    full_resolution: bool,
    stop_after_minutes: float | None,
    export: Path | None,
    overwrite: bool,
) -> int:
    """Train a network, by a recipe or on pairs of your own.

    M2 is trained out of fold: M1_1, M1_2 and M1 first. Paired recordings need facedepth align's alignment.json.
    """
    if recipe in DENOISERS:
        unsuited = {
            "--settings": settings, "--name": name, "--size": size, "--chunks": chunks, "--fraction": fraction,
            "--epochs": epochs, "--batch": batch, "--seed": seed, "--full-resolution": full_resolution or None,
        }  # fmt: skip
        for option, value in unsuited.items():
            refuse_both(f"--recipe {recipe}", True, option, value)
        return _train_denoiser(recipe, pairs, output, _seconds(stop_after_minutes), export, overwrite)
    from facedepth_kit.networks.cards import refuse_existing_network
    from facedepth_kit.pairs.recipes import chosen_recipe, export_network, recipe_stores, train_recipe
    from facedepth_kit.pairs.store import PairStore

    stores = None if pairs is None else [PairStore(pairs)]
    chosen = chosen_recipe(
        recipe or settings,
        stores,
        fraction=fraction,
        full_resolution=full_resolution,
        chunks=chunks,
        epochs=epochs,
        seed=seed,
        name=name,
        size=size,
        batch=batch,
    )
    if export:
        refuse_existing_network(chosen.name, export, overwrite=overwrite)
    trained = train_recipe(
        chosen,
        stores or recipe_stores(chosen, output / "pairs"),
        output,
        weights_dir=export,
        stop_after_s=_seconds(stop_after_minutes),
    )
    progress = trained.progress
    loss = f", loss {progress.losses[-1]:.5f}" if progress.losses else ""
    say(f"{output}: {progress.epoch} of {trained.epochs} epochs, {progress.steps} steps{loss}")
    if export:
        say(str(export_network(trained, export, overwrite=overwrite)))
    return 0


def _train_denoiser(
    name: str, pairs: Path | None, output: Path, stop_after_s: float | None, export: Path | None, overwrite: bool
) -> int:
    from facedepth_kit.networks.cards import refuse_existing_network
    from facedepth_kit.sequences.denoisers import MEMORY, SINGLE
    from facedepth_kit.sequences.training import export_denoiser, load_denoiser_recipe, train_scheme
    from facedepth_kit.sequences.training_windows import build_windows

    if pairs is None:
        raise KitError("--pairs: found none, expected a folder of paired recordings (facedepth simulate-pair, align)")
    recordings = sorted(path.parent for path in pairs.glob("*/lower") if path.is_dir())
    if not recordings:
        raise KitError(f"{pairs}: found no paired recordings, expected folders with lower and higher")
    made_here = (SINGLE, MEMORY) if name == MEMORY else (SINGLE,)
    for one in made_here if export else ():
        refuse_existing_network(one, str(export), overwrite=overwrite)
    single, memory = load_denoiser_recipe(SINGLE), load_denoiser_recipe(MEMORY) if name == MEMORY else None
    store = build_windows(recordings, output / "windows", step_px=single.step_px)
    made = train_scheme(store, output, single, memory, stop_after_s=stop_after_s)
    for label, trained in made.items():
        say(f"{output / label}: {trained.progress.epoch} of {trained.epochs} epochs, {trained.progress.steps} steps")
    for one in made_here if export and made_here[-1] in made else ():
        described = f"{len(recordings)} paired recordings"
        say(str(export_denoiser(made[one], str(export), overwrite=overwrite, pairs=described)))
    return 0


@click.command()
@RUN_FOLDER
@SETTINGS
@click.option("--scenes", type=COUNT, metavar="N", help="Views of people to render (default: 1000).")
@click.option("--steps", type=COUNT, metavar="N", help="Training steps (default: 6000, as published).")
@click.option("--batch", type=SMALL_COUNT, metavar="N", help="Crops a step (default: 8).")
@click.option("--seed", type=SEED, metavar="N", help="Decides scenes, noise and initial weights.")
@click.option("--stop-after-minutes", type=TIME, metavar="T", help="Stop at the first checkpoint that passes T.")
@EXPORT
@OVERWRITE
def train_ddrnet(
    output: Path,
    settings: Path | None,
    scenes: int | None,
    steps: int | None,
    batch: int | None,
    seed: int | None,
    stop_after_minutes: float | None,
    export: Path | None,
    overwrite: bool,
) -> int:
    """Train DDRNet-dn's stand-in on simulated people."""
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml
    from facedepth_kit.networks.cards import refuse_existing_network
    from facedepth_kit.pairs.body_batches import RECIPE, BodyRecipe, export_stand_in, train_stand_in

    recipe = load_yaml(BodyRecipe, settings or RECIPE)
    recipe = replace(
        recipe,
        scenes=scenes or recipe.scenes,
        steps=steps or recipe.steps,
        batch=batch or recipe.batch,
        training=recipe.training if seed is None else replace(recipe.training, seed=seed),
    )
    if export:
        refuse_existing_network(recipe.name, export, overwrite=overwrite)
    progress, weights = train_stand_in(output, recipe, stop_after_s=_seconds(stop_after_minutes))
    loss = f", loss {progress.losses[-1]:.5f}" if progress.losses else ""
    say(f"{output}: {progress.steps} of {recipe.steps} steps{loss}")
    if export:
        say(str(export_stand_in(progress, weights, recipe, export, overwrite=overwrite)))
    return 0
