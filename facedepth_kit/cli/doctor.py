"""What is installed, found and missing: the findings behind ``facedepth doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from facedepth_kit import __version__
from facedepth_kit.cli.terminal import say
from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import data_dir, repository_root

State = Literal["ok", "note", "absent", "broken"]
SIGNS: dict[State, str] = {"ok": "ok", "note": "note", "absent": "absent", "broken": "MISSING"}
DISTRIBUTION = "facedepth-kit"
GIB = 2**30
# What each extra of the package is for, as pip installs it without the repository.
EXTRAS = {
    "notebooks": "the notebooks, their panels and facedepth figures",
    "cameras": "the RealSense SDK: its filters, live cameras, .bag and .db3 files",
    "fast": "OpenVINO, which runs the small network faster",
    "cluster": "synthesis and evaluation on several machines",
    "book": "the notebooks as a static site",
    "dev": "tests and checks",
    "photos": "MediaPipe's .task files for photos",
}
NEED_REPOSITORY = ("book", "dev")


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``absent`` is optional and not there; ``broken`` is needed and not there or not sound.

    ``fix`` is the one line that mends it, empty where there is nothing to do.
    """

    topic: str
    state: State
    text: str
    fix: str = ""


def examine() -> Iterator[Finding]:
    """All findings, topic by topic, as they come: loading TensorFlow takes seconds."""
    yield from machine()
    yield from packages()
    yield from keras_device()
    yield from realsense()
    yield from dlib_model()
    yield from weights()
    yield from data_sets()


def advice(findings: Iterable[Finding]) -> list[str]:
    """The closing lines: what is missing and the line that mends it, needed things first."""
    listed = list(findings)
    lines = []
    for state, word in (("broken", "missing"), ("absent", "optional")):
        for finding in listed:
            if finding.state == state:
                lines.append(f"{word}: {finding.text}{': ' + finding.fix if finding.fix else ''}")
    if not any(finding.state == "broken" for finding in listed):
        lines.append("Everything that the kit needs is there.")
    return lines


@click.command()
def doctor() -> int:
    """Say what is installed and found, and what is missing; 1 if something that the kit needs is missing."""
    findings = []
    topic = ""
    for finding in examine():
        if finding.topic != topic:
            topic = finding.topic
            say(topic)
        say(f"  {SIGNS[finding.state]:<8} {finding.text}")
        findings.append(finding)
    say("")
    for line in advice(findings):
        say(line)
    return 1 if any(finding.state == "broken" for finding in findings) else 0


def installation(extra: str = "") -> str:
    """The line that installs what is missing: make in the repository, pip elsewhere."""
    try:
        repository_root()
    except KitError:
        wheel = f"facedepth_kit-{__version__}-py3-none-any.whl"
        return f"pip install '{wheel}[{extra}]'" if extra else f"pip install --force-reinstall {wheel}"
    return "pip install 'mediapipe>=1.2,<2'" if extra == "photos" else "make setup"


