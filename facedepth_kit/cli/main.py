"""The ``facedepth`` command: arguments in, one call into the package, results printed.

A subcommand is a pair of functions: one that adds its arguments, one that runs it and returns the exit code. Both stand
in :data:`COMMANDS`. Heavy imports belong into the second, so that ``facedepth --help`` answers at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from facedepth_kit import __version__
from facedepth_kit.cli import cameras, ddrnet, evaluate_recordings, photos
from facedepth_kit.common.errors import KitError

BAD_INPUT = 2
INTERRUPTED = 130


class _Help(argparse.HelpFormatter):
    """Help with names and texts side by side; argparse itself forgets that subcommands are indented."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)
        self._action_max_length = 23


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is a ``--help`` away."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Help, **options)

    def error(self, message: str) -> NoReturn:
        raise KitError(f"{message} (see {self.prog} --help)")


def _count(text: str) -> int:
    """An argument that must be a whole number above 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number above 0")
    return number


def _length(text: str) -> float:
    """An argument that must be a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number above 0")
    return number


def _refuse_existing(output: Path | None, overwrite: bool) -> None:
    """Say before the work, not after it, that its result has no place."""
    if output is not None and output.exists() and not overwrite:
        raise KitError(f"{output}: found a file that is already there, expected a new one (--overwrite replaces it)")


# --- doctor ---------------------------------------------------------------------------------------------------------


def _doctor(arguments: argparse.Namespace) -> int:
    from facedepth_kit.cli import doctor

    findings = []
    topic = ""
    for finding in doctor.examine():
        if finding.topic != topic:
            topic = finding.topic
            print(topic, flush=True)
        print(f"  {doctor.SIGNS[finding.state]:<8} {finding.text}", flush=True)
        findings.append(finding)
    print()
    for line in doctor.advice(findings):
        print(line)
    return 1 if any(finding.state == "broken" for finding in findings) else 0


# --- pairs and training ---------------------------------------------------------------------------------------------


def _add_synthesize(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--count", type=_count, metavar="N", help="how many pairs the store shall hold (photos: at most)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the pair store")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same pairs (default: 0)")
    parser.add_argument(
        "--faces",
        nargs="+",
        default=["parametric"],
        metavar="WHICH",
        help="where the 3D faces come from: parametric (default), or photos DIR",
    )
    parser.add_argument("--settings", type=Path, metavar="YAML", help="settings of faces, degradation and images")
    parser.add_argument("--workers", type=_count, metavar="N", help="processes (default: one a core)")
    parser.add_argument(
        "--hole-values",
        choices=["keep", "random", "blurred", "mixed"],
        help="what stands in holes: 65535, noise, blurred noise, or one image of each (default: the settings', keep)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a store with other settings")
    photos.add_synthesize_arguments(parser)


def _synthesize(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml
    from facedepth_kit.pairs.store import MIXED, SynthesisSettings, synthesize

    settings = load_yaml(SynthesisSettings, arguments.settings) if arguments.settings else SynthesisSettings()
    if arguments.hole_values:
        settings = replace(
            settings, hole_values=MIXED if arguments.hole_values == "mixed" else (arguments.hole_values,)
        )
    folder = photos.photo_folder(arguments.faces)
    if folder is not None:
        return photos.synthesize(arguments, folder, settings)
    if arguments.count is None:
        raise KitError(
            "--count: found none, expected how many pairs of parametric faces (see facedepth synthesize --help)"
        )
    store = synthesize(
        arguments.output,
        arguments.count,
        seed=arguments.seed,
        settings=settings,
        workers=arguments.workers,
        overwrite=arguments.overwrite,
    )
    print(f"{arguments.output}: {len(store)} pairs")
    return 0


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=_length, default=30.0, metavar="T", help="time for the search (default: 30)")
    parser.add_argument("--count", type=_count, default=40, metavar="N", help="faces to search on (default: 40)")
    parser.add_argument(
        "--report-count", type=_count, default=2000, metavar="N", help="fresh faces to report on (2000)"
    )
    parser.add_argument(
        "--settings", type=Path, metavar="YAML", help="settings to start from (default: the found ones)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="YAML", help="write the settings found, for synthesize --settings"
    )
    parser.add_argument("--seed", type=int, default=0, help="decides the faces and the search (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace the output")


