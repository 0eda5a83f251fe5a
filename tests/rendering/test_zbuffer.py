"""Depth against analytic shapes and against an independent ray caster."""

import numpy as np
import pytest
import trimesh

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.parametric import FaceParameters, face_mesh
from facedepth_kit.rendering.camera import Camera, fit_camera, project
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import render_depth_mm
from tests.rendering.planes import CAMERA, plane, rays


def test_a_facing_plane_has_one_depth() -> None:
    np.testing.assert_allclose(render_depth_mm(plane(0, 40), CAMERA), 460, atol=1e-3)


def test_a_slanted_plane_is_exact_at_every_pixel() -> None:
    # camera frame: z' = 500 - z with z = 40 + 0.5 x and x = z' * rx, so z' = 460 / (1 + 0.5 rx)
    rx, _ = rays()
    np.testing.assert_allclose(render_depth_mm(plane(0.5, 40), CAMERA), 460 / (1 + 0.5 * rx), rtol=1e-5)


def test_a_sphere_is_exact_within_its_facets() -> None:

    sphere = trimesh.creation.icosphere(subdivisions=6, radius=80)
    depth = render_depth_mm(Mesh(sphere.vertices.astype(np.float32), sphere.faces.astype(np.int32)), CAMERA)
    rx, ry = rays()
    a, b, c = 1 + rx**2 + ry**2, -2 * 500.0, 500.0**2 - 80.0**2
    with np.errstate(invalid="ignore"):
        analytic = (-b - np.sqrt(b * b - 4 * a * c)) / (2 * a)
    inside = np.isfinite(depth) & np.isfinite(analytic)
    assert abs(np.isfinite(depth).sum() - np.isfinite(analytic).sum()) < 0.01 * np.isfinite(analytic).sum()
    grazing = analytic > np.nanmax(analytic) - 15  # facets cut the silhouette
    assert np.abs(depth - analytic)[inside & ~grazing].max() < 0.1


def test_the_nearer_of_two_planes_hides_the_other() -> None:
    near, far = plane(0, 60, 20), plane(0, 0)
    both = Mesh(
        np.concatenate([far.vertices_mm, near.vertices_mm]), np.concatenate([near.triangles + 4, far.triangles])
    )
    depth = render_depth_mm(both, CAMERA)
    assert depth[128, 128] == pytest.approx(440, abs=1e-3)
    assert depth[5, 5] == pytest.approx(500, abs=1e-3)


def test_a_vertex_behind_the_camera_is_refused() -> None:
    with pytest.raises(KitError, match="in front of the camera"):
        render_depth_mm(plane(0, 600), CAMERA)


def cast_ray(direction: np.ndarray, corners: np.ndarray) -> float:
    """Depth of the first hit of a ray from the origin (Moeller and Trumbore's test on every triangle), or infinity."""
    first, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = np.cross(direction, ac)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / np.einsum("ij,ij->i", ab, p)
        u = -np.einsum("ij,ij->i", first, p) * inverse
        q = np.cross(-first, ab)
        v = q @ direction * inverse
        distance = np.einsum("ij,ij->i", ac, q) * inverse
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 0)
    return float(distance[hit].min()) if hit.any() else np.inf


def test_a_face_agrees_with_an_independent_ray_caster() -> None:
    mesh = face_mesh(FaceParameters({"faceunits/jawOpen": 0.5}, yaw_deg=20, pitch_deg=-8))
    camera = fit_camera(mesh, fill=0.85)
    depth = render_depth_mm(mesh, camera)
    vertices = mesh.vertices_mm.astype(float) * [1, -1, -1] + [0, 0, camera.distance_mm]
    corners = vertices[mesh.triangles]
    rows, columns = np.nonzero(np.isfinite(depth))
    pick = np.random.default_rng(0).choice(len(rows), 60, replace=False)
    x, y = ((c[pick] + 0.5 - m) / camera.focal_px for c, m in zip((columns, rows), camera.centre_px, strict=True))
    directions = np.stack([x, y, np.ones_like(x)], axis=1)
    expected = np.asarray([cast_ray(direction, corners) for direction in directions])
    assert np.isfinite(expected).mean() > 0.98
    difference = np.abs(expected - depth[rows[pick], columns[pick]])[np.isfinite(expected)]
    assert np.median(difference) < 0.01
    assert np.quantile(difference, 0.97) < 0.05


def test_fit_camera_fills_the_wanted_share() -> None:
    mesh = face_mesh(FaceParameters({}))
    flat = project(mesh.vertices_mm, fit_camera(mesh, fill=0.8))
    size = flat[:, :2].max(axis=0) - flat[:, :2].min(axis=0)
    assert size.max() == pytest.approx(0.8 * 256, rel=1e-4)
    assert (flat[:, :2].max(axis=0) + flat[:, :2].min(axis=0)) / 2 == pytest.approx([128, 128], abs=0.01)
    with pytest.raises(KitError, match="fill"):
        fit_camera(mesh, fill=2.5)


def test_an_oblong_image_is_part_of_a_larger_one() -> None:
    mesh = face_mesh(FaceParameters({}))
    wide = render_depth_mm(mesh, Camera(600, 500, (160, 60), size_px=320, height_px=120))
    square = render_depth_mm(mesh, Camera(600, 500, (160, 160), size_px=320))
    assert wide.shape == (120, 320)
    np.testing.assert_allclose(wide, square[100:220], rtol=1e-5)
