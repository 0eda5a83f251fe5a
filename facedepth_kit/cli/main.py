"""The ``facedepth`` command: its subcommands by name, and how errors and interrupts end."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import click

from facedepth_kit import __version__
from facedepth_kit.cli.terminal import complain, say
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.quiet import quiet_tensorflow

BAD_INPUT = 2
INTERRUPTED = 130

# Name: where the command is (module in this folder, function), and its line in the overview.
COMMANDS = {
    "doctor": ("doctor:doctor", "what is installed and found, and what is missing"),
    "enhancers": ("enhance:list_enhancers", "the enhancers by name"),
    "synthesize": ("synthesize:synthesize", "write pairs of ground truth and degraded depth images"),
    "screen": ("photos:screen", "sort out copies, large photos and deformed faces (Table I)"),
    "mesh": ("photos:mesh", "the 3D faces of photos as PLY or OBJ"),
    "calibrate": ("synthesize:calibrate", "search degradation settings that meet Table IV"),
    "train": ("train:train", "train a network on such pairs"),
    "train-ddrnet": ("train:train_ddrnet", "train DDRNet-dn's stand-in on simulated people"),
    "bodies": ("evaluate:bodies", "try DDRNet-dn on frames of people"),
    "enhance": ("enhance:enhance", "enhance the faces in depth recordings of your own"),
    "export": ("enhance:export", "a small network for OpenVINO, which enhance and live then use"),
    "evaluate": ("evaluate:evaluate", "errors of enhancers on such pairs"),
    "punch": ("evaluate:punch", "errors at holes punched into recordings of your own"),
    "evaluate-recordings": ("evaluate:evaluate_recordings", "the tables' measures on recordings of your own"),
    "record": ("cameras:record", "record from a RealSense camera"),
    "record-pair": ("cameras:record_pair", "record from two RealSense cameras at once"),
    "live": ("cameras:live", "watch a camera: face, depth, attack or not"),
    "simulate-pair": ("sequences:simulate_pair", "two depth cameras record one person (simulated)"),
    "align": ("sequences:align", "align two cameras' recordings in time and space"),
    "fuse": ("sequences:fuse", "a surface from frames of someone who turns (KinectFusion)"),
    "denoise": ("sequences:denoise", "remove the noise on people in a depth recording"),
    "figures": ("notebooks:figures", "run the notebooks, make every table and figure"),
    "notebooks": ("notebooks:notebooks", "make the stored notebooks from their sources"),
}


class Commands(click.Group):
    """A group whose commands are imported when they are called, so that the overview answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(f"facedepth_kit.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=Commands, no_args_is_help=False, context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="facedepth", message="%(prog)s %(version)s")
def facedepth() -> None:
    """Enhancement of face depth images: the study kit's command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 (done, but something is wrong), 2 (bad input), 130 (interrupted)."""
    quiet_tensorflow()
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()  # here, where a reader that has gone is caught
    except click.UsageError as error:
        complain(_one_line(error))
    except KitError as error:
        complain(str(error))
    except KeyboardInterrupt:
        say("facedepth: interrupted", error=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has gone; without this, Python complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        complain(_describe(error))
    except MemoryError:
        complain("out of memory")
    except ModuleNotFoundError as error:
        if (missing := _missing_extra(error)) is None:
            raise
        complain(missing)
    else:
        return code
    return BAD_INPUT


def _run(arguments: list[str]) -> int:
    if not arguments:
        raise KitError("COMMAND: found none, expected one (see facedepth --help)")
    # Not click's own main(): it prints a line of its own for an interrupt.
    try:
        with facedepth.make_context("facedepth", arguments) as context:
            return int(facedepth.invoke(context))
    except click.exceptions.Exit as end:  # --help and --version
        return end.exit_code


def _one_line(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx is not None else "facedepth"
    text = error.format_message().rstrip(".")
    if isinstance(error, click.BadParameter) and error.param is not None:
        name = error.param.get_error_hint(error.ctx).strip("'")
        missing = isinstance(error, click.MissingParameter)
        text = f"{name}: {f'found none, expected {error.param.metavar or name}' if missing else error.message}"
    return f"{text} (see {command} --help)"


def _missing_extra(error: ModuleNotFoundError) -> str | None:
    from facedepth_kit.cli.doctor import extra_with, installation

    extra = extra_with(error.name or "")
    if extra is None:
        return None
    return f"found no package {error.name}, expected the extra {extra}: {installation(extra)}"


def _describe(error: OSError) -> str:
    if error.strerror is None:
        # NumPy's word for a write that the disk cut short carries no number.
        return f"{error}{' (is the disk full?)' if 'requested and' in str(error) else ''}"
    return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
