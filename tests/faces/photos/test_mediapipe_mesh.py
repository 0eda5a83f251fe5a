"""MediaPipe's face mesh: topology, crops and both engines, with a small model of the tests' own in its place.

That model looks for the brightest spot and lays a fixed grid of points around it, so its answers are known. With
FACEDEPTH_FACE_MESH set to a real wheel or task file, the last tests compare it with rendered faces.
"""

from __future__ import annotations

import importlib.util
import os
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.detection import Face, face_box
from facedepth_kit.faces.people.appearance import coloured_person, draw_appearance
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceSettings, draw_face
from facedepth_kit.faces.photos.mediapipe_mesh import (
    CORNERS,
    LANDMARKS,
    POINTS,
    WHEEL_MODEL,
    WHEEL_TOPOLOGY,
    FaceMesh,
    closed,
    find_model,
    model_present,
    triangles_from_sides,
)
from facedepth_kit.faces.photos.reconstruction import find_faces
from facedepth_kit.rendering.camera import Camera, fit_camera, project_points
from facedepth_kit.rendering.shading import Light, render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm

COLUMNS, ROWS = 18, 26  # 468 points
REAL = os.environ.get("FACEDEPTH_FACE_MESH")


def sides() -> list[tuple[int, int]]:
    """A sheet of 468 points with a slit of two cells at each of the corners that are to be closed."""
    slits = {(1, 13), (1, 14), (4, 6), (4, 7), (20, 2), (20, 3)}
    assert CORNERS == (1 * COLUMNS + 15, 20 * COLUMNS + 2, 4 * COLUMNS + 6)
    found = []
    for row in range(ROWS - 1):
        for column in range(COLUMNS - 1):
            if (row, column) not in slits:
                a = row * COLUMNS + column
                b, c, d = a + 1, a + COLUMNS, a + COLUMNS + 1
                found += [(a, c), (c, b), (b, a), (b, c), (c, d), (d, b)]
    return found


def grid() -> npt.NDArray[np.float32]:
    """Where the model puts the points around the bright spot: a shallow bowl, z away from the camera.

    The sheet is turned so that the outer corners of the eyes, points 33 and 263, lie on a level.
    """
    rows, columns = np.divmod(np.arange(POINTS), COLUMNS)
    flat = np.stack([(columns - 8.5) * 4.0, (rows - 12.5) * 3.0], axis=1)
    right, down = (flat[263] - flat[33]) / np.linalg.norm(flat[263] - flat[33])
    x, y = (flat @ np.array([[right, -down], [down, right]])).T
    return np.stack([x, y, (x**2 + y**2) / 200], axis=1).astype(np.float32)


