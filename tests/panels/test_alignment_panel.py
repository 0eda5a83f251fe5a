"""The alignment panel, driven as a reader would: identity, then what the alignment found."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from facedepth_kit.cameras.simulated.paired_recordings import PairSettings, read_truth, simulate_pair
from facedepth_kit.panels.alignment import AlignmentPanel
from facedepth_kit.sequences.alignment import Alignment
from facedepth_kit.sequences.recordings import PairedRecording


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> AlignmentPanel:
    folder = tmp_path_factory.mktemp("pair")
    truth = simulate_pair(folder, seed=2, number=1, settings=PairSettings(seconds=1.6, lower_fps=8, higher_fps=10))
    found = Alignment(truth.shift_ms, truth.shift_ms, read_truth(folder).extrinsic, np.zeros((1, 3)), 0.5, 100, 10)
    return AlignmentPanel(PairedRecording(folder), found)


def depth_difference(panel: AlignmentPanel) -> float:
    return float(panel.about.value.split("depths differ by")[1].split(" mm")[0].split(">")[-1])


def test_the_found_transform_fits_better_than_none(panel: AlignmentPanel) -> None:
    panel.reset.click()
    panel.finish()
    assert np.allclose(panel.extrinsic, np.eye(4))
    before, shown = depth_difference(panel), panel.image.value
    panel.found.click()
    panel.finish()
    np.testing.assert_allclose(panel.extrinsic[:3, :3], panel.alignment.extrinsic[:3, :3], atol=2e-3)
    np.testing.assert_allclose(panel.extrinsic[:3, 3], panel.alignment.extrinsic[:3, 3], atol=1.0)
    assert depth_difference(panel) < before
    assert panel.image.value != shown
    assert Image.open(io.BytesIO(panel.image.value)).size == (480, 640)


def test_a_slider_moves_the_picture(panel: AlignmentPanel) -> None:
    shown = panel.image.value
    panel.turns["yaw"].value += 2.0
    panel.finish()
    assert panel.image.value != shown
