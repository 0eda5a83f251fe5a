"""A simulated recording that several tests look at: one takes a second to make."""

from __future__ import annotations

import pytest

from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.simulated.data_sets import KinectSettings, kinect_recording


@pytest.fixture(scope="session")
def simulated_face() -> RecordedFrame:
    """A frontal face by the simulated Kinect, with its picture, 256x256, in millimetres."""
    return kinect_recording(5, 1, "s1", "Neutral", KinectSettings())
