"""What options have in common: their types, which refuse bad values at the door, and those that several commands share.

A new option takes one of the types below::

    @click.option("--count", type=COUNT, metavar="N", help="how many pairs")

A new command is a function decorated with :func:`click.command` that returns its exit code, and a line in
``main.COMMANDS``. What it needs from the package it imports inside, so that ``--help`` answers at once.
"""

from __future__ import annotations

import functools
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from facedepth_kit.common.errors import KitError

LONGEST = 60  # characters of a refused value that are repeated


class OptionType(click.ParamType):
    """A type whose error says what was found and what was expected."""

    name = "value"

    def refuse(
        self, found: object, expected: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> NoReturn:
        """Raise the error for a value."""
        text = str(found)
        self.fail(
            f"found {text if len(text) <= LONGEST else text[:LONGEST] + '...'!r}, expected {expected}", param, ctx
        )


class Whole(OptionType):
    """A whole number within bounds, both included."""

    name = "whole number"

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if not (re.fullmatch(r"[+-]?[0-9]{1,20}", value) and self.least <= int(value) <= self.most):
            self.refuse(value, f"a whole number from {self.least} to {self.most}", param, ctx)
        return int(value)


class Number(OptionType):
    """A finite number above 0."""

    name = "number"

    def __init__(self, most: float) -> None:
        self.most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 < number <= self.most:
            self.refuse(value, f"a number above 0, at most {self.most:g}", param, ctx)
        return number


class OneOf(OptionType):
    """One of a few words."""

    name = "word"

    def __init__(self, *words: str) -> None:
        self.words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value not in self.words:
            self.refuse(value, f"one of {', '.join(self.words)}", param, ctx)
        return str(value)


class PathType(OptionType):
    """A path; of a file or a folder that is there, where one is expected."""

    name = "path"

    def __init__(self, *, file: bool = False, folder: bool = False) -> None:
        self.file, self.folder = file, folder

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if isinstance(value, Path):
            return value
        if not value or value.startswith("--") or "\0" in value:  # --output --overwrite: the path was forgotten
            self.refuse(value, "a path", param, ctx)
        path = Path(value)
        if self.file and not path.is_file():
            self.fail(f"{path}: found {'a folder' if path.is_dir() else 'no such file'}, expected a file", param, ctx)
        if self.folder and not path.is_dir():
            self.fail(f"{path}: found {'a file' if path.exists() else 'no such folder'}, expected a folder", param, ctx)
        return path


class FrameSize(OptionType):
    """Width and height of a camera's frames, such as 1280x720."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})", value)
        if match is None or not int(match[1]) * int(match[2]):
            self.refuse(value, "WIDTHxHEIGHT such as 1280x720", param, ctx)
        return int(match[1]), int(match[2])


COUNT = Whole(1, 100_000_000)  # pairs, faces, frames, steps
SMALL_COUNT = Whole(1, 4096)  # worker processes, images a step, frames a second
SEED = Whole(0, 2**32 - 1)  # what every backend of Keras takes
PIXEL = Whole(-100_000, 100_000)  # an edge of a box; it may lie outside of the image
TIME = Number(10_000_000)  # seconds or minutes
UNIT_MM = Number(1000)  # millimetres a step: 1000 for metres
LENGTH_MM = Number(100_000)
ANGLE_DEG = Number(360)
SIZE = FrameSize()
PATH = PathType()
EXISTING_FILE = PathType(file=True)
EXISTING_FOLDER = PathType(folder=True)

chosen_enhancers = click.option(
    "--enhancer", "enhancers", multiple=True, metavar="NAME", help="Repeat for more (default: all available)."
)
pair_store = click.option(
    "--pairs", type=EXISTING_FOLDER, required=True, metavar="DIR", help="Pair store (facedepth synthesize)."
)
csv_output = click.option("--output", type=PATH, metavar="CSV", help="Write the table there, too.")
overwrite_file = click.option("--overwrite", is_flag=True, help="Replace that file.")


def _use_weights(context: click.Context, parameter: click.Parameter, folder: Path | None) -> None:
    """Let FACEDEPTH_WEIGHTS name the folder while the command runs: workers, too, then find what lies there."""
    if folder is None:
        return
    before = os.environ.get("FACEDEPTH_WEIGHTS")
    os.environ["FACEDEPTH_WEIGHTS"] = str(folder.expanduser().resolve())

    def restore() -> None:
        os.environ.pop("FACEDEPTH_WEIGHTS")
        if before is not None:
            os.environ["FACEDEPTH_WEIGHTS"] = before

    context.call_on_close(restore)


weights_folder = click.option(
    "--weights",
    type=EXISTING_FOLDER,
    metavar="DIR",
    help="Networks of your own, beside the shipped ones (default: my_networks).",
    expose_value=False,
    is_eager=True,
    callback=_use_weights,
)


def gathered(
    into: type[Any], name: str, *options: Callable[..., Any]
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Add options to a command, which gets them as one argument of that name: a dataclass with a field for each."""

    def add(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def with_one(**given: Any) -> int:
            one = into(**{field: given.pop(field) for field in into.__dataclass_fields__})
            return command(**given, **{name: one})

        for option in reversed(options):
            option(with_one)
        return with_one

    return add


def refuse_existing(output: Path | None, overwrite: bool) -> None:
    """Say before the work, not after it, that its result has no place."""
    if output is not None and output.exists() and not overwrite:
        raise KitError(f"{output}: found a file that is already there, expected a new one (--overwrite replaces it)")


def refuse_both(first: str, first_given: object, second: str, second_given: object) -> None:
    """Refuse two options that exclude each other."""
    if first_given and second_given:
        raise KitError(f"{first}: found {second} beside it, expected one of them")
