"""What the pins hold: accuracy of enhancers, simulated sensors, ground truth and landmarks on fixed inputs.

Each function makes its inputs from a fixed seed and returns a table of numbers. The CSV files beside this module keep
them as they were when somebody last wrote them (``python -m tests.pins --write``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from facedepth_kit.cameras.recorded.face_crop import crop_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.simulated.sensors import ActiveStereo, SensorSettings, StructuredLight
from facedepth_kit.cameras.simulated.stage import Scene, draw_person, seat, shoot, wall
from facedepth_kit.common.tables import read_table, write_table
from facedepth_kit.depth import HOLE, DepthImage, to_unit
from facedepth_kit.enhancers import available, get, stand_in
from facedepth_kit.evaluation.error import face_rmse
from facedepth_kit.evaluation.landmarks import landmark_holes
from facedepth_kit.faces.detection import detect_face
from facedepth_kit.networks.ddrnet import NAME as DDRNET
from facedepth_kit.pairs.store import Pair, SynthesisSettings, make_pair
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh
from facedepth_kit.rendering.shading import Light, render_view

FOLDER = Path(__file__).parent
SEED = 2023
PAIRS = 24
DIGITS = 7

SENSORS: dict[str, SensorSettings] = {"Kinect v1": StructuredLight(), "D435": ActiveStereo()}
CAMERAS = {
    "Kinect v1": Camera(750.0, 525.0, (128.0, 128.0), 256),
    "D435": Camera(450.0, 920.0, (320.0, 240.0), 640, 480),
}


@cache
def pairs() -> tuple[Pair, ...]:
    """The fixed pairs: half of them with the face's own span, half with the 25 cm of camera images."""
    settings = SynthesisSettings(), SynthesisSettings(span="camera")
    return tuple(make_pair(SEED, index, settings[index % 2]) for index in range(PAIRS))


def pinned_enhancers() -> list[str]:
    """The enhancers that can be pinned here; a user's own DDRNet checkpoint is nobody else's."""
    return [name for name in available() if name != DDRNET or stand_in(name)]


def enhancers() -> pd.DataFrame:
    """RMSE over the face and over its measured pixels alone, two rows a pair, one column an enhancer.

    Where an enhancer leaves holes, they make up nearly all of the face RMSE; what it does to the rest shows in the
    second row.
    """
    truth = np.stack([pair.ground_truth for pair in pairs()])
    degraded = np.stack([pair.degraded[0] for pair in pairs()])
    measured = (truth != HOLE) & (degraded != HOLE)
    face, rest = {}, {}
    for name in pinned_enhancers():
        enhanced = get(name).enhance(degraded)
        face[name] = face_rmse(enhanced, truth)
        rest[name] = face_rmse(enhanced, truth, mask=measured)
    index = pd.RangeIndex(PAIRS, name="pair")
    tables = {"face": pd.DataFrame(face, index=index), "measured": pd.DataFrame(rest, index=index)}
    return pd.concat(tables, names=["pixels"])


def ground_truth() -> pd.DataFrame:
    """What the synthesized images hold, one row a pair: range, shares of the image, mean and spread of the values."""
    rows = []
    for pair in pairs():
        truth, degraded = pair.ground_truth, pair.degraded[0]
        face, kept = truth != HOLE, degraded != HOLE
        rows.append(
            {
                "near_mm": pair.depth_range.near_mm,
                "span_mm": pair.depth_range.span_mm,
                "face_share": face.mean(),
                "depth_mean": to_unit(truth[face]).mean(),
                "depth_std": to_unit(truth[face]).std(),
                "centre_row": np.nonzero(face)[0].mean(),
                "centre_column": np.nonzero(face)[1].mean(),
                "holes_in_face": (face & ~kept).sum() / face.sum(),
                "degraded_mean": to_unit(degraded[kept]).mean(),
                "degraded_std": to_unit(degraded[kept]).std(),
            }
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(PAIRS, name="pair"))


def _plate(camera: Camera, depth_mm: float, *, half_mm: float = 2000.0, slope: float = 0.0) -> ColouredMesh:
    """A light grey square facing the camera; ``slope`` mm nearer for each mm to the right."""
    ends = (-half_mm, half_mm)
    corners = [(x, y, camera.distance_mm - depth_mm + slope * x) for y in ends for x in ends]
    mesh = Mesh(np.array(corners, np.float32), np.array([[0, 1, 3], [0, 3, 2]], np.int32))
    return ColouredMesh(mesh, np.full((4, 3), 0.8, np.float32), np.zeros(4, np.float32), "plate")


