"""Simulated data sets: the real ones' files, the same from the same seed, whole after a kill, and never taken for
real."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import SESSIONS, VARIANTS, KinectFaceDB
from facedepth_kit.cameras.simulated import data_sets as simulated
from facedepth_kit.cameras.simulated.data_sets import (
    KinectSettings,
    RealSenseSettings,
    kinect_recording,
    realsense_recording,
    write_kinectfacedb,
    write_realsense,
)
from facedepth_kit.cameras.simulated.sensors import ActiveStereo
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import only_run

# A camera of a quarter of the resolution: the same scenes in a sixteenth of the time.
SMALL = RealSenseSettings(ActiveStereo(focal_px=160.0), 320, 180, 230.0)
SEED = 11


@pytest.fixture(scope="module")
def kinect(tmp_path_factory: pytest.TempPathFactory) -> KinectFaceDB:
    """One person, eighteen pictures."""
    folder = tmp_path_factory.mktemp("kinect") / "set"
    return write_kinectfacedb(folder, 1, seed=SEED, progress=False)


@pytest.fixture(scope="module")
def stereo(tmp_path_factory: pytest.TempPathFactory) -> RecordingFolder:
    """Four recordings of three frames."""
    folder = tmp_path_factory.mktemp("stereo") / "set"
    settings = replace(SMALL, frames_per_recording=3)
    return write_realsense(folder, 12, seed=SEED, settings=settings, workers=1, progress=False)


def digests(folder: Path) -> dict[str, str]:
    """Every file below a folder and what is in it."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- KinectFaceDB ---------------------------------------------------------------------------------------------------


def test_files_of_the_specification(kinect: KinectFaceDB) -> None:
    expected = {"simulated.json"}
    for session in ("s1", "s2"):
        for variant in ("Neutral", "Smile", "OpenMouth", "LeftProfile", "RightProfile", "OcclusionEyes",
                        "OcclusionMouth", "OcclusionPaper", "LightOn"):  # fmt: skip
            base, name = f"EURECOM_Kinect_Face_Dataset/0001/{session}", f"0001_{session}_{variant}"
            expected |= {
                f"{base}/RGB/rgb_{name}.bmp",
                f"{base}/Depth/DepthBMP/depth_{name}.bmp",
                f"{base}/Depth/DepthKinect/depth_{name}.txt",
                f"{base}/Mark/MarkRGB/rgb_{name}_Points.txt",
                f"{base}/Mark/Mark3DObj/depth_{name}_Points_OBJ.txt",
            }
    assert set(digests(kinect.root)) == expected


def test_meshes_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "SESSIONS", ("s1",))
    monkeypatch.setattr(simulated, "VARIANTS", ("Neutral",))
    root = write_kinectfacedb(tmp_path / "set", 1, seed=SEED, meshes=True, progress=False).root
    (mesh,) = root.rglob("*.obj")
    assert mesh.relative_to(root).as_posix() == ("EURECOM_Kinect_Face_Dataset/0001/s1/3DObj/depth_0001_s1_Neutral.obj")
    vertices = [line for line in mesh.read_text().splitlines() if line.startswith("v ")]
    depth = kinect_recording(SEED, 1, "s1", "Neutral", KinectSettings()).depth
    assert len(vertices) == int((depth > 0).sum())


def test_it_reads_as_simulated_and_whole(kinect: KinectFaceDB) -> None:
    recordings = list(kinect)
    assert kinect.simulated
    assert not kinect.damaged
    assert [(r.session, r.variant) for r in recordings] == [(s, v) for s in SESSIONS for v in VARIANTS]
    assert all(recording.simulated for recording in recordings)
    about = json.loads((kinect.root / "simulated.json").read_text())
    assert about["simulated"] is True
    assert "Not the real data set" in about["note"]
    assert about["seed"] == SEED


def test_faces_sit_where_the_data_set_has_them(kinect: KinectFaceDB) -> None:
    for recording in kinect:
        marks = recording.marks
        assert marks is not None
        if "Profile" in recording.variant:
            continue
        assert np.linalg.norm(marks[2] - 127.5) < 25  # the nose in the middle
        assert 25 < marks[1, 0] - marks[0, 0] < 55  # pupils 60 to 70 mm apart at 0.7 to 0.9 m
        x, y = np.rint(marks[2]).astype(int)
        nose = recording.depth[y - 3 : y + 4, x - 3 : x + 4]
        assert 600 < np.median(nose[nose > 0]) < 920


