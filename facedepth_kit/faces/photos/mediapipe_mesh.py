"""MediaPipe's Face Mesh as a source of 3D faces: for trying photos without PRNet's weights.

468 points, softer than PRNet's 43,867, from a free model (Apache 2.0). Two ways to it, both by a file that the user
fetches (:func:`find_model`):

- a **wheel of mediapipe 0.10.21**, the last that carries the model inside. It is read as an archive, never installed
  (it wants NumPy 1), and TensorFlow's own interpreter runs the model in it: nothing is added to the environment.
- a **face_landmarker.task** of today's MediaPipe, run by the package itself: the optional extra ``photos``.
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.apart import work_apart
from facedepth_kit.common.arrays import read_member
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import data_dir
from facedepth_kit.depth import Picture
from facedepth_kit.faces.detection import Face
from facedepth_kit.faces.people.subdivision import subdivision_matrix
from facedepth_kit.faces.photos.position_map import BOX_GROWTH, Crop, cut
from facedepth_kit.faces.photos.reconstruction import PhotoFace, mesh_in_millimetres
from facedepth_kit.rendering.mesh import Mesh, quad_triangles

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int32]

FETCH = (
    "pip download mediapipe==0.10.21 --no-deps --only-binary=:all: --python-version 3.12 "
    "--platform manylinux_2_28_x86_64"
)
WHEEL_MODEL = "mediapipe/modules/face_landmark/face_landmark.tflite"
WHEEL_TOPOLOGY = "mediapipe/python/solutions/face_mesh_connections.py"
# SHA-256 of the models that are known to run: that of mediapipe 0.10.21.
KNOWN_MODELS = frozenset(("1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",))
LARGEST_MEMBER = 20_000_000  # bytes of a file in a wheel; the model has 1.2 million
POINTS = 468  # today's models add ten for the irises; they are left out
MODEL_PX, TASK_PX = 192, 512
SEEN = 0.5  # a face must be more likely than not
GROWTH = 1.5  # MediaPipe's crop: how much larger than the box of the points
FIRST_GROWTH = 1.35  # the first look, by Dlib's box with forehead
TASK_GROWTH = 2.0  # its own detector wants surroundings
REFINEMENTS = 2  # Catmull-Clark steps before rendering, or the picture would show 898 facets

# The points nearest to Dlib's 68, in its order: jaw, brows, nose, eyes, lips.
LANDMARKS = np.array(
    [
        *(127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356),
        *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
        *(168, 197, 5, 4, 75, 97, 2, 326, 305),
        *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
        *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
    ],
    np.int32,
)
# Inner outlines that the model leaves open, by their left ends in the picture: eyes and mouth.
CORNERS = (33, 362, 78)


class _Engine(Protocol):
    """Runs a model: the crop for a face, and the points (468, 3) in crop pixels or None."""

    def crop(self, picture: Picture, face: Face) -> Crop: ...

    def points(self, pixels: FloatArray) -> FloatArray | None: ...


def find_model(given: str | Path | None = None) -> Path:
    """The model file: the given one, FACEDEPTH_FACE_MESH, or what lies in ``mediapipe`` in the data folder.

    A folder stands for the wheel or task file in it. Raises :class:`KitError` saying what to fetch.
    """
    chosen = given or os.environ.get("FACEDEPTH_FACE_MESH")
    place = Path(chosen).expanduser() if chosen else data_dir() / "mediapipe"
    if place.is_file():
        return place
    for pattern in ("mediapipe-0.10.*.whl", "*.task"):
        for found in sorted(place.glob(pattern), reverse=True):
            return found
    wheel = (
        f"a wheel of mediapipe 0.10.21, which carries one ({FETCH} -d {place}; Apache 2.0; it is read, not installed)"
    )
    task = "MediaPipe's face_landmarker.task with the extra photos installed"
    raise KitError(f"{place}: found no face mesh model, expected {wheel}, or {task}")


def model_present(given: str | Path | None = None) -> bool:
    """Whether :func:`find_model` finds one."""
    try:
        find_model(given)
    except KitError:
        return False
    return True


@lru_cache(maxsize=1)
def _on_worker(path: Path) -> FaceMesh:
    """A model that travelled to a worker process as the name of its file; read there once."""
    return FaceMesh(path)


class FaceMesh:
    """MediaPipe's Face Mesh as a source of 3D faces (:class:`facedepth_kit.faces.photos.reconstruction.MeshSource`).

    ``model``: a wheel or a task file, or where to look (:func:`find_model`). Raises :class:`KitError` for another
    file, and where a task file wants the mediapipe package that is not installed.
    """

    name = "MediaPipe Face Mesh"

    def __init__(self, model: str | Path | None = None) -> None:
        self.path = find_model(model)
        if self.path.suffix == ".task":
            _try_apart(self.path, self.fingerprint)
            triangles, self._engine = _task_engine(self.path)
        elif self.path.suffix == ".whl":
            triangles, self._engine = _wheel_engine(self.path)
        else:
            raise KitError(f"{self.path}: found a {self.path.suffix or 'nameless'} file, expected a .whl or .task")
        self.triangles = closed(triangles)

    def __reduce__(self) -> tuple[Any, ...]:
        return _on_worker, (self.path,)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the model."""
        with self.path.open("rb") as file:
            return f"MediaPipe-{hashlib.file_digest(file, 'sha256').hexdigest()[:12]}"

    def crop(self, picture: Picture, face: Face) -> Crop:
        """What the model sees of a face."""
        return self._engine.crop(picture, face)

    def faces(self, crops: Sequence[Crop]) -> list[PhotoFace | None]:
        """The 3D face in each crop, in photo pixels; None where the model is not sure of one."""
        return [self._face(crop) for crop in crops]

    def _face(self, crop: Crop) -> PhotoFace | None:
        points = self._engine.points(crop.pixels)
        if points is None:
            return None
        # MediaPipe's z points away from the camera.
        vertices = crop.restore(points * np.array([1, 1, -1], np.float32))
        return PhotoFace(vertices, vertices[LANDMARKS])

    def mesh(self, face: PhotoFace) -> Mesh:
        """A face's surface in millimetres, refined until no facets show."""
        matrix, triangles = self._refinement
        coarse = mesh_in_millimetres(face.vertices_px, self.triangles, face.landmarks_px)
        return Mesh((matrix @ coarse.vertices_mm).astype(np.float32), triangles)

    @cached_property
    def _refinement(self) -> tuple[Any, IntArray]:
        corners = np.pad(self.triangles.astype(np.int64), ((0, 0), (0, 1)), constant_values=-1)
        matrix, quads = subdivision_matrix(corners, POINTS, REFINEMENTS)
        return matrix, quad_triangles(quads)


