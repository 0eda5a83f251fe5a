"""The one list of dependencies, the lock made of it, and the set-up that make does."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_machine": "x86_64", "platform_system": "Linux", "os_name": "posix"},
    "linux-arm": {
        "sys_platform": "linux",
        "platform_machine": "aarch64",
        "platform_system": "Linux",
        "os_name": "posix",
    },
    "macos": {"sys_platform": "darwin", "platform_machine": "arm64", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_machine": "AMD64", "platform_system": "Windows", "os_name": "nt"},
}


def environment() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8")))


def listed() -> list[Requirement]:
    (pip,) = [entry["pip"] for entry in environment()["dependencies"] if isinstance(entry, dict)]
    return [Requirement(line) for line in pip if not line.startswith("-e")]


def locked() -> Iterator[tuple[Requirement, list[str]]]:
    """Each entry of the lock with its hashes."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if not line.startswith("#"):
            requirement, *hashes = line.split("--hash=")
            yield Requirement(requirement.strip()), [value.strip() for value in hashes]


def comparable(requirement: Requirement) -> tuple[str, str, str]:
    return canonicalize_name(requirement.name), str(requirement.specifier), str(requirement.marker or "")


def test_environment_and_pyproject_list_the_same() -> None:
    # mediapipe brings another OpenCV: photos is an extra that nobody gets unasked.
    extras = [lines for extra, lines in PROJECT["optional-dependencies"].items() if extra != "photos"]
    declared = [*PROJECT["dependencies"], *(line for lines in extras for line in lines)]
    assert sorted(map(comparable, listed())) == sorted(comparable(Requirement(line)) for line in declared)


def test_environment_and_pyproject_want_the_same_python() -> None:
    (python,) = [line for line in environment()["dependencies"] if isinstance(line, str) and line.startswith("python ")]
    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["requires-python"])


@pytest.mark.parametrize("file", ["environment.yml", "pyproject.toml"])
def test_every_dependency_says_what_it_is_for(file: str) -> None:
    names = "|".join(re.escape(requirement.name) for requirement in listed())
    entry = re.compile(rf"""\s+(- |["'])({names})[>=]""")
    lines = [line for line in (ROOT / file).read_text(encoding="utf-8").splitlines() if entry.match(line)]
    assert len(lines) == len(listed())
    assert [line for line in lines if "  # " not in line] == []


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_pins_every_dependency_once(platform: str, python: str) -> None:
    values = {**PLATFORMS[platform], "python_version": python, "python_full_version": f"{python}.9"}

    def applies(requirement: Requirement) -> bool:
        return requirement.marker is None or requirement.marker.evaluate(values)

    pins: dict[str, str] = {}
    for entry, _ in locked():
        if applies(entry):
            assert canonicalize_name(entry.name) not in pins
            pins[canonicalize_name(entry.name)] = str(entry.specifier).removeprefix("==")
    for requirement in filter(applies, listed()):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)], prereleases=True)
    assert {"tensorflow", "tensorflow-cpu"} & pins.keys()


def test_the_lock_is_hashed_and_names_no_host_and_no_path() -> None:
    assert all(
        hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes) for _, hashes in locked()
    )
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert not re.search(r"://|^-|(^|\s)/|@", text, re.MULTILINE)


def test_every_import_is_a_direct_dependency() -> None:
    direct = {canonicalize_name(requirement.name) for requirement in listed()}
    distributions = {**importlib.metadata.packages_distributions(), "dlib": ["dlib-bin"]}  # its wheel does not say
    own = {"facedepth_kit", "tests", "tools"} | {file.stem for file in (ROOT / "tools").glob("*.py")}
    own |= sys.stdlib_module_names
    # Other Keras backends, imported only where one has been chosen; the extra photos; TensorFlow's interpreter, once it
    # is a package of its own.
    optional = {"jax", "torch", "mediapipe", "ai_edge_litert"}
    undeclared = set()
    for folder in ("facedepth_kit", "tests", "notebooks/src", "tools"):
        for file in (ROOT / folder).rglob("*.py"):
            for name in imported(file) - own - optional:
                if not {canonicalize_name(found) for found in distributions.get(name, [name])} & direct:
                    undeclared.add(f"{file.relative_to(ROOT).as_posix()}: {name}")
    assert sorted(undeclared) == []


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports, functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_the_wheel_stands_alone(tmp_path: Path) -> None:
    """What is no Python file, weights and recipes among it, is in the wheel; tests and tools are not."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / name)
    package = tmp_path / "facedepth_kit"
    shutil.copytree(ROOT / "facedepth_kit", package, ignore=shutil.ignore_patterns("__pycache__"))
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {path.relative_to(tmp_path).as_posix() for path in package.rglob("*") if path.is_file()} <= set(names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"facedepth_kit"}
    assert any(name.startswith("facedepth_kit/weights/DL-Kit-1.") for name in names)


def test_enhancing_needs_no_extra(tmp_path: Path) -> None:
    extras = {
        canonicalize_name(Requirement(line).name)
        for lines in PROJECT["optional-dependencies"].values()
        for line in lines
    }
    distributions = importlib.metadata.packages_distributions()
    modules = [
        name for name, owners in distributions.items() if {canonicalize_name(owner) for owner in owners} & extras
    ]
    np.save(tmp_path / "depth.npy", np.full((64, 64), 700, np.uint16))
    code = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(modules)!r}))  # as if none were installed
from facedepth_kit.cli.main import main
sys.exit(main(["enhance", "depth.npy", "--output", "out", "--enhancer", "Telea"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "depth.npy").is_file()


def test_what_continuous_integration_makes_can_be_made() -> None:
    files = [ROOT / ".ci" / "run", *(ROOT / ".github" / "workflows").glob("*.yml")]
    command = re.compile(r"^ *(?:- run: |run: |again=\$\()?make ([a-z-]+)", re.MULTILINE)
    used = {target for file in files for target in command.findall(file.read_text(encoding="utf-8"))}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"figures", "test", "book"} <= used
    assert used <= targets


# A stand-in for a Python interpreter: notes what it is asked to do, and makes a .venv that holds itself.
PYTHON_STAND_IN = """#!/bin/sh
echo "$*" >> "$NOTES"
case "$*" in
    *ensurepip*) [ -z "${WITHOUT_VENV:-}" ] ;;
    *version_info\\[:2\\]*) echo 3.12 ;;
    *--version*) echo Python 3.12.9 ;;
    *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
    *"pip install"*) [ -z "${WITHOUT_INDEX:-}" ] ;;
