"""The degradation panel: moving a slider changes picture and numbers, and the button brings the start back."""

from __future__ import annotations

import cv2
import numpy as np

from facedepth_kit.degradation import DegradationSettings
from facedepth_kit.depth import HOLE, DepthImage, DepthRange
from facedepth_kit.panels import degradation_panel, panel_picture


def face() -> DepthImage:
    rows, columns = np.mgrid[:256, :256]
    distance = np.hypot(rows - 128, columns - 128)
    return np.where(distance < 90, distance * 700, int(HOLE)).astype(np.uint16)


def test_slider_changes_the_picture_and_reset_restores_it() -> None:
    panel = degradation_panel(face(), DepthRange(450.0, 120.0), seed=3)
    controls, picture = panel.children
    before, numbers = picture.value, controls.children[-1].value
    count = next(child for child in controls.children if child.description.startswith("random holes"))
    count.value = (200, 240)
    assert picture.value != before
    assert controls.children[-1].value != numbers
    assert panel.settings().random_holes == (200, 240)
    next(child for child in controls.children if getattr(child, "description", "").startswith("Back")).click()
    assert picture.value == before
    assert panel.settings() == DegradationSettings()


def test_every_slider_names_its_setting_and_starts_at_the_calibrated_value() -> None:
    controls = degradation_panel(face(), DepthRange(450.0, 120.0)).children[0]
    for child in controls.children[:6]:
        assert child.value == getattr(DegradationSettings(), child.tooltip)
        assert "(" in child.description  # the unit


def test_picture_is_a_png_of_two_by_two_images() -> None:
    picture = cv2.imdecode(
        np.frombuffer(panel_picture(face(), face(), DepthRange(450.0, 120.0)), np.uint8), cv2.IMREAD_COLOR
    )
    assert picture is not None
    assert picture.shape == (512, 512, 3)
