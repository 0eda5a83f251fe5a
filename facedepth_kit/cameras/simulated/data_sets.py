"""Simulated data sets in the files of real ones: KinectFaceDB by a Kinect v1, recordings of a RealSense D435, and the
layouts of data sets of presentation attacks (3DMAD, WMCA, CASIA-SURF, CeFA).

Nobody was recorded: faces come from the parametric model, depth from the sensors of :mod:`.sensors`. Each folder says
so in ``simulated.json``, and what reads it passes it on. All are written by several processes, person by person (or
recording by recording), each whole or not at all: a killed run goes on where it was, and the same seed gives the same
files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import (
    FOLDER,
    INTRINSICS,
    SESSIONS,
    SIDE,
    SIMULATED,
    VARIANTS,
    KinectFaceDB,
    write_variant,
)
from facedepth_kit.cameras.recorded.pad_data_sets import KINDS, PadDataSet, write_presentation
from facedepth_kit.cameras.simulated.occluders import hand_over_mouth, sheet_of_paper, sunglasses
from facedepth_kit.cameras.simulated.prints import Sheet, portrait_to_print, print_points_mm, printed_sheet
from facedepth_kit.cameras.simulated.sensors import ActiveStereo, StructuredLight
from facedepth_kit.cameras.simulated.stage import (
    Person,
    Scene,
    draw_person,
    intrinsics,
    room,
    seat,
    shoot,
    spread,
    wall,
    wander,
)
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.jobs import cores, run_jobs
from facedepth_kit.common.parts import is_tidy, open_parts, read_description
from facedepth_kit.common.paths import write_folder_atomically
from facedepth_kit.common.settings import to_dict
from facedepth_kit.faces.people.landmarks import MARK_NAMES, marks_from_landmarks
from facedepth_kit.faces.people.parametric import rotation
from facedepth_kit.faces.people.portraits import Portrait
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.shading import Light

Attack = Literal["bona_fide", "flat_print", "bent_print", "mask"]

NOSE_TIP, CHIN, BROWS = 30, 8, slice(17, 27)  # of the 68 landmarks
MASK_ABOVE_MM = 45.0  # a mask ends so far above the brows
OPERATOR_BEHIND_MM = 25.0  # so far behind a mask is the face of who wears it

PICTURES = len(SESSIONS) * len(VARIANTS)  # of a person
FRAMES_A_PROCESS = 12
PRINTS: tuple[Attack, ...] = ("flat_print", "bent_print")
ATTACKS: tuple[Attack, ...] = ("bona_fide", *PRINTS)
ATTACK_KINDS: tuple[Attack, ...] = (*ATTACKS, "mask")
ABOUT = "Simulated: rendered faces that belong to nobody, measured by a simulated sensor. Not the real data set."


@dataclass(frozen=True)
class KinectSettings:
    """How the simulated KinectFaceDB is taken.

    ``distance_mm`` to the nose (0.7 to 0.9 m) and ``wall_mm`` (a white board at 1.25 m) are the data set's. The rest is
    our choice: spreads of position and pose between sessions and between the pictures of a session, profiles that are
    turned by ``profile_deg``, how many people wear spectacles, and how many sunglasses return nothing to the sensor.
    """

    sensor: StructuredLight = field(default_factory=StructuredLight)
    distance_mm: tuple[float, float] = (710.0, 890.0)
    wall_mm: float = 1250.0
    session_shift_mm: float = 8.0
    picture_shift_mm: float = 2.0
    session_turn_deg: float = 3.0
    picture_turn_deg: float = 1.2
    profile_deg: tuple[float, float] = (78.0, 92.0)
    spectacles_share: float = 0.2
    dark_glasses_share: float = 0.3


@dataclass(frozen=True)
class RealSenseSettings:
    """How the simulated RealSense recordings are taken (our choice; the paper's set is not published).

    A D435 at 1280x720, its colour camera of ``focal_px``. ``distance_mm`` to the nose or the sheet. In each recording
    of ``frames_per_recording`` frames, at ``frames_per_second``, a person or a sheet moves by up to ``turn_deg`` and
    ``shift_mm``. Of four recordings two are bona fide, one is a flat print and one a print bent to ``bend_mm``.
    """

    sensor: ActiveStereo = field(default_factory=ActiveStereo)
    width_px: int = 1280
    height_px: int = 720
    focal_px: float = 920.0
    distance_mm: tuple[float, float] = (350.0, 700.0)
    frames_per_recording: int = 5
    frames_per_second: float = 6.0
    turn_deg: tuple[float, float, float] = (5.0, 4.0, 2.0)
    shift_mm: tuple[float, float, float] = (8.0, 5.0, 10.0)
    spectacles_share: float = 0.5
    print_mm: tuple[float, float] = (150.0, 210.0)
    bend_mm: tuple[float, float] = (90.0, 160.0)


def write_kinectfacedb(
    folder: str | Path,
    people: int,
    *,
    seed: int,
    settings: KinectSettings | None = None,
    meshes: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> KinectFaceDB:
    """Write (or go on writing) a simulated KinectFaceDB of so many people, two sessions, nine variants, and open it.

    Below ``folder`` lie the real one's folder and files; ``meshes`` adds its 3DObj (4 MB a picture). Call it again
    after a kill with the same arguments; more people extend it. ``workers`` is the number of processes (default: one a
    core). Raises :class:`KitError` for a count that KinectFaceDB's names cannot hold, and if ``folder`` holds
    something else.
    """
    if not 1 <= people <= 9999:
        raise KitError(f"people: found {people}, expected 1 to 9999")
    settings = settings or KinectSettings()
    folder = Path(folder)
    names = [f"{number:04d}" for number in range(1, people + 1)]
    _write_parts(
        folder,
        {"data_set": "KinectFaceDB", "seed": seed, "meshes": meshes, "settings": to_dict(settings)},
        f"{FOLDER}/*",
        {folder / FOLDER / name: (number, seed, settings, meshes) for number, name in enumerate(names, 1)},
        _write_person,
        lambda count: workers or _workers(count * PICTURES),
        progress,
    )
    return KinectFaceDB(folder, people=names)


def write_realsense(
    folder: str | Path,
    frames: int,
    *,
    seed: int,
    settings: RealSenseSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> RecordingFolder:
    """Write (or go on writing) simulated D435 recordings of ``frames`` frames in all, and open them.

    Each recording lies in a folder of its own, ``0001_bona_fide`` and so on; ``variant`` is bona_fide, flat_print or
    bent_print. Fewer than 15 frames are shared out over three short recordings, one of each kind. Arguments and
    errors otherwise as in :func:`write_kinectfacedb`, but the number of frames cannot grow.
    """
    if frames < 3:
        raise KitError(f"frames: found {frames}, expected at least 3, one of each kind")
    settings = settings or RealSenseSettings()
    folder = Path(folder)
    _write_parts(
        folder,
        {"data_set": "RealSense", "seed": seed, "frames": frames, "settings": to_dict(settings)},
        "[0-9]*",
        {
            folder / f"{number:04d}_{kind}": (number, kind, count, seed, settings)
            for number, kind, count in _recordings(frames, settings.frames_per_recording)
        },
        _write_recording,
        lambda count: workers or _workers(count * settings.frames_per_recording),
        progress,
    )
    return RecordingFolder(folder)


def write_pad_data_set(
    folder: str | Path,
    layout: str,
    people: int,
    *,
    seed: int,
    frames: int = 1,
    settings: RealSenseSettings | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> PadDataSet:
    """Write (or go on writing) simulated presentations in the layout of a data set of attacks, and open it.

    ``layout`` is one of :data:`facedepth_kit.cameras.recorded.pad_data_sets.LAYOUTS`. Each of so many people is there
    once for every kind that the data set has, with ``frames`` frames. The sensor is that of ``settings``, whatever the
    real set's was. Arguments and errors otherwise as in :func:`write_kinectfacedb`.
    """
    if layout not in KINDS:
        raise KitError(f"layout: found {layout!r}, expected one of {', '.join(KINDS)}")
    if not 1 <= people <= 99:
        raise KitError(f"people: found {people}, expected 1 to 99")
    settings = settings or RealSenseSettings()
    folder = Path(folder)
    _write_parts(
        folder,
        {"data_set": layout, "seed": seed, "frames": frames, "settings": to_dict(settings)},
        "[0-9]*",
        {folder / f"{number:04d}": (layout, number, frames, seed, settings) for number in range(1, people + 1)},
        _write_presentations,
        lambda count: workers or _workers(count * frames * len(KINDS[layout])),
        progress,
    )
    return PadDataSet(folder)


def kinect_recording(seed: int, number: int, session: str, variant: str, settings: KinectSettings) -> RecordedFrame:
    """One picture of the simulated KinectFaceDB, by person number, session and variant, without writing it."""
    person = draw_person(seed, number, spectacles_share=settings.spectacles_share)
    return _kinect_recording(person, session, variant, settings)


def realsense_recording(
    seed: int, number: int, kind: Attack, count: int, settings: RealSenseSettings
) -> Iterator[RecordedFrame]:
    """The frames of one simulated RealSense recording, without writing them."""
    person = draw_person(seed, number, spectacles_share=settings.spectacles_share)
    rng = person.rng(0)
    near, far = settings.distance_mm
    distance_mm = float(rng.uniform(near, far))
    camera = Camera(
        distance_mm,
        settings.focal_px,
        (settings.width_px / 2, settings.height_px / 2),
        settings.width_px,
        settings.height_px,
    )
    behind = room(camera, rng)
    light = _light(rng, strength=float(rng.uniform(0.5, 1.0)))
    place = rng.normal(0, 1, 2) * (0.08, 0.02) * distance_mm
    place[1] -= 0.02 * distance_mm
    posture = rng.normal(0, 1, 3) * (3.0, 3.0, 1.5)
    start = rng.integers(2**32)
    moves = wander(np.arange(count) / settings.frames_per_second, rng)
    smile, open_mouth = np.abs(wander(np.arange(count) / settings.frames_per_second, rng)[:, :2]).T
    paper = _paper(person, kind, settings, rng) if kind in PRINTS else None
    operator = draw_person(seed, number + 1, spectacles_share=0.0) if kind == "mask" else None
    for index in range(count):
        turn = posture + moves[index, :3] * settings.turn_deg
        shift = moves[index, 3:] * settings.shift_mm
        angles = (float(turn[0]), float(turn[1]), float(turn[2]))
        if operator is not None:
            scene = _masked(person, operator, angles)
        elif paper is None:
            scene = seat(
                person,
                expression=_smile(0.35 * smile[index]) | {"jawOpen": 0.08 * open_mouth[index]},
                turn_deg=angles,
                wearing=np.random.default_rng(start) if person.spectacles else None,
            )
        else:
            scene = _held_up(*paper, angles)
        scene = scene.moved([place[0] + shift[0], place[1] + shift[1], shift[2]]).with_parts(*behind)
        shot = shoot(scene, camera, settings.sensor, light, person.rng(1, index))
        yield RecordedFrame(
            f"{index:03d}",
            shot.depth,
            unit_mm=settings.sensor.unit_mm,
            picture=shot.picture,
            intrinsics=intrinsics(camera),
            person=person.name,
            session="s1",
            variant=kind,
            marks=shot.marks,
            mark_names=() if shot.marks is None else MARK_NAMES,
            simulated=True,
        )


# --- KinectFaceDB ---------------------------------------------------------------------------------------------------

EXPRESSIONS = {"Smile": (0.55, 0.95), "OpenMouth": (0.45, 0.95)}


def kinect_camera(distance_mm: float) -> Camera:
    """KinectFaceDB's part of the colour frame; the nose is at ``distance_mm``."""
    return Camera(distance_mm, INTRINSICS.fx, (INTRINSICS.cx + 0.5, INTRINSICS.cy + 0.5), SIDE)


def _kinect_recording(person: Person, session: str, variant: str, settings: KinectSettings) -> RecordedFrame:
    kept = person.rng(1 + SESSIONS.index(session))
    rng = person.rng(1 + SESSIONS.index(session), 1 + VARIANTS.index(variant))
    camera = kinect_camera(float(kept.uniform(*settings.distance_mm)))
    turn = kept.normal(0, settings.session_turn_deg, 3) + rng.normal(0, settings.picture_turn_deg, 3)
    turn *= (1.0, 0.8, 0.5)
    # The face's middle is the crop's middle, which lies above the optical axis.
    middle = (INTRINSICS.cy + 0.5 - SIDE / 2) * camera.distance_mm / camera.focal_px
    place = kept.normal(0, settings.session_shift_mm, 3) * (1, 1, 0) + rng.normal(0, settings.picture_shift_mm, 3)
    light = _light(kept, strength=0.45)
    side: Literal["left", "right"] = "left" if kept.random() < 0.5 else "right"
    start = kept.integers(2**32)
    scene = seat(
        person,
        expression=_expression(variant, rng),
        turn_deg=_turn(turn, variant, settings, rng),
        wearing=np.random.default_rng(start) if person.spectacles and variant != "OcclusionEyes" else None,
    )
    landmarks = scene.landmarks_mm
    assert landmarks is not None
    if variant == "OcclusionEyes":
        turn_of = spread(person.seed[0] + 1, 2 * person.seed[1] + SESSIONS.index(session))
        scene = scene.with_parts(*sunglasses(landmarks, scene.solid, rng, dark=turn_of < settings.dark_glasses_share))
    elif variant == "OcclusionMouth":
        scene = scene.with_parts(hand_over_mouth(landmarks, scene.solid, person.appearance.skin, rng, side=side))
    elif variant == "OcclusionPaper":
        scene = scene.with_parts(sheet_of_paper(landmarks, scene.solid, rng, side=side))
    elif variant == "LightOn":
        light = _light(rng, strength=1.1, lamp=True)
    board = float(kept.uniform(0.6, 0.8))
    scene = scene.moved([place[0], place[1] + middle, place[2]]).with_parts(
        wall(settings.wall_mm, camera, (board, board, 0.97 * board))
    )
    shot = shoot(scene, camera, settings.sensor, light, rng)
    return RecordedFrame(
        f"{person.name}_{session}_{variant}",
        shot.depth,
        picture=shot.picture,
        intrinsics=INTRINSICS,
        person=person.name,
        session=session,
        variant=variant,
        marks=shot.marks,
        mark_names=MARK_NAMES,
        simulated=True,
    )


def _expression(variant: str, rng: np.random.Generator) -> dict[str, float]:
    if variant == "Smile":
        return _smile(float(rng.uniform(*EXPRESSIONS[variant])))
    if variant == "OpenMouth":
        return {"jawOpen": float(rng.uniform(*EXPRESSIONS[variant]))}
    return {}


def _smile(strength: float) -> dict[str, float]:
    units = {"mouthSmile": 1.0, "cheekSquint": 0.5, "mouthUpperUp": 0.25}
    return {f"{unit}{side}": share * strength for unit, share in units.items() for side in ("Left", "Right")}


def _turn(
    turn: npt.NDArray[np.float64], variant: str, settings: KinectSettings, rng: np.random.Generator
) -> tuple[float, float, float]:
    """Yaw, pitch, roll. The left profile shows the left cheek: the person looks to the image's left."""
    yaw = float(turn[0])
    if variant in ("LeftProfile", "RightProfile"):
        yaw = float(rng.uniform(*settings.profile_deg)) * (-1 if variant == "LeftProfile" else 1)
    return yaw, float(turn[1]), float(turn[2])


def _light(rng: np.random.Generator, *, strength: float, lamp: bool = False) -> Light:
    """Room light from above, or (``lamp``) a warm lamp from one side with the room's light lower."""
    if lamp:
        side = float(rng.choice([-1, 1]))
        direction = (side * float(rng.uniform(0.5, 1.1)), float(rng.uniform(0.1, 0.5)), 1.0)
        return Light(direction, intensity=strength, colour=(1.0, 0.93, 0.82), ambient=0.35)
    direction = (float(rng.normal(0, 0.3)), float(rng.uniform(0.4, 0.9)), 1.0)
    return Light(direction, intensity=strength, ambient=float(rng.uniform(0.5, 0.65)))


def _write_person(target: Path, number: int, seed: int, settings: KinectSettings, meshes: bool) -> None:
    person = draw_person(seed, number, spectacles_share=settings.spectacles_share)
    with write_folder_atomically(target, inside=person.name) as folder:
        for session in SESSIONS:
            for variant in VARIANTS:
                write_variant(folder, _kinect_recording(person, session, variant, settings), mesh=meshes)


# --- RealSense ------------------------------------------------------------------------------------------------------


def _recordings(frames: int, length: int) -> list[tuple[int, Attack, int]]:
    """Number, kind and length of the recordings that ``frames`` frames make."""
    cycle: tuple[Attack, ...] = ("bona_fide", "flat_print", "bona_fide", "bent_print")
    count = max(round(frames / length), 3)
    kinds = ATTACKS if count == 3 else tuple(cycle[i % 4] for i in range(count))
    return [(i + 1, kind, (frames * (i + 1)) // count - (frames * i) // count) for i, kind in enumerate(kinds)]


def _paper(
    person: Person, kind: Attack, settings: RealSenseSettings, rng: np.random.Generator
) -> tuple[Portrait, Sheet]:
    """What is printed, and on what."""
    width_mm, radius_mm = float(rng.uniform(*settings.print_mm)), float(rng.uniform(*settings.bend_mm))
    picture = portrait_to_print(person.face, person.appearance, _light(rng, strength=0.6))
    return picture, Sheet(width_mm, radius_mm if kind == "bent_print" else None)


def _held_up(picture: Portrait, sheet: Sheet, turn_deg: tuple[float, float, float]) -> Scene:
    """A print held up, its middle at the origin, with the printed face's points."""
    yaw, pitch, roll = turn_deg
    sheet = replace(sheet, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
    landmarks = print_points_mm(picture.landmarks, picture.picture.shape, sheet)
    marks = np.asarray(marks_from_landmarks(landmarks), np.float64)
    return Scene((printed_sheet(picture.picture, sheet),), (), landmarks, marks)


def _masked(person: Person, operator: Person, turn_deg: tuple[float, float, float]) -> Scene:
    """A rigid mask of a person's face, worn by somebody else: the face alone, without expression or spectacles."""
    scene = seat(person, turn_deg=turn_deg)
    landmarks = scene.landmarks_mm
    assert landmarks is not None
    head = scene.parts[0]
    turn, tip = rotation(*turn_deg), landmarks[NOSE_TIP]
    face, points = (head.mesh.vertices_mm - tip) @ turn, (landmarks - tip) @ turn  # as if looking straight ahead
    low, high = points[CHIN, 1] - 8.0, points[BROWS, 1].max() + MASK_ABOVE_MM
    kept = (face[:, 2] > points[:, 2].min()) & (face[:, 1] > low) & (face[:, 1] < high)
    triangles = head.mesh.triangles[kept[head.mesh.triangles].all(axis=1)]
    mask = replace(head, mesh=Mesh(head.mesh.vertices_mm, triangles))
    worn_by = seat(operator, turn_deg=turn_deg).moved(turn @ (0.0, 0.0, -OPERATOR_BEHIND_MM))
    return replace(scene, parts=(mask, *worn_by.parts), lenses=())


def _write_presentations(
    target: Path, layout: str, number: int, frames: int, seed: int, settings: RealSenseSettings
) -> None:
    with write_folder_atomically(target) as folder:
        for kind in ATTACK_KINDS:
            if kind in KINDS[layout]:
                write_presentation(folder, layout, list(realsense_recording(seed, number, kind, frames, settings)))


def _write_recording(
    target: Path, number: int, kind: Attack, count: int, seed: int, settings: RealSenseSettings
) -> None:
    camera = Camera(1.0, settings.focal_px, (settings.width_px / 2, settings.height_px / 2), settings.width_px,
                    settings.height_px)  # fmt: skip
    with (
        write_folder_atomically(target) as folder,
        FolderWriter(
            folder,
            unit_mm=settings.sensor.unit_mm,
            intrinsics=intrinsics(camera),
            simulated=True,
            metadata={"note": ABOUT, "frames_per_second": settings.frames_per_second},
        ) as writer,
    ):
        for recording in realsense_recording(seed, number, kind, count, settings):
            writer.write(recording)


# --- writing --------------------------------------------------------------------------------------------------------


def _write_parts(
    folder: Path,
    about: dict[str, Any],
    pattern: str,
    jobs: Mapping[Path, tuple[Any, ...]],
    write: Callable[..., None],
    workers: Callable[[int], int],
    progress: bool,
) -> None:
    """Write the parts (people or recordings) that are not there yet; ``jobs`` holds the arguments for each."""
    from tqdm.auto import tqdm

    about = {"simulated": True, "note": ABOUT, **about}
    holds = "simulated recordings"
    marker = folder / SIMULATED
    there = marker.is_file() and read_description(marker, holds) == about and all(path.is_dir() for path in jobs)
    if there and is_tidy(folder, (pattern,)):
        return  # there is nothing to do, so many may open a data set at once
    with open_parts(folder, about, name=SIMULATED, fixed=tuple(about), parts=(pattern,), holds=holds):
        missing = {path: job for path, job in jobs.items() if not path.is_dir()}
        results = run_jobs(
            write,
            ((path, *job) for path, job in missing.items()),
            name=lambda path, *job: str(path),
            workers=min(workers(len(missing)), len(missing)),
        )
        for _ in tqdm(results, total=len(missing), unit="part", disable=not progress or not missing, leave=False):
            pass


def _workers(frames: int) -> int:
    """One process a core, but none for fewer frames than it would take to start."""
    return max(min(cores(), frames // FRAMES_A_PROCESS), 1)
