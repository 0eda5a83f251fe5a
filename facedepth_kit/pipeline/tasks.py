"""Every notebook as a doit task: a run does only those whose inputs changed.

One doit database a profile (``build/<profile>/doit.db``). A task depends on the notebook's source, on the kit's modules
it uses (``common/used_modules.py``), on shipped data and weights, on other notebooks' tables, and on the profile's
sizes, the seed and the versions of the packages that make the numbers.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from doit.api import run_tasks
from doit.cmd_base import ModuleTaskLoader
from doit.dependency import SqliteDB
from doit.exceptions import TaskFailed, UnmetDependency
from doit.reporter import ZeroReporter
from doit.tools import config_changed

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import only_run
from facedepth_kit.common.paths import data_dir, figures_dir, results_dir
from facedepth_kit.common.used_modules import ROOT, used_files
from facedepth_kit.enhancers.ddrnet import checkpoint_state
from facedepth_kit.networks.cards import model_cards, network_files
from facedepth_kit.pipeline import notebooks
from facedepth_kit.pipeline.execution import FOREIGN, execute
from facedepth_kit.pipeline.manifest import versions, write_manifest
from facedepth_kit.pipeline.notebooks import Notebook
from facedepth_kit.pipeline.profiles import Profile, get_profile

SEED = 2023
Report = Callable[[str], object]


def run(
    profile: str | None = None, *, seed: int = SEED, only: str | None = None, report: Report = lambda line: None
) -> int:
    """Bring ``figures/<profile>`` up to date; returns 0, or 1 when a notebook failed (the others still run).

    ``only``: one notebook by name or number, with what it needs. ``report`` gets a line for every notebook. A second
    run of the same profile waits for the first. Raises :class:`KitError` for an unknown profile or notebook.
    """
    settings = get_profile(profile)
    wanted = notebooks.chosen(settings, only)
    started = time.monotonic()
    build = results_dir(settings.name)
    with _alone(build, report):
        # What a killed run was in the middle of; the lock is ours, so nobody is at it now.
        shutil.rmtree(build / "staging", ignore_errors=True)
        lines = _Lines(wanted, report)
        options = {
            "dep_file": str(build / "doit.db"),
            "backend": "saved_at_once",
            "continue": True,
            "reporter": lines,
        }
        plugins = {"saved_at_once": f"{__name__}:SavedAtOnce"}
        loader = ModuleTaskLoader({"task_notebooks": lambda: _tasks(settings, seed)})
        run_tasks(loader, {one.name: {} for one in wanted}, extra_config={"GLOBAL": options, "BACKEND": plugins})
        if lines.done or not (figures_dir(settings.name) / "manifest.json").exists():
            write_manifest(settings, seed)
    seconds = f"{time.monotonic() - started:.1f} s"
    if lines.failed:
        report(f"{len(lines.failed)} of {len(wanted)} notebooks failed ({seconds}): {', '.join(lines.failed)}")
        return 1
    where = f"figures/{settings.name}"
    report(f"{where}: {len(lines.done)} of {len(wanted)} notebooks rerun, the rest up to date ({seconds})")
    return 0


@contextlib.contextmanager
def _alone(build: Path, report: Report) -> Iterator[None]:
    """Hold a profile's lock; a second run waits for the first."""
    build.mkdir(parents=True, exist_ok=True)
    waiting = False
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(only_run(build))
                break
            except KitError:
                if not waiting:
                    report(f"another run of the profile {build.name} is at work; waiting for its end")
                waiting = True
                time.sleep(0.5)
        yield


class SavedAtOnce(SqliteDB):
    """doit's database, written after every task and not only at the end: a kill -9 loses the running one only."""

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        """Store a value; the list of a task's files is the last one that doit sets."""
        super().set(task_id, dependency, value)
        if dependency == "deps:":
            row = (task_id, self.codec.encode(self._cache[task_id]))
            self._conn.execute("insert or replace into doit values (?,?)", row)
            self._conn.commit()


