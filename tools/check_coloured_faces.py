"""How often Dlib finds the simulated faces, and how far its landmarks lie from the model's own.

    python tools/check_coloured_faces.py --people 100

Every person is rendered neutral, smiling and with an open mouth, each under another light, as KinectFaceDB shows faces
(256x256, fx = fy = 525, 0.7 to 0.9 m) and as a D435 does (1280x720, fx = fy = 920, 0.5 to 1 m), turned at most 8 degrees.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from facedepth_kit.faces.appearance import coloured_person, draw_appearance
from facedepth_kit.faces.detection import detect_face
from facedepth_kit.faces.landmarks import landmarks_68_mm, project_points
from facedepth_kit.faces.parametric import FaceParameters, FaceSettings, draw_face
from facedepth_kit.rendering import Camera, Light, render_view

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
    ambient = rng.uniform(0.3, 0.7)
    warm = rng.uniform(-0.08, 0.08)
    return Light(
        (rng.uniform(-0.8, 0.8), rng.uniform(0.1, 0.9), 1.0),
        intensity=1.4 - ambient,
        ambient=ambient,
        colour=(1 + warm, 1.0, 1 - warm),
        backdrop=tuple(rng.uniform(0.1, 0.6) * np.ones(3)),  # type: ignore[arg-type]
    )


def draw_camera(kind: str, rng: np.random.Generator) -> Camera:
    """A camera like KinectFaceDB's cropped one or a D435's colour camera, with the face off its centre."""
    if kind == "KinectFaceDB":
        return Camera(rng.uniform(700, 900), 525.0, (128 + rng.uniform(-12, 12), 128 + rng.uniform(-12, 12)), 256)
    return Camera(rng.uniform(500, 1000), 920.0, (640 + rng.uniform(-150, 150), 360 + rng.uniform(-40, 40)), 1280, 720)


def samples(kind: str, people: int, seed: int) -> Iterator[Sample]:
    """Every person's three expressions."""
    for person in range(people):
        rng = np.random.default_rng((seed, person))
        drawn = draw_face(rng, FRONTAL)
        appearance = draw_appearance(rng, drawn)
        for what, units in EXPRESSIONS.items():
            yaw, pitch, roll = rng.uniform(-ANGLE_DEG, ANGLE_DEG, 3)
            face = replace(drawn, targets={**drawn.targets, **units}, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll)
            yield render_sample(face, what, draw_camera(kind, rng), draw_light(rng), appearance=appearance)


def render_sample(face: FaceParameters, what: str, camera: Camera, light: Light, *, appearance) -> Sample:  # type: ignore[no-untyped-def]
    view = render_view(coloured_person(face, appearance), camera, light, samples=2)
    return Sample(what, view.picture, project_points(landmarks_68_mm(face), camera))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--detail", action="store_true", help="mean offset of each landmark as well")
    arguments = parser.parse_args()
    for kind in ("KinectFaceDB", "D435"):
        found: dict[str, list[bool]] = {what: [] for what in EXPRESSIONS}
        offsets, sizes = [], []
        for sample in tqdm(samples(kind, arguments.people, arguments.seed), total=3 * arguments.people, disable=None):
            face = detect_face(sample.picture)
            right = face is not None and np.abs(face.landmarks.mean(axis=0) - sample.landmarks.mean(axis=0)).max() < 40
            found[sample.what].append(right)
            if face is not None and right:
                offsets.append(face.landmarks - sample.landmarks)
                sizes.append(np.ptp(sample.landmarks[:17, 0]))
        errors = np.linalg.norm(offsets, axis=2)
        print(f"{kind}: found {np.mean([hit for hits in found.values() for hit in hits]):.1%} of "
              f"{3 * arguments.people}, " + ", ".join(f"{what} {np.mean(hits):.1%}" for what, hits in found.items()))
        print(f"  face {np.median(sizes):.0f} px wide; landmarks off by {np.median(errors):.2f} px at the median, "
              f"90th percentile {np.quantile(errors, 0.9):.2f}; "
              + ", ".join(f"{name} {np.median(errors[:, part]):.2f}" for name, part in GROUPS.items()))  # fmt: skip
        if arguments.detail:
            scale = 150 / np.median(sizes)
            for number, (x, y) in enumerate(np.median(offsets, axis=0) * scale):
                print(f"  {number:2d} {x:+.1f} {y:+.1f} (mm, about)")


if __name__ == "__main__":
    main()
