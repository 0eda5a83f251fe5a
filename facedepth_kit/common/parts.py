"""Long work in a folder: one file that describes it, and parts that are whole or absent.

The parts' names say what is done, so a killed run goes on by making those that are missing. One run at a time writes
to a folder; it holds a lock that ends with its process.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, overload

from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import TEMPORARY, remove_temporary, write_atomically

T = TypeVar("T")

LOCK = ".lock"


@contextmanager
def open_parts(
    folder: Path,
    description: Mapping[str, Any],
    *,
    name: str,
    fixed: Sequence[str],
    parts: Sequence[str],
    holds: str,
    overwrite: bool = False,
) -> Iterator[dict[str, Any] | None]:
    """Hold a folder for one run; yields the description of an earlier run that is to be gone on with, or None.

    ``name`` is the file of the description, of which the ``fixed`` entries must be those of the earlier run; a new
    folder gets it at once. ``parts`` are glob patterns of the parts' names in the folder; ``overwrite`` removes those
    and the description first. What killed runs left half written is removed. Raises :class:`KitError` for a file, for
    other files, for other work, and while another run holds the folder; then nothing is changed.
    """
    _find(folder, description, name, fixed, parts, holds, overwrite)
    with only_run(folder):
        known = _find(folder, description, name, fixed, parts, holds, overwrite)
        _sweep(folder, parts)
        if overwrite:
            remove_parts(folder, name, parts)
        if known is None:
            write_description(folder / name, description)
        try:
            yield known
        finally:
            _sweep(folder, parts)  # what workers that were killed have left


def _find(
    folder: Path,
    description: Mapping[str, Any],
    name: str,
    fixed: Sequence[str],
    parts: Sequence[str],
    holds: str,
    overwrite: bool,
) -> dict[str, Any] | None:
    path = folder / name
    if folder.exists() and not folder.is_dir():
        raise KitError(f"{folder}: found a file, expected a folder for {holds}")
    if not folder.exists():
        return None
    if path.is_file() and not overwrite:
        known = read_description(path, holds)
        for entry in fixed:
            if known.get(entry) != description.get(entry):
                raise KitError(
                    f"{path}: found another {entry}, expected the same to go on; choose another folder or --overwrite"
                )
        return known
    ours = {LOCK, *(own.name for pattern in parts for own in folder.glob(pattern) if overwrite)}
    others = (one.name for one in folder.iterdir() if one.name not in ours and not one.name.startswith(TEMPORARY))
    if not path.is_file() and any(others):
        raise KitError(f"{folder}: found other files, expected an empty folder or {holds}")
    return None


def is_tidy(folder: Path, parts: Sequence[str]) -> bool:
    """Whether no run is at work in a folder and none was killed there."""
    return not (folder / LOCK).exists() and not any(
        any(place.glob(f"{TEMPORARY}*")) for place in _places(folder, parts)
    )


def _places(folder: Path, parts: Sequence[str]) -> set[Path]:
    parents = {str(Path(pattern).parent) for pattern in parts} - {"."}
    return {folder, *(place for parent in parents for place in folder.glob(parent) if place.is_dir())}


def _sweep(folder: Path, parts: Sequence[str]) -> None:
    for place in _places(folder, parts):
        remove_temporary(place)


def remove_parts(folder: Path, name: str, parts: Sequence[str]) -> None:
    """Remove the parts and the description, the latter last: until it is gone, the folder is known as ours."""
    for pattern in parts:
        for part in folder.glob(pattern):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink()
    (folder / name).unlink(missing_ok=True)


@overload
def read_description(path: Path, holds: str) -> dict[str, Any]: ...
@overload
def read_description(path: Path, holds: str, kind: type[T]) -> T: ...
def read_description(path: Path, holds: str, kind: Any = dict[str, Any]) -> Any:
    """What a folder says of itself. Raises :class:`KitError` naming the file for a missing or damaged one."""
    if not path.exists():
        raise KitError(f"{path.parent}: found no {path.name}, expected {holds}")
    try:
        return read_json(path, kind)
    except KitError as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise KitError(f"{path}: found no readable JSON ({reason}), expected the description of {holds}") from None


def write_description(path: Path, description: Mapping[str, Any]) -> None:
    """Write or replace what a folder says of itself, whole or not at all."""
    content = json.dumps(description, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != content:
        with write_atomically(path, overwrite=True) as temporary:
            temporary.write_text(content, encoding="utf-8")


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold the folder's lock. Raises :class:`KitError` at once while another run holds it.

    The system frees the lock when the process ends, however it ends; a lock file that is left behind means nothing.
    """
    path = folder / LOCK
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(descriptor)
        except OSError:
            os.close(descriptor)
            raise KitError(f"{folder}: found another run at work here, expected none; wait for its end") from None
        if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            break
        os.close(descriptor)  # a run that has just ended removed the file between the two calls
    try:
        yield
    finally:
        if os.name == "nt":  # where an open file cannot be removed
            os.close(descriptor)
            path.unlink(missing_ok=True)
        else:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