esac
"""


class Clone:
    """A clone's set-up files under a path with a blank, and a machine whose only Python is the stand-in."""

    def __init__(self, folder: Path, *, python: bool) -> None:
        self.folder = folder / "a clone"
        (self.folder / "tools").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "requirements.lock", "tools/setup.sh"):
            shutil.copy(ROOT / name, self.folder / name)
        programs = folder / "programs"
        programs.mkdir()
        for program in ("sh", "make", "cat", "cp", "dirname", "echo", "mkdir", "rm", "sed"):
            (programs / program).symlink_to(str(shutil.which(program)))
        if python:
            (programs / "python3").write_text(PYTHON_STAND_IN)
            (programs / "python3").chmod(0o755)
        self.notes = folder / "notes"
        self.environment = {"PATH": str(programs), "NOTES": str(self.notes)}

    def make(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        self.notes.write_text("")
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env=self.environment | extra,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def asked(self) -> str:
        return self.notes.read_text()


needs_make = pytest.mark.skipif(os.name == "nt" or shutil.which("make") is None, reason="needs make")


@needs_make
def test_set_up_once_then_start_at_once(tmp_path: Path) -> None:
    clone = Clone(tmp_path, python=True)
    first = clone.make("figures", "PROFILE=smoke")
    assert first.returncode == 0, first.stderr
    assert "-m venv" in clone.asked
    assert "--require-hashes" in clone.asked
    assert clone.asked.rstrip().endswith("-m facedepth_kit.cli figures --profile smoke")
    assert clone.make("figures").returncode == 0
    assert "venv" not in clone.asked
    assert "pip" not in clone.asked
    assert clone.asked.rstrip().endswith("figures --profile laptop")


@needs_make
def test_a_set_up_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    clone = Clone(tmp_path, python=True)
    assert clone.make("setup", WITHOUT_INDEX="1").returncode != 0
    assert clone.make("setup").returncode == 0
    assert "-m venv" in clone.asked
    assert clone.make("setup").returncode == 0
    assert "pip" not in clone.asked


@needs_make
def test_a_new_lock_is_installed_into_the_same_environment(tmp_path: Path) -> None:
    clone = Clone(tmp_path, python=True)
    assert clone.make("setup").returncode == 0
    later = (clone.folder / ".venv" / "ready").stat().st_mtime + 10
    os.utime(clone.folder / "requirements.lock", (later, later))
    assert clone.make("setup").returncode == 0
    assert "-m venv" not in clone.asked
    assert "-r requirements.lock" in clone.asked


@needs_make
def test_a_clone_that_was_moved_is_installed_again(tmp_path: Path) -> None:
    clone = Clone(tmp_path, python=True)
    assert clone.make("setup").returncode == 0
    clone.folder = clone.folder.rename(tmp_path / "moved")
    assert clone.make("setup").returncode == 0
    assert "--editable" in clone.asked


@needs_make
@pytest.mark.parametrize(
    ("python", "extra", "arguments", "expected"),
    [
        (False, {}, [], "found no Python 3.11 to 3.13: install one, or name it: make PYTHON=/path/to/python"),
        (False, {}, ["PYTHON=/no where/python3"], "found no Python 3.11 to 3.13 in /no where/python3"),
        (True, {"WITHOUT_VENV": "1"}, [], "Python 3.12 has no venv module: apt-get install python3.12-venv"),
    ],
)
def test_a_machine_without_what_it_takes_is_told_in_one_line(
    python: bool, extra: dict[str, str], arguments: list[str], expected: str, tmp_path: Path
) -> None:
    done = Clone(tmp_path, python=python).make("setup", *arguments, **extra)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert line.startswith(f"setup: {expected}")
