"""Catmull-Clark on shapes whose refinement is known."""

import numpy as np
import pytest

from facedepth_kit.faces.people.subdivision import subdivide, subdivision_matrix

CUBE = np.asarray([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
CUBE_QUADS = np.asarray([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])


def test_one_step_on_a_cube_by_hand() -> None:
    matrix, quads = subdivide(CUBE_QUADS, 8)
    points = matrix @ CUBE
    assert points.shape == (8 + 12 + 6, 3)
    assert quads.shape == (24, 4)
    # a corner of valence 3: (F + 2R + 0) / 3 with F the mean of three face centres and R of three edge midpoints
    np.testing.assert_allclose(np.abs(points[:8]), 5 / 9)
    np.testing.assert_allclose(np.abs(points[8:20]).max(axis=1), 0.75)
    np.testing.assert_allclose(np.abs(points[20:]).max(axis=1), 1.0)


def test_rows_sum_to_one_so_a_flat_patch_stays_flat() -> None:
    grid = np.arange(16).reshape(4, 4)
    quads = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=-1).reshape(-1, 4)
    triangle = np.asarray([[15, 11, 16, -1]])
    matrix, fine = subdivision_matrix(np.concatenate([quads, triangle]), 17, 2)
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1, atol=1e-6)
    assert len(fine) == 9 * 16 + 3 * 4


def test_the_open_border_of_a_line_is_the_cubic_b_spline() -> None:
    matrix, _ = subdivide(np.asarray([[0, 1, 2, 3]]), 4)
    square = np.asarray([(0, 0), (1, 0), (1, 1), (0, 1)], float)
    points = matrix @ square
    assert points[0] == pytest.approx([0.125, 0.125])
    assert sorted(map(tuple, points[4:8])) == [(0, 0.5), (0.5, 0), (0.5, 1), (1, 0.5)]
