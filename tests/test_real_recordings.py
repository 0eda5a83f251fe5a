"""The whole way on real frames, where they lie beside the repository: Kinect v2 (mm) and TrueDepth (0.1 mm)."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cameras.recorded.depth_files import read_frame
from facedepth_kit.cameras.recorded.face_crop import crop_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.enhancers.files import EnhanceSettings, FileReport, enhance_files


def some_frames(source: Path, target: Path, pattern: str) -> Path:
    for path in sorted(source.glob(pattern)):
        (target / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / path.parent.name)
    return target


def checked(reports: list[FileReport], unit_mm: float) -> None:
    """What holds for every frame, whatever the enhancer."""
    for report in reports:
        assert report.ok, report.error
        assert report.output is not None
        before, after = read_frame(report.input), read_frame(report.output)
        assert before.shape == after.shape
        left, top, right, bottom = report.box or (0, 0, 0, 0)
        outside = np.ones(before.shape, np.bool_)
        outside[max(top, 0) : bottom, max(left, 0) : right] = False
        np.testing.assert_array_equal(after[outside], before[outside])
        assert ((before > 0) <= (after > 0)).all()  # nothing measured is lost
        measured = before > 0
        assert np.median(np.abs(before[measured].astype(float) - after[measured]) * unit_mm) < 5


def test_kinect_faces_found_in_infrared(real_depth: Path, tmp_path: Path) -> None:
    folder = some_frames(real_depth / "kinect_v2_faces", tmp_path / "in", "subject_0[159]/000_*.png")
    settings = EnhanceSettings(tmp_path / "out", "Telea+bilateral", image_suffix="_infrared.png")
    reports = enhance_files([folder], settings)
    checked(reports, 1.0)
    assert len(reports) == 3
    for report in reports:
        # Flying pixels at 0.6 to 0.7 m stand before these faces, which begin at 0.8 to 1.0 m.
        assert 780 < (report.near_mm or 0) < 1000
        assert (report.holes_after or 0) <= 0.05 * (report.holes_before or 0) + 2


def test_truedepth_in_tenths_of_millimetres(real_depth: Path, tmp_path: Path) -> None:
    folder = some_frames(real_depth / "truedepth_mannequin", tmp_path / "in", "056_*.png")
    settings = EnhanceSettings(tmp_path / "out", "Telea", unit_mm=0.1, image_suffix="_color.png")
    (report,) = enhance_files([folder], settings)
    checked([report], 0.1)
    assert 200 < (report.near_mm or 0) < 300
    assert report.holes_before
    assert (report.holes_after or 0) < 0.1 * report.holes_before


@pytest.mark.parametrize("name", ["kinect_v2_faces/subject_0*/000_depth.png", "truedepth_mannequin/*_depth.png"])
def test_whole_frames_come_back_bit_by_bit(real_depth: Path, name: str, tmp_path: Path) -> None:
    unit_mm = 1.0 if "kinect" in name else 0.1
    settings = EnhanceSettings(tmp_path / "out", "None", unit_mm=unit_mm)
    paths = sorted(real_depth.glob(name))[:3]
    for index, path in enumerate(paths):
        (tmp_path / f"{index}_depth.png").write_bytes(path.read_bytes())
    reports = enhance_files([tmp_path], settings)
    assert [report.changed_pixels for report in reports] == [0] * len(paths)


def test_a_standing_person_needs_a_box(real_depth: Path) -> None:
    path = next((real_depth / "kinect_v2_bodies").rglob("depth_map/*.png"))
    frame = RecordedFrame("person", read_frame(path))
    rows = np.flatnonzero((frame.depth > 0).any(axis=1))
    middle = int(np.median(np.flatnonzero(frame.depth[rows[0] + 20])))
    crop = crop_face(frame, (middle - 40, int(rows[0]), middle + 40, int(rows[0]) + 100))
    assert (crop.depth != 65535).mean() > 0.2
    assert crop.square.side == 125
