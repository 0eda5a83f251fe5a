"""What belongs to a person beside the face: hair with a volume, neck, shoulders and clothes, as coloured meshes.

Simulated and simple: hair is a shell around the scalp with strands painted on, clothes are the body pushed outwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from facedepth_kit.faces.people.parametric import FaceParameters, Placement, clip_mesh, load_model, read_asset, rotation
from facedepth_kit.faces.people.subdivision import subdivision_matrix
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, grid_triangles, quad_triangles, vertex_normals

FloatArray = npt.NDArray[np.float32]
Colour = tuple[float, float, float]
HairStyle = Literal["shorn", "short", "fringe", "curtain", "long"]
HAIR_STYLES: tuple[HairStyle, ...] = ("shorn", "short", "fringe", "curtain", "long")

# The hairline's height over the azimuth (0 = the forehead's middle, degrees); the front follows the person.
HAIRLINE_AZIMUTH_DEG = (0.0, 28.0, 40.0, 48.0, 53.0, 57.0, 62.0, 70.0, 95.0, 120.0, 150.0, 180.0)
HAIRLINE_SIDE_MM = (768.0, 742.0, 712.0, 703.0, 700.0, 668.0, 640.0, 632.0)

# Places on the neutral head, in millimetres.
SKULL_MM = (0.0, 738.0, 42.0)  # hair grows away from here
NECK_JOINT_MM = (0.0, 625.0, 22.0)
HANGING_FROM_MM, HANGING_FROM_DEG = 732.0, 95.0  # where the skull is widest, long hair leaves it and hangs
HAIR_COLUMNS, HAIR_ROWS, HANGING_ROWS, LOWEST_HAIR_MM = 216, 56, 42, 520.0
SHOULDER_MM, ARM_DROP_DEG = (150.0, 545.0, 0.0), 32.0
NECK_TOP_MM, NECK_BASE_MM, NECK_TILT, NECK_FRONT_MM = 644.0, 585.0, 0.5, 70.0  # heights along a neck that leans forward
COLLAR_MM, COLLAR_FALL_MM = 590.0, 26.0  # its height at the back and how much lower it is in front
CLOTH_MM = 4.5


def hairline_mm(azimuth_deg: npt.NDArray[np.floating], front_mm: float) -> FloatArray:
    """The hairline's height on the neutral head over the azimuth (0 = front), for its height above the forehead."""
    heights = (front_mm, front_mm, front_mm - 4, front_mm - 14, *HAIRLINE_SIDE_MM)
    return np.asarray(np.interp(azimuth_deg, HAIRLINE_AZIMUTH_DEG, heights), np.float32)


@dataclass(frozen=True, eq=False)
class _HairGrid:
    """A grid around the skull: columns by azimuth, rows from the crown down.

    ``scalp`` (n, V) takes the coarse head to the grid's points on the skin; ``azimuth_deg`` (n,) is -180..180,
    ``height`` (n,) the points' place on the neutral head; ``outward`` (n, 3) unit directions; ``hanging`` (n,) how far
    below the last scalp row a point hangs (mm).
    """

    scalp: sp.csr_matrix
    azimuth_deg: FloatArray
    height: FloatArray
    outward: FloatArray
    hanging: FloatArray
    triangles: npt.NDArray[np.int32]


