"""PRNet without its weights: names and shapes, a second forward pass by another road, and positions to meshes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.detection import Face
from facedepth_kit.faces.photos import prnet
from facedepth_kit.faces.photos.position_map import (
    SIDE,
    Crop,
    Topology,
    box_square,
    cut,
    dlib_square,
    load_topology,
    square_crop,
    triangles_of,
)
from facedepth_kit.faces.photos.prnet import PRNet, photo_face
from facedepth_kit.faces.photos.reconstruction import INNER_RADIUS_MM, mesh_in_millimetres
from facedepth_kit.networks.prnet import build_prnet, variables
from facedepth_kit.networks.weights import DATA_SUFFIX, load_tensorflow_checkpoint
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.zbuffer import render_depth_mm
from tests.faces.prnet_files import Values, random_values, write_checkpoint, write_root, write_uv_data

SPECIFICATION = Path(__file__).resolve().parents[4] / "shared" / "specs" / "prnet_checkpoint_variables.csv"
UV_DATA = Path(__file__).resolve().parents[4] / "shared" / "prnet_uv_data"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("PRNet")
    write_root(folder)
    return folder


@pytest.fixture(scope="module")
def source(root: Path) -> PRNet:
    return PRNet(root, checkpoint=root / prnet.CHECKPOINT)


# --- The network ----------------------------------------------------------------------------------------------------


def test_every_variable_of_the_official_checkpoint_is_there() -> None:
    found = {name: tuple(variable.shape) for name, variable in variables(build_prnet()).items()}
    assert len(found) == 245
    assert sum(int(np.prod(shape)) for shape in found.values()) == 13_365_508
    assert found["resfcn256/Conv/weights"] == (4, 4, 3, 16)
    assert found["resfcn256/resBlock/shortcut/weights"] == (1, 1, 16, 32)
    assert found["resfcn256/resBlock_9/BatchNorm/moving_variance"] == (512,)
    assert found["resfcn256/Conv2d_transpose_1/weights"] == (4, 4, 256, 512)
    assert found["resfcn256/Conv2d_transpose_16/BatchNorm/gamma"] == (3,)
    assert "resfcn256/resBlock_1/shortcut/weights" not in found


@pytest.mark.skipif(not SPECIFICATION.is_file(), reason="needs the list of the official checkpoint's variables")
def test_names_and_shapes_are_the_listed_ones() -> None:
    with SPECIFICATION.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "Adam" not in row["name"] and "power" not in row["name"]]
    listed = {row["name"]: tuple(int(length) for length in row["shape"].split("x")) for row in rows}
    assert {name: tuple(variable.shape) for name, variable in variables(build_prnet()).items()} == listed


def forward(values: Values, photos: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The network written down a second time, with TensorFlow's plain operations and from its description alone."""

    def tensor(scope: str, name: str) -> Any:
        return values[f"resfcn256/{scope}/{name}"]

    def normalized(x: Any, scope: str) -> Any:
        mean, variance = tensor(scope, "BatchNorm/moving_mean"), tensor(scope, "BatchNorm/moving_variance")
        gamma, beta = tensor(scope, "BatchNorm/gamma"), tensor(scope, "BatchNorm/beta")
        return (x - mean) / np.sqrt(variance + 0.001) * gamma + beta

    def convolved(x: Any, scope: str, stride: int = 1) -> Any:
        return tf.nn.conv2d(x, tensor(scope, "weights"), stride, "SAME")

    x = tf.nn.relu(normalized(convolved(photos, "Conv"), "Conv"))
    for number in range(10):
        scope = f"resBlock_{number}" if number else "resBlock"
        stride = 2 if number % 2 == 0 else 1  # every other block halves the picture and has a shortcut of its own
        shortcut = convolved(x, f"{scope}/shortcut", stride) if stride == 2 else x
        y = tf.nn.relu(normalized(convolved(x, f"{scope}/Conv"), f"{scope}/Conv"))
        y = tf.nn.relu(normalized(convolved(y, f"{scope}/Conv_1", stride), f"{scope}/Conv_1"))
        x = tf.nn.relu(normalized(shortcut + convolved(y, f"{scope}/Conv_2"), scope))
    for number in range(17):
        scope = f"Conv2d_transpose_{number}" if number else "Conv2d_transpose"
        kernel = tensor(scope, "weights")
        stride = 2 if number in (1, 4, 7, 10, 12) else 1
        size = x.shape[1] * stride
        x = tf.nn.conv2d_transpose(x, kernel, (len(photos), size, size, kernel.shape[2]), stride, "SAME")
        x = normalized(x, scope)
        x = tf.sigmoid(x) if number == 16 else tf.nn.relu(x)
    return np.asarray(x, np.float32)


