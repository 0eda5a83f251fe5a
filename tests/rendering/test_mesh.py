"""OBJ and PLY: another program reads what the kit writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh

from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import Mesh, write_mesh

VERTICES = np.array([[0, 0, 0], [10.125, 0, 0], [99, 99, 99], [0, 20.5, 0], [10, 20, -5]], np.float32)
MESH = Mesh(VERTICES, np.array([[0, 1, 3], [1, 4, 3]], np.int32))  # vertex 2 belongs to no triangle


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".PLY"])
def test_trimesh_reads_it_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"face{suffix}"
    write_mesh(path, MESH)
    read = trimesh.load_mesh(path, process=False)
    assert isinstance(read, trimesh.Trimesh)
    np.testing.assert_allclose(np.asarray(read.vertices), VERTICES[[0, 1, 3, 4]], atol=1e-4)
    np.testing.assert_array_equal(read.faces, [[0, 1, 2], [1, 3, 2]])
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "face.ply"
    path.write_text("mine")
    with pytest.raises(KitError, match="already there"):
        write_mesh(path, MESH)
    assert path.read_text() == "mine"
    write_mesh(path, MESH, overwrite=True)
    assert path.read_bytes().startswith(b"ply\n")
    with pytest.raises(KitError, match=r"found the ending '\.stl', expected \.obj or \.ply"):
        write_mesh(tmp_path / "face.stl", MESH)
