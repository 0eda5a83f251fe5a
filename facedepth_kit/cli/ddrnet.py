"""``facedepth train-ddrnet`` trains DDRNet-dn's stand-in; ``facedepth bodies`` tries DDRNet-dn on frames of people."""

from __future__ import annotations

import argparse
from pathlib import Path

WORDS = ("before", "after", "bilateral")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the run; again to resume")
    parser.add_argument("--settings", type=Path, metavar="YAML", help="settings of the run; the options below win")
    parser.add_argument("--scenes", type=int, metavar="N", help="views of people to render (default: 1000)")
    parser.add_argument("--steps", type=int, metavar="N", help="training steps (default: 6000, as published)")
    parser.add_argument("--batch", type=int, metavar="N", help="crops a step (default: 8)")
    parser.add_argument("--seed", type=int, help="decides scenes, noise and initial weights")
    parser.add_argument(
        "--stop-after-minutes", type=float, metavar="T", help="stop at the first checkpoint that passes T"
    )
    parser.add_argument("--export", type=Path, metavar="DIR", help="at the end, write weights and model card there")
    parser.add_argument("--overwrite", action="store_true", help="replace exported weights of the same name")


def run(arguments: argparse.Namespace) -> int:
    """Train or resume, and export if asked to."""
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml
    from facedepth_kit.pairs.body_training import BodyTrainingSettings, export_stand_in, train_stand_in

    settings = load_yaml(BodyTrainingSettings, arguments.settings) if arguments.settings else BodyTrainingSettings()
    options = ("scenes", "steps", "batch", "seed")
    given = {name: getattr(arguments, name) for name in options if getattr(arguments, name) is not None}
    settings = replace(settings, **given)
    minutes = arguments.stop_after_minutes
    progress = train_stand_in(arguments.output, settings, stop_after_s=None if minutes is None else minutes * 60)
    loss = f", loss {progress.losses[-1]:.5f}" if progress.losses else ""
    print(f"{arguments.output}: {progress.steps} of {settings.steps} steps{loss}")
    if arguments.export:
        print(export_stand_in(arguments.output, settings, arguments.export, overwrite=arguments.overwrite))
    return 0


def add_bodies_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``facedepth bodies``."""
    parser.add_argument("folder", type=Path, help="holds depth_map, high_quality_depth and mask (DDRNet's data set)")
    parser.add_argument("--checkpoint", type=Path, metavar="PREFIX", help="DDRNet's own checkpoint (default: as found)")
    parser.add_argument("--output", type=Path, metavar="CSV", help="write the distances of every frame")
    parser.add_argument("--overwrite", action="store_true", help="replace that file")


def run_bodies(arguments: argparse.Namespace) -> int:
    """Distances to the fused frames before and after, frame by frame."""
    import csv

    from facedepth_kit.common.paths import write_atomically
    from facedepth_kit.enhancers.ddrnet import load_denoiser
    from facedepth_kit.evaluation.bodies import bilateral, compare, read_body_pairs

    denoiser = load_denoiser(arguments.checkpoint)
    weights = denoiser.source.name if denoiser.source else "stand-in"
    compared = compare(read_body_pairs(arguments.folder), {"after": denoiser, "bilateral": bilateral})
    rows = [{**row, "weights": weights} for row in compared]
    if arguments.output:
        with write_atomically(arguments.output, arguments.overwrite) as path, path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            for row in rows:
                writer.writerow(
                    {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}
                )
    print(f"means of {len(rows)} frames; after: DDRNet-dn ({weights}); bilateral: a filter that has learnt nothing")
    for key in ("mae_mm", "rmse_mm", "median_mm", "inside_mae_mm"):
        means = {word: sum(float(row[f"{key}_{word}"]) for row in rows) / len(rows) for word in WORDS}
        print(f"{key:<14}" + "".join(f"{mean:8.3f} {word}" for word, mean in means.items()))
    return 0
