"""The enhancer panel: what it shows is what the enhancers gave, for drawn faces and for files of the reader's own."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.depth_files import write_frame
from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthRange, from_millimetres, to_millimetres
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.panels import EnhancerPanel, FaceChoice, Specimen, enhancer_panel, from_file, synthetic


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return synthetic(FaceChoice(3, "smile"), seed=1)


def shown(panel: EnhancerPanel) -> dict[tuple[str, str], bytes]:
    return {key: bytes(image.value) for key, image in panel.images.items()}


def rows(panel: EnhancerPanel) -> dict[str, list[str]]:
    """Below each column: the share of holes, the mean change, the face RMSE."""
    found = {name: text.value for name, text in panel.numbers.items()}
    return {name: re.findall(r"(?:holes|change|RMSE) ([0-9.]+%?)", text) for name, text in found.items()}


def test_columns_and_numbers_are_those_of_the_chosen_enhancers(specimen: Specimen) -> None:
    panel = enhancer_panel([specimen], enhancers=["Hf-L", "Telea"])
    assert list(dict.fromkeys(column for column, _ in panel.images)) == ["input", "Hf-L", "Telea", "ground truth"]
    panel.enhancers.value = ("Telea", "None", "Sp-HfU")
    assert specimen.ground_truth is not None
    for name in ("Telea", "None", "Sp-HfU"):
        output = enhancers.get(name).enhance(specimen.crop.depth)
        holes, _, error = rows(panel)[name]
        assert holes == f"{np.mean(output[specimen.area] == HOLE):.1%}"
        assert error == f"{face_rmse(output, specimen.ground_truth):.4f}"
    assert rows(panel)["ground truth"][2] == "0.0000"
    assert "Hf-L" not in rows(panel)


def test_each_slider_moves_its_own_pictures_only(specimen: Specimen) -> None:
    panel = enhancer_panel([specimen], enhancers=["Hf-L"])
    before, profile = shown(panel), panel.profile.value
    panel.place.value = 90
    line_moved = shown(panel)
    assert {row for (column, row), value in line_moved.items() if value != before[column, row]} == {"colour"}
    assert panel.profile.value != profile
    panel.yaw.value = -30.0
    turned = shown(panel)
    assert {key for key, value in turned.items() if value != line_moved[key]} == {
        (column, "relief") for column in ("input", "Hf-L", "ground truth")
    }
    panel.front.click()
    assert (panel.yaw.value, panel.pitch.value) == (0, 0)


def test_the_profile_is_the_depth_along_the_line(specimen: Specimen) -> None:
    panel = enhancer_panel([specimen], enhancers=["Telea"])
    for direction, along in (("row", (140, slice(None))), ("column", (slice(None), 140))):
        panel.direction.value = direction
        panel.place.value = 140
        depth = to_millimetres(specimen.crop.depth, specimen.crop.depth_range)[along]
        known = np.isfinite(depth) & specimen.area[along]
        drawn = sum(
            len(points.split())
            for points in re.findall(r'<polyline points="([^"]*)" fill="none" stroke="#4d4d4d"', panel.profile.value)
        )
        assert drawn == known.sum()
        assert f"along {direction} 140" in panel.profile.value


def test_no_more_than_five_enhancers_side_by_side(specimen: Specimen) -> None:
    panel = enhancer_panel([specimen], enhancers=["None"])
    panel.enhancers.value = ("None", "De-M2", "De-M8", "Hf-L", "Hf-FFA", "Telea")
    assert len(rows(panel)) == 5 + 2
    assert "The first 5" in panel.about.value


def camera_frame(tmp_path: Path) -> Path:
    depth_mm = to_millimetres(*FaceChoice(2).render())
    frame = np.zeros((300, 320), np.uint16)
    frame[20:276, 30:286] = np.nan_to_num(np.round(depth_mm * 4))
    path = tmp_path / "one_depth.png"
    write_frame(path, frame)
    return path


def test_the_readers_own_frame_is_cut_scaled_and_said_to_be_whole(tmp_path: Path) -> None:
    found = from_file(camera_frame(tmp_path), unit_mm=0.25)
    assert found.crop.depth_range.span_mm == 250.0
    truth = to_millimetres(*FaceChoice(2).render())
    assert found.crop.depth_range.near_mm == pytest.approx(np.nanmin(truth), abs=6.0)
    assert "whole frame" in found.note
    assert found.recording


def upload(panel: EnhancerPanel, name: str, content: bytes) -> None:
    """What the browser sends for a file that was picked."""
    when = datetime(2024, 1, 1, tzinfo=UTC)
    file = {"name": name, "type": "image/png", "size": len(content), "content": content, "last_modified": when}
    panel.upload.value = (file,)


def test_an_uploaded_file_is_shown_next(specimen: Specimen, tmp_path: Path) -> None:
    panel = enhancer_panel([specimen], enhancers=["Telea"])
    panel.unit_mm.value = 0.25
    upload(panel, "mine.png", camera_frame(tmp_path).read_bytes())
    assert panel.specimen.title == "mine.png"
    assert "ground truth" not in rows(panel)
    assert rows(panel)["Telea"][0] == "0.0%"
    panel.source.value = 0
    assert "ground truth" in rows(panel)


def test_a_file_in_the_kits_convention_keeps_its_pixels(specimen: Specimen, tmp_path: Path) -> None:
    path = tmp_path / "normalized.png"
    cv2.imwrite(str(path), specimen.crop.depth)
    assert np.array_equal(from_file(path).crop.depth, specimen.crop.depth)


def test_a_folder_of_recordings_is_offered_face_by_face(specimen: Specimen, real_depth: Path) -> None:
    panel = enhancer_panel([specimen], enhancers=["None"])
    panel.add_path(real_depth / "truedepth_mannequin")
    assert len(panel.specimens) > 3
    own = panel.specimen
    assert own.recording
    assert own.crop.landmarks is not None
    assert own.crop.picture is not None
    inside = own.crop.landmarks[27:]  # brows and jaw may lie beyond the crop's surface
    assert own.area[np.round(inside[:, 1]).astype(int), np.round(inside[:, 0]).astype(int)].mean() > 0.95


def test_what_cannot_be_read_is_one_line_and_moves_nothing(specimen: Specimen, tmp_path: Path) -> None:
    panel = enhancer_panel([specimen], enhancers=["None"])
    before = shown(panel)
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    for path in (tmp_path / "nothing.png", tmp_path / "empty", broken):
        panel.path.value = str(path)
        panel.open.click()
        assert str(path) in panel.message.value
    upload(panel, "bad.png", b"bad")
    assert "bad.png" in panel.message.value
    assert "/tmp" not in panel.message.value
    assert shown(panel) == before
    assert len(panel.specimens) == 1


def test_a_panel_without_images_or_with_an_unknown_enhancer_is_refused(specimen: Specimen) -> None:
    with pytest.raises(KitError, match="found no image"):
        enhancer_panel([])
    with pytest.raises(KitError, match="'Tela'"):
        enhancer_panel([specimen], enhancers=["Tela"])


def test_an_enhancer_that_fails_is_reported_in_the_panel(specimen: Specimen, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = enhancer_panel([specimen], enhancers=["None"])
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", Path("/nowhere"))
    panel.enhancers.value = ("DL-Delta-1",)
    assert "DL-Delta-1" in panel.message.value
    assert "error-color" in panel.message.value


def test_a_range_of_its_own_scales_the_difference(specimen: Specimen) -> None:
    depth_mm = to_millimetres(specimen.crop.depth, specimen.crop.depth_range)
    wide = DepthRange(specimen.crop.depth_range.near_mm, 2 * specimen.crop.depth_range.span_mm)
    other = Specimen("wide", FaceCrop("wide", from_millimetres(depth_mm, wide), wide), specimen.area)
    panel = enhancer_panel([specimen, other], enhancers=["Sp-HfU"])
    narrow = float(rows(panel)["Sp-HfU"][1])
    panel.source.value = 1
    assert float(rows(panel)["Sp-HfU"][1]) == pytest.approx(narrow, rel=0.3, abs=0.02)
