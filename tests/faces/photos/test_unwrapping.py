"""Position maps of parametric faces: true to the picture, and a way back to the same surface."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceParameters, draw_face, face_placement, load_model
from facedepth_kit.faces.photos.position_map import square_crop
from facedepth_kit.faces.photos.prnet import photo_face
from facedepth_kit.faces.photos.reconstruction import mesh_in_millimetres
from facedepth_kit.faces.photos.unwrapping import position_map, unwrapping
from facedepth_kit.rendering.camera import Camera, project_points

CAMERA = Camera(distance_mm=700.0, focal_px=950.0, centre_px=(200.0, 200.0), size_px=400)
NOTHING = np.zeros((400, 400, 3), np.uint8)


def test_the_map_holds_the_face_where_the_picture_shows_it() -> None:
    face = draw_face(np.random.default_rng(5))
    crop = square_crop(NOTHING, (190.0, 205.0), 330)
    found = photo_face(position_map(face, CAMERA, crop), crop, unwrapping().topology)
    known = project_points(landmarks_68_mm(face), CAMERA)
    off = np.linalg.norm(found.landmarks_px[17:, :2] - known[17:], axis=1)
    assert np.median(off) < 1.5  # the map's pixels are about a millimetre, 1.4 pixels, apart
    assert np.quantile(off, 0.9) < 4


def test_the_mesh_is_the_faces_surface() -> None:
    face = draw_face(np.random.default_rng(6))
    crop = square_crop(NOTHING, (200.0, 200.0), 330)
    topology = unwrapping().topology
    found = photo_face(position_map(face, CAMERA, crop), crop, topology)
    # Back from pixels to millimetres by the camera's own scale; only the perspective of nearer points remains.
    depth = CAMERA.distance_mm - found.vertices_px[:, 2] * CAMERA.distance_mm / CAMERA.focal_px
    flat = (found.vertices_px[:, :2] + 0.5 - 200.0) * (depth / CAMERA.focal_px)[:, None]
    points = np.column_stack([flat[:, 0], -flat[:, 1], CAMERA.distance_mm - depth])
    placement = face_placement(face)
    whole = placement.place(load_model().refine @ placement.coarse_mm)  # a drawn face's outline may be narrower
    distance, _ = cKDTree(whole).query(points)
    assert np.median(distance) < 0.8  # between vertices that lie a millimetre apart
    assert (distance < 2).mean() > 0.97


def test_the_unrolled_face_is_one_sheet_seen_from_outside() -> None:
    topology = unwrapping().topology
    assert 25_000 < len(topology.index) < 50_000
    crop = square_crop(NOTHING, (200.0, 200.0), 330)
    found = photo_face(position_map(FaceParameters({}), CAMERA, crop), crop, topology)
    mesh = mesh_in_millimetres(found.vertices_px, topology.triangles[:, [0, 2, 1]], found.landmarks_px)
    a, b, c = (mesh.vertices_mm[mesh.triangles[:, k]] for k in range(3))
    outwards = (a + b + c) / 3 - np.array([0, 0, mesh.vertices_mm[:, 2].min()])
    outwards[:, 1] = 0  # away from the head's axis
    assert ((np.cross(b - a, c - a) * outwards).sum(axis=1) > 0).mean() > 0.97
