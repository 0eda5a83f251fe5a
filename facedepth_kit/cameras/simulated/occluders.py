"""What can cover a face: sunglasses, spectacles, a hand over the mouth, a sheet of paper over one side.

All are meshes of their own, placed on a head (and what it wears) by its 68 landmarks in space and kept off its surface,
so that a depth camera measures them and what they shadow. Sizes are those of ordinary things and hands, in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, joined, painted

Points = npt.NDArray[np.float64]
Colour = tuple[float, float, float]
Side = Literal["left", "right"]

RIGHT_EYE, LEFT_EYE, MOUTH, NOSE_TIP, CHIN = slice(36, 42), slice(42, 48), slice(48, 68), 30, 8
EARS = (0, 16)  # the jaw line's ends, in the image on the left and on the right
LENS_MM = (29.0, 23.0)  # half of a lens' width and height
LENS_CURVE_MM = 120.0  # about base curve 4.5
CLEARANCE_MM = 2.0
PAPER_MM = (210.0, 297.0)  # A4
# Fingers from index to little finger: where they start across the palm, length and radius at the root and the tip.
FINGERS_MM = ((25.0, 74.0, 8.5, 6.8), (8.5, 82.0, 8.8, 7.0), (-8.0, 77.0, 8.4, 6.8), (-24.0, 62.0, 7.8, 6.0))
PALM_MM = 78.0
SEGMENTS = 20


@dataclass(frozen=True, eq=False)
class FaceAxes:
    """A face's own axes: ``origin`` between the eyes; rows of ``axes`` point to the image's right, up and out of the
    face."""

    origin: Points
    axes: Points

    def into(self, points_mm: npt.NDArray[np.floating]) -> Points:
        """From the mesh's space into the face's axes, (n, 3) millimetres."""
        return np.asarray((points_mm - self.origin) @ self.axes.T, np.float64)

    def back(self, points_mm: Points) -> Points:
        """From the face's axes into the mesh's space."""
        return points_mm @ self.axes + self.origin


def face_axes(landmarks_mm: Points) -> FaceAxes:
    """The axes of a face with the given 68 landmarks (68, 3); raises :class:`KitError` for other shapes."""
    if landmarks_mm.shape != (68, 3):
        raise KitError(f"landmarks: found shape {landmarks_mm.shape}, expected (68, 3)")
    eyes = [landmarks_mm[eye].mean(axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
    across = (eyes[1] - eyes[0]) / np.linalg.norm(eyes[1] - eyes[0])
    origin = (eyes[0] + eyes[1]) / 2
    up = origin - landmarks_mm[MOUTH].mean(axis=0)
    up -= across * (up @ across)
    up /= np.linalg.norm(up)
    return FaceAxes(origin, np.stack([across, up, np.cross(across, up)]))


def sunglasses(
    landmarks_mm: Points, head: Mesh, rng: np.random.Generator, *, dark: bool = False
) -> tuple[ColouredMesh, ...]:
    """Tinted, shiny lenses in a frame, with temples to the ears; ``dark`` ones return almost no light to a sensor."""
    tint = 0.008 if dark else float(rng.uniform(0.04, 0.08))
    gloss = float(rng.uniform(0.72, 0.9))
    frame, lenses = _glasses(landmarks_mm, head, rng, larger=1.12)
    return (*frame, *(painted(lens, (tint, 0.7 * tint, 0.6 * tint), gloss, "sunglasses") for lens in lenses))


def spectacles(
    landmarks_mm: Points, head: Mesh, rng: np.random.Generator
) -> tuple[tuple[ColouredMesh, ...], tuple[Mesh, ...]]:
    """The frame, to be rendered, and the two clear lenses, which only sensors take notice of."""
    return _glasses(landmarks_mm, head, rng, larger=float(rng.uniform(0.8, 1.0)))


def hand_over_mouth(
    landmarks_mm: Points, head: Mesh, skin: Colour, rng: np.random.Generator, *, side: Side = "left"
) -> ColouredMesh:
    """A hand laid over the mouth, with its forearm; ``side`` is where in the image it comes from."""
    face = face_axes(landmarks_mm)
    surface = _Surface(face, head)
    mouth = face.into(landmarks_mm[MOUTH]).mean(axis=0)
    tilt = np.radians(rng.uniform(5, 35))
    along = np.array([np.cos(tilt), np.sin(tilt)])
    aside = np.array([-along[1], along[0]])
    if side == "right":
        along[0], aside[0] = -along[0], -aside[0]
    # The middle of the fingers' first joints lies beside the mouth, so that the fingers cross it.
    knuckles = mouth[:2] - along * rng.uniform(24, 34) + rng.normal(0, 2, 2)
    wrist = knuckles - along * (PALM_MM + 12)
    bones: list[tuple[Points, Points, float, float]] = []
    for offset, length, root, tip in FINGERS_MM:
        start = knuckles + aside * offset
        bend = aside * rng.normal(0, 1.5)
        joints = [start + along * length * share + bend * share for share in (0.0, 0.5, 0.78, 1.0)]
        radii = np.interp((0.0, 0.5, 0.78, 1.0), (0, 1), (root, tip))
        placed = surface.lay(joints, radii)
        bones += [(placed[i], placed[i + 1], float(radii[i]), float(radii[i + 1])) for i in range(3)]
        (heel,) = surface.lay([wrist + aside * offset * 0.75], np.array([13.0]))
        heel[2] = min(heel[2], placed[0][2] - 4)
        bones.append((heel, placed[0] - [0, 0, 1], 13.0, root + 1.5))
    heel = np.mean([bone[0] for bone in bones[3::4]], axis=0)
    thumb = [wrist + along * reach + aside * out for reach, out in ((18, 26), (52, 46), (80, 52))]
    placed = surface.lay(thumb, np.array([12.0, 9.5, 8.0]))
    bones += [(placed[0], placed[1], 12.0, 9.5), (placed[1], placed[2], 9.5, 8.0)]
    sideways = -1 if side == "left" else 1
    elbow = heel + np.array([sideways * 110.0, -200.0, -20.0])
    # A wrist is wider than thick: three rods side by side that run together into the forearm.
    bones += [(heel + np.array([*(aside * out), -2.0]), elbow, 17.0, 38.0) for out in (-12.0, 0.0, 12.0)]
    # Side by side, capsules show gaps where a palm has none.
    bones += [(bones[4 * i + 3][0], bones[4 * i + 7][1], 11.0, 10.0) for i in range(3)]
    parts = [_capsule(*bone) for bone in bones]
    return painted(_brought_back(parts, face), skin, 0.2, "hand")


def sheet_of_paper(landmarks_mm: Points, head: Mesh, rng: np.random.Generator, *, side: Side = "left") -> ColouredMesh:
    """A sheet held before the half of the face that is on this ``side`` of the image, its edge near the nose."""
    face = face_axes(landmarks_mm)
    surface = _Surface(face, head)
    nose = face.into(landmarks_mm[NOSE_TIP][None])[0]
    width, height = PAPER_MM
    u, v = np.meshgrid(np.linspace(0, width, 43), np.linspace(-height / 2, height / 2, 61))
    roll, radius = np.radians(rng.normal(0, 3)), rng.uniform(400, 1500) * rng.choice([-1, 1])
    sign = -1 if side == "left" else 1
    x = sign * (u + rng.uniform(-4, 6))
    flat = np.stack([np.cos(roll) * x - np.sin(roll) * v, np.sin(roll) * x + np.cos(roll) * v], axis=-1)
    flat += nose[:2] + np.array([0, rng.uniform(0, 40)])
    sag = (u - width / 2) ** 2 / (2 * radius) - u * np.tan(np.radians(rng.uniform(0, 12)))
    # As near the face as its surface lets it, and a little off.
    touching = max(surface.highest(float(a), float(b), 6.0) - s for (a, b), s in _coarse(flat, sag))
    z = sag + touching + CLEARANCE_MM + rng.uniform(0, 6)
    points = np.concatenate([flat, z[..., None]], axis=-1)
    return painted(_grid(face.back(points.reshape(-1, 3)), *u.shape), (0.78, 0.78, 0.76), 0.1, "paper")


class _Surface:
    """How far out of the face its surface reaches, asked for in the face's axes."""

    def __init__(self, face: FaceAxes, head: Mesh) -> None:
        self._points = face.into(head.vertices_mm[np.unique(head.triangles)])
        self._far = float(np.median(self._points[:, 2])) - 40.0

    def highest(self, x: float, y: float, radius_mm: float) -> float:
        """The largest z within ``radius_mm`` of (x, y); beside the head a place well behind the face."""
        near = (self._points[:, 0] - x) ** 2 + (self._points[:, 1] - y) ** 2 < radius_mm**2
        return float(self._points[near, 2].max()) if near.any() else self._far

    def lay(self, joints: Sequence[Points], radii: Points) -> list[Points]:
        """Joints (x, y) of balls that lie on the surface: their centres in space."""
        heights = [
            self.highest(float(x), float(y), float(r) + 4) + r + CLEARANCE_MM
            for (x, y), r in zip(joints, radii, strict=True)
        ]
        return [np.array([x, y, z]) for (x, y), z in zip(joints, heights, strict=True)]


