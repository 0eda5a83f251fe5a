"""``facedepth evaluate``, ``punch``, ``evaluate-recordings`` and ``bodies``: measures, as tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from facedepth_kit.cli.options import (
    COUNT,
    EXISTING_FOLDER,
    PATH,
    SEED,
    SMALL_COUNT,
    UNIT_MM,
    chosen_enhancers,
    csv_output,
    overwrite_file,
    pair_store,
    refuse_existing,
    weights_folder,
)
from facedepth_kit.cli.terminal import say
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.tables import write_table

HOLES_SEED = click.option("--seed", type=SEED, default=0, metavar="N", help="Decides the punched holes (default: 0).")
IMAGE_SUFFIX = click.option(
    "--image-suffix", metavar="SUFFIX", help="The picture beside each depth image (default: _color, else _infrared)."
)
RECORDED_UNIT = click.option(
    "--unit-mm", type=UNIT_MM, metavar="MM", help="Millimetres a step (default: as recorded, or 1)."
)
# Columns of evaluate-recordings on the terminal: a heading, how the number is written, and what it says.
SHOWN = {
    "roughness": ("rough %", "{:.2f}", "roughness of the surface, Table V"),
    "holes": ("holes %", "{:.2f}", "holes inside the landmarks' hull, Table V"),
    "noise_mm": ("noise mm", "{:.2f}", "the same kernel on measured pixels alone"),
    "changed": ("changed %", "{:.2f}", "falsification: mean change of measured depth, Table VI"),
    "moved_20mm_share": ("moved 20mm", "{:.3%}", "measured pixels that moved by more than 20 mm"),
    "landmark_holes": ("landmarks", "{:.3f}", "share of the 68 landmarks in holes"),
    "pad_error": ("PAD error", "{:.3f}", "share of landmarks that break a geometric rule, Table VII"),
    "nose_mm": ("nose mm", "{:.1f}", "how far the nose stands out of the surface through the other landmarks"),
    "plausible": ("plausible", "{:.0%}", "frames whose nose is neither flat nor too deep"),
    "punched_filled": ("filled", "{:.0%}", "share of the punched holes' pixels that were filled"),
    "punched_rmse_mm": ("RMSE mm", "{:.2f}", "error at punched holes, over the pixels that all fill"),
    "punched_median_frame_mm": ("median mm", "{:.2f}", "the same, of the median frame"),
}
WORDS = ("before", "after", "bilateral")


@click.command()
@pair_store
@chosen_enhancers
@weights_folder
@click.option("--count", type=COUNT, metavar="N", help="Only the first N pairs.")
@click.option("--parts", type=PATH, metavar="DIR", help="Keep finished parts there, so that a killed run goes on.")
@click.option("--workers", type=SMALL_COUNT, default=1, metavar="N", help="Processes (default: 1).")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask scheduler such as tcp://host:8786, in place of processes.")
@click.option("--cards", is_flag=True, help="Write each network's numbers into its model card, too.")
@csv_output
@overwrite_file
def evaluate(
    pairs: Path,
    enhancers: tuple[str, ...],
    count: int | None,
    parts: Path | None,
    workers: int,
    scheduler: str | None,
    cards: bool,
    output: Path | None,
    overwrite: bool,
) -> int:
    """Measure the errors of enhancers on pairs, as in Table IV."""
    from contextlib import ExitStack
    from tempfile import TemporaryDirectory

    from facedepth_kit.common.jobs import cluster
    from facedepth_kit.enhancers import get, offered
    from facedepth_kit.evaluation.error import evaluate_parts, write_into_cards
    from facedepth_kit.pairs.store import PairStore

    refuse_existing(output, overwrite)
    if scheduler and parts is None:
        raise KitError("--scheduler: found no --parts, expected a folder that every worker sees")
    names = [get(name).name for name in enhancers or offered()]
    with ExitStack() as stack:
        executor, workers = stack.enter_context(cluster(scheduler)) if scheduler else (None, workers)
        folder = parts or Path(stack.enter_context(TemporaryDirectory()))
        found = evaluate_parts(folder, pairs, names, count=count, workers=workers, executor=executor)
        areas = found.summaries("face"), found.summaries("image")
    if cards:
        write_into_cards(PairStore(pairs), *areas)
    columns = ["enhancer", "mean", "std", "skewness", "excess_kurtosis", "full image", "pairs"]
    rows = []
    say(f"{columns[0]:<26}" + "".join(f"{column:>17}" for column in columns[1:]))
    for name in names:
        face, image = (area[name] for area in areas)
        numbers = (face.mean, face.std, face.skewness, face.excess_kurtosis, image.mean)
        say(f"{name:<26}" + "".join(f"{number:>17.4f}" for number in numbers) + f"{face.count:>17}")
        rows.append(dict(zip(columns, (name, *numbers, face.count), strict=True)))
    legend = (
        "RMSE on depth scaled to 0..1: over the face, its moments over the pairs as in Table IV; full image: its mean"
    )
    say(legend, error=True)
    if output is not None:
        write_table(output, rows, overwrite=overwrite)
    return 0


@click.command()
@click.argument("folder", type=PATH)
@IMAGE_SUFFIX
@RECORDED_UNIT
@chosen_enhancers
@weights_folder
@HOLES_SEED
@csv_output
@overwrite_file
def punch(
    folder: Path,
    image_suffix: str | None,
    unit_mm: float | None,
    enhancers: tuple[str, ...],
    seed: int,
    output: Path | None,
    overwrite: bool,
) -> int:
    """Measure errors at holes punched into recordings of your own, with an aligned picture each.

    FOLDER holds recordings, or is an NPY stack of frames.
    """
    import numpy as np

    from facedepth_kit.cameras.recorded.sources import open_recordings
    from facedepth_kit.enhancers import offered
    from facedepth_kit.enhancers.frames import recording_enhancer
    from facedepth_kit.evaluation.punched import evaluate_punched
    from facedepth_kit.evaluation.recordings import faces_in

    refuse_existing(output, overwrite)
    chosen = {name: recording_enhancer(name) for name in enhancers or offered()}
    recordings = open_recordings(folder, unit_mm=unit_mm, image_suffix=image_suffix)
    faces = ((frame, face) for frame, face, _ in faces_in(recordings, []))
    rows = evaluate_punched(faces, chosen, np.random.default_rng(seed))
    if not rows or not rows[0].frames:
        raise KitError(f"{folder}: found no frame with a face, expected depth with an aligned picture each")
    say(f"{rows[0].frames} frames, {rows[0].pixels} pixels")
    say(f"{'enhancer':<26}{'filled':>9}{'RMSE mm':>10}{'median mm':>17}")
    for row in rows:
        say(f"{row.enhancer:<26}{row.filled:>9.1%}{row.common_rmse_mm:>10.2f}{row.median_frame_rmse_mm:>17.2f}")
    for key in ("punched_filled", "punched_rmse_mm", "punched_median_frame_mm"):
        heading, _, meaning = SHOWN[key]
        say(f"  {heading:<11}{meaning}")
    if output is not None:
        columns = {"common_rmse_mm": "rmse_mm", "median_frame_rmse_mm": "median_frame_rmse_mm"}
        shown = [
            {key: getattr(row, key) for key in ("enhancer", "frames", "pixels", "filled")}
            | {title: getattr(row, key) for key, title in columns.items()}
            for row in rows
        ]
        write_table(output, shown, overwrite=overwrite)
    return 0


@click.command("evaluate-recordings")
@click.argument("folder", type=PATH, required=False)
@IMAGE_SUFFIX
@RECORDED_UNIT
@chosen_enhancers
@weights_folder
@click.option("--every", type=COUNT, default=1, metavar="N", help="Every Nth frame only.")
@click.option("--no-punch", is_flag=True, help="Leave out the errors at punched holes (half the time).")
@HOLES_SEED
@click.option("--output", type=PATH, metavar="CSV", help="Write the table there; numbers only, no pictures.")
@click.option("--decisions", type=PATH, metavar="CSV", help="Write APCER and BPCER there (recordings with attacks).")
@click.option("--frames", type=COUNT, default=1, metavar="N", help="Frames of each video of an attack data set.")
@click.option("--bright-is-near", is_flag=True, help="In attack data sets of grey levels, bright is near.")
@overwrite_file
def evaluate_recordings(
    folder: Path | None,
    image_suffix: str | None,
    unit_mm: float | None,
    enhancers: tuple[str, ...],
    every: int,
    no_punch: bool,
    seed: int,
    output: Path | None,
    decisions: Path | None,
    frames: int,
    bright_is_near: bool,
    overwrite: bool,
) -> int:
    """Measure recordings of your own as the tables do: surface, landmarks, attack detection, punched holes.

    FOLDER holds recordings (default: the data folder, FACEDEPTH_DATA), or KinectFaceDB, 3DMAD, WMCA, CASIA-SURF or CeFA
    as they unpack; or is an NPY stack of frames. Where attacks are among them, a second table has APCER, BPCER and
    D-EER of each enhancer.
    """
    from itertools import islice

    import numpy as np
    from tqdm.auto import tqdm

    from facedepth_kit.cameras.recorded.sources import open_recordings
    from facedepth_kit.common.paths import data_dir
    from facedepth_kit.enhancers import offered
    from facedepth_kit.evaluation import recordings as measures
    from facedepth_kit.evaluation.decision_tables import recordings_decisions

    refuse_existing(output, overwrite)
    refuse_existing(decisions, overwrite)
    recordings = open_recordings(
        folder or data_dir(),
        unit_mm=unit_mm,
        image_suffix=image_suffix,
        frames=frames,
        bright_is_near=bright_is_near,
    )
    shown_frames = islice(recordings, 0, None, every)
    bar = tqdm(shown_frames, total=-(-len(recordings) // every), unit="frame", leave=False)
    rng = None if no_punch else np.random.default_rng(seed)
    report = measures.evaluate_recordings(bar, list(enhancers) or offered(), rng=rng)
    rows = measures.summary_rows(report.measures, report.punched, report.moved)
    left = f", {len(report.left_out)} left out" if report.left_out else ""
    say(f"{rows[0]['frames']} frames with a face{left}{'; simulated' if report.simulated else ''}")
    shown = {key: value for key, value in SHOWN.items() if any(key in row for row in rows)}
    say(f"{'enhancer':<24}" + "".join(f"{head:>11}" for head, _, _ in shown.values()))
    for row in rows:
        say(f"{row['enhancer']:<24}" + "".join(f"{style.format(row[key]):>11}" for key, (_, style, _) in shown.items()))
    for head, _, meaning in shown.values():
        say(f"  {head:<11}{meaning}")
    if output is not None:
        write_table(output, rows, significant=5, overwrite=overwrite)
    metric = getattr(recordings, "metric", True)
    if not metric:
        say("depth is 8-bit grey levels, not metric: what is given in mm is in grey levels", error=True)
    lines = recordings_decisions(report, [row["enhancer"] for row in rows], metric=metric)
    _say_decisions(lines)
    if decisions is not None:
        if not lines:
            raise KitError("--decisions: found no attacks among the recordings, expected bona fide faces and attacks")
        write_table(decisions, lines, significant=5, overwrite=overwrite)
    problems = [f"{entry.name}: {entry.reason}" for entry in report.left_out] + list(recordings.damaged)
    for problem in problems:
        say(problem, error=True)
    return 1 if problems else 0


def _say_decisions(lines: list[dict[str, Any]]) -> None:
    """The rates that need no threshold, a line for each check and enhancer, with the counts above."""
    from facedepth_kit.evaluation.decision_tables import APCER_LIMITS, WORST, at_apcer, at_bpcer

    worst = [line for line in lines if line["presentation"] == WORST]
    if not worst:
        return
    counts = {line["presentation"]: line["presentations"] for line in lines if line["presentation"] != WORST}
    say("presentations: " + ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in counts.items()))
    columns = {at_bpcer(): "APCER at BPCER 5%", "d_eer": "D-EER"}
    columns |= {at_apcer(limit): f"BPCER at APCER {limit:.0%}" for limit in APCER_LIMITS}
    say(f"{'check':<22}{'enhancer':<26}" + "".join(f"{head:>20}" for head in columns.values()))
    for line in worst:
        say(f"{line['check']:<22}{line['enhancer']:<26}" + "".join(f"{line[key]:>20.1%}" for key in columns))
    say("APCER is that of the worst species: the one that is accepted most often")


@click.command()
@click.argument("folder", type=EXISTING_FOLDER)
@click.option("--checkpoint", type=PATH, metavar="PREFIX", help="DDRNet's own checkpoint (default: as found).")
@click.option("--output", type=PATH, metavar="CSV", help="Write the distances of every frame.")
@overwrite_file
def bodies(folder: Path, checkpoint: Path | None, output: Path | None, overwrite: bool) -> int:
    """Try DDRNet-dn on frames of people: distances to the fused frames before and after.

    FOLDER holds depth_map, high_quality_depth and mask (DDRNet's data set).
    """
    from facedepth_kit.enhancers.ddrnet import load_denoiser
    from facedepth_kit.evaluation.bodies import bilateral, compare, read_body_pairs

    refuse_existing(output, overwrite)
    denoiser = load_denoiser(checkpoint)
    weights = denoiser.source.name if denoiser.source else "stand-in"
    compared = compare(read_body_pairs(folder), {"after": denoiser, "bilateral": bilateral})
    rows = [{**row, "weights": weights} for row in compared]
    if output is not None:
        write_table(output, rows, significant=5, overwrite=overwrite)
    say(f"means of {len(rows)} frames; after: DDRNet-dn ({weights}); bilateral: a filter that has learnt nothing")
    for key in ("mae_mm", "rmse_mm", "median_mm", "inside_mae_mm"):
        means = {word: sum(float(row[f"{key}_{word}"]) for row in rows) / len(rows) for word in WORDS}
        say(f"{key:<14}" + "".join(f"{mean:8.3f} {word}" for word, mean in means.items()))
    return 0
