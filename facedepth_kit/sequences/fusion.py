"""KinectFusion: a person's surface from a few depth frames of a turn (section 7, Figure 7).

OpenCV's parts of it: each frame is held against the model as the last camera saw it (``cv2.Odometry``), then added to a
truncated signed distance volume (``cv2.Volume``). ``cv2.kinfu``, which joins the two, is left out of the wheels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from facedepth_kit.cameras.recorded.folder import RecordingFolder
from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.cameras.simulated.paired_recordings import LOWER, TRUTH, TRUTH_FILE, read_clean_depth
from facedepth_kit.common.errors import KitError
from facedepth_kit.rendering.mesh import Mesh, quad_triangles
from facedepth_kit.sequences.reprojection import rotation_between_deg, unproject

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

# Measured on planes and spheres (OpenCV 5.0): what is integrated lies one voxel too near along the volume's z axis, and
# points that are fetched lie half a voxel further on each axis.
INTEGRATED_OFF = np.array([0.0, 0.0, -1.0])
FETCHED_OFF = np.array([0.5, 0.5, 0.5])
FAR_MM = 6000.0


@dataclass(frozen=True)
class FusionSettings:
    """How frames become a surface; section 7 says seven frames, the rest is ours.

    ``frames`` are picked evenly from a recording. ``voxel_mm`` is the volume's step and ``truncation_mm`` how far from
    a measured surface it is written. The volume reaches ``around_mm`` beyond the first frame's person to the sides and
    the front, and ``behind_mm`` behind their nearest point. ``most_turn_deg`` and ``most_move_mm``: what may lie
    between two frames in the camera's axes. Left out of every frame are pixels more than ``band_mm`` behind the
    median (depth thresholding, as in section 7) and those within ``edge_px`` of a jump of more than ``edge_mm``:
    there, sensors mix two surfaces.
    """

    frames: int = 7
    voxel_mm: float = 8.0
    truncation_mm: float = 40.0
    around_mm: float = 120.0
    behind_mm: float = 750.0
    most_turn_deg: float = 30.0
    most_move_mm: float = 1200.0
    band_mm: float = 450.0
    edge_mm: float = 150.0
    edge_px: int = 2

    def __post_init__(self) -> None:
        if not (self.frames >= 1 and self.voxel_mm > 0 and self.truncation_mm > self.voxel_mm):
            raise KitError(f"fusion: found {self}, expected frames and a truncation of more than a voxel")


@dataclass(frozen=True, eq=False)
class Fused:
    """A surface and how it came about.

    ``surface`` lies in the first frame's camera, in the axes of meshes (x right, y up, z towards the camera). ``poses``
    float64 (n, 4, 4) take points of each frame's camera (x right, y down, z forward, millimetres) into the first one's;
    NaN for a frame that could not be tracked and was left out.
    """

    surface: Mesh
    poses: Matrix

    @property
    def tracked(self) -> int:
        """How many frames went into the surface."""
        return int(np.isfinite(self.poses[:, 0, 0]).sum())

    @property
    def turned_deg(self) -> float:
        """The angle between the first frame and the last one that was tracked."""
        return rotation_between_deg(np.eye(4), self.poses[np.isfinite(self.poses[:, 0, 0])][-1])


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """Indices of ``wanted`` of ``count`` frames, from the first to the last."""
    return [int(i) for i in np.linspace(0, count - 1, min(wanted, count)).round()]


def person_depths(
    folder: str | Path, wanted: int, *, farthest_mm: float | None = None
) -> tuple[list[FloatArray], Intrinsics]:
    """Evenly picked depth frames (rows, columns) of a recording, NaN = hole or background, and the camera.

    The background goes as in section 7: by the person's mask where the recording belongs to a simulated pair, and by
    depth, everything beyond ``farthest_mm``. Raises :class:`KitError` for a recording without intrinsics.
    """
    folder = Path(folder)
    recording = RecordingFolder(folder)
    simulated = (folder.parent / TRUTH / TRUTH_FILE).is_file() and folder.name == LOWER
    depths: list[FloatArray] = []
    camera = recording.read(recording.names[0]).intrinsics
    if camera is None:
        raise KitError(f"{folder}: found no intrinsics, expected them in recording.json")
    for i in evenly_spaced(len(recording), wanted):
        frame = recording.read(recording.names[i])
        person = frame.depth > 0
        depth_mm = frame.depth.astype(np.float32) * np.float32(frame.unit_mm)
        if simulated:
            person &= read_clean_depth(folder.parent, frame.name)[1]
        if farthest_mm is not None:
            person &= depth_mm <= farthest_mm
        depths.append(np.where(person, depth_mm, np.float32(np.nan)))
    return depths, camera


class _Volume:
    """A truncated signed distance volume whose content lies where it was measured; millimetres at this door."""

    def __init__(self, camera: Intrinsics, low_mm: Matrix, high_mm: Matrix, settings: FusionSettings) -> None:
        self.camera, self.low_mm, self.voxel_mm = camera, low_mm, settings.voxel_mm
        matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float32)
        about = cv2.VolumeSettings(cv2.VolumeType_TSDF)
        about.setCameraIntegrateIntrinsics(matrix)
        about.setCameraRaycastIntrinsics(matrix)
        about.setIntegrateWidth(camera.width)
        about.setIntegrateHeight(camera.height)
        about.setRaycastWidth(camera.width)
        about.setRaycastHeight(camera.height)
        about.setDepthFactor(1.0)
        about.setMaxDepth(FAR_MM / 1000)
        about.setVoxelSize(settings.voxel_mm / 1000)
        about.setTsdfTruncateDistance(settings.truncation_mm / 1000)
        about.setVolumeResolution(np.ceil((high_mm - low_mm) / settings.voxel_mm).astype(np.int32))
        pose = np.eye(4, dtype=np.float32)
        pose[:3, 3] = low_mm / 1000
        about.setVolumePose(pose)
        self._volume = cv2.Volume(cv2.VolumeType_TSDF, about)

    def _metres(self, pose: Matrix, off: Matrix) -> FloatArray:
        moved = pose.copy()
        moved[:3, 3] = (pose[:3, 3] + off * self.voxel_mm) / 1000
        return moved.astype(np.float32)

    def add(self, depth_mm: FloatArray, pose: Matrix) -> None:
        """A frame (rows, columns), NaN = hole, seen from a pose (4, 4)."""
        self._volume.integrate(_metres(depth_mm), self._metres(pose, -INTEGRATED_OFF))

    def seen_from(self, pose: Matrix) -> FloatArray:
        """The model's depth (rows, columns) as the camera sees it from a pose, NaN where there is none."""
        points, _ = self._volume.raycast(self._metres(pose, 0 * FETCHED_OFF))
        depth_mm = np.asarray(points)[..., 2] * np.float32(1000)
        return np.where(depth_mm > 0, depth_mm, np.float32(np.nan)).astype(np.float32)

    def crossings(self) -> tuple[Matrix, Matrix]:
        """Where the surface crosses the voxels' edges, in voxels (n, 3) from ``low_mm``, and its normals (n, 3)."""
        points, normals = self._volume.fetchPointsNormals()
        if points is None:
            return np.empty((0, 3)), np.empty((0, 3))
        place = np.asarray(points, np.float64).reshape(-1, 4)[:, :3] * 1000
        direction = np.asarray(normals, np.float64).reshape(-1, 4)[:, :3]
        known = np.isfinite(place).all(axis=1)
        return (place[known] - self.low_mm) / self.voxel_mm - FETCHED_OFF, direction[known]


