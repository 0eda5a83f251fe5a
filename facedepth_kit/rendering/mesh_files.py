"""Meshes as files that other programs open: Wavefront OBJ (text) and PLY (binary)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.rendering.mesh import Mesh

SUFFIXES = (".obj", ".ply")


def write_mesh(path: str | Path, mesh: Mesh, *, overwrite: bool = False) -> None:
    """Write a mesh as OBJ or PLY, by the ending of ``path``; whole or not at all.

    Millimetres, x to the right, y up, z towards the viewer, triangles counter-clockwise. Vertices that no triangle
    uses are left out. Raises :class:`KitError` for another ending and for a file that is there unless ``overwrite``.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise KitError(f"{path}: found the ending {path.suffix!r}, expected {' or '.join(SUFFIXES)}")
    used, triangles = np.unique(mesh.triangles, return_inverse=True)
    vertices = mesh.vertices_mm[used]
    triangles = triangles.reshape(-1, 3)
    content = _obj(vertices, triangles) if path.suffix.lower() == ".obj" else _ply(vertices, triangles)
    with write_atomically(path, overwrite) as temporary:
        temporary.write_bytes(content)


def _obj(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    points = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in vertices.tolist()]
    faces = [f"f {a} {b} {c}" for a, b, c in (triangles + 1).tolist()]  # OBJ counts from 1
    return ("\n".join(["# face, millimetres", *points, *faces]) + "\n").encode("ascii")


def _ply(vertices: np.ndarray, triangles: np.ndarray) -> bytes:
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment face, millimetres\n"
        f"element vertex {len(vertices)}\nproperty float x\nproperty float y\nproperty float z\n"
        f"element face {len(triangles)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    faces = np.empty(len(triangles), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, triangles
    return header.encode("ascii") + vertices.astype("<f4").tobytes() + faces.tobytes()