def test_a_checkpoint_in_official_naming_gives_what_plain_operations_give(
    source: PRNet, rng: np.random.Generator
) -> None:
    photos = rng.random((2, SIDE, SIDE, 3), dtype=np.float32)
    expected = forward(random_values(), photos) * 256 * 1.1
    assert expected.std() > 5  # a dead network would agree with anything
    crops = [Crop(photo, np.eye(2, 3), 1.0) for photo in photos]
    np.testing.assert_allclose(source.position_maps(crops), expected, atol=2e-2)  # of 281.6: 7e-5
    alone = source.position_maps(crops[1:])
    np.testing.assert_array_equal(alone[0], source.position_maps(crops)[1])


# --- The files ------------------------------------------------------------------------------------------------------


def test_without_files_the_message_says_what_to_fetch_from_where_to_where_and_the_terms(tmp_path: Path) -> None:
    with pytest.raises(KitError) as raised:
        PRNet(tmp_path)
    message = str(raised.value)
    assert "256_256_resfcn256_weight.index" in message
    assert "256_256_resfcn256_weight.data-00000-of-00001" in message
    assert "face_ind.txt" in message
    assert "github.com/YadiraF/PRNet" in message
    assert str(tmp_path / "Data" / "net-data") in message
    assert "research purposes" in message
    assert "\n" not in message
    assert not prnet.files_present(tmp_path)


def test_only_the_official_file_passes_as_official(root: Path, tmp_path: Path) -> None:
    prefix = root / prnet.CHECKPOINT
    assert not prnet.files_present(root)  # all there, but not of the official sizes
    assert [problem.split()[1] for problem in prnet.file_problems(root)] == ["has", "has"]
    with pytest.raises(KitError, match=r"\.index: truncated: found \d+ bytes, expected .* 20319 bytes"):
        PRNet(root)
    other = tmp_path / "checkpoint"
    for suffix, size in ((".index", prnet.INDEX_BYTES), (DATA_SUFFIX, prnet.DATA_BYTES)):
        with open(f"{other}{suffix}", "wb") as file:
            file.truncate(size)  # the right size, and nothing in it
    with pytest.raises(KitError, match=r"found SHA-256 \w{12}\.\.\., expected 59d338bf0c21"):
        prnet.check_official(other)
    os.truncate(f"{other}{DATA_SUFFIX}", prnet.DATA_BYTES - 1)
    with pytest.raises(KitError, match=r"data-00000-of-00001: truncated"):
        prnet.check_official(other)
    os.truncate(f"{other}{DATA_SUFFIX}", prnet.DATA_BYTES + 1)
    with pytest.raises(KitError, match="found 160290985 bytes"):
        prnet.check_official(other)
    assert prefix.with_name(prefix.name + ".index").is_file()


def damaged(values: Values) -> Iterator[tuple[str, Values, str]]:
    name = "resfcn256/resBlock_3/Conv_1/weights"
    yield "missing", {key: value for key, value in values.items() if key != name}, f"found no variable {name}"
    yield "shape", {**values, name: values[name][..., :7]}, r"found .*resBlock_3/Conv_1/weights of shape .*expected"
    yield "nan", {**values, name: np.full_like(values[name], np.nan)}, "not finite"


