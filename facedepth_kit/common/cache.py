"""Folders for long work that may be finished later, named after what it depends on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from facedepth_kit.common.used_modules import code_digest


def cache_folder(parent: Path, purpose: str, key: str, modules: Sequence[str]) -> Path:
    """A folder in ``parent`` for ``purpose``, whose name holds ``key`` and the code of ``modules``.

    So what lies in it is never stale; older ones of the same purpose are removed.
    """
    digest = hashlib.sha256(f"{key} {code_digest(modules)}".encode()).hexdigest()[:12]
    path = parent / f"{purpose}-{digest}"
    for stale in parent.glob(f"{purpose}-*"):
        if stale != path:
            shutil.rmtree(stale, ignore_errors=True)
    return path
