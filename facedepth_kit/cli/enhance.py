"""``facedepth enhance`` and ``facedepth enhancers``: depth images of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from facedepth_kit.cli.options import PATH, PIXEL, SEED, SMALL_COUNT, UNIT_MM, refuse_both, weights_folder
from facedepth_kit.cli.terminal import complain, say


@click.command("enhancers")
@weights_folder
def list_enhancers() -> int:
    """List the enhancers by name, with what those that cannot run lack."""
    from facedepth_kit.enhancers import get, names, offered

    able = offered()
    for name in dict.fromkeys([*names(), *able]):
        enhancer = get(name)
        missing = "no weights" if enhancer.kind == "learned" else "no RealSense SDK"
        say(f"{name:<26} {enhancer.description}{'' if name in able else f' [{missing} found]'}")
    return 0


@click.command()
@click.argument("name", metavar="NAME")
@weights_folder
@click.option("--images", type=SMALL_COUNT, default=32, metavar="N", help="Compare on so many (default: 32).")
@click.option("--seed", type=SEED, default=2023, metavar="N", help="Decides these images (default: 2023).")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
def export(name: str, images: int, seed: int, overwrite: bool) -> int:
    """Export a small network, such as DL-Kit-2, to OpenVINO, which enhance and live then use.

    The error against TensorFlow in float32, and the CPU time of both, are measured on simulated degraded faces.
    """
    import numpy as np

    from facedepth_kit.depth import CAMERA_SPAN_MM, to_unit
    from facedepth_kit.networks import fast
    from facedepth_kit.pairs.store import SynthesisSettings, make_pair

    degraded = [make_pair(seed, index, SynthesisSettings()).degraded[0] for index in range(images)]
    about = fast.export(name, to_unit(np.stack(degraded))[..., None], overwrite=overwrite)
    mean_mm, largest_mm = (CAMERA_SPAN_MM * about[f"depth_error_{which}"] for which in ("mean", "max"))
    say(f"{fast.export_folder(name)}: error of 25 cm {mean_mm:.3f} mm, at most {largest_mm:.2f} mm")
    say(f"CPU time of a frame {about['fast_cpu_ms']:.1f} ms, TensorFlow {about['exact_cpu_ms']:.1f} ms")
    return 0


@click.command()
@click.argument("inputs", type=PATH, nargs=-1, required=True, metavar="INPUT...")
@click.option("--output", type=PATH, required=True, metavar="DIR", help="Folder for the results.")
@click.option("--enhancer", metavar="NAME", help="See facedepth enhancers (default: DL-Kit-1).")
@weights_folder
@click.option(
    "--unit-mm", type=UNIT_MM, metavar="MM", help="Millimetres a step; 0 is a hole (default: recording.json's, or 1)."
)
@click.option("--normalized", is_flag=True, help="Inputs are 256x256 in the kit's convention, hole 65535.")
@click.option(
    "--box",
    type=PIXEL,
    nargs=4,
    metavar="LEFT TOP RIGHT BOTTOM",
    help="The face in every file, in pixels, from hairline to chin.",
)
@click.option(
    "--image-suffix",
    metavar="SUFFIX",
    help="Find the face in the aligned picture of this ending, such as _infrared.png beside _depth.png.",
)
@click.option("--single", is_flag=True, help="Each frame alone, not after those before it in its recording.")
@click.option("--preview", is_flag=True, help="Write a picture of each face before and after, too: *_preview.png.")
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
def enhance(
    inputs: tuple[Path, ...],
    output: Path,
    enhancer: str | None,
    unit_mm: float | None,
    normalized: bool,
    box: tuple[int, int, int, int] | None,
    image_suffix: str | None,
    single: bool,
    preview: bool,
    overwrite: bool,
) -> int:
    """Enhance the faces in depth recordings of your own.

    INPUT is a 16-bit PNG or TIFF, an NPY (16 bits or floats, one frame or a stack), a folder of them, a .bag or .db3,
    or KinectFaceDB.
    """
    from facedepth_kit.enhancers.files import EnhanceSettings, FileReport, enhance_files
    from facedepth_kit.enhancers.frames import DEFAULT_ENHANCER

    refuse_both("--normalized", normalized, "--unit-mm", unit_mm)
    refuse_both("--image-suffix", image_suffix, "--box", box)
    said: set[str] = set()

    def show(report: FileReport) -> None:
        if report.assumed and report.assumed not in said:
            said.add(report.assumed)
            say(f"as recorded: {report.assumed}")
        if report.error is not None:
            complain(report.error)
            return
        holes = f"{report.holes_before} holes before, {report.holes_after} after"
        hint = f" ({report.hint})" if report.hint else ""
        say(f"{report.output}: {holes if report.face_pixels else 'no face pixels'}{hint}")

    settings = EnhanceSettings(
        output=output,
        enhancer=enhancer or DEFAULT_ENHANCER,
        unit_mm=unit_mm,
        normalized=normalized,
        box=box,
        image_suffix=image_suffix,
        overwrite=overwrite,
        single=single,
    )
    reports = enhance_files(list(inputs), settings, on_report=show, on_crop=_preview(overwrite) if preview else None)
    failed = sum(not report.ok for report in reports)
    if len(reports) > 1:
        say(f"{len(reports) - failed} of {len(reports)} files enhanced with {settings.enhancer}")
    return 2 if failed else 0


def _preview(overwrite: bool) -> Callable[[Path, Any, Any, Any], None]:
    """Writes a picture beside each result: the face's depth before and after, in the same colours."""
    import cv2
    import numpy as np

    from facedepth_kit.common.paths import write_atomically
    from facedepth_kit.plots.colours import colourize

    def write(output: Path, before: Any, after: Any, depth_range: Any) -> None:
        picture = np.concatenate([colourize(depth, depth_range) for depth in (before, after)], axis=1)
        encoded = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))[1]
        with write_atomically(output.with_name(f"{output.stem}_preview.png"), overwrite) as temporary:
            temporary.write_bytes(encoded.tobytes())

    return write
