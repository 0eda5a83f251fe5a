"""``facedepth simulate-pair`` and ``facedepth align``: two depth cameras that record the same person (second paper)."""

from __future__ import annotations

from pathlib import Path

import click

from facedepth_kit.cli.options import PATH, SEED, SMALL_COUNT, TIME, refuse_existing
from facedepth_kit.cli.terminal import say

ALIGNMENT = "alignment.json"


@click.command("simulate-pair")
@click.argument("output", type=PATH)
@click.option("--seed", type=SEED, default=0, metavar="N", help="The same seed gives the same recording (default: 0).")
@click.option("--person", type=SEED, default=0, metavar="N", help="Who is recorded; the room is this modulo 6.")
@click.option("--seconds", type=TIME, default=30.0, metavar="S", help="How long (default: 30, as in the paper).")
@click.option("--fps", type=SMALL_COUNT, default=30, metavar="N", help="Frames a second of both cameras (default: 30).")
@click.option("--overwrite", is_flag=True, help="Replace a recording.")
def simulate_pair(output: Path, seed: int, person: int, seconds: float, fps: int, overwrite: bool) -> int:
    """Simulate a person recorded by two unsynchronised depth cameras.

    OUTPUT gets the folders lower and higher, one for each camera, and truth, which only scoring may read.
    """
    from facedepth_kit.cameras.simulated.paired_recordings import PairSettings
    from facedepth_kit.cameras.simulated.paired_recordings import simulate_pair as simulate

    settings = PairSettings(seconds=seconds, lower_fps=fps, higher_fps=fps)
    simulate(output, seed=seed, number=person, settings=settings, overwrite=overwrite)
    say(f"{output}: simulated {seconds:g} s of person {person}")
    return 0


@click.command()
@click.argument("pair", type=PATH)
@click.option("--output", type=PATH, metavar="JSON", help=f"Where the result goes (default: PAIR/{ALIGNMENT}).")
@click.option("--overwrite", is_flag=True, help="Replace an earlier result.")
def align(pair: Path, output: Path | None, overwrite: bool) -> int:
    """Align the recordings PAIR/lower and PAIR/higher in time and space, without a calibration board."""
    from facedepth_kit.sequences.alignment import align as find
    from facedepth_kit.sequences.alignment import write_alignment
    from facedepth_kit.sequences.recordings import PairedRecording

    path = output or pair / ALIGNMENT
    refuse_existing(path, overwrite)
    found = find(PairedRecording(pair))
    write_alignment(path, found, overwrite=overwrite)
    say(
        f"{path}: clocks differ by {found.shift_ms:+.1f} ms; {found.matches} key points, "
        f"{found.distance_px:.2f} px apart at the median"
    )
    return 0
