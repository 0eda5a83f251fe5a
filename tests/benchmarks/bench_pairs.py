"""Speed of the way from a face to a pair: each stage's time in one run, pairs a second on all cores, and peak memory.

`make bench` prints the table. The goal on two cores: 150 pairs a second or more, under 1.5 GiB.
"""

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from facedepth_kit.degradation import degrade
from facedepth_kit.depth import from_millimetres, own_range
from facedepth_kit.faces.parametric import draw_face, face_mesh
from facedepth_kit.pairs import SynthesisSettings, make_pair, synthesize
from facedepth_kit.rendering import fit_camera, render_depth_mm


def milliseconds(work: Callable[[int], object], count: int = 60) -> float:
    """Median time of one call in milliseconds, after one call that warms up."""
    work(0)
    times = []
    for index in range(count):
        began = time.perf_counter()
        work(index)
        times.append(time.perf_counter() - began)
    return float(np.median(times)) * 1e3


def test_stages_of_a_pair() -> None:
    cv2.setNumThreads(1)
    settings = SynthesisSettings()
    faces = [draw_face(np.random.default_rng(i)) for i in range(60)]
    meshes = [face_mesh(face) for face in faces]
    cameras = [fit_camera(mesh, fill=0.9) for mesh in meshes]
    depth_mm = [render_depth_mm(mesh, camera) for mesh, camera in zip(meshes, cameras, strict=True)]
    ranges = [own_range(d) for d in depth_mm]
    truths = [from_millimetres(d, r) for d, r in zip(depth_mm, ranges, strict=True)]
    stages: dict[str, Callable[[int], object]] = {
        "draw a face": lambda i: draw_face(np.random.default_rng(i)),
        "its mesh": lambda i: face_mesh(faces[i]),
        "render": lambda i: render_depth_mm(meshes[i], cameras[i]),
        "to a depth image": lambda i: from_millimetres(depth_mm[i], ranges[i]),
        "degrade": lambda i: degrade(
            truths[i], depth_range=ranges[i], settings=settings.degradation, rng=np.random.default_rng(i)
        ),
        "whole pair": lambda i: make_pair(0, i, settings),
    }
    times = {name: milliseconds(work) for name, work in stages.items()}
    print(f"\n{'one core':<20}{'ms':>8}{'share':>8}")
    for name, value in times.items():
        print(f"{name:<20}{value:>8.2f}{value / times['whole pair']:>8.2f}")


def test_pairs_a_second(tmp_path: Path) -> None:
    synthesize(tmp_path / "warm", 2, seed=0, progress=False)
    workers = os.cpu_count() or 1
    began = time.perf_counter()
    synthesize(tmp_path / "store", 1500, seed=1, workers=workers, progress=False)
    seconds = time.perf_counter() - began
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20
    print(
        f"\n1,500 pairs, {workers} processes: {1500 / seconds:.0f} pairs a second, start included (goal: 150 or more)"
    )
    print(f"largest process: {peak:.2f} GiB (goal, all together: below 1.5)")