@lru_cache(maxsize=2)
def _hair_grid(long: bool) -> _HairGrid:
    from scipy.spatial import cKDTree

    model = load_model(extent="head")
    asset = read_asset("regions", "region_names")
    ears = model.refine @ (asset["regions"][list(asset["region_names"]).index("ears")] / np.float32(255))
    skin = np.setdiff1d(np.unique(model.triangles[model.eye == 0]), np.nonzero(ears > 0.05)[0])
    offset = model.neutral[skin] - np.asarray(SKULL_MM, np.float32)
    directions = offset / np.linalg.norm(offset, axis=1, keepdims=True)

    turn = np.radians(np.arange(HAIR_COLUMNS) * 360 / HAIR_COLUMNS - 180)
    polar = np.radians(np.linspace(0.5, HANGING_FROM_DEG if long else 150, HAIR_ROWS))
    turns, polars = np.meshgrid(turn, polar)
    outward = np.stack([np.sin(polars) * np.sin(turns), np.cos(polars), np.sin(polars) * np.cos(turns)], -1).reshape(
        -1, 3
    )
    distance, near = cKDTree(directions).query(outward, k=12)
    weights = np.exp(-((distance / np.maximum(distance[:, :1] + 0.03, 0.04)) ** 2))
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(outward)), near.shape[1])
    pick = sp.csr_matrix((weights.ravel(), (rows, skin[near].ravel())), shape=(len(outward), len(model.neutral)))
    scalp = (pick @ model.refine).tocsr().astype(np.float32)
    hanging = np.zeros(len(outward))
    count = HAIR_ROWS
    if long:
        drop = np.linspace(0, HANGING_FROM_MM - LOWEST_HAIR_MM, HANGING_ROWS + 1)[1:]
        last = scalp[-HAIR_COLUMNS:]
        scalp = sp.vstack([scalp, *[last] * HANGING_ROWS]).tocsr()
        flat = outward[-HAIR_COLUMNS:] * (1, 0, 1)
        flat /= np.linalg.norm(flat, axis=1, keepdims=True)
        outward = np.concatenate([outward, np.tile(flat, (HANGING_ROWS, 1))])
        hanging = np.concatenate([hanging, np.repeat(drop, HAIR_COLUMNS)])
        count += HANGING_ROWS
    return _HairGrid(
        scalp,
        np.tile(np.degrees(turn), count).astype(np.float32),
        ((scalp @ model.base)[:, 1] - hanging).astype(np.float32),
        outward.astype(np.float32),
        hanging.astype(np.float32),
        grid_triangles(count, HAIR_COLUMNS, closed=True),
    )


def _smooth_columns(rng: np.random.Generator, width: float) -> FloatArray:
    """Noise of unit variance around the head, one value a column, as smooth as ``width`` columns."""
    values = np.fft.rfft(rng.standard_normal(HAIR_COLUMNS))
    values *= np.exp(-0.5 * (np.arange(len(values)) * 2 * np.pi * width / HAIR_COLUMNS) ** 2)
    smooth = np.fft.irfft(values, HAIR_COLUMNS)
    return np.asarray(smooth / smooth.std(), np.float32)