# --- Topology -------------------------------------------------------------------------------------------------------


def triangles_from_sides(sides: Sequence[tuple[int, int]], where: str) -> IntArray:
    """Triangles (T, 3) from MediaPipe's list of sides, in which each three form a closed triangle."""
    try:
        array = np.asarray(sides, np.int32).reshape(-1, 2)
    except (ValueError, TypeError, OverflowError):
        raise KitError(f"{where}: found something other than pairs of points, expected the face mesh's sides") from None
    if len(array) == 0 or len(array) % 3:
        raise KitError(f"{where}: found {len(array)} sides, expected three for each triangle of the face mesh")
    starts, ends = array[:, 0].reshape(-1, 3), array[:, 1].reshape(-1, 3)
    if not np.array_equal(ends, np.roll(starts, -1, axis=1)) or array.min() < 0 or array.max() >= POINTS:
        raise KitError(f"{where}: found sides that form no triangles of {POINTS} points, expected the face mesh's")
    return starts


def closed(triangles: IntArray) -> IntArray:
    """The triangles and, appended, those that close eyes and mouth: ground truth has no slits (as PRNet's)."""
    starts, ends = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    sides = set(zip(starts.tolist(), ends.tolist(), strict=True))
    following = {end: start for start, end in sides if (end, start) not in sides}  # the rim as seen from the hole
    filled = [triangles]
    for corner in CORNERS:
        loop = [corner]
        while (after := following.get(loop[-1])) != corner:
            if after is None or len(loop) == POINTS:
                raise KitError("face mesh: found no opening at eyes and mouth, expected the triangles of MediaPipe's")
            loop.append(after)
        filled.append(np.array(_strip(loop), np.int32))
    return np.concatenate(filled)