class _Lines(ZeroReporter):
    """What doit tells of its tasks, as one line a notebook."""

    def __init__(self, wanted: Sequence[Notebook], report: Report) -> None:
        self.names = [notebook.name for notebook in wanted]
        self.report = report
        self.done: list[str] = []
        self.failed: list[str] = []
        self.started = 0.0

    def initialize(self, tasks: object, selected: object) -> None:
        """Called once, before the first task."""

    def execute_task(self, task: Any) -> None:
        """A notebook starts."""
        self.started = time.monotonic()

    def add_success(self, task: Any) -> None:
        """A notebook ended well."""
        self.done.append(task.name)
        self._line(task, f"{time.monotonic() - self.started:.1f} s")

    def skip_uptodate(self, task: Any) -> None:
        """Nothing that a notebook depends on has changed."""
        self._line(task, "up to date")

    def add_failure(self, task: Any, fail: Any) -> None:
        """A notebook failed, or one that it needs did."""
        self.failed.append(task.name)
        if isinstance(fail, UnmetDependency):
            self._line(task, f"skipped, needs {', '.join(fail.message.split())}")
        else:
            error = fail.traceback[-1] if fail.traceback else ""  # only what nobody foresaw has one
            self._line(task, f"failed: {' '.join(f'{fail.message} {error}'.split())}")

    def _line(self, task: Any, text: str) -> None:
        self.report(f"[{self.names.index(task.name) + 1:2d}/{len(self.names)}] {task.name}: {text}")


def _tasks(profile: Profile, seed: int) -> Iterator[dict[str, Any]]:
    """The doit tasks, one a notebook."""
    for notebook in notebooks.NOTEBOOKS:
        inputs: dict[str, Any] = {"profile": asdict(profile), "seed": seed, "versions": versions()}
        if notebook.own_data:
            inputs["data"] = _listing(data_dir())
            inputs["foreign networks"] = [os.environ.get(key) for key in FOREIGN]
        if notebook.weights:
            inputs["ddrnet"] = checkpoint_state()
        yield {
            "basename": notebook.name,
            "file_dep": [str(path) for path in _dependencies(notebook, profile)],
            "targets": [str(path) for path in notebook.targets(profile.name).values()],
            "actions": [(_action, [notebook, profile, seed])],
            "uptodate": [config_changed(inputs)],
            "verbosity": 2,
        }


def _action(notebook: Notebook, profile: Profile, seed: int) -> object:
    """Run one notebook; what doit calls. Everything that goes wrong becomes one line."""
    try:
        execute(notebook, profile, seed)
    except (KitError, OSError) as error:
        return TaskFailed(str(error))
    return True


def _dependencies(notebook: Notebook, profile: Profile) -> list[Path]:
    if not notebook.source.is_file():
        return []
    files = {notebook.source}
    # A slip of the pen in a module or notebook is reported when the notebook runs, with its cell.
    with contextlib.suppress(SyntaxError, UnicodeDecodeError):
        files.update(used_files(notebook.source))
    # Data that modules carry beside them (the face model, the published numbers, calibrated settings).
    for folder in {file.parent for file in files if file.is_relative_to(ROOT)}:
        files.update(path for path in folder.iterdir() if path.suffix in (".json", ".npz", ".yaml", ".csv"))
    if notebook.weights:
        for card in model_cards():
            files.update(path for path in network_files(card.stem, card.parent) if path.is_file())
    if notebook.own_data:  # and what was measured on recordings that are not here
        files.update(figures_dir("recordings").glob("*.csv"))
    files.update(notebooks.maker(name).targets(profile.name)[name] for name in notebook.needs_in(profile))
    return sorted(files)


def _listing(folder: Path) -> list[str]:
    """Names, sizes and times of the user's own recordings: reading gigabytes to notice a change would be too slow."""
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
