"""``python -m tests.kills [--kills 30] [WORK ...]``, or ``make kill``: kill -9 at random moments, go on, compare.

Each piece of work is started in an empty folder and killed, half of the times within its first 200 ms and half at any
moment of its length; every third time the run that goes on is killed, too. Then a run goes on to the end. Its files
must be those of a run that was never killed, no process may live on, and nothing unfinished may lie about. The work is
that of the commands, with parts small enough for many to be made in a second.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from PIL import Image
from tqdm import tqdm

from facedepth_kit.cameras.recorded import realsense as realsense_files
from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.simulated import paired_recordings
from facedepth_kit.cameras.simulated.data_sets import (
    KinectSettings,
    RealSenseSettings,
    write_kinectfacedb,
    write_realsense,
)
from facedepth_kit.cameras.simulated.paired_recordings import PairSettings
from facedepth_kit.cameras.simulated.sensors import ActiveStereo
from facedepth_kit.common.paths import TEMPORARY, write_atomically
from facedepth_kit.common.tables import read_table, records, write_table
from facedepth_kit.enhancers import files
from facedepth_kit.evaluation import error
from facedepth_kit.faces.photos import screening
from facedepth_kit.pairs import photo_pairs, store
from tests.faces.sources import Bowls

BEGINNING_S = 0.2
BAG = Path(__file__).parents[1] / "cameras" / "recorded" / "sdk_2_56.bag"
SMALL = RealSenseSettings(ActiveStereo(focal_px=160.0), 320, 180, 230.0, frames_per_recording=1)


def write_photos(folder: Path, count: int) -> None:
    """Plain photos of all greys, one in ten a copy of the one before."""
    folder.mkdir()
    for number in range(count):
        grey = (number - (number % 10 == 9)) * 7 % 200 + 40
        Image.new("RGB", (40 + number // 200, 40), (grey,) * 3).save(folder / f"{number:04d}.png")


def synthesize(folder: Path, inputs: Path) -> None:
    """Twelve shards of four pairs, here."""
    store.synthesize(folder / "store", 48, seed=1, workers=1, progress=False)


def synthesize_on_workers(folder: Path, inputs: Path) -> None:
    """The same by two processes."""
    store.synthesize(folder / "store", 48, seed=1, workers=2, progress=False)


def synthesize_photos(folder: Path, inputs: Path) -> None:
    """Fifteen shards of four pairs of photos."""
    photo_pairs.synthesize_photos(inputs, folder / "store", Bowls(), seed=1, which="whole", progress=False)


def screen(folder: Path, inputs: Path) -> None:
    """Table I of sixty photos, in parts of four."""
    source = Bowls()
    side = np.linspace(-1, 1, 24)
    bowl = 1 - (side[:, None] ** 2 + side**2) / 2
    u, v = np.meshgrid(90 * side, 90 * side)
    examples = [np.stack([u, v, depth * bowl], axis=-1).reshape(-1, 3) for depth in range(20, 90, 5)]
    screening.screen(
        inputs,
        folder / "table.csv",
        meshes=photo_pairs.photo_meshes(source, "whole"),
        ranges=screening.learn_ranges(examples, source.triangles, source=source.name),
        triangles=source.triangles,
        progress=False,
        overwrite=True,
    )


def realsense(folder: Path, inputs: Path) -> None:
    """Six simulated recordings of a frame, here."""
    write_realsense(folder / "set", 6, seed=1, settings=SMALL, workers=1, progress=False)


def realsense_on_workers(folder: Path, inputs: Path) -> None:
    """The same by two processes."""
    write_realsense(folder / "set", 6, seed=1, settings=SMALL, workers=2, progress=False)


def kinectfacedb(folder: Path, inputs: Path) -> None:
    """One simulated person of KinectFaceDB, eighteen pictures."""
    write_kinectfacedb(folder / "set", 1, seed=1, settings=KinectSettings(), workers=1, progress=False)


def evaluate(folder: Path, inputs: Path) -> None:
    """Errors of an enhancer on 48 pairs, in parts of four."""
    error.evaluate_parts(folder / "parts", inputs.parent / "store", ["None"], part=4, progress=False)


def record(folder: Path, inputs: Path) -> None:
    """A file of the RealSense SDK becomes a folder; again, it replaces what a killed run has left."""
    with FolderWriter(folder / "recording", overwrite=True) as writer:
        realsense_files.record(realsense_files.BagFile(BAG), writer)


def simulate_pair(folder: Path, inputs: Path) -> None:
    """Half a second of two simulated cameras; again, it replaces what a killed run has left."""
    settings = PairSettings(seconds=0.5, lower_fps=6, higher_fps=6)
    paired_recordings.simulate_pair(folder / "pair", seed=1, number=1, settings=settings, overwrite=True)


def enhance(folder: Path, inputs: Path) -> None:
    """Forty depth files; again, they are written anew."""
    os.chdir(folder)  # the summary names the files
    settings = files.EnhanceSettings(Path("out"), "None", box=(10, 5, 55, 45), overwrite=True)
    assert all(report.ok for report in files.enhance_files([inputs.parent / "depth"], settings))


def denoise(folder: Path, inputs: Path) -> None:
    """The same forty with their pictures by a denoiser that needs no weights; again, they are written anew."""
    os.chdir(folder)
    unchanged: Any = Unchanged()
    reports = files.denoise_files(inputs.parent / "depth", Path("out"), unchanged, overwrite=True)
    assert all(report.ok for report in reports)


class Unchanged:
    """A denoiser that leaves the depth as it is."""

    def forget(self) -> None:
        """There is nothing to forget."""

    def __call__(self, depth_mm: Any, picture: Any, person: Any) -> Any:
        """The same depth."""
        return depth_mm


def write_depth(folder: Path, count: int) -> None:
    """Recorded frames of a bowl, with their pictures."""
    y, x = np.mgrid[0:48, 0:64]
    bowl = (700 + 3 * np.hypot(y - 24, x - 32)).astype(np.uint16)
    with FolderWriter(folder, unit_mm=1.0) as writer:
        for number in range(count):
            picture = np.full((48, 64, 3), number, np.uint8)
            writer.write(RecordedFrame("", bowl + np.uint16(number), 1.0, picture=picture))


def train(folder: Path, inputs: Path) -> None:
    """Six epochs of a tiny network; what is compared are its weights, for a run also keeps the time that it took."""
    import keras

    from facedepth_kit.networks.trainer import CHECKPOINT, TrainingSettings
    from facedepth_kit.networks.trainer import train as train_network

    def build() -> keras.Model:
        layers = [keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, padding="same")]
        return keras.Sequential(layers, name="tiny")

    _, weights = train_network(build, Noise(), folder / "run", TrainingSettings(loss="image"), progress_bar=False)
    with write_atomically(folder / "weights.npy", overwrite=True) as temporary:
        np.save(temporary, np.concatenate([weight.ravel() for weight in weights]))
    (folder / "run" / CHECKPOINT).unlink()
    (folder / "run").rmdir()


class Noise:
    """Six epochs of a few batches that depend on nothing but their numbers."""

    fingerprint, epochs, batch_size = "noise", 6, 4

    def steps(self, epoch: int) -> int:
        """Batches of an epoch."""
        return 20

    def new_data(self, epoch: int) -> bool:
        """Whether losses start to compare anew."""
        return epoch == 0

    def batch(self, epoch: int, index: int) -> tuple[Any, Any]:
        """Inputs and targets."""
        images = np.random.default_rng([epoch, index]).random((2, 4, 8, 8, 1), np.float32)
        return images[0], images[1]


WORK: dict[str, Callable[[Path, Path], None]] = {
    "synthesize": synthesize,
    "synthesize on two workers": synthesize_on_workers,
    "synthesize from photos": synthesize_photos,
    "screen": screen,
    "simulated RealSense": realsense,
    "simulated RealSense on two workers": realsense_on_workers,
    "simulated KinectFaceDB": kinectfacedb,
    "evaluate": evaluate,
    "record": record,
    "simulate-pair": simulate_pair,
    "enhance": enhance,
    "denoise": denoise,
    "train": train,
}
SLOW = ("train",)  # TensorFlow has to start for each: a tenth of the kills


@dataclass
class Count:
    """What became of a piece of work: how often it was killed, and at how many of the moments it had begun to write."""

    kills: int = 0
    in_the_middle: int = 0


def start(work: Callable[[Path, Path], None], folder: Path, inputs: Path) -> int:
    """Run the work in a process, and session, of its own; a fork, so that it begins at once."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        work(folder, inputs)
        code = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def finish(work: Callable[[Path, Path], None], folder: Path, inputs: Path) -> float:
    """Run the work to its end; returns how long it took."""
    began = time.monotonic()
    child = start(work, folder, inputs)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"a run ended with {status}"
    _wait_for_end(child)
    return time.monotonic() - began


