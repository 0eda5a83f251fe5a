"""Lines for the terminal. File names are data: control characters in them are shown, not obeyed."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO


def say(line: str, *, error: bool = False) -> None:
    """Print one line, at once, to the output or to the error stream; progress bars make room for it."""
    stream = sys.stderr if error else sys.stdout
    encoding = stream.encoding or "utf-8"
    visible = "".join(map(_visible, line)).encode(encoding, "backslashreplace").decode(encoding)
    with _bars_aside(stream):
        print(visible, file=stream, flush=True)


def complain(line: str) -> None:
    """Print an error as one line."""
    say(f"facedepth: error: {' '.join(line.split())}", error=True)


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def _bars_aside(stream: TextIO) -> AbstractContextManager[Any]:
    if "tqdm" not in sys.modules:  # then there is no bar, and an error need not load it
        return nullcontext()
    from tqdm import tqdm

    return tqdm.external_write_mode(file=stream)
