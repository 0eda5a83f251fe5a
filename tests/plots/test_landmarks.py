"""Landmarks: numbered as in the paper, in holes drawn apart, coloured by the first rule that they break."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facedepth_kit.plots.landmarks import dlib_landmarks, landmark_errors, pad_rules
from facedepth_kit.plots.samples import (
    face_window,
)
from tests.plots.drawn import bowl, texts


def landmarks() -> npt.NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    return np.stack([140 + 30 * np.cos(angles), 100 + 30 * np.sin(angles)], axis=1)


def test_landmarks_in_holes_are_drawn_apart() -> None:
    depth, mask = bowl()
    points, bad = landmarks(), np.arange(68) < 5
    picture = np.zeros((256, 256, 3), np.uint8)
    window = face_window(mask)
    figure = landmark_errors([picture], [depth], [(points[:6], bad[:6])], [(points, bad)], [window], ["x"])
    counts = [[len(scatter.get_offsets()) for scatter in axes.collections] for axes in figure.axes[:3]]  # type: ignore[arg-type]
    assert counts == [[], [1, 5], [63, 5]]


def test_each_landmark_stands_under_its_first_broken_rule() -> None:
    depth, mask = bowl()
    hole, before, jaw = (np.isin(np.arange(68), chosen) for chosen in ([0, 1], [1, 2, 3], [3, 4]))
    figure = pad_rules(depth, landmarks(), {"hole": hole, "before": before, "jaw": jaw}, mask, "title")
    counts = {scatter.get_label(): len(scatter.get_offsets()) for scatter in figure.axes[0].collections}  # type: ignore[arg-type]
    assert counts == {"hole": 2, "before": 2, "jaw": 1, "valid": 63}


def test_the_68_are_numbered_from_one() -> None:
    found = texts(dlib_landmarks(landmarks()))
    assert [text for text in found if text.isdigit()] == [str(number) for number in range(1, 69)]