def kill(work: Callable[[Path, Path], None], folder: Path, inputs: Path, after_s: float) -> None:
    """Start the work and kill its process, not its workers."""
    child = start(work, folder, inputs)
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), f"a run ended with {status}"
    _wait_for_end(child)


def _wait_for_end(session: int) -> None:
    """All processes of a session; multiprocessing's tracker of resources ends by itself."""
    deadline = time.monotonic() + 30
    while left := [pid for pid in psutil.pids() if _session(pid) == session]:
        assert time.monotonic() < deadline, f"processes live on: {[psutil.Process(pid).cmdline() for pid in left]}"
        time.sleep(0.01)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid) if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE else -1
    except (OSError, psutil.NoSuchProcess):
        return -1


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, and what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def try_kills(name: str, kills: int, inputs: Path, rng: random.Random, count: Count) -> None:
    """Kill a piece of work so many times. Raises :class:`AssertionError` for the first run that is not made good."""
    work = WORK[name]
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        length_s = finish(work, whole, inputs)
        expected = digests(whole)
        assert not any(TEMPORARY in file or ".lock" in file for file in expected)
        while count.kills < kills:
            folder = Path(place) / "killed"
            folder.mkdir()
            for _ in range(1 + (count.kills % 3 == 2)):
                after_s = rng.uniform(0, min(BEGINNING_S, length_s) if count.kills % 2 else length_s)
                kill(work, folder, inputs, after_s)
                count.kills += 1
                there = digests(folder)
                count.in_the_middle += bool(there) and there != expected
            finish(work, folder, inputs)
            other = sorted(file for file, _ in digests(folder).items() ^ expected.items())
            assert not other, f"{name}: killed after {after_s:.3f} s, another {', '.join(other)}"
            shutil.rmtree(folder)


