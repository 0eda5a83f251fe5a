"""Synthesis on many workers: the same bytes on any of them, on a cluster too; kills, full disks, flat memory."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster

from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.jobs import cluster
from facedepth_kit.pairs import store as module
from facedepth_kit.pairs.photo_pairs import synthesize_photos
from facedepth_kit.pairs.store import STORE, PairStore, SynthesisSettings, synthesize
from tests.faces.sources import Bowls
from tests.pairs.test_photo_pairs import write_photos

COUNT, SEED = 200, 5  # four shards


def contents(folder: Path) -> dict[str, str]:
    """Every file of a store, hidden ones too."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The store of one worker that was never killed."""
    folder = tmp_path_factory.mktemp("expected") / "store"
    synthesize(folder, COUNT, seed=SEED, workers=1, progress=False)
    return contents(folder)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """A Dask cluster of two processes, which a nanny replaces when they are killed."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(tmp_path_factory.mktemp("dask")),
    ) as running:
        yield running


def test_eight_workers_write_what_one_writes(expected: dict[str, str], tmp_path: Path) -> None:
    synthesize(tmp_path / "store", COUNT, seed=SEED, workers=8, progress=False)
    assert contents(tmp_path / "store") == expected


def test_a_cluster_writes_the_same(
    expected: dict[str, str], workers: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["synthesize", "--count", str(COUNT), "--seed", str(SEED), "--output", str(tmp_path / "store")]
    assert cli.main([*command, "--scheduler", workers.scheduler_address]) == 0
    assert f"{COUNT} pairs" in capsys.readouterr().out
    assert contents(tmp_path / "store") == expected


def test_workers_that_do_not_see_the_folder_send_their_pairs(
    expected: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    make = module._make_shard
    monkeypatch.setattr(module, "_make_shard", lambda folder, *rest: make(elsewhere, *rest))
    synthesize(tmp_path / "store", COUNT, seed=SEED, workers=1, progress=False)
    assert contents(tmp_path / "store") == expected
    assert list(elsewhere.iterdir()) == []


def test_a_job_whose_store_has_become_another_writes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    synthesize(folder, 3, seed=1, workers=1, progress=False)
    before = (folder / STORE).read_bytes()
    synthesize(folder, 3, seed=2, workers=1, progress=False, overwrite=True)
    now = contents(folder)
    *_, pairs = module._make_shard(folder, before, 0, 0, 3, 1, SynthesisSettings())
    assert pairs is not None
    assert contents(folder) == now


def test_photos_take_the_same_road(workers: LocalCluster, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 90)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    problems: list[str] = []
    for name, options in (("one", {}), ("two", {"workers": 2})):
        synthesize_photos(
            photos,
            tmp_path / name,
            Bowls(),
            seed=3,
            which="whole",
            progress=False,
            on_problem=problems.append,
            **options,  # type: ignore[arg-type]
        )
    with cluster(workers.scheduler_address) as (executor, threads):
        assert threads == 2
        synthesize_photos(
            photos,
            tmp_path / "cluster",
            Bowls(),
            seed=3,
            which="whole",
            progress=False,
            workers=threads,
            executor=executor,
            on_problem=problems.append,
        )
    assert len(problems) == 3
    assert contents(tmp_path / "two") == contents(tmp_path / "one") == contents(tmp_path / "cluster")


def test_a_killed_worker_and_a_killed_client_lose_and_double_nothing(
    expected: dict[str, str], workers: LocalCluster, tmp_path: Path
) -> None:
    script = "from facedepth_kit.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, "synthesize", "--count", str(COUNT), "--seed", str(SEED)]
    command += ["--output", str(tmp_path / "store"), "--scheduler", workers.scheduler_address]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _wait_for_shards(tmp_path / "store", 1, run)
    os.kill(_worker_pids(workers)[0], signal.SIGKILL)
    _wait_for_shards(tmp_path / "store", 2, run)
    run.kill()
    run.wait()
    assert 2 <= len(list((tmp_path / "store").glob("*_degraded.npy"))) < 4
    again = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    os.kill(_worker_pids(workers)[1], signal.SIGKILL)
    assert "Traceback" not in again.communicate(timeout=300)[1]
    assert again.returncode == 0
    assert contents(tmp_path / "store") == expected


def test_a_scheduler_that_is_none_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["synthesize", "--count", "5", "--output", str(tmp_path / "store"), "--scheduler"]
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        assert cli.main([*command, address]) == 2
        errors = capsys.readouterr().err
        assert "expected a Dask scheduler" in errors
        assert errors.count("\n") == 1
    assert not (tmp_path / "store").exists()


FULL = """
import resource, sys
from facedepth_kit.cli.main import main
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
"""


def test_a_full_disk_is_one_line_and_the_store_can_be_gone_on_with(expected: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "store"
    script = tmp_path / "run.py"
    script.write_text(FULL)
    command = ["synthesize", "--count", str(COUNT), "--seed", str(SEED), "--output", str(folder), "--workers", "2"]
    # No file may grow beyond a shard of ten pairs; where a disk is full is no different.
    run = subprocess.run([sys.executable, str(script), str(1_300_000), *command], capture_output=True, text=True)
    lines = [line for line in run.stderr.replace("\r", "\n").splitlines() if not line.startswith("pairs: ")]
    assert run.returncode == 2
    (line,) = filter(None, lines)
    assert "shard_00000_ground_truth.npy: could not be written (File too large); make room" in line
    # Only the last shard, of eight pairs, fits.
    assert {path.name for path in folder.iterdir()} <= {name for name in expected if "0003" in name} | {STORE}
    with pytest.raises(KitError, match="the store is not complete"):
        PairStore(folder)[0]
    synthesize(folder, COUNT, seed=SEED, workers=2, progress=False)
    assert contents(folder) == expected


def test_memory_is_flat_with_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million pairs are planned and stored without being held: one pair stands for all of them here."""
    code = (
        "import resource, sys\n"
        "from facedepth_kit.pairs import store\n"
        "pair = store.make_pair(0, 0, store.SynthesisSettings())\n"
        "store.make_pair = lambda *arguments: pair\n"
        "store.write_shard = lambda folder, shard, pairs: store.shard_path(folder, shard, 'degraded').touch()\n"
        "store.synthesize(sys.argv[1], int(sys.argv[2]), seed=0, workers=1, progress=False)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    peaks = []
    for count in (1_000, 1_000_000):
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / str(count)), str(count)],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks.append(int(run.stdout) * 1024)
    assert peaks[1] - peaks[0] < 20e6


