"""Which data set a notebook gets: the user's own if it is there, otherwise a simulated one that says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cameras import data_sets as datasets
from facedepth_kit.cameras.data_sets import CameraData
from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import FOLDER, write_variant
from facedepth_kit.cameras.recorded.sources import ConcatenatedRecordings
from facedepth_kit.cameras.simulated.data_sets import RealSenseSettings
from facedepth_kit.cameras.simulated.sensors import ActiveStereo

SMALL = RealSenseSettings(ActiveStereo(focal_px=160.0), 320, 180, 230.0)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CameraData:
    """What is simulated and the user's own data lie in a temporary folder."""
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path / "data"))
    return CameraData(tmp_path / "cache", seed=2023, people=1, frames=3)


def kinect_frame(depth: int) -> RecordedFrame:
    return RecordedFrame(
        "frame",
        np.full((256, 256), depth, np.uint16),
        picture=np.zeros((256, 256, 3), np.uint8),
        person="0001",
        session="s1",
        variant="Neutral",
        marks=np.zeros((6, 2)),
    )


@pytest.mark.parametrize("place", ["", FOLDER, "my recordings"])
def test_the_users_own_kinectfacedb_comes_first(place: str, data: CameraData, tmp_path: Path) -> None:
    write_variant(tmp_path / "data" / place, kinect_frame(800))
    found = datasets.kinectfacedb(data)
    assert not found.simulated
    assert [int(recording.depth[0, 0]) for recording in found] == [800]


def test_the_users_own_realsense_recordings_come_first(data: CameraData, tmp_path: Path) -> None:
    with FolderWriter(tmp_path / "data" / "RealSense" / "monday", unit_mm=0.1) as writer:
        writer.write(RecordedFrame("", np.full((48, 64), 5000, np.uint16), unit_mm=0.1))
    found = datasets.realsense(data)
    assert not found.simulated
    assert [recording.unit_mm for recording in found] == [0.1]


def test_several_data_sets_read_as_one(tmp_path: Path) -> None:
    from facedepth_kit.cameras.recorded.folder import RecordingFolder

    members = []
    for name, simulated in (("a", False), ("b", True)):
        with FolderWriter(tmp_path / name, simulated=simulated) as writer:
            writer.write(RecordedFrame("000", np.full((48, 64), 500, np.uint16)))
            writer.write(RecordedFrame("001", np.full((48, 64), 501, np.uint16)))
        members.append(RecordingFolder(tmp_path / name))
    (tmp_path / "b" / "001_depth.png").write_bytes(b"damaged")
    several = ConcatenatedRecordings(list(members))
    assert len(several) == 4
    assert [int(r.depth[0, 0]) for r in several] == [500, 501, 500]
    assert len(several.damaged) == 1
    assert several.simulated


def test_without_any_a_simulated_one_is_written_and_kept(data: CameraData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "RealSenseSettings", lambda: SMALL)
    first = datasets.realsense(data)
    assert first.simulated
    assert sorted(recording.variant for recording in first) == ["bent_print", "bona_fide", "flat_print"]
    files = sorted(first.root.rglob("*.png"))  # type: ignore[attr-defined]
    times = [path.stat().st_mtime_ns for path in files]
    again = datasets.realsense(data)
    assert again.root == first.root  # type: ignore[attr-defined]
    assert [path.stat().st_mtime_ns for path in files] == times
    other = datasets.realsense(replace(data, seed=7))
    assert other.root != first.root  # type: ignore[attr-defined]
