"""Fusion: a plane and a sphere where they are, a turn that is tracked, and surfaces that are closed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.cli.main import main
from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import Mesh, read_mesh, vertex_normals
from facedepth_kit.sequences.fusion import FusionSettings, distances_mm, evenly_spaced, fuse, surface_net

CAMERA = Intrinsics(180, 240, 219.0, 219.0, 89.5, 119.5)
DOWN = np.array([1.0, -1.0, -1.0])  # from the axes of meshes to the camera's


def rays() -> np.ndarray:
    rows, columns = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    across, down = (columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy
    return np.stack([across, down, np.ones_like(across)], axis=-1)


def ellipsoid(centre: np.ndarray, radii: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Its depth (rows, columns) in millimetres, NaN beside it."""
    ray, middle = rays() @ turn / radii, centre @ turn / radii
    a, b, c = (ray * ray).sum(-1), ray @ middle, middle @ middle - 1
    inside = b * b - a * c
    return np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, np.nan).astype(np.float32)


def test_a_sphere_comes_back_where_and_as_large_as_it_is() -> None:
    centre, radius = np.array([40.0, 25.0, 1500.0]), 300.0
    fused = fuse([ellipsoid(centre, np.full(3, radius), np.eye(3))], CAMERA)
    points = fused.surface.vertices_mm * DOWN
    away = np.linalg.norm(points - centre, axis=1) - radius
    assert len(points) > 4000
    assert abs(away.mean()) < 0.4  # of voxels of 8 mm
    assert away.std() < 0.4
    solved = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(axis=1), rcond=None)[0]
    np.testing.assert_allclose(solved[:3], centre, atol=0.8)
    outwards = (vertex_normals(fused.surface) * DOWN * (points - centre) / radius).sum(axis=1)
    assert outwards.mean() > 0.9


@pytest.mark.parametrize("slant", [(0.0, 0.0), (0.4, 0.2), (-0.5, 0.1)])
def test_a_plane_comes_back_where_it_is(slant: tuple[float, float]) -> None:
    normal = np.array([*slant, 1.0]) / np.hypot(np.hypot(*slant), 1.0)
    distance = 1400.0 * normal[2]
    fused = fuse([(distance / (rays() @ normal)).astype(np.float32)], CAMERA, FusionSettings(around_mm=60))
    away = fused.surface.vertices_mm @ (normal * DOWN) - distance
    assert len(away) > 10_000
    assert abs(away.mean()) < 0.2
    assert away.std() < 0.2


def test_a_turn_is_tracked_and_the_fused_surface_stays_true() -> None:
    centre, radii = np.array([10.0, -20.0, 1300.0]), np.array([260.0, 330.0, 170.0])
    turns = [Rotation.from_euler("y", 15.0 * step, degrees=True).as_matrix() for step in range(4)]
    fused = fuse([ellipsoid(centre, radii, turn) for turn in turns], CAMERA)
    assert fused.tracked == 4
    for pose, turn in zip(fused.poses, turns, strict=True):
        # The pose takes what the camera sees now to where it was in the first frame.
        assert np.degrees(Rotation.from_matrix(pose[:3, :3] @ turn).magnitude()) < 1.0
    away = np.linalg.norm((fused.surface.vertices_mm * DOWN - centre) / radii, axis=1) - 1
    assert np.abs(away).mean() * radii.mean() < 3.0
    alone = fuse([ellipsoid(centre, radii, turns[0])], CAMERA)
    assert len(fused.surface.vertices_mm) > 1.1 * len(alone.surface.vertices_mm)  # it has seen more


def test_a_frame_that_cannot_be_tracked_is_left_out() -> None:
    sphere = ellipsoid(np.array([0.0, 0, 1300]), np.full(3, 300.0), np.eye(3))
    fused = fuse([sphere, np.full_like(sphere, np.nan), sphere], CAMERA)
    assert fused.tracked == 2
    assert np.isnan(fused.poses[1]).all()


def test_what_is_no_frame_of_the_camera_is_refused() -> None:
    with pytest.raises(KitError, match="found a frame of 10x20 pixels, expected 180x240"):
        fuse([np.ones((20, 10), np.float32)], CAMERA)
    with pytest.raises(KitError, match="found 0 measured pixels in the first frame"):
        fuse([np.full((240, 180), np.nan, np.float32)], CAMERA)
    with pytest.raises(KitError, match="found no frames"):
        fuse([], CAMERA)
    with pytest.raises(KitError, match="truncation"):
        FusionSettings(truncation_mm=1.0)


def test_a_net_around_one_point_of_a_grid_is_closed() -> None:
    steps = np.concatenate([np.eye(3), -np.eye(3)])
    net = surface_net(5 + 0.25 * steps, steps)
    assert len(net.vertices_mm) == 8
    assert len(net.triangles) == 12
    edges = np.sort(np.concatenate([net.triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()  # each edge belongs to two triangles
    assert ((vertex_normals(net) * (net.vertices_mm - net.vertices_mm.mean(axis=0))).sum(axis=1) > 0).all()
    assert not len(surface_net(np.empty((0, 3)), np.empty((0, 3))).triangles)


def test_distances_to_a_square_by_hand() -> None:
    corners = np.array([[0, 0, 0], [100, 0, 0], [100, 100, 0], [0, 100, 0]], np.float32)
    square = Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32))
    points = np.array([[50, 50, 7], [50, 50, -3], [20, 80, 0], [130, 50, 0]], np.float32)
    np.testing.assert_allclose(distances_mm(points, square), [7, 3, 0, 30], atol=0.8)
    with pytest.raises(KitError, match="without area"):
        distances_mm(points, Mesh(corners, np.array([[0, 0, 0]], np.int32)))


def test_the_command_fuses_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    centre, radii = np.array([10.0, -20.0, 1300.0]), np.array([260.0, 330.0, 170.0])
    with FolderWriter(tmp_path / "turn", unit_mm=1.0, intrinsics=CAMERA) as writer:
        for number in range(5):
            turn = Rotation.from_euler("y", 8.0 * number, degrees=True).as_matrix()
            depth_mm = np.nan_to_num(ellipsoid(centre, radii, turn), nan=4000.0)  # a wall behind
            writer.write(RecordedFrame(f"{number:03d}", np.rint(depth_mm).astype(np.uint16), 1.0))
    made = tmp_path / "surface.ply"
    arguments = ["fuse", str(tmp_path / "turn"), str(made), "--frames", "3", "--farthest-mm", "2000"]
    assert main(arguments) == 0
    assert "triangles from 3 of 3 frames" in capsys.readouterr().out
    surface = read_mesh(made)
    away = np.linalg.norm((surface.vertices_mm * DOWN - centre) / radii, axis=1) - 1
    assert np.abs(away).mean() * radii.mean() < 4.0
    assert main([*arguments, "--overwrite", "--reference", str(made)]) == 0
    assert "; 0." in capsys.readouterr().out
    assert main(arguments) == 2  # it is there
    made.write_text("v 0 0 0\nv 0 1 0\nf 1 2 9\n")
    with pytest.raises(KitError, match=r"mesh"):
        read_mesh(made.rename(made.with_suffix(".obj")))
    assert main(["fuse", str(tmp_path), str(tmp_path / "none.stl"), "--farthest-mm", "2000"]) == 2


def test_frames_are_picked_evenly() -> None:
    assert evenly_spaced(45, 7) == [0, 7, 15, 22, 29, 37, 44]
    assert evenly_spaced(3, 7) == [0, 1, 2]