def _metres(depth_mm: FloatArray) -> FloatArray:
    return np.ascontiguousarray(np.nan_to_num(depth_mm) / np.float32(1000))


def without_edges(depth_mm: FloatArray, settings: FusionSettings) -> FloatArray:
    """A frame (rows, columns) without what lies far behind and without pixels at jumps in depth: NaN there."""
    if not np.isfinite(depth_mm).any():
        return depth_mm
    known = np.isfinite(depth_mm) & (depth_mm <= np.nanmedian(depth_mm) + settings.band_mm)
    window = np.ones((2 * settings.edge_px + 1,) * 2, np.uint8)
    nearest = cv2.erode(np.where(known, depth_mm, np.float32(1e6)).astype(np.float32), window)
    farthest = cv2.dilate(np.where(known, depth_mm, np.float32(-1e6)).astype(np.float32), window)
    return np.where(known & (farthest - nearest <= settings.edge_mm), depth_mm, np.float32(np.nan)).astype(np.float32)


def surface_net(crossings: Matrix, normals: Matrix) -> Mesh:
    """Triangles through points where a surface crosses the edges of a grid of step 1.

    Every edge that is crossed gives a quad between the four cells around it; a cell's vertex is the mean of its
    crossings. ``crossings`` (n, 3) have two whole coordinates, ``normals`` (n, 3) say which side is outside.
    """
    if not len(crossings):
        return Mesh(np.empty((0, 3), np.float32), np.empty((0, 3), np.int32))
    axis = np.abs(crossings - np.rint(crossings)).argmax(axis=1)
    corner = np.rint(crossings).astype(np.int64)
    rows = np.arange(len(crossings))
    corner[rows, axis] = np.floor(crossings[rows, axis]).astype(np.int64)
    corner -= corner.min(axis=0) - 1
    size = corner.max(axis=0) + 2
    # The cells around an edge, counter-clockwise seen from the edge's far end.
    one, other = np.eye(3, dtype=np.int64)[(axis + 1) % 3], np.eye(3, dtype=np.int64)[(axis + 2) % 3]
    around = np.stack([corner - one - other, corner - other, corner, corner - one], axis=1)
    keys = np.ravel_multi_index(tuple(around.reshape(-1, 3).T), tuple(size))
    cells, quads = np.unique(keys, return_inverse=True)
    quads = quads.reshape(-1, 4)
    count = np.bincount(quads.ravel(), minlength=len(cells))
    vertices = np.stack(
        [np.bincount(quads.ravel(), np.repeat(column, 4), len(cells)) / count for column in crossings.T], axis=1
    )
    inwards = normals[rows, axis] < 0
    quads[inwards] = quads[inwards, ::-1]
    return Mesh(vertices.astype(np.float32), quad_triangles(quads))