def hair_part(
    placement: Placement,
    *,
    style: HairStyle,
    colour: Colour,
    hairline: float,
    volume_mm: float,
    length_mm: float,
    seed: int,
) -> ColouredMesh | None:
    """Hair as a shell around the scalp, or None for shorn hair (which is painted on the head).

    ``hairline`` is its height above the forehead on the neutral head, ``volume_mm`` how far the hair stands off,
    ``length_mm`` the height on the neutral head that long hair reaches down to.
    """
    if style == "shorn":
        return None
    rng = np.random.default_rng(seed)
    hanging = style in ("curtain", "long")
    grid = _hair_grid(hanging)
    azimuth = np.abs(grid.azimuth_deg)
    columns = len(grid.azimuth_deg) // HAIR_COLUMNS
    lock = np.tile(_smooth_columns(rng, 5.0), columns)
    strand = np.tile(_smooth_columns(rng, 0.7), columns)
    jag = np.tile(_smooth_columns(rng, 1.2), columns)
    edge = hairline_mm(azimuth, hairline) + 2.0 * lock + 1.5 * jag
    rim_mm = np.full(len(azimuth), 1.0, np.float32)
    if style == "fringe":
        reach = np.clip((52 - azimuth) / 10, 0, 1)
        edge = edge * (1 - reach) + reach * (hairline - 30 + 4.0 * lock + 4.0 * jag)
        rim_mm += 4 * reach
    if hanging:
        parting = rng.uniform(-18, 18)
        side = np.clip(np.abs(grid.azimuth_deg - parting * np.clip((60 - azimuth) / 40, 0, 1)) / 58, 0, 1)
        fall = hairline - 2 - (55 if style == "curtain" else 25) * side**1.6
        edge = np.where(azimuth < 57, fall, length_mm + 8 * lock)
        # Between forehead and cheek the edge drops: hair frames the face there.
        blend = np.clip((azimuth - 47) / 10, 0, 1)
        edge = np.where((azimuth >= 47) & (azimuth < 57), fall * (1 - blend) + length_mm * blend, edge).astype(
            np.float32
        )
        rim_mm += 3 * np.clip((azimuth - 40) / 10, 0, 1)
    inside = (grid.height - edge).astype(np.float32)

    full = np.clip(inside / 20, 0, 1)
    flat_sides = 0.75 if hanging else 0.3
    crown = flat_sides + (1 - flat_sides) * np.clip((grid.height - 735) / 75, 0, 1)
    stand = rim_mm + (volume_mm * crown) * full * (2 - full)
    if hanging:
        # Over the ears, which stick out of the scalp.
        beside = np.exp(-(((azimuth - 88) / 28) ** 2)) * np.clip((770 - grid.height) / 45, 0, 1)
        stand = np.maximum(stand, rim_mm + 19 * beside * np.clip(full * 2, 0, 1))
        stand += 0.05 * grid.hanging
    # Locks drift sideways on their way down, or they would look combed with a ruler.
    drift = np.rint(4 * np.sin(grid.height / 26 + np.tile(_smooth_columns(rng, 9.0), columns))).astype(int)
    place = np.arange(len(lock))
    moved = place - place % HAIR_COLUMNS + (place + drift) % HAIR_COLUMNS
    lock, strand = lock[moved], strand[moved]
    stand = stand + (1.2 * lock + 0.4 * strand) * np.clip(full * 3, 0, 1)
    points = grid.scalp @ placement.coarse_mm + stand[:, None] * grid.outward
    points[:, 1] -= grid.hanging
    if hanging:
        # At the back the hair rests on neck and shoulders instead of going straight down.
        points[:, 2] -= np.where(azimuth > 100, 0.06 * grid.hanging, 0).astype(np.float32)
    shell = clip_mesh(Mesh(points.astype(np.float32), grid.triangles), inside)
    used, triangles = np.unique(shell.triangles, return_inverse=True)
    mesh = Mesh(placement.place(shell.vertices_mm[used]), triangles.reshape(-1, 3).astype(np.int32))

    shade = 1 + 0.22 * strand + 0.08 * lock + 0.10 * rng.standard_normal(len(strand), np.float32)
    shade *= 0.8 + 0.2 * np.clip(inside / 12, 0, 1)
    painted = np.asarray(colour, np.float32) * np.clip(shade, 0.35, 1.8)[:, None]
    # Vertices on the cut come after the grid's own and take the colour of the rim.
    grown = np.tile(np.asarray(colour, np.float32) * 0.8, (len(shell.vertices_mm), 1))
    grown[: len(painted)] = painted
    colours = np.clip(grown[used], 0.002, 0.9).astype(np.float32)
    return ColouredMesh(mesh, colours, np.full(len(used), 0.35, np.float32), "hair")


@dataclass(frozen=True, eq=False)
class _Body:
    base: FloatArray
    deltas: sp.csr_matrix
    columns: tuple[str, ...]
    shared: npt.NDArray[np.int64]
    refine: sp.csr_matrix
    triangles: npt.NDArray[np.int32]
    neck: FloatArray
    arm: FloatArray


@lru_cache(maxsize=1)
def _body() -> _Body:
    asset = read_asset(
        "body_base", "body_quads", "body_head", "body_names", "body_deltas", "body_millimetres", "millimetres"
    )
    base = asset["body_base"].astype(np.float32) * np.float32(asset["millimetres"])
    deltas = asset["body_deltas"].reshape(len(asset["body_deltas"]), -1).T.astype(np.float32)
    refine, quads = subdivision_matrix(asset["body_quads"].astype(np.int64), len(base), 2)
    along = base[:, 1] + NECK_TILT * np.minimum(base[:, 2], NECK_FRONT_MM)
    return _Body(
        base,
        sp.csr_matrix(deltas * np.float32(asset["body_millimetres"])),
        tuple(str(name) for name in asset["body_names"]),
        asset["body_head"].astype(np.int64),
        refine,
        quad_triangles(quads),
        np.clip((along - NECK_BASE_MM) / (NECK_TOP_MM - NECK_BASE_MM), 0, 1).astype(np.float32),
        np.clip((np.abs(base[:, 0]) - 115) / 90, 0, 1).astype(np.float32),
    )


