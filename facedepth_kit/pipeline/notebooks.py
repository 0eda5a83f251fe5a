"""Every notebook, headless, in order, and only those whose inputs changed: doit drives papermill.

One doit task a notebook and one doit database a profile (``build/<profile>/doit.db``). A task depends on the notebook's
source, on the kit's modules it uses (``pipeline/sources.py``), on shipped data and weights, on other notebooks'
tables, and on the profile's sizes, the seed and the versions of the packages that make the numbers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import (
    data_dir,
    figures_dir,
    repository_root,
    results_dir,
    weights_dir,
    write_atomically,
)
from facedepth_kit.enhancers.ddrnet import checkpoint_state
from facedepth_kit.pipeline.profiles import DEFAULT, PROFILES, Profile, get_profile
from facedepth_kit.pipeline.sources import ROOT, used_files
from facedepth_kit.pipeline.unchanged import unchanged

SEED = 2023
KERNEL = "facedepth"
FOREIGN = ("FACEDEPTH_PRNET", "FACEDEPTH_DDRNET", "FACEDEPTH_FACE_MESH")  # where networks of others may lie
# Packages whose version may change a number or a picture.
PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "opencv-contrib-python-headless",
    "pyrealsense2",
    "matplotlib",
)


@dataclass(frozen=True)
class Notebook:
    """One notebook and what it makes.

    ``outputs`` go to ``figures/<profile>/``, ``results`` to ``build/<profile>/results/`` (untracked). ``needs``:
    outputs or results of earlier ones. ``weights`` and ``own_data``: whether the files in the weights folder, or the
    user's recordings in the data folder, are inputs.
    """

    name: str
    outputs: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    weights: bool = False
    own_data: bool = False

    @property
    def source(self) -> Path:
        """The text that people edit."""
        return notebooks_dir() / "src" / f"{self.name}.py"

    @property
    def stored(self) -> Path:
        """The notebook that JupyterLab opens; made from the source, without outputs."""
        return notebooks_dir() / f"{self.name}.ipynb"


def _table(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{suffix}" for name in names for suffix in (".csv", ".md"))


NOTEBOOKS = (
    Notebook("00_start_here", results=("machine.json",), weights=True),
    Notebook("01_ground_truth_synthesis", outputs=("figure_03.png", "figure_04.png"), own_data=True),
    Notebook("02_screening", outputs=(*_table("table_1", "screening"), "screening_faces.png", "screening.png")),
    Notebook("03_degradation", outputs=("figure_05.png",)),
    Notebook("04_networks", outputs=(*_table("table_3"), "figure_07.png")),
    Notebook(
        "05_training", outputs=(*_table("training", "weights"), "figure_06.png", "training_curve.png"), weights=True
    ),
    Notebook("06_filters", outputs=(*_table("table_2"), "filters.png")),
    Notebook(
        "07_ddrnet",
        outputs=(
            *_table("ddrnet_bodies", "ddrnet_faces"),
            *("ddrnet_network.png", "ddrnet_scenes.png", "ddrnet_faces.png"),
        ),
        weights=True,
    ),
    Notebook(
        "08_synthetic_evaluation",
        outputs=(*_table("table_4", "verdicts"), "figure_08.png"),
        results=("table_4_errors.csv",),
        needs=("table_2.csv", "table_3.csv"),
        weights=True,
    ),
    Notebook(
        "09_synthetic_samples", outputs=("figure_13.png", "figure_14.png"), needs=("table_4_errors.csv",), weights=True
    ),
    Notebook("10_degradation_calibration", outputs=(*_table("calibration"), "calibration.png")),
    Notebook(
        "11_simulated_cameras",
        outputs=(
            *_table("simulated_noise"),
            *(f"simulated_{name}.png" for name in ("sensors", "noise", "errors", "variants", "attacks")),
        ),
    ),
    Notebook(
        "12_roughness_and_holes",
        outputs=(*_table("roughness_readings", "table_5"), "figure_09.png"),
        results=("camera_measures.csv",),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "13_falsification",
        outputs=(*_table("table_6"), "figure_10.png"),
        needs=("camera_measures.csv",),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "14_landmarks_and_pad",
        outputs=(
            *_table("table_7", "pad_decisions", "pad_curves"),
            *("figure_11.png", "figure_12.png", "pad_curves.png"),
        ),
        needs=("camera_measures.csv",),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "15_camera_samples",
        outputs=tuple(f"figure_{number:02d}.png" for number in (1, 2, 15, 16, 17, 18)),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "16_your_recordings",
        outputs=(*_table("recordings", "recordings_measures"), "recordings.png"),
        weights=True,
        own_data=True,
    ),
    Notebook(
        "17_compare_enhancers",
        outputs=(*_table("compare_changes"), "profile_lines.png"),
        weights=True,
        own_data=True,
    ),
    Notebook("18_pad_desk", outputs=("pad_desk.png",), weights=True, own_data=True),
)


def notebooks_dir() -> Path:
    """The repository's ``notebooks`` folder."""
    return repository_root() / "notebooks"


