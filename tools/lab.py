"""Start JupyterLab on copies of the notebooks, fetching nothing from anywhere: no news, no updates, no extensions.

    python tools/lab.py [options of jupyter lab]     (or: make lab)

The copies lie in ``my_notebooks``, which git ignores: write into them and save as you like. A copy that nobody has
edited is renewed when its notebook changes; an edited one stays, and the new notebook comes beside it (``_new``).
The settings lie in tools/jupyter; those of the user win. Notebook 00_start_here opens first.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COPIES = ROOT / "my_notebooks"
FIRST = f"/lab/tree/{COPIES.name}/00_start_here.ipynb"


def environment() -> dict[str, str]:
    """The environment for JupyterLab and its kernels: the kit's settings last, TensorFlow's greetings off."""
    path = [*filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")]), str(ROOT / "tools" / "jupyter")]
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(path)}


def copy_notebooks(source: Path, copies: Path) -> list[str]:
    """Copy or renew the notebooks of ``source`` in ``copies``; returns a line for each edited one that is kept."""
    copies.mkdir(exist_ok=True)
    record = copies / ".copied.json"  # notebook -> digest of the cells that were copied
    copied: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    kept = []
    for path in sorted(source.glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["metadata"].pop("jupytext", None)  # it would write the copy's text into notebooks/src
        copy, now, before = copies / path.name, _cells_digest(notebook), copied.get(path.name)
        if copy.is_file() and now in (before, _digest(copy)):
            continue
        if copy.is_file() and _digest(copy) != before:
            copy = copies / f"{path.stem}_new.ipynb"
            kept.append(f"{COPIES.name}/{path.name}: yours is kept, the new notebook is {copy.name}")
        else:
            copied[path.name] = now
        copy.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    record.write_text(json.dumps(copied, indent=1) + "\n", encoding="utf-8")
    return kept


def _digest(copy: Path) -> str:
    try:
        return _cells_digest(json.loads(copy.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def _cells_digest(notebook: dict[str, Any]) -> str:
    """A digest of what the cells say, whatever their outputs."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def main(arguments: list[str]) -> None:
    """Become JupyterLab."""
    os.chdir(ROOT)
    for line in copy_notebooks(ROOT / "notebooks", COPIES):
        print(line)
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url={FIRST}", *arguments]
    if sys.platform == "win32":
        import subprocess

        sys.exit(subprocess.run(command, env=environment(), check=False).returncode)
    os.execve(sys.executable, command, environment())


if __name__ == "__main__":
    main(sys.argv[1:])