def _strip(loop: Sequence[int]) -> list[tuple[int, int, int]]:
    """Triangles across a loop, in a zigzag between its two sides, from the first point on."""
    low, high = 0, len(loop) - 1
    triangles = []
    while high - low >= 2:
        triangles.append((loop[low], loop[low + 1], loop[high]))
        low += 1
        if high - low >= 2:
            triangles.append((loop[low], loop[high - 1], loop[high]))
            high -= 1
    return triangles


# --- Engines --------------------------------------------------------------------------------------------------------


def _square(points: npt.NDArray[np.floating], growth: float, level: npt.NDArray[np.floating], side: int) -> Any:
    """The matrix (2, 3) from a crop of ``side`` pixels to the photo: a square around points, turned along ``level``."""
    turn = np.array([[level[0], -level[1]], [level[1], level[0]]], np.float64) / np.linalg.norm(level)
    turned = points @ turn
    low, high = turned.min(axis=0), turned.max(axis=0)
    step = max(float((high - low).max()) * growth / side, 1e-3)
    corner = (low + high) / 2 - step * (side - 1) / 2
    return np.concatenate([turn * step, (turn @ corner)[:, None]], axis=1)


def _by_face(face: Face, growth: float, side: int) -> Any:
    """The crop of a face that Dlib has seen, or of a bare box."""
    left, top, right, bottom = face.box
    box = np.array([[left, top], [right, top], [left, bottom], [right, bottom]], np.float64)
    if not np.isfinite(face.landmarks).all():
        return _square(box, BOX_GROWTH, np.array([1.0, 0.0]), side)
    eyes = face.landmarks[42:48].mean(axis=0) - face.landmarks[36:42].mean(axis=0)
    return _square(np.concatenate([face.outline, face.landmarks]), growth, eyes, side)


def _crop(picture: Picture, matrix: Any, side: int) -> Crop:
    return Crop(cut(picture, matrix, side), matrix, float(np.linalg.norm(matrix[:, 0])))


class _Interpreted:
    """The model of a wheel, run by TensorFlow's interpreter."""

    def __init__(self, model: bytes, where: str) -> None:
        self.runner = _interpreter(model, where)
        (given,) = self.runner.get_input_details()
        results = {int(np.prod(result["shape"])): result["index"] for result in self.runner.get_output_details()}
        if tuple(given["shape"]) != (1, MODEL_PX, MODEL_PX, 3) or not {POINTS * 3, 1} <= results.keys():
            raise KitError(f"{where}: found a model of other inputs or outputs, expected mediapipe 0.10.21's face mesh")
        self.input, self.positions, self.presence = given["index"], results[POINTS * 3], results[1]

    def crop(self, picture: Picture, face: Face) -> Crop:
        first = _crop(picture, _by_face(face, FIRST_GROWTH, MODEL_PX), MODEL_PX)
        points = self.points(first.pixels)
        if points is None:
            return first
        # The model itself knows best where the face lies: look again, as MediaPipe does from frame to frame.
        seen = first.restore(points)[:, :2]
        return _crop(picture, _square(seen, GROWTH, seen[263] - seen[33], MODEL_PX), MODEL_PX)

    def points(self, pixels: FloatArray) -> FloatArray | None:
        self.runner.set_tensor(self.input, np.ascontiguousarray(pixels[None], np.float32))
        self.runner.invoke()
        presence = float(self.runner.get_tensor(self.presence).ravel()[0])
        if not presence > np.log(SEEN / (1 - SEEN)):
            return None
        return np.asarray(self.runner.get_tensor(self.positions), np.float32).reshape(POINTS, 3)