def test_a_checkpoint_that_does_not_fit_is_refused_with_the_reason(root: Path, tmp_path: Path) -> None:
    model = build_prnet()
    before = variables(model)["resfcn256/Conv/weights"].numpy()
    for name, values, reason in damaged(random_values()):
        write_checkpoint(tmp_path / name, values)
        with pytest.raises(KitError, match=reason):
            load_tensorflow_checkpoint(tmp_path / name, variables(model), "PRNet")
    with pytest.raises(KitError, match="no readable checkpoint"):
        load_tensorflow_checkpoint(tmp_path / "absent", variables(model), "PRNet")
    cut_short = tmp_path / "short"
    write_checkpoint(cut_short, random_values())
    os.truncate(f"{cut_short}{DATA_SUFFIX}", 1_000_000)
    with pytest.raises(KitError, match="no readable checkpoint"):
        load_tensorflow_checkpoint(cut_short, variables(model), "PRNet")
    Path(f"{cut_short}.index").write_bytes(b"not an index")
    with pytest.raises(KitError, match="no readable checkpoint"):
        load_tensorflow_checkpoint(cut_short, variables(model), "PRNet")
    np.testing.assert_array_equal(variables(model)["resfcn256/Conv/weights"].numpy(), before)


def test_index_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    index = write_uv_data(tmp_path)
    assert len(load_topology(tmp_path).index) == 43_867
    for wrong in (index[:-1], index[::-1], np.where(index == index[-1], 65536, index)):
        np.savetxt(tmp_path / "face_ind.txt", wrong)
        with pytest.raises(KitError, match=r"face_ind\.txt: found .* expected 43867"):
            load_topology(tmp_path)
    (tmp_path / "face_ind.txt").write_text("<html>not found</html>")
    with pytest.raises(KitError, match="no table of numbers"):
        load_topology(tmp_path)
    (tmp_path / "face_ind.txt").unlink()
    with pytest.raises(KitError, match=r"face_ind\.txt: missing, expected .*github\.com/YadiraF/PRNet"):
        load_topology(tmp_path)
    np.savetxt(tmp_path / "face_ind.txt", index)
    np.savetxt(tmp_path / "uv_kpt_ind.txt", np.zeros((2, 67)))
    with pytest.raises(KitError, match=r"uv_kpt_ind\.txt: found numbers of shape \(2, 67\)"):
        load_topology(tmp_path)


# --- Triangles and crops --------------------------------------------------------------------------------------------


def test_triangles_by_hand() -> None:
    # A 3 x 3 map whose pixel 2 (upper right) is not face:   0 1 .
    #                                                         3 4 5
    #                                                         6 7 8
    index = np.array([0, 1, 3, 4, 5, 6, 7, 8])
    everything = [(0, 1, 3), (1, 4, 3), (3, 4, 6), (4, 7, 6), (4, 5, 7), (5, 8, 7)]  # cell by cell, by pixel
    # (4, 5, 1)'s cell lacks its corner 2: (1, 2, 4) and (2, 5, 4) are left out
    number = {pixel: place for place, pixel in enumerate(index)}
    expected = [[number[pixel] for pixel in triangle] for triangle in everything[1:]]  # the first is dropped
    assert triangles_of(index, side=3).tolist() == expected


