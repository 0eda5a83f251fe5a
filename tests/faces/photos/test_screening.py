"""Table I's stages: side lengths by hand, limits that hold out examples, folders too large for memory, kills."""

from __future__ import annotations

import csv
import gc
import hashlib
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation.published import rows, verdicts
from facedepth_kit.faces.photos import screening
from facedepth_kit.faces.photos.screening import (
    Counts,
    Found,
    Shape,
    SideLengthRanges,
    as_table_1,
    edges,
    kept_photos,
    learn_ranges,
    load_ranges,
    save_ranges,
    screen,
    side_lengths,
    topology_digest,
)
from facedepth_kit.pairs.photo_pairs import photo_meshes
from tests.faces.sources import Bowls

TRIANGLES = np.array([[0, 1, 2], [2, 1, 3]], np.int32)  # a square, cut along 1-2
SQUARE = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [3, 4, 0]], np.float32)


def ranges(low: float, high: float, outside: float, excess: float) -> SideLengthRanges:
    bounds = (np.full(5, low, np.float32), np.full(5, high, np.float32))
    return SideLengthRanges(*bounds, outside, excess, 9, topology_digest(TRIANGLES), "squares")


def bowls(count: int, seed: int) -> Iterator[npt.NDArray[np.float32]]:
    """Meshes of the tests' source: bowls of different depths, with a little noise."""
    rng = np.random.default_rng(seed)
    side = 24
    v, u = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    for _ in range(count):
        height = rng.uniform(20, 80) * (1 - (u**2 + v**2) / 2)
        points = np.stack([90 * u, 90 * v, height], axis=-1).reshape(-1, 3)
        yield (points + rng.normal(0, 0.05, points.shape)).astype(np.float32)


# --- Meshes ---------------------------------------------------------------------------------------------------------


def test_sides_and_lengths_by_hand() -> None:
    sides = edges(TRIANGLES)
    assert sides.tolist() == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]  # the shared side 1-2 once
    np.testing.assert_allclose(side_lengths(SQUARE, sides), np.array([3, 4, 5, 4, 3]) / 3.8, rtol=1e-6)
    turned = SQUARE[:, [2, 0, 1]] * 7.5 + 100  # another place, pose and size: the same shape
    np.testing.assert_allclose(side_lengths(turned, sides), side_lengths(SQUARE, sides), rtol=1e-5)
    assert np.isnan(side_lengths(np.ones((4, 3), np.float32), sides)).all()


def test_shape_and_verdict_by_hand() -> None:
    lengths = side_lengths(SQUARE, edges(TRIANGLES))  # 0.789, 1.053, 1.316, 1.053, 0.789
    shape = ranges(0.9, 1.2, 0, 0).shape(lengths)
    assert shape.outside == pytest.approx(3 / 5)
    assert shape.excess == pytest.approx((5 / 3.8 - 1.2) / (1.05 + 0.3), abs=1e-6)  # of the usual 1.05
    assert not ranges(0, 0, 0.6, 0.2).deformed(Shape(0.6, 0.2))
    assert ranges(0, 0, 0.6, 0.2).deformed(Shape(0.61, 0.0))
    assert ranges(0, 0, 0.6, 0.2).deformed(Shape(0.0, 0.21))
    torn = SQUARE.copy()
    torn[3] = np.nan
    assert ranges(0, 9, 0.5, 5).deformed(ranges(0, 9, 0.5, 5).shape(side_lengths(torn, edges(TRIANGLES))))


def test_learnt_ranges_are_the_smallest_and_largest_and_limits_hold_out_examples() -> None:
    examples = [SQUARE * [1, 1 + 0.1 * k, 1] for k in range(8)]
    found = learn_ranges(iter(examples), TRIANGLES, source="squares", losses=0.0)
    lengths = np.stack([side_lengths(example, edges(TRIANGLES)) for example in examples])
    np.testing.assert_array_equal(found.low, lengths.min(axis=0))
    np.testing.assert_array_equal(found.high, lengths.max(axis=0))
    # Each part of eight holds one example. Held out, only the first and the last lie outside the others: all sides of
    # theirs whose length goes with the number, by the step to their neighbour.
    moving = np.abs(np.diff(lengths, axis=0)).max(axis=0) > 1e-9
    assert found.outside_limit == pytest.approx(moving.mean())
    excess = []
    for out, others in ((lengths[0], lengths[1:]), (lengths[7], lengths[:7])):
        low, high = others.min(axis=0), others.max(axis=0)
        excess.append(np.maximum(out - high, low - out) / ((low + high) / 2 + 0.3))
    assert found.excess_limit == pytest.approx(np.max(excess), rel=1e-4)
    assert found.examples == 8
    looser = learn_ranges(examples, TRIANGLES, source="squares", losses=0.9)
    assert looser.excess_limit < found.excess_limit


