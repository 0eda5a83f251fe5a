"""The degradation panel: every setting has a slider, pictures and numbers follow, presets feed the real commands."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facedepth_kit.cli.main import main
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import load_yaml
from facedepth_kit.depth import HOLE, DepthImage, Picture
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.pairs.degradation import DegradationSettings, degrade
from facedepth_kit.pairs.store import PairStore, SynthesisSettings
from facedepth_kit.panels import DegradationPanel, FaceChoice, degradation_panel
from facedepth_kit.panels.degradation import STAGES, degraded_steadily


def shown(panel: DegradationPanel) -> dict[str, bytes]:
    return {name: bytes(image.value) for name, image in panel.images.items()}


def decoded(png: bytes) -> Picture:
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def numbers(panel: DegradationPanel) -> list[float]:
    """Hole share (percent) and RMSE of the degraded, then of the enhanced image, as the reader sees them."""
    return [float(text) for text in re.findall(r">(\d+\.\d+)%?</td>", panel.numbers.value)]


def test_every_setting_has_a_slider_with_its_unit_at_the_calibrated_value() -> None:
    panel = degradation_panel()
    assert panel.sliders.keys() == {field.name for field in fields(DegradationSettings)}
    for name, slider in panel.sliders.items():
        assert slider.value == getattr(DegradationSettings(), name)
        assert re.search(r"\((count|px|mm|share)\)", slider.description)
    assert panel.settings() == DegradationSettings()


def test_pictures_are_of_the_face_the_degradation_and_the_repair_that_the_widgets_name() -> None:
    panel = degradation_panel(seed=5, enhancer="None", face=FaceChoice(identity=3, expression="smile", yaw_deg=12.0))
    ground_truth, depth_range = FaceChoice(identity=3, expression="smile", yaw_deg=12.0).render()
    expected, _ = degraded_steadily(ground_truth, depth_range, DegradationSettings(), seed=5)
    face = ground_truth != HOLE
    holes, error = float(np.mean(expected[face] == HOLE)), float(face_rmse(expected, ground_truth))
    assert numbers(panel) == pytest.approx([100 * holes, error, 100 * holes, error], abs=0.051)
    assert numbers(panel)[1] == pytest.approx(error, abs=0.00006)
    truth = decoded(panel.images["ground truth"].value)
    assert truth.shape == (512, 256, 3)
    assert np.array_equal((truth[:256] == 190).all(axis=-1), ~face)  # holes are grey


def test_the_count_that_was_drawn_stands_beside_its_range() -> None:
    panel = degradation_panel(enhancer="None", seed=2)
    for name, low in (("outline_holes", 10), ("random_holes", 20), ("blur_px", 3)):
        panel.sliders[name].value = (low, low)
        assert f"drawn: {low}<" in panel.drawn[name].value
    panel.sliders["random_holes"].value = (0, 250)
    seen = set()
    for seed in range(4):
        panel.seed.value = seed
        seen.add(panel.drawn["random_holes"].value)
    assert len(seen) > 1


@pytest.mark.parametrize("setting", [field.name for field in fields(DegradationSettings)])
def test_each_slider_moves_the_degraded_picture_and_its_reset_brings_it_back(setting: str) -> None:
    panel = degradation_panel(enhancer="None", seed=2)
    if setting.startswith("background"):
        panel.hole_values.value = "blurred"
        panel.face_only.value = False
    before = shown(panel)
    slider = panel.sliders[setting]
    slider.value = (slider.max, slider.max) if isinstance(slider.value, tuple) else slider.max
    after = shown(panel)
    assert after["degraded"] != before["degraded"]
    assert after["ground truth"] == before["ground truth"]
    stage = next(stage for stage in STAGES if setting in [control.setting for control in stage.controls])
    panel.resets[stage.title].click()
    if setting.startswith("background"):
        panel.hole_values.value = "blurred"
    assert shown(panel) == before


def test_a_setting_moves_its_own_stage_only() -> None:
    ground_truth, depth_range = FaceChoice(1).render()
    face = ground_truth != HOLE

    def image(**changes: Any) -> DepthImage:
        settings = replace(DegradationSettings(), **changes)
        return degraded_steadily(ground_truth, depth_range, settings, seed=3)[0]

    before = image(random_holes=(50, 50))
    more = image(random_holes=(60, 60))
    fewer = image(outline_holes=(10, 10))
    still = (before != HOLE) & (more != HOLE)
    assert ((before == HOLE) <= (more == HOLE)).all()
    assert 0 < np.mean(more[face] == HOLE) - np.mean(before[face] == HOLE) < 0.1
    # Away from the new holes nothing moved, noise and blur included.
    assert np.mean(before[still] == more[still]) > 0.8
    assert ((fewer == HOLE) <= (image() == HOLE)).all()
    noisy, quiet = image(noise_mm=20.0, blur_px=(1, 1)), image(noise_mm=10.0, blur_px=(1, 1))
    assert np.array_equal(noisy == HOLE, quiet == HOLE)
    offs = [(one.astype(float) - ground_truth)[face & (one != HOLE)] for one in (noisy, quiet)]
    inside = (ground_truth[face & (noisy != HOLE)] > 20_000) & (ground_truth[face & (noisy != HOLE)] < 45_000)
    assert offs[0][inside] == pytest.approx(2 * offs[1][inside], abs=3)


def test_steady_degradation_is_as_strong_as_the_one_that_training_uses() -> None:
    ground_truth, depth_range = FaceChoice(2).render()
    settings = DegradationSettings()
    steady = [degraded_steadily(ground_truth, depth_range, settings, seed=seed)[0] for seed in range(60)]
    real = [
        degrade(ground_truth, depth_range=depth_range, settings=settings, rng=np.random.default_rng(seed))
        for seed in range(60)
    ]
    face = ground_truth != HOLE
    for measure in (lambda image: np.mean(image[face] == HOLE), lambda image: face_rmse(image, ground_truth)):
        ours, theirs = (np.array([measure(image) for image in images]) for images in (steady, real))
        assert ours.mean() == pytest.approx(theirs.mean(), rel=0.04)
        assert ours.std() == pytest.approx(theirs.std(), rel=0.45)


def test_reset_all_restores_every_setting_and_keeps_face_and_enhancer() -> None:
    panel = degradation_panel(enhancer="Hf-L")
    panel.face["identity"].value = 9
    before = shown(panel)
    for slider in panel.sliders.values():
        slider.value = (slider.min, slider.min + 2) if isinstance(slider.value, tuple) else slider.min
    panel.hole_values.value = "random"
    assert shown(panel) != before
    runs = panel.debouncer.runs
    panel.reset_all.click()
    assert shown(panel) == before
    assert panel.debouncer.runs == runs + 1  # nine changes, one drawing
    assert (panel.face["identity"].value, panel.enhancer.value) == (9, "Hf-L")


def test_the_enhancer_repairs_what_is_degraded() -> None:
    panel = degradation_panel(enhancer="None")
    degraded, _, untouched, _ = [numbers(panel)[i] for i in (0, 1, 2, 3)]
    assert degraded == untouched
    panel.enhancer.value = "Telea+bilateral"
    assert numbers(panel)[2] == 0.0
    assert numbers(panel)[3] < numbers(panel)[1] / 3


def test_holes_that_were_given_values_still_count_as_holes() -> None:
    panel = degradation_panel(enhancer="None")
    share = numbers(panel)[0]
    panel.hole_values.value = "random"
    assert numbers(panel)[0] == share
    assert numbers(panel)[2] == 0.0


def test_an_unknown_enhancer_is_refused() -> None:
    with pytest.raises(KitError, match="expected one of None"):
        degradation_panel(enhancer="Telia")


@pytest.mark.parametrize("field", ["identity", "expression", "strength", "yaw_deg", "pitch_deg", "roll_deg"])
def test_each_face_picker_changes_the_face(field: str) -> None:
    panel = degradation_panel(enhancer="None", face=FaceChoice(expression="smile"))
    before = shown(panel)["ground truth"]
    other = {"identity": 2, "expression": "open mouth", "strength": 0.2}
    panel.face[field].value = other.get(field, 15.0)
    assert shown(panel)["ground truth"] != before


def test_a_number_is_one_person_with_every_expression() -> None:
    neutral, smile = FaceChoice(4).parameters(), FaceChoice(4, "smile").parameters()
    drawn = FaceChoice(4, "random").parameters()
    shape = {name: weight for name, weight in neutral.targets.items() if not name.startswith("faceunits/")}
    assert shape == neutral.targets
    for other in (smile, drawn):
        assert {name: w for name, w in other.targets.items() if not name.startswith("faceunits/")} == shape
        assert len(other.targets) > len(shape)
    assert FaceChoice(5).parameters().targets != neutral.targets


def test_a_preset_from_the_panel_is_what_synthesize_and_training_take(tmp_path: Path) -> None:
    panel = degradation_panel(enhancer="None", presets=tmp_path / "presets")
    panel.sliders["noise_mm"].value = 7.5
    panel.sliders["random_holes"].value = (3, 9)
    panel.preset_name.value = "few holes"
    panel.preset_save.click()
    preset = tmp_path / "presets" / "few holes.yaml"
    assert "saved" in panel.message.value
    store = tmp_path / "store"
    command = ["synthesize", "--count", "2", "--output", str(store), "--settings", str(preset), "--workers", "1"]
    assert main(command) == 0
    assert PairStore(store).settings.degradation == panel.settings()
    assert PairStore(store).settings.degradation.random_holes == (3, 9)
    train = ["train", "--pairs", str(store), "--output", str(tmp_path / "run"), "--chunks", "1", "--epochs", "1"]
    assert main([*train, "--batch", "2"]) == 0


def test_a_loaded_preset_moves_every_slider_even_beyond_its_ends(tmp_path: Path) -> None:
    settings = SynthesisSettings(
        degradation=DegradationSettings(outline_holes=(1, 999), blur_px=(3, 3), noise_mm=55.5), hole_values=("random",)
    )
    panel = degradation_panel(enhancer="None", presets=tmp_path)
    other = degradation_panel(enhancer="None", settings=settings.degradation)
    other.hole_values.value = "random"
    other.save(tmp_path / "wild.yaml")
    panel._list_presets()
    panel.preset_file.value = tmp_path / "wild.yaml"
    panel.preset_load.click()
    assert panel.settings() == settings.degradation
    assert panel.synthesis().hole_values == ("random",)
    assert shown(panel) == shown(other)
    panel.reset_all.click()
    assert panel.settings() == DegradationSettings()


def test_a_preset_keeps_what_the_sliders_do_not_show(tmp_path: Path) -> None:
    source = tmp_path / "mixed.yaml"
    source.write_text("span: camera\nhole_values: [keep, random, blurred]\ndegradation: {noise_mm: 3}\n")
    panel = degradation_panel(enhancer="None")
    panel.load(source)
    panel.sliders["noise_mm"].value = 4.0
    kept = load_yaml(SynthesisSettings, panel.save(tmp_path / "again.yaml"))
    assert (kept.span, kept.hole_values, kept.degradation.noise_mm) == ("camera", ("keep", "random", "blurred"), 4.0)


def test_presets_are_never_overwritten_unasked_and_bad_ones_move_nothing(tmp_path: Path) -> None:
    panel = degradation_panel(enhancer="None", presets=tmp_path)
    panel.preset_save.click()
    panel.sliders["noise_mm"].value = 1.0
    panel.preset_save.click()
    path = tmp_path / "my_degradation.yaml"
    assert str(path) in panel.message.value
    assert load_yaml(SynthesisSettings, path).degradation.noise_mm == 15.0
    panel.preset_replace.value = True
    panel.preset_save.click()
    assert load_yaml(SynthesisSettings, path).degradation.noise_mm == 1.0
    panel.preset_name.value = "../outside"
    panel.preset_save.click()
    assert "preset: found the name" in panel.message.value
    path.write_text("degradation: {noise_mm: [1, 2]}\n")
    before = panel.settings()
    panel.preset_load.click()
    assert "noise_mm" in panel.message.value
    assert panel.settings() == before


def test_under_an_event_loop_many_changes_are_drawn_once_and_the_last_one_counts() -> None:
    panel = degradation_panel(enhancer="None")
    alone = degradation_panel(enhancer="None")
    alone.sliders["noise_mm"].value = 40.0

    async def drag() -> int:
        runs = panel.debouncer.runs
        for value in range(41):
            panel.sliders["noise_mm"].value = float(value)
        assert panel.debouncer.runs == runs
        await asyncio.sleep(0.2)
        return panel.debouncer.runs - runs

    assert asyncio.run(drag()) == 1
    assert shown(panel) == shown(alone)
