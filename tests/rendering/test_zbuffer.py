"""Depth against analytic shapes and against an independent ray caster."""

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.parametric import FaceParameters, face_mesh
from facedepth_kit.rendering.zbuffer import (
    Camera,
    ColouredMesh,
    Light,
    Mesh,
    decode_srgb,
    encode_srgb,
    fit_camera,
    project,
    render_depth_mm,
    render_view,
    vertex_normals,
)

CAMERA = Camera(distance_mm=500, focal_px=500, centre_px=(128, 128))


def plane(slope: float, at_mm: float, half_mm: float = 400) -> Mesh:
    """z = at + slope * x, two triangles."""
    corners = [
        (x, y, at_mm + slope * x)
        for x, y in ((-half_mm, -half_mm), (half_mm, -half_mm), (half_mm, half_mm), (-half_mm, half_mm))
    ]
    return Mesh(np.asarray(corners, np.float32), np.asarray([[0, 1, 2], [0, 2, 3]], np.int32))


def rays() -> tuple[np.ndarray, np.ndarray]:
    """Direction (x, y up) per unit of depth through each pixel's centre."""
    offset = (np.arange(256) + 0.5 - 128) / 500
    return np.meshgrid(offset, -offset)


def test_a_facing_plane_has_one_depth() -> None:
    np.testing.assert_allclose(render_depth_mm(plane(0, 40), CAMERA), 460, atol=1e-3)


def test_a_slanted_plane_is_exact_at_every_pixel() -> None:
    # camera frame: z' = 500 - z with z = 40 + 0.5 x and x = z' * rx, so z' = 460 / (1 + 0.5 rx)
    rx, _ = rays()
    np.testing.assert_allclose(render_depth_mm(plane(0.5, 40), CAMERA), 460 / (1 + 0.5 * rx), rtol=1e-5)


def test_a_sphere_is_exact_within_its_facets() -> None:
    trimesh = pytest.importorskip("trimesh")  # only for the facets
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


def coloured(mesh: Mesh, colour: tuple[float, float, float] = (0.5, 0.3, 0.2), gloss: float = 0.0) -> ColouredMesh:
    count = len(mesh.vertices_mm)
    return ColouredMesh(mesh, np.tile(np.asarray(colour, np.float32), (count, 1)), np.full(count, gloss, np.float32))


def test_an_oblong_image_is_part_of_a_larger_one() -> None:
    mesh = face_mesh(FaceParameters({}))
    wide = render_depth_mm(mesh, Camera(600, 500, (160, 60), size_px=320, height_px=120))
    square = render_depth_mm(mesh, Camera(600, 500, (160, 160), size_px=320))
    assert wide.shape == (120, 320)
    np.testing.assert_allclose(wide, square[100:220], rtol=1e-5)


def test_a_view_has_the_same_depth_as_rendering_alone_and_names_the_nearer_part() -> None:
    near, far = plane(0, 60, 20), plane(0.2, 0)
    view = render_view([coloured(far), coloured(near)], CAMERA)
    alone = render_depth_mm(far, CAMERA)
    assert view.part[128, 128] == 1
    assert view.part[5, 5] == 0
    np.testing.assert_array_equal(view.depth_mm[view.part == 0], alone[view.part == 0])
    assert view.picture.shape == (256, 256, 3)
    assert view.picture.dtype == np.uint8


def test_nothing_seen_is_the_backdrop() -> None:
    view = render_view([coloured(plane(0, 0, 20))], CAMERA, Light(backdrop=(0.0, 1.0, 0.0)))
    assert view.part[0, 0] == -1
    assert np.isnan(view.depth_mm[0, 0])
    np.testing.assert_array_equal(view.picture[0, 0], (0, 255, 0))
    np.testing.assert_array_equal(view.albedo[0, 0], 0)


def test_colours_are_interpolated_in_perspective() -> None:
    # Red grows along x in space; on a plane that recedes, that is not linear in the image.
    mesh = plane(0.8, 0)
    red = (mesh.vertices_mm[:, 0] + 400) / 800
    part = ColouredMesh(mesh, np.stack([red, red * 0, red * 0], 1).astype(np.float32), red.astype(np.float32))
    view = render_view([part], CAMERA)
    rx, _ = rays()
    x = rx * view.depth_mm
    np.testing.assert_allclose(view.albedo[..., 0], (x + 400) / 800, atol=1e-5)
    np.testing.assert_allclose(view.gloss, (x + 400) / 800, atol=1e-5)
    assert not view.albedo[..., 1:].any()


def test_dull_surfaces_follow_lamberts_law() -> None:
    # z = 0.75 x has the normal (-0.6, 0, 0.8); upright, so three quarters of the ambient light.
    lamp = Light((0, 0, 2), intensity=0.5, colour=(1, 0.5, 0), ambient=0.4, softness=0, shadows=False)
    view = render_view([coloured(plane(0.75, 0), (0.5, 0.3, 0.2))], CAMERA, lamp)
    expected = np.array([0.5 * (0.3 + 0.4), 0.3 * (0.3 + 0.2), 0.2 * 0.3])
    np.testing.assert_allclose(decode_srgb(view.picture[128, 128]), expected, atol=0.005)
    np.testing.assert_allclose(view.normals[40, 200], (-0.6, 0, 0.8), atol=1e-5)


