"""Simulated sensors against triangulation worked out by hand: steps, shadows, noise, dropouts, alignment."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.cameras.simulated.sensors import ActiveStereo, SensorSettings, StructuredLight, measure_depth, vote
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import load_yaml, save_yaml
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh
from facedepth_kit.rendering.shading import render_view

KINECT_CAMERA = Camera(1000.0, 525.0, (128.0, 128.0), 256)
STEREO_CAMERA = Camera(1000.0, 920.0, (160.0, 120.0), 320, 240)
CAMERAS = {"kinect": (StructuredLight(), KINECT_CAMERA), "stereo": (ActiveStereo(), STEREO_CAMERA)}


def plate(
    depth_mm: float,
    camera: Camera,
    *,
    x: tuple[float, float] = (-2000.0, 2000.0),
    y: tuple[float, float] = (-2000.0, 2000.0),
    slope: float = 0.0,
    albedo: float = 0.8,
    gloss: float = 0.0,
) -> ColouredMesh:
    """A rectangle ``depth_mm`` from the camera (at x = 0; ``slope`` mm nearer for each mm to the right)."""
    corners = np.array([[a, b, camera.distance_mm - depth_mm + slope * a] for b in y for a in x], np.float32)
    mesh = Mesh(corners, np.array([[0, 1, 3], [0, 3, 2]], np.int32))
    return ColouredMesh(mesh, np.full((4, 3), albedo, np.float32), np.full(4, gloss, np.float32), "plate")


def without_noise(sensor: SensorSettings) -> SensorSettings:
    return replace(sensor, feature_noise_px=0.0, pixel_noise_px=0.0)


def shot(sensor: SensorSettings, camera: Camera, *parts: ColouredMesh, seed: int = 1) -> npt.NDArray[np.uint16]:
    return measure_depth(parts, camera, sensor, np.random.default_rng(seed))


def test_step_of_a_kinect_at_80_cm() -> None:
    # 800² / (575.8 * 75 * 8) and, for the D435 at half a metre, 500² / (640 * 50 * 32)
    assert StructuredLight().step_mm(800.0) == pytest.approx(1.8525, abs=1e-3)
    assert ActiveStereo().step_mm(500.0) == pytest.approx(0.2441, abs=1e-3)


@pytest.mark.parametrize(("name", "depth_mm"), [("kinect", 803.0), ("kinect", 1250.0), ("stereo", 437.0)])
def test_a_wall_is_measured_at_the_nearest_disparity(name: str, depth_mm: float) -> None:
    sensor, camera = CAMERAS[name]
    frame = shot(without_noise(sensor), camera, plate(depth_mm, camera))
    disparity = sensor.focal_px * sensor.baseline_mm / depth_mm
    rounded = round(disparity * sensor.steps_per_px) / sensor.steps_per_px
    expected = round(sensor.focal_px * sensor.baseline_mm / rounded)
    measured = frame[frame > 0]
    assert measured.size > 0.98 * frame.size
    np.testing.assert_array_equal(np.unique(measured), expected)


def test_a_kinect_reports_nothing_between_its_steps() -> None:
    sensor, camera = CAMERAS["kinect"]
    frame = shot(sensor, camera, plate(900.0, camera, slope=0.8, x=(-600, 600)))
    disparities = np.arange(8 * 20, 8 * 120) / 8
    steps = np.rint(575.8 * 75.0 / disparities)
    found = np.unique(frame[frame > 0])
    assert len(found) > 50
    assert np.isin(found, steps).all()
    assert np.diff(found).min() >= 1
    assert np.median(np.diff(found)) >= 2  # 2.3 mm apart at 0.9 m


@pytest.mark.parametrize("name", ["kinect", "stereo"])
def test_a_slanted_wall_comes_out_where_it_is(name: str) -> None:
    sensor, camera = CAMERAS[name]
    wall = plate(700.0, camera, slope=0.5, x=(-600, 600))
    frame = shot(without_noise(sensor), camera, wall).astype(float)
    truth = render_view([wall], camera).depth_mm
    seen = frame > 0
    assert seen.mean() > 0.95
    assert abs(np.median((frame - truth)[seen])) < 1.0


def hidden_from(
    eye_mm: float, camera: Camera, near_mm: float, far_mm: float, edges: tuple[float, float]
) -> npt.NDArray[np.bool_]:
    """Columns of the colour camera whose ray meets the far wall at a point that the plate hides from (eye_mm, 0, 0)."""
    columns = np.arange(camera.shape[1]) + 0.5
    x = (columns - camera.centre_px[0]) * far_mm / camera.focal_px
    crossing = eye_mm + (x - eye_mm) * near_mm / far_mm
    return (crossing > edges[0]) & (crossing < edges[1])


@pytest.mark.parametrize("name", ["kinect", "stereo"])
def test_shadows_lie_where_the_other_eye_cannot_see(name: str) -> None:
    sensor, camera = CAMERAS[name]
    near_mm, far_mm, edges = (600.0, 1250.0, (-60.0, 60.0)) if name == "kinect" else (450.0, 900.0, (-40.0, 40.0))
    parts = plate(far_mm, camera), plate(near_mm, camera, x=edges, y=(-80.0, 80.0))
    frame = shot(without_noise(sensor), camera, *parts)
    row = frame[camera.shape[0] // 2]
    # The colour camera stands at 0, the imager colour_mm to its left, the partner a baseline further right.
    eyes = -sensor.colour_mm, sensor.baseline_mm - sensor.colour_mm
    plate_seen = hidden_from(0.0, camera, near_mm, far_mm, edges)
    shadow = (hidden_from(eyes[0], camera, near_mm, far_mm, edges)
              | hidden_from(eyes[1], camera, near_mm, far_mm, edges)) & ~plate_seen  # fmt: skip
    # Half a window, and a pixel for each of the two eyes' rasters.
    reach = int(np.ceil((sensor.window_px // 2 + 2) * camera.focal_px / sensor.focal_px))
    kernel = np.ones(2 * reach + 1)
    deep_inside = np.convolve(~shadow, kernel, "same") == 0
    far_away = np.convolve(shadow | plate_seen, kernel, "same") == 0
    assert deep_inside.sum() >= 2
    assert (row[deep_inside] == 0).all()
    assert (row[far_away] > 0).mean() > 0.97
    assert np.flatnonzero(deep_inside).max() < np.flatnonzero(plate_seen).min()  # left of what casts it
    # Windows let the plate grow, so the shadow is narrower than by geometry, but not by more than their reach.
    assert (row == 0).sum() > shadow.sum() - 2 * reach


def test_noise_grows_with_the_square_of_the_distance() -> None:
    sensor, camera = replace(ActiveStereo(), unit_mm=0.1, dark=(0.0, 0.0)), STEREO_CAMERA
    spread = {}
    for depth_mm in (400.0, 800.0):
        frame = shot(sensor, camera, plate(depth_mm, camera))
        spread[depth_mm] = np.std(frame[frame > 0] * 0.1)
    assert spread[800.0] / spread[400.0] == pytest.approx(4.0, rel=0.15)


def test_stereo_noise_is_shared_by_neighbours_and_differs_from_frame_to_frame() -> None:
    sensor, camera = replace(ActiveStereo(), pixel_noise_px=0.0, unit_mm=0.1), STEREO_CAMERA
    first, second = (shot(sensor, camera, plate(500.0, camera), seed=seed)[20:-20, 20:-20] * 0.1 for seed in (1, 2))
    error = first - 500.0
    assert np.corrcoef(error[:, :-1].ravel(), error[:, 1:].ravel())[0, 1] > 0.7
    assert np.corrcoef(error[:, :-30].ravel(), error[:, 30:].ravel())[0, 1] < 0.2
    assert abs(np.corrcoef(error.ravel(), (second - 500.0).ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("name", ["kinect", "stereo"])
def test_dark_and_mirroring_surfaces_drop_out(name: str) -> None:
    sensor, camera = CAMERAS[name]
    dark = shot(sensor, camera, plate(700.0, camera, albedo=1e-6))
    assert (dark == 0).all()
    mirror = plate(700.0, camera, gloss=1.0, x=(-30, 30), y=(-30, 30))
    turned = plate(700.0, camera, gloss=1.0, x=(-30, 30), y=(-30, 30), slope=0.6)
    middle = np.s_[
        camera.shape[0] // 2 - 8 : camera.shape[0] // 2 + 8, camera.shape[1] // 2 - 8 : camera.shape[1] // 2 + 8
    ]
    assert (shot(sensor, camera, mirror)[middle] == 0).mean() > 0.9
    assert (shot(sensor, camera, turned)[middle] == 0).mean() < 0.1


def test_lenses_lose_depth_where_they_mirror_the_projector() -> None:
    sensor, camera = CAMERAS["stereo"]
    wall = plate(600.0, camera)
    facing = plate(570.0, camera, x=(-30, 30), y=(-30, 30)).mesh
    turned = plate(570.0, camera, x=(-30, 30), y=(-30, 30), slope=float(np.tan(np.radians(40)))).mesh
    middle = np.s_[90:150, 130:190]
    rng = np.random.default_rng(1)
    assert (measure_depth([wall], camera, sensor, rng, lenses=[facing])[middle] == 0).mean() > 0.9
    assert (measure_depth([wall], camera, sensor, rng, lenses=[turned])[middle] == 0).mean() < 0.05
    behind = plate(640.0, camera, x=(-30, 30), y=(-30, 30)).mesh
    assert (measure_depth([wall], camera, sensor, rng, lenses=[behind])[middle] == 0).mean() < 0.05


@pytest.mark.parametrize("name", ["kinect", "stereo"])
def test_depth_lies_on_the_colour_picture(name: str) -> None:
    sensor, camera = CAMERAS[name]
    parts = plate(1200.0, camera), plate(600.0, camera, x=(-40.0, 50.0), y=(-50.0, 30.0))
    frame = shot(without_noise(sensor), camera, *parts)
    seen = render_view(parts, camera).part == 1
    near = (frame > 0) & (frame < 900)
    for axis in (0, 1):
        lines, expected = np.flatnonzero(near.any(axis=axis)), np.flatnonzero(seen.any(axis=axis))
        # Windows let what stands in front grow, by half their width at most.
        limit = sensor.window_px / 2 * camera.focal_px / sensor.focal_px + 2
        assert 0 <= expected[0] - lines[0] <= limit
        assert 0 <= lines[-1] - expected[-1] <= limit


def test_nothing_is_reported_out_of_range() -> None:
    sensor, camera = CAMERAS["kinect"]
    assert (shot(sensor, camera, plate(430.0, camera)) == 0).all()
    assert (shot(replace(sensor, farthest_mm=1000.0), camera, plate(1100.0, camera)) == 0).all()


def test_the_unit_is_a_step_of_the_output() -> None:
    sensor, camera = without_noise(ActiveStereo()), STEREO_CAMERA
    fine = shot(replace(sensor, unit_mm=0.1), camera, plate(500.0, camera))
    assert np.median(fine[fine > 0]) == 5000


def test_the_same_seed_gives_the_same_frame() -> None:
    sensor, camera = CAMERAS["kinect"]
    wall = plate(800.0, camera)
    np.testing.assert_array_equal(shot(sensor, camera, wall, seed=3), shot(sensor, camera, wall, seed=3))
    assert (shot(sensor, camera, wall, seed=3) != shot(sensor, camera, wall, seed=4)).any()


def test_settings_are_checked_and_kept(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="window of 8 px"):
        StructuredLight(window_px=8)
    with pytest.raises(KitError, match="baseline_mm: found"):
        ActiveStereo(baseline_mm=0.0)
    save_yaml(ActiveStereo(unit_mm=0.1), tmp_path / "d435.yaml")
    assert load_yaml(ActiveStereo, tmp_path / "d435.yaml") == ActiveStereo(unit_mm=0.1)


def test_the_largest_group_that_agrees_wins(rng: np.random.Generator) -> None:
    """By a second, slower way: every window's values sorted, every stretch of them that is short enough counted."""
    sensor = replace(StructuredLight(), window_px=7, tolerance_px=1.5, least_features=3)
    features = np.where(rng.random((30, 34)) < 0.2, rng.normal(50, 3, (30, 34)), np.nan).astype(np.float32)
    expected = np.full(features.shape, np.nan)
    for row in range(3, 27):
        for column in range(3, 31):
            window = features[row - 3 : row + 4, column - 3 : column + 4]
            values = np.sort(window[~np.isnan(window)])
            groups = [values[(values >= low) & (values <= low + np.float32(3.0))] for low in values]
            best = max(groups, key=lambda group: (len(group), group[-1]), default=values)
            if len(best) >= 3:
                expected[row, column] = best.mean(dtype=float)
    np.testing.assert_allclose(vote(features, sensor), expected, rtol=1e-5)
