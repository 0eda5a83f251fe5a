"""Catmull-Clark subdivision as one sparse matrix, so that refining a mesh is a single product."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

IntArray = npt.NDArray[np.int64]


def _corners(faces: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """(face, corner, next corner) of every side; a fourth corner of -1 marks a triangle."""
    sides = np.where(faces[:, 3] < 0, 3, 4)
    face = np.repeat(np.arange(len(faces)), sides)
    position = np.arange(len(face)) - np.repeat(np.cumsum(sides) - sides, sides)
    return face, faces[face, position], faces[face, (position + 1) % sides[face]]


def subdivide(faces: IntArray, count: int) -> tuple[sp.csr_matrix, IntArray]:
    """One Catmull-Clark step for ``count`` vertices.

    ``faces`` is (F, 4), a triangle's fourth corner -1. Returns the matrix (new count, count) that maps old
    vertices to new ones, and the new quads (Q, 4). Open borders become smooth curves of their own.
    """
    face, start, end = _corners(faces)
    sides = np.bincount(face, minlength=len(faces))
    face_points = sp.csr_matrix((1.0 / sides[face], (face, start)), shape=(len(faces), count))

    edges, edge = np.unique(
        np.stack([np.minimum(start, end), np.maximum(start, end)], axis=1), axis=0, return_inverse=True
    )
    edge = edge.ravel()
    uses = np.bincount(edge, minlength=len(edges))
    inner = uses == 2
    ends = sp.csr_matrix(
        (np.full(2 * len(edges), 0.5), (np.repeat(np.arange(len(edges)), 2), edges.ravel())), shape=(len(edges), count)
    )
    edge_faces = sp.csr_matrix((0.5 * np.ones(len(edge)), (edge, face)), shape=(len(edges), len(faces))) @ face_points
    half = sp.diags(np.where(inner, 0.5, 0.0))
    edge_points = sp.diags(np.where(inner, 0.5, 1.0)) @ ends + half @ edge_faces

    valence = np.bincount(edges.ravel(), minlength=count).astype(float)
    on_border = np.zeros(count, bool)
    on_border[edges[~inner].ravel()] = True
    used = np.bincount(start, minlength=count) > 0
    smooth = used & ~on_border
    per_vertex_faces = sp.csr_matrix((np.ones(len(face)), (start, face)), shape=(count, len(faces))) @ face_points
    per_vertex_edges = (
        sp.csr_matrix(
            (np.ones(edges.size), (edges.ravel(), np.repeat(np.arange(len(edges)), 2))), shape=(count, len(edges))
        )
        @ ends
    )
    n = np.maximum(valence, 1)
    inside = sp.diags(np.where(smooth, 1 / n**2, 0)) @ (per_vertex_faces + 2 * per_vertex_edges) + sp.diags(
        np.where(smooth, (n - 3) / n, 0)
    )
    border_edges = edges[~inner]
    neighbours = sp.csr_matrix(
        (np.full(border_edges.size, 0.125), (border_edges.ravel(), border_edges[:, ::-1].ravel())), shape=(count, count)
    )
    share = np.asarray(neighbours.sum(axis=1)).ravel()
    vertex_points = inside + neighbours + sp.diags(np.where(smooth, 0.0, 1.0 - share))

    matrix = sp.vstack([vertex_points, edge_points, face_points]).tocsr()
    # Each corner of each face gives one quad: corner, edge ahead, face centre, edge behind.
    order = np.lexsort((np.arange(len(face)), face))
    first = np.cumsum(sides) - sides
    position = np.arange(len(face)) - first[face]
    behind = edge[order][first[face] + (position - 1) % sides[face]]
    quads = np.stack([start, count + edge, count + len(edges) + face, count + behind], axis=1)
    return matrix, quads.astype(np.int64)


def subdivision_matrix(faces: IntArray, count: int, levels: int) -> tuple[sp.csr_matrix, IntArray]:
    """``levels`` Catmull-Clark steps as one float32 matrix and the final quads (Q, 4)."""
    total = sp.identity(count, format="csr")
    quads = faces.astype(np.int64)
    for _ in range(levels):
        matrix, quads = subdivide(quads, total.shape[0])
        total = (matrix @ total).tocsr()
    total.sort_indices()
    return total.astype(np.float32), quads