def _coarse(flat: Points, sag: Points) -> list[tuple[Points, float]]:
    return [(flat[i, j], float(sag[i, j])) for i in range(0, len(flat), 4) for j in range(0, flat.shape[1], 3)]


def _glasses(
    landmarks_mm: Points, head: Mesh, rng: np.random.Generator, larger: float
) -> tuple[tuple[ColouredMesh, ...], tuple[Mesh, ...]]:
    face = face_axes(landmarks_mm)
    surface = _Surface(face, head)
    half = np.array(LENS_MM) * larger * rng.uniform(0.95, 1.05, 2)
    power = rng.uniform(2.2, 4.0)  # 2 is an ellipse; more is squarer
    angle = np.linspace(0, 2 * np.pi, 49)[:-1]
    outline = np.stack([np.sign(f) * np.abs(f) ** (2 / power) for f in (np.cos(angle), np.sin(angle))], axis=1) * half
    centres = [face.into(landmarks_mm[eye]).mean(axis=0)[:2] + np.array([0, -3]) for eye in (RIGHT_EYE, LEFT_EYE)]
    gap = centres[1][0] - centres[0][0] - 2 * half[0]
    outward = max(0.0, (15 - gap) / 2)  # room for the nose
    centres[0][0] -= outward
    centres[1][0] += outward
    rings = np.array([0.0, 0.35, 0.7, 1.0])
    discs = [np.concatenate([outline * ring for ring in rings]) for _ in centres]
    tilt, wrap = np.radians(rng.uniform(2, 10)), np.radians(rng.uniform(2, 6))

    def curve(offset: Points, centre: Points) -> Points:
        """How far out a lens is at an offset (n, 2) from its middle: bulging, its lower rim nearer to the cheek."""
        x = np.abs(centre[0] + offset[:, 0]) * np.tan(wrap)
        return np.asarray(offset[:, 1] * np.tan(tilt) - (offset**2).sum(axis=1) / (2 * LENS_CURVE_MM) - x)

    # The bridge rests on the nose; lenses keep off brows, lashes and cheeks.
    rest = max(
        surface.highest(float(centre[0] + offset[0]), float(centre[1] + offset[1]), 5.0) - float(out)
        for centre, disc in zip(centres, discs, strict=True)
        for offset, out in zip(disc[::5], curve(disc[::5], centre), strict=True)
    )

    def placed(offset: Points, centre: Points) -> Points:
        out = rest + CLEARANCE_MM + curve(offset, centre)
        return np.concatenate([centre + offset, out[:, None]], axis=1)

    lenses = tuple(
        _grid(face.back(placed(disc, centre)), len(rings), len(outline), closed=True)
        for disc, centre in zip(discs, centres, strict=True)
    )
    colour = tuple(float(c) for c in rng.uniform(0.01, 0.08) * rng.uniform(0.6, 1.4, 3))
    thick = float(rng.uniform(1.0, 2.2))
    wires: list[Mesh] = []
    inner = []
    for centre, ear, sign in zip(centres, EARS, (-1, 1), strict=True):
        rim = placed(outline, centre)
        wires += [_capsule(rim[i - 1], rim[i], thick, thick) for i in range(len(rim))]
        hinge, nasal = placed(np.array([[sign * half[0], 0.5 * half[1]], [-sign * half[0], 4.0]]), centre)
        inner.append(nasal)
        at_ear = face.into(landmarks_mm[ear][None])[0]
        end = np.array([at_ear[0] + sign * 6, hinge[1], at_ear[2] - 15])
        corner = hinge + np.array([sign * max(abs(end[0]) - abs(hinge[0]), 3.0) * 0.9, 0, -6])
        wires += [_capsule(hinge, corner, thick, thick), _capsule(corner, end, thick, thick)]
    wires.append(_capsule(inner[0], inner[1], thick, thick))
    return (painted(_brought_back(wires, face), (colour[0], colour[1], colour[2]), 0.6, "spectacles"),), lenses


