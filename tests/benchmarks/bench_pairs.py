"""Speed of the way from a face to a pair: each stage's time in one run, pairs a second on all cores, and peak memory.

`make bench` prints the table. The goal on two cores: 150 pairs a second or more, under 1.5 GiB.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import psutil

from facedepth_kit.depth import from_millimetres, own_range
from facedepth_kit.faces.people.parametric import draw_face, face_mesh
from facedepth_kit.pairs.degradation import degrade
from facedepth_kit.pairs.store import SynthesisSettings, make_pair
from facedepth_kit.rendering.camera import fit_camera
from facedepth_kit.rendering.zbuffer import render_depth_mm


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
    command = [sys.executable, "-m", "facedepth_kit.cli", "synthesize", "--seed", "1", "--output"]
    subprocess.run([*command, str(tmp_path / "warm"), "--count", "2"], check=True, capture_output=True)
    began = time.perf_counter()
    run = subprocess.Popen([*command, str(tmp_path / "store"), "--count", "3000"], stderr=subprocess.DEVNULL)
    peak = 0
    while run.poll() is None:
        peak = max(peak, _resident_bytes(psutil.Process(run.pid)))
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    assert run.returncode == 0
    print(
        f"\n3,000 pairs, {os.cpu_count()} processes: {3000 / seconds:.0f} a second, start included (goal: 150 or more)"
    )
    print(f"resident memory of all processes together: {peak / 2**30:.2f} GiB (goal: below 1.5)")


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(sum(p.memory_info().rss for p in [process, *process.children(recursive=True)]))
    except psutil.NoSuchProcess:
        return 0