def test_the_documented_way_to_read_a_store_works(tmp_path: Path) -> None:
    """The class in the module's docstring, with NumPy in the place of PyTorch."""
    store = synthesize(tmp_path / "store", 66, seed=1, workers=1, progress=False)
    text = module.__doc__ or ""
    code = text[text.index("    class Pairs") : text.index("Every shard is written")]
    assert 5 < len(code.strip().splitlines()) <= 10

    class Tensor(np.ndarray):
        def float(self) -> np.ndarray:
            return self.astype(np.float32)

    class Torch:
        class utils:
            class data:
                Dataset = object

        @staticmethod
        def tensor(values: np.ndarray) -> Tensor:
            return values.view(Tensor)

    import json
    import textwrap

    names: dict[str, Any] = {"json": json, "numpy": np, "torch": Torch}
    exec(textwrap.dedent(code), names)
    pairs = names["Pairs"](store.folder)
    assert len(pairs) == 66
    degraded, truth = pairs[65]
    np.testing.assert_allclose(degraded, store[65].degraded[0] / 65535, rtol=1e-6)
    np.testing.assert_allclose(truth, store[65].ground_truth / 65535, rtol=1e-6)


def _worker_pids(running: LocalCluster) -> list[int]:
    return [int(worker.pid) for worker in running.workers.values() if worker.pid]


def _wait_for_shards(folder: Path, count: int, run: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*_degraded.npy"))) < count:
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
