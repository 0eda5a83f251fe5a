"""What the panels draw, held against cases worked out by hand."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest

from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, DepthRange
from facedepth_kit.panels import pictures

RANGE = DepthRange(400.0, 100.0)
STEP = FARTHEST / 100.0  # one millimetre of RANGE


def flat(value_mm: float = 50.0) -> DepthImage:
    return np.full((256, 256), round(value_mm * STEP), np.uint16)


def test_png_keeps_every_pixel(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    read = cv2.imdecode(np.frombuffer(pictures.png(picture), np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    assert np.array_equal(read[..., ::-1], picture)


def test_error_map_is_black_without_error_brightest_at_a_hole_and_grey_outside() -> None:
    truth, depth = flat(), flat()
    truth[:, :100] = HOLE
    depth[:10] = HOLE
    depth[10:20] += np.uint16(3 * STEP)  # 3 % of the span
    picture = pictures.error_map(depth, truth).astype(int).sum(axis=-1)
    assert (picture[:, :100] == 3 * 190).all()
    outside, hole, off, right = picture[5, 50], picture[5, 200], picture[15, 200], picture[30, 200]
    assert outside == 3 * 190
    assert right < off < hole
    assert right < 10


def test_difference_is_red_nearer_blue_farther_green_filled_grey_open() -> None:
    given, depth = flat(), flat()
    given[:64], depth[0:32] = HOLE, HOLE
    depth[64:128] -= np.uint16(5 * STEP)
    depth[128:192] += np.uint16(5 * STEP)
    picture = pictures.difference(depth, given, RANGE).astype(int)
    assert tuple(picture[10, 10]) == pictures.STILL_OPEN
    assert tuple(picture[40, 10]) == pictures.FILLED
    nearer, farther, same = picture[100, 10], picture[150, 10], picture[220, 10]
    assert nearer[0] > nearer[2] + 50
    assert farther[2] > farther[0] + 50
    assert same.min() > 235


def test_the_relief_of_a_plane_has_its_size_and_leaves_holes_open() -> None:
    depth = flat()
    depth[100:120, 100:120] = HOLE
    mesh = pictures.surface(depth, RANGE, pixel_mm=0.5)
    corner = mesh.vertices_mm[mesh.triangles].reshape(-1, 3)
    assert corner.min(axis=0) == pytest.approx([-63.75, -63.75, 0.0], abs=0.01)
    assert corner.max(axis=0) == pytest.approx([63.75, 63.75, 0.0], abs=0.01)
    # 255 x 255 squares less the 21 x 21 that touch the hole, two triangles each
    assert len(mesh.triangles) == 2 * (255**2 - 21**2)


def test_a_step_is_not_joined_into_a_wall() -> None:
    depth = flat(20.0)
    depth[:, 128:] = round((20.0 + pictures.JUMP_MM + 1) * STEP)
    assert len(pictures.surface(depth, RANGE, pixel_mm=1.0).triangles) == 2 * 255 * 254


def test_turning_moves_what_is_near_to_one_side() -> None:
    depth = flat(90.0)
    rows, columns = np.mgrid[:256, :256]
    bump = np.hypot(rows - 127.5, columns - 127.5) < 30
    depth[bump] = np.round((90.0 - 85.0 * (1 - np.hypot(rows - 127.5, columns - 127.5)[bump] / 30)) * STEP)
    depth[~(np.hypot(rows - 127.5, columns - 127.5) < 90)] = HOLE
    middle = {}
    for yaw in (-40.0, 0.0, 40.0):
        picture = pictures.turned(depth, RANGE, pixel_mm=0.8, yaw_deg=yaw, pitch_deg=0.0)
        # Yellow is near, blue far, whatever the light does to them.
        near = picture[..., :2].sum(axis=-1, dtype=int) > 3 * (picture[..., 2].astype(int) + 5)
        place = np.argwhere(near).mean(axis=0)
        middle[yaw] = place[1]
    assert middle[-40.0] < middle[0.0] - 10
    assert middle[40.0] > middle[0.0] + 10
    assert middle[0.0] == pytest.approx(127.5, abs=6)


@pytest.mark.parametrize("turn", [0.0, 60.0])
def test_an_image_of_holes_turns_into_nothing(turn: float) -> None:
    depth = np.full((256, 256), HOLE, np.uint16)
    picture = pictures.turned(depth, RANGE, pixel_mm=0.8, yaw_deg=turn, pitch_deg=0.0)
    assert (picture == pictures.BEHIND).all()


def test_a_profile_is_drawn_true_to_scale_with_gaps_at_holes() -> None:
    line = np.array([0.0, 10.0, np.nan, 40.0, 40.0])
    svg = pictures.profile_svg([line], across="pixels along <row> 3")
    drawn = [
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'<polyline points="([^"]*)"', svg)
    ]
    assert [len(piece) for piece in drawn] == [2, 2]
    (x0, y0), (x1, y1), (_, y3) = *drawn[0], drawn[1][0]
    assert y0 < y1 < y3  # near is up
    assert (y3 - y0) == pytest.approx(4 * (y1 - y0), abs=0.3)
    assert drawn[1][0][0] - x0 == pytest.approx(3 * (x1 - x0), abs=0.3)
    assert "along &lt;row&gt; 3" in svg
    for tick in re.findall(r'text-anchor="end">([^<]*)<', svg):
        assert float(tick) % 10 == 0


def test_a_profile_of_holes_only_is_an_empty_drawing() -> None:
    assert "polyline" not in pictures.profile_svg([np.full(5, np.nan)], across="row 1")


def test_landmarks_lie_where_their_pixel_lies() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    points = np.array([[10.0, 20.0], [200.0, 100.0], [np.nan, 3.0]])
    marks = [(np.array([True, False, True]), (255, 0, 0)), (np.array([False, True, False]), (0, 255, 0))]
    large = pictures.with_landmarks(picture, points, marks, scale=2)
    assert large.shape == (512, 512, 3)
    for colour, (x, y) in ((0, points[0]), (1, points[1])):
        other = 1 - colour
        dot = np.argwhere((large[..., colour] > 200) & (large[..., other] < 50))
        assert dot.mean(axis=0) == pytest.approx([2 * y + 0.5, 2 * x + 0.5], abs=0.3)
    assert not picture.any()