def fuse(
    depths_mm: Iterable[FloatArray],
    camera: Intrinsics,
    settings: FusionSettings | None = None,
    *,
    poses: Matrix | None = None,
) -> Fused:
    """A surface from depth frames (rows, columns) of one moving person, NaN = hole or background.

    Frames are tracked, unless ``poses`` (n, 4, 4) are known, as in :class:`Fused`. Raises :class:`KitError` for frames
    of another size than the camera's and for a first frame without a surface.
    """
    settings = settings or FusionSettings()
    volume: _Volume | None = None
    found: list[Matrix] = []
    pose = np.eye(4)
    for number, depth_mm in enumerate(depths_mm):
        if depth_mm.shape != (camera.height, camera.width):
            size = "x".join(map(str, depth_mm.shape[::-1]))
            raise KitError(f"fusion: found a frame of {size} pixels, expected {camera.width}x{camera.height}")
        depth_mm = without_edges(depth_mm, settings)
        if volume is None:
            volume = _Volume(camera, *_reach(depth_mm, camera, settings), settings)
        if poses is not None:
            pose = poses[number]
        elif found:
            step = _step(depth_mm, volume.seen_from(pose), camera, settings)
            if step is None:
                found.append(np.full((4, 4), np.nan))
                continue
            pose = pose @ step
        volume.add(depth_mm, pose)
        found.append(pose)
    if volume is None:
        raise KitError("fusion: found no frames, expected one or more")
    net = surface_net(*volume.crossings())
    places = net.vertices_mm.astype(np.float64) * settings.voxel_mm + volume.low_mm
    # Cameras' y points down and z away; the surface lies in the axes of meshes.
    return Fused(Mesh((places * (1, -1, -1)).astype(np.float32), net.triangles), np.stack(found))


def _reach(depth_mm: FloatArray, camera: Intrinsics, settings: FusionSettings) -> tuple[Matrix, Matrix]:
    """The volume's two corners (mm): around the first frame's person, wholly in front of the camera."""
    points = unproject(depth_mm, camera).reshape(-1, 3)
    points = points[np.isfinite(points[:, 2])]
    if len(points) < 100:
        raise KitError(f"fusion: found {len(points)} measured pixels in the first frame, expected a person")
    low, high = np.percentile(points, 1, axis=0), np.percentile(points, 99, axis=0)
    low, high = low - settings.around_mm, high + settings.around_mm
    low[2] = max(low[2], 4 * settings.voxel_mm)
    high[2] = low[2] + settings.around_mm + settings.behind_mm
    return low, high


def _step(depth_mm: FloatArray, model_mm: FloatArray, camera: Intrinsics, settings: FusionSettings) -> Matrix | None:
    """The transform (4, 4) from a new frame's camera to the one that saw the model; None where none was found."""
    about = cv2.OdometrySettings()
    about.setCameraMatrix(np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float32))
    about.setMaxRotation(settings.most_turn_deg)
    about.setMaxTranslation(settings.most_move_mm / 1000)
    about.setMaxDepth(FAR_MM / 1000)
    odometry = cv2.Odometry(cv2.OdometryType_DEPTH, about, cv2.OdometryAlgoType_COMMON)
    try:
        found, step = odometry.compute(_metres(depth_mm), _metres(model_mm))
    except cv2.error:
        return None
    if not found or not np.isfinite(step).all():
        return None
    step = np.asarray(step, np.float64).copy()
    step[:3, 3] *= 1000
    return step


def distances_mm(points_mm: FloatArray, surface: Mesh, *, samples: int = 100_000) -> FloatArray:
    """How far points (n, 3) lie from a surface, float32 (n,) mm: to the plane of the nearest of its samples.

    The samples lie evenly on the surface; where it ends, the distance to its rim counts.
    """
    corners = surface.vertices_mm[surface.triangles].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    if not areas.sum() > 0:
        raise KitError("fusion: found a surface without area, expected one to measure from")
    rng = np.random.default_rng(0)
    chosen = np.searchsorted(np.cumsum(areas), (np.arange(samples) + 0.5) / samples * areas.sum())
    share = rng.dirichlet((1.0, 1.0, 1.0), samples)
    places = (corners[chosen] * share[..., None]).sum(axis=1)
    away, nearest = cKDTree(places).query(points_mm.astype(np.float64))
    normal = normals[chosen[nearest]] / areas[chosen[nearest], None]
    across = np.abs(((points_mm - places[nearest]) * normal).sum(axis=1))
    spacing = 2 * np.sqrt(areas.sum() / 2 / samples)
    along = np.sqrt(np.maximum(away**2 - across**2, 0))
    return np.hypot(across, np.maximum(along - spacing, 0)).astype(np.float32)
