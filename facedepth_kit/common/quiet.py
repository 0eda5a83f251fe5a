"""TensorFlow's greetings, kept out of notebooks and terminals.

Its native libraries write a few lines to the process's error stream before any setting of theirs is read, and
JupyterLab shows them in red. So the stream is set aside while TensorFlow is imported, and what it held is shown if
that fails.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import types
from collections.abc import Iterator, Sequence

ERRORS = 2
PACKAGE = "tensorflow"


def quiet_tensorflow() -> None:
    """From now on, import TensorFlow without its greetings; asking twice does no harm."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if PACKAGE not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow where it is, once, with a loader that loads it quietly."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != PACKAGE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Another loader, without what it lets be written to the error stream."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self.loader = loader

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        with _errors_set_aside():
            self.loader.exec_module(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self.loader, name)


@contextlib.contextmanager
def _errors_set_aside() -> Iterator[None]:
    """Send the process's error stream to a file; if the work fails, show what it holds."""
    with tempfile.TemporaryFile() as aside:
        try:
            kept = os.dup(ERRORS)
        except OSError:  # a process without an error stream
            yield
            return
        try:
            os.dup2(aside.fileno(), ERRORS)
            try:
                yield
            finally:
                os.dup2(kept, ERRORS)
        except Exception:  # not an interrupt: that is no failure
            aside.seek(0)
            os.write(ERRORS, aside.read())
            raise
        finally:
            os.close(kept)
