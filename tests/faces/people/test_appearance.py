"""What a coloured person is made of: surface, colours, hair, neck and clothes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from facedepth_kit.faces.people.appearance import (
    Appearance,
    coloured_person,
    draw_appearance,
    paint_head,
)
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.outfit import HAIR_STYLES, HairStyle, hairline_mm, torso_yaw_deg
from facedepth_kit.faces.people.parametric import FaceParameters, FaceSettings, draw_face, face_mesh, macro_targets
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.mesh import ColouredMesh
from facedepth_kit.rendering.shading import render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm

HEAD = FaceParameters({}, extent="head")
CAMERA = Camera(800, 1200, (256, 256), 512)


def head(face: FaceParameters, appearance: Appearance) -> ColouredMesh:
    """The head alone, without hair and body."""
    return coloured_person(face, appearance)[0]


def test_the_coloured_head_has_the_surface_of_the_face_mesh() -> None:
    for seed in range(3):
        drawn = replace(draw_face(np.random.default_rng(seed), FaceSettings(expressive_share=0)), yaw_deg=15)
        for extent in ("face", "head"):
            face = replace(drawn, extent=extent)
            alone, whole = (render_depth_mm(mesh, CAMERA) for mesh in (face_mesh(face), head(face, Appearance()).mesh))
            both = np.isfinite(alone)
            assert np.isfinite(whole[both]).all()
            # The line between the lips is closed in another way.
            assert np.quantile(np.abs(whole - alone)[both], 0.995) < 0.01


def test_an_open_mouth_sinks_in_and_is_dark() -> None:
    face = replace(HEAD, targets={"faceunits/jawOpen": 0.8})
    view = render_view([head(face, Appearance())], CAMERA)
    points = project_points(landmarks_68_mm(face), CAMERA)
    x, upper, lower = round(points[62, 0]), points[62, 1], points[66, 1]
    middle, low = round((upper + lower) / 2), round(upper + 0.75 * (lower - upper))
    assert view.depth_mm[middle, x] > view.depth_mm[round(lower) + 6, x] + 5
    assert view.albedo[low, x].mean() < 0.7 * view.albedo[round(lower) + 6, x].mean()
    assert np.isfinite(view.depth_mm[round(upper) : round(lower), x]).all()


def test_the_parts_of_a_face_have_their_colours() -> None:
    look = Appearance(skin=(0.45, 0.29, 0.22), blemishes=0, hair_style="shorn", seed=3)
    view = render_view([head(HEAD, look)], CAMERA)
    points = np.rint(project_points(landmarks_68_mm(HEAD), CAMERA)).astype(int)

    def albedo(x: float, y: float) -> np.ndarray:
        column, row = round(x), round(y)
        return np.asarray(view.albedo[row - 1 : row + 2, column - 1 : column + 2].mean(axis=(0, 1)))

    cheek = albedo((points[36, 0] + points[48, 0]) / 2, points[30, 1])
    np.testing.assert_allclose(cheek, look.skin, rtol=0.35)
    lip = albedo(points[57, 0], (points[57, 1] + points[66, 1]) / 2)
    assert lip[0] / lip[1] > 1.3 * cheek[0] / cheek[1]
    for brow in (19, 24):
        assert albedo(points[brow, 0], points[brow, 1] + 3).mean() < 0.45 * cheek.mean()
    for corners in ((36, 39), (42, 45)):
        pupil = albedo(*points[list(corners)].mean(axis=0))
        assert pupil.max() < 0.05
        white = albedo(points[corners[0], 0] * 0.75 + points[corners[1], 0] * 0.25, points[corners[0], 1])
        assert white.min() > 0.25
    crown = np.nonzero(view.part[:, 256] == 0)[0][0] + 8
    assert albedo(256, crown).mean() < 0.1


def test_eyes_turn_with_the_gaze() -> None:
    columns = []
    for right in (-12.0, 12.0):
        view = render_view([head(HEAD, Appearance(gaze_deg=(right, 0.0)))], CAMERA)
        points = project_points(landmarks_68_mm(HEAD), CAMERA)
        left, top, width = round(points[36, 0]), round(points[37, 1]), round(points[39, 0] - points[36, 0])
        eye = view.albedo[top : top + 8, left + 4 : left + width - 4].mean(axis=(0, 2))
        columns.append(np.average(np.arange(len(eye)), weights=(eye < 0.1)))
    assert columns[1] - columns[0] > 3


def test_looks_are_drawn_from_the_seed_and_differ() -> None:
    one, two, other = (draw_appearance(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == two != other
    np.testing.assert_array_equal(paint_head(one)[0], paint_head(two)[0])
    drawn = [draw_appearance(np.random.default_rng(seed)) for seed in range(60)]
    skins = np.asarray([look.skin for look in drawn])
    assert skins[:, 0].max() > 3 * skins[:, 0].min()
    assert (np.diff(skins, axis=1) < 0).all()  # redder than green, greener than blue: skin
    assert {look.hair_style for look in drawn} == set(HAIR_STYLES)


def test_looks_go_with_origins_and_sex() -> None:
    def looks(origins: tuple[float, float, float], male: float) -> list[Appearance]:
        targets = macro_targets(origins=origins, male=male, age=0.5, muscle=0.5, weight=0.5)
        return [draw_appearance(np.random.default_rng(s), FaceParameters(targets)) for s in range(30)]

    dark, light = looks((1, 0, 0), 0.0), looks((0, 0, 1), 1.0)
    assert np.mean([look.skin[0] for look in dark]) < 0.5 * np.mean([look.skin[0] for look in light])
    assert max(look.beard for look in dark) == 0
    assert max(look.beard for look in light) > 0.2


def test_colours_are_albedo() -> None:
    for seed in range(6):
        rng = np.random.default_rng(seed)
        face = draw_face(rng)
        for part in coloured_person(face, draw_appearance(rng, face)):
            assert part.colours.dtype == np.float32
            assert part.colours.min() > 0
            assert part.colours.max() < 1
            assert part.gloss.min() >= 0
            assert part.gloss.max() <= 1


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_hair_covers_the_crown_and_leaves_the_face_free(style: HairStyle) -> None:
    face = replace(draw_face(np.random.default_rng(4)), yaw_deg=0, pitch_deg=0, roll_deg=0, extent="head")
    look = Appearance(hair_style=style, seed=5)
    parts = coloured_person(face, look)
    assert [part.name for part in parts] == (["head", "body"] if style == "shorn" else ["head", "hair", "body"])
    view = render_view(parts, CAMERA)
    points = np.rint(project_points(landmarks_68_mm(face), CAMERA)).astype(int)
    assert (view.part[points[17:, 1], points[17:, 0]] == 0).all()
    if style == "shorn":
        return
    crown = np.nonzero(view.part[:, points[27, 0]] >= 0)[0][0]
    assert (view.part[crown : crown + 15, points[27, 0]] == 1).all()
    below_chin = (view.part[points[8, 1] + 2 :] == 1).any()
    assert below_chin == (style in ("curtain", "long") and look.hair_length_mm < 620)


def test_head_and_body_join_without_a_gap() -> None:
    for seed, yaw, pitch in ((0, 0, 0), (1, 35, -10), (2, -80, 0), (3, 10, 20)):
        drawn = draw_face(np.random.default_rng(seed), FaceSettings(expressive_share=0, head_share=1))
        face = replace(drawn, yaw_deg=yaw, pitch_deg=pitch, roll_deg=6.0)
        parts = coloured_person(face, Appearance(hair_style="shorn"))
        person = render_view(parts, Camera(900, 700, (256, 200), 512)).part >= 0
        assert ndimage.label(person)[1] == 1
        holes = ndimage.binary_fill_holes(person) & ~person
        assert holes.sum() <= 2


def test_shoulders_follow_a_profile_half_way() -> None:
    assert torso_yaw_deg(0) == 0
    assert abs(torso_yaw_deg(10)) < 1
    assert 35 < torso_yaw_deg(85) < 60
    assert torso_yaw_deg(-85) == -torso_yaw_deg(85)


def test_the_hairline_rises_from_nape_to_forehead() -> None:
    heights = hairline_mm(np.array([0, 60, 180]), 800.0)
    assert heights[0] == 800
    assert heights[0] > heights[1] > heights[2]
