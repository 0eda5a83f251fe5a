"""Files that others have made: read whole, unless they are no regular files or larger than a limit that can be set."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from facedepth_kit.common.errors import KitError


@dataclass(frozen=True)
class Limit:
    """How much of something is accepted; the environment variable of that name says another number, up to ``most``."""

    name: str
    default: int
    most: int
    what: str

    def __call__(self) -> int:
        """The limit in force. Raises :class:`KitError` for a variable that is no such number."""
        text = os.environ.get(self.name)
        if text is None:
            return self.default
        if not re.fullmatch(r"[0-9]{1,15}", text) or not 1 <= int(text) <= self.most:
            raise KitError(f"{self.name}: found {text[:60]!r}, expected a whole number from 1 to {self.most}")
        return int(text)

    def check(self, path: Path, number: int, found: str) -> None:
        """Raise :class:`KitError`, naming ``path``, the limit and how to raise it, for a larger number."""
        if number > self():
            expected = f"at most {self():,} {self.what} ({self.name} sets the limit)"
            raise KitError(f"{path}: found {found}, expected {expected}")


FILE_BYTES = Limit("FACEDEPTH_FILE_BYTES", 1_000_000_000, 10**12, "bytes")
PHOTO_PX = Limit("FACEDEPTH_PHOTO_PX", 100_000_000, 150_000_000, "pixels")
FRAME_PX = Limit("FACEDEPTH_FRAME_PX", 16_000_000, 150_000_000, "pixels")
SILENCE_S = Limit("FACEDEPTH_SILENCE_S", 120, 86_400, "seconds")


def read_file(path: Path, expected: str, *, most: int | None = None) -> bytes:
    """All bytes of a regular file of at most ``most`` bytes (default: ``FILE_BYTES``).

    Raises :class:`KitError`, naming the file, for anything else: a pipe is never waited for.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise KitError(f"{path}: found {_kind(status.st_mode)}, expected {expected}")
        if most is None:
            FILE_BYTES.check(path, status.st_size, f"{status.st_size:,} bytes")
        elif status.st_size > most:
            raise KitError(f"{path}: found {status.st_size:,} bytes, expected {expected} of at most {most:,}")
        return path.read_bytes()
    except FileNotFoundError:
        raise KitError(f"{path}: found no such file, expected {expected}") from None
    except OSError as error:
        raise KitError(f"{path}: found a file that cannot be read ({error.strerror}), expected {expected}") from None


def refuse_irregular(path: Path, expected: str, *, whole: bool = True) -> None:
    """Raise :class:`KitError` for what is too large or no regular file, before a library opens it by its name.

    ``whole``: it will be read whole, so its size counts.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return  # whoever opens it says so
    except OSError as error:
        raise KitError(f"{path}: found a file that cannot be read ({error.strerror}), expected {expected}") from None
    if not stat.S_ISREG(status.st_mode):
        raise KitError(f"{path}: found {_kind(status.st_mode)}, expected {expected}")
    if whole:
        FILE_BYTES.check(path, status.st_size, f"{status.st_size:,} bytes")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")
