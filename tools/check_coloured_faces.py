"""How often Dlib finds the simulated faces, and how far its landmarks lie from the model's own.

    python tools/check_coloured_faces.py --people 100

Every person is rendered neutral, smiling and with an open mouth, each under another light, as KinectFaceDB shows faces
(256x256, fx = fy = 525, 0.7 to 0.9 m) and as a D435 does (1280x720, fx = fy = 920, 0.5 to 1 m), turned by at most 8
degrees; then printed, life-size, on flat and on bent paper in front of the first of these cameras.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facedepth_kit.cameras.simulated.prints import Sheet, portrait_to_print, print_points_mm, printed_sheet
from facedepth_kit.faces.detection import detect_face
from facedepth_kit.faces.people.appearance import coloured_person, draw_appearance
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceSettings, draw_face
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.shading import Light, render_view

FRONTAL = FaceSettings(expressive_share=0.0, head_share=1.0)
ANGLE_DEG = 8.0
EXPRESSIONS = {
    "neutral": {},
    "smile": {"faceunits/mouthSmileLeft": 0.8, "faceunits/mouthSmileRight": 0.8, "faceunits/cheekSquintLeft": 0.4,
              "faceunits/cheekSquintRight": 0.4},
    "open mouth": {"faceunits/jawOpen": 0.6},
}  # fmt: skip
GROUPS = {
    "jaw": slice(0, 17), "brows": slice(17, 27), "nose": slice(27, 36), "eyes": slice(36, 48), "mouth": slice(48, 68),
}  # fmt: skip


class Sample(NamedTuple):
    """A rendered face: what it is, the picture, and where its 68 landmarks are in it (pixels)."""

    what: str
    picture: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float64]


def draw_light(rng: np.random.Generator) -> Light:
    """A lamp above the camera's height, from the left to the right, hard to soft."""
    ambient, warm, grey = rng.uniform(0.3, 0.7), rng.uniform(-0.08, 0.08), rng.uniform(0.1, 0.6)
    return Light(
        (rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.9), 1.0),
        intensity=1.4 - ambient,
        ambient=ambient,
        colour=(1 + warm, 1.0, 1 - warm),
        backdrop=(grey, grey, grey),
    )


def draw_camera(kind: str, rng: np.random.Generator) -> Camera:
    """A camera like KinectFaceDB's cropped one or a D435's colour camera, with the face off its centre."""
    if kind == "KinectFaceDB":
        return Camera(rng.uniform(700, 900), 525.0, (128 + rng.uniform(-12, 12), 128 + rng.uniform(-12, 12)), 256)
    return Camera(rng.uniform(500, 1000), 920.0, (640 + rng.uniform(-150, 150), 360 + rng.uniform(-40, 40)), 1280, 720)


def samples(people: int, seed: int, kind: str) -> Iterator[Sample]:
    """Every person's three expressions."""
    for person in range(people):
        rng = np.random.default_rng((seed, person))
        drawn = draw_face(rng, FRONTAL)
        appearance = draw_appearance(rng, drawn)
        for what, units in EXPRESSIONS.items():
            yaw, pitch, roll = rng.uniform(-ANGLE_DEG, ANGLE_DEG, 3)
            face = replace(drawn, targets={**drawn.targets, **units}, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
            camera = draw_camera(kind, rng)
            view = render_view(coloured_person(face, appearance), camera, draw_light(rng), samples=2)
            yield Sample(what, view.picture, project_points(landmarks_68_mm(face), camera))


def prints(people: int, seed: int) -> Iterator[Sample]:
    """Every person printed, held flat and bent two ways, seen by KinectFaceDB's camera."""
    for person in range(people):
        rng = np.random.default_rng((seed, person))
        drawn = draw_face(rng, FRONTAL)
        face = replace(drawn, yaw_deg=rng.uniform(-5, 5), pitch_deg=rng.uniform(-5, 5), roll_deg=0.0)
        shown = portrait_to_print(face, draw_appearance(rng, drawn), draw_light(rng))
        for what, bend in (("flat", None), ("bent", rng.uniform(90, 250)), ("bent inwards", -rng.uniform(150, 300))):
            yaw, pitch, roll = rng.uniform(-ANGLE_DEG, ANGLE_DEG, 3)
            sheet = Sheet(shown.width_mm, bend, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
            camera = draw_camera("KinectFaceDB", rng)
            view = render_view([printed_sheet(shown.picture, sheet)], camera, draw_light(rng), samples=2)
            points = print_points_mm(shown.landmarks, shown.picture.shape, sheet)
            yield Sample(what, view.picture, project_points(points, camera))


def report(title: str, pictures: Iterator[Sample], count: int, *, detail: bool) -> None:
    """Print how many faces were found and how far the landmarks lie from the model's."""
    found: dict[str, list[bool]] = {}
    offsets, sizes = [], []
    for sample in tqdm(pictures, total=count, disable=None):
        face = detect_face(sample.picture)
        size = float(np.ptp(sample.landmarks[:17, 0]))
        middle = sample.landmarks.mean(axis=0)
        right = face is not None and float(np.abs(face.landmarks.mean(axis=0) - middle).max()) < size / 2
        found.setdefault(sample.what, []).append(right)
        if face is not None and right:
            offsets.append(face.landmarks - sample.landmarks)
            sizes.append(size)
    errors = np.linalg.norm(offsets, axis=2)
    parts = ", ".join(f"{what} {np.mean(hits):.1%}" for what, hits in found.items())
    print(f"{title}: found {len(offsets) / count:.1%} of {count} ({parts})")
    groups = "; ".join(f"{name} {np.median(errors[:, part]):.2f}" for name, part in GROUPS.items())
    print(
        f"  faces {np.median(sizes):.0f} px wide; landmarks off by {np.median(errors):.2f} px at the median, "
        f"{np.quantile(errors, 0.9):.2f} px at the 90th percentile; {groups}"
    )
    if detail:
        for number, (x, y) in enumerate(np.median(offsets, axis=0) * 150 / np.median(sizes)):
            print(f"  {number:2d} {x:+.1f} {y:+.1f} (mm, about)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detail", action="store_true", help="the median offset of each landmark as well")
    arguments = parser.parse_args()
    people, seed = arguments.people, arguments.seed
    for kind in ("KinectFaceDB", "D435"):
        report(kind, samples(people, seed, kind), 3 * people, detail=arguments.detail)
    report("printed", prints(people, seed), 3 * people, detail=arguments.detail)


if __name__ == "__main__":
    main()
