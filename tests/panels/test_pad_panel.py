"""The PAD panel: what it says of landmarks, rules and thresholds is what the evaluation says."""

from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, DepthRange
from facedepth_kit.evaluation.pad import geometric_pad
from facedepth_kit.panels import PadPanel, Specimen, pad_panel
from facedepth_kit.panels.pad import COLOURS, _numbers

RANGE = DepthRange(500.0, 250.0)


def face_like() -> Specimen:
    """A dome with its top at the nose: landmarks on it break no rule, then some are made to."""
    rows, columns = np.mgrid[:256, :256]
    away = np.hypot(rows - 130, columns - 128)
    depth = np.minimum(away * 80, 60_000).astype(np.uint16)
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([128 + 80 * np.cos(angles), 110 + 100 * np.sin(angles)], axis=1)
    jaw[8] = (128, 190)  # the chin is nearer to the nose than the rest of the jaw
    jaw[:8, 0] -= np.arange(8, 0, -1) * 4
    jaw[9:, 0] += np.arange(1, 9) * 4
    others = np.stack([128 + 40 * np.cos(np.linspace(0, 6.2, 51)), 130 + 40 * np.sin(np.linspace(0, 6.2, 51))], axis=1)
    others[30 - 17] = (128, 130)
    return Specimen("dome", FaceCrop("dome", depth, RANGE, landmarks=np.concatenate([jaw, others])), depth != HOLE)


def with_depth(specimen: Specimen, depth: DepthImage) -> Specimen:
    return replace(specimen, crop=replace(specimen.crop, depth=depth))


def says(panel: PadPanel) -> dict[str, list[str]]:
    lines = [re.findall(r"<td[^>]*>([^<]*)</td>", line) for line in panel.verdicts.value.split("<tr>")]
    return {line[0]: line[1:] for line in lines if line}


def test_a_face_that_breaks_no_rule_is_a_face_at_any_threshold_above_none() -> None:
    panel = pad_panel([face_like()], enhancer="None", threshold=1 / 68)
    assert says(panel)["input"][:2] == ["0 of 68 = 0.000", "face"]
    assert panel.numbers.value.count(">–<") == 6


def test_holes_and_near_landmarks_are_named_by_number_and_decide_with_the_threshold() -> None:
    specimen = face_like()
    assert specimen.crop.landmarks is not None
    depth = specimen.crop.depth.copy()
    points = np.round(specimen.crop.landmarks).astype(int)
    for place in (40, 41, 50):
        x, y = points[place]
        depth[y, x] = HOLE
    depth[130, 128] = 100
    x, y = points[60]
    depth[y, x] = 10
    broken = with_depth(specimen, depth)
    expected = geometric_pad(depth, specimen.crop.landmarks)
    panel = pad_panel([broken], enhancer="None", threshold=0.05)
    failing = int(expected.invalid.sum())
    assert failing == 4
    assert says(panel)["input"][:2] == [f"{failing} of 68 = {failing / 68:.3f}", "attack"]
    assert ">41-42, 51<" in panel.numbers.value
    assert ">61<" in panel.numbers.value
    panel.threshold.value = 0.06
    assert says(panel)["input"][1] == "face"


def test_dots_have_the_colour_of_the_rule() -> None:
    specimen = face_like()
    assert specimen.crop.landmarks is not None
    depth = specimen.crop.depth.copy()
    x, y = np.round(specimen.crop.landmarks[45]).astype(int)
    depth[y, x] = HOLE
    panel = pad_panel([with_depth(specimen, depth)], enhancer="None")
    picture = cv2.imdecode(np.frombuffer(panel.images["input"].value, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    for place, rule in ((45, "hole"), (20, "valid")):
        column, row = np.round(2 * specimen.crop.landmarks[place] + 0.5).astype(int)
        assert tuple(picture[row, column, ::-1]) == COLOURS[rule]


def test_filling_the_holes_changes_the_enhanced_side_only() -> None:
    specimen = face_like()
    assert specimen.crop.landmarks is not None
    depth = specimen.crop.depth.copy()
    x, y = np.round(specimen.crop.landmarks[45]).astype(int)
    depth[y - 2 : y + 3, x - 2 : x + 3] = HOLE
    panel = pad_panel([with_depth(specimen, depth)], enhancer="None")
    assert says(panel)["enhanced"] == says(panel)["input"]
    before = bytes(panel.images["input"].value)
    panel.enhancer.value = "Telea"
    assert says(panel)["input"][0].startswith("1 of 68")
    assert says(panel)["enhanced"][0].startswith("0 of 68")
    assert bytes(panel.images["input"].value) == before


def test_the_relief_slider_moves_the_second_verdict() -> None:
    panel = pad_panel([face_like()], enhancer="None")
    height = float(says(panel)["input"][2].removesuffix(" mm"))
    panel.least_mm.value = height - 1
    assert says(panel)["input"][3] == "face"
    panel.least_mm.value = min(height + 1, 40)
    assert says(panel)["input"][3] == "attack"


def test_images_without_landmarks_are_refused() -> None:
    specimen = face_like()
    with pytest.raises(KitError, match="no image with landmarks"):
        pad_panel([replace(specimen, crop=replace(specimen.crop, landmarks=None))])


def test_runs_of_numbers_are_shortened() -> None:
    assert _numbers(np.array([1, 2, 3, 7, 9, 10])) == "1-3, 7, 9-10"
    assert _numbers(np.array([], int)) == "–"
