"""Running one notebook headless with papermill, and putting what it made in place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import results_dir, write_atomically
from facedepth_kit.pipeline.manifest import write_record
from facedepth_kit.pipeline.notebooks import Notebook, notebooks_dir
from facedepth_kit.pipeline.profiles import Profile
from facedepth_kit.pipeline.stored_notebooks import notebook_text
from facedepth_kit.pipeline.unchanged import unchanged
from facedepth_kit.pipeline.workspace import cache_dir

KERNEL = "facedepth"
FOREIGN = ("FACEDEPTH_PRNET", "FACEDEPTH_DDRNET", "FACEDEPTH_FACE_MESH")  # where networks of others may lie


def execute(notebook: Notebook, profile: Profile, seed: int) -> None:
    """Run one notebook headless and put its outputs in place, all of them or none.

    The executed copy is ``build/<profile>/notebooks/NAME.ipynb``. Raises :class:`KitError` naming the notebook, the
    cell and the error.
    """
    build = results_dir(profile.name).resolve()
    kept = build / "notebooks" / f"{notebook.name}.ipynb"
    # A folder of its own for every run: whatever a failed one leaves half-written goes with it.
    staging = build / "staging" / f"{notebook.name}-{os.getpid()}"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    kept.parent.mkdir(parents=True, exist_ok=True)
    started, cached = time.monotonic(), _cached(profile)
    try:
        _papermill(notebook, profile, seed, staging, kept)
        _put_in_place(notebook, profile, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    write_record(profile.name, notebook.name, time.monotonic() - started, first=bool(_cached(profile) - cached))


def _cached(profile: Profile) -> set[Path]:
    """The folders of long work that notebooks have kept so far."""
    return set(cache_dir(profile.name).glob("*"))


def _papermill(notebook: Notebook, profile: Profile, seed: int, staging: Path, kept: Path) -> None:
    import logging
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import papermill

    if not notebook.source.is_file():
        raise KitError(f"{notebook.name}: found no {notebook.source.name} in notebooks/src")
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    (staging / "source.ipynb").write_text(notebook_text(notebook.source), encoding="utf-8")
    executed = staging / "executed.ipynb"
    try:
        with _kernel_environment(staging, profile), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            papermill.execute_notebook(
                str(staging / "source.ipynb"),
                str(executed),
                parameters={"profile": profile.name, "seed": seed, "output": str(staging)},
                kernel_name=KERNEL,
                language="python",
                progress_bar=False,
                log_output=False,
                cwd=str(notebooks_dir()),
                start_timeout=120,
                execution_timeout=profile.cell_seconds,
            )
    except papermill.PapermillExecutionError as error:
        # The injected parameters are one cell more than the reader sees in the stored notebook.
        first = next((line for line in error.source.splitlines() if line.strip()), "")
        what = f"{error.ename}: {' '.join(str(error.evalue).split())}"
        raise KitError(f"{notebook.name}: cell {error.cell_index} ({first.strip()}): {what}") from error
    except Exception as error:  # a kernel that dies or does not start, a cell that takes too long
        line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise KitError(f"{notebook.name}: {type(error).__name__}: {line}") from error
    finally:
        if executed.exists():
            os.replace(executed, kept)


def _put_in_place(notebook: Notebook, profile: Profile, staging: Path) -> None:
    made = {
        path.relative_to(staging / folder).as_posix(): path
        for folder in ("figures", "results")
        for path in (staging / folder).rglob("*")
        if path.is_file()
    }
    targets = notebook.targets(profile.name)
    if made.keys() != targets.keys():
        missing, more = sorted(targets.keys() - made.keys()), sorted(made.keys() - targets.keys())
        raise KitError(
            f"{notebook.name}: missing {missing or 'none'}, made {more or 'nothing'} "
            "that pipeline/notebooks.py does not list"
        )
    for name, target in targets.items():
        # A tracked file that another machine's rounding would change stays as it is; results are always the run's own.
        if name in notebook.outputs and unchanged(target, made[name]):
            continue
        # figures/ may be on another disk than build/: copy, then rename where it will stay.
        with write_atomically(target, overwrite=True) as temporary:
            shutil.copyfile(made[name], temporary)


# What libraries write past Python (TensorFlow's greetings) goes to a log, not between the lines of the report.
_LAUNCHER = """
import os, sys
os.dup2(os.open(os.environ["FACEDEPTH_KERNEL_LOG"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
sys.path.pop(0)
from ipykernel.kernelapp import launch_new_instance
launch_new_instance()
"""


@contextlib.contextmanager
def _kernel_environment(staging: Path, profile: Profile) -> Iterator[None]:
    """A kernel of this very Python, without a screen and without the user's IPython start-up files."""
    kernel = staging / "jupyter" / "kernels" / KERNEL
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-c", _LAUNCHER, "-f", "{connection_file}", "--IPKernelApp.log_level=40"]
    specification = {"argv": argv, "display_name": "Face depth kit", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(specification), encoding="utf-8")
    path = [str(staging / "jupyter"), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    changes = {
        "JUPYTER_PATH": os.pathsep.join(path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "IPYTHONDIR": str(staging / "ipython"),
        "FACEDEPTH_PROFILE": profile.name,
        "FACEDEPTH_KERNEL_LOG": str(staging.parents[1] / "notebooks" / f"{staging.name.rsplit('-', 1)[0]}.log"),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    # The kernel starts in notebooks/, where a folder given relative to here would not be found.
    for key in ("FACEDEPTH_DATA", "FACEDEPTH_WEIGHTS", *FOREIGN):
        if os.environ.get(key):
            changes[key] = str(Path(os.environ[key]).expanduser().resolve())
    before = {key: os.environ.get(key) for key in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