def _calibrate(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml, save_yaml
    from facedepth_kit.evaluation.calibration import calibrate, in_published_order
    from facedepth_kit.pairs.store import SynthesisSettings

    _refuse_existing(arguments.output, arguments.overwrite)
    synthesis = load_yaml(SynthesisSettings, arguments.settings) if arguments.settings else SynthesisSettings()
    found = calibrate(
        seed=arguments.seed,
        seconds=arguments.minutes * 60,
        search_count=arguments.count,
        report_count=arguments.report_count,
        synthesis=synthesis,
        on_improvement=lambda score, settings: print(f"score {score:.5f}", flush=True),
    )
    print(f"{found.tried} settings tried; on {arguments.report_count} fresh faces:")
    print(f"{'enhancer':<12}{'published':>11}{'mean':>9}{'off by':>9}{'published std':>15}{'std':>9}")
    for row in found.report:
        means = f"{row.published_mean:>11.4f}{row.mean:>9.4f}{row.deviation:>+9.1%}"
        numbers = f"{means}{row.published_std:>15.4f}{row.std:>9.4f}"
        print(f"{row.enhancer:<12}{numbers}{'' if row.within_tolerance else '  off'}")
    print("in the published order" if in_published_order(found.report) else "not in the published order")
    if arguments.output:
        save_yaml(replace(synthesis, degradation=found.degradation), arguments.output, overwrite=arguments.overwrite)
        print(arguments.output)
    return 0


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR", help="pair store (facedepth synthesize)")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the run; again to resume")
    parser.add_argument("--settings", type=Path, metavar="YAML", help="settings of the run; the options below win")
    parser.add_argument("--name", help="name of the weights, such as DL-Delta-1")
    parser.add_argument("--size", metavar="NETWORK", help="DL-Alpha, DL-Beta, DL-Gamma or DL-Delta")
    parser.add_argument("--chunks", type=_count, metavar="N", help="parts that the pairs are trained in, one by one")
    parser.add_argument("--epochs", type=_count, metavar="N", help="passes over each chunk")
    parser.add_argument("--batch", type=_count, metavar="N", help="images a step")
    parser.add_argument("--seed", type=int, help="decides initial weights and order")
    parser.add_argument("--stop-after-minutes", type=_length, metavar="T", help="stop behind the epoch that passes T")
    parser.add_argument("--export", type=Path, metavar="DIR", help="at the end, write weights and model card there")
    parser.add_argument("--overwrite", action="store_true", help="replace exported weights of the same name")


