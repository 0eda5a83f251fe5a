"""Where things lie, and how a file is written so that a kill never leaves half of one."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facedepth_kit.common.errors import KitError

PACKAGE = Path(__file__).resolve().parents[1]


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


def weights_dir() -> Path:
    """Trained weights and their model cards: FACEDEPTH_WEIGHTS, or the shipped ones."""
    return _from_environment("FACEDEPTH_WEIGHTS") or PACKAGE / "weights"


def data_dir() -> Path:
    """Data sets that the user has brought: FACEDEPTH_DATA, or ``data`` in the repository (or here, without one)."""
    chosen = _from_environment("FACEDEPTH_DATA")
    if chosen:
        return chosen
    try:
        return repository_root() / "data"
    except KitError:
        return Path("data")


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value).expanduser() if value else None


@contextmanager
def write_atomically(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write to, and rename it to ``path`` at the end.

    The temporary name ends like the final one, so that writers which look at the extension keep working. On an
    exception the temporary file is removed and ``path`` stays as it was. Missing folders are made.
    Raises :class:`KitError` when ``path`` exists and ``overwrite`` is false.
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        _refuse_existing(path, overwrite)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise KitError(f"{path}: found a folder, expected a file to write")
    if not overwrite and os.path.lexists(path):
        raise KitError(f"{path}: found a file that is already there, expected a new one (--overwrite replaces it)")
