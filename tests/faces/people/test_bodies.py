"""Whole bodies: a joint moves what hangs on it and nothing else, and bodies are of human size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.bodies import BodyParameters, body_mesh, draw_body, load_body_model
from facedepth_kit.faces.people.parametric import rotation

BARE = BodyParameters({}, {}, clothing_mm=0.0, folds=(), hair_mm=0.0, turn_deg=(0.0, 0.0, 0.0))


def test_the_resting_body_is_the_asset() -> None:
    model = load_body_model(0)
    mesh = body_mesh(BARE, levels=0)
    hips = model.joints[model.joint_names.index("Hips")]
    np.testing.assert_allclose(mesh.vertices_mm, model.base - hips, atol=0.01)
    height = np.ptp(mesh.vertices_mm[:, 1])
    assert 1500 < height < 1900


def test_an_elbow_turns_the_forearm_about_itself() -> None:
    model = load_body_model(0)
    rest = body_mesh(BARE, levels=0).vertices_mm
    bent = body_mesh(replace(BARE, joints_deg={"LeftForeArm": (0.0, 0.0, 40.0)}), levels=0).vertices_mm
    weights = np.zeros((len(rest), len(model.joint_names)))
    np.put_along_axis(weights, model.skin_joints, model.skin_weights, axis=1)
    arm = [name for name in model.joint_names if name in
           ("LeftForeArm", "LeftHand", "LThumb", "LeftFingerBase", "LeftHandFinger1")]  # fmt: skip
    share = weights[:, [model.joint_names.index(name) for name in arm]].sum(axis=1)
    np.testing.assert_allclose(bent[share == 0], rest[share == 0], atol=0.01)
    elbow = model.joints[model.joint_names.index("LeftForeArm")] - model.joints[model.joint_names.index("Hips")]
    turned = (rest[share > 0.999] - elbow) @ rotation(0, 0, 40).T + elbow
    assert len(turned) > 500
    np.testing.assert_allclose(bent[share > 0.999], turned, atol=0.05)


def test_the_whole_body_turns_about_the_hips() -> None:
    rest = body_mesh(BARE, levels=0).vertices_mm
    turned = body_mesh(replace(BARE, turn_deg=(90.0, 0.0, 0.0)), levels=0).vertices_mm
    np.testing.assert_allclose(turned[:, 0], rest[:, 2], atol=0.02)
    np.testing.assert_allclose(turned[:, 1], rest[:, 1], atol=0.02)


def test_clothes_leave_face_and_hands_bare() -> None:
    model = load_body_model(0)
    rest = body_mesh(BARE, levels=0).vertices_mm
    dressed = body_mesh(replace(BARE, clothing_mm=20.0), levels=0).vertices_mm
    moved = np.linalg.norm(dressed - rest, axis=1)
    face = (model.base[:, 1] > 700) & (model.base[:, 2] > 100)
    assert face.sum() > 500
    assert moved[face].max() < 0.01
    trunk = (np.abs(model.base[:, 0]) < 120) & (model.base[:, 1] > 100) & (model.base[:, 1] < 400)
    assert 10 < np.median(moved[trunk]) < 35


def test_drawn_bodies_are_adults_in_some_posture() -> None:
    for seed in range(6):
        mesh = body_mesh(draw_body(np.random.default_rng(seed)))
        assert np.isfinite(mesh.vertices_mm).all()
        extent = np.ptp(mesh.vertices_mm, axis=0)
        assert 900 < np.linalg.norm(extent) < 3000
    again = [body_mesh(draw_body(np.random.default_rng(9))).vertices_mm for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(KitError, match="Tail"):
        body_mesh(replace(BARE, joints_deg={"Tail": (1.0, 0.0, 0.0)}))
    with pytest.raises(KitError, match="macrodetails/giant"):
        body_mesh(replace(BARE, targets={"macrodetails/giant": 1.0}))
