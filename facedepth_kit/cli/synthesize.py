"""``facedepth synthesize`` and ``facedepth calibrate``: pairs of ground truth and degraded depth images."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from facedepth_kit.cli.options import (
    COUNT,
    EXISTING_FILE,
    PATH,
    SEED,
    SMALL_COUNT,
    TIME,
    OneOf,
    refuse_existing,
)
from facedepth_kit.cli.photos import PhotoSource, photo_source, synthesize_from_photos
from facedepth_kit.cli.terminal import say
from facedepth_kit.common.errors import KitError


@click.command()
@click.option("--count", type=COUNT, metavar="N", help="How many pairs the store shall hold (photos: at most).")
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Folder of the pair store.")
@click.option("--seed", type=SEED, default=0, metavar="N", help="The same seed gives the same pairs (default: 0).")
@click.option(
    "--faces",
    default="parametric",
    metavar="WHICH",
    help="Where the 3D faces come from: parametric (default), or photos DIR.",
)
@click.argument("folder", nargs=-1, metavar="")
@click.option("--settings", type=EXISTING_FILE, metavar="YAML", help="Settings of faces, degradation and images.")
@click.option(
    "--workers",
    type=SMALL_COUNT,
    metavar="N",
    help="Processes (default: one a core; photos: one).",
)
@click.option("--scheduler", metavar="ADDRESS", help="Work on the Dask cluster of this scheduler (tcp://host:8786).")
@click.option(
    "--hole-values",
    type=OneOf("keep", "random", "blurred", "mixed"),
    metavar="WHICH",
    help="What stands in holes: keep (65535), random (noise), blurred (noise), or mixed: an image of each "
    "(default: the settings', keep).",
)
@click.option(
    "--images", type=PATH, metavar="DIR", help="Write each pair as 16-bit PNGs, too: DIR/degraded and DIR/ground_truth."
)
@click.option("--overwrite", is_flag=True, help="Replace a store with other settings (and other images).")
@click.option(
    "--ranges", type=EXISTING_FILE, metavar="NPZ", help="Photos: leave out deformed faces (screen learns it)."
)
@click.option(
    "--screened", type=EXISTING_FILE, metavar="CSV", help="Photos: only those that this table of screen keeps."
)
@photo_source
def synthesize(
    count: int | None,
    output: Path,
    seed: int,
    faces: str,
    folder: tuple[str, ...],
    settings: Path | None,
    workers: int | None,
    scheduler: str | None,
    hole_values: Literal["keep", "random", "blurred", "mixed"] | None,
    images: Path | None,
    overwrite: bool,
    ranges: Path | None,
    screened: Path | None,
    source: PhotoSource,
) -> int:
    """Write pairs of ground truth and degraded depth images; again to resume."""
    from contextlib import nullcontext
    from dataclasses import replace

    from facedepth_kit.common.jobs import cluster
    from facedepth_kit.common.settings import load_yaml
    from facedepth_kit.pairs import store as pairs

    chosen = load_yaml(pairs.SynthesisSettings, settings) if settings else pairs.SynthesisSettings()
    if hole_values:
        chosen = replace(chosen, hole_values=pairs.MIXED if hole_values == "mixed" else (hole_values,))
    photos = _photo_folder(faces, folder)
    if photos is None and count is None:
        raise KitError(
            "--count: found none, expected how many pairs of parametric faces (see facedepth synthesize --help)"
        )
    with cluster(scheduler) if scheduler else nullcontext((None, None)) as (executor, threads):
        workers = workers or threads
        code = 0
        if photos is not None:
            code = synthesize_from_photos(
                photos,
                output,
                chosen,
                source,
                count=count,
                seed=seed,
                ranges=ranges,
                screened=screened,
                workers=workers or 1,
                executor=executor,
                overwrite=overwrite,
            )
        else:
            assert count is not None
            made = pairs.synthesize(
                output, count, seed=seed, settings=chosen, workers=workers, executor=executor, overwrite=overwrite
            )
            say(f"{output}: {len(made)} pairs")
    if images is not None:
        pairs.write_images(pairs.PairStore(output), images, overwrite=overwrite)
    return code


def _photo_folder(faces: str, folder: tuple[str, ...]) -> Path | None:
    """The folder of ``--faces photos DIR``; None for parametric faces. Raises :class:`KitError` for anything else."""
    if faces == "parametric" and not folder:
        return None
    if faces == "photos" and len(folder) == 1:
        return Path(folder[0])
    raise KitError(f"--faces: found {' '.join([faces, *folder])!r}, expected parametric, or photos and their folder")


@click.command()
@click.option("--minutes", type=TIME, default=30.0, metavar="T", help="Time for the search (default: 30).")
@click.option("--count", type=COUNT, default=40, metavar="N", help="Faces to search on (default: 40).")
@click.option("--report-count", type=COUNT, default=2000, metavar="N", help="Fresh faces to report on (default: 2000).")
@click.option(
    "--settings", type=EXISTING_FILE, metavar="YAML", help="Settings to start from (default: the ones found before)."
)
@click.option("--output", type=PATH, metavar="YAML", help="Write the settings found, for synthesize --settings.")
@click.option("--seed", type=SEED, default=0, metavar="N", help="Decides the faces and the search (default: 0).")
@click.option("--overwrite", is_flag=True, help="Replace the output.")
def calibrate(
    minutes: float,
    count: int,
    report_count: int,
    settings: Path | None,
    output: Path | None,
    seed: int,
    overwrite: bool,
) -> int:
    """Search degradation settings that meet the published rows of Table IV."""
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml, save_yaml
    from facedepth_kit.evaluation import calibration
    from facedepth_kit.pairs.store import SynthesisSettings

    refuse_existing(output, overwrite)
    synthesis = load_yaml(SynthesisSettings, settings) if settings else SynthesisSettings()
    found = calibration.calibrate(
        seed=seed,
        seconds=minutes * 60,
        search_count=count,
        report_count=report_count,
        synthesis=synthesis,
        on_improvement=lambda score, _: say(f"score {score:.5f}"),
    )
    say(f"{found.tried} settings tried; on {report_count} fresh faces:")
    say(f"{'enhancer':<12}{'published':>11}{'mean':>9}{'off by':>9}{'published std':>15}{'std':>9}")
    for row in found.report:
        means = f"{row.published_mean:>11.4f}{row.mean:>9.4f}{row.deviation:>+9.1%}"
        numbers = f"{means}{row.published_std:>15.4f}{row.std:>9.4f}"
        say(f"{row.enhancer:<12}{numbers}{'' if row.within_tolerance else '  off'}")
    say("in the published order" if calibration.in_published_order(found.report) else "not in the published order")
    if output:
        save_yaml(replace(synthesis, degradation=found.degradation), output, overwrite=overwrite)
        say(str(output))
    return 0
