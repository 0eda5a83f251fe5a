"""``facedepth evaluate-recordings``: surface, landmark, attack and punched-hole measures on recordings of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from facedepth_kit.common.errors import KitError

SHOWN = {
    "roughness": ("rough %", "{:.2f}"),
    "holes": ("holes %", "{:.2f}"),
    "noise_mm": ("noise mm", "{:.2f}"),
    "changed": ("changed %", "{:.2f}"),
    "landmark_holes": ("landmarks", "{:.3f}"),
    "pad_error": ("PAD error", "{:.3f}"),
    "nose_mm": ("nose mm", "{:.1f}"),
    "plausible": ("plausible", "{:.0%}"),
    "punched_filled": ("filled", "{:.0%}"),
    "punched_rmse_mm": ("RMSE mm", "{:.2f}"),
    "punched_median_frame_mm": ("median mm", "{:.2f}"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("folder", type=Path, nargs="?", help="recordings (default: the data folder, FACEDEPTH_DATA)")
    parser.add_argument("--unit-mm", type=float, metavar="MM", help="millimetres a step (default: as recorded, or 1.0)")
    parser.add_argument("--enhancer", action="append", metavar="NAME", help="repeat for more (default: all available)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth frame only")
    parser.add_argument("--no-punch", action="store_true", help="leave out the errors at punched holes (half the time)")
    parser.add_argument("--seed", type=int, default=0, help="decides the punched holes (default: 0)")
    parser.add_argument("--output", type=Path, metavar="CSV", help="write the table there; numbers only, no pictures")
    parser.add_argument("--overwrite", action="store_true", help="replace that file")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print a table, and write it if asked to; 1 when frames were left out."""
    import csv
    import sys
    from itertools import islice

    import numpy as np
    from tqdm.auto import tqdm

    from facedepth_kit import enhancers
    from facedepth_kit.cameras.recorded.sources import open_recordings
    from facedepth_kit.common.paths import data_dir, write_atomically
    from facedepth_kit.evaluation.recordings import evaluate_recordings, summary_rows

    output: Path | None = arguments.output
    if output is not None and output.exists() and not arguments.overwrite:
        raise KitError(f"{output}: found a file that is already there, expected a new one (--overwrite replaces it)")
    if arguments.every < 1:
        raise KitError(f"--every: found {arguments.every}, expected 1 or more")
    names = arguments.enhancer or enhancers.available()
    recordings = open_recordings(arguments.folder or data_dir(), unit_mm=arguments.unit_mm)
    total = -(-len(recordings) // arguments.every)
    frames = tqdm(islice(recordings, 0, None, arguments.every), total=total, unit="frame", leave=False)
    rng = None if arguments.no_punch else np.random.default_rng(arguments.seed)
    report = evaluate_recordings(frames, names, rng=rng)
    rows = summary_rows(report.measures, report.punched)
    left = f", {len(report.left_out)} left out" if report.left_out else ""
    print(f"{rows[0]['frames']} frames with a face{left}{'; simulated' if report.simulated else ''}")
    shown = {key: value for key, value in SHOWN.items() if any(key in row for row in rows)}
    print(f"{'enhancer':<24}" + "".join(f"{head:>11}" for head, _ in shown.values()))
    for row in rows:
        print(f"{row['enhancer']:<24}" + "".join(f"{style.format(row[key]):>11}" for key, (_, style) in shown.items()))
    if output is not None:
        with (
            write_atomically(output, overwrite=arguments.overwrite) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n", restval="")
            writer.writeheader()
            writer.writerows({key: f"{v:.5g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    problems = [f"{entry.name}: {entry.reason}" for entry in report.left_out] + list(recordings.damaged)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
