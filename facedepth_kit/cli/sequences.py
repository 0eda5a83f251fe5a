"""``facedepth simulate-pair``, ``align`` and ``fuse``: two depth cameras that record the same person (second paper)."""

from __future__ import annotations

from pathlib import Path

import click

from facedepth_kit.cli.options import (
    ANGLE_DEG,
    EXISTING_FOLDER,
    LENGTH_MM,
    PATH,
    SEED,
    SMALL_COUNT,
    TIME,
    refuse_existing,
    weights_folder,
)
from facedepth_kit.cli.terminal import complain, say

ALIGNMENT = "alignment.json"


@click.command("simulate-pair")
@click.argument("output", type=PATH)
@click.option("--seed", type=SEED, default=0, metavar="N", help="The same seed gives the same recording (default: 0).")
@click.option("--person", type=SEED, default=0, metavar="N", help="Who is recorded; the room is this modulo 6.")
@click.option("--seconds", type=TIME, default=30.0, metavar="S", help="How long (default: 30, as in the paper).")
@click.option("--fps", type=SMALL_COUNT, default=30, metavar="N", help="Frames a second of both cameras (default: 30).")
@click.option("--chair", type=ANGLE_DEG, metavar="DEG", help="The person is only turned by so much, as on a chair.")
@click.option("--overwrite", is_flag=True, help="Replace a recording.")
def simulate_pair(
    output: Path, seed: int, person: int, seconds: float, fps: int, chair: float | None, overwrite: bool
) -> int:
    """Simulate a person recorded by two unsynchronised depth cameras.

    OUTPUT gets the folders lower and higher, one for each camera, and truth, which only scoring may read.
    """
    from facedepth_kit.cameras.simulated.paired_recordings import PairSettings
    from facedepth_kit.cameras.simulated.paired_recordings import simulate_pair as simulate

    settings = PairSettings(seconds=seconds, lower_fps=fps, higher_fps=fps, chair_turn_deg=chair)
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
        f"{found.moving} of them moving, {found.distance_px:.2f} px apart at the median"
    )
    return 0


@click.command()
@click.argument("recording", type=PATH)
@click.argument("output", type=PATH, metavar="SURFACE")
@click.option("--frames", type=SMALL_COUNT, default=7, metavar="N", help="Picked evenly (default: 7, as in the paper).")
@click.option("--farthest-mm", type=LENGTH_MM, metavar="MM", help="What lies beyond is background.")
@click.option("--voxel-mm", type=LENGTH_MM, default=8.0, metavar="MM", help="The volume's step (default: 8).")
@click.option("--reference", type=PATH, metavar="MESH", help="Print the mean distance to that surface.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier surface.")
def fuse(
    recording: Path,
    output: Path,
    frames: int,
    farthest_mm: float | None,
    voxel_mm: float,
    reference: Path | None,
    overwrite: bool,
) -> int:
    """Fuse depth frames of someone who turns into one SURFACE (PLY or OBJ): KinectFusion.

    RECORDING is raw or came from an enhancer. In a simulated pair the true mask cuts the person out. The exit code is 1
    when some of the frames could not be tracked.
    """
    from facedepth_kit.rendering.mesh import read_mesh, write_mesh
    from facedepth_kit.sequences.fusion import FusionSettings, distances_mm, person_depths
    from facedepth_kit.sequences.fusion import fuse as fused_from

    refuse_existing(output, overwrite)
    known = None if reference is None else read_mesh(reference)
    depths, camera = person_depths(recording, frames, farthest_mm=farthest_mm)
    truncation_mm = max(FusionSettings.truncation_mm, 4 * voxel_mm)
    fused = fused_from(depths, camera, FusionSettings(frames, voxel_mm, truncation_mm))
    write_mesh(output, fused.surface, overwrite=overwrite)
    away = ""
    if known is not None:
        away = f"; {distances_mm(fused.surface.vertices_mm, known).mean():.1f} mm from {reference} on average"
    say(f"{output}: {len(fused.surface.triangles)} triangles from {fused.tracked} of {len(depths)} frames{away}")
    return 0 if fused.tracked == len(depths) else 1


@click.command()
@click.argument("recording", type=EXISTING_FOLDER)
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Folder for the results.")
@click.option("--denoiser", metavar="NAME", default="M1", help="M1: each frame alone (default); M2: with memory.")
@weights_folder
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
def denoise(recording: Path, output: Path, denoiser: str, overwrite: bool) -> int:
    """Denoise the person in a recording, such as PAIR/lower: NNNN_depth.png with NNNN_color.png.

    The person is found by depth: the nearest surface in the middle. What is not the person stays as it was.
    """
    from facedepth_kit.enhancers.files import FileReport, denoise_files
    from facedepth_kit.sequences.denoisers import load_denoiser

    def show(report: FileReport) -> None:
        if report.error is not None:
            complain(report.error)
        else:
            say(f"{report.output}: {report.face_pixels} pixels of a person")

    reports = denoise_files(recording, output, load_denoiser(denoiser), overwrite=overwrite, on_report=show)
    failed = sum(not report.ok for report in reports)
    say(f"{len(reports) - failed} of {len(reports)} frames denoised with {denoiser}")
    return 2 if failed else 0