# --- The stored notebooks and their sources -----------------------------------------------------------------------


def notebook_text(source: Path) -> str:
    """The ``.ipynb`` that belongs to a py:percent source: no outputs, no counts, the same bytes every time."""
    import jupytext
    import nbformat

    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    # JupyterLab's jupytext notes its own version there.
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem.split('_')[0]}-{index:02d}"
    return str(nbformat.writes(notebook)) + "\n"


def write_notebooks() -> list[Path]:
    """Make every stored notebook from its source; returns those that changed."""
    changed = []
    for source in sorted((notebooks_dir() / "src").glob("*.py")):
        text, stored = notebook_text(source), notebooks_dir() / f"{source.stem}.ipynb"
        if not stored.exists() or stored.read_text(encoding="utf-8") != text:
            with write_atomically(stored, overwrite=True) as temporary:
                temporary.write_text(text, encoding="utf-8")
            changed.append(stored)
    return changed


def check_notebooks() -> list[str]:
    """Problems with the stored notebooks, one line each: outputs kept, text other than the source's, one missing."""
    import nbformat

    problems = []
    sources = {source.stem: source for source in sorted((notebooks_dir() / "src").glob("*.py"))}
    stored = {path.stem: path for path in sorted(notebooks_dir().glob("*.ipynb"))}
    listed = {notebook.name for notebook in NOTEBOOKS}
    for name in sorted(sources.keys() ^ listed):
        where = "pipeline.py does not list it" if name in sources else "pipeline.py lists it, notebooks/src has none"
        problems.append(f"{name}: {where}")
    for name in sorted(sources.keys() | stored.keys()):
        if name not in sources or name not in stored:
            problems.append(f"{name}: found no {'source' if name not in sources else 'notebook'}")
            continue
        notebook = nbformat.read(stored[name], as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if any(cell.outputs or cell.execution_count is not None for cell in code):
            problems.append(f"{name}: the stored notebook keeps outputs, expected none")
        elif stored[name].read_text(encoding="utf-8") != notebook_text(sources[name]):
            problems.append(f"{name}: the stored notebook differs from notebooks/src/{name}.py")
    return problems


# --- Running ------------------------------------------------------------------------------------------------------


def run(
    profile: str | None = None,
    *,
    seed: int = SEED,
    only: str | None = None,
    report: Callable[[str], object] = lambda line: None,
) -> int:
    """Bring ``figures/<profile>`` up to date; returns 0, or 1 when a notebook failed (the others still run).

    ``only``: one notebook by name or number, with what it needs. ``report`` gets a line for every notebook. A second
    run of the same profile waits for the first. Raises :class:`KitError` for an unknown profile or notebook.
    """
    chosen = get_profile(profile)
    wanted = _wanted(only)
    started = time.monotonic()
    with _locked(results_dir(chosen.name) / "pipeline.lock", report):
        # What a killed run was in the middle of; the lock is ours, so nobody is at it now.
        shutil.rmtree(results_dir(chosen.name) / "staging", ignore_errors=True)
        state = _State(chosen, seed, report)
        loader = _loader(state)
        for number, notebook in enumerate(wanted):
            state.prefix = f"[{number + 1:2d}/{len(wanted)}] {notebook.name}"
            _run_one(notebook, loader, state)
        manifest = figures_dir(chosen.name) / "manifest.json"
        if state.done or not manifest.exists():
            write_manifest(chosen, seed)
    seconds = f"{time.monotonic() - started:.1f} s"
    if state.failed:
        report(f"{len(state.failed)} of {len(wanted)} notebooks failed ({seconds}): {', '.join(state.failed)}")
        return 1
    where = f"figures/{chosen.name}"
    report(f"{where}: {len(state.done)} of {len(wanted)} notebooks rerun, the rest up to date ({seconds})")
    return 0


def _wanted(only: str | None) -> tuple[Notebook, ...]:
    if only is None:
        return NOTEBOOKS
    for notebook in NOTEBOOKS:
        if only in (notebook.name, notebook.name.split("_")[0]):
            found = {notebook.name}
            for earlier in reversed(NOTEBOOKS):
                makes = {*earlier.outputs, *earlier.results}
                if any(makes & set(later.needs) for later in NOTEBOOKS if later.name in found):
                    found.add(earlier.name)
            return tuple(candidate for candidate in NOTEBOOKS if candidate.name in found)
    raise KitError(f"notebook: found {only!r}, expected one of {', '.join(notebook.name for notebook in NOTEBOOKS)}")


@dataclass
class _State:
    """What one call of :func:`run` has done so far."""

    profile: Profile
    seed: int
    report: Callable[[str], object]
    prefix: str = ""

    def __post_init__(self) -> None:
        self.done: list[str] = []
        self.failed: list[str] = []
        self.message = ""


def _run_one(notebook: Notebook, loader: Any, state: _State) -> None:
    """One doit run a notebook, so that doit's database knows of every finished one even after a kill -9."""
    from doit.api import run_tasks

    makers = {made: maker.name for maker in NOTEBOOKS for made in (*maker.outputs, *maker.results)}
    broken = sorted({makers[name] for name in notebook.needs if makers[name] in state.failed})
    if broken:
        state.failed.append(notebook.name)
        state.report(f"{state.prefix}: skipped, needs {', '.join(broken)}")
        return
    before, state.message = len(state.done), ""
    started = time.monotonic()
    options = {"dep_file": str(results_dir(state.profile.name) / "doit.db"), "backend": "sqlite3", "reporter": "zero"}
    code = run_tasks(loader, {notebook.name: {}}, extra_config={"GLOBAL": options})
    if code != 0:
        state.failed.append(notebook.name)
        state.report(f"{state.prefix}: failed: {state.message or 'doit could not run it (see above)'}")
    elif len(state.done) > before:
        state.report(f"{state.prefix}: {time.monotonic() - started:.1f} s")
    else:
        state.report(f"{state.prefix}: up to date")


def _loader(state: _State) -> Any:
    """The doit tasks, one a notebook."""
    from doit.cmd_base import ModuleTaskLoader

    return ModuleTaskLoader({f"task_{notebook.name}": _task(notebook, state) for notebook in NOTEBOOKS})


def _task(notebook: Notebook, state: _State) -> Callable[[], dict[str, Any]]:
    profile = state.profile
    inputs: dict[str, Any] = {"profile": asdict(profile), "seed": state.seed, "versions": _versions()}
    if notebook.own_data:
        inputs["data"] = _listing(data_dir())
        inputs["foreign networks"] = [os.environ.get(key) for key in FOREIGN]
    if notebook.weights:
        inputs["ddrnet"] = checkpoint_state()
    dependencies = [str(path) for path in _dependencies(notebook, profile)]

    def create() -> dict[str, Any]:
        from doit.tools import config_changed

        return {
            "basename": notebook.name,
            "file_dep": dependencies,
            "targets": [str(path) for path in _targets(notebook, profile).values()],
            "actions": [(_action, [notebook, state])],
            "uptodate": [config_changed(inputs)],
            "verbosity": 2,
        }

    return create


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
    if notebook.weights and weights_dir().is_dir():
        files.update(path for path in weights_dir().iterdir() if path.suffix in (".h5", ".json"))
    if notebook.own_data:  # and what was measured on recordings that are not here
        files.update(figures_dir("recordings").glob("*.csv"))
    for maker in NOTEBOOKS:
        files.update(path for name, path in _targets(maker, profile).items() if name in notebook.needs)
    return sorted(files)


def _targets(notebook: Notebook, profile: Profile) -> dict[str, Path]:
    tracked = {name: figures_dir(profile.name) / name for name in notebook.outputs}
    return tracked | {name: results_dir(profile.name) / "results" / name for name in notebook.results}


def _listing(folder: Path) -> list[str]:
    """Names, sizes and times of the user's own recordings: reading gigabytes to notice a change would be too slow."""
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [f"{path.relative_to(folder)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]


def _action(notebook: Notebook, state: _State) -> object:
    """Run one notebook; what doit calls. Everything that goes wrong becomes one line."""
    from doit.exceptions import TaskFailed

    try:
        execute(notebook, state.profile, state.seed)
    except (KitError, OSError) as error:
        state.message = " ".join(str(error).split())
        return TaskFailed(state.message)
    state.done.append(notebook.name)
    return True


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
    started = time.monotonic()
    try:
        _papermill(notebook, profile, seed, staging, kept)
        _put_in_place(notebook, profile, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    record = {"notebook": notebook.name, "seconds": round(time.monotonic() - started, 1)}
    path = build / "records" / f"{notebook.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")


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
    made = {path.name: path for folder in ("figures", "results") for path in (staging / folder).glob("*")}
    targets = _targets(notebook, profile)
    if made.keys() != targets.keys():
        missing, more = sorted(targets.keys() - made.keys()), sorted(made.keys() - targets.keys())
        raise KitError(
            f"{notebook.name}: missing {missing or 'none'}, made {more or 'nothing'} that pipeline.py does not list"
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


@contextlib.contextmanager
def _locked(path: Path, report: Callable[[str], object]) -> Iterator[None]:
    """Hold a profile's lock; a second run waits. The system lets go of it when a run dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        if not _lock(file):
            report(f"another run of this profile holds {path.name}; waiting for it")
            while not _lock(file):
                time.sleep(0.5)
        yield


def _lock(file: Any) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- The manifest -------------------------------------------------------------------------------------------------


def write_manifest(profile: Profile, seed: int) -> Path:
    """Write ``figures/<profile>/manifest.json``: what made the files beside it. All but commit and seconds repeats."""
    folder = figures_dir(profile.name)
    records = {
        notebook.name: _read_json(results_dir(profile.name) / "records" / f"{notebook.name}.json")
        for notebook in NOTEBOOKS
    }
    outputs = sorted(name for notebook in NOTEBOOKS for name in notebook.outputs if (folder / name).is_file())
    machine = _read_json(results_dir(profile.name) / "results" / "machine.json")
    content = {
        "commit": _commit(),
        "profile": profile.name,
        "seed": seed,
        "settings": _settings_hash(profile),
        "versions": {"python": platform.python_version(), **_versions()},
        "device": machine.get("device", "unknown"),
        "seconds": {name: record["seconds"] for name, record in records.items() if record},
        **_other_seconds(profile),
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in outputs},
    }
    path = folder / "manifest.json"
    with write_atomically(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def _other_seconds(profile: Profile) -> dict[str, Any]:
    """For the default profile, whose manifest is shipped: how long the others took where it was made."""
    if profile.name != DEFAULT:
        return {}
    known = {
        name: seconds
        for name in PROFILES
        if name != DEFAULT and (seconds := _read_json(figures_dir(name) / "manifest.json").get("seconds"))
    }
    # What an earlier run knew is kept: a fresh clone has no other profile's manifest.
    before = _read_json(figures_dir(DEFAULT) / "manifest.json").get("seconds_of_other_profiles", {})
    return {"seconds_of_other_profiles": {**before, **known}}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


@cache
def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _settings_hash(profile: Profile) -> str:
    """One hash over all settings that the numbers depend on: profile, degradation, camera, faces."""
    from facedepth_kit.faces.people.parametric import FaceSettings
    from facedepth_kit.pairs.degradation import DegradationSettings
    from facedepth_kit.rendering.camera import Camera

    settings: Mapping[str, Any] = {
        "profile": asdict(profile),
        "degradation": asdict(DegradationSettings()),
        "faces": asdict(FaceSettings()),
        "camera": asdict(Camera()),
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()


def _commit() -> str:
    """The checked-out commit, with ``+changes`` when tracked files other than figures differ; "unknown" without git."""
    git = ["git", "-C", str(repository_root())]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)figures"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changes" if changed else commit