def _interpreter(model: bytes, where: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow announces that it will hand its interpreter over
            runner = _interpreter_class()(model_content=model, num_threads=os.cpu_count())
            runner.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise KitError(f"{where}: found a model that does not run ({str(error).splitlines()[0][:120]})") from None
    return runner


def _interpreter_class() -> Any:
    try:
        import tensorflow as tf

        return tf.lite.Interpreter
    except (ImportError, AttributeError):
        pass
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise KitError("face mesh: found no TFLite interpreter, expected TensorFlow's or ai-edge-litert") from None
    return Interpreter


def tried(path: Path) -> Iterator[bytes]:
    """Run the model in a file once, on nothing: for :func:`work_apart`."""
    if path.suffix == ".task":
        _task_engine(path)[1].points(np.zeros((TASK_PX, TASK_PX, 3), np.float32))
    else:
        _Interpreted(_wheel(path)[0], str(path)).points(np.zeros((MODEL_PX, MODEL_PX, 3), np.float32))
    return iter(())


@cache
def _try_apart(path: Path, digest: str) -> None:
    """Damaged models crash the libraries that run them: try one that is not known, once, in a process of its own."""
    for _ in work_apart(f"{__name__}:tried", path, library="the library for its model"):
        pass


def _wheel_engine(path: Path) -> tuple[IntArray, _Engine]:
    model, triangles = _wheel(path)
    digest = hashlib.sha256(model).hexdigest()
    if digest not in KNOWN_MODELS:
        _try_apart(path, digest)
    return triangles, _Interpreted(model, str(path))


def _wheel(path: Path) -> tuple[bytes, IntArray]:
    """The model in a wheel, and the triangles of its points."""
    try:
        model, topology = (read_member(path, None, name, most=LARGEST_MEMBER) for name in (WHEEL_MODEL, WHEEL_TOPOLOGY))
        source = (topology or b"").decode("utf-8")
    except (KitError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise KitError(f"{path}: found no face mesh inside ({reason}), expected a wheel of mediapipe 0.10.21") from None
    sides = re.search(r"FACEMESH_TESSELATION\s*=\s*frozenset\((\[.*?\])\)", source, re.DOTALL)
    try:
        listed = ast.literal_eval(sides[1]) if sides else []
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        listed = []
    return model or b"", triangles_from_sides(listed, str(path))


class _Task:
    """A task file, run by the mediapipe package."""

    def __init__(self, path: Path, mediapipe: Any) -> None:
        vision, options = mediapipe.tasks.vision, mediapipe.tasks.BaseOptions(model_asset_path=str(path))
        self._mediapipe = mediapipe
        try:
            settings = vision.FaceLandmarkerOptions(base_options=options, num_faces=1)
            self._landmarker = vision.FaceLandmarker.create_from_options(settings)
        except Exception as error:  # its C++ core raises many kinds
            raise KitError(f"{path}: found no face landmarker ({str(error).splitlines()[0][:160]})") from None
        # At the interpreter's end it would close itself through threads that are gone by then, and complain.
        atexit.register(setattr, self._landmarker, "_handle", None)

    def crop(self, picture: Picture, face: Face) -> Crop:
        return _crop(picture, _by_face(face, TASK_GROWTH, TASK_PX), TASK_PX)

    def points(self, pixels: FloatArray) -> FloatArray | None:
        picture = np.ascontiguousarray(np.rint(pixels * 255).astype(np.uint8))
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=picture)
        try:
            found = self._landmarker.detect(image).face_landmarks
        except RuntimeError as error:
            raise KitError(f"face landmarker: {str(error).splitlines()[0][:160]}") from None
        if not found:
            return None
        # Shares of the image, z on x's scale; 0 is the first pixel's edge, not its centre.
        points = np.array([(point.x, point.y, point.z) for point in found[0][:POINTS]], np.float32) * TASK_PX
        return np.asarray(points - np.array([0.5, 0.5, 0], np.float32), np.float32)


def _task_engine(path: Path) -> tuple[IntArray, _Engine]:
    try:
        import mediapipe
    except ImportError:
        raise KitError(
            f"{path}: wants the mediapipe package, expected the extra photos: pip install 'facedepth-kit[photos]'"
        ) from None
    sides = mediapipe.tasks.vision.FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION
    triangles = triangles_from_sides([(side.start, side.end) for side in sides], "mediapipe")
    return triangles, _Task(path, mediapipe)