def test_examples_that_do_not_serve_are_refused() -> None:
    with pytest.raises(KitError, match="found 7 well-formed faces, expected 8 or more"):
        learn_ranges([SQUARE] * 7, TRIANGLES, source="squares")
    with pytest.raises(KitError, match="example 3: found a mesh without extent"):
        learn_ranges([SQUARE, SQUARE, SQUARE * 0], TRIANGLES, source="squares")
    with pytest.raises(KitError, match=r"losses: found 1\.5"):
        learn_ranges([SQUARE] * 8, TRIANGLES, source="squares", losses=1.5)


def test_ranges_come_back_from_their_file(tmp_path: Path) -> None:
    triangles = Bowls().triangles
    learnt = learn_ranges(bowls(20, 1), triangles, source="Bowls")
    save_ranges(tmp_path / "ranges.npz", learnt)
    read = load_ranges(tmp_path / "ranges.npz", triangles)
    np.testing.assert_array_equal(read.low, learnt.low)
    np.testing.assert_array_equal(read.high, learnt.high)
    assert (read.outside_limit, read.excess_limit) == (learnt.outside_limit, learnt.excess_limit)
    assert (read.examples, read.source, read.topology) == (20, "Bowls", learnt.topology)
    with pytest.raises(KitError, match="already there"):
        save_ranges(tmp_path / "ranges.npz", learnt)
    with pytest.raises(KitError, match=r"found ranges of Bowls .* expected those of the same triangles"):
        load_ranges(tmp_path / "ranges.npz", TRIANGLES)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "ranges.npz").read_bytes()[:500])
    np.savez(tmp_path / "other.npz", low=[1.0])
    for name in ("cut.npz", "other.npz"):
        with pytest.raises(KitError, match=f"{name}: found no side length ranges"):
            load_ranges(tmp_path / name)
    with pytest.raises(KitError, match="found no such file"):
        load_ranges(tmp_path / "absent.npz")


def test_well_formed_meshes_pass_and_distorted_ones_do_not(rng: np.random.Generator) -> None:
    triangles = Bowls().triangles
    sides = edges(triangles)
    learnt = learn_ranges(bowls(100, 1), triangles, source="Bowls")

    def lost(meshes: Iterable[npt.NDArray[np.floating]]) -> float:
        return float(np.mean([learnt.deformed(learnt.shape(side_lengths(mesh, sides))) for mesh in meshes]))

    fresh = list(bowls(200, 2))
    assert lost(fresh) < 0.08  # one in a hundred by the limits; a hundred examples leave some ends untried
    assert lost(mesh * 0.37 for mesh in fresh) == lost(fresh)
    spiked = [mesh.copy() for mesh in fresh[:20]]
    for mesh in spiked:
        mesh[rng.integers(len(mesh))] += 60
    assert lost(spiked) == 1
    assert lost(mesh * [1.6, 1, 1] for mesh in fresh[:20]) == 1
    assert lost(mesh + rng.normal(0, 2, mesh.shape) for mesh in fresh[:20]) == 1
    assert lost(mesh * [1, 1, -1] for mesh in fresh[:20]) < 0.2  # side lengths cannot see a mirror


# --- Folders --------------------------------------------------------------------------------------------------------


