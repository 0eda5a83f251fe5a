"""Start JupyterLab on the notebooks, fetching nothing from anywhere: no news, no updates, no list of extensions.

    python tools/lab.py [options of jupyter lab]     (or: make lab)

The settings lie in tools/jupyter; those of the user win. Notebook 00_start_here opens first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST = "/lab/tree/notebooks/00_start_here.ipynb"


def environment() -> dict[str, str]:
    """The environment for JupyterLab and its kernels: the kit's settings last, TensorFlow's greetings off."""
    path = [*filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")]), str(ROOT / "tools" / "jupyter")]
    return {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "JUPYTER_CONFIG_PATH": os.pathsep.join(path)}


def main(arguments: list[str]) -> None:
    """Become JupyterLab."""
    os.chdir(ROOT)
    command = [sys.executable, "-m", "jupyterlab", f"--LabApp.default_url={FIRST}", *arguments]
    if sys.platform == "win32":
        import subprocess

        sys.exit(subprocess.run(command, env=environment(), check=False).returncode)
    os.execve(sys.executable, command, environment())


if __name__ == "__main__":
    main(sys.argv[1:])