def torso_yaw_deg(yaw_deg: float) -> float:
    """How far the shoulders turn with the head: hardly for a glance, half of the way for a profile."""
    return float(yaw_deg - 42 * np.tanh(yaw_deg / 42))


def body_part(
    parameters: FaceParameters,
    placement: Placement,
    *,
    head_colours: FloatArray,
    skin: Colour,
    gloss: float,
    clothes: Colour,
    stripes: Colour,
    neckline_mm: float,
) -> ColouredMesh:
    """Neck, shoulders, chest and upper arms; clothed from a collar down that is ``neckline_mm`` wider than closed.

    The neck bends between a head that is turned and shoulders that follow only in part. ``head_colours`` are those of
    the coloured head; the neck takes them up where the two meet.
    """
    body = _body()
    weights = np.asarray([parameters.targets.get(name, 0.0) for name in body.columns], np.float32)
    coarse = body.base + (body.deltas @ weights).reshape(-1, 3)
    rim = body.shared >= 0
    coarse[rim] = placement.coarse_mm[body.shared[rim]]

    drop = np.radians(ARM_DROP_DEG) * body.arm * -np.sign(body.base[:, 0])
    joint = np.asarray(SHOULDER_MM, np.float32) * np.stack([np.sign(body.base[:, 0]), *np.ones((2, len(coarse)))], 1)
    x, y = (coarse - joint)[:, 0], (coarse - joint)[:, 1]
    turned = np.stack([np.cos(drop) * x - np.sin(drop) * y, np.sin(drop) * x + np.cos(drop) * y], 1)
    coarse[:, :2] = np.where(body.arm[:, None] > 0, turned + joint[:, :2], coarse[:, :2])

    neck = np.asarray(NECK_JOINT_MM, np.float32)
    at_joint = placement.place(neck[None])[0]
    steps = np.rint(body.neck * 12).astype(int)
    steps[rim] = 12
    torso = torso_yaw_deg(parameters.yaw_deg)
    posed = np.empty_like(coarse)
    for step in np.unique(steps):
        share = step / 12
        turn = rotation(
            torso + (parameters.yaw_deg - torso) * share, parameters.pitch_deg * share, parameters.roll_deg * share
        )
        own = steps == step
        posed[own] = (coarse[own] - neck) @ turn.T.astype(np.float32) + at_joint

    fine, flat = body.refine @ posed, body.refine @ body.base
    height = flat[:, 1]
    hem = COLLAR_MM - (COLLAR_FALL_MM + neckline_mm) * np.clip((flat[:, 2] + 10) / 75, 0, 1)
    hem += 40 * (np.abs(flat[:, 0]) / 75) ** 3  # over the shoulders it closes
    cloth = np.clip((hem - height) / 3 + 0.5, 0, 1).astype(np.float32)
    mesh = Mesh(fine.astype(np.float32), body.triangles)
    mesh = Mesh(mesh.vertices_mm + CLOTH_MM * cloth[:, None] * vertex_normals(mesh), mesh.triangles)
    band = (np.sin(flat[:, 1] * (2 * np.pi / 42)) > 0.2).astype(np.float32)
    fabric = np.asarray(clothes, np.float32) + band[:, None] * (
        np.asarray(stripes, np.float32) - np.asarray(clothes, np.float32)
    )
    fabric = fabric * (1 - 0.35 * np.exp(-(((hem - height - 9) / 1.5) ** 2)))[:, None]
    tone = np.ones_like(coarse)
    tint = head_colours[body.shared[rim]] / np.asarray(skin, np.float32)
    nearest = np.linalg.norm(body.base[:, None] - body.base[rim][None], axis=2).argmin(axis=1)
    tone += body.neck[:, None] * (tint[nearest] - 1)
    tone[rim] = tint
    neck_colour = np.asarray(skin, np.float32) * (body.refine @ tone)
    colours = np.clip(neck_colour * (1 - cloth[:, None]) + fabric * cloth[:, None], 0.002, 0.95)
    shine = gloss * 0.7 * (1 - cloth) + 0.05 * cloth
    return ColouredMesh(mesh, colours.astype(np.float32), shine.astype(np.float32), "body")