def write_photos(folder: Path) -> None:
    """Twelve photos: ten of plain grey, of which one is large and two are copies; a torn face, one without, and one
    that is no picture."""
    folder.mkdir()
    (folder / "more").mkdir()
    for number in range(8):
        Image.new("RGB", (40 + number, 40), (20 * number + 40,) * 3).save(folder / f"{number}.png")
    (folder / "more" / "copy.png").write_bytes((folder / "3.png").read_bytes())
    (folder / "also_3.png").write_bytes((folder / "3.png").read_bytes())
    Image.new("RGB", (1025, 30), (90, 90, 90)).save(folder / "wide.png")
    Image.new("RGB", (30, 1024), (90, 90, 90)).save(folder / "tall_enough.png")
    Image.new("RGB", (40, 40), (30, 30, 200)).save(folder / "torn.png")
    Image.new("RGB", (40, 40), (200, 30, 30)).save(folder / "no_face.png")
    (folder / "letter.jpg").write_text("Dear reader")
    (folder / "notes.txt").write_text("not a photo, and not counted")


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_three_stages_in_order_with_counts(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    source = Bowls()
    learnt = learn_ranges(bowls(60, 1), source.triangles, source="Bowls")
    meshes = photo_meshes(source, "whole")
    output = tmp_path / "table.csv"
    counts = screen(
        tmp_path / "photos", output, meshes=meshes, ranges=learnt, triangles=source.triangles, progress=False
    )
    assert counts == Counts(total=15, duplicate=2, oversized=1, deformed=1, no_face=1, unreadable=1, stage_3=True)
    assert counts.discarded == 6
    assert counts.remaining == 9
    found = table(output)
    statuses = {name: row["status"] for name, row in found.items()}
    assert statuses["3.png"] == "kept"  # the first by path stays
    assert statuses["also_3.png"] == statuses["more/copy.png"] == "duplicate"
    assert found["more/copy.png"]["same_as"] == "3.png"
    assert statuses["wide.png"] == "oversized"
    assert statuses["tall_enough.png"] == "kept"
    assert statuses["torn.png"] == "deformed"
    assert float(found["torn.png"]["worst_excess"]) > learnt.excess_limit
    assert statuses["no_face.png"] == "no face"
    assert statuses["letter.jpg"] == "unreadable"
    assert "not a picture" in found["letter.jpg"]["note"]
    digest = hashlib.sha3_512((tmp_path / "photos" / "5.png").read_bytes()).hexdigest()
    assert found["5.png"]["sha3_512"] == digest
    assert [entry.name for entry in tmp_path.iterdir() if "journal" in entry.name] == []
    keep = kept_photos(output)
    assert keep("5.png")
    assert not keep("torn.png")


def test_without_ranges_the_third_stage_is_left_out(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    counts = screen(tmp_path / "photos", tmp_path / "out" / "table.csv", progress=False, largest_px=45)
    assert not counts.stage_3
    assert counts.duplicate == 2
    assert counts.oversized == 4  # 46 and 47 pixels wide, wide and tall
    assert counts.deformed == counts.no_face == 0


def test_bad_input_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no such folder"):
        screen(tmp_path / "absent", tmp_path / "table.csv", progress=False)
    write_photos(tmp_path / "photos")
    (tmp_path / "table.csv").write_text("mine")
    with pytest.raises(KitError, match="already there"):
        screen(tmp_path / "photos", tmp_path / "table.csv", progress=False)
    assert (tmp_path / "table.csv").read_text() == "mine"
    (tmp_path / "other.csv.journal").write_text("mine")
    with pytest.raises(KitError, match="found a file, expected a folder for the journal"):
        screen(tmp_path / "photos", tmp_path / "other.csv", progress=False)
    with pytest.raises(KitError, match="no columns file and status"):
        kept_photos(tmp_path / "table.csv")
    with pytest.raises(KitError, match="ranges: found those of squares"):
        screen(
            tmp_path / "photos",
            tmp_path / "t.csv",
            ranges=ranges(0, 1, 1, 1),
            triangles=Bowls().triangles,
            meshes=photo_meshes(Bowls(), "whole"),
            progress=False,
        )


def test_a_table_goes_on_where_it_was_and_sees_changed_files(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")
    source = Bowls()
    learnt = learn_ranges(bowls(60, 1), source.triangles, source="Bowls")
    output = tmp_path / "table.csv"
    looked: list[str] = []

    def failing(paths: Iterable[Path]) -> Iterator[Found]:
        for number, found in enumerate(photo_meshes(source, "whole")(paths)):
            if number == 3:
                raise KeyboardInterrupt
            yield found

    def noting(paths: Iterable[Path]) -> Iterator[Found]:
        for found in photo_meshes(source, "whole")(paths):
            looked.append(found.path.name)
            yield found

    options = {"ranges": learnt, "triangles": source.triangles}
    with pytest.raises(KeyboardInterrupt):
        screen(tmp_path / "photos", output, meshes=failing, progress=False, **options)  # type: ignore[arg-type]
    assert not output.exists()
    Image.new("RGB", (50, 50), (99, 99, 99)).save(tmp_path / "photos" / "new.png")
    (tmp_path / "photos" / "more" / "copy.png").unlink()
    counts = screen(tmp_path / "photos", output, meshes=noting, progress=False, **options)  # type: ignore[arg-type]
    assert counts.total == 15
    assert counts.duplicate == 1
    assert "new.png" in looked
    assert len(looked) == len(set(looked))


CODE = """
import sys
from pathlib import Path
from facedepth_kit.faces.photos.screening import screen
if __name__ == "__main__":
    screen(sys.argv[1], sys.argv[2], progress=False)
"""


def test_killed_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = tmp_path / "one.png"
    Image.new("L", (8, 8)).save(picture)
    data = picture.read_bytes()
    for number in range(3000):
        (folder / f"{number:05d}.png").write_bytes(data + number.to_bytes(4, "little"))
    output = tmp_path / "table.csv"
    process = subprocess.Popen([sys.executable, "-c", CODE, str(folder), str(output)])
    journal = tmp_path / "table.csv.journal"
    deadline = time.monotonic() + 60
    while len(list(journal.glob("digests_*"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not output.exists()
    counts = screen(folder, output, progress=False)
    assert (counts.total, counts.duplicate, counts.remaining) == (3000, 0, 3000)
    assert not journal.exists()


def test_rows_of_earlier_runs_are_kept_when_photos_come_before_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        Image.new("L", (8, 8), number).save(folder / f"m{number:02d}.png")
    monkeypatch.setattr(screening, "PART", 4)
    read: list[str] = []
    examine = screening._examine

    def noting(path: Path) -> list[object]:
        if len(read) == stop:
            raise KeyboardInterrupt
        read.append(path.name)
        return examine(path)

    monkeypatch.setattr(screening, "_examine", noting)
    for stop in (18, 26):
        with pytest.raises(KeyboardInterrupt):
            screen(folder, tmp_path / "table.csv", progress=False)
        for number in range(10):
            Image.new("L", (stop, 8), number).save(folder / f"a{stop}{number}.png")
    stop = -1
    assert screen(folder, tmp_path / "table.csv", progress=False).remaining == 40
    assert len(read) < 40 + 2 * 4  # a part or less was lost by each interrupt


def test_a_second_run_on_the_same_table_ends_at_once(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos")

    def twice(paths: Iterable[Path]) -> Iterator[Found]:
        with pytest.raises(KitError, match="found another run at work"):
            screen(tmp_path / "photos", tmp_path / "table.csv", progress=False)
        yield from photo_meshes(source, "whole")(paths)

    source = Bowls()
    learnt = learn_ranges(bowls(60, 1), source.triangles, source="Bowls")
    options = {"ranges": learnt, "triangles": source.triangles}
    counts = screen(tmp_path / "photos", tmp_path / "table.csv", meshes=twice, progress=False, **options)  # type: ignore[arg-type]
    assert counts.total == 15


def test_memory_does_not_grow_with_the_folder(tmp_path: Path) -> None:
    picture = tmp_path / "one.png"
    Image.new("L", (8, 8)).save(picture)
    data = picture.read_bytes()
    peaks = []
    gc.collect()
    gc.freeze()  # in a process with much in it, Python puts off collecting the cycles that pictures leave behind
    for count in (1500, 4500):
        folder = tmp_path / str(count)
        for number in range(count):
            place = folder / f"{number % 10}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number:05d}.png").write_bytes(data + (number // 2).to_bytes(4, "little"))
        tracemalloc.start()
        counts = screen(folder, tmp_path / f"{count}.csv", progress=False)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (counts.total, counts.duplicate) == (count, count // 2)
    gc.unfreeze()
    # 3,000 more files with 64-byte digests and names of 200 bytes would be a megabyte if they were held.
    assert peaks[1] - peaks[0] < 3000 * 64
    assert peaks[1] < 8_000_000


def test_names_need_not_be_text(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    odd = os.fsdecode(b"caf\xe9.png")
    try:
        Image.new("L", (8, 8)).save(folder / odd)
    except OSError:
        pytest.skip("this file system wants text")
    Image.new("L", (8, 9)).save(folder / "a 'quoted', name.png")
    counts = screen(folder, tmp_path / "table.csv", progress=False)
    assert counts.remaining == 2
    assert kept_photos(tmp_path / "table.csv")(odd)


# --- Table I --------------------------------------------------------------------------------------------------------


def test_counts_stand_beside_the_published_ones() -> None:
    counts = Counts(total=100, duplicate=3, oversized=5, deformed=7, no_face=2, unreadable=1, stage_3=True)
    ours = as_table_1(counts)
    assert ours["discarded"] == {"count": 18}
    assert ours["remaining"] == {"count": 82}
    assert set(rows("I")) - set(ours) == {"well_formed_exemplars"}
    assert all(verdict.holds is None for verdict in verdicts("I", ours))  # other photos: shown, never judged
