"""``facedepth train`` trains the papers' networks, ``facedepth train-ddrnet`` DDRNet-dn's stand-in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facedepth_kit.cli.options import COUNT, EXISTING_FILE, PATH, SEED, SMALL_COUNT, TIME, pair_store
from facedepth_kit.cli.terminal import say

RUN_FOLDER = click.option(
    "--output", type=PATH, required=True, metavar="DIR", help="Folder of the run; again to resume."
)
SETTINGS = click.option(
    "--settings", type=EXISTING_FILE, metavar="YAML", help="Settings of the run; the options below win."
)
EXPORT = click.option("--export", type=PATH, metavar="DIR", help="At the end, write weights and model card there.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace exported weights of the same name.")


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else minutes * 60


def _given(**options: Any) -> dict[str, Any]:
    """The options that were given; the others leave the settings as they are."""
    return {name: value for name, value in options.items() if value is not None}


@click.command()
@pair_store
@RUN_FOLDER
@SETTINGS
@click.option("--name", metavar="NAME", help="Name of the weights, such as DL-Delta-1.")
@click.option("--size", metavar="NETWORK", help="DL-Alpha, DL-Beta, DL-Gamma or DL-Delta.")
@click.option("--chunks", type=COUNT, metavar="N", help="Parts that the pairs are trained in, one by one.")
@click.option("--epochs", type=COUNT, metavar="N", help="Passes over each chunk.")
@click.option("--batch", type=SMALL_COUNT, metavar="N", help="Images a step.")
@click.option("--seed", type=SEED, metavar="N", help="Decides initial weights and order.")
@click.option("--stop-after-minutes", type=TIME, metavar="T", help="Stop behind the epoch that passes T.")
@EXPORT
@OVERWRITE
def train(
    pairs: Path,
    output: Path,
    settings: Path | None,
    name: str | None,
    size: str | None,
    chunks: int | None,
    epochs: int | None,
    batch: int | None,
    seed: int | None,
    stop_after_minutes: float | None,
    export: Path | None,
    overwrite: bool,
) -> int:
    """Train a network on pairs."""
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml
    from facedepth_kit.networks import trainer
    from facedepth_kit.pairs.store import PairStore

    chosen = load_yaml(trainer.TrainingSettings, settings) if settings else trainer.TrainingSettings()
    chosen = replace(chosen, **_given(name=name, size=size, chunks=chunks, epochs=epochs, batch=batch, seed=seed))
    store = PairStore(pairs)
    progress = trainer.train(store, output, chosen, stop_after_s=_seconds(stop_after_minutes))
    loss = f", loss {progress.losses[-1]:.5f}" if progress.losses else ""
    say(f"{output}: {progress.epoch} of {chosen.chunks * chosen.epochs} epochs, {progress.steps} steps{loss}")
    if export:
        say(str(trainer.export(store, output, chosen, export, overwrite=overwrite)))
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
    from facedepth_kit.pairs.body_training import BodyTrainingSettings, export_stand_in, train_stand_in

    chosen = load_yaml(BodyTrainingSettings, settings) if settings else BodyTrainingSettings()
    chosen = replace(chosen, **_given(scenes=scenes, steps=steps, batch=batch, seed=seed))
    progress = train_stand_in(output, chosen, stop_after_s=_seconds(stop_after_minutes))
    loss = f", loss {progress.losses[-1]:.5f}" if progress.losses else ""
    say(f"{output}: {progress.steps} of {chosen.steps} steps{loss}")
    if export:
        say(str(export_stand_in(output, chosen, export, overwrite=overwrite)))
    return 0
