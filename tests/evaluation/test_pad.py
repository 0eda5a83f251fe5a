"""The geometric PAD on landmarks laid out by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE
from facedepth_kit.evaluation.pad import CHIN, NOSE_TIP, geometric_pad

Values = npt.NDArray[np.uint16]


def plausible() -> Values:
    """Depth of 68 landmarks that break no rule: the nose tip nearest, the jaw receding from the chin to both ears."""
    values = np.full(68, 3000, np.uint16)
    values[:17] = 2000 + 100 * np.abs(np.arange(17) - CHIN)
    values[NOSE_TIP] = 1000
    return values


def laid_out(values: Values) -> tuple[Values, npt.NDArray[np.float64]]:
    """An image one pixel high in which landmark i is pixel i."""
    return values[None, :], np.stack([np.arange(68.0), np.zeros(68)], axis=1)


def test_a_plausible_face_has_no_error() -> None:
    result = geometric_pad(*laid_out(plausible()))
    assert result.error == 0
    assert not result.invalid.any()


def test_a_hole_is_one_invalid_landmark() -> None:
    values = plausible()
    values[40] = HOLE
    result = geometric_pad(*laid_out(values))
    assert np.flatnonzero(result.hole).tolist() == [40]
    assert result.error == 1 / 68


def test_nearer_than_the_nose_tip_and_not_as_near() -> None:
    values = plausible()
    values[[36, 45]] = 999, 1000
    result = geometric_pad(*laid_out(values))
    assert np.flatnonzero(result.before_nose).tolist() == [36]
    assert result.error == 1 / 68


def test_the_papers_jaw_example() -> None:
    """Landmark 7 was marked invalid if landmark 8 had a greater depth value (counted from one)."""
    values = plausible()
    values[7 - 1], values[8 - 1] = 2099, 2100
    result = geometric_pad(*laid_out(values))
    assert np.flatnonzero(result.jaw).tolist() == [7 - 1]
    values[7 - 1] = 2100  # as far is no decrease
    assert geometric_pad(*laid_out(values)).error == 0


def test_the_jaw_is_followed_from_the_chin_to_both_ears() -> None:
    values = plausible()
    values[:17] = values[:17][::-1]  # symmetric: still plausible
    assert geometric_pad(*laid_out(values)).error == 0
    values[:17] = 5000 - values[:17]  # the chin farthest: each of the sixteen others is nearer than the one before it
    result = geometric_pad(*laid_out(values))
    assert np.flatnonzero(result.jaw).tolist() == [i for i in range(17) if i != CHIN]
    assert result.error == 16 / 68
    assert not result.jaw[17:].any()


def test_a_dip_on_the_left_jaw_marks_the_outer_neighbour() -> None:
    values = plausible()
    values[12] = 2900  # too far: 12 itself is fine, 13 comes nearer again
    assert np.flatnonzero(geometric_pad(*laid_out(values)).jaw).tolist() == [13]


def test_a_hole_on_the_jaw_condemns_its_outer_neighbour() -> None:
    values = plausible()
    values[4] = HOLE
    result = geometric_pad(*laid_out(values))
    assert np.flatnonzero(result.invalid).tolist() == [3, 4]
    assert result.error == 2 / 68


def test_a_hole_at_the_nose_tip_condemns_everything() -> None:
    values = plausible()
    values[NOSE_TIP] = HOLE
    result = geometric_pad(*laid_out(values))
    assert result.error == 1.0
    assert np.flatnonzero(~result.before_nose).tolist() == [NOSE_TIP]


def test_a_flat_sheet_breaks_no_rule_and_a_tilted_one_many() -> None:
    flat = np.full(68, 7000, np.uint16)
    assert geometric_pad(*laid_out(flat)).error == 0
    tilted = (7000 + np.arange(68)).astype(np.uint16)
    result = geometric_pad(*laid_out(tilted))
    assert result.before_nose.sum() == 30
    assert np.flatnonzero(result.jaw).tolist() == list(range(8))


def test_landmarks_outside_the_image_are_holes() -> None:
    image, points = laid_out(plausible())
    points[50] = -3, 0
    result = geometric_pad(image, points)
    assert np.flatnonzero(result.invalid).tolist() == [50]


def test_stacks_give_what_single_images_give() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 65536, (5, 8, 9), dtype=np.uint16)
    images[rng.random(images.shape) < 0.2] = HOLE
    points = rng.uniform(-1, 9, (5, 68, 2))
    stack = geometric_pad(images, points)
    for index in range(5):
        one = geometric_pad(images[index], points[index])
        assert stack.errors[index] == one.error
        np.testing.assert_array_equal(stack.invalid[index], one.invalid)
        assert one.error == pytest.approx(slow_error(images[index], points[index]))


def slow_error(image: Values, points: npt.NDArray[np.float64]) -> float:
    """The rules once more, landmark by landmark, in words counted from one."""
    height, width = image.shape
    depth = {}
    for number, (x, y) in enumerate(points, start=1):
        column, row = round(x), round(y)
        inside = 0 <= column < width and 0 <= row < height
        depth[number] = int(image[row, column]) if inside else 65535
    invalid = {number for number, value in depth.items() if value == 65535 or value < depth[31]}
    invalid |= {number for number in range(1, 9) if depth[number + 1] > depth[number]}
    invalid |= {number for number in range(10, 18) if depth[number - 1] > depth[number]}
    return len(invalid) / 68


def test_sixty_eight_landmarks_are_needed() -> None:
    with pytest.raises(KitError, match="68, 2"):
        geometric_pad(np.zeros((4, 4), np.uint16), np.zeros((67, 2)))
