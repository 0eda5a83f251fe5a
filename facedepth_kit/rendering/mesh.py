"""Triangle meshes, meshes with a surface to look at, and files of them.

All follow the face model's axes, in millimetres: x to the image's right, y up, z towards the camera, with the origin
inside the head.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import read_file
from facedepth_kit.common.paths import write_atomically

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Mesh:
    """Triangles in space.

    ``vertices_mm`` is float32 (V, 3) in millimetres (x right, y up, z towards the camera), ``triangles``
    int32 (T, 3), counter-clockwise seen from outside.
    """

    vertices_mm: FloatArray
    triangles: npt.NDArray[np.int32]

    def moved(self, by_mm: npt.ArrayLike) -> Mesh:
        """The same, shifted by (x, y, z)."""
        return Mesh((self.vertices_mm + np.asarray(by_mm, np.float64)).astype(np.float32), self.triangles)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes of one space as one."""
    offsets = np.cumsum([0, *(len(mesh.vertices_mm) for mesh in meshes)])
    triangles = [mesh.triangles + np.int32(offset) for mesh, offset in zip(meshes, offsets, strict=False)]
    return Mesh(np.concatenate([mesh.vertices_mm for mesh in meshes]), np.concatenate(triangles))


@dataclass(frozen=True, eq=False)
class ColouredMesh:
    """A mesh with a surface to look at.

    ``colours`` is the linear albedo of each vertex, float32 (V, 3) RGB in 0..1; ``gloss`` float32 (V,) runs from 0
    (dull) to 1 (wet). ``name`` says what it is ("head", "hair"). Raises :class:`KitError` if the counts differ.
    """

    mesh: Mesh
    colours: FloatArray
    gloss: FloatArray
    name: str = ""

    def __post_init__(self) -> None:
        count = len(self.mesh.vertices_mm)
        if self.colours.shape != (count, 3) or self.gloss.shape != (count,):
            raise KitError(
                f"{self.name or 'coloured mesh'}: found colours {self.colours.shape} and gloss {self.gloss.shape}, "
                f"expected ({count}, 3) and ({count},)"
            )


def painted(mesh: Mesh, colour: tuple[float, float, float], gloss: float = 0.0, name: str = "") -> ColouredMesh:
    """A mesh of one colour (linear albedo)."""
    count = len(mesh.vertices_mm)
    colours = np.tile(np.asarray(colour, np.float32), (count, 1))
    return ColouredMesh(mesh, colours, np.full(count, gloss, np.float32), name)


def grid_triangles(rows: int, columns: int, *, closed: bool = False) -> npt.NDArray[np.int32]:
    """Triangles (T, 3) between the points of a grid, numbered row by row, two for each cell.

    Counter-clockwise where rows run down and columns to the right; ``closed`` joins the last column to the first.
    """
    number = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    right = np.roll(number, -1, axis=1)
    if not closed:
        number, right = number[:, :-1], right[:, :-1]
    a, b, c, d = number[:-1].ravel(), number[1:].ravel(), right[1:].ravel(), right[:-1].ravel()
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def quad_triangles(quads: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
    """Two triangles for each quad (Q, 4): first halves, then second halves."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


@numba.njit(cache=True, nogil=True)
def _vertex_normals(vertices: FloatArray, triangles: npt.NDArray[np.int32]) -> FloatArray:
    """Smooth normals: the area-weighted mean over the triangles around each vertex."""
    normals = np.zeros_like(vertices)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x, y, z = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
        vx, vy, vz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            for k in range(3):
                normals[v, k] /= length
    return normals


def vertex_normals(mesh: Mesh) -> FloatArray:
    """Smooth outward normals of length 1, float32 (V, 3); 0 for vertices of no triangle."""
    return _vertex_normals(mesh.vertices_mm, mesh.triangles)


def write_mesh(path: str | Path, mesh: Mesh, *, overwrite: bool = False) -> None:
    """Write a mesh as Wavefront OBJ (text) or PLY (binary), by the ending of ``path``; whole or not at all.

    Millimetres, x to the right, y up, z towards the viewer, triangles counter-clockwise. Vertices that no triangle
    uses are left out. Raises :class:`KitError` for another ending and for a file that is there unless ``overwrite``.
    """
    import trimesh
    from trimesh.exchange.obj import export_obj
    from trimesh.exchange.ply import export_ply

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".obj", ".ply"):
        raise KitError(f"{path}: found the ending {path.suffix!r}, expected .obj or .ply")
    written = trimesh.Trimesh(mesh.vertices_mm, mesh.triangles, process=False)
    written.remove_unreferenced_vertices()
    if suffix == ".obj":
        text = export_obj(written, include_normals=False, header="face, millimetres", digits=4)
        content = text.encode("ascii")
    else:
        content = export_ply(written, vertex_normal=False)
    with write_atomically(path, overwrite) as temporary:
        temporary.write_bytes(content)


def read_mesh(path: str | Path) -> Mesh:
    """Read a mesh as :func:`write_mesh` writes it. Raises :class:`KitError` for a file that holds no such mesh."""
    import trimesh

    path = Path(path)
    data = read_file(path, "an OBJ or PLY file")
    try:
        # From memory: files that it names, such as materials, are left alone.
        found = trimesh.load_mesh(io.BytesIO(data), file_type=path.suffix.lower().removeprefix("."), process=False)
        vertices, triangles = np.asarray(found.vertices, np.float32), np.asarray(found.faces, np.int32)
    except Exception as error:
        raise KitError(f"{path}: found no readable mesh ({error}), expected an OBJ or PLY file") from None
    inside = len(triangles) and triangles.min() >= 0 and triangles.max() < len(vertices)
    if not inside or not np.isfinite(vertices).all():
        raise KitError(f"{path}: found {len(triangles)} triangles on {len(vertices)} points, expected a mesh")
    return Mesh(vertices, triangles)
