"""Free whole bodies: build, posture and clothing to a mesh, for a scene next to the face (section IV-B).

The shape comes from ``body_model.npz``, derived from the CC0 MakeHuman / MPFB2 body and one of its rigs by
``tools/derive_body_model.py``: 31 joints turn the skin by linear blending. What DDRNet-dn was trained on, people at
0.5 to 2 m, is simulated with it; the face of such a body is coarse on purpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from facedepth_kit.common.arrays import read_npz
from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.parametric import rotation
from facedepth_kit.faces.people.subdivision import subdivision_matrix
from facedepth_kit.rendering.mesh import Mesh, quad_triangles

FloatArray = npt.NDArray[np.float32]
Angles = tuple[float, float, float]

BARE = ("Head", "Neck1", "LeftHand", "RightHand", "LThumb", "RThumb", "LeftFingerBase", "RightFingerBase",
        "LeftHandFinger1", "RightHandFinger1")  # fmt: skip
ARRAYS = ("base", "millimetres", "deltas", "names", "quads", "joints", "joint_names", "joint_parents", "joint_deltas",
          "skin_joints", "skin_weights")  # fmt: skip
HAIRLINE_MM = 745.0  # height above which the neutral head carries hair, except on the face
FACE_Z_MM = 95.0  # what of the neutral head lies before this is face
DRAPING = 40  # how often the clothed skin is averaged with its neighbours: cloth spans what the skin dips into


@dataclass(frozen=True)
class BodyParameters:
    """One body: weights of the macro targets by name, joint angles in degrees by joint, clothing and hair.

    ``joints_deg`` turns a joint about the resting body's own axes (x to the image's right, y up, z forward).
    ``clothing_mm`` is how far cloth stands off, ``folds`` (n, 5) float its waves: direction times 2 pi / wavelength
    (x, y, z in 1/mm), phase, height in mm. ``hair_mm`` is the hair's thickness. ``turn_deg`` is yaw, pitch and roll of
    the whole body.
    """

    targets: dict[str, float]
    joints_deg: dict[str, Angles]
    clothing_mm: float
    folds: tuple[tuple[float, float, float, float, float], ...]
    hair_mm: float
    turn_deg: Angles


@dataclass(frozen=True)
class BodyModel:
    """The asset: float32 millimetres (x right, y up, z forward), int64 quads, and how the skin follows the joints."""

    base: FloatArray
    deltas: FloatArray
    names: tuple[str, ...]
    joint_names: tuple[str, ...]
    joint_parents: tuple[int, ...]
    joints: FloatArray
    joint_deltas: FloatArray
    skin_joints: npt.NDArray[np.intp]
    skin_weights: FloatArray
    refine: sp.csr_matrix
    triangles: npt.NDArray[np.int32]
    coarse: npt.NDArray[np.int64]
    neighbours: sp.csr_matrix
    clothed: FloatArray
    hairy: FloatArray


@lru_cache(maxsize=2)
def load_body_model(levels: int = 1) -> BodyModel:
    """The body model, refined ``levels`` times (1: about 108,000 triangles); cached."""

    with resources.as_file(resources.files("facedepth_kit.faces.people").joinpath("body_model.npz")) as path:
        asset = read_npz(path, dict.fromkeys(ARRAYS))
    unit = np.float32(asset["millimetres"])
    base = asset["base"].astype(np.float32) * unit
    names = tuple(str(name) for name in asset["joint_names"])
    weights = asset["skin_weights"].astype(np.float32)
    weights /= weights.sum(axis=1, keepdims=True)
    joints = asset["skin_joints"].astype(np.intp)
    bare = np.isin(joints, [names.index(name) for name in BARE])
    height = np.clip((base[:, 1] - HAIRLINE_MM) / 40 + np.clip((FACE_Z_MM - base[:, 2]) / 40, 0, 2) - 1, 0, 1)
    hairy = height * (joints[:, 0] == names.index("Head")) * (base[:, 1] > HAIRLINE_MM - 60)
    coarse = asset["quads"].astype(np.int64)
    refine, quads = subdivision_matrix(coarse, len(base), levels)
    return BodyModel(
        base=base,
        deltas=asset["deltas"].transpose(0, 2, 1).astype(np.float32) * unit,
        names=tuple(str(name) for name in asset["names"]),
        joint_names=names,
        joint_parents=tuple(int(parent) for parent in asset["joint_parents"]),
        joints=asset["joints"].astype(np.float32),
        joint_deltas=asset["joint_deltas"].astype(np.float32),
        skin_joints=joints,
        skin_weights=weights,
        refine=refine,
        triangles=quad_triangles(quads),
        coarse=coarse,
        neighbours=_neighbours(coarse, len(base)),
        clothed=(1 - (weights * bare).sum(axis=1)).astype(np.float32),
        hairy=hairy.astype(np.float32),
    )


def _neighbours(quads: npt.NDArray[np.int64], count: int) -> sp.csr_matrix:
    """The mean over the vertices that share an edge with each one, as a matrix (count, count)."""
    start, end = (np.concatenate([quads[:, (k + step) % 4] for k in range(4)]) for step in (0, 1))
    edges = sp.csr_matrix((np.ones(len(start), np.float32), (start, end)), shape=(count, count))
    edges = ((edges + edges.T) > 0).astype(np.float32)
    return sp.diags(1 / np.maximum(np.asarray(edges.sum(axis=1)).ravel(), 1)).astype(np.float32) @ edges


def draw_body(rng: np.random.Generator) -> BodyParameters:
    """A random adult: build, posture (standing or sitting, arms anywhere), clothing, hair, turned by some degrees."""
    male = float(rng.beta(0.5, 0.5))
    targets: dict[str, float] = {}
    origins = dict(zip(("african", "asian", "caucasian"), rng.dirichlet((0.7, 0.7, 0.7)), strict=True))
    build = {"weight": rng.normal(0, 0.5), "muscle": rng.normal(0, 0.4), "height": rng.normal(0, 0.4)}
    for gender, share in (("male", male), ("female", 1 - male)):
        for origin, value in origins.items():
            targets[f"macrodetails/{origin}-{gender}-young"] = float(share * value)
        for kind, value in build.items():
            end = "max" if value > 0 else "min"
            name = {
                "weight": f"macrodetails/universal-{gender}-young-averagemuscle-{end}weight",
                "muscle": f"macrodetails/universal-{gender}-young-{end}muscle-averageweight",
                "height": f"height/{gender}-young-averagemuscle-averageweight-{end}height",
            }[kind]
            targets[name] = float(share * min(abs(value), 1.0))
    folds = []
    for _ in range(int(rng.integers(4, 12))):
        wavelength = float(np.exp(rng.uniform(np.log(30), np.log(220))))
        direction = rng.normal(size=3) * (1.0, 1.5, 1.0)
        x, y, z = (2 * np.pi / wavelength * direction / np.linalg.norm(direction)).tolist()
        folds.append((x, y, z, float(rng.uniform(0, 2 * np.pi)), wavelength * float(rng.uniform(0, 0.05))))
    around = rng.random() < 0.15  # seen from anywhere
    turn = (float(rng.uniform(-180, 180) if around else rng.normal(0, 35)), float(rng.normal(0, 8)),
            float(rng.normal(0, 5)))  # fmt: skip
    clothing, hair = float(rng.uniform(8, 30)), float(rng.uniform(0, 35))
    return BodyParameters(targets, _draw_posture(rng), clothing, tuple(folds), hair, turn)


def _draw_posture(rng: np.random.Generator) -> dict[str, Angles]:
    def normal(*spreads: float) -> Angles:
        x, y, z = (float(rng.normal(0, spread)) for spread in spreads)
        return x, y, z

    posture = {name: normal(6, 7, 4) for name in ("LowerBack", "Spine", "Spine1", "Neck", "Neck1")}
    posture["Head"] = normal(10, 15, 6)
    sitting = rng.random() < 0.25
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        # The resting arm hangs 50 degrees below the horizontal, a little bent.
        posture[f"{side}Shoulder"] = normal(4, 6, 6)
        raised = rng.uniform(-38, -15) if rng.random() < 0.6 else rng.uniform(-20, 75)
        posture[f"{side}Arm"] = (float(rng.uniform(-65, 15)), sign * float(rng.normal(0, 20)), sign * float(raised))
        posture[f"{side}ForeArm"] = (float(rng.uniform(-80, 35)), sign * float(rng.uniform(-70, 25)), 0.0)
        posture[f"{side}Hand"] = normal(15, 15, 15)
        posture[f"{side}HandFinger1"] = normal(25, 5, 5)
        lifted = float(rng.uniform(60, 95) if sitting else max(rng.normal(4, 12), -15))
        posture[f"{side}UpLeg"] = (-lifted, sign * float(rng.normal(0, 8)), sign * float(rng.normal(3, 6)))
        posture[f"{side}Leg"] = (float(lifted * rng.uniform(0.8, 1.1) if sitting else rng.uniform(0, 25)), 0.0, 0.0)
    return posture


def body_mesh(parameters: BodyParameters, *, levels: int = 1) -> Mesh:
    """The mesh of a body: float32 millimetres, the hips at the origin, y up and z towards the camera; int32 triangles.

    Raises :class:`KitError` for a target or a joint that the asset does not have.
    """
    model = load_body_model(levels)
    for found, known in ((parameters.targets, model.names), (parameters.joints_deg, model.joint_names)):
        unknown = [name for name in found if name not in known]
        if unknown:
            raise KitError(f"body: found {unknown[0]!r}, expected one of {', '.join(known)}")
    weights = np.asarray([parameters.targets.get(name, 0.0) for name in model.names], np.float32)
    skin = model.base + np.tensordot(weights, model.deltas, 1)
    joints = model.joints + np.tensordot(weights, model.joint_deltas, 1)
    skin = _dressed(model, skin, parameters)

    turns: list[npt.NDArray[np.float64]] = []
    places: list[npt.NDArray[np.float64]] = []
    yaw, pitch, roll = parameters.turn_deg
    for index, (name, parent) in enumerate(zip(model.joint_names, model.joint_parents, strict=True)):
        x, y, z = parameters.joints_deg.get(name, (0.0, 0.0, 0.0))
        own = rotation(y, x, z)
        if parent < 0:
            turns.append(rotation(yaw, pitch, roll) @ own)
            places.append(np.zeros(3))
        else:
            turns.append(turns[parent] @ own)
            places.append(places[parent] + turns[parent] @ (joints[index] - joints[parent]))
    turn = np.stack(turns).astype(np.float32)
    shift = np.stack(places).astype(np.float32) - np.einsum("jab,jb->ja", turn, joints)
    placed = np.zeros_like(skin)
    for slot in range(model.skin_joints.shape[1]):
        which = model.skin_joints[:, slot]
        moved = np.einsum("vab,vb->va", turn[which], skin) + shift[which]
        placed += model.skin_weights[:, slot, None] * moved
    return Mesh((model.refine @ placed).astype(np.float32), model.triangles)


def _dressed(model: BodyModel, skin: FloatArray, parameters: BodyParameters) -> FloatArray:
    """The resting skin (V, 3) with cloth draped over it, folds in the cloth, and hair; float32 millimetres."""
    draped = skin
    share = model.clothed[:, None]
    for _ in range(DRAPING if parameters.clothing_mm > 0 else 0):
        draped = draped + share * (model.neighbours @ draped - draped)
    waves = np.full(len(skin), parameters.clothing_mm, np.float32)
    for fold in parameters.folds:
        waves += np.float32(fold[4]) * np.sin(skin @ np.asarray(fold[:3], np.float32) + np.float32(fold[3]))
    thickness = np.maximum(waves, 0) * model.clothed + parameters.hair_mm * model.hairy
    return (draped + _normals(draped, model.coarse) * thickness[:, None]).astype(np.float32)


def _normals(skin: FloatArray, quads: npt.NDArray[np.int64]) -> FloatArray:
    """Outward unit normals of the coarse vertices, from the quads around them."""
    across = np.cross(skin[quads[:, 2]] - skin[quads[:, 0]], skin[quads[:, 3]] - skin[quads[:, 1]])
    normals = np.stack(
        [sum(np.bincount(quads[:, k], across[:, axis], len(skin)) for k in range(4)) for axis in range(3)], axis=1
    )
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)).astype(np.float32)