def _train(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from facedepth_kit.common.settings import load_yaml
    from facedepth_kit.networks.trainer import TrainingSettings, export, train
    from facedepth_kit.pairs.store import PairStore

    settings = load_yaml(TrainingSettings, arguments.settings) if arguments.settings else TrainingSettings()
    options = ("name", "size", "chunks", "epochs", "batch", "seed")
    given = {name: getattr(arguments, name) for name in options if getattr(arguments, name) is not None}
    settings = replace(settings, **given)
    store = PairStore(arguments.pairs)
    minutes = arguments.stop_after_minutes
    progress = train(store, arguments.output, settings, stop_after_s=None if minutes is None else minutes * 60)
    total = settings.chunks * settings.epochs
    loss = f", loss {progress.losses[-1]:.5f}" if progress.losses else ""
    print(f"{arguments.output}: {progress.epoch} of {total} epochs, {progress.steps} steps{loss}")
    if arguments.export:
        print(export(store, arguments.output, settings, arguments.export, overwrite=arguments.overwrite))
    return 0


# --- enhancers ------------------------------------------------------------------------------------------------------


def _enhancers(arguments: argparse.Namespace) -> int:
    from facedepth_kit.enhancers import available, get, names

    able = available()
    for name in names():
        enhancer = get(name)
        missing = "no weights" if enhancer.kind == "learned" else "no RealSense SDK"
        print(f"{name:<26} {enhancer.description}{'' if name in able else f' [{missing} found]'}")
    return 0


def _add_enhance(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="16-bit PNG or TIFF, NPY, folders of them, .bag or .db3, KinectFaceDB",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--enhancer", metavar="NAME", help="see facedepth enhancers (default: DL-Kit-1)")
    unit = parser.add_mutually_exclusive_group()
    unit.add_argument(
        "--unit-mm",
        type=_length,
        metavar="MM",
        help="millimetres a step; 0 is a hole (default: recording.json's, or 1)",
    )
    unit.add_argument(
        "--normalized", action="store_true", help="inputs are 256x256 in the kit's convention, hole 65535"
    )
    face = parser.add_mutually_exclusive_group()
    face.add_argument(
        "--box",
        type=int,
        nargs=4,
        metavar=("LEFT", "TOP", "RIGHT", "BOTTOM"),
        help="the face in every file, in pixels, from hairline to chin",
    )
    face.add_argument(
        "--image-suffix",
        metavar="SUFFIX",
        help="find the face in the aligned picture of this ending, such as _infrared.png beside _depth.png",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results")


def _enhance(arguments: argparse.Namespace) -> int:
    from facedepth_kit.enhancers.on_files import DEFAULT_ENHANCER, EnhanceSettings, FileReport, enhance_files

    said: set[str] = set()

    def show(report: FileReport) -> None:
        if report.assumed and report.assumed not in said:
            said.add(report.assumed)
            print(f"as recorded: {report.assumed}", flush=True)
        if report.error is not None:
            _complain(report.error)
            return
        holes = (
            f"{report.holes_before} holes before, {report.holes_after} after"
            if report.face_pixels
            else "no face pixels"
        )
        print(f"{report.output}: {holes}{f' ({report.hint})' if report.hint else ''}", flush=True)

    settings = EnhanceSettings(
        output=arguments.output,
        enhancer=arguments.enhancer or DEFAULT_ENHANCER,
        unit_mm=arguments.unit_mm,
        normalized=arguments.normalized,
        box=tuple(arguments.box) if arguments.box else None,
        image_suffix=arguments.image_suffix,
        overwrite=arguments.overwrite,
    )
    reports = enhance_files(arguments.inputs, settings, on_report=show)
    failed = sum(not report.ok for report in reports)
    if len(reports) > 1:
        print(f"{len(reports) - failed} of {len(reports)} files enhanced with {settings.enhancer}")
    return BAD_INPUT if failed else 0


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR", help="pair store (facedepth synthesize)")
    parser.add_argument("--enhancer", action="append", metavar="NAME", help="repeat for more (default: all available)")
    parser.add_argument("--count", type=_count, metavar="N", help="only the first N pairs")
    parser.add_argument("--output", type=Path, metavar="CSV", help="write the table there, too")
    parser.add_argument("--overwrite", action="store_true", help="replace that file")


def _evaluate(arguments: argparse.Namespace) -> int:
    import csv

    from facedepth_kit.common.paths import write_atomically
    from facedepth_kit.enhancers import available, get
    from facedepth_kit.evaluation.error import evaluate, summary
    from facedepth_kit.pairs.store import PairStore

    output: Path | None = arguments.output
    _refuse_existing(output, arguments.overwrite)
    chosen = {name: get(name).enhance for name in arguments.enhancer or available()}
    errors = evaluate(PairStore(arguments.pairs), chosen, count=arguments.count)
    columns = ("enhancer", "mean", "std", "skewness", "excess_kurtosis", "pairs")
    rows = []
    print(f"{columns[0]:<26}" + "".join(f"{column:>17}" for column in columns[1:]))
    for name, values in errors.items():
        found = summary(values)
        numbers = (found.mean, found.std, found.skewness, found.excess_kurtosis)
        print(f"{name:<26}" + "".join(f"{number:>17.4f}" for number in numbers) + f"{found.count:>17}")
        rows.append([name, *(f"{number:.6f}" for number in numbers), found.count])
    if output is not None:
        with (
            write_atomically(output, overwrite=arguments.overwrite) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])
    return 0


def _add_punch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="recordings with an aligned picture each")
    parser.add_argument("--image-suffix", required=True, metavar="SUFFIX", help="such as _infrared.png or _color.png")
    parser.add_argument("--unit-mm", type=_length, default=1.0, metavar="MM", help="millimetres a step (1.0)")
    parser.add_argument("--enhancer", action="append", metavar="NAME", help="repeat for more (default: all available)")
    parser.add_argument("--seed", type=int, default=0, help="decides the holes (default: 0)")
    parser.add_argument("--output", type=Path, metavar="CSV", help="write the table there, too")
    parser.add_argument("--overwrite", action="store_true", help="replace that file")


def _punch(arguments: argparse.Namespace) -> int:
    import csv

    import numpy as np

    from facedepth_kit.common.paths import write_atomically
    from facedepth_kit.enhancers import available
    from facedepth_kit.enhancers.on_files import recording_enhancer
    from facedepth_kit.evaluation.punched import evaluate_punched, face_frames

    output: Path | None = arguments.output
    _refuse_existing(output, arguments.overwrite)
    chosen = {name: recording_enhancer(name) for name in arguments.enhancer or available()}
    frames = face_frames(arguments.folder, unit_mm=arguments.unit_mm, image_suffix=arguments.image_suffix)
    rows = evaluate_punched(frames, chosen, np.random.default_rng(arguments.seed))
    if not rows or not rows[0].frames:
        raise KitError(f"{arguments.folder}: found no frame with a face, expected depth with *{arguments.image_suffix}")
    print(f"{rows[0].frames} frames, {rows[0].pixels} pixels")
    print(f"{'enhancer':<26}{'filled':>9}{'RMSE mm':>10}{'median frame mm':>17}")
    for row in rows:
        print(f"{row.enhancer:<26}{row.filled:>9.1%}{row.common_rmse_mm:>10.2f}{row.median_frame_rmse_mm:>17.2f}")
    if output is not None:
        with (
            write_atomically(output, overwrite=arguments.overwrite) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["enhancer", "frames", "pixels", "filled", "rmse_mm", "median_frame_rmse_mm"])
            for row in rows:
                numbers = (f"{row.filled:.4f}", f"{row.common_rmse_mm:.3f}", f"{row.median_frame_rmse_mm:.3f}")
                writer.writerow([row.enhancer, row.frames, row.pixels, *numbers])
    return 0


# --- notebooks ------------------------------------------------------------------------------------------------------


def _add_figures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", metavar="NAME", help="smoke, laptop (the default) or paper")
    parser.add_argument("--only", metavar="NOTEBOOK", help="one notebook by name or number, with what it needs")
    parser.add_argument("--seed", type=int, help="another seed than the one of the published figures")


def _figures(arguments: argparse.Namespace) -> int:
    from facedepth_kit.pipeline import tasks

    seed = tasks.SEED if arguments.seed is None else arguments.seed
    return tasks.run(arguments.profile, seed=seed, only=arguments.only, report=lambda line: print(line, flush=True))


def _add_notebooks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 if one is not up to date")


def _notebooks(arguments: argparse.Namespace) -> int:
    from facedepth_kit.pipeline import stored_notebooks

    if not arguments.check:
        for path in stored_notebooks.write_notebooks():
            print(path)
        return 0
    problems = stored_notebooks.check_notebooks()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print("`make notebooks` writes the notebooks anew from their sources", file=sys.stderr)
        return 1
    print("the stored notebooks are clean and match their sources")
    return 0


# --- the command ----------------------------------------------------------------------------------------------------


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """For subcommands without arguments."""


@dataclass(frozen=True)
class Command:
    """A subcommand: its line in the help, its arguments, and what it does with them."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "doctor": Command("what is installed and found, and what is missing", _no_arguments, _doctor),
    "enhancers": Command("the enhancers by name", _no_arguments, _enhancers),
    "synthesize": Command("write pairs of ground truth and degraded depth images", _add_synthesize, _synthesize),
    "screen": Command(
        "sort out copies, large photos and deformed faces (Table I)", photos.add_screen_arguments, photos.screen
    ),
    "mesh": Command("the 3D faces of photos as PLY or OBJ", photos.add_mesh_arguments, photos.mesh),
    "calibrate": Command("search degradation settings that meet Table IV", _add_calibrate, _calibrate),
    "train": Command("train a network on such pairs", _add_train, _train),
    "train-ddrnet": Command("train DDRNet-dn's stand-in on simulated people", ddrnet.add_arguments, ddrnet.run),
    "bodies": Command("try DDRNet-dn on frames of people", ddrnet.add_bodies_arguments, ddrnet.run_bodies),
    "enhance": Command("enhance the faces in depth recordings of your own", _add_enhance, _enhance),
    "evaluate": Command("errors of enhancers on such pairs", _add_evaluate, _evaluate),
    "punch": Command("errors at holes punched into recordings of your own", _add_punch, _punch),
    "evaluate-recordings": Command(
        "the tables' measures on recordings of your own", evaluate_recordings.add_arguments, evaluate_recordings.run
    ),
    "record": Command("record from a RealSense camera", cameras.add_record_arguments, cameras.record),
    "live": Command("watch a camera: face, depth, attack or not", cameras.add_live_arguments, cameras.live),
    "figures": Command("run the notebooks, make every table and figure", _add_figures, _figures),
    "notebooks": Command("make the stored notebooks from their sources", _add_notebooks, _notebooks),
}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the ``facedepth`` command."""
    parser = _Parser(prog="facedepth", description="Enhancement of face depth images: the study kit's command.")
    parser.add_argument("--version", action="version", version=f"facedepth {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=command.help, description=f"{command.help[0].upper()}{command.help[1:]}."
        )
        command.add_arguments(subparser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 (done, but something is wrong), 2 (bad input), 130 (interrupted)."""
    from facedepth_kit.common.quiet import quiet_tensorflow

    quiet_tensorflow()
    try:
        code = _run(arguments)
        sys.stdout.flush()  # here, where a reader that has gone is caught
    except KitError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        print("facedepth: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _complain(_describe(error))
    except MemoryError:
        return _complain("out of memory")
    return code


def _run(arguments: Sequence[str] | None) -> int:
    try:
        parsed = build_parser().parse_args(arguments)
    except SystemExit as end:  # --help and --version
        return int(end.code or 0)
    return COMMANDS[parsed.command].run(parsed)


def _complain(message: str) -> int:
    print(f"facedepth: error: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT


def _describe(error: OSError) -> str:
    if error.strerror is None:
        # NumPy's word for a write that the disk cut short carries no number.
        return f"{error}{' (is the disk full?)' if 'requested and' in str(error) else ''}"
    return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
