"""Where things lie, and how a file is written so that a kill never leaves half of one."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facedepth_kit.common.errors import DiskFullError, KitError

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED_WEIGHTS = PACKAGE / "weights"
RUN_NETWORKS = "FACEDEPTH_RUN_NETWORKS"
TEMPORARY = ".partial-"  # how the names of unfinished files and folders begin
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def repository_root() -> Path:
    """The clone that holds notebooks, figures and build products.

    Raises :class:`KitError` when the package was installed as a copy, without its repository.
    """
    root = PACKAGE.parent
    if not (root / "environment.yml").is_file():
        raise KitError(
            f"{root}: found no facedepth-kit repository, expected one around the package: install it with `make setup`"
        )
    return root


def figures_dir(profile: str) -> Path:
    """Tables, pictures and the manifest of a profile; the default profile's are tracked."""
    return repository_root() / "figures" / profile


def results_dir(profile: str) -> Path:
    """Build products of a profile (pair stores, records, executed notebooks); never tracked."""
    return repository_root() / "build" / profile


def own_networks_dir() -> Path:
    """Networks that the user has trained: FACEDEPTH_WEIGHTS, or ``my_networks`` in the repository (or here)."""
    return _from_environment("FACEDEPTH_WEIGHTS") or _beside("my_networks")


def weights_dirs() -> tuple[Path, ...]:
    """Where trained weights and their model cards lie: the shipped ones, and the user's own.

    Before both come those in FACEDEPTH_RUN_NETWORKS, which a profile that trains the paper's networks itself has set.
    """
    run = _from_environment(RUN_NETWORKS)
    return (*([run] if run else []), SHIPPED_WEIGHTS, own_networks_dir())


def data_dir() -> Path:
    """Data sets that the user has brought: FACEDEPTH_DATA, or ``data`` in the repository (or here, without one)."""
    return _from_environment("FACEDEPTH_DATA") or _beside("data")


def _beside(name: str) -> Path:
    """A folder in the repository, or here where the package was installed without one."""
    try:
        return repository_root() / name
    except KitError:
        return Path(name)


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value).expanduser() if value else None


@contextmanager
def write_atomically(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to, and rename it to ``path`` at the end.

    The temporary name ends like the final one, so that writers which look at the extension keep working. On an
    exception the temporary file is removed and ``path`` stays as it was. Missing folders are made, and what was written
    is on the disk before the new name is. Raises :class:`KitError` when ``path`` exists and ``overwrite`` is false, and
    when the disk is full.
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _refuse_existing(path, overwrite)
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
    except OSError as error:
        raise _full(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(path: str | Path, *, inside: str = "", overwrite: bool = False) -> Iterator[Path]:
    """Yield a hidden folder beside ``path`` to fill, and rename it to ``path`` at the end; removed on an exception.

    ``inside`` names the folder in it that is to be renamed, where it is not the whole. With ``overwrite`` it takes the
    place of a folder of that name, which is removed afterwards. Files in it are on the disk if :func:`write_atomically`
    wrote them. Raises :class:`KitError` when the disk is full.
    """
    path = Path(path)
    temporary, old = _temporary(path), _temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        _to_disk(temporary / inside)
        if overwrite and path.is_dir():
            os.replace(path, old)
        os.replace(temporary / inside, path)
        _to_disk(path.parent)
    except OSError as error:
        raise _full(path, error) from None
    finally:
        for folder in (temporary, old):
            shutil.rmtree(folder, ignore_errors=True)


def remove_temporary(folder: Path) -> None:
    """Remove what killed runs left in a folder. Only for a folder that no other run is writing to."""
    for left in folder.glob(f"{TEMPORARY}*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{TEMPORARY}{secrets.token_hex(4)}-{path.name}")


def _to_disk(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows has no such thing for folders
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _full(path: Path, error: OSError) -> OSError | KitError:
    """The one line for a full disk; any other error as it is. NumPy's for a write cut short carries no number."""
    if error.errno in DISK_FULL or (error.errno is None and "requested and" in str(error)):
        reason = error.strerror or os.strerror(errno.ENOSPC)
        return DiskFullError(f"{path}: could not be written ({reason}); make room and run the same command again")
    return error


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise KitError(f"{path}: found a folder, expected a file to write")
    if not overwrite and os.path.lexists(path):
        raise KitError(f"{path}: found a file that is already there, expected a new one (--overwrite replaces it)")
