"""The manifest beside a profile's figures: what made them (commit, seed, settings, versions, machine), and how fast."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import inspect
import json
import platform
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from facedepth_kit.common import paths
from facedepth_kit.common.paths import figures_dir, results_dir, write_atomically
from facedepth_kit.common.used_modules import used_modules
from facedepth_kit.pipeline import notebooks
from facedepth_kit.pipeline.profiles import DEFAULT, PROFILES, Profile

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


def write_manifest(profile: Profile, seed: int) -> Path:
    """Write ``figures/<profile>/manifest.json``: what made the files beside it. All but commit and seconds repeats.

    ``seconds`` are those of a first run of each notebook.
    """
    folder = figures_dir(profile.name)
    records = {notebook.name: read_record(profile.name, notebook.name) for notebook in notebooks.NOTEBOOKS}
    outputs = sorted(name for notebook in notebooks.NOTEBOOKS for name in notebook.outputs if (folder / name).is_file())
    machine = _read_json(results_dir(profile.name) / "results" / "machine.json")
    content = {
        "commit": _commit(),
        "profile": profile.name,
        "seed": seed,
        "settings": settings_digest(profile),
        "versions": {"python": platform.python_version(), **versions()},
        "device": machine.get("device", "unknown"),
        "seconds": {name: record["first_seconds"] for name, record in records.items() if "first_seconds" in record},
        **_other_seconds(profile),
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in outputs},
    }
    path = folder / "manifest.json"
    with write_atomically(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path


def read_record(profile: str, notebook: str) -> dict[str, Any]:
    """What :func:`write_record` wrote of a notebook's last run here; empty where there was none."""
    return _read_json(results_dir(profile) / "records" / f"{notebook}.json")


def write_record(profile: str, notebook: str, seconds: float, *, first: bool) -> None:
    """Note how long a run took.

    ``first``: it had to make pairs, camera images or a training that later runs find ready. The seconds of the last
    such run are what a reader is told.
    """
    before = read_record(profile, notebook).get("first_seconds")
    rounded = round(seconds, 1)
    record = {"notebook": notebook, "seconds": rounded, "first_seconds": rounded if first or not before else before}
    with write_atomically(results_dir(profile) / "records" / f"{notebook}.json", overwrite=True) as temporary:
        temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")


def durations(notebook: str) -> str:
    """How long a first run of a notebook takes at each profile: here, or where the shipped figures were made."""
    shipped = _read_json(figures_dir(DEFAULT) / "manifest.json").get("seconds_of_other_profiles", {})
    found = []
    for profile in PROFILES:
        here = _read_json(figures_dir(profile) / "manifest.json").get("seconds", {})
        seconds = {**shipped.get(profile, {}), **here}.get(notebook)
        if seconds is not None:
            found.append(f"{profile} {seconds:.0f} s")
    return ", ".join(found) or "not measured yet"


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
def versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def default_settings(modules: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Every frozen dataclass with default values that the kit's modules define: qualified name -> field -> default.

    Settings of degradation, synthesis, sensors, roughness, relief and all others, without a list of them to keep.
    """
    found: dict[str, dict[str, Any]] = {}
    for name in modules:
        try:
            module = importlib.import_module(name)
        except Exception:  # a notebook that uses it has failed with this very error
            continue
        for kind in vars(module).values():
            if not (inspect.isclass(kind) and kind.__module__ == name and dataclasses.is_dataclass(kind)):
                continue
            defaults = {field.name: _default(field) for field in dataclasses.fields(kind)}
            defaults = {key: value for key, value in defaults.items() if value is not dataclasses.MISSING}
            if getattr(kind, "__dataclass_params__").frozen and defaults:  # noqa: B009  (typeshed does not know it)
                found[f"{name}.{kind.__qualname__}"] = defaults
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def settings_digest(profile: Profile) -> str:
    """SHA-256 over the profile's sizes and the default of every setting in the modules that the notebooks use."""
    modules: set[str] = set()
    for notebook in notebooks.NOTEBOOKS:
        # A notebook that is missing or cannot be read has failed, and the run has said so.
        with contextlib.suppress(OSError, SyntaxError, UnicodeDecodeError):
            modules.update(used_modules(notebook.source))
    content = {"profile": dataclasses.asdict(profile), **default_settings(sorted(modules))}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


def _commit() -> str:
    """The checked-out commit, with ``+changes`` when tracked files other than figures differ; "unknown" without git."""
    git = ["git", "-C", str(paths.repository_root())]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        status = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":(exclude)figures"]
        changed = subprocess.run(status, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changes" if changed else commit
