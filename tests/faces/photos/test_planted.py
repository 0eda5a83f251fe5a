"""The folder with planted faults: what is said to be in it is in it, and screening finds it."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.faces.people.parametric import draw_face
from facedepth_kit.faces.photos.planted import (
    COPY,
    DISTORTIONS,
    GOOD,
    LARGE,
    STRENGTHS,
    Planted,
    mesh_triangles,
    mesh_vertices,
    plant,
    planted_meshes,
)
from facedepth_kit.faces.photos.screening import edges, learn_ranges, screen, side_lengths


def one(fault: str, strength: str, seed: int = 3) -> Planted:
    return Planted("x.jpg", fault, strength, draw_face(np.random.default_rng(seed)), seed)


def test_all_faces_have_the_same_vertices_and_sides() -> None:
    first, second = (mesh_vertices(draw_face(np.random.default_rng(seed))) for seed in (1, 2))
    assert first.shape == second.shape
    assert mesh_triangles().max() < len(first)
    lengths = [side_lengths(points, edges(mesh_triangles())) for points in (first, second)]
    assert 0.01 < float(np.abs(lengths[0] - lengths[1]).mean()) < 0.3


@pytest.mark.parametrize("fault", DISTORTIONS)
def test_distortions_grow_with_their_strength(fault: str) -> None:
    plain = one(GOOD, "").vertices()
    moved = [float(np.linalg.norm(one(fault, strength).vertices() - plain, axis=1).max()) for strength in STRENGTHS]
    assert moved[0] > 0.2
    assert moved == sorted(moved)
    np.testing.assert_array_equal(one(fault, "mild").vertices(), one(fault, "mild").vertices())
    if fault == "hollow (mirrored)":
        sides = edges(mesh_triangles())
        mirrored = side_lengths(one(fault, "strong").vertices(), sides)
        np.testing.assert_allclose(mirrored, side_lengths(plain, sides), atol=1e-5)


def test_screening_finds_what_was_planted(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    planted = plant(folder, 90, np.random.default_rng(7), people=2)
    assert len(planted) == len({photo.name for photo in planted}) == len(list(folder.rglob("*.jpg")))
    faults = Counter(photo.fault for photo in planted)
    assert faults[GOOD] == 60
    assert faults[COPY] == faults[LARGE] == 3
    assert set(faults) == {GOOD, COPY, LARGE, *DISTORTIONS}
    rng = np.random.default_rng(8)
    examples = (mesh_vertices(draw_face(rng)) for _ in range(100))
    ranges = learn_ranges(examples, mesh_triangles(), source="parametric faces")
    counts = screen(
        folder,
        tmp_path / "table.csv",
        meshes=planted_meshes(folder, planted),
        ranges=ranges,
        triangles=mesh_triangles(),
        progress=False,
    )
    assert counts.duplicate == faults[COPY]
    assert counts.oversized == faults[LARGE]
    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as file:
        status = {row["file"]: row["status"] for row in csv.DictReader(file)}
    assert all(status[photo.name] == "duplicate" for photo in planted if photo.fault == COPY)
    lost = [status[photo.name] for photo in planted if photo.fault == GOOD].count("deformed")
    assert lost <= 6
    strong = [
        photo for photo in planted if photo.strength == "strong" and photo.fault in ("spike", "ripples", "trembling")
    ]
    assert all(status[photo.name] == "deformed" for photo in strong)
