"""Native libraries on files of others, in a process of their own: a crash or a hang there is one line here.

The other process is this Python with a generator of bytes, ``module:function`` of the package. It ends with this one.
"""

from __future__ import annotations

import importlib
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import IO

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import SILENCE_S
from facedepth_kit.common.paths import PACKAGE

ITEM, ERROR, END = b"i", b"e", b"."
HEADER = struct.Struct("<cQ")
AHEAD = 2  # items that wait for their reader


def work_apart(target: str, path: Path, *, library: str) -> Generator[bytes]:
    """What the generator ``target`` yields of the file at ``path``, in a process of its own.

    Raises :class:`KitError` as the generator does; and naming ``library`` when the process ends before its time, or
    gives no sign for ``SILENCE_S``.
    """
    silence_s = SILENCE_S()
    folders = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "facedepth_kit.common.apart", target, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    received: queue.Queue[tuple[bytes, bytes]] = queue.Queue(AHEAD)
    left = threading.Event()
    assert process.stdout is not None
    reader = threading.Thread(target=_receive, args=(process.stdout, received, left), daemon=True)
    reader.start()
    try:
        while True:
            try:
                kind, content = received.get(timeout=silence_s)
            except queue.Empty:
                found = f"found a file on which {library} gives no sign for {silence_s} s"
                raise KitError(
                    f"{path}: {found}, expected one that it reads ({SILENCE_S.name} sets the limit)"
                ) from None
            if kind == ITEM:
                yield content
            elif kind == ERROR:
                raise KitError(content.decode("utf-8", "surrogateescape"))
            elif kind == END:
                return
            else:
                code = process.wait()
                found = f"signal {-code}" if code < 0 else f"exit code {code}"
                raise KitError(f"{path}: found a file on which {library} ends with {found}, expected one that it reads")
    finally:
        left.set()
        process.kill()
        process.wait()
        reader.join()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _receive(pipe: IO[bytes], received: queue.Queue[tuple[bytes, bytes]], left: threading.Event) -> None:
    kind = ITEM
    while kind == ITEM and not left.is_set():
        header = pipe.read(HEADER.size)
        kind, length = HEADER.unpack(header) if len(header) == HEADER.size else (b"", 0)
        content = pipe.read(length)
        if len(content) < length:
            kind = b""
        while not left.is_set():
            try:
                received.put((kind, content), timeout=0.1)
                break
            except queue.Full:
                pass


# --- the other process ----------------------------------------------------------------------------------------------


def _serve(target: str, path: str) -> None:
    if hasattr(signal, "SIGINT"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no part of the answer

    def send(kind: bytes, content: bytes = b"") -> None:
        pipe.write(HEADER.pack(kind, len(content)))
        pipe.write(content)
        pipe.flush()

    module, _, function = target.partition(":")
    try:
        for item in getattr(importlib.import_module(module), function)(Path(path)):
            send(ITEM, item)
        send(END)
    except KitError as error:
        send(ERROR, str(error).encode("utf-8", "surrogateescape"))
    os._exit(0)  # without the libraries' own ends


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