def spot_model() -> bytes:
    """A TFLite model in the shape of MediaPipe's: the grid around the crop's bright spot; dark crops show no face."""
    import tensorflow as tf

    places = np.stack(np.meshgrid(np.arange(192.0), np.arange(192.0)), axis=-1).astype(np.float32)

    def spot(photo: Any) -> Any:
        weight = tf.reduce_mean(photo, axis=-1)[0] ** 4
        total = tf.reduce_sum(weight) + 1e-6
        middle = tf.reduce_sum(places * weight[..., None], axis=(0, 1)) / total
        points = grid() + tf.concat([middle, [0.0]], axis=0)
        presence = (tf.reduce_max(photo) - 0.5) * 20
        return {"points": tf.reshape(points, (1, 1, 1, POINTS * 3)), "presence": tf.reshape(presence, (1, 1, 1, 1))}

    function = tf.function(spot, input_signature=[tf.TensorSpec((1, 192, 192, 3), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    return bytes(converter.convert())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wheel") / "mediapipe-0.10.21-cp312-cp312-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(WHEEL_MODEL, spot_model())
        text = f"FACEMESH_LIPS = frozenset([(1, 2)])\n\nFACEMESH_TESSELATION = frozenset({sides()!r})\n"
        archive.writestr(WHEEL_TOPOLOGY, text)
    return path


def photo_with_spot(x: int, y: int) -> npt.NDArray[np.uint8]:
    picture = np.full((400, 500, 3), 20, np.uint8)
    picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    return picture


def test_triangles_come_from_sides_by_threes() -> None:
    two = [(0, 1), (1, 2), (2, 0), (2, 1), (1, 3), (3, 2)]
    assert triangles_from_sides(two, "x").tolist() == [[0, 1, 2], [2, 1, 3]]
    for wrong in ([], [(0, 1), (1, 2)], [(0, 1), (1, 2), (3, 0)], [(0, 1), (1, 468), (468, 0)]):
        with pytest.raises(KitError, match="x: found"):
            triangles_from_sides(wrong, "x")


def test_eyes_and_mouth_are_closed() -> None:
    sheet = triangles_from_sides(sides(), "x")
    whole = closed(sheet)
    assert len(whole) == 2 * (COLUMNS - 1) * (ROWS - 1)  # as if there were no slits
    directed = Counter(zip(whole.ravel().tolist(), np.roll(whole, -1, axis=1).ravel().tolist(), strict=True))
    assert max(directed.values()) == 1  # all turn the same way
    rim = [side for side in directed if side[::-1] not in directed]
    assert len(rim) == 2 * (COLUMNS + ROWS - 2)  # nothing is open but the outline


def test_a_face_lies_where_the_model_saw_it_in_the_photo(wheel: Path) -> None:
    source = FaceMesh(wheel)
    assert source.fingerprint.startswith("MediaPipe-")
    for x, y in ((250, 200), (300, 150)):
        picture = photo_with_spot(x, y)
        box = (x - 60, y - 70, x + 50, y + 80)
        (face,) = source.faces([source.crop(picture, Face(box, np.full((68, 2), np.nan), 0.0))])
        assert face is not None
        assert face.vertices_px.shape == (POINTS, 3)
        # The grid's middle lies on the spot; its width says the scale of the second, closer crop.
        np.testing.assert_allclose(face.vertices_px[:, :2].mean(axis=0), (x, y), atol=1.0)
        step = np.ptp(face.vertices_px[:, 0]) / np.ptp(grid()[:, 0])
        expected = grid() * step * [1, 1, -1] + np.array([x, y, 0])
        np.testing.assert_allclose(face.vertices_px, expected, atol=1.0)
        np.testing.assert_array_equal(face.landmarks_px, face.vertices_px[LANDMARKS])


def test_a_tilted_head_is_turned_upright_and_back(wheel: Path) -> None:
    source = FaceMesh(wheel)
    landmarks = np.stack(np.meshgrid(np.linspace(-40, 40, 17), np.linspace(-40, 40, 4)), axis=-1).reshape(-1, 2)
    landmarks[36:42], landmarks[42:48] = (-20, -10), (20, -10)
    tilt = np.radians(30)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    turned = landmarks @ turn.T + (250, 200)
    crop = source.crop(photo_with_spot(250, 200), Face(face_box(turned), turned, 1.0))
    # The model lays its points level into the upright crop: in the photo they are tilted like the head.
    (face,) = source.faces([crop])
    assert face is not None
    across = face.vertices_px[263, :2] - face.vertices_px[33, :2]
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(30, abs=0.5)
    assert np.degrees(np.arctan2(crop.to_photo[1, 0], crop.to_photo[0, 0])) == pytest.approx(30, abs=0.5)
    np.testing.assert_allclose(face.vertices_px[:, :2].mean(axis=0), (250, 200), atol=1.0)


def test_a_dark_crop_shows_no_face(wheel: Path) -> None:
    source = FaceMesh(wheel)
    picture = np.full((400, 500, 3), 20, np.uint8)
    crop = source.crop(picture, Face((200, 150, 300, 250), np.full((68, 2), np.nan), 0.0))
    assert source.faces([crop]) == [None]


def test_the_mesh_is_refined_before_it_is_rendered(wheel: Path) -> None:
    source = FaceMesh(wheel)
    crop = source.crop(photo_with_spot(250, 200), Face((190, 130, 310, 280), np.full((68, 2), np.nan), 0.0))
    (face,) = source.faces([crop])
    assert face is not None
    mesh = source.mesh(face)
    assert len(mesh.triangles) == len(source.triangles) * 3 * 4 * 2  # three quads a triangle, each four, each two
    a, b, c = (mesh.vertices_mm[mesh.triangles[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()
    depth_mm = render_depth_mm(mesh, fit_camera(mesh, fill=0.9))
    assert np.isfinite(depth_mm).mean() > 0.4
    rows, columns = np.nonzero(np.isfinite(depth_mm))
    nearest = np.nanargmin(depth_mm)
    assert abs(nearest // 256 - (rows.min() + rows.max()) / 2) < 12  # the bowl's middle is nearest to the camera
    assert abs(nearest % 256 - (columns.min() + columns.max()) / 2) < 12


def test_other_files_are_refused_with_the_reason(tmp_path: Path, wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEDEPTH_FACE_MESH", raising=False)
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path))
    assert not model_present()
    with pytest.raises(KitError, match=r"pip download mediapipe==0\.10\.21 --no-deps .*Apache 2\.0"):
        FaceMesh()
    (tmp_path / "mediapipe").mkdir()
    (tmp_path / "mediapipe" / wheel.name).write_bytes(wheel.read_bytes())
    assert find_model() == tmp_path / "mediapipe" / wheel.name
    assert model_present()
    with pytest.raises(KitError, match="found no face mesh model"):
        find_model(tmp_path / "absent")

    def stored(name: str, files: dict[str, bytes]) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w") as archive:
            for inside, data in files.items():
                archive.writestr(inside, data)
        return path

    topology = f"FACEMESH_TESSELATION = frozenset({sides()!r})".encode()
    foreign = stored("numpy.whl", {"numpy/__init__.py": b""})
    damaged = stored("damaged.whl", {WHEEL_MODEL: b"not a model", WHEEL_TOPOLOGY: topology})
    code = stored("code.whl", {WHEEL_MODEL: b"", WHEEL_TOPOLOGY: b"FACEMESH_TESSELATION = frozenset([print(1)])"})
    short = tmp_path / "short.whl"
    short.write_bytes(wheel.read_bytes()[:5000])
    (tmp_path / "model.tflite").write_bytes(b"x")
    for path, reason in (
        (foreign, "no face mesh inside"),
        (short, "no face mesh inside"),
        (damaged, "a model that does not run"),
        (code, "found 0 sides"),
        (tmp_path / "model.tflite", r"found a \.tflite file, expected a \.whl or \.task"),
    ):
        with pytest.raises(KitError, match=reason):
            FaceMesh(path)


def test_a_task_file_wants_the_package_and_must_be_one(tmp_path: Path) -> None:
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"not a task")
    installed = importlib.util.find_spec("mediapipe") is not None
    with pytest.raises(KitError, match="found no face landmarker" if installed else "expected the extra photos"):
        FaceMesh(path)


@pytest.mark.skipif(not REAL, reason="needs FACEDEPTH_FACE_MESH: a mediapipe 0.10.21 wheel, or a task file")
def test_the_real_model_finds_the_landmarks_of_rendered_faces() -> None:
    source = FaceMesh()
    assert len(source.triangles) == 898
    settings = FaceSettings(expressive_share=0.0, yaw_deg=(8.0, 20.0), pitch_deg=(5.0, 10.0), roll_deg=(5.0, 15.0))
    medians = []
    for number in range(5):
        rng = np.random.default_rng([11, number])
        parameters = draw_face(rng, settings)
        camera = Camera(distance_mm=800.0, focal_px=900.0, centre_px=(200.0, 200.0), size_px=400)
        picture = render_view(coloured_person(parameters, draw_appearance(rng, parameters)), camera, Light()).picture
        known = project_points(landmarks_68_mm(parameters), camera)
        (seen,) = find_faces(picture)
        (face,) = source.faces([source.crop(picture, seen)])
        assert face is not None
        off = np.linalg.norm(face.landmarks_px[17:, :2] - known[17:], axis=1) / np.linalg.norm(known[36] - known[45])
        medians.append(float(np.median(off)))
        assert face.landmarks_px[30, 2] > face.landmarks_px[[36, 45, 8], 2].max()  # the nose is nearest
    assert np.median(medians) < 0.06
