"""Which modules of the kit a piece of code uses, found by reading it, not by running it."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

PACKAGE = "facedepth_kit"
ROOT = Path(__file__).resolve().parents[1]

# Sizes are watched as values (a change to the paper profile must not rerun the laptop's), so the file is not.
IGNORED = frozenset({f"{PACKAGE}.pipeline.profiles"})


def module_file(module: str) -> Path | None:
    """The file of a module such as ``facedepth_kit.depth``, or None when the kit has none of that name."""
    parts = module.split(".")
    if parts[0] != PACKAGE:
        return None
    base = ROOT.joinpath(*parts[1:])
    for candidate in (base.with_suffix(".py") if parts[1:] else base / "__init__.py", base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def used_modules(source: Path) -> list[str]:
    """Names of all the kit's modules that ``source`` imports, directly or through others, sorted.

    Imports inside functions count, and so do the ``__init__`` files of the packages on the way.
    """
    found: set[str] = set()
    waiting = list(_imports(source, None))
    while waiting:
        module = waiting.pop()
        if module in found or module in IGNORED:
            continue
        file = module_file(module)
        if file is None:
            continue
        found.add(module)
        waiting.extend(_imports(file, module))
    return sorted(found)


def used_files(source: Path) -> list[Path]:
    """The files of :func:`used_modules`."""
    return [file for module in used_modules(source) if (file := module_file(module)) is not None]


def code_digest(modules: Iterable[str]) -> str:
    """SHA-256 over the source of modules and of what they use: changes when their results may change."""
    digest = hashlib.sha256()
    files: set[Path] = set()
    for module in modules:
        file = module_file(module)
        if file is not None:
            files.update([file, *used_files(file)])
    for file in sorted(files):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _imports(file: Path, module: str | None) -> Iterator[str]:
    stat = file.stat()
    return iter(_parsed_imports(file, module, stat.st_mtime_ns, stat.st_size))


@cache
def _parsed_imports(file: Path, module: str | None, _mtime_ns: int, _size: int) -> tuple[str, ...]:
    """Absolute names that a file imports; for ``from a import b`` both ``a`` and ``a.b`` (which may be a module)."""
    names: list[str] = []
    package = [] if module is None else module.split(".") if file.name == "__init__.py" else module.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            names += [start, *(f"{start}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(f"{PACKAGE}."):
            # importlib.import_module("facedepth_kit.enhancers.filters") in a registry.
            names.append(node.value)
    parents = {".".join(name.split(".")[:end]) for name in names if name for end in range(1, name.count(".") + 1)}
    return tuple(sorted({*names, *parents} - {""}))