def main(arguments: list[str]) -> int:
    """Try what was asked for; prints a table, and ends with 1 if anything was not made good."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="kills of each (default: 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="decides the moments (default: the time)")
    parser.add_argument("--table", type=Path, help="write the counts there, too; rows of other work stay")
    parser.add_argument("work", nargs="*", help=f"default: all: {', '.join(WORK)}")
    chosen = parser.parse_args(arguments)
    cv2.setNumThreads(1)  # a fork of a process with threads can hang
    tqdm.monitor_interval = 0  # its thread, too
    for module in (store, photo_pairs):
        vars(module)["SHARD"] = 4
    screening.PART = 4
    store.make_pair(0, 0, store.SynthesisSettings())  # compiled once, before the forks
    failed = 0
    print("| work | kills | in the middle | not made good |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        inputs = Path(place) / "photos"
        write_photos(inputs, 60)
        write_depth(Path(place) / "depth", 40)
        store.synthesize(Path(place) / "store", 48, seed=1, workers=1, progress=False)
        rows: list[dict[str, Any]] = []
        if chosen.table is not None and chosen.work and chosen.table.exists():  # keep those of other work
            rows = [row for row in records(read_table(chosen.table)) if row["work"] not in chosen.work]
        for name in chosen.work or WORK:
            kills = max(chosen.kills // 10, 1) if name in SLOW else chosen.kills
            count, bad = Count(), 0
            try:
                try_kills(name, kills, inputs, random.Random(f"{chosen.seed} {name}"), count)
                print(f"| {name} | {count.kills} | {count.in_the_middle} | 0 |", flush=True)
            except AssertionError as problem:
                bad = failed = 1
                print(f"| {name} | seed {chosen.seed} | | {problem} |", flush=True)
            row = {"work": name, "kills": count.kills, "in the middle": count.in_the_middle, "not made good": bad}
            rows.append(row)
            if chosen.table is not None:
                write_table(chosen.table, rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