def machine() -> Iterator[Finding]:
    """Python, cores, memory and disk."""
    import psutil

    topic = "machine"
    version = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    if (3, 11) <= sys.version_info < (3, 14):
        yield Finding(topic, "ok", version)
    else:
        yield Finding(
            topic,
            "broken",
            f"{version}, the kit needs 3.11 to 3.13",
            "install one of these and make the environment with it",
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = psutil.virtual_memory()
    yield Finding(
        topic, "ok", f"{cores} cores, {memory.total / GIB:.1f} GiB memory ({memory.available / GIB:.1f} free)"
    )
    try:
        place = repository_root()
    except KitError:
        place = Path.cwd()
    free = shutil.disk_usage(place).free / GIB
    if free >= 2:
        yield Finding(topic, "ok", f"{free:.0f} GiB free on disk")
    else:
        yield Finding(topic, "note", f"{free:.1f} GiB free on disk: pairs and training want 2 GiB or more")


def locked_versions(lock: Path) -> dict[str, str]:
    """Name to version of what requirements.lock pins for this Python and platform."""
    versions: dict[str, str] = {}
    for line in lock.read_text(encoding="utf-8").splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            requirement = Requirement(line.removesuffix("\\").strip())
            if requirement.marker is None or requirement.marker.evaluate():
                versions[canonicalize_name(requirement.name)] = str(requirement.specifier).removeprefix("==")
    return versions


def packages() -> Iterator[Finding]:
    """Every direct dependency, and those of the extras: missing, other than in the lock, or as it should be."""

    topic = "packages"
    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or ()]
    except importlib.metadata.PackageNotFoundError:
        yield Finding(topic, "broken", f"{DISTRIBUTION} is not installed in this Python", installation())
        return
    try:
        locked = locked_versions(repository_root() / "requirements.lock")
    except (KitError, OSError):
        locked = {}
    as_tested: list[str] = []
    for extra in ("", *EXTRAS):
        if extra in NEED_REPOSITORY and not locked:
            continue
        missing, unfit = [], []
        for requirement in (entry for entry in requirements if _belongs(entry, extra)):
            name, version = requirement.name, _version(requirement)
            pinned = locked.get(canonicalize_name(name), version)
            if version is None:
                missing.append(name)
            elif not requirement.specifier.contains(version, prereleases=True):
                unfit.append(f"{name} is {version}, the kit needs {requirement.specifier}")
            elif version != pinned:
                yield Finding(topic, "note", f"{name} {version}, tested with {pinned} (requirements.lock)")
            else:
                as_tested.append(f"{name} {version}")
        problems = [*unfit, f"no {', '.join(missing)}"] if missing else unfit
        if problems:
            package = f"the extra {extra} ({EXTRAS[extra]})" if extra else DISTRIBUTION
            text = f"{package} is not complete: {'; '.join(problems)}"
            yield Finding(topic, "absent" if extra else "broken", text, installation(extra))
    if as_tested:
        state = f"{len(as_tested)} direct dependencies {'as tested' if locked else 'of fitting versions'}"
        yield Finding(topic, "ok", f"{state}: {', '.join(sorted(as_tested))}")


def extra_with(module: str) -> str | None:
    """The extra that brings a module of another package, None if none does."""
    wanted = canonicalize_name(module.split(".")[0])
    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires(DISTRIBUTION) or ()]
    except importlib.metadata.PackageNotFoundError:
        return None
    found = (extra for extra in EXTRAS for entry in requirements if _belongs(entry, extra) and entry.name == wanted)
    return next(found, None)


def _belongs(requirement: Requirement, extra: str) -> bool:
    """Whether this platform wants a requirement for an extra (or, with an empty name, in any case)."""
    always = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    if not extra or always:
        return always and not extra
    return requirement.marker is not None and requirement.marker.evaluate({"extra": extra})


def _version(requirement: Requirement) -> str | None:
    try:
        return importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return None


def keras_device() -> Iterator[Finding]:
    """Keras' backend and what it computes on."""
    topic = "Keras"
    chosen = os.environ.get("KERAS_BACKEND") or "tensorflow"
    try:
        import keras

        backend = keras.backend.backend()
        devices = _devices(backend)
    except Exception as error:  # a broken native library raises anything
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = installation() if chosen == "tensorflow" else f"pip install {chosen}, or unset KERAS_BACKEND"
        yield Finding(topic, "broken", f"Keras does not load with {chosen} ({line})", fix)
        return
    device = ", ".join(devices) or "CPU"
    yield Finding(topic, "ok", f"Keras {keras.__version__} with {backend} on {device}")
    if not devices and Path("/proc/driver/nvidia/version").exists():
        text = (
            f"an NVIDIA GPU is there, but {backend} does not use it: environment.yml says how to install the GPU build"
        )
        yield Finding(topic, "note", text)


