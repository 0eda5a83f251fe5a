"""Position maps of parametric faces: what a perfect PRNet would say of a rendered face.

A stand-in that shows the photo's way to ground truth without PRNet's weights: positions are computed from the known
face, not guessed from a picture. The unrolling is the kit's own (round the head's axis), not PRNet's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.faces.detection import Face
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import (
    AXIS_Z_MM,
    FaceParameters,
    face_placement,
    load_model,
    outline_distance_mm,
)
from facedepth_kit.faces.people.portraits import Portrait
from facedepth_kit.faces.photos.mediapipe_mesh import FaceMesh, model_present
from facedepth_kit.faces.photos.position_map import SIDE, Crop, Topology, triangles_of
from facedepth_kit.faces.photos.prnet import PRNet, crop_for, files_present, photo_face
from facedepth_kit.faces.photos.reconstruction import MeshSource, PhotoFace, mesh_in_millimetres
from facedepth_kit.rendering.camera import Camera, project
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import rasterize

FloatArray = npt.NDArray[np.float32]

AZIMUTH_DEG = 72.0  # at the map's left and right edges
TOP_MM, BOTTOM_MM = 792.0, 594.0  # heights of the neutral head at its upper and lower edges
FAR_MM = 1000.0
JAW_ROW, STEP_MM = 180, 2.5  # a row is 0.8 mm on an upright surface
ROUND_PX = 61


@dataclass(frozen=True, eq=False)
class Unwrapping:
    """Where each face pixel of the map lies on the model: a triangle's ``corners`` (V, 3) and ``weights`` (V, 3)."""

    topology: Topology
    corners: npt.NDArray[np.int32]
    weights: FloatArray


def _unrolled(points_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Column, row and distance from the axis of points of the neutral head."""
    x, y, z = np.asarray(points_mm, np.float64).T
    azimuth = np.degrees(np.arctan2(x, z - AXIS_Z_MM))
    columns = (azimuth / AZIMUTH_DEG + 1) / 2 * (SIDE - 1)
    rows = (TOP_MM - y) / (TOP_MM - BOTTOM_MM) * (SIDE - 1)
    return np.stack([columns, rows, np.hypot(x, z - AXIS_Z_MM)], axis=1)


@lru_cache(maxsize=1)
def unwrapping() -> Unwrapping:
    """The unrolling of the neutral face: of what lies one behind the other, the outermost is taken."""
    model = load_model()
    flat = _unrolled(model.neutral)
    # Points for the z-buffer, of which the one farthest from the head's axis is the nearest to the camera.
    depth = FAR_MM - flat[:, 2]
    camera = Camera(FAR_MM, FAR_MM, (0.0, 0.0), SIDE)
    seen = np.stack([(flat[:, 0] + 0.5) * depth / FAR_MM, -(flat[:, 1] + 0.5) * depth / FAR_MM, flat[:, 2]], axis=1)
    inside_mm = outline_distance_mm(FaceParameters({}))
    triangles = model.triangles[(inside_mm[model.triangles] > 0).any(axis=1)]
    _, nearest = rasterize(Mesh(seen.astype(np.float32), triangles), camera)
    index = np.flatnonzero(nearest.ravel() >= 0).astype(np.int32)
    corners = triangles[nearest.ravel()[index]]
    rows, columns = np.divmod(index, SIDE)
    a, b, c = (flat[corners[:, k], :2] for k in range(3))
    point = np.stack([columns, rows], axis=1)

    def area(p: npt.NDArray[np.float64], q: npt.NDArray[np.float64], r: npt.NDArray[np.float64]) -> FloatArray:
        return np.asarray(
            (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0]), np.float32
        )

    weights = np.stack([area(point, b, c), area(a, point, c), area(a, b, point)], axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    # The outline is cut pixel by pixel, not by triangles, and under the jaw where the skin would be stretched.
    face = (weights * inside_mm[corners]).sum(axis=1) > 0
    face &= ~_below_the_jaw(np.einsum("vk,vkd->vd", weights, model.neutral[corners]), index)
    index = index[face]
    return Unwrapping(Topology(index, triangles_of(index), _landmark_pixels(index)), corners[face], weights[face])


def _below_the_jaw(points_mm: FloatArray, index: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Which pixels lie at or below the first step of more than ``STEP_MM`` from row to row in the map's lower part.

    What that leaves of the jaw's corners is rounded off.
    """
    sheet = np.full((SIDE * SIDE, 3), np.nan, np.float32)
    sheet[index] = points_mm
    steps = np.linalg.norm(np.diff(sheet.reshape(SIDE, SIDE, 3), axis=0), axis=2) > STEP_MM  # NaN is no step
    steps[:JAW_ROW] = False
    below = np.zeros((SIDE, SIDE), np.bool_)
    below[1:] = np.logical_or.accumulate(steps, axis=0)
    kept = np.zeros((SIDE, SIDE), np.uint8)
    kept.ravel()[index] = 1
    kept[below] = 0
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (ROUND_PX, ROUND_PX))
    return np.asarray(cv2.morphologyEx(kept, cv2.MORPH_OPEN, disc)).ravel()[index] == 0


