"""Decisions on presentations, from measures written down by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from facedepth_kit.evaluation.camera_measures import Measures
from facedepth_kit.evaluation.decision_tables import (
    WORST,
    attack_finding,
    attack_rows,
    curve_rows,
    decision_rows,
    pad_score,
    presentations,
    relief_score,
)

NAN = math.nan
EMPTY = Measures("realsense", "", "0001", "s1", "bona_fide", "None", *[NAN] * 8)


def realsense(name: str, variant: str, enhancer: str = "None", **values: float) -> Measures:
    return replace(EMPTY, name=name, variant=variant, enhancer=enhancer, **values)  # type: ignore[arg-type]


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


def test_apcer_is_the_maximum_over_the_species() -> None:
    bent = [
        realsense(name, "bent_print", enhancer, pad_error=error)
        for enhancer, errors in {"None": (0.9, 0.9), "X": (0.2, 0.8)}.items()
        for name, error in zip("ab", errors, strict=True)
    ]
    lines = decision_rows([*attacks(), *bent], ["None", "X"], {"geometric PAD error": 0.15})
    found = {(line["enhancer"], line["presentation"]): line for line in lines}
    assert found["X", "flat_print"]["value"] == 0.5
    assert found["X", "bent_print"]["value"] == 0.0
    worst = found["X", WORST]
    assert (worst["rate"], worst["value"], worst["presentations"]) == ("APCER", 0.5, 4)
    # Both faces pass above 0.1; of the flat prints one (0.1) does, too, of the bent ones none.
    assert (worst["apcer_at_bpcer_5%"], found["X", "bent_print"]["apcer_at_bpcer_5%"]) == (0.5, 0.0)
    assert 0 < worst["d_eer"] <= 0.5
    (row,) = attack_rows(lines, ["X"])
    assert row["APCER, flat print (n = 2)"] == "50.0%"
    assert (row["APCER, worst species"], row["APCER at BPCER 5%"]) == ("50.0%", "50.0%")
    assert attack_finding(lines, "X") == (
        "Where at most 5% of bona fide faces are rejected: By the geometric PAD error, 50.0% of flat prints (n = 2) "
        "and 0.0% of bent prints (n = 2) are accepted after X, 100.0% and 100.0% without it."
    )


def test_recordings_without_attacks_have_a_bpcer_only() -> None:
    faces = [row for row in attacks() if row.variant == "bona_fide"]
    (line,) = decision_rows(faces, ["None"], {"geometric PAD error": 0.3}, simulated=False)
    assert (line["value"], line["simulated"]) == (0.5, False)
    assert "d_eer" not in line
    assert attack_finding([line], "None") == ""


def test_curves_are_rates_over_thresholds() -> None:
    lines = curve_rows(attacks(), ["None"], {"geometric PAD error": [0.0, 0.55, 1.1]})
    rates = {
        kind: [line["rate"] for line in lines if line["presentation"] == kind] for kind in ("bona_fide", "flat_print")
    }
    assert rates == {"bona_fide": [1.0, 0.5, 0.0], "flat_print": [0.0, 0.5, 1.0]}
