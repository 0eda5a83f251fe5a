"""The face model: what a lecturer would check on a face, and what PRNet's mesh has."""

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.parametric import (
    FaceParameters,
    FaceSettings,
    clip_mesh,
    draw_face,
    face_mesh,
    load_model,
    rotation,
)
from facedepth_kit.rendering.camera import fit_camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import render_depth_mm


def depth_of(parameters: FaceParameters) -> np.ndarray:
    mesh = face_mesh(parameters)
    return render_depth_mm(mesh, fit_camera(mesh, fill=0.85))


def test_the_same_seed_gives_the_same_face_and_another_seed_another() -> None:
    one, two, other = (face_mesh(draw_face(np.random.default_rng(seed))) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.vertices_mm, two.vertices_mm)
    np.testing.assert_array_equal(one.triangles, two.triangles)
    assert one.vertices_mm.shape != other.vertices_mm.shape or np.abs(one.vertices_mm - other.vertices_mm).max() > 1


def test_the_mesh_is_about_as_dense_as_prnets() -> None:
    mesh = face_mesh(FaceParameters({}))
    assert 60_000 < len(mesh.triangles) < 100_000


def test_a_frontal_face_is_one_piece_without_slits_or_gaps() -> None:
    from scipy import ndimage

    for seed in range(12):
        drawn = draw_face(np.random.default_rng(seed))
        depth = depth_of(FaceParameters(drawn.targets))
        valid = np.isfinite(depth)
        assert ndimage.label(valid)[1] == 1
        assert ndimage.label(~valid)[1] == 1  # only the background: no gap inside the face
        # closed lips and eyelids: no pixel lies far behind its whole neighbourhood
        surroundings = ndimage.percentile_filter(np.where(valid, depth, np.nanmax(depth)), 50, size=9)
        assert np.nanmax((depth - surroundings)[ndimage.binary_erosion(valid, iterations=8)]) < 25


def test_the_nose_is_nearest_and_the_face_has_human_size() -> None:
    mesh = face_mesh(FaceParameters({}))
    shown = mesh.vertices_mm[np.unique(mesh.triangles)]
    width, height, length = np.ptp(shown, axis=0)
    assert 120 < width < 165
    assert 140 < height < 190  # chin to hairline
    assert 70 < length < 140
    row, column = np.unravel_index(np.nanargmin(depth_of(FaceParameters({}))), (256, 256))
    assert 100 < column < 156
    assert 110 < row < 200


def test_yaw_turns_the_nose_to_the_images_right_and_pitch_down() -> None:
    for yaw, pitch in ((30, 0), (0, 20)):
        turned = rotation(yaw, pitch, 0) @ np.array([0, 0, 1.0])
        assert turned[0] == pytest.approx(np.sin(np.radians(yaw)))
        assert turned[1] == pytest.approx(-np.sin(np.radians(pitch)))


def test_an_expression_moves_the_mouth_and_leaves_the_forehead() -> None:
    neutral, opened = (face_mesh(FaceParameters(t)).vertices_mm for t in ({}, {"faceunits/jawOpen": 1.0}))
    model = load_model()
    moved = np.linalg.norm(
        (opened - neutral)[: len(model.neutral)] - (opened - neutral)[np.argmax(model.neutral[:, 1])], axis=1
    )
    low = model.neutral[:, 1] < 650
    assert np.quantile(moved[low], 0.9) > 8
    assert np.median(moved[model.neutral[:, 1] > 760]) < 1.5


def test_identities_spread_as_far_as_a_scan_based_models() -> None:
    settings = FaceSettings(expressive_share=0.0, age=(0.5, 0.5))
    count = len(load_model().neutral)
    shapes = []
    for seed in range(25):
        drawn = draw_face(np.random.default_rng(seed), settings)
        vertices = face_mesh(FaceParameters(drawn.targets)).vertices_mm[:count]
        shapes.append(vertices[load_model().neutral[:, 2] > 90])
    stack = np.stack([s - s.mean(axis=0) for s in shapes])
    rms = np.sqrt(np.square(stack - stack.mean(axis=0)).sum(axis=2).mean())
    assert 2.5 < rms < 8


def test_clipping_cuts_along_the_zero_line() -> None:
    square = Mesh(
        np.asarray([(0, 0, 0), (2, 0, 0), (2, 2, 0), (0, 2, 0)], np.float32),
        np.asarray([[0, 1, 2], [0, 2, 3]], np.int32),
    )
    part = clip_mesh(square, np.float32(0.5) - square.vertices_mm[:, 0])
    corners = part.vertices_mm[part.triangles]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    assert area == pytest.approx(1.0)
    assert corners[..., 0].max() == pytest.approx(0.5)


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(KitError, match="'nose/none'"):
        face_mesh(FaceParameters({"nose/none": 1.0}))