def test_a_surface_seen_from_behind_is_lit_from_this_side() -> None:
    front = plane(0, 0)
    back = Mesh(front.vertices_mm, front.triangles[:, ::-1].copy())
    lamp = Light((0, 0, 1), softness=0, shadows=False)
    views = [render_view([coloured(mesh)], CAMERA, lamp) for mesh in (front, back)]
    np.testing.assert_array_equal(views[0].picture, views[1].picture)
    np.testing.assert_allclose(views[1].normals[128, 128], (0, 0, 1), atol=1e-6)


def test_gloss_mirrors_the_lamp_where_the_angles_agree() -> None:
    # The lamp stands 45 degrees to the right, so a wall turned by half of that mirrors it at the image's middle.
    lamp = Light((1, 0, 1), ambient=0.2, softness=0, shadows=False)
    for degrees, bright in ((22.5, True), (-10.0, False)):
        wall = plane(-np.tan(np.radians(degrees)), 0)
        dull, glossy = (render_view([coloured(wall, gloss=g)], CAMERA, lamp).picture[128, 128] for g in (0.0, 0.9))
        assert (int(glossy[2]) - int(dull[2]) > 30) is bright


def test_a_shadow_falls_where_the_lamps_rays_go() -> None:
    # A board of 40 mm floats 60 mm before a wall; the lamp shines down at 45 degrees, so its shadow lies 60 mm lower.
    wall, board = plane(0, 0), plane(0, 60, 20)
    lit, dark = (
        render_view([coloured(wall), coloured(board)], CAMERA, Light((0, 1, 1), shadows=shadows))
        for shadows in (False, True)
    )
    darker = (lit.picture.astype(int) - dark.picture)[..., 0] > 10
    rows, columns = np.nonzero(darker)
    # On the wall at 500 mm a pixel is 1 mm: x from -20 to 20, y from -80 to -40. Along the rays the lift off the
    # surface (3 mm) and the map's soft edge move the shadow by a few millimetres.
    assert columns.min() == pytest.approx(128 - 20, abs=2)
    assert columns.max() == pytest.approx(128 + 19, abs=2)
    assert rows.min() == pytest.approx(128 + 40, abs=5)
    assert rows.max() == pytest.approx(128 + 79, abs=5)
    # The board itself is lit: its own surface does not shade it.
    np.testing.assert_array_equal(dark.picture[128, 128], lit.picture[128, 128])


def test_more_samples_change_edges_of_the_picture_only() -> None:
    part, lamp = coloured(plane(0, 0, 30.4)), Light(shadows=False)
    one, two = (render_view([part], CAMERA, lamp, samples=n) for n in (1, 2))
    np.testing.assert_array_equal(one.depth_mm, two.depth_mm)
    np.testing.assert_array_equal(one.picture[128, 128], two.picture[128, 128])
    assert len(np.unique(two.picture[..., 0])) > len(np.unique(one.picture[..., 0]))


def test_vertex_normals_of_a_sphere_point_outwards() -> None:
    trimesh = pytest.importorskip("trimesh")
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=80)
    normals = vertex_normals(Mesh(sphere.vertices.astype(np.float32), sphere.faces.astype(np.int32)))
    np.testing.assert_allclose(normals, sphere.vertices / 80, atol=0.01)


def test_srgb_curve() -> None:
    # IEC 61966-2-1: mid grey 0.2140 is 127.5 of 255, and the curve starts as a line of slope 12.92.
    np.testing.assert_array_equal(
        encode_srgb(np.array([0, 0.001, 0.21404, 1, 3, -1], np.float32)), [0, 3, 127, 255, 255, 0]
    )
    np.testing.assert_allclose(
        decode_srgb(np.array([0, 10, 188, 255], np.uint8)), [0, 10 / 255 / 12.92, 0.5029, 1], atol=1e-4
    )
    # Coming back is exact but for the darkest tones, where the table is coarse.
    grey = np.arange(256, dtype=np.uint8)
    assert np.abs(encode_srgb(decode_srgb(grey)).astype(int) - grey).max() <= 1


def test_views_that_cannot_be_rendered() -> None:
    mesh = plane(0, 0)
    with pytest.raises(KitError, match="no meshes"):
        render_view([], CAMERA)
    with pytest.raises(KitError, match="light direction"):
        render_view([coloured(mesh)], CAMERA, Light((0, 0, 0)))
    with pytest.raises(KitError, match=r"paper: found colours \(3, 3\)"):
        ColouredMesh(mesh, np.zeros((3, 3), np.float32), np.zeros(4, np.float32), "paper")
