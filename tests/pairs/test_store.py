"""The pair store: the same pairs however it was written, and nothing lost or doubled by a kill."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, read_png, write_png
from facedepth_kit.pairs.store import MIXED, PairStore, SynthesisSettings, make_pair, synthesize, write_images


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_ground_truth_spans_its_own_range_and_degraded_has_holes() -> None:
    pair = make_pair(0, 0, SynthesisSettings())
    face = pair.ground_truth != HOLE
    assert pair.ground_truth[face].min() == 0
    assert pair.ground_truth[face].max() == 65534
    assert 60 < pair.depth_range.span_mm < 250
    assert 0.05 < (pair.degraded[0][face] == HOLE).mean() < 0.6
    assert ((pair.degraded[0] == HOLE) | face).all()  # nothing appears outside the face


def test_a_camera_span_is_25_cm() -> None:
    pair = make_pair(0, 0, SynthesisSettings(span="camera"))
    assert pair.depth_range.span_mm == 250
    assert pair.ground_truth[pair.ground_truth != HOLE].max() < 0.8 * 65534


def test_one_worker_or_two_write_the_same_store(tmp_path: Path) -> None:
    for workers in (1, 2):
        synthesize(tmp_path / str(workers), 70, seed=3, workers=workers, progress=False)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_a_store_reads_lazily_and_in_batches(tmp_path: Path) -> None:
    store = synthesize(
        tmp_path / "s", 66, seed=1, workers=1, progress=False, settings=SynthesisSettings(hole_values=MIXED)
    )
    assert len(store) == 66
    truth, degraded = store.batch([65, 0, 64], variant=1)
    assert truth.shape == degraded.shape == (3, 256, 256)
    expected = make_pair(1, 65, store.settings)
    np.testing.assert_array_equal(truth[0], expected.ground_truth)
    np.testing.assert_array_equal(degraded[0], expected.degraded[1])
    assert [len(t) for t, _ in store.batches(40)] == [40, 26]
    with pytest.raises(IndexError):
        store[66]


def test_a_store_can_grow_and_keeps_its_first_pairs(tmp_path: Path) -> None:
    synthesize(tmp_path / "grown", 10, seed=2, workers=1, progress=False)
    synthesize(tmp_path / "grown", 14, seed=2, workers=1, progress=False)
    synthesize(tmp_path / "whole", 14, seed=2, workers=1, progress=False)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    code = (
        "from facedepth_kit.pairs.store import synthesize\n"
        "if __name__ == '__main__':\n"
        "    synthesize({!r}, 200, seed=7, workers=1, progress=False)\n"
    )
    killed = tmp_path / "killed"
    script = tmp_path / "run.py"
    script.write_text(code.format(str(killed)))
    process = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(killed.glob("shard_*_degraded.npy")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {p.name: p.stat().st_mtime_ns for p in killed.glob("shard_*_degraded.npy")}
    assert 0 < len(kept) < 4
    synthesize(killed, 200, seed=7, workers=1, progress=False)
    for name, written in kept.items():
        assert (killed / name).stat().st_mtime_ns == written  # not made twice
    assert not list(killed.glob("*.partial"))
    store = PairStore(killed)
    for index in (0, 63, 64, 199):
        np.testing.assert_array_equal(store[index].ground_truth, make_pair(7, index, store.settings).ground_truth)


def test_another_store_or_other_files_are_never_touched(tmp_path: Path) -> None:
    synthesize(tmp_path / "s", 4, seed=1, workers=1, progress=False)
    with pytest.raises(KitError, match="another seed"):
        synthesize(tmp_path / "s", 4, seed=2, workers=1, progress=False)
    with pytest.raises(KitError, match="found 4 pairs"):
        synthesize(tmp_path / "s", 2, seed=1, workers=1, progress=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(KitError, match="found other files"):
        synthesize(tmp_path / "other", 4, seed=1, workers=1, progress=False)
    assert len(synthesize(tmp_path / "s", 2, seed=2, workers=1, progress=False, overwrite=True)) == 2


def test_a_damaged_store_says_which_file(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no store"):
        PairStore(tmp_path)
    store = synthesize(tmp_path / "s", 4, seed=1, workers=1, progress=False)
    shard = tmp_path / "s" / "shard_00000_ground_truth.npy"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(KitError, match="shard_00000_ground_truth"):
        store[0]
    (tmp_path / "s" / "store.json").write_text("{")
    with pytest.raises(KitError, match="no readable JSON"):
        PairStore(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(KitError, match="format 99"):
        PairStore(tmp_path / "s")


def test_pairs_are_written_as_images_and_gone_on_with(tmp_path: Path) -> None:
    settings = SynthesisSettings(hole_values=("keep", "random"))
    store = synthesize(tmp_path / "pairs", 2, seed=3, settings=settings, workers=1, progress=False)
    write_images(store, tmp_path / "images", progress=False)
    images = tmp_path / "images"
    (images / "degraded/000001.png").unlink()  # as after a kill
    write_images(store, images, progress=False)
    for index in range(2):
        for kind, image in zip(
            ("ground_truth", "degraded", "degraded_1"), (store[index].ground_truth, *store[index].degraded), strict=True
        ):
            np.testing.assert_array_equal(read_png(images / kind / f"{index:06d}.png"), image)
    write_png(images / "degraded/000000.png", store[1].degraded[0], overwrite=True)
    with pytest.raises(KitError, match=r"000000\.png: found another image"):
        write_images(store, images, progress=False)
    write_images(store, images, overwrite=True, progress=False)
    np.testing.assert_array_equal(read_png(images / "degraded/000000.png"), store[0].degraded[0])
