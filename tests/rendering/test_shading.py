"""Colour pictures against Lambert, mirrors and shadows worked out by hand."""

import numpy as np
import pytest
import trimesh

from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, vertex_normals
from facedepth_kit.rendering.shading import Light, decode_srgb, encode_srgb, render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm
from tests.rendering.planes import CAMERA, plane, rays


def coloured(mesh: Mesh, colour: tuple[float, float, float] = (0.5, 0.3, 0.2), gloss: float = 0.0) -> ColouredMesh:
    count = len(mesh.vertices_mm)
    return ColouredMesh(mesh, np.tile(np.asarray(colour, np.float32), (count, 1)), np.full(count, gloss, np.float32))


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
