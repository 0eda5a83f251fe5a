"""Printed faces: the paper's geometry by hand, its colours, and that Dlib takes them for faces."""

import numpy as np
import pytest

from facedepth_kit.cameras.simulated.prints import PAPER, Sheet, portrait_to_print, print_points_mm, printed_sheet
from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.detection import detect_face
from facedepth_kit.faces.people.appearance import draw_appearance
from facedepth_kit.faces.people.parametric import FaceSettings, draw_face
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.shading import Light, render_view

GREY = np.full((40, 30, 3), 188, np.uint8)


def test_a_flat_print_has_its_size_and_a_white_border() -> None:
    sheet = printed_sheet(GREY, Sheet(150, border_mm=9))
    x, y, z = sheet.mesh.vertices_mm.T
    assert not z.any()
    # 150 x 200 mm of picture, 9 mm of border on all sides.
    assert np.ptp(x) == pytest.approx(168, abs=2)
    assert np.ptp(y) == pytest.approx(218, abs=2)
    border = (np.abs(x) > 77) | (np.abs(y) > 102)
    np.testing.assert_allclose(sheet.colours[border], PAPER)
    # sRGB 188 is half of white's brightness.
    np.testing.assert_allclose(sheet.colours[(np.abs(x) < 70) & (np.abs(y) < 95)].mean(), PAPER / 2, rtol=0.05)
    corners = sheet.mesh.vertices_mm[sheet.mesh.triangles]
    assert (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()  # faces the camera


def test_bent_paper_lies_on_a_cylinder_and_keeps_its_length() -> None:
    for radius in (120.0, -120.0):
        sheet = printed_sheet(GREY, Sheet(150, radius, border_mm=9))
        x, y, z = sheet.mesh.vertices_mm.T.astype(float)
        # The axis is vertical, a radius behind (or before) the middle of the sheet.
        np.testing.assert_allclose(np.hypot(x, z + radius), abs(radius), atol=1e-3)
        row = np.argsort(x)[np.sort(y)[0] == y[np.argsort(x)]]
        length = np.linalg.norm(np.diff(sheet.mesh.vertices_mm[row], axis=0), axis=1).sum()
        assert length == pytest.approx(168, abs=2)
        assert np.sign(z.min() + z.max()) == -np.sign(radius)


def test_points_of_the_picture_on_the_paper() -> None:
    sheet = Sheet(150.0)
    # The picture's middle is between the pixels 14 and 15, 19 and 20; a pixel is 5 mm.
    points = print_points_mm(np.array([[14.5, 19.5], [29.5, -0.5]]), GREY.shape, sheet)
    np.testing.assert_allclose(points, [[0, 0, 0], [75, 100, 0]], atol=1e-9)
    # A quarter of the way round: 75 mm of arc on a radius of 150 / pi is a right angle.
    bent = print_points_mm(np.array([[29.5, 19.5]]), GREY.shape, Sheet(150.0, bend_mm=150 / np.pi))
    np.testing.assert_allclose(bent, [[150 / np.pi, 0, -150 / np.pi]], atol=1e-9)
    moved = Sheet(150.0, yaw_deg=90, centre_mm=(1, 2, 3))
    np.testing.assert_allclose(print_points_mm(np.array([[29.5, 19.5]]), GREY.shape, moved), [[1, 2, -72]], atol=1e-9)


def test_what_cannot_be_printed() -> None:
    with pytest.raises(KitError, match="print: found a picture"):
        printed_sheet(GREY[..., 0], Sheet(150))
    with pytest.raises(KitError, match="fits round"):
        printed_sheet(GREY, Sheet(150, bend_mm=10))


def test_dlib_finds_printed_faces_where_they_were_printed() -> None:
    found = 0
    errors = []
    for person in range(5):
        rng = np.random.default_rng((5, person))
        face = draw_face(rng, FaceSettings(expressive_share=0, yaw_deg=(3, 6), pitch_deg=(3, 6), head_share=1))
        shown = portrait_to_print(face, draw_appearance(rng, face), px_per_mm=1.5)
        for bend in (None, 150.0):
            yaw, pitch, roll = rng.uniform(-8, 8, 3)
            sheet = Sheet(shown.width_mm, bend, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
            camera = Camera(rng.uniform(700, 900), 525.0, (128, 128), 256)
            picture = render_view([printed_sheet(shown.picture, sheet)], camera, Light(), samples=2).picture
            hit = detect_face(picture)
            if hit is not None:
                found += 1
                points = print_points_mm(shown.landmarks, shown.picture.shape, sheet)
                errors.append(np.linalg.norm(hit.landmarks - project_points(points, camera), axis=1))
    assert found >= 9
    assert np.median(errors) <= 4
