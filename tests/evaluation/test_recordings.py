"""Measures on recordings of one's own: by hand where numbers are known, all the way on simulated and real ones."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.face_crop import crop_face
from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cli.main import main
from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation.camera_measures import Measures
from facedepth_kit.evaluation.punched import PunchedRow
from facedepth_kit.evaluation.recordings import evaluate_recordings, kept_tables, moved_pixels, summary_rows

ROW = Measures("recordings", "a", "", "", "", "None", 0.010, 0.02, 0.004, 0.0, np.nan, 2 / 68, 0.25, 20.0)


def test_summary_by_hand() -> None:
    other = replace(ROW, name="b", roughness=0.020, holes=0.0, noise=0.008, pad_error=0.75, nose_mm=np.nan)
    (line,) = summary_rows([ROW, other], [PunchedRow("None", 2, 10, 0.5, 3.0, 2.0, 1.0)])
    assert (line["enhancer"], line["frames"]) == ("None", 2)
    assert line["roughness"] == pytest.approx(1.5)
    assert line["holes"] == pytest.approx(1.0)
    assert line["noise_mm"] == pytest.approx(250 * 0.006)
    assert line["changed"] == 0
    assert np.isnan(line["mark_holes"])
    assert line["landmark_holes"] == pytest.approx(2 / 68)
    assert (line["pad_error"], line["pad_error_max"]) == (0.5, 0.75)
    assert (line["nose_mm"], line["plausible"]) == (20.0, 0.5)
    assert (line["punched_filled"], line["punched_rmse_mm"], line["punched_median_frame_mm"]) == (0.5, 2.0, 1.0)


def test_a_simulated_face_all_the_way(simulated_face: RecordedFrame) -> None:
    blank = replace(simulated_face, name="blank", picture=np.zeros_like(simulated_face.picture))
    alone = replace(simulated_face, name="alone", picture=None)
    report = evaluate_recordings([simulated_face, blank, alone], ["None", "Telea"], rng=np.random.default_rng(0))
    assert [(row.name, row.enhancer) for row in report.measures] == [
        (simulated_face.name, "None"),
        (simulated_face.name, "Telea"),
    ]
    assert [entry.name for entry in report.left_out] == ["blank", "alone"]
    assert report.simulated
    assert report.moved == {"None": 0.0, "Telea": 0.0}
    before, after = report.measures
    assert before.falsification == after.falsification == 0  # neither touches what was measured
    assert after.holes < 0.2 * before.holes + 0.005
    assert after.landmark_holes <= before.landmark_holes
    assert before.nose_mm > 5
    assert [row.enhancer for row in report.punched] == ["None", "Telea"]
    assert report.punched[1].filled > 0.95
    assert report.punched[1].rmse_mm < 15


def test_learned_enhancers_leave_measured_depth_where_it_was(simulated_face: RecordedFrame) -> None:
    names = [name for name in ("DL-Kit-1", "DL-Kit-0", "DL-Delta-1") if name in enhancers.available()]
    report = evaluate_recordings([simulated_face], ["None", *names])
    for line in summary_rows(report.measures, moved=report.moved):
        assert line["moved_20mm_share"] <= 0.001, line["enhancer"]


def test_moved_pixels_by_hand() -> None:
    before = RecordedFrame("a", np.full((64, 64), 700, np.uint16))
    depth = before.depth.copy()
    depth[30, 30:33] = 721, 720, 679  # 21, 20 and -21 mm
    crop = crop_face(before, (8, 8, 56, 56))
    assert crop.writable is not None
    assert moved_pixels(before, replace(before, depth=depth), crop) == (2, int(crop.writable.sum()))


def test_without_punching(simulated_face: RecordedFrame) -> None:
    report = evaluate_recordings([simulated_face], ["None"])
    assert len(report.measures) == 1
    assert report.punched == []


def test_no_face_at_all_is_one_clear_line(simulated_face: RecordedFrame) -> None:
    with pytest.raises(KitError, match="found no face"):
        evaluate_recordings([replace(simulated_face, picture=None)], ["None"])
    with pytest.raises(KitError, match="expected one of"):
        evaluate_recordings([simulated_face], ["Nonesuch"])


def test_the_command(simulated_face: RecordedFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FolderWriter(tmp_path / "in", simulated=True) as writer:
        for name in ("000", "001", "002"):
            writer.write(replace(simulated_face, name=name))
    table = tmp_path / "table.csv"
    command = ["evaluate-recordings", str(tmp_path / "in"), "--enhancer", "None", "--enhancer", "Telea", "--every", "2"]
    assert main([*command, "--output", str(table)]) == 0
    printed = capsys.readouterr().out
    assert "2 frames with a face; simulated" in printed
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["enhancer"] for row in rows] == ["None", "Telea"]
    assert rows[0]["frames"] == "2"
    assert float(rows[1]["punched_filled"]) > 0.9
    assert main([*command, "--output", str(table)]) == 2
    assert "already there" in capsys.readouterr().err


def test_frames_left_out_are_named(
    simulated_face: RecordedFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FolderWriter(tmp_path) as writer:
        writer.write(replace(simulated_face, name="000"))
        writer.write(replace(simulated_face, name="001", picture=None))
    assert main(["evaluate-recordings", str(tmp_path), "--enhancer", "None", "--no-punch"]) == 1
    streams = capsys.readouterr()
    assert "1 frames with a face, 1 left out" in streams.out
    assert "001: found no aligned picture" in streams.err


def test_real_frames(real_depth: Path) -> None:
    """The noise of the sensors as it was measured independently: 1.03 mm (Kinect v2) and 0.31 mm (TrueDepth)."""
    expected = {"kinect_v2_faces": 1.03, "truedepth_mannequin": 0.31}
    for name, noise_mm in expected.items():
        folder = RecordingFolder(real_depth / name)
        frames = [recording for index, recording in enumerate(folder) if index % 20 == 0 or len(folder) < 20]
        (line,) = summary_rows(evaluate_recordings(frames, ["None"]).measures)
        assert line["noise_mm"] == pytest.approx(noise_mm, rel=0.3)
        assert line["plausible"] == 1.0


def test_kept_tables_hold_numbers_only() -> None:
    for table in kept_tables().values():
        assert set(table["enhancer"]) >= {"None", "DL-Kit-0"}
        numbers = table.drop(columns=["enhancer", "measured_bias"])
        assert all(kind.kind in "if" for kind in numbers.dtypes)
