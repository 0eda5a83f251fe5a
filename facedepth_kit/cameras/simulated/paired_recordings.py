"""Two depth cameras that record one person at once, simulated: what the second paper's rig would write (section 4).

A person turns round once and then moves freely in a textured room. A lower-quality sensor (as an iPhone's TrueDepth)
and a higher-quality one (as a Kinect v2) are mounted side by side; each has its own clock, its own start and its own
jittering frame rate. What the alignment has to find, and the depth without noise, are stored apart in ``truth/``:

    PAIR/lower/NNNN_depth.png, NNNN_color.png, recording.json     PAIR/higher/...     PAIR/truth/truth.json,
    NNNN_depth.png

and, of a person turned on a chair, ``truth/surface.ply``: the body as it is in the first lower-quality frame.

Nobody of these people exists. Sensor models: Kinect v2 after Fankhauser et al. 2015; no published model of TrueDepth
beyond arm's length was found, so its error is fitted to the raw row of the paper's Table 1.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import read_frame
from facedepth_kit.cameras.recorded.folder import FolderWriter
from facedepth_kit.cameras.recorded.frame import Intrinsics, RecordedFrame
from facedepth_kit.common.declared import read_json
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.people.bodies import BodyParameters, body_mesh, draw_body, load_body_model
from facedepth_kit.faces.people.parametric import rotation
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, write_mesh
from facedepth_kit.rendering.shading import Light, render_view

FloatArray = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

TRUTH, TRUTH_FILE, SURFACE = "truth", "truth.json", "surface.ply"
LOWER, HIGHER = "lower", "higher"
LOWER_CAMERA = Intrinsics(480, 640, 585.0, 585.0, 239.5, 319.5)  # TrueDepth's field of view at 480x640
HIGHER_CAMERA = Intrinsics(512, 424, 365.456, 365.456, 254.878, 205.395)  # Kinect v2's depth camera
ROOMS = 6  # section 4: six different environments


@dataclass(frozen=True)
class PairSettings:
    """How long and how fast both cameras record, and how they may be mounted; ours unless a section is named.

    ``seconds`` of section 4 are 30. ``lower_fps`` and ``higher_fps`` are mean rates; each interval varies by
    ``jitter_share``. ``shift_ms`` is the range of the clocks' difference (section 4.2), ``start_s`` how much later one
    camera may start than the other. ``offset_mm`` and ``turn_deg`` bound the unknown mounting on each axis.
    ``chair_turn_deg``: instead of moving freely, the person is turned by so many degrees about facing the cameras, at
    one speed and without moving, as on an office chair (section 7: 90).
    ``performance_s``: the recording is an excerpt, from a random moment on, of a performance of so many seconds; None:
    the whole of it, as in the paper. ``distance_mm`` is the person's, as in section 1. ``lower_patch_mm`` and
    ``lower_fine_mm`` are the deviations of the lower-quality sensor's error at 1.65 m, in patches of about
    ``lower_patch_px`` and from pixel to pixel: fitted to the raw row of Table 1 (57 mm over the person).
    """

    seconds: float = 30.0
    lower_fps: float = 30.0
    higher_fps: float = 30.0
    jitter_share: float = 0.12
    shift_ms: tuple[float, float] = (-60.0, 60.0)
    start_s: tuple[float, float] = (-0.5, 0.5)
    offset_mm: tuple[float, float, float] = (120.0, 60.0, 30.0)
    turn_deg: tuple[float, float, float] = (4.0, 4.0, 3.0)
    chair_turn_deg: float | None = None
    performance_s: float | None = None
    distance_mm: tuple[float, float] = (1400.0, 1900.0)
    lower_patch_mm: float = 80.0
    lower_fine_mm: float = 7.0
    lower_patch_px: float = 11.0

    def __post_init__(self) -> None:
        if not (self.seconds > 0 and self.lower_fps > 0 and self.higher_fps > 0):
            raise KitError(f"pair: found {self}, expected seconds and frame rates above 0")
        if self.performance_s is not None and self.performance_s < self.seconds:
            raise KitError(f"performance_s: found {self.performance_s}, expected {self.seconds:g} or more")


@dataclass(frozen=True, eq=False)
class PairTruth:
    """What the simulator knows and the alignment has to find.

    ``shift_ms`` is added to a higher-quality time stamp to get the lower-quality clock; ``extrinsic`` float64 (4, 4)
    takes points of the higher-quality camera (x right, y down, z forward, millimetres) into the lower-quality one's.
    ``person`` and ``room`` are numbers under one ``seed``: the out-of-fold split must keep both apart (section 5).
    """

    shift_ms: float
    extrinsic: Matrix
    person: int
    room: int
    seed: int = 0


@dataclass(frozen=True, eq=False)
class _Actor:
    """A dressed body and how it moves: each joint's angles swing around a posture.

    ``chair``: degrees and seconds of a turn on a chair instead.
    """

    body: BodyParameters
    colours: FloatArray
    swings: dict[str, tuple[npt.NDArray[np.floating], ...]]
    turn_s: float
    chair: tuple[float, float] | None = None

    def mesh(self, seconds: float) -> Mesh:
        """The body at a moment: one full turn first, then free movement (section 4); or on a chair (section 7)."""
        if self.chair is not None:
            degrees, whole_s = self.chair
            joints_deg = {name: (float(x), float(y), float(z)) for name, ((x, y, z), *_) in self.swings.items()}
            yaw, pitch, roll = self.body.turn_deg
            turn = (yaw + degrees * (seconds / whole_s - 0.5), pitch, roll)
            return body_mesh(replace(self.body, joints_deg=joints_deg, turn_deg=turn))
        turned = min(seconds / self.turn_s, 1.0)
        eased = turned * turned * (3 - 2 * turned)
        free = np.clip((seconds - self.turn_s) / 0.5, 0.15, 1.0)
        joints = {}
        for name, (middle, reach, rate, phase) in self.swings.items():
            x, y, z = middle + free * reach * np.sin(2 * np.pi * rate * seconds + phase)
            joints[name] = (float(x), float(y), float(z))
        yaw, pitch, roll = self.body.turn_deg
        sway = free * 14 * np.sin(2 * np.pi * 0.31 * seconds)
        turn = (yaw + 360 * eased + sway, pitch, roll)
        return body_mesh(replace(self.body, joints_deg=joints, turn_deg=turn))


def _performance(seed: int, number: int, settings: PairSettings) -> tuple[_Actor, float]:
    """The actor, and at which second of the performance the recording begins."""
    performance_s = settings.performance_s or settings.seconds
    actor = _draw_actor(np.random.default_rng([seed, number, 1]), performance_s / 3)
    if settings.chair_turn_deg is not None:
        actor = replace(actor, chair=(settings.chair_turn_deg, settings.seconds))
    return actor, float(np.random.default_rng([seed, number, 4]).uniform(0, performance_s - settings.seconds))


def true_bodies(truth: PairTruth, settings: PairSettings, times_ms: npt.ArrayLike) -> list[Mesh]:
    """The person's own surface at moments of the lower-quality clock, in that camera (x right, y up, z towards it).

    The same vertex is the same place of the body in all of them. ``settings`` are those of the recording.
    """
    actor, begin_s = _performance(truth.seed, truth.person, settings)
    distance_mm = float(np.random.default_rng([truth.seed, truth.person, 0]).uniform(*settings.distance_mm))
    moments = begin_s + np.asarray(times_ms, np.float64) / 1000
    return [actor.mesh(float(moment)).moved((0.0, 0.0, -distance_mm)) for moment in moments]


def _texture(
    points_mm: FloatArray, rng: np.random.Generator, waves: int, wavelength_mm: tuple[float, float]
) -> FloatArray:
    """A pattern in space at points (n, 3), float32 (n, 3) about -1..1: blotches with edges, as print on cloth."""
    total = np.zeros((len(points_mm), 3), np.float32)
    for _ in range(waves):
        direction = rng.normal(size=3)
        direction *= 2 * np.pi / (np.linalg.norm(direction) * np.exp(rng.uniform(*np.log(wavelength_mm))))
        wave = np.sin(points_mm @ direction.astype(np.float32) + np.float32(rng.uniform(0, 2 * np.pi)))
        hue = rng.normal() + 0.35 * rng.normal(0, 1, 3)
        total += np.tanh(3 * wave)[:, None] * hue.astype(np.float32)
    return np.tanh(total / np.float32(np.sqrt(waves)))


def _draw_actor(rng: np.random.Generator, turn_s: float) -> _Actor:
    body = replace(draw_body(rng), turn_deg=(0.0, float(rng.normal(0, 2)), float(rng.normal(0, 2))))
    model = load_body_model()
    rest = np.asarray(model.refine @ model.base, np.float32)
    clothed, hairy = (np.asarray(model.refine @ share)[:, None] for share in (model.clothed, model.hairy))
    skin = np.asarray(rng.uniform(0.25, 0.75)) * np.array([1.0, 0.72, 0.58])
    cloth = np.where(rest[:, 1:2] > 0, rng.uniform(0.15, 0.7, 3), rng.uniform(0.1, 0.5, 3))
    cloth = cloth * (1 + 0.75 * _texture(rest, rng, 14, (18.0, 160.0)))
    colours = skin * (1 + 0.25 * _texture(rest, rng, 10, (8.0, 60.0)))
    colours = colours * (1 - clothed) + cloth * clothed
    colours = colours * (1 - hairy) + rng.uniform(0.02, 0.3) * (1 + 0.4 * _texture(rest, rng, 8, (6.0, 40.0))) * hairy
    swings: dict[str, tuple[npt.NDArray[np.floating], ...]] = {}
    for name, posture in body.joints_deg.items():
        angles = np.asarray(posture)
        if name.endswith("Leg"):  # standing, a little bent
            angles, reach = angles * (0.05, 0.3, 0.6), rng.uniform(0, 4, 3)
        else:
            reach = rng.uniform(3, 22, 3) if name.endswith("Arm") else rng.uniform(1, 7, 3)
        swings[name] = (angles, reach, rng.uniform(0.2, 0.9, 3), rng.uniform(0, 2 * np.pi, 3))
    return _Actor(body, np.clip(colours, 0.01, 0.95).astype(np.float32), swings, turn_s)


def _patch(corner: Matrix, along: Matrix, up: Matrix, rng: np.random.Generator, step_mm: float = 22.0) -> ColouredMesh:
    """A textured rectangle, finely meshed, since colours sit on vertices."""
    columns, rows = (max(int(np.linalg.norm(side) / step_mm), 1) + 1 for side in (along, up))
    a, b = np.meshgrid(np.linspace(0, 1, columns), np.linspace(0, 1, rows))
    points = (corner + a[..., None] * along + b[..., None] * up).reshape(-1, 3).astype(np.float32)
    index = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1).reshape(-1, 4)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)
    base = rng.uniform(0.2, 0.7) * rng.uniform(0.8, 1.2, 3)
    colours = np.clip(base * (1 + 0.6 * _texture(points, rng, 16, (45.0, 600.0))), 0.02, 0.95).astype(np.float32)
    return ColouredMesh(Mesh(points, triangles), colours, np.zeros(len(points), np.float32), "room")


def _room(rng: np.random.Generator, distance_mm: float, floor_mm: float) -> list[ColouredMesh]:
    """A wall, a floor and a few boards standing about, all textured; the person's hips are the origin."""
    back = -float(rng.uniform(600, 1100))
    parts = [
        _patch(np.array([-2200.0, floor_mm, back]), np.array([4400.0, 0, 0]), np.array([0, 2900.0, 0]), rng),
        _patch(
            np.array([-2200.0, floor_mm, back]),
            np.array([0, 0, distance_mm - 500 - back]),
            np.array([4400.0, 0, 0]),
            rng,
        ),
    ]
    for _ in range(int(rng.integers(2, 5))):
        side = rng.choice([-1.0, 1.0])
        corner = np.array([side * rng.uniform(450, 900), floor_mm, back + rng.uniform(80, 450)])
        turn = rotation(float(rng.uniform(-50, 50)), 0, 0)
        parts.append(
            _patch(corner, turn @ [rng.uniform(250, 600), 0, 0], np.array([0, rng.uniform(400, 1500), 0]), rng)
        )
    return parts


