"""Simulated depth cameras: what a Kinect v1 and a RealSense D435 would have measured of a scene of meshes.

Both triangulate, so both are simulated by one mechanism. A reference imager sees the scene; a partner (the Kinect's
projector, the D435's second imager) sees it from a baseline further right. What both see offers *features* (projected
dots, texture), each with its own disparity and an error of localisation. Around every pixel of the reference imager a
window of features votes for a disparity, which is rounded to the sensor's sub-pixel steps. Everything that depth
cameras are known for comes from there: steps, correlated noise that grows with the square of the distance, ragged
edges, shadows beside things in front, and dropouts where a window has too few features: on dark, shiny or steep
surfaces. In the end the depth is brought into the view of the colour camera beside the imager, as drivers do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds, check_shares
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, joined, painted
from facedepth_kit.rendering.shading import Light, render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm

FloatArray = npt.NDArray[np.float32]
Frame = npt.NDArray[np.uint16]


INFRARED_POWER = 0.4  # exponent on the albedo in red light: skin, and even more so hair, is brighter in near infrared


@dataclass(frozen=True)
class SensorSettings:
    """A triangulating depth camera; the defaults are a Kinect v1's, :class:`ActiveStereo` has a D435's.

    ``focal_px`` of the reference imager and ``baseline_mm`` to the partner turn disparity d (px) into depth
    focal * baseline / d; ``steps_per_px`` is the sub-pixel rounding of d. ``colour_mm`` is where the colour camera
    stands on the baseline, from the reference imager towards the partner. ``window_px`` (odd) is the side of the
    window, ``feature_share`` the share of pixels that carry a feature, ``least_features`` how many must agree within
    ``tolerance_px`` of disparity. ``feature_noise_px`` is the standard deviation of a feature's localisation,
    ``pixel_noise_px`` that of each pixel's own estimate. A feature is lost where the returned light (1 = white, facing
    the camera, at ``full_light_mm``) falls below a level that differs from feature to feature between the two values of
    ``dark``, and where a glossy surface mirrors more than ``glare`` of the light into the imager. ``glass_loss`` is the
    share of features lost behind a lens; where its normal lies within ``glass_glare_deg`` of the direction that mirrors
    the partner's light into the imager, all are. ``unit_mm`` is a step of the output, ``nearest_mm`` and
    ``farthest_mm`` are what the camera reports at all.
    """

    focal_px: float = 575.8
    baseline_mm: float = 75.0
    colour_mm: float = 25.0
    steps_per_px: int = 8
    window_px: int = 11
    feature_share: float = 0.12
    least_features: int = 2
    tolerance_px: float = 1.5
    feature_noise_px: float = 0.15
    pixel_noise_px: float = 0.045
    dark: tuple[float, float] = (0.063, 0.073)
    full_light_mm: float = 800.0
    glare: float = 0.09
    glass_loss: float = 0.3
    glass_glare_deg: float = 11.0
    unit_mm: float = 1.0
    nearest_mm: float = 450.0
    farthest_mm: float = 4000.0

    def __post_init__(self) -> None:
        if self.window_px % 2 == 0:
            raise KitError(f"sensor: found a window of {self.window_px} px, expected an odd number")
        check_shares(self)
        check_bounds(self, focal_px=(1, 100_000), baseline_mm=(0.1, 10_000), colour_mm=(-1000, 1000))
        check_bounds(
            self, steps_per_px=(1, 100_000), window_px=(1, 999), least_features=(1, 10**6), unit_mm=(0.001, 1000)
        )
        check_bounds(self, tolerance_px=(0, 1000), feature_noise_px=(0, 1000), pixel_noise_px=(0, 1000), dark=(0, 1000))
        check_bounds(self, full_light_mm=(0, 100_000), glare=(0, 1000), glass_loss=(0, 1), glass_glare_deg=(0, 180))
        check_bounds(self, nearest_mm=(1, 100_000), farthest_mm=(self.nearest_mm, 100_000))

    def step_mm(self, depth_mm: float) -> float:
        """The distance between neighbouring disparities at a depth: depth² / (focal * baseline * steps)."""
        return depth_mm**2 / (self.focal_px * self.baseline_mm * self.steps_per_px)


@dataclass(frozen=True)
class StructuredLight(SensorSettings):
    """A Kinect v1.

    Known: 75 mm from infrared camera to projector, 25 mm to the colour camera between them, disparities in 1/8 px,
    infrared focal lengths of 575 to 585 px at 640x480 (the calibrations that OpenNI and ROS ship), some 35,000 dots in
    a frame, which is a tenth of its pixels. Published simulators of it use windows of 9x9 px. Noise, losses and the
    window are calibrated: row None of Table V, roughness and holes.
    """


@dataclass(frozen=True)
class ActiveStereo(SensorSettings):
    """A RealSense D435 at 1280x720.

    Known: 50 mm between the imagers, the colour camera 15 mm beyond the left one, a focal length of about 640 px at
    that resolution, disparities in 1/32 px (five fractional bits). Noise, losses and features are calibrated: row None
    of Table V, roughness and holes.
    """

    focal_px: float = 640.0
    baseline_mm: float = 50.0
    colour_mm: float = -15.0
    steps_per_px: int = 32
    window_px: int = 9
    feature_share: float = 0.25
    tolerance_px: float = 2.5
    feature_noise_px: float = 0.65
    pixel_noise_px: float = 0.03
    dark: tuple[float, float] = (0.004, 0.03)
    full_light_mm: float = 500.0
    glass_loss: float = 0.4
    glass_glare_deg: float = 15.5
    nearest_mm: float = 200.0
    farthest_mm: float = 10000.0


def measure_depth(
    parts: Sequence[ColouredMesh],
    camera: Camera,
    sensor: SensorSettings,
    rng: np.random.Generator,
    *,
    lenses: Sequence[Mesh] = (),
) -> Frame:
    """The depth frame of a scene as the sensor hands it on, aligned with the colour ``camera``.

    ``parts`` are in the space of ``camera``. ``lenses`` are clear (spectacles): light passes, but features behind them
    are lost. Returns uint16 (rows, columns) of ``camera`` in steps of ``sensor.unit_mm``, 0 = hole. Raises
    :class:`KitError` for a scene that reaches behind the camera.
    """
    return read(look(parts, camera, sensor, lenses=lenses), camera, sensor, rng)


@dataclass(frozen=True, eq=False)
class Sight:
    """What the sensor's two eyes see of a scene, before anything is measured.

    ``reference`` is the reference imager as a camera, ``depth_mm``, ``albedo`` (near infrared), ``gloss``, ``normals``
    its view as in :class:`View`. ``glare_deg``, float32, is how far the normal of a lens
    before the surface is from mirroring the partner's light into the imager, NaN without a lens. ``partner_mm`` is the
    partner's depth, float32; its columns begin ``partner_left`` px further left.
    """

    reference: Camera
    depth_mm: FloatArray
    albedo: FloatArray
    gloss: FloatArray
    normals: FloatArray
    glare_deg: FloatArray
    partner_mm: FloatArray
    partner_left: float


def look(
    parts: Sequence[ColouredMesh], camera: Camera, sensor: SensorSettings, *, lenses: Sequence[Mesh] = ()
) -> Sight:
    """Render a scene for the reference imager and its partner. Arguments and errors as in :func:`measure_depth`."""
    reference = _reference_camera(camera, sensor)
    partner = _partner_camera(reference, sensor)
    view = render_view(_moved(parts, sensor.colour_mm), reference, Light(shadows=False))
    return Sight(
        reference,
        view.depth_mm,
        view.albedo[..., 0] ** np.float32(INFRARED_POWER),
        view.gloss,
        view.normals,
        _lens_glare_deg(lenses, view.depth_mm, reference, sensor),
        _depth_mm([part.mesh for part in parts], sensor.colour_mm - sensor.baseline_mm, partner),
        partner.centre_px[0] - reference.centre_px[0],
    )


def read(sight: Sight, camera: Camera, sensor: SensorSettings, rng: np.random.Generator) -> Frame:
    """Find features, let them vote, round, and align with the colour ``camera``: the depth frame of a sight."""
    voted = vote(find_features(sight, sensor, rng), sensor)
    voted += rng.standard_normal(voted.shape, np.float32) * np.float32(sensor.pixel_noise_px)
    with np.errstate(divide="ignore", invalid="ignore"):
        rounded = np.rint(voted * sensor.steps_per_px) / np.float32(sensor.steps_per_px)
        measured_mm = (np.float32(sensor.focal_px * sensor.baseline_mm) / rounded).astype(np.float32)
    return align(measured_mm, sight.reference, camera, sensor)


def find_features(sight: Sight, sensor: SensorSettings, rng: np.random.Generator) -> FloatArray:
    """Disparities (px, float32) of the features that both eyes see, at the reference imager's pixels; NaN elsewhere."""
    disparity = np.full(sight.depth_mm.shape, np.nan, np.float32)
    _find_features(
        sight.depth_mm,
        sight.partner_mm,
        sight.albedo,
        sight.gloss,
        sight.normals,
        _glass_loss(sight.glare_deg, sensor),
        np.array([sight.reference.focal_px, *sight.reference.centre_px, sight.partner_left]),
        np.array([sensor.baseline_mm, sensor.feature_share, *sensor.dark, sensor.full_light_mm, sensor.glare]),
        disparity,
    )
    disparity += rng.standard_normal(disparity.shape, np.float32) * np.float32(sensor.feature_noise_px)
    return disparity


