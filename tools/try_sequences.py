"""Try the memory of earlier frames on simulated sequences: the error against the truth with and without it.

    python tools/try_sequences.py --seed 71

writes ``figures/recordings/sequences.csv``, a row for each enhancer, sensor and motion. Simulated: rendered people who
hold still, turn their head, speak, jump aside, and are replaced by somebody else. Resumable: frames stay in
``build/sequence_trial``.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import FaceCrop, crop_face, face_mask, restore_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.simulated.sensors import ActiveStereo, SensorSettings, StructuredLight
from facedepth_kit.cameras.simulated.stage import draw_person, room, seat, shoot
from facedepth_kit.common.paths import repository_root, write_atomically
from facedepth_kit.common.tables import write_table
from facedepth_kit.enhancers.frames import enhance_crop, recording_enhancer
from facedepth_kit.enhancers.memory import EARLIER
from facedepth_kit.evaluation.recordings import moved_pixels
from facedepth_kit.faces.tracking import FaceTracker
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.shading import Light
from facedepth_kit.rendering.zbuffer import render_depth_mm

FloatArray = npt.NDArray[np.float32]
FRAMES, HALF = 10, 5
STEP_MM = 15.0
NAMES = ("Telea+bilateral", "DL-Kit-1", "DL-Kit-2")
MOTIONS = ("still", "turning", "speaking", "jump", "cut")
# A sensor, the focal length of its colour camera at 640x480, and how far away the face is.
SENSORS: dict[str, tuple[SensorSettings, float, float]] = {
    "Kinect v1": (StructuredLight(), 525.0, 750.0),
    "D435": (ActiveStereo(), 613.0, 500.0),
}


@dataclass(frozen=True, eq=False)
class TrueFrame:
    """A simulated frame, its depth without noise (float32 mm) and the projected 68 landmarks."""

    frame: RecordedFrame
    true_mm: FloatArray
    landmarks: npt.NDArray[np.float64]


def frames(folder: Path, seed: int, person: int, sensor: str, motion: str) -> Iterator[TrueFrame]:
    """A sequence at 15 frames a second, simulated where it is missing."""
    for index in range(FRAMES):
        path = folder / f"{seed}_{person}_{sensor.replace(' ', '_')}_{motion}_{index:02d}.npz"
        if not path.is_file():
            depth, picture, true_mm, landmarks = shot(seed, person, sensor, motion, index)
            with write_atomically(path) as temporary:
                np.savez_compressed(temporary, depth=depth, picture=picture, true_mm=true_mm, landmarks=landmarks)
        with np.load(path) as stored:
            frame = RecordedFrame(path.stem, stored["depth"], picture=stored["picture"], simulated=True)
            yield TrueFrame(frame, stored["true_mm"], stored["landmarks"])


def shot(
    seed: int, number: int, sensor: str, motion: str, index: int
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8], FloatArray, npt.NDArray[np.float64]]:
    """One frame: depth, picture, true depth and landmarks."""
    settings, focal_px, distance_mm = SENSORS[sensor]
    camera = Camera(distance_mm, focal_px, (320.0, 240.0), 640, 480)
    late = motion in ("jump", "cut") and index >= HALF
    person = draw_person(seed, number + 100 * (motion == "cut" and late), spectacles_share=0.3)
    kept = np.random.default_rng([seed, number, 7])
    behind = room(camera, kept)
    sway = np.sin(2 * np.pi * (0.3 * index / 15 + kept.random(6)))
    turn, shift = sway[:3] * (0.8, 0.5, 0.3), sway[3:] * (1.5, 1.0, 1.5)
    if motion == "turning":
        turn = turn + np.array([-13.5 + 3.0 * index, 0, 0])
    if motion == "jump" and late:
        turn, shift = turn + np.array([12.0, 0, 4.0]), shift + np.array([50.0, 10.0, 30.0])
    opened = abs(np.sin(2 * np.pi * index / 8)) if motion == "speaking" else 0.0
    scene = seat(
        person,
        expression={"jawOpen": 0.7 * opened},
        turn_deg=(float(turn[0]), float(turn[1]), float(turn[2])),
        wearing=np.random.default_rng(number) if person.spectacles else None,
    )
    scene = scene.moved(shift).with_parts(*behind)
    taken = shoot(scene, camera, settings, Light((0.2, 0.6, 1.0), intensity=0.8, ambient=0.6), person.rng(1, index))
    assert taken.landmarks is not None
    return taken.depth, taken.picture, render_depth_mm(scene.solid, camera), taken.landmarks


def errors(made: RecordedFrame, one: TrueFrame) -> npt.NDArray[np.float64]:
    """Sums of absolute and squared errors (mm) and counts: at measured pixels of the face, then at its holes.

    Pixels at steps of the true surface are left out: there the sensor's pixel may see either side.
    """
    true_mm = np.nan_to_num(one.true_mm, nan=1e5)
    box = np.ones((5, 5), np.uint8)
    surface = cv2.dilate(true_mm, box) - cv2.erode(true_mm, box) < STEP_MM
    where = face_mask(one.landmarks, true_mm.shape) & surface & (made.depth > 0)
    sums = []
    for part in (one.frame.depth > 0, one.frame.depth == 0):
        off = np.abs(made.millimetres() - true_mm)[where & part].astype(np.float64)
        sums += [off.sum(), np.square(off).sum(), off.size]
    return np.array(sums)


def tried(folder: Path, seed: int, people: int, sensor: str, motion: str) -> list[dict[str, Any]]:
    """A row for each enhancer: errors alone and after earlier frames, of frames that have earlier ones."""
    functions = {name: recording_enhancer(name) for name in NAMES}
    found = {(name, way): np.zeros(8) for name in NAMES for way in ("single", "earlier")}
    counted = 0
    for person in range(1, people + 1):
        tracker = FaceTracker()
        recent: deque[FaceCrop] = deque(maxlen=EARLIER)
        for index, one in enumerate(frames(folder, seed, person, sensor, motion)):
            assert one.frame.picture is not None
            face = tracker(one.frame.picture)
            if face is None:
                recent.clear()
                continue
            crop = crop_face(one.frame, face)
            if index >= EARLIER:
                counted += 1
                for name, enhance in functions.items():
                    for way, earlier in (("single", []), ("earlier", list(recent))):
                        made = restore_face(one.frame, enhance_crop(crop, enhance, earlier), crop)
                        moved = moved_pixels(one.frame, made, crop)
                        found[name, way] += [*errors(made, one), *moved]
            recent.append(crop)
    rows = []
    for name in NAMES:
        row: dict[str, Any] = {"simulated_sensor": sensor, "motion": motion, "enhancer": name, "frames": counted}
        for way in ("single", "earlier"):
            mae, square, pixels, hole_mae, hole_square, holes, moved_20, known = found[name, way]
            row |= {
                f"{way}_mae_mm": mae / pixels,
                f"{way}_rmse_mm": (square / pixels) ** 0.5,
                f"{way}_holes_mae_mm": hole_mae / max(holes, 1),
                f"{way}_holes_rmse_mm": (hole_square / max(holes, 1)) ** 0.5,
                f"{way}_moved_20mm_share": moved_20 / known,
            }
        rows.append(row | {"measured_pixels": int(pixels), "hole_pixels": int(holes)})
    return rows


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=71)
    parser.add_argument("--people", type=int, default=2)
    parser.add_argument("--work", type=Path, default=repository_root() / "build" / "sequence_trial")
    parser.add_argument("--output", type=Path, default=repository_root() / "figures" / "recordings" / "sequences.csv")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for sensor, motion in product(SENSORS, MOTIONS):
        rows += tried(given.work, given.seed, given.people, sensor, motion)
        for row in rows[-len(NAMES) :]:
            print(
                {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}, flush=True
            )
    write_table(given.output, rows, overwrite=True)


if __name__ == "__main__":
    main()