def _times(seconds: float, fps: float, jitter_share: float, rng: np.random.Generator) -> Matrix:
    """The true moments (s) at which a camera takes its frames."""
    steps = (1 + jitter_share * rng.uniform(-1, 1, int(seconds * fps) + 1)) / fps
    times = np.cumsum(steps)
    return times[times < seconds]


def draw_extrinsic(settings: PairSettings, rng: np.random.Generator) -> Matrix:
    """A random mounting: the rigid transform (4, 4) from the higher- to the lower-quality camera, millimetres."""
    yaw, pitch, roll = rng.uniform(-1, 1, 3) * settings.turn_deg
    extrinsic = np.eye(4)
    extrinsic[:3, :3] = rotation(float(yaw), float(pitch), float(roll))
    extrinsic[:3, 3] = rng.uniform(-1, 1, 3) * settings.offset_mm
    return extrinsic


def _camera(of: Intrinsics) -> Camera:
    return Camera(0.0, of.fx, (of.cx + 0.5, of.cy + 0.5), of.width, of.height)


def _seen_from(parts: list[ColouredMesh], distance_mm: float, into: Matrix) -> list[ColouredMesh]:
    """Parts around the person's hips in the axes of a camera; ``into`` takes the lower-quality camera's points there.

    Mesh axes are x right, y up, z towards the camera; cameras' are x right, y down, z forward.
    """
    flip = np.diag([1.0, -1.0, -1.0])
    turn, shift = flip @ into[:3, :3] @ flip, flip @ into[:3, 3]
    middle = np.array([0.0, 0.0, -distance_mm])
    return [
        replace(
            part, mesh=Mesh(((part.mesh.vertices_mm + middle) @ turn.T + shift).astype(np.float32), part.mesh.triangles)
        )
        for part in parts
    ]


