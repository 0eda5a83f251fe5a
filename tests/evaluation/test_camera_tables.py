"""Tables V to VII and the PAD decisions from measures written down by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.common.tables import read_table, write_table
from facedepth_kit.evaluation.camera_measures import Measures
from facedepth_kit.evaluation.camera_tables import (
    curve_rows,
    decision_rows,
    landmark_subsets,
    long_table,
    pad_score,
    presentations,
    relief_score,
    table_5,
    table_6,
    table_7,
    tally,
    wide_table,
)

NAN = math.nan
EMPTY = Measures("kinectfacedb", "", "0001", "s1", "Neutral", "None", *[NAN] * 8)


def kinect(name: str, enhancer: str = "None", **values: float | str) -> Measures:
    return replace(EMPTY, name=name, enhancer=enhancer, **values)  # type: ignore[arg-type]


def realsense(name: str, variant: str, enhancer: str = "None", **values: float) -> Measures:
    return replace(EMPTY, camera="realsense", name=name, variant=variant, enhancer=enhancer, **values)  # type: ignore[arg-type]


def test_table_5_by_hand() -> None:
    measures = [
        kinect("a", roughness=0.010, holes=0.02),
        kinect("b", roughness=0.014, holes=0.04),
        kinect("profile", variant="LeftProfile"),  # no mask, no number
        realsense("c", "bona_fide", roughness=0.005, holes=0.0),
        realsense("d", "flat_print", roughness=0.9, holes=0.9),  # attacks do not count
    ]
    table = table_5(measures)
    assert table["None"]["kinectfacedb_roughness_mean"] == pytest.approx(1.2)
    assert table["None"]["kinectfacedb_roughness_std"] == pytest.approx(math.sqrt(2) * 0.2)
    assert table["None"]["kinectfacedb_holes_mean"] == pytest.approx(3.0)
    assert table["None"]["realsense_roughness_mean"] == pytest.approx(0.5)
    assert math.isnan(table["None"]["realsense_roughness_std"])


def test_table_6_takes_three_variants() -> None:
    measures = [
        kinect("a", "DL-Delta-1", falsification=0.01),
        kinect("b", "DL-Delta-1", falsification=0.03),
        kinect("c", "DL-Delta-1", variant="OcclusionMouth", falsification=0.05),
        kinect("d", "DL-Delta-1", variant="Smile", falsification=0.9),
    ]
    table = table_6(measures)["DL-Delta-1"]
    assert table["none_mean"] == pytest.approx(2.0)
    assert table["none_std"] == pytest.approx(math.sqrt(2))
    assert table["mouth_mean"] == pytest.approx(5.0)
    assert math.isnan(table["paper_mean"])


def test_table_7_looks_at_images_whose_input_has_a_landmark_hole() -> None:
    measures = [
        kinect("a", mark_holes=2 / 6, landmark_holes=0.0, pad_error=0.5),
        kinect("b", mark_holes=0.0, landmark_holes=3 / 68, pad_error=1.0),
        kinect("c", mark_holes=1 / 6, landmark_holes=1 / 68, pad_error=0.2),
        kinect("d", mark_holes=0.0, landmark_holes=0.0, pad_error=0.0),
        kinect("a", "X", mark_holes=0.0, landmark_holes=0.0, pad_error=0.9),
        kinect("b", "X", mark_holes=0.0, landmark_holes=0.0, pad_error=0.04),
        kinect("c", "X", mark_holes=0.0, landmark_holes=0.0, pad_error=0.06),
        kinect("d", "X", mark_holes=1.0, landmark_holes=1.0, pad_error=1.0),  # the input had none
    ]
    assert landmark_subsets(measures) == {"manual": {"a", "c"}, "dlib": {"b", "c"}}
    table = table_7(measures)
    assert table["None"]["manual_landmark_holes_mean"] == pytest.approx(1.5 / 6)
    assert table["None"]["dlib_landmark_holes_max"] == 3 / 68
    assert table["None"]["geometric_pad_error_mean"] == pytest.approx(0.6)
    assert table["X"]["manual_landmark_holes_max"] == 0
    assert table["X"]["geometric_pad_error_mean"] == pytest.approx(0.05)
    assert table["X"]["geometric_pad_error_min"] == 0.04
    assert table["X"]["geometric_pad_error_std"] == pytest.approx(math.sqrt(2) * 0.01)


def test_the_long_table_keeps_failures_and_what_was_not_run() -> None:
    measured = {
        "None": {"kinectfacedb_roughness_mean": 1.35, "realsense_holes_mean": 9.0},
        "Telea": {"kinectfacedb_roughness_mean": 0.9},
    }
    lines = long_table("V", measured, ["None", "Telea"], counts={"kinectfacedb": 14})
    found = {(line["row"], line["condition"], line["metric"]): line for line in lines}
    none = found["None", "KinectFaceDB, roughness", "mean"]
    assert (none["value"], none["published"], none["verdict"], none["images"]) == (1.35, 1.35, "holds", 14)
    assert found["None", "RealSense D435, holes", "mean"]["verdict"] == "FAILS"
    assert found["Telea", "KinectFaceDB, roughness", "mean"]["note"] == "the kit's own row, not in the paper"
    missing = found["DL-Beta", "KinectFaceDB, roughness", "mean"]
    assert (missing["value"], missing["published"], missing["verdict"]) == (None, 0.69, "open")
    assert all(line["simulated"] for line in lines)
    assert len(lines) == 16 * 8 + 1
    assert tally(lines).startswith("1 holds, 1 FAILS")
    real = long_table("V", measured, ["None"], real=["kinectfacedb"])
    assert {line["simulated"] for line in real if line["condition"].startswith("Kinect")} == {False}


def test_the_wide_table_prints_mean_and_deviation(tmp_path: Path) -> None:
    measured = {"None": {"none_mean": 1.0, "none_std": 0.5}, "DL-Delta-1": {"none_mean": 1.5, "none_std": 0.25}}
    lines = long_table("VI", measured, ["None", "DL-Delta-1"])
    write_table(tmp_path / "table.csv", lines)
    for given in (lines, read_table(tmp_path / "table.csv")):
        none, delta, *_ = wide_table(given, 2)
        assert none == {"enhancer": "None", "Neutral": "1.00 (0.50)", "Neutral, published": ""}
        assert delta["Neutral"] == "1.50 (0.25)"
        assert delta["Neutral, published"] == "1.51 (0.53)"
        assert delta["OcclusionMouth"] == ""
        assert delta["OcclusionMouth, published"] == "4.08 (4.80)"


def attacks() -> list[Measures]:
    """Two faces and two flat prints; the enhancer X lets one print through and rescues one face."""
    values = {
        "None": ((0.0, 20.0), (1.0, NAN), (0.5, 2.0), (0.6, 3.0)),
        "X": ((0.0, 18.0), (0.1, 25.0), (0.1, 15.0), (0.6, 70.0)),
    }
    kinds = ("bona_fide", "bona_fide", "flat_print", "flat_print")
    return [
        realsense(f"p{index}", kind, enhancer, pad_error=error, nose_mm=nose)
        for enhancer, images in values.items()
        for index, (kind, (error, nose)) in enumerate(zip(kinds, images, strict=True))
    ]


def test_scores_of_the_two_checks() -> None:
    row = realsense("a", "bona_fide", pad_error=0.25, nose_mm=17.0)
    assert (pad_score(row), relief_score(row)) == (0.25, -17.0)
    assert relief_score(replace(row, nose_mm=NAN)) == math.inf
    assert relief_score(replace(row, nose_mm=61.0)) == math.inf
    assert math.isnan(relief_score(replace(row, pad_error=NAN)))
    scores = presentations(attacks(), "None", pad_score, {"flat_print": 1})
    assert scores["bona_fide"].tolist() == [0.0, 1.0]
    assert scores["flat_print"][:2].tolist() == [0.5, 0.6]
    assert np.isnan(scores["flat_print"][2])


def test_decisions_by_hand() -> None:
    thresholds = {"geometric PAD error": 0.3, "relief (ours)": -8.0}
    lines = decision_rows(attacks(), ["None", "X"], thresholds, without_face={"flat_print": 1})
    found = {(line["check"], line["enhancer"], line["presentation"]): line for line in lines}
    face = found["geometric PAD error", "None", "bona_fide"]
    assert (face["rate"], face["value"], face["presentations"]) == ("BPCER", 0.5, 2)
    prints = found["geometric PAD error", "None", "flat_print"]
    assert (prints["rate"], prints["value"], prints["presentations"]) == ("APCER", 0.0, 3)
    assert prints["no_response"] == pytest.approx(1 / 3)
    assert prints["apcer_at_bpcer_5%"] == 1.0  # only a threshold above 1.0 accepts both faces
    enhanced = found["geometric PAD error", "X", "flat_print"]
    assert (enhanced["value"], enhanced["passes_only_enhanced"], enhanced["passes_only_plain"]) == (0.5, 1, 0)
    rescued = found["geometric PAD error", "X", "bona_fide"]
    assert (rescued["value"], rescued["passes_only_enhanced"]) == (0.0, 1)
    relief = found["relief (ours)", "X", "flat_print"]
    assert relief["value"] == 0.5  # 15 mm passes; 70 mm is implausible
    assert found["relief (ours)", "None", "bona_fide"]["value"] == 0.5


def test_recordings_without_attacks_have_a_bpcer_only() -> None:
    faces = [row for row in attacks() if row.variant == "bona_fide"]
    (line,) = decision_rows(faces, ["None"], {"geometric PAD error": 0.3}, simulated=False)
    assert (line["value"], line["d_eer"], line["simulated"]) == (0.5, None, False)


def test_curves_are_rates_over_thresholds() -> None:
    lines = curve_rows(attacks(), ["None"], {"geometric PAD error": [0.0, 0.55, 1.1]})
    rates = {
        kind: [line["rate"] for line in lines if line["presentation"] == kind] for kind in ("bona_fide", "flat_print")
    }
    assert rates == {"bona_fide": [1.0, 0.5, 0.0], "flat_print": [0.0, 0.5, 1.0]}