@pytest.mark.skipif(not UV_DATA.is_dir(), reason="needs PRNet's index files")
def test_the_official_face_has_86906_triangles() -> None:
    topology = load_topology(UV_DATA)
    assert topology.triangles.shape == (86_906, 3)
    assert len(topology.index) == 43_867
    assert len(np.unique(topology.triangles)) == 43_866  # the dropped triangle was the only one of its corner
    ends = np.sort(topology.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, uses = np.unique(ends, axis=0, return_counts=True)
    assert uses.max() == 2  # a surface: no side belongs to three triangles
    columns, rows = topology.landmarks.T
    assert columns[36:42].mean() < columns[42:48].mean()  # the eye on the photo's left first, as in Dlib's order
    assert rows[8] == rows.max()  # the chin lies lowest


def test_crop_squares_by_hand() -> None:
    assert dlib_square((100, 200, 300, 400)) == ((200.0, 300.0 + 28.0), 316)
    assert box_square((100, 200, 300, 500)) == ((200.0, 350.0), 400)


def test_a_crop_is_sampled_between_pixels_and_black_outside(rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (60, 80, 3), np.uint8)
    crop = square_crop(picture, (5.0, 30.0), 51)
    assert crop.step == pytest.approx(0.2)
    # column c of the crop lies at 5 - 25.5 + 0.2 c of the photo, row r at 30 - 25.5 + 0.2 r
    for row, column in ((0, 255), (100, 130), (255, 200)):
        x, y = -20.5 + 0.2 * column, 4.5 + 0.2 * row
        x0, y0 = int(np.floor(x)), int(np.floor(y))
        square = picture[y0 : y0 + 2, x0 : x0 + 2].astype(float)
        across = square[:, 0] * (x0 + 1 - x) + square[:, 1] * (x - x0)
        expected = (across[0] * (y0 + 1 - y) + across[1] * (y - y0)) / 255
        np.testing.assert_allclose(crop.pixels[row, column], expected, atol=0.02)  # OpenCV's 1/32 pixel
    assert (crop.pixels[:, :90] == 0).all()


def test_a_large_photo_is_averaged_not_picked() -> None:
    picture = np.zeros((2048, 2048, 3), np.uint8)
    picture[:, ::2] = 200  # stripes finer than any pixel of the crop
    pixels = square_crop(picture, (1023.5, 1023.5), 2040).pixels
    np.testing.assert_allclose(pixels, 100 / 255, atol=0.01)
    ramp = np.repeat(np.linspace(0, 255, 2048).round().astype(np.uint8)[None, :, None], 2048, axis=0).repeat(3, axis=2)
    crop = square_crop(ramp, (1023.5, 1023.5), 2040)
    places = crop.to_photo[0, 0] * np.arange(SIDE) + crop.to_photo[0, 2]
    np.testing.assert_allclose(crop.pixels[128, :, 0], places / 2047, atol=0.003)  # averaging moves nothing


def test_a_crop_beside_the_photo_is_black() -> None:
    matrix = np.array([[1.0, 0, 500], [0, 1.0, 500]])
    assert not cut(np.full((20, 20, 3), 9, np.uint8), matrix, 32).any()
    with pytest.raises(KitError, match="found a crop of 3 pixels"):
        square_crop(np.zeros((20, 20, 3), np.uint8), (5, 5), 3)


def test_a_turned_crop_finds_its_way_back() -> None:
    matrix = np.array([[0.0, -2.0, 10.0], [2.0, 0.0, 20.0]])
    crop = Crop(np.zeros((4, 4, 3), np.float32), matrix, 2.0)
    np.testing.assert_allclose(crop.restore(np.array([[3.0, 5.0, 7.0]])), [[0.0, 26.0, 14.0]])


# --- Known geometry -------------------------------------------------------------------------------------------------


def sphere_map(radius: float) -> tuple[npt.NDArray[np.float32], Topology]:
    """The front half of a sphere around the crop's middle as a position map over the disc of the test's index."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    u, v = (columns - 127.5) / 128, (rows - 127.5) / 128
    reach = np.minimum(np.hypot(u, v), 1.0)
    around = np.arctan2(v, u)
    away = reach * 0.47 * np.pi  # from the pole that faces the camera nearly to the rim
    x = 127.5 + radius * np.sin(away) * np.cos(around)
    y = 127.5 + radius * np.sin(away) * np.sin(around)
    z = radius * np.cos(away)
    index = np.flatnonzero(np.hypot(u, v).ravel() < 0.95).astype(np.int32)
    steps = np.arange(68)
    columns_68 = np.rint(127.5 + 90 * np.cos(steps * 0.7)).astype(np.int32)
    rows_68 = np.rint(127.5 + 90 * np.sin(steps * 0.7)).astype(np.int32)
    topology = Topology(index, triangles_of(index), np.stack([columns_68, rows_68], axis=1))
    return np.stack([x, y, z], axis=-1).astype(np.float32), topology


def test_a_sphere_comes_back_as_a_sphere_where_it_was_in_the_photo() -> None:
    position_map, topology = sphere_map(100.0)
    crop = square_crop(np.zeros((600, 800, 3), np.uint8), (300.0, 200.0), 510)  # two photo pixels a crop pixel
    face = photo_face(position_map, crop, topology)
    centre = np.array([300.0, 200.0, 0.0])
    np.testing.assert_allclose(np.linalg.norm(face.vertices_px - centre, axis=1), 200.0, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(face.landmarks_px - centre, axis=1), 200.0, rtol=1e-5)
    lowest = face.vertices_px[np.argmax(face.vertices_px[:, 1])]
    np.testing.assert_allclose(lowest[:2], [300.0, 400.0], atol=8)
    assert face.vertices_px[:, 2].max() == pytest.approx(200.0, rel=1e-3)


def test_its_depth_image_is_the_one_of_the_ray_and_the_sphere() -> None:
    position_map, topology = sphere_map(100.0)
    face = photo_face(position_map, square_crop(np.zeros((600, 800, 3), np.uint8), (300, 200), 510), topology)
    triangles = topology.triangles[:, [0, 2, 1]]
    mesh = mesh_in_millimetres(face.vertices_px, triangles, face.landmarks_px)
    inner = face.landmarks_px[17:].astype(np.float64)
    scale = INNER_RADIUS_MM / np.sqrt(((inner - inner.mean(axis=0)) ** 2).sum(axis=1).mean())
    radius_mm = 200.0 * scale
    # The bounding box, not the sphere, has its middle at the origin.
    top, low = mesh.vertices_mm[:, 2].max(), mesh.vertices_mm[:, 2].min()
    assert top == pytest.approx(-low, abs=1e-3)
    centre_z = top - radius_mm
    camera = Camera(focal_px=900.0)
    depth_mm = render_depth_mm(mesh, camera)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    x, y = (columns - 128) / 900, (rows - 128) / 900
    # |t (x, y, 1) - (0, 0, d)| = r, nearer solution
    d = camera.distance_mm - centre_z
    a = x**2 + y**2 + 1
    under_root = d**2 - a * (d**2 - radius_mm**2)
    with np.errstate(invalid="ignore"):
        expected = (d - np.sqrt(under_root)) / a
    seen = np.isfinite(depth_mm)
    assert seen.mean() > 0.2
    assert seen[128, 128]
    np.testing.assert_allclose(depth_mm[seen], expected[seen], atol=0.05)


def test_triangles_face_outwards(source: PRNet) -> None:
    position_map, topology = sphere_map(100.0)
    face = photo_face(position_map, Crop(np.zeros((1, 1, 3), np.float32), np.eye(2, 3), 1.0), topology)
    mesh = mesh_in_millimetres(face.vertices_px, topology.triangles[:, [0, 2, 1]], face.landmarks_px)
    a, b, c = (mesh.vertices_mm[mesh.triangles[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).mean() > 0.99
    np.testing.assert_array_equal(source.triangles, source.topology.triangles[:, [0, 2, 1]])


def test_points_without_extent_are_no_face() -> None:
    nothing = np.ones((10, 3), np.float32)
    with pytest.raises(KitError, match="without extent"):
        mesh_in_millimetres(nothing, np.zeros((0, 3), np.int32), np.ones((68, 3), np.float32))


def test_a_photo_goes_all_the_way(source: PRNet, rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (200, 300, 3), np.uint8)
    face = Face((100, 40, 200, 160), np.zeros((68, 2)), 1.0, (100.0, 50.0, 200.0, 150.0))
    crop = source.crop(picture, face)
    assert crop.step == pytest.approx(158 / 255)
    unknown = Face(face.box, face.landmarks, 1.0)
    assert source.crop(picture, unknown).step == pytest.approx(176 / 255)
    (found,) = source.faces([crop])
    assert found is not None
    assert found.vertices_px.shape == (43_867, 3)
    assert found.landmarks_px.shape == (68, 3)
    position_map = source.position_maps([crop])[0]
    column, row = source.topology.landmarks[30]
    expected = position_map[row, column] * crop.step + [150 - 79, 100 + 14 - 79, 0]
    np.testing.assert_allclose(found.landmarks_px[30], expected, atol=1e-3)
    assert source.faces([]) == []
    assert source.fingerprint.startswith("PRNet-")
    assert source.mesh(found).triangles is source.triangles
