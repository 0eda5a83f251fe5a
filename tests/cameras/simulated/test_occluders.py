"""Things before a face: they cover what they should, keep off the face, and have the size of real things."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.cameras.simulated.occluders import (
    CHIN,
    LEFT_EYE,
    MOUTH,
    NOSE_TIP,
    RIGHT_EYE,
    face_axes,
    hand_over_mouth,
    sheet_of_paper,
    spectacles,
    sunglasses,
)
from facedepth_kit.cameras.simulated.stage import IDENTITY
from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import draw_face, face_mesh
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.mesh import Mesh, joined
from facedepth_kit.rendering.zbuffer import render_depth_mm

CAMERA = Camera(900.0, 700.0)
SEEDS = range(4)
LEFT, RIGHT = range(17, 22), range(22, 27)  # brows: nothing of them lies near the middle


class Head:
    """A turned head, seen by a camera."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        yaw, pitch, roll = rng.normal(0, 5, 3)
        face = replace(draw_face(rng, IDENTITY), extent="head", yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
        self.rng = rng
        self.mesh = face_mesh(face)
        self.landmarks = landmarks_68_mm(face)
        self.depth_mm = render_depth_mm(self.mesh, CAMERA)
        self.pixels = np.rint(project_points(self.landmarks, CAMERA)).astype(int)

    def before(self, thing: Mesh) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]:
        """Where the thing is seen (it, not the head), and how far before the head it is (NaN beside the head)."""
        depth_mm = render_depth_mm(thing, CAMERA)
        with np.errstate(invalid="ignore"):
            return ~np.isnan(depth_mm) & ~(depth_mm > self.depth_mm), self.depth_mm - depth_mm

    def covered(self, mask: npt.NDArray[np.bool_], points: Sequence[int] | slice) -> float:
        """The share of landmarks that lie in a mask."""
        chosen = self.pixels[points] if isinstance(points, slice) else self.pixels[list(points)]
        return float(mask[chosen[:, 1], chosen[:, 0]].mean())


def test_axes_of_a_face_by_hand() -> None:
    landmarks = np.zeros((68, 3))
    landmarks[RIGHT_EYE], landmarks[LEFT_EYE] = (-30, 10, 5), (30, 10, 5)
    landmarks[MOUTH] = (0, -55, 5)
    face = face_axes(landmarks)
    np.testing.assert_allclose(face.origin, (0, 10, 5))
    np.testing.assert_allclose(face.axes, np.eye(3), atol=1e-12)
    points = np.random.default_rng(1).normal(0, 50, (7, 3))
    np.testing.assert_allclose(face.back(face.into(points)), points)
    with pytest.raises(KitError, match=r"found shape \(5, 3\)"):
        face_axes(landmarks[:5])


@pytest.mark.parametrize("seed", SEEDS)
def test_sunglasses_cover_the_eyes_and_stand_off(seed: int) -> None:
    head = Head(seed)
    parts = sunglasses(head.landmarks, head.mesh, head.rng)
    seen, gap_mm = head.before(joined([part.mesh for part in parts]))
    assert head.covered(seen, RIGHT_EYE) == head.covered(seen, LEFT_EYE) == 1.0
    assert head.covered(seen, MOUTH) == 0.0
    lenses = joined([part.mesh for part in parts if part.name == "sunglasses"])
    lens, _ = head.before(lenses)
    over = lens & np.isfinite(gap_mm)
    assert over.sum() > 500
    assert np.percentile(gap_mm[over], 1) > 0  # nothing of the face shows through
    assert np.median(gap_mm[over]) < 35
    assert all(part.colours.max() < 0.1 for part in parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_spectacles_are_clear_before_the_eyes(seed: int) -> None:
    head = Head(seed)
    (frame,), lenses = spectacles(head.landmarks, head.mesh, head.rng)
    seen, _ = head.before(frame.mesh)
    assert head.covered(seen, RIGHT_EYE) == head.covered(seen, LEFT_EYE) == 0.0
    for lens, eye in zip(lenses, (RIGHT_EYE, LEFT_EYE), strict=True):
        assert head.covered(head.before(lens)[0], eye) == 1.0
        width = np.ptp(face_axes(head.landmarks).into(lens.vertices_mm)[:, 0])
        assert 40 < width < 62


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_covers_the_mouth_from_its_side(seed: int, side: str) -> None:
    head = Head(seed)
    hand = hand_over_mouth(head.landmarks, head.mesh, (0.4, 0.3, 0.2), head.rng, side=side)  # type: ignore[arg-type]
    seen, gap_mm = head.before(hand.mesh)
    assert head.covered(seen, MOUTH) >= 0.75
    assert head.covered(seen, RIGHT_EYE) + head.covered(seen, LEFT_EYE) < 0.3
    over = seen & np.isfinite(gap_mm)
    assert 5 < np.median(gap_mm[over]) < 60  # as thick as a hand, and on the face
    columns = np.nonzero(seen & np.isnan(head.depth_mm))[1]
    middle = head.pixels[NOSE_TIP, 0]
    assert (columns < middle).mean() > 0.8 if side == "left" else (columns > middle).mean() > 0.8


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_paper_covers_one_side_of_the_face(seed: int, side: str) -> None:
    head = Head(seed)
    paper = sheet_of_paper(head.landmarks, head.mesh, head.rng, side=side)  # type: ignore[arg-type]
    seen, gap_mm = head.before(paper.mesh)
    hidden, free = (LEFT, RIGHT) if side == "left" else (RIGHT, LEFT)
    assert head.covered(seen, hidden) > 0.9
    assert head.covered(seen, free) == 0.0
    over = seen & np.isfinite(gap_mm)
    assert np.percentile(gap_mm[over], 1) > -1
    # Along its edges a sheet of A4 has its length however it is bent.
    grid = paper.mesh.vertices_mm.reshape(61, 43, 3)
    for line, expected in ((grid[0], 210.0), (grid[:, 0], 297.0)):
        assert np.linalg.norm(np.diff(line, axis=0), axis=1).sum() == pytest.approx(expected, rel=0.05)
    assert head.landmarks[CHIN, 1] > paper.mesh.vertices_mm[:, 1].min()


def test_paper_keeps_off_spectacles_too() -> None:
    head = Head(1)
    frame, lenses = spectacles(head.landmarks, head.mesh, head.rng)
    worn = joined([head.mesh, *(part.mesh for part in frame), *lenses])
    paper = sheet_of_paper(head.landmarks, worn, head.rng, side="left")
    in_front = render_depth_mm(worn, CAMERA) < render_depth_mm(paper.mesh, CAMERA) - 1.0
    assert in_front.sum() < 30