@cache
def _person(number: int) -> Scene:
    """Somebody before a wall; odd numbers wear spectacles."""
    return seat(
        draw_person(SEED, number, spectacles_share=0.0),
        turn_deg=(4.0 * number - 8.0, 2.0, 1.0),
        wearing=np.random.default_rng(SEED) if number % 2 else None,
    )


def _scenes(camera: Camera) -> dict[str, Scene]:
    near = camera.distance_mm
    behind = wall(2 * near, camera, (0.6, 0.6, 0.6))
    return {
        "near wall": Scene((_plate(camera, near),)),
        "far wall": Scene((_plate(camera, 2 * near),)),
        "slanted wall": Scene((_plate(camera, 1.3 * near, half_mm=0.8 * near, slope=0.7),)),
        "plate before a wall": Scene((behind, _plate(camera, near, half_mm=0.1 * near))),
        "person": _person(2).with_parts(behind),
        "person with spectacles": _person(1).with_parts(behind),
    }


def sensors() -> pd.DataFrame:
    """Mean error, noise, share of measured pixels and number of distinct depths, one row a sensor and scene."""
    rows = []
    for sensor, settings in SENSORS.items():
        camera = CAMERAS[sensor]
        for name, scene in _scenes(camera).items():
            depth = shoot(scene, camera, settings, Light(), np.random.default_rng(SEED)).depth
            truth = render_view(scene.parts, camera).depth_mm
            seen = (depth > 0) & np.isfinite(truth)
            error = (depth * settings.unit_mm - truth)[seen]
            middle = np.abs(error) < 20.0  # beside an edge the foreground or the background may be seen
            rows.append(
                {
                    "sensor": sensor,
                    "scene": name,
                    "seen_share": seen.sum() / np.isfinite(truth).sum(),
                    "bias_mm": error[middle].mean(),
                    "noise_mm": error[middle].std(),
                    "at_edges_share": 1 - middle.mean(),
                    "depths": len(np.unique(depth[seen])),
                }
            )
    return pd.DataFrame(rows).set_index(["sensor", "scene"])


def landmarks() -> pd.DataFrame:
    """Dlib on rendered pictures, and the face crop and the landmark holes that follow, one row a sensor and person."""
    rows = []
    for sensor, settings in SENSORS.items():
        camera = CAMERAS[sensor]
        for number in range(4):
            scene = _person(number).with_parts(wall(2 * camera.distance_mm, camera, (0.6, 0.6, 0.6)))
            shot = shoot(scene, camera, settings, Light(), np.random.default_rng([SEED, number]))
            face = detect_face(shot.picture)
            assert face is not None
            assert shot.landmarks is not None
            crop = crop_face(RecordedFrame(sensor, shot.depth, unit_mm=settings.unit_mm), face)
            frame: DepthImage = np.where(shot.depth == 0, HOLE, shot.depth)
            left, top, right, bottom = face.box
            rows.append(
                {
                    "sensor": sensor,
                    "person": number,
                    "landmark_error_px": np.linalg.norm(face.landmarks - shot.landmarks, axis=1).mean(),
                    "box_centre_x": (left + right) / 2,
                    "box_centre_y": (top + bottom) / 2,
                    "box_height": bottom - top,
                    "landmark_holes": landmark_holes(frame, face.landmarks).mean(),
                    "crop_near_mm": crop.depth_range.near_mm,
                    "crop_face_share": (crop.depth != HOLE).mean(),
                    "crop_depth_mean": to_unit(crop.depth[crop.depth != HOLE]).mean(),
                }
            )
    return pd.DataFrame(rows).set_index(["sensor", "person"])


TABLES: dict[str, Callable[[], pd.DataFrame]] = {
    "enhancers": enhancers,
    "ground_truth": ground_truth,
    "sensors": sensors,
    "landmarks": landmarks,
}


INDEX = {
    "enhancers": ["pixels", "pair"],
    "ground_truth": ["pair"],
    "sensors": ["sensor", "scene"],
    "landmarks": ["sensor", "person"],
}


def read(table: str) -> pd.DataFrame:
    """A table as it was last written."""
    return read_table(FOLDER / f"{table}.csv").set_index(INDEX[table])


def write(table: str) -> None:
    """Measure a table and keep it."""
    write_table(FOLDER / f"{table}.csv", TABLES[table]().reset_index(), significant=DIGITS)
