"""The kit's own imports stand at the top of a module, where readers see them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from facedepth_kit.common.paths import PACKAGE

# The registry loads an enhancer's module when that enhancer is asked for. The command's modules import the package in
# their functions, so that a subcommand's --help answers at once; nothing lies above them.
ALLOWED = {"enhancers/__init__.py", *(f"cli/{path.name}" for path in (PACKAGE / "cli").glob("*.py"))}
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}


def hidden_imports(path: Path) -> Iterator[str]:
    """The kit's modules that are imported in a function, in a class or under TYPE_CHECKING, with their lines."""

    def walk(node: ast.AST, hidden: bool) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if hidden and isinstance(child, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in child.names]
                modules = [child.module or "facedepth_kit"] if isinstance(child, ast.ImportFrom) else names
                own = [module for module in modules if module.startswith("facedepth_kit")]
                yield from (f"line {child.lineno}: {module}" for module in own)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from walk(child, hidden or inside or checking)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), False)


@pytest.mark.parametrize("module", sorted(MODULES.keys() - ALLOWED))
def test_no_import_of_the_kit_is_hidden(module: str) -> None:
    assert list(hidden_imports(MODULES[module])) == []