def vote(disparity: FloatArray, sensor: SensorSettings) -> FloatArray:
    """The disparity that most features in the window around each pixel agree on, float32; NaN where too few do."""
    voted = np.full(disparity.shape, np.nan, np.float32)
    _vote(disparity, sensor.window_px // 2, sensor.least_features, sensor.tolerance_px, voted)
    return voted


def align(measured_mm: FloatArray, reference: Camera, camera: Camera, sensor: SensorSettings) -> Frame:
    """Depth of the reference imager as the colour camera sees it, uint16 steps, 0 = hole; the nearer surface wins.

    Enlarged, a measured pixel covers the rectangle between its corners, as in the SDK's align block; reduced, one
    pixel.
    """
    frame = np.zeros(camera.shape, np.uint16)
    steps = np.rint(np.nan_to_num(measured_mm, nan=0.0) / np.float32(sensor.unit_mm))
    steps[(measured_mm < sensor.nearest_mm) | (measured_mm > sensor.farthest_mm) | (steps > 65535)] = 0
    _splat(
        steps.astype(np.uint16),
        np.array([reference.focal_px, *reference.centre_px, sensor.unit_mm, sensor.colour_mm]),
        np.array([camera.focal_px, *camera.centre_px]),
        frame,
    )
    return frame


def _moved(parts: Sequence[ColouredMesh], right_mm: float) -> list[ColouredMesh]:
    return [replace(part, mesh=part.mesh.moved((right_mm, 0, 0))) for part in parts]


def _lens_glare_deg(
    lenses: Sequence[Mesh], depth_mm: FloatArray, reference: Camera, sensor: SensorSettings
) -> FloatArray:
    """Degrees between each lens's normal and the middle between the directions to the imager and to the partner."""
    angle_deg = np.full(depth_mm.shape, np.nan, np.float32)
    if not lenses:
        return angle_deg
    clear = [painted(lens, (0.0, 0.0, 0.0)) for lens in lenses]
    glass = render_view(_moved(clear, sensor.colour_mm), reference, Light(shadows=False))
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero(glass.depth_mm < depth_mm)
    z = glass.depth_mm[rows, columns].astype(np.float64)
    x = (columns + 0.5 - reference.centre_px[0]) * z / reference.focal_px
    y = -(rows + 0.5 - reference.centre_px[1]) * z / reference.focal_px
    eyes = [np.stack([base - x, -y, z], axis=1) for base in (0.0, sensor.baseline_mm)]
    middle = sum(eye / np.linalg.norm(eye, axis=1, keepdims=True) for eye in eyes)
    cosine = (glass.normals[rows, columns] * middle).sum(axis=1) / np.linalg.norm(middle, axis=1)
    angle_deg[rows, columns] = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    return angle_deg


def _glass_loss(glare_deg: FloatArray, sensor: SensorSettings) -> FloatArray:
    """The share of features lost at each pixel, float32."""
    with np.errstate(invalid="ignore"):
        loss = np.where(glare_deg < sensor.glass_glare_deg, 1.0, sensor.glass_loss)
    return np.where(np.isnan(glare_deg), 0.0, loss).astype(np.float32)


def _depth_mm(meshes: Sequence[Mesh], right_mm: float, camera: Camera) -> FloatArray:
    """The scene moved to the right: what a camera that stands as much further left sees."""
    return render_depth_mm(joined(meshes).moved((right_mm, 0, 0)), camera)


def _reference_camera(camera: Camera, sensor: SensorSettings) -> Camera:
    """The part of the reference imager's picture that the colour camera sees, with a margin for windows."""
    rows, columns = camera.shape
    scale = sensor.focal_px / camera.focal_px
    margin = sensor.window_px // 2 + 1
    shift = sensor.focal_px * sensor.colour_mm / sensor.nearest_mm
    left = int(np.ceil(camera.centre_px[0] * scale - min(shift, 0.0))) + margin
    right = int(np.ceil((columns - camera.centre_px[0]) * scale + max(shift, 0.0))) + margin
    top = int(np.ceil(camera.centre_px[1] * scale)) + margin
    bottom = int(np.ceil((rows - camera.centre_px[1]) * scale)) + margin
    return Camera(camera.distance_mm, sensor.focal_px, (float(left), float(top)), left + right, top + bottom)


def _partner_camera(reference: Camera, sensor: SensorSettings) -> Camera:
    """The same picture from the partner's place, wider by the largest disparity, on the side it moves things to."""
    extra = int(np.ceil(sensor.focal_px * sensor.baseline_mm / sensor.nearest_mm)) + 2
    centre = (reference.centre_px[0] + extra, reference.centre_px[1])
    return replace(reference, centre_px=centre, size_px=reference.size_px + extra)


@numba.njit(cache=True, nogil=True)
def _hash(row: int, column: int, key: int) -> float:
    """A fixed random number in 0..1 for a cell: patterns are printed into the hardware."""
    value = np.uint64(row) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(column) * np.uint64(0xC2B2AE3D27D4EB4F)
    value += np.uint64(key) * np.uint64(0x165667B19E3779F9)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(29)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(32)
    return float(value >> np.uint64(11)) / 9007199254740992.0


@numba.njit(cache=True, nogil=True)
def _find_features(
    depth_mm: FloatArray,
    partner_mm: FloatArray,
    albedo: FloatArray,
    gloss: FloatArray,
    normals: FloatArray,
    glass_loss: FloatArray,
    geometry: npt.NDArray[np.float64],
    light: npt.NDArray[np.float64],
    disparity: FloatArray,
) -> None:
    """Disparities of the features that both imagers see; what has none stays NaN."""
    height, width = depth_mm.shape
    focal, centre_x, centre_y, extra = geometry
    baseline, share, darkest, dark, full_light, glare = light
    for row in range(height):
        for column in range(width):
            z = depth_mm[row, column]
            if np.isnan(z):
                continue
            d = focal * baseline / z
            place = column + 0.5 - d + extra
            cell = int(np.floor(place))
            if cell < 1 or cell >= partner_mm.shape[1] - 1 or _hash(row, cell, 0) >= share:
                continue
            # Hidden from the partner if something nearer stands there; a pixel beside it may belong to this surface.
            seen = False
            for neighbour in range(cell - 1, cell + 2):
                if not partner_mm[row, neighbour] < z - 3.0:
                    seen = True
            if not seen:
                continue
            x, y = (column + 0.5 - centre_x) * z / focal, -(row + 0.5 - centre_y) * z / focal
            nx, ny, nz = normals[row, column, 0], normals[row, column, 1], normals[row, column, 2]
            length = np.sqrt(x * x + y * y + z * z)
            ex, ey, ez = -x / length, -y / length, z / length
            shine = gloss[row, column]
            facing = max(nx * ex + ny * ey + nz * ez, 0.0)
            # What a surface mirrors it does not scatter.
            back = albedo[row, column] * (1 - 0.8 * shine) * facing * (full_light / length) ** 2
            if back < darkest + (dark - darkest) * _hash(row, cell, 1):
                continue
            lx = baseline - x
            length = np.sqrt(lx * lx + y * y + z * z)
            hx, hy, hz = ex + lx / length, ey - y / length, ez + z / length
            length = np.sqrt(hx * hx + hy * hy + hz * hz)
            exponent = 6 + 160 * shine * shine
            mirrored = max((nx * hx + ny * hy + nz * hz) / length, 0.0) ** exponent
            if shine * 0.04 * (exponent + 8) / 8 * mirrored > glare:
                continue
            if _hash(row, cell, 2) < glass_loss[row, column]:
                continue
            disparity[row, column] = d


@numba.njit(cache=True, nogil=True)
def _vote(disparity: FloatArray, reach: int, least: int, tolerance: float, voted: FloatArray) -> None:
    """For each pixel the mean of the largest group of features in its window that agree; NaN where it is too small."""
    height, width = disparity.shape
    # The features alone, row by row: most pixels have none.
    columns, values = np.empty(disparity.size, np.int32), np.empty(disparity.size, np.float32)
    starts = np.zeros(height + 1, np.int64)
    total = 0
    for row in range(height):
        for column in range(width):
            if not np.isnan(disparity[row, column]):
                columns[total] = column
                values[total] = disparity[row, column]
                total += 1
        starts[row + 1] = total
    side = 2 * reach + 1
    first, last = np.empty(side, np.int64), np.empty(side, np.int64)
    found = np.empty(side * side, np.float32)
    for row in range(reach, height - reach):
        for k in range(side):
            first[k] = last[k] = starts[row - reach + k]
        for column in range(reach, width - reach):
            count, low, high, mean = 0, np.float32(np.inf), np.float32(-np.inf), 0.0
            for k in range(side):
                end = starts[row - reach + k + 1]
                while last[k] < end and columns[last[k]] <= column + reach:
                    last[k] += 1
                while first[k] < last[k] and columns[first[k]] < column - reach:
                    first[k] += 1
                for place in range(first[k], last[k]):
                    value = values[place]
                    found[count] = value
                    count += 1
                    low, high = min(low, value), max(high, value)
                    mean += value
            if count < least:
                continue
            if high - low <= 2 * tolerance:
                voted[row, column] = mean / count
                continue
            agreed = np.sort(found[:count])
            best, start, end, begin = 0, 0, 0, 0
            for place in range(count):
                while agreed[place] - agreed[begin] > 2 * tolerance:
                    begin += 1
                if place - begin + 1 >= best:  # of two groups alike the nearer one
                    best, start, end = place - begin + 1, begin, place
            if best >= least:
                mean = 0.0
                for place in range(start, end + 1):
                    mean += agreed[place]
                voted[row, column] = mean / best


@numba.njit(cache=True, nogil=True)
def _splat(steps: Frame, reference: npt.NDArray[np.float64], camera: npt.NDArray[np.float64], frame: Frame) -> None:
    focal, centre_x, centre_y, unit_mm, colour_mm = reference
    other_focal, other_x, other_y = camera
    height, width = frame.shape
    half = 0.5 if other_focal > focal else 0.0
    for row in range(steps.shape[0]):
        for column in range(steps.shape[1]):
            value = steps[row, column]
            if value == 0:
                continue
            shift = colour_mm / (value * unit_mm)
            left = int(np.floor(((column + 0.5 - half - centre_x) / focal - shift) * other_focal + other_x))
            right = int(np.floor(((column + 0.5 + half - centre_x) / focal - shift) * other_focal + other_x))
            top = int(np.floor((row + 0.5 - half - centre_y) / focal * other_focal + other_y))
            bottom = int(np.floor((row + 0.5 + half - centre_y) / focal * other_focal + other_y))
            for i in range(max(top, 0), min(bottom, height - 1) + 1):
                for j in range(max(left, 0), min(right, width - 1) + 1):
                    if frame[i, j] == 0 or value < frame[i, j]:
                        frame[i, j] = value