def _landmark_pixels(index: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Column and row (68, 2) of the face pixels nearest to the neutral face's landmarks."""
    neutral = FaceParameters({})
    placement = face_placement(neutral)
    points = landmarks_68_mm(neutral) @ placement.turn + placement.centre_mm
    rows, columns = np.divmod(index, SIDE)
    flat = _unrolled(points)
    distance = (flat[:, :1] - columns) ** 2 + (flat[:, 1:2] - rows) ** 2
    return np.stack([columns, rows], axis=1)[np.argmin(distance, axis=1)].astype(np.int32)


def position_map(parameters: FaceParameters, camera: Camera, crop: Crop) -> FloatArray:
    """The position map (256, 256, 3) of a parametric face in a crop of its picture, in crop pixels; 0 off the face.

    ``camera`` took the picture of :func:`face_mesh` of the same parameters. x and y are
    exact; z is scaled as at the face's middle, as networks that know no distance do.
    """
    model, unrolled = load_model(), unwrapping()
    placement = face_placement(parameters)
    placed = placement.place(model.refine @ placement.coarse_mm)
    points = np.einsum("vk,vkd->vd", unrolled.weights, placed[unrolled.corners])
    photo = project(points.astype(np.float32), camera)
    matrix = np.linalg.inv(crop.to_photo[:, :2])
    flat = (photo[:, :2] - 0.5 - crop.to_photo[:, 2]) @ matrix.T
    z = points[:, 2] * camera.focal_px / camera.distance_mm / crop.step
    result = np.zeros((SIDE * SIDE, 3), np.float32)
    result[unrolled.topology.index] = np.concatenate([flat, z[:, None]], axis=1)
    return result.reshape(SIDE, SIDE, 3)


class StandIn:
    """PRNet's part for one rendered face: crops like it, and answers with the exact position map.

    A :class:`MeshSource` that shows every step where no model's weights are installed.
    ``camera`` took the picture of the face with these ``parameters``.
    """

    name = "stand-in for PRNet"
    fingerprint = "stand-in"

    def __init__(self, parameters: FaceParameters, camera: Camera) -> None:
        self.parameters, self.camera = parameters, camera
        self.topology = unwrapping().topology
        self.triangles = np.ascontiguousarray(self.topology.triangles[:, [0, 2, 1]])

    def crop(self, picture: npt.NDArray[np.uint8], face: Face) -> Crop:
        """PRNet's crop."""
        return crop_for(picture, face)

    def position_maps(self, crops: Sequence[Crop]) -> FloatArray:
        """The face's position map in each crop, (n, 256, 256, 3)."""
        return np.stack([position_map(self.parameters, self.camera, crop) for crop in crops])

    def faces(self, crops: Sequence[Crop]) -> list[PhotoFace | None]:
        """The face's mesh in photo pixels, by way of its position map."""
        maps = self.position_maps(crops)
        return [photo_face(one, crop, self.topology) for one, crop in zip(maps, crops, strict=True)]

    def mesh(self, face: PhotoFace) -> Mesh:
        """Its surface in millimetres."""
        return mesh_in_millimetres(face.vertices_px, self.triangles, face.landmarks_px)


def source_at_hand(portrait: Portrait) -> MeshSource:
    """The best mesh source there is: PRNet, else MediaPipe's face mesh, else the stand-in, which knows the portrait.

    Raises :class:`KitError` where files are there but not sound.
    """
    if files_present():
        return PRNet()
    if model_present():
        return FaceMesh()
    return StandIn(portrait.face, portrait.camera)
