"""Simulated people before a camera: where they sit, what is known of them, and that any picture can be made again."""

import numpy as np
import pytest

from facedepth_kit.cameras.simulated.sensors import StructuredLight
from facedepth_kit.cameras.simulated.stage import (
    Scene,
    draw_person,
    intrinsics,
    photograph,
    room,
    seat,
    shoot,
    wall,
    wander,
)
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.shading import Light, render_view

CAMERA = Camera(800.0, 525.0, (128.0, 128.0), 256)


def test_the_nose_of_who_looks_ahead_is_the_origin() -> None:
    scene = seat(draw_person(1, 1, spectacles_share=0.0))
    assert scene.landmarks_mm is not None
    np.testing.assert_allclose(scene.landmarks_mm[30], 0, atol=0.01)
    depth = render_view(scene.parts, CAMERA).depth_mm
    assert depth[128, 128] == pytest.approx(800.0, abs=3.0)


@pytest.mark.parametrize("yaw", [-85.0, 40.0, 85.0])
def test_a_turned_head_stays_in_its_place(yaw: float) -> None:
    person = draw_person(1, 2, spectacles_share=0.0)
    ahead, turned = (seat(person, turn_deg=(angle, 0.0, 0.0)).landmarks_mm for angle in (0.0, yaw))
    assert ahead is not None
    assert turned is not None
    # Seen from above, the eyes go round a point 90 mm behind them.
    behind = 90 * np.array([np.sin(np.radians(yaw)), 0, np.cos(np.radians(yaw))])
    pivot = ahead[36:48].mean(axis=0) - (0, 0, 90)
    np.testing.assert_allclose(turned[36:48].mean(axis=0) - behind, pivot, atol=0.5)
    assert np.sign(turned[30, 0]) == np.sign(yaw)  # positive: to the image's right


def test_points_are_in_the_recording_convention() -> None:
    camera = Camera(500.0, 920.0, (640.0, 360.0), 1280, 720)
    given = intrinsics(camera)
    assert (given.width, given.height, given.cx, given.cy) == (1280, 720, 639.5, 359.5)
    point = np.array([[30.0, -20.0, 100.0]])  # 400 mm away, to the right, below the axis
    expected = [given.cx + 920 * 30 / 400, given.cy + 920 * 20 / 400]
    np.testing.assert_allclose(project_points(point, camera), [expected], atol=1e-3)


def test_the_same_person_each_time_and_another_by_another_number() -> None:
    first, again, other = (draw_person(5, number, spectacles_share=0.5) for number in (3, 3, 4))
    assert first.face == again.face
    assert first.appearance == again.appearance
    assert first.face != other.face
    assert first.rng(1, 2).random() == again.rng(1, 2).random()
    assert first.rng(1, 2).random() != first.rng(1, 3).random()


@pytest.mark.parametrize("seed", range(5))
def test_spectacles_are_shared_out_evenly(seed: int) -> None:
    worn = [draw_person(seed, number, spectacles_share=0.5).spectacles for number in range(1, 13, 2)]
    assert 2 <= sum(worn) <= 4


def test_a_smile_keeps_the_person_and_moves_the_mouth() -> None:
    person = draw_person(2, 1, spectacles_share=0.0)
    neutral = seat(person).landmarks_mm
    smiling = seat(person, expression={"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}).landmarks_mm
    assert neutral is not None
    assert smiling is not None
    width = [np.linalg.norm(points[54] - points[48]) for points in (neutral, smiling)]
    assert width[1] > width[0] + 2
    np.testing.assert_allclose(neutral[36:48].mean(axis=0), smiling[36:48].mean(axis=0), atol=1.5)


def test_a_lens_brightens_the_picture_and_hides_depth() -> None:
    person = draw_person(3, 1, spectacles_share=1.0)
    scene = seat(person, wearing=np.random.default_rng(1))
    assert len(scene.lenses) == 2
    bare = Scene(scene.parts, ())
    with_lens, without = (photograph(s, CAMERA, Light(), samples=1).astype(int) for s in (scene, bare))
    changed = (with_lens != without).any(axis=2)
    assert 100 < changed.sum() < 3000
    assert (with_lens - without)[changed].mean() > 0


def test_a_shot_has_depth_picture_and_points_of_one_view() -> None:
    scene = seat(draw_person(4, 1, spectacles_share=0.0)).with_parts(wall(1250.0, CAMERA, (0.7, 0.7, 0.7)))
    shot = shoot(scene, CAMERA, StructuredLight(), Light(), np.random.default_rng(1))
    assert shot.depth.shape == shot.picture.shape[:2] == (256, 256)
    assert shot.marks is not None
    nose_x, nose_y = np.rint(shot.marks[2]).astype(int)
    nose = shot.depth[nose_y - 2 : nose_y + 3, nose_x - 2 : nose_x + 3]
    assert abs(np.median(nose[nose > 0]) - 800) < 12
    assert abs(np.median(shot.depth[:20, :20]) - 1250) < 10


def test_rooms_lie_behind_a_person() -> None:
    camera = Camera(600.0, 920.0, (640.0, 360.0), 1280, 720)
    for seed in range(3):
        depth = render_view(room(camera, np.random.default_rng(seed)), camera, Light(shadows=False)).depth_mm
        assert np.isfinite(depth).all()
        assert depth.min() > 600


def test_people_wander_slowly_and_little() -> None:
    times = np.arange(0, 4, 1 / 30)
    moves = wander(times, np.random.default_rng(1))
    assert moves.shape == (len(times), 6)
    assert np.abs(moves).max() <= 1.0
    assert np.abs(np.diff(moves, axis=0)).max() < 0.2
    assert moves.std(axis=0).min() > 0.05
