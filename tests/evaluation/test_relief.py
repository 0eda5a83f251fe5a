"""The nose before the best sheet of paper: faces stand out, prints do not, however they are bent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, DepthRange, from_millimetres
from facedepth_kit.evaluation.relief import NOSE, Relief, ReliefSettings, face_relief, sheet_residuals

RANGE = DepthRange(500.0, 250.0)
Points = npt.NDArray[np.float64]


def points() -> Points:
    """68 points on a grid of 9 by 8 over the image, the nose's nine in its middle."""
    grid = np.array([(x, y) for y in range(8) for x in range(9)], float)[:68] * [20, 22] + [40, 40]
    middle = np.array([128.0, 120.0]) + np.array([(0, i) for i in range(len(NOSE))], float)
    grid[list(NOSE)] = middle
    return grid


def surface(kind: str, nose_mm: float = 0.0, noise_mm: float = 0.0) -> DepthImage:
    y, x = np.mgrid[0:256, 0:256].astype(float)
    millimetres = {
        "flat": np.full(x.shape, 560.0),
        "tilted": 560 + 0.2 * x - 0.1 * y,
        "bent": 560 + (x - 128) ** 2 / (2 * 90.0),
        "bent askew": 560 + ((x - 100) * 0.8 + (y - 100) * 0.6) ** 2 / (2 * 120.0) + 0.1 * y,
        "curled backwards": 640 - (y - 128) ** 2 / (2 * 150.0),
    }[kind]
    millimetres = millimetres - nose_mm * np.exp(-((x - 128) ** 2 + (y - 123) ** 2) / (2 * 12.0**2))
    noise = np.random.default_rng(1).normal(0, noise_mm, x.shape) if noise_mm else 0.0
    return from_millimetres(millimetres + noise, RANGE)


@pytest.mark.parametrize("kind", ["flat", "tilted", "bent", "bent askew", "curled backwards"])
def test_a_sheet_has_no_nose_and_a_bump_on_it_is_one(kind: str) -> None:
    plain = face_relief(surface(kind), points(), RANGE)
    assert abs(plain.nose_mm) < 0.5
    assert plain.sheet_mm < 1.0
    assert not plain.plausible()
    tip = points()[30]
    expected = 25 * np.exp(-((tip[0] - 128) ** 2 + (tip[1] - 123) ** 2) / (2 * 12.0**2))
    face = face_relief(surface(kind, nose_mm=25), points(), RANGE)
    assert face.nose_mm == pytest.approx(expected, abs=1.0)
    assert face.plausible()


@pytest.mark.parametrize("kind", ["flat", "bent", "bent askew"])
def test_a_noisy_print_is_rejected(kind: str) -> None:
    assert not face_relief(surface(kind, noise_mm=3), points(), RANGE).plausible()


def test_what_cannot_be_measured_is_not_plausible() -> None:
    depth = surface("flat", nose_mm=25)
    tip = np.rint(points()[30]).astype(int)
    without_nose = depth.copy()
    without_nose[tip[1] - 4 : tip[1] + 5, tip[0] - 4 : tip[0] + 5] = HOLE
    found = face_relief(without_nose, points(), RANGE)
    assert np.isnan(found.nose_mm)
    assert not found.plausible()
    few = depth.copy()
    few[:, :110] = HOLE
    few[150:] = HOLE
    assert np.isnan(face_relief(few, points(), RANGE).nose_mm)
    outside = points() + np.array([0, 4000])
    assert np.isnan(face_relief(depth, outside, RANGE).nose_mm)


def test_a_single_hole_at_the_tip_does_not_matter() -> None:
    depth = surface("flat", nose_mm=25)
    tip = np.rint(points()[30]).astype(int)
    depth[tip[1], tip[0]] = HOLE
    assert face_relief(depth, points(), RANGE).plausible()


def test_too_much_relief_is_as_implausible_as_too_little() -> None:
    assert [Relief(value, 1.0).plausible() for value in (4.9, 5.0, 60.0, 60.1, float("nan"))] == [
        False,
        True,
        True,
        False,
        False,
    ]
    assert not Relief(5.0, 1.0).plausible(ReliefSettings(least_mm=6))


def test_outliers_do_not_pull_the_sheet() -> None:
    where = points()
    depth_mm = 3 + 0.05 * where[:, 0]
    depth_mm[[0, 20, 60]] += 80
    residuals = sheet_residuals(where, depth_mm, np.ones(68, np.bool_))
    assert np.abs(np.delete(residuals, [0, 20, 60])).max() < 1e-6
    assert residuals[[0, 20, 60]] == pytest.approx(80)


def test_real_faces_stand_out(real_depth: Path) -> None:
    from facedepth_kit.cameras.recorded.folder import RecordingFolder
    from facedepth_kit.evaluation.prepared_faces import prepare_faces

    frames = list(RecordingFolder(real_depth / "truedepth_mannequin"))
    found = [
        face_relief(face.depth, face.landmarks, face.depth_range)
        for face in prepare_faces(frames, [])
        if face.landmarks is not None
    ]
    assert len(found) >= 5
    assert all(relief.plausible() for relief in found)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(KitError, match="expected one image and 68"):
        face_relief(surface("flat"), points()[:5], RANGE)