def _grain(rng: np.random.Generator, shape: tuple[int, int], sigma_px: float) -> FloatArray:
    """Noise of standard deviation 1 that neighbours within about ``sigma_px`` share."""
    coarse = max(int(sigma_px // 2), 1)
    small = rng.standard_normal((shape[0] // coarse + 3, shape[1] // coarse + 3), np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), max(sigma_px / coarse, 0.3))
    smooth = cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth / smooth.std(), np.float32)


def sense_lower(
    depth_mm: FloatArray, settings: PairSettings, rng: np.random.Generator, lasting: FloatArray | None = None
) -> FloatArray:
    """What the lower-quality sensor makes of a true depth (h, w) mm: float32 mm, NaN = hole.

    Structured infrared dots beyond their range: errors of patches of some 10 to 40 px, growing with the square of the
    distance, half of them the same from frame to frame (``lasting``, standard deviation 1); outlines spread and fray.
    """
    spread = cv2.erode(np.where(np.isfinite(depth_mm), depth_mm, 1e5).astype(np.float32), np.ones((5, 5), np.uint8))
    fray = _grain(rng, depth_mm.shape, 2.0) > 0.3
    seen = np.where(fray & (spread < depth_mm - 60), spread, depth_mm)
    patches = _grain(rng, depth_mm.shape, settings.lower_patch_px)
    if lasting is not None:
        patches = np.float32(np.sqrt(0.5)) * (patches + lasting)
    growth = (np.nan_to_num(seen) / 1650.0) ** 2
    error = growth * (settings.lower_patch_mm * patches + settings.lower_fine_mm * _grain(rng, depth_mm.shape, 1.0))
    slant = np.hypot(cv2.Sobel(np.nan_to_num(seen), cv2.CV_32F, 1, 0), cv2.Sobel(np.nan_to_num(seen), cv2.CV_32F, 0, 1))
    lost = (slant > 900) & (_grain(rng, depth_mm.shape, 1.5) > 0.2)
    lost |= _grain(rng, depth_mm.shape, 6.0) > 2.6
    return np.where(lost, np.float32(np.nan), seen + error).astype(np.float32)


def sense_higher(depth_mm: FloatArray, rng: np.random.Generator) -> FloatArray:
    """What a Kinect v2 makes of a true depth (h, w) mm, float32 mm, NaN = hole: Fankhauser's noise, flying pixels."""
    filled = np.nan_to_num(depth_mm)
    z = filled / 1000.0
    slope = np.hypot(cv2.Sobel(filled, cv2.CV_32F, 1, 0), cv2.Sobel(filled, cv2.CV_32F, 0, 1)) / 8
    angle = np.clip(np.arctan2(slope, np.maximum(filled, 1) / HIGHER_CAMERA.fx), 0, 1.45)
    sigma = 1.5 - 0.5 * z + 0.3 * z**2 + 0.1 * z**1.5 * angle**2 / (np.pi / 2 - angle) ** 2
    wiggle = 3.0 * np.sin(2 * np.pi * filled / 480.0)
    measured = filled + wiggle + sigma * rng.standard_normal(depth_mm.shape, np.float32)
    near, far = cv2.erode(filled, np.ones((3, 3), np.uint8)), cv2.dilate(filled, np.ones((3, 3), np.uint8))
    edge = far - near > 60
    flying = edge & (rng.random(depth_mm.shape) < 0.35)
    measured = np.where(flying, near + rng.random(depth_mm.shape) * (far - near), measured)
    lost = ~np.isfinite(depth_mm) | (edge & (rng.random(depth_mm.shape) < 0.3)) | (angle > 1.4)
    return np.where(lost, np.float32(np.nan), measured).astype(np.float32)


def _moments(times_s: Matrix, clock_ms: float) -> list[float]:
    return [round(float(time) * 1000 + clock_ms, 3) for time in times_s]


def simulate_pair(
    folder: str | Path,
    *,
    seed: int,
    number: int,
    settings: PairSettings | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> PairTruth:
    """Write one paired recording, and apart from it its truth; the same ``seed`` and ``number``, the same bytes.

    Person ``number`` is recorded in room ``number % 6``. Raises :class:`KitError` where ``folder`` holds a recording.
    """
    from tqdm.auto import tqdm

    settings = settings or PairSettings()
    folder = Path(folder)
    rng = np.random.default_rng([seed, number, 0])
    room = number % ROOMS
    actor, begin_s = _performance(seed, number, settings)
    distance_mm = float(rng.uniform(*settings.distance_mm))
    floor_mm = float(actor.mesh(0.0).vertices_mm[:, 1].min()) - 5
    surroundings = _room(np.random.default_rng([seed, room, 2]), distance_mm, floor_mm)
    extrinsic = draw_extrinsic(settings, rng)
    shift_ms = float(rng.uniform(*settings.shift_ms))
    late_s = float(rng.uniform(*settings.start_s))
    light = Light(
        direction=(float(rng.uniform(-1, 1)), float(rng.uniform(0.3, 1.5)), 1.0),
        intensity=float(rng.uniform(0.5, 1.0)),
        ambient=float(rng.uniform(0.4, 0.8)),
        shadows=False,
    )
    lower_s = _times(settings.seconds, settings.lower_fps, settings.jitter_share, rng)
    higher_s = _times(settings.seconds, settings.higher_fps, settings.jitter_share, rng) + late_s
    higher_s = higher_s[(higher_s >= 0) & (higher_s < settings.seconds)]
    # The lower-quality clock is the simulator's own; the other one runs behind by the shift.
    lower_ms, higher_ms = _moments(lower_s, 0.0), _moments(higher_s, -shift_ms)
    truth = PairTruth(shift_ms, extrinsic, number, room, seed)

    def frames(times_s: Matrix, of: Intrinsics, into: Matrix) -> Iterator[tuple[FloatArray, Picture, Mask]]:
        fixed = _seen_from(surroundings, distance_mm, into)
        for time in tqdm(times_s, desc="simulating", unit="frame", disable=not progress, leave=False):
            mesh = actor.mesh(begin_s + float(time))
            body = ColouredMesh(mesh, actor.colours, np.zeros(len(mesh.vertices_mm), np.float32), "body")
            view = render_view([*_seen_from([body], distance_mm, into), *fixed], _camera(of), light)
            yield view.depth_mm, view.picture, view.part == 0

    noise = np.random.default_rng([seed, number, 3])
    lasting = _grain(noise, (LOWER_CAMERA.height, LOWER_CAMERA.width), settings.lower_patch_px)
    write_to = partial(FolderWriter, unit_mm=1.0, simulated=True, overwrite=overwrite)
    with (
        write_to(folder / LOWER, intrinsics=LOWER_CAMERA) as lower,
        write_to(folder / HIGHER, intrinsics=HIGHER_CAMERA) as higher,
    ):
        if overwrite:
            shutil.rmtree(folder / TRUTH, ignore_errors=True)
        (folder / TRUTH).mkdir(exist_ok=True)
        if actor.chair is not None:
            write_mesh(folder / TRUTH / SURFACE, true_bodies(truth, settings, lower_ms[:1])[0], overwrite=True)
        for i, (clean, picture, person) in enumerate(frames(lower_s, LOWER_CAMERA, np.eye(4))):
            name = f"{i:04d}"
            _write_truth(folder / TRUTH / f"{name}_depth.png", clean, person)
            measured = _steps(sense_lower(clean, settings, noise, lasting))
            frame = RecordedFrame(name, measured, 1.0, _noisy(picture, noise), simulated=True)
            lower.write(frame, timestamp_ms=lower_ms[i])
        into = np.asarray(np.linalg.inv(extrinsic), np.float64)
        for i, (clean, picture, _) in enumerate(frames(higher_s, HIGHER_CAMERA, into)):
            measured = _steps(sense_higher(clean, noise))
            frame = RecordedFrame(f"{i:04d}", measured, 1.0, _noisy(picture, noise), simulated=True)
            higher.write(frame, timestamp_ms=higher_ms[i])
    content = {
        "shift_ms": shift_ms,
        "extrinsic": extrinsic.tolist(),
        "person": number,
        "room": room,
        "start_s": late_s,
        "seed": seed,
    }
    with write_atomically(folder / TRUTH / TRUTH_FILE, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return truth


Number = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
Index = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
FourNumbers = tuple[Number, Number, Number, Number]


class TruthFile(msgspec.Struct, frozen=True):
    """``truth.json`` as it lies on disk: see :class:`PairTruth`."""

    shift_ms: Number
    extrinsic: tuple[FourNumbers, FourNumbers, FourNumbers, FourNumbers]
    person: Index
    room: Index
    seed: int = 0


def read_truth(folder: str | Path) -> PairTruth:
    """What the simulator stored apart for scoring. Raises :class:`KitError`, naming file and field, without it."""
    content = read_json(Path(folder) / TRUTH / TRUTH_FILE, TruthFile)
    return PairTruth(
        content.shift_ms, np.asarray(content.extrinsic, np.float64), content.person, content.room, content.seed
    )


def read_clean_depth(folder: str | Path, name: str) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """The depth without noise of a lower-quality frame, float32 mm, NaN = nothing there, and the person's mask."""
    path = Path(folder) / TRUTH / f"{name}_depth.png"
    steps = read_frame(path)
    person = (steps & 0x8000) > 0
    depth_mm = (steps & 0x7FFF).astype(np.float32) / 4
    return np.where(depth_mm > 0, depth_mm, np.float32(np.nan)), person


def _write_truth(path: Path, clean_mm: FloatArray, person: npt.NDArray[np.bool_]) -> None:
    """Quarter millimetres in 15 bits (up to 8.19 m), the person's mask in the 16th."""
    steps = np.clip(np.rint(np.nan_to_num(clean_mm) * 4), 0, 0x7FFF).astype(np.uint16)
    encoded = cv2.imencode(".png", steps | (person.astype(np.uint16) << 15))[1]
    with write_atomically(path, overwrite=True) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _steps(depth_mm: FloatArray) -> npt.NDArray[np.uint16]:
    return np.clip(np.rint(np.nan_to_num(depth_mm)), 0, 65535).astype(np.uint16)


def _noisy(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    return np.clip(picture + rng.normal(0, 2.0, picture.shape), 0, 255).round().astype(np.uint8)
