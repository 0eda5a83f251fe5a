"""The model's own landmarks: where they are, what they follow, and that Dlib agrees."""

from dataclasses import replace

import numpy as np
import pytest

from facedepth_kit.faces.detection import detect_face
from facedepth_kit.faces.people.appearance import coloured_person, draw_appearance
from facedepth_kit.faces.people.landmarks import JAW, MARK_NAMES, landmarks_68_mm, marks_from_landmarks, marks_mm
from facedepth_kit.faces.people.parametric import FaceParameters, FaceSettings, draw_face, face_mesh, rotation
from facedepth_kit.rendering.camera import Camera, project, project_points
from facedepth_kit.rendering.shading import Light, render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm

# iBUG's order mirrored: the point that a point becomes when the picture is flipped.
MIRROR = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38,
          37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]  # fmt: skip
HEAD = FaceParameters({}, extent="head")
CAMERA = Camera(800, 1200, (256, 256), 512)


def test_a_symmetric_face_has_symmetric_landmarks() -> None:
    points = landmarks_68_mm(HEAD)
    assert points.shape == (68, 3)
    assert np.linalg.norm(points[MIRROR] * (-1, 1, 1) - points, axis=1).max() < 2.5  # two vertices apart at most


def test_the_order_is_ibugs() -> None:
    points = landmarks_68_mm(HEAD)
    x, y, z = points.T
    assert (np.diff(x[:17]) > 0).all()  # the jaw from the image's left to its right
    assert y[8] == y.min()
    assert (np.diff(x[17:27]) > 0).all()
    assert (np.diff(y[27:31]) < 0).all()  # down the nose to its tip, which is nearest to the camera
    assert z[30] > np.delete(z, [29, 30]).max()
    assert (np.diff(x[31:36]) > 0).all()
    for outer, inner, upper, lower in ((36, 39, (37, 38), (40, 41)), (45, 42, (43, 44), (46, 47))):
        assert abs(x[outer]) > abs(x[inner])
        assert y[list(upper)].min() > y[[outer, inner]].max() > y[list(lower)].max()
    assert (np.diff(x[48:55]) > 0).all()
    assert (np.diff(x[54:60]) < 0).all()
    assert y[51] > y[62] >= y[66] > y[57]
    for width, low, high in ((x[45] - x[36], 80, 100), (x[54] - x[48], 42, 60), (x[16] - x[0], 125, 165)):
        assert low < width < high  # millimetres, as in adults


def test_all_but_the_jaw_turn_with_the_head_as_one() -> None:
    posed = landmarks_68_mm(replace(HEAD, yaw_deg=25, pitch_deg=-10, roll_deg=8))
    expected = landmarks_68_mm(HEAD) @ rotation(25, -10, 8).T
    np.testing.assert_allclose(posed[17:], expected[17:], atol=1e-3)
    assert np.linalg.norm(posed[JAW] - expected[JAW], axis=1).max() > 5


def test_the_jaw_of_a_turned_head_lies_on_its_outline() -> None:
    turned = replace(HEAD, yaw_deg=-35)
    depth = render_depth_mm(face_mesh(turned), CAMERA)
    for x, y in project_points(landmarks_68_mm(turned), CAMERA)[:5]:
        # The far cheek is at the image's left: nothing of the head may lie left of the point.
        left = np.nonzero(np.isfinite(depth[round(y)]))[0][0]
        assert x == pytest.approx(left, abs=2.5)


def test_landmarks_lie_on_the_visible_surface() -> None:
    for seed in range(4):
        face = replace(draw_face(np.random.default_rng(seed)), yaw_deg=5, pitch_deg=0, roll_deg=0, extent="head")
        depth = render_depth_mm(face_mesh(face), CAMERA)
        seen = project(landmarks_68_mm(face)[17:].astype(np.float32), CAMERA)
        nearest = depth[seen[:, 1].astype(int), seen[:, 0].astype(int)]
        # At lids, lips and nostrils the next pixel may be on another surface: a few points may differ by more.
        assert np.nanquantile(np.abs(nearest - seen[:, 2]), 0.8) < 1.5


