"""Pair stores of photos: the same store however often it was cut, every photo accounted for, read as any other."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE
from facedepth_kit.evaluation.error import evaluate
from facedepth_kit.faces.photos.position_map import Crop
from facedepth_kit.faces.photos.reconstruction import PhotoFace
from facedepth_kit.faces.photos.screening import learn_ranges
from facedepth_kit.pairs.photo_pairs import PhotoCounts, photo_meshes, synthesize_photos, usable_vertices
from facedepth_kit.pairs.store import MIXED, PairStore, SynthesisSettings, synthesize
from facedepth_kit.pairs.training_batches import Stage, StoreBatches
from tests.faces.prnet_files import write_root
from tests.faces.sources import Bowls


def write_photos(folder: Path, count: int) -> None:
    """Plain photos of all greys."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("RGB", (40, 40), ((number * 7) % 200 + 40,) * 3).save(folder / f"{number:04d}.png")


def contents(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


class Cut(Bowls):
    """Stops after so many faces, as a kill would."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def faces(self, crops: Sequence[Crop]) -> list[PhotoFace | None]:
        if sum(self.batches) + len(crops) > self.after:
            raise KeyboardInterrupt
        return super().faces(crops)


def test_photos_become_a_store_like_any_other(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 5)
    Image.new("RGB", (40, 40), (200, 30, 30)).save(photos / "no_face.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    problems: list[str] = []
    settings = SynthesisSettings(hole_values=MIXED)
    store, counts = synthesize_photos(
        photos,
        tmp_path / "store",
        Bowls(),
        seed=3,
        settings=settings,
        which="whole",
        progress=False,
        on_problem=problems.append,
    )
    assert counts == PhotoCounts(pairs=5, no_face=1, deformed=0, unreadable=1)
    (problem,) = problems
    assert "broken.jpg" in problem
    assert len(store) == 5
    pair = store[2]
    assert pair.degraded.shape == (3, 256, 256)
    face = pair.ground_truth != HOLE
    assert pair.ground_truth[face].min() == 0
    assert pair.ground_truth[face].max() == 65534
    assert 0.3 < face.mean() < 0.97
    notes = json.loads((tmp_path / "store" / "shard_00000_photos.json").read_text())
    assert [entry["photo"] for entry in notes["pairs"]] == [f"{number:04d}.png" for number in range(5)]
    assert {entry["photo"]: entry["reason"] for entry in notes["skipped"]} == {
        "no_face.png": "no face",
        "broken.jpg": "unreadable",
    }
    # Deeper bowls in brighter photos: the ground truth follows the photo.
    spans = [store[number].depth_range.span_mm for number in range(5)]
    assert spans == sorted(spans)
    errors = evaluate(PairStore(tmp_path / "store"), {"None": lambda depth: depth}, progress=False)
    assert len(errors.face["None"]) == 5
    stage = Stage(ground_truths=5, hole_values=store.settings.hole_values, chunks=1, epochs=1)
    inputs, targets = StoreBatches([store], [stage], "image", 2, 0).batch(0, 0)
    assert inputs.shape == targets.shape == (2, 256, 256, 1)


def test_a_cut_run_goes_on_to_the_same_store(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 150)
    Image.new("RGB", (40, 40), (200, 30, 30)).save(photos / "0070a.png")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    synthesize_photos(photos, whole, Bowls(), seed=3, which="whole", progress=False)
    for after in (20, 70, 30):
        with pytest.raises(KeyboardInterrupt):
            synthesize_photos(photos, cut, Cut(after), seed=3, which="whole", progress=False)
    assert len(PairStore(cut)) == 64  # readable in between, with the shards that are whole
    source = Bowls()
    _, counts = synthesize_photos(photos, cut, source, seed=3, which="whole", progress=False)
    assert counts == PhotoCounts(150, 1, 0, 0)
    assert contents(cut) == contents(whole)
    assert sum(source.batches) < 100
    again = Bowls()
    synthesize_photos(photos, cut, again, seed=3, which="whole", progress=False)
    assert again.batches == []
    assert contents(cut) == contents(whole)


def test_new_photos_are_added_and_a_count_stops(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 70)
    output = tmp_path / "store"
    first, _ = synthesize_photos(photos, output, Bowls(), seed=3, which="whole", count=66, progress=False)
    assert len(first) == 66
    last = first[65].ground_truth
    everything, _ = synthesize_photos(photos, output, Bowls(), seed=3, which="whole", progress=False)
    assert len(everything) == 70
    np.testing.assert_array_equal(everything[65].ground_truth, last)
    before = everything.fingerprint
    Image.new("RGB", (40, 40), (99, 99, 99)).save(photos / "later.png")
    source = Bowls()
    more, _ = synthesize_photos(photos, output, source, seed=3, which="whole", progress=False)
    assert len(more) == 71
    assert sum(source.batches) == 7  # the last shard and the new one
    assert more.fingerprint != before
    with pytest.raises(KitError, match="found 71 pairs, expected at most 5"):
        synthesize_photos(photos, output, Bowls(), seed=3, which="whole", count=5, progress=False)


def test_deformed_faces_are_left_out(tmp_path: Path) -> None:
    photos, good = tmp_path / "photos", tmp_path / "good"
    write_photos(photos, 6)
    write_photos(good, 20)
    Image.new("RGB", (40, 40), (30, 30, 200)).save(photos / "torn.png")
    source = Bowls()
    lines: list[str] = []
    vertices = usable_vertices(sorted(good.iterdir()), source, "whole", lines.append)
    ranges = learn_ranges(vertices, source.triangles, source=source.name)
    assert lines == []
    _, counts = synthesize_photos(
        photos, tmp_path / "store", source, seed=1, which="whole", ranges=ranges, progress=False
    )
    assert counts.deformed == 1
    # Without ranges the torn face reaches the camera, and cannot be drawn either.
    _, counts = synthesize_photos(photos, tmp_path / "unscreened", source, seed=1, which="whole", progress=False)
    assert counts.deformed == 1
    found = list(photo_meshes(source, "whole")([photos / "torn.png", photos / "absent.png"]))
    assert found[0].vertices is not None
    assert "absent.png" in found[1].problem


def test_other_stores_are_not_touched(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 3)
    synthesize(tmp_path / "parametric", 2, seed=3, workers=1, progress=False)
    with pytest.raises(KitError, match="another faces"):
        synthesize_photos(photos, tmp_path / "parametric", Bowls(), seed=3, which="whole", progress=False)
    synthesize_photos(photos, tmp_path / "store", Bowls(), seed=3, which="whole", progress=False)
    with pytest.raises(KitError, match="another seed"):
        synthesize_photos(photos, tmp_path / "store", Bowls(), seed=4, which="whole", progress=False)
    with pytest.raises(KitError, match="another faces"):
        synthesize(tmp_path / "store", 5, seed=3, workers=1, progress=False)
    store, _ = synthesize_photos(
        photos, tmp_path / "parametric", Bowls(), seed=3, which="whole", progress=False, overwrite=True
    )
    assert len(store) == 3
    shutil.rmtree(photos)
    photos.mkdir()
    with pytest.raises(KitError, match="found no photos"):
        synthesize_photos(photos, tmp_path / "store", Bowls(), seed=3, which="whole", progress=False)
    Image.new("RGB", (40, 40), (200, 30, 30)).save(photos / "no_face.png")
    with pytest.raises(KitError, match="found no face that can be used in 1 photos"):
        synthesize_photos(photos, tmp_path / "none", Bowls(), seed=3, which="whole", progress=False)
    (tmp_path / "store" / "shard_00000_photos.json").unlink()
    with pytest.raises(KitError, match="does not say which photos"):
        synthesize_photos(photos, tmp_path / "store", Bowls(), seed=3, which="whole", progress=False)


def test_several_faces_of_a_photo_are_several_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from facedepth_kit.faces.photos import reconstruction as module

    photos = tmp_path / "photos"
    write_photos(photos, 2)
    one = module.whole_face
    monkeypatch.setattr(module, "find_faces", lambda picture, which: [one(picture)] * 40)
    store, counts = synthesize_photos(photos, tmp_path / "store", Bowls(), seed=3, which="all", progress=False)
    assert counts.pairs == len(store) == 80
    # The second photo's faces lie on both sides of the shards' border: a cut there doubles and drops none.
    (tmp_path / "store" / "shard_00001_degraded.npy").unlink()
    before = contents(tmp_path / "store")
    store, _ = synthesize_photos(photos, tmp_path / "store", Bowls(), seed=3, which="all", progress=False)
    assert len(store) == 80
    assert before.items() <= contents(tmp_path / "store").items()


KILLED = """
import sys
from facedepth_kit.pairs.photo_pairs import synthesize_photos
from tests.faces.sources import Bowls
if __name__ == "__main__":
    synthesize_photos(sys.argv[1], sys.argv[2], Bowls(), seed=3, which="whole", progress=False)
"""


def test_killed_in_the_middle_it_goes_on(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    write_photos(photos, 200)
    store = tmp_path / "store"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(photos), str(store)], cwd=root)
    deadline = time.monotonic() + 120
    while not list(store.glob("shard_*_degraded.npy")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(list(store.glob("shard_*_degraded.npy"))) < 4
    finished, counts = synthesize_photos(photos, store, Bowls(), seed=3, which="whole", progress=False)
    assert counts.pairs == len(finished) == 200
    assert not list(store.glob("*.partial"))
    whole, _ = synthesize_photos(photos, tmp_path / "whole", Bowls(), seed=3, which="whole", progress=False)
    assert contents(store) == contents(tmp_path / "whole")
    assert whole.fingerprint == finished.fingerprint


# --- The commands ---------------------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    complaints = [line for line in captured.err.splitlines() if line.startswith("facedepth: error:")]
    return code, captured.out, "\n".join(complaints)


def test_synthesize_says_what_is_missing_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "photos", 1)
    start = ("synthesize", "--output", tmp_path / "store", "--faces")
    code, _, err = run(capsys, *start, "photos", tmp_path / "photos", "--prnet-root", tmp_path / "PRNet")
    assert code == 2
    assert "256_256_resfcn256_weight.data-00000-of-00001" in err
    assert "github.com/YadiraF/PRNet" in err
    mediapipe = ("--mesh-source", "mediapipe", "--face-mesh-model", tmp_path / "absent")
    code, _, err = run(capsys, *start, "photos", tmp_path / "photos", *mediapipe)
    assert code == 2
    assert "pip download mediapipe==0.10.21 --no-deps" in err
    for faces, reason in (
        (["photos"], "expected parametric, or photos and their folder"),
        (["paintings", "x"], "'paintings x'"),
        (["photos", tmp_path / "absent"], "no such folder"),
        (["parametric"], "--count"),
    ):
        code, _, err = run(capsys, *start, *faces)
        assert code == 2
        assert reason in err
        assert err.count("\n") == 0
    assert not (tmp_path / "store").exists()


def test_the_commands_with_a_checkpoint_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prefix = write_root(tmp_path / "PRNet", seed=2)
    photos = tmp_path / "photos"
    write_photos(photos, 3)
    (photos / "copy.png").write_bytes((photos / "0001.png").read_bytes())
    (photos / "broken.png").write_bytes(b"no picture")
    source = ("--prnet-root", tmp_path / "PRNet", "--prnet-checkpoint", prefix, "--photo-faces", "whole")
    table = tmp_path / "table.csv"
    code, out, _ = run(capsys, "screen", photos, "--output", table)
    assert code == 1  # done, and one photo was unreadable
    lines = {line.rsplit(maxsplit=2)[0].strip(): line for line in out.splitlines()}
    assert lines["duplicates sha3 512"].split()[-2:] == ["1", "213"]
    assert "not run" in out

    output = tmp_path / "store"
    synthesize_all = ("synthesize", "--faces", "photos", photos, "--output", output)
    code, _, err = run(capsys, *synthesize_all, *source[:2])
    assert code == 2
    assert "expected PRNet's official file of 20319 bytes" in err
    code, out, err = run(capsys, *synthesize_all, *source, "--screened", table)
    assert code == 0, err
    assert f"{output}: 3 pairs by PRNet\n" in out

    code, _, err = run(capsys, "mesh", photos, "--output", tmp_path / "meshes", "--format", "obj", *source)
    assert code == 2
    assert "broken.png" in err
    assert len(list((tmp_path / "meshes").glob("*.obj"))) == 4
    assert "mtllib" not in (tmp_path / "meshes" / "copy.png.obj").read_text()


def test_screen_refuses_what_cannot_be_meant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "photos", 2)
    start = ("screen", tmp_path / "photos", "--output", tmp_path / "table.csv")
    for arguments, reason in (
        (("--ranges", tmp_path / "absent.npz"), "or --well-formed DIR"),
        (("--well-formed", tmp_path / "photos"), "expected a file to keep what is learnt"),
        (("--photo-faces", "all"), "Table I counts photos"),
        (("--largest-px", "0"), "--largest-px: found '0'"),
    ):
        code, _, err = run(capsys, *start, *arguments)
        assert code == 2
        assert reason in err
    assert not (tmp_path / "table.csv").exists()
