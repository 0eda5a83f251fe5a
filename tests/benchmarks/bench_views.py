"""Speed of pictures: a person's meshes and what a camera sees of them, on one core, in one run.

`make bench` prints the table. The goal: a 640x480 view of a whole head and shoulders well under 100 ms.
"""

from collections.abc import Callable

import cv2
import numpy as np

from facedepth_kit.faces.people.appearance import coloured_person, draw_appearance, paint_head
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceSettings, draw_face
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.shading import Light, render_view
from facedepth_kit.rendering.zbuffer import render_depth_mm
from tests.benchmarks.bench_pairs import milliseconds

COUNT = 20
CAMERAS = {
    "256x256": Camera(800, 525, (128, 128), 256),
    "640x480": Camera(800, 525, (320, 240), 640, 480),
    "1280x720": Camera(700, 920, (640, 360), 1280, 720),
}


def test_stages_of_a_picture() -> None:
    cv2.setNumThreads(1)
    settings = FaceSettings(head_share=1.0)
    faces = [draw_face(np.random.default_rng(i), settings) for i in range(COUNT + 1)]
    looks = [draw_appearance(np.random.default_rng(i), face) for i, face in enumerate(faces)]
    people = [coloured_person(face, look) for face, look in zip(faces, looks, strict=True)]
    stages: dict[str, Callable[[int], object]] = {
        "paint a head": lambda i: paint_head.__wrapped__(looks[i]),
        "a painted person's meshes": lambda i: coloured_person(faces[0], looks[0]),
        "68 landmarks": lambda i: landmarks_68_mm(faces[i]),
    }
    for name, camera in CAMERAS.items():
        for what, light, samples in (
            ("plain", Light(shadows=False), 1),
            ("shadows", Light(), 1),
            ("smooth", Light(), 2),
        ):
            stages[f"view {name}, {what}"] = lambda i, c=camera, lamp=light, n=samples: render_view(  # type: ignore[misc]
                people[i], c, lamp, samples=n
            )
    merged = people[0][0].mesh
    stages["depth alone, 640x480, head"] = lambda i: render_depth_mm(
        Mesh(merged.vertices_mm, merged.triangles), CAMERAS["640x480"]
    )
    print(f"\n{'one core':<32}{'ms':>8}")
    for name, work in stages.items():
        print(f"{name:<32}{milliseconds(work, COUNT):>8.1f}")