def _devices(backend: str) -> list[str]:
    """Names of the accelerators that a Keras backend sees."""
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        return [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    if backend == "jax":
        import jax

        return [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    if backend == "torch":
        import torch

        return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return []


def realsense() -> Iterator[Finding]:
    """The RealSense SDK, and the libusb it needs."""
    from facedepth_kit.common.realsense_sdk import realsense_sdk

    topic = "cameras and faces"
    try:
        sdk = realsense_sdk()
    except (KitError, ImportError, OSError) as error:
        wanted = _sdk()
        system = f"{platform.system()} {platform.machine()}"
        if wanted is None:
            text = f"the RealSense SDK has no package for {system}: its rows are left out"
            yield Finding(topic, "absent", text)
        elif _version(wanted) is None:
            text = "the RealSense SDK is not installed: its rows are left out"
            yield Finding(topic, "absent", text, installation("cameras"))
        else:
            fix = "apt-get install libusb-1.0-0" if "libusb" in str(error) else installation("cameras")
            yield Finding(topic, "broken", f"the RealSense SDK does not load ({error})", fix)
        return
    yield Finding(topic, "ok", f"RealSense SDK {getattr(sdk, '__version__', 'of unknown version')}, libusb found")


def _sdk() -> Requirement | None:
    """The SDK's package for this platform, if there is one."""
    lines = importlib.metadata.requires(DISTRIBUTION) or ()
    named = [requirement for line in lines if (requirement := Requirement(line)).name.startswith("pyrealsense2")]
    return next((requirement for requirement in named if _belongs(requirement, "cameras")), None)


def dlib_model() -> Iterator[Finding]:
    """Dlib and its 68-point model."""
    from facedepth_kit.faces.detection import landmark_model

    topic = "cameras and faces"
    try:
        import dlib

        yield Finding(topic, "ok", f"Dlib {dlib.__version__}")
    except ImportError as error:
        yield Finding(topic, "broken", f"Dlib does not load ({error})", installation())
    try:
        landmark_model()
        yield Finding(topic, "ok", "Dlib's 68-point model")
    except KitError as error:
        yield Finding(topic, "broken", str(error), installation())


def weights() -> Iterator[Finding]:
    """Weights by model card, the user's own and the shipped ones, against their SHA-256; networks without weights."""
    from facedepth_kit.enhancers import names
    from facedepth_kit.networks.cards import model_cards

    cards = model_cards()
    for card in cards:
        shipped = card.parent == paths.SHIPPED_WEIGHTS
        again = "git restore facedepth_kit/weights" if installation() == "make setup" else installation()
        state, text = _weights_state(card)
        fix = (again if shipped else "facedepth train makes it anew") if state == "broken" else ""
        yield Finding(f"weights in {card.parent}", state, text, fix)
    without = sorted({name for name in names() if name.startswith("DL-")} - {card.stem for card in cards})
    if without:
        yield Finding("weights", "absent", f"no weights for {', '.join(without)}", "facedepth train makes them")


def _weights_state(card: Path) -> tuple[State, str]:
    from facedepth_kit.networks.cards import check_weights

    try:
        _, file = check_weights(card)
    except KitError as error:
        return "broken", f"{card.stem}: {error}"
    return "ok", f"{card.stem} ({file.stat().st_size / 2**20:.1f} MiB, SHA-256 as in its model card)"


@dataclass(frozen=True)
class DataSet:
    """Something that the user may bring: where it is looked for, and how to get it."""

    title: str
    variable: str
    folder: str
    marker: str
    fix: str


DATA_SETS = (
    DataSet(
        "KinectFaceDB",
        "FACEDEPTH_DATA",
        "",
        "EURECOM_Kinect_Face_Dataset",
        "request it from EURECOM and unpack it into the data folder",
    ),
)


def data_sets() -> Iterator[Finding]:
    """Data sets and foreign networks, none of which the kit needs."""
    topic = "data sets and foreign networks (optional)"
    for known in DATA_SETS:
        given = os.environ.get(known.variable)
        folder = Path(given).expanduser() if given else data_dir() / known.folder
        if folder.is_dir() and next(folder.glob(known.marker), None) is not None:
            yield Finding(topic, "ok", f"{known.title} in {folder}")
        else:
            text = f"{known.title} is not in {folder}"
            yield Finding(topic, "absent", text, f"{known.fix}, or set {known.variable}")
    yield prnet(topic)
    yield face_mesh(topic)
    yield ddrnet(topic)
    yield from published_networks(topic)


def prnet(topic: str) -> Finding:
    """PRNet's files, which make photos 3D as in the paper: all there and of the official size, some, or none."""
    from facedepth_kit.faces.photos.prnet import (
        FILES,
        NET_FOLDER,
        REPOSITORY,
        TERMS,
        UV_FOLDER,
        file_problems,
        find_root,
    )

    folder = find_root()
    problems = file_problems()
    if not problems:
        return Finding(topic, "ok", f"PRNet in {folder} (SHA-256 is checked when it is used)")
    fix = (
        f"fetch its network by the links in the README of {REPOSITORY} into {folder / NET_FOLDER}, and the index files "
        f"from its {UV_FOLDER} into {folder / UV_FOLDER} ({TERMS}), or set FACEDEPTH_PRNET"
    )
    if len(problems) == len(FILES) and not any((folder / path).exists() for path in FILES):
        return Finding(topic, "absent", f"PRNet is not in {folder}: photos need it, or MediaPipe's face mesh", fix)
    return Finding(topic, "broken", f"PRNet in {folder}: {', '.join(problems)}", fix)


def face_mesh(topic: str) -> Finding:
    """MediaPipe's face mesh, the free way to try photos: a wheel that is read, or a task file and the package."""
    import importlib.util

    from facedepth_kit.faces.photos.mediapipe_mesh import FETCH, find_model

    try:
        model = find_model()
    except KitError:
        folder = os.environ.get("FACEDEPTH_FACE_MESH") or data_dir() / "mediapipe"
        fix = f"{FETCH} -d {folder} (Apache 2.0; it is read, not installed)"
        return Finding(topic, "absent", f"MediaPipe's face mesh is not in {folder}", fix)
    if model.suffix == ".task" and importlib.util.find_spec("mediapipe") is None:
        text = f"{model} wants the mediapipe package, which is not installed"
        return Finding(topic, "broken", text, installation("photos"))
    return Finding(topic, "ok", f"MediaPipe's face mesh in {model}")


def ddrnet(topic: str) -> Finding:
    """Whether DDRNet's own checkpoint is found, or its stand-in runs; only names and sizes are looked at."""
    from facedepth_kit.enhancers.ddrnet import PUBLISHED_DATA_BYTES, find_checkpoint
    from facedepth_kit.networks.weights import checkpoint_files

    given = os.environ.get("FACEDEPTH_DDRNET")
    prefix = find_checkpoint()
    if prefix is None:
        folder = Path(given).expanduser() if given else data_dir() / "DDRNet"
        text = f"DDRNet's own checkpoint is not in {folder}; the row DDRNet-dn runs on the kit's stand-in"
        fix = "fetch it as github.com/neycyanshi/DDRNet says, or set FACEDEPTH_DDRNET"
        return Finding(topic, "absent", text, fix)
    data = checkpoint_files(prefix)[1]
    if not data.is_file():
        text = f"{prefix}: found the index, but no {data.name}, so DDRNet-dn cannot run"
        return Finding(topic, "broken", text, "fetch both files, or remove the index to have the stand-in")
    if (size := data.stat().st_size) != PUBLISHED_DATA_BYTES:
        text = f"{data}: {size:,} bytes, the published file has {PUBLISHED_DATA_BYTES:,}"
        return Finding(topic, "note", f"{text}: DDRNet-dn reads it if its variables are sound")
    return Finding(topic, "ok", f"DDRNet's own checkpoint {prefix}: the row DDRNet-dn runs on it")


def published_networks(topic: str) -> Iterator[Finding]:
    """Whether the weights of DDD and DRR, rows of the second paper's Table 1, lie where they are looked for."""
    from facedepth_kit.networks.published import PUBLISHED_NETWORKS

    for network in PUBLISHED_NETWORKS:
        if network.present:
            yield Finding(topic, "ok", f"{network.name}'s weights {network.path}: its row in Table 1 runs on them")
        else:
            text = f"{network.name}'s weights are not in {network.path.parent}; its row in Table 1 stays empty"
            yield Finding(topic, "absent", text, network.fetch)