def test_variants_show_what_they_are_called(kinect: KinectFaceDB) -> None:
    by = {variant: kinect.read("0001", "s1", variant) for variant in VARIANTS}
    marks = {variant: recording.marks for variant, recording in by.items()}

    def mark(variant: str, number: int) -> np.ndarray:
        points = marks[variant]
        assert points is not None
        return points[number]

    def near(variant: str, number: int) -> float:
        x, y = np.rint(mark(variant, number)).astype(int)
        patch = by[variant].depth[y - 2 : y + 3, x - 2 : x + 3]
        return float(np.median(patch[patch > 0])) if (patch > 0).any() else np.nan

    mouth = {variant: mark(variant, 4)[0] - mark(variant, 3)[0] for variant in VARIANTS}
    assert mouth["Smile"] > mouth["Neutral"] + 1
    assert mark("OpenMouth", 5)[1] - mark("OpenMouth", 2)[1] > mark("Neutral", 5)[1] - mark("Neutral", 2)[1] + 3
    assert mark("LeftProfile", 2)[0] < mark("LeftProfile", 0)[0]  # the nose points to the image's left
    assert mark("RightProfile", 2)[0] > mark("RightProfile", 1)[0]
    # The hand lies before the mouth; paper before one of the eyes only.
    mouths = {variant: (near(variant, 3) + near(variant, 4)) / 2 for variant in VARIANTS}
    assert mouths["OcclusionMouth"] < mouths["Neutral"] - 10
    eyes = [near("OcclusionPaper", eye) - near("OcclusionMouth", eye) for eye in (0, 1)]
    assert abs(eyes[0] - eyes[1]) > 15
    # The lamp is warmer than the room's light.
    warmth = {}
    for variant, recording in by.items():
        corner = np.asarray(recording.picture, float)[:40, :60].mean(axis=(0, 1))
        warmth[variant] = corner[0] - corner[2]
    assert warmth["LightOn"] > warmth["Neutral"] + 5


def test_a_picture_can_be_made_again_alone(kinect: KinectFaceDB) -> None:
    for session, variant in (("s2", "OcclusionMouth"), ("s1", "LeftProfile")):
        written = kinect.read("0001", session, variant)
        again = kinect_recording(SEED, 1, session, variant, KinectSettings())
        np.testing.assert_array_equal(written.depth, again.depth)
        assert written.picture is not None
        assert again.picture is not None
        np.testing.assert_array_equal(written.picture, again.picture)
        np.testing.assert_allclose(written.marks, again.marks, atol=1e-3)  # type: ignore[arg-type]


def test_people_and_sessions_differ() -> None:
    settings = KinectSettings()
    pictures = [
        kinect_recording(SEED, number, session, "Neutral", settings).picture
        for number, session in ((1, "s1"), (1, "s2"), (2, "s1"))
    ]
    for first, second in ((0, 1), (0, 2)):
        assert (np.asarray(pictures[first]) != np.asarray(pictures[second])).mean() > 0.3


# --- RealSense ------------------------------------------------------------------------------------------------------


def test_recordings_of_all_kinds(stereo: RecordingFolder) -> None:
    recordings = list(stereo)
    assert stereo.simulated
    assert all(recording.simulated for recording in recordings)
    assert [r.name for r in recordings[:4]] == [
        "0001_bona_fide/000",
        "0001_bona_fide/001",
        "0001_bona_fide/002",
        "0002_flat_print/000",
    ]
    kinds = [r.variant for r in recordings]
    assert [kinds.count(kind) for kind in simulated.ATTACKS] == [6, 3, 3]
    assert {r.person for r in recordings} == {"0001", "0002", "0003", "0004"}
    for recording in recordings:
        assert recording.depth.shape == (180, 320)
        assert recording.intrinsics is not None
        assert recording.intrinsics.cx == 159.5
        assert recording.marks is not None


def test_the_smallest_set_has_one_of_each_kind() -> None:
    for frames, length in ((6, 5), (3, 5), (7, 5)):
        planned = simulated._recordings(frames, length)
        assert [kind for _, kind, _ in planned] == list(simulated.ATTACKS)
        assert sum(count for *_, count in planned) == frames
    planned = simulated._recordings(60, 5)
    assert [count for *_, count in planned] == [5] * 12
    assert [[kind for _, kind, _ in planned].count(kind) for kind in simulated.ATTACKS] == [6, 3, 3]


def test_frames_of_a_recording_follow_one_another(stereo: RecordingFolder) -> None:
    recordings = [r for r in stereo if r.person == "0001"]
    moved = [float(np.abs(np.asarray(b.marks) - np.asarray(a.marks)).max()) for a, b in pairwise(recordings)]
    assert all(0.01 < step < 12 for step in moved)
    assert (recordings[0].depth != recordings[1].depth).mean() > 0.2


def nose_mm(recording: RecordedFrame) -> float:
    """How far the nose stands before the plane through the other marks, as measured."""
    assert recording.marks is not None
    depth = []
    for x, y in np.rint(recording.marks).astype(int):
        patch = recording.depth[y - 1 : y + 2, x - 1 : x + 2].astype(float) * recording.unit_mm
        depth.append(float(np.median(patch[patch > 0])))
    plane = np.column_stack([recording.marks, np.ones(6)])
    others = [0, 1, 3, 4, 5]
    fit = np.linalg.lstsq(plane[others], np.array(depth)[others], rcond=None)[0]
    return float(plane[2] @ fit - depth[2])