def _capsule(start: Points, end: Points, radius: float, end_radius: float) -> Mesh:
    """A tapered rod with round ends, in the axes it is given in."""
    axis = np.asarray(end, np.float64) - start
    length = float(np.linalg.norm(axis))
    axis = axis / length if length > 0 else np.array([0.0, 0.0, 1.0])
    helper = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.8 else np.array([0, 1.0, 0])
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    count = SEGMENTS if max(radius, end_radius) > 3 else 6
    steps = 5 if count == SEGMENTS else 2
    low, high = np.linspace(-np.pi / 2, 0, steps), np.linspace(0, np.pi / 2, steps)
    profile = [(radius * np.sin(t), radius * np.cos(t)) for t in low]
    profile += [(length + end_radius * np.sin(t), end_radius * np.cos(t)) for t in high]
    angles = 2 * np.pi * np.arange(count) / count
    ring = np.cos(angles)[:, None] * u + np.sin(angles)[:, None] * v
    points = np.concatenate([start + axis * height + ring * r for height, r in profile])
    return _grid(points, len(profile), count, closed=True)


def _grid(points: Points, rows: int, columns: int, *, closed: bool = False) -> Mesh:
    """A mesh of rows of points; ``closed`` joins the last column to the first."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    k = (j + 1) % columns
    a, b, c, d = i * columns + j, i * columns + k, (i + 1) * columns + j, (i + 1) * columns + k
    triangles = np.concatenate([np.stack(t, axis=-1).reshape(-1, 3) for t in ((a, b, c), (b, d, c))])
    return Mesh(points.astype(np.float32), triangles.astype(np.int32))


def _brought_back(meshes: Sequence[Mesh], face: FaceAxes) -> Mesh:
    """Meshes in the face's axes as one in the head's space."""
    whole = joined(meshes)
    return Mesh(face.back(whole.vertices_mm.astype(np.float64)).astype(np.float32), whole.triangles)