def test_they_follow_expression_and_identity() -> None:
    neutral = landmarks_68_mm(HEAD)
    opened = landmarks_68_mm(replace(HEAD, targets={"faceunits/jawOpen": 0.8}))
    smiling = landmarks_68_mm(replace(HEAD, targets={f"faceunits/mouthSmile{s}": 1.0 for s in ("Left", "Right")}))
    chins = [4, 5, 6, 7, 8, 9, 10, 11, 12]

    def relative(points: np.ndarray) -> np.ndarray:
        return np.asarray(points - points[27])  # the middle of the head moves when the chin does

    drop = relative(opened)[:, 1] - relative(neutral)[:, 1]
    assert drop[chins].max() < -1
    assert drop[8] < -10
    assert drop[66] < -10
    assert abs(drop[17:48]).max() < 2
    assert opened[66, 1] < opened[62, 1] - 10
    corner = relative(smiling)[54] - relative(neutral)[54]
    assert corner[0] > 2
    assert corner[1] > 2
    faces = [landmarks_68_mm(replace(draw_face(np.random.default_rng(s)), extent="head")) for s in (1, 2)]
    assert np.linalg.norm(faces[0] - faces[1], axis=1).mean() > 3


def test_face_and_head_share_their_landmarks_but_for_the_origin() -> None:
    drawn = replace(draw_face(np.random.default_rng(3)), yaw_deg=0, pitch_deg=0, roll_deg=0)
    face, head = (landmarks_68_mm(replace(drawn, extent=extent)) for extent in ("face", "head"))
    shift = face - head
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-3)


def test_the_six_marks() -> None:
    points, marks = landmarks_68_mm(HEAD), marks_mm(HEAD)
    assert len(MARK_NAMES) == len(marks) == 6
    np.testing.assert_array_equal(marks[2:], points[[30, 48, 54, 8]])
    assert marks[0, 0] < 0 < marks[1, 0]  # left and right as in the image
    assert marks[1, 0] - marks[0, 0] == pytest.approx(62, abs=4)  # between the pupils of adults
    flat = np.arange(136.0).reshape(68, 2)
    np.testing.assert_allclose(marks_from_landmarks(flat)[0], flat[36:42].mean(axis=0))


def test_points_meet_the_pixels_that_show_them() -> None:
    camera = Camera(500, 500, (128, 64), 256, 128)
    # 10 mm right and 20 mm up at 500 mm: 10 px and 20 px from the principal point, less half a pixel.
    np.testing.assert_allclose(project_points(np.array([[10.0, 20.0, 0.0]]), camera), [[137.5, 43.5]])


def test_dlib_finds_frontal_faces_and_lands_on_the_landmarks() -> None:
    """20 people at 256x256 as KinectFaceDB shows them, neutral, smiling or with an open mouth, under changing light."""
    units: tuple[dict[str, float], ...] = (
        {},
        {"faceunits/mouthSmileLeft": 0.8, "faceunits/mouthSmileRight": 0.8},
        {"faceunits/jawOpen": 0.6},
    )
    errors = []
    for person in range(20):
        rng = np.random.default_rng((77, person))
        drawn = draw_face(rng, FaceSettings(expressive_share=0.0, head_share=1.0))
        yaw, pitch, roll = rng.uniform(-8, 8, 3)
        targets = {**drawn.targets, **units[person % 3]}
        face = replace(drawn, targets=targets, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
        camera = Camera(rng.uniform(700, 900), 525.0, (128.0, 128.0), 256)
        light = Light((rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.9), 1.0), 0.9, ambient=rng.uniform(0.3, 0.6))
        view = render_view(coloured_person(face, draw_appearance(rng, drawn)), camera, light, samples=2)
        found = detect_face(view.picture)
        if found is not None:
            errors.append(np.linalg.norm(found.landmarks - project_points(landmarks_68_mm(face), camera), axis=1))
    assert len(errors) >= 19
    assert np.median(errors) <= 4