def test_people_have_noses_and_flat_prints_have_none() -> None:
    # At that resolution the noise would be four times the D435's.
    sensor = replace(SMALL.sensor, feature_noise_px=0.2, pixel_noise_px=0.0)
    near = replace(SMALL, sensor=sensor, distance_mm=(400.0, 450.0), spectacles_share=0.0)
    noses = {}
    for kind in simulated.ATTACKS:
        frames = [next(realsense_recording(SEED, number, kind, 1, near)) for number in (1, 2, 3)]
        noses[kind] = [nose_mm(frame) for frame in frames]
    assert min(noses["bona_fide"]) > 12
    assert max(noses["flat_print"]) < 4
    assert max(noses["bent_print"]) < 8


# --- writing --------------------------------------------------------------------------------------------------------


def test_another_seed_gives_other_files(stereo: RecordingFolder, tmp_path: Path) -> None:
    other = write_realsense(tmp_path / "other", 3, seed=SEED + 1, settings=SMALL, workers=1, progress=False)
    assert not set(digests(other.root).values()) & set(digests(stereo.root).values())


SCRIPT = """
import sys
from facedepth_kit.cameras.simulated import data_sets as simulated
from facedepth_kit.cameras.simulated.sensors import ActiveStereo
settings = simulated.RealSenseSettings(ActiveStereo(focal_px=160.0), 320, 180, 230.0, frames_per_recording=3)
if __name__ == "__main__":
    simulated.write_realsense(sys.argv[1], 12, seed=11, settings=settings, workers=2, progress=False)
"""


def test_a_killed_run_goes_on_where_it_was_and_leaves_no_process(stereo: RecordingFolder, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder)])
    deadline = time.monotonic() + 60
    # Kill it in the middle: a recording is whole, of another some frames lie in a hidden folder.
    while not (list(folder.glob("000*")) and list(folder.glob(".partial-*/*_depth.png"))):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []
    finished = sorted(path.name for path in folder.glob("000*"))
    assert 1 <= len(finished) < 4
    assert len(RecordingFolder(folder)) == 3 * len(finished)  # what is there is whole and readable
    times = {name: (folder / name / "000_depth.png").stat().st_mtime_ns for name in finished}
    settings = replace(SMALL, frames_per_recording=3)
    write_realsense(folder, 12, seed=SEED, settings=settings, workers=1, progress=False)
    assert digests(folder) == digests(stereo.root)
    assert times == {name: (folder / name / "000_depth.png").stat().st_mtime_ns for name in finished}


def test_a_second_run_on_the_same_folder_ends_at_once(stereo: RecordingFolder) -> None:
    before = digests(stereo.root)
    settings = replace(SMALL, frames_per_recording=3)
    with only_run(stereo.root), pytest.raises(KitError, match="found another run at work"):
        write_realsense(stereo.root, 12, seed=SEED, settings=settings, progress=False)
    assert digests(stereo.root) == before


def test_more_people_extend_a_data_set(kinect: KinectFaceDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without writing them: the person who is there stays, the next are planned."""
    planned: list[int] = []

    def plan(work: object, jobs: Iterable[tuple[Any, ...]], **options: object) -> Iterator[None]:
        planned.extend(job[1] for job in jobs)
        yield from ()

    monkeypatch.setattr(simulated, "run_jobs", plan)
    write_kinectfacedb(kinect.root, 1, seed=SEED, progress=False)
    assert planned == []
    with pytest.raises(KitError, match="no person '0002'"):  # nobody wrote it
        write_kinectfacedb(kinect.root, 3, seed=SEED, progress=False)
    assert planned == [2, 3]


def test_another_seed_or_other_files_are_refused(kinect: KinectFaceDB, tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"simulated\.json: found another seed"):
        write_kinectfacedb(kinect.root, 1, seed=SEED + 1)
    with pytest.raises(KitError, match="found another data_set"):
        write_realsense(kinect.root, 3, seed=SEED)
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(KitError, match="found other files"):
        write_kinectfacedb(tmp_path, 1, seed=SEED)
    with pytest.raises(KitError, match="found a file, expected a folder"):
        write_realsense(tmp_path / "mine.txt", 3, seed=SEED)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "simulated.json").write_text("{")
    with pytest.raises(KitError, match=r"simulated\.json: found no readable JSON"):
        write_realsense(tmp_path / "damaged", 3, seed=SEED)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("people", [0, 10_000])
def test_counts_that_make_no_sense(people: int, tmp_path: Path) -> None:
    with pytest.raises(KitError, match=f"found {people}"):
        write_kinectfacedb(tmp_path / "new", people, seed=1)
    with pytest.raises(KitError, match="found 2, expected at least 3"):
        write_realsense(tmp_path / "new", 2, seed=1)
    assert not (tmp_path / "new").exists()
