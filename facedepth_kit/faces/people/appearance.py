"""What a parametric face looks like: skin, eyes, brows, lips and hair as colours of the mesh's vertices.

Simulated: the faces of no real people. Colours are linear albedo, painted on the neutral head and carried along by
identity and expression; the picture comes from :func:`render_view`. All strengths and ranges are our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from facedepth_kit.faces.people.outfit import HAIR_STYLES, HairStyle, body_part, hair_part, hairline_mm
from facedepth_kit.faces.people.parametric import (
    FaceParameters,
    Placement,
    face_placement,
    load_model,
    read_asset,
    shown_triangles,
)
from facedepth_kit.rendering.mesh import ColouredMesh, Mesh, grid_triangles

FloatArray = npt.NDArray[np.float32]
Colour = tuple[float, float, float]

# Linear albedo. Skin is mixed in the logarithm between light and dark; tones between them are warmer than the mixture.
LIGHT_SKIN, DARK_SKIN, WARMTH = (0.62, 0.42, 0.33), (0.090, 0.046, 0.029), (0.0, 0.05, 0.16)
HAIR_COLOURS: tuple[Colour, ...] = (
    (0.012, 0.010, 0.009), (0.030, 0.019, 0.013), (0.075, 0.042, 0.024), (0.13, 0.075, 0.040), (0.30, 0.20, 0.10),
    (0.20, 0.065, 0.025),
)  # fmt: skip
GREY_HAIR: Colour = (0.26, 0.25, 0.24)
IRIS_COLOURS: tuple[Colour, ...] = (
    (0.035, 0.018, 0.010), (0.085, 0.040, 0.018), (0.13, 0.085, 0.035), (0.10, 0.14, 0.09), (0.11, 0.16, 0.20),
    (0.15, 0.17, 0.18),
)  # fmt: skip
MOUTH_COLUMNS, MOUTH_ROWS, MOUTH_DEPTH_MM, TUCKED_IN_MM = 48, 19, 9.0, 2.5
SCLERA, TEETH, MOUTH, TONGUE = (0.74, 0.69, 0.66), (0.66, 0.60, 0.50), (0.035, 0.008, 0.007), (0.30, 0.09, 0.08)

# Places on the neutral head, in millimetres.
EYE_CENTRE_MM, EYE_RADIUS_MM = (30.8, 728.4, 125.6), 13.5
IRIS_MM, PUPIL_MM = 5.9, 2.1
BROW_X_MM, BROW_Y_MM = (10.0, 14.0, 26.0, 38.0, 49.0, 58.0), (740.3, 742.0, 745.2, 746.6, 744.4, 738.0)
BROW_HALF_MM = (2.6, 3.4, 3.5, 3.0, 2.1, 1.0)
UPPER_LID_MM = ((17.5, 727.4), (23.0, 730.7), (28.5, 732.8), (33.0, 733.4), (37.8, 732.6), (42.0, 731.0), (44.3, 728.4))
LOWER_LID_MM = ((18.5, 727.2), (23.0, 725.3), (28.0, 724.6), (33.0, 724.2), (37.0, 724.6), (41.5, 726.0), (44.3, 728.4))


@dataclass(frozen=True)
class Appearance:
    """One person's colours (linear albedo in 0..1), strengths (0..1) and measures in millimetres.

    ``skin`` is the forehead's colour, ``redness`` what cheeks, nose and ears have more of it, ``gloss`` how the skin
    shines. Brows: ``brow_thickness`` multiplies their height, ``brow_raise_mm`` and ``brow_arch_mm`` move them and
    their middle. ``beard`` shades chin, jaw and upper lip. ``freckles`` and ``blemishes`` are counts. ``gaze_deg`` (to
    the image's right, up) turns the eyes. ``hairline_mm`` is its height on the neutral head, ``hair_volume_mm`` how far
    the hair stands off, ``hair_length_mm`` the height on the neutral head that long hair reaches; ``neckline_mm`` how
    far below the neck's base the clothes begin in front; ``seed`` draws all patterns.
    """

    skin: Colour = (0.45, 0.29, 0.22)
    lips: Colour = (0.36, 0.14, 0.12)
    brows: Colour = (0.045, 0.028, 0.018)
    iris: Colour = (0.085, 0.040, 0.018)
    hair: Colour = (0.045, 0.028, 0.018)
    redness: float = 0.4
    gloss: float = 0.3
    brow_density: float = 0.85
    brow_thickness: float = 1.0
    brow_raise_mm: float = 0.0
    brow_arch_mm: float = 0.0
    lashes: float = 0.7
    beard: float = 0.0
    freckles: int = 0
    blemishes: int = 4
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    hairline_mm: float = 800.0
    hair_style: HairStyle = "short"
    hair_volume_mm: float = 9.0
    hair_length_mm: float = 610.0
    clothes: Colour = (0.09, 0.12, 0.20)
    stripes: Colour = (0.09, 0.12, 0.20)
    neckline_mm: float = 4.0
    seed: int = 0


def _macro_share(parameters: FaceParameters, *names: str) -> float | None:
    """How much of the origins' weight is on macro targets with one of these names; None if there are no macros."""
    macro = {n: w for n, w in parameters.targets.items() if n.startswith("macrodetails/") and "universal" not in n}
    total = sum(macro.values())
    if total <= 0:
        return None
    return sum(w for n, w in macro.items() if any(part in names for part in n.split("/")[1].split("-"))) / total


def draw_appearance(rng: np.random.Generator, parameters: FaceParameters | None = None) -> Appearance:
    """A random person's looks; with ``parameters``, skin, hair and beard go with the face's origins and sex."""
    african, asian, _ = rng.dirichlet((0.7, 0.7, 0.7))
    male = float(rng.random())
    if parameters is not None and (known := _macro_share(parameters, "male")) is not None:
        male = known
        african, asian = (_macro_share(parameters, name) or 0.0 for name in ("african", "asian"))
    melanin = float(np.clip(0.08 + 0.75 * african + 0.22 * asian + rng.normal(0, 0.10), 0.0, 1.0))
    light, dark = np.log(LIGHT_SKIN), np.log(DARK_SKIN)
    tone = light + (dark - light) * melanin - 4 * melanin * (1 - melanin) * np.asarray(WARMTH)
    skin = np.exp(tone) * np.exp(rng.normal(0, 0.08) + rng.normal(0, (0.02, 0.02, 0.035)))
    redness = float(rng.uniform(0.2, 0.8))
    lips = skin * np.exp(rng.normal((-0.22, -0.75, -0.62), 0.10) * (1 - 0.45 * melanin))
    dark_hair = rng.random() < 0.25 + 1.2 * (african + asian)
    hair = np.asarray(HAIR_COLOURS[int(rng.integers(0, 2 if dark_hair else len(HAIR_COLOURS)))]) * rng.uniform(
        0.8, 1.25
    )
    old = _macro_share(parameters, "old") if parameters is not None else None
    grey = float(np.clip(2 * ((old if old is not None else rng.random() ** 2) - 0.6) + rng.normal(0, 0.15), 0, 1))
    hair = hair * (1 - grey) + np.asarray(GREY_HAIR) * grey
    brows = hair * min(rng.uniform(0.6, 1.0), 0.06 / hair.mean())
    iris = IRIS_COLOURS[int(rng.integers(0, 2 if dark_hair else len(IRIS_COLOURS)))]
    shaven = rng.random() < 0.75
    beard = 0.0 if rng.random() > male else float(rng.uniform(0.0, 0.35) if shaven else rng.uniform(0.5, 0.9))

    clothes = np.exp(rng.uniform(-3.5, -0.4) + rng.normal(0, 0.3, 3))
    short, long = (0.25, 0.5, 0.25, 0.0, 0.0), (0.03, 0.17, 0.15, 0.3, 0.35)

    def colour(values: npt.NDArray[np.floating]) -> Colour:
        return tuple(float(v) for v in np.clip(values, 0.003, 0.9))  # type: ignore[return-value]

    return Appearance(
        skin=colour(skin),
        lips=colour(lips),
        brows=colour(brows),
        iris=colour(np.asarray(iris) * rng.uniform(0.8, 1.2)),
        hair=colour(hair),
        redness=redness,
        gloss=float(rng.uniform(0.15, 0.42)),
        brow_density=float(rng.uniform(0.6, 0.95)),
        brow_thickness=float(rng.uniform(0.65, 1.1) + 0.25 * male),
        brow_raise_mm=float(rng.normal(0, 1.0)),
        brow_arch_mm=float(rng.uniform(-1.2, 2.0)),
        lashes=float(np.clip(0.85 - 0.4 * male + rng.normal(0, 0.1), 0.2, 1.0)),
        beard=beard,
        freckles=int(rng.integers(40, 220)) if melanin < 0.3 and rng.random() < 0.3 else 0,
        blemishes=int(rng.integers(0, 12)),
        gaze_deg=(float(np.clip(rng.normal(0, 4), -10, 10)), float(np.clip(rng.normal(0, 2.5), -6, 6))),
        hairline_mm=float(rng.uniform(786, 812)),
        hair_style=HAIR_STYLES[int(rng.choice(5, p=short if rng.random() < male else long))],
        hair_volume_mm=float(rng.uniform(5, 17)),
        hair_length_mm=float(rng.uniform(545, 665)),
        clothes=colour(clothes),
        stripes=colour(clothes * rng.uniform(0.4, 0.8) if rng.random() < 0.25 else clothes),
        neckline_mm=float(rng.uniform(0, 30)),
        seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True, eq=False)
class _Canvas:
    """The neutral head to paint on, float32 (V,) each unless said otherwise.

    ``mouth`` are the triangles between the lips, (T,) bool over the model's; ``lip_edges`` (2 MOUTH_COLUMNS, coarse V)
    takes the coarse head to points along the upper and the lower lip's inner edge, which lie at ``mouth_x`` on the
    neutral head. ``eye`` and ``rear`` (the skin behind the eyeballs) are bool.
    """

    neutral: FloatArray
    azimuth_deg: FloatArray
    lips: FloatArray
    lids: FloatArray
    ears: FloatArray
    sky: FloatArray
    eye: npt.NDArray[np.bool_]
    rear: npt.NDArray[np.bool_]
    mouth: npt.NDArray[np.bool_]
    lip_edges: sp.csr_matrix
    mouth_x: FloatArray


def _lip_edges(rim: npt.NDArray[np.integer]) -> tuple[FloatArray, sp.csr_matrix]:
    """Points along the inner edges of the lips, of which ``rim`` are the vertices: neutral x and ``lip_edges``."""
    model = load_model(extent="head")
    x, y = model.base[rim, 0], model.base[rim, 1]
    ends = (x == x.min()) | (x == x.max())
    places = np.linspace(x.min(), x.max(), MOUTH_COLUMNS)
    blocks = []
    for edge in (y >= y.mean(), y < y.mean()):
        chain = rim[edge | ends][np.argsort(x[edge | ends])]
        after = np.clip(np.searchsorted(model.base[chain, 0], places), 1, len(chain) - 1)
        low, high = model.base[chain[after - 1], 0], model.base[chain[after], 0]
        share = (places - low) / (high - low)
        columns = np.concatenate([chain[after - 1], chain[after]])
        rows = np.tile(np.arange(MOUTH_COLUMNS), 2)
        blocks.append(
            sp.csr_matrix((np.append(1 - share, share), (rows, columns)), shape=(MOUTH_COLUMNS, model.refine.shape[0]))
        )
    return places.astype(np.float32), (sp.vstack(blocks) @ model.refine).tocsr().astype(np.float32)


@lru_cache(maxsize=1)
def _canvas() -> _Canvas:
    model = load_model(extent="head")
    asset = read_asset("regions", "region_names", "sky", "skin", "eyes")
    regions = {
        str(name): np.clip(model.refine @ (weights / np.float32(255)), 0, 1).astype(np.float32)
        for name, weights in zip(asset["region_names"], asset["regions"], strict=True)
    }
    skin = asset["skin"].astype(np.int64)
    faces = np.concatenate([skin, asset["eyes"]]).astype(np.int64)
    # Each side of a coarse face gives four quads of the twice refined mesh, in order; a quad gives two triangles.
    origin = np.repeat(np.arange(len(faces)), 4 * np.where(faces[:, 3] < 0, 3, 4))
    membrane = np.append(skin[:, 3] < 0, np.zeros(len(asset["eyes"]), bool))
    at_mouth = membrane & (model.base[faces[:, 0], 1] < 690)
    mouth_x, lip_edges = _lip_edges(np.unique(faces[at_mouth][:, :3]))
    eye, rear = np.zeros(len(model.neutral), bool), np.zeros(len(model.neutral), bool)
    eye[model.triangles[model.eye > 0]] = True
    rear[model.triangles[np.tile((membrane & ~at_mouth)[origin], 2)]] = True
    x, _, z = model.neutral.T
    return _Canvas(
        neutral=model.neutral,
        azimuth_deg=np.abs(np.degrees(np.arctan2(x, z - 30))).astype(np.float32),
        lips=regions["lips"],
        lids=regions["eyelids"],
        ears=regions["ears"],
        sky=np.clip(model.refine @ (asset["sky"] / np.float32(255)), 0, 1).astype(np.float32),
        eye=eye,
        rear=rear,
        mouth=np.tile(at_mouth[origin], 2),
        lip_edges=lip_edges,
        mouth_x=mouth_x,
    )


def _step(value: FloatArray, low: float, high: float) -> FloatArray:
    """0 below ``low``, 1 above ``high`` (or the reverse), smooth between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _mix(colours: FloatArray, other: Sequence[float] | npt.NDArray[np.floating], weight: FloatArray) -> None:
    colours += weight[:, None] * (np.asarray(other, np.float32) - colours)


def _waves(points: FloatArray, length_mm: float, count: int, rng: np.random.Generator) -> FloatArray:
    """Smooth noise of about unit variance on points (n, 3), with structures of about this size."""
    directions = rng.normal(size=(count, 3))
    directions *= (
        2 * np.pi / length_mm / np.linalg.norm(directions, axis=1, keepdims=True) * rng.uniform(0.6, 1.4, (count, 1))
    )
    phases = points @ directions.astype(np.float32).T + rng.uniform(0, 2 * np.pi, count).astype(np.float32)
    return np.asarray(np.cos(phases).sum(axis=1) * np.float32(np.sqrt(2 / count)), np.float32)


def _near_line(x: FloatArray, y: FloatArray, line: Sequence[tuple[float, float]]) -> FloatArray:
    """Distance (mm) of points to a polyline that is a function of x; large beyond its ends."""
    places, heights = zip(*line, strict=True)
    slope = np.interp(x, places, np.gradient(heights, places))
    beyond = np.maximum(np.maximum(places[0] - x, x - places[-1]), 0)
    return np.asarray(np.hypot((y - np.interp(x, places, heights)) / np.sqrt(1 + slope**2), beyond), np.float32)


def _paint_skin(colours: FloatArray, gloss: FloatArray, look: Appearance, rng: np.random.Generator) -> None:
    canvas = _canvas()
    x, y, z = canvas.neutral.T
    side = np.abs(x)
    front = _step(z, 40, 80)
    red = look.redness * (
        0.55 * np.exp(-(((side - 40) / 17) ** 2) - ((y - 697) / 15) ** 2)
        + 0.45 * np.exp(-((side / 13) ** 2) - ((y - 692) / 12) ** 2)
        + 0.5 * canvas.ears
        + 0.15 * np.exp(-((side / 20) ** 2) - ((y - 628) / 12) ** 2)
    ) * np.maximum(front, canvas.ears)  # fmt: skip
    colours *= np.exp(-red[:, None] * np.asarray((0.08, 0.42, 0.38), np.float32))
    under_eyes = 0.16 * np.exp(-((_near_line(side, y, LOWER_LID_MM) / 5.5) ** 2)) * front * (y < 727)
    colours *= np.exp(-under_eyes[:, None] * np.asarray((0.8, 1.1, 0.9), np.float32))
    colours *= (1 + 0.05 * _waves(canvas.neutral, 45, 12, rng) + 0.035 * _waves(canvas.neutral, 9, 24, rng))[:, None]
    colours *= (1 + 0.025 * rng.standard_normal(len(colours), np.float32))[:, None]
    nose_and_forehead = np.exp(-((side / 16) ** 2)) * (y > 680)
    cheekbones = np.exp(-(((side - 42) / 12) ** 2) - ((y - 712) / 9) ** 2)
    gloss[:] = look.gloss * (0.7 + front * (0.5 * nose_and_forehead + 0.25 * cheekbones))


def _paint_spots(colours: FloatArray, look: Appearance, rng: np.random.Generator) -> None:
    canvas = _canvas()
    _, y, z = canvas.neutral.T
    cheeks = np.nonzero((z > 100) & (y > 672) & (y < 722) & ~canvas.eye & (canvas.lips < 0.1))[0]
    face = np.nonzero((canvas.azimuth_deg < 70) & (y > 625) & (y < 785) & ~canvas.eye & (canvas.lips < 0.1))[0]
    for places, count, radius, depth in (
        (cheeks, look.freckles, 0.9, (0.08, 0.35)),
        (face, look.blemishes, 1.5, (0.1, 0.9)),
    ):
        for centre in rng.choice(places, count) if count else ():
            distance = ((canvas.neutral[places] - canvas.neutral[centre]) ** 2).sum(axis=1)
            near = distance < (4 * radius) ** 2
            strength = rng.uniform(*depth) * np.exp(-distance[near] / (radius * rng.uniform(0.7, 1.3)) ** 2)
            colours[places[near]] *= np.exp(-strength[:, None] * np.asarray((0.6, 1.0, 1.1), np.float32))


def _paint_hair(colours: FloatArray, gloss: FloatArray, look: Appearance, rng: np.random.Generator) -> None:
    canvas = _canvas()
    x, y, z = canvas.neutral.T
    side = np.abs(x)
    grain = 0.75 + 0.25 * rng.random(len(colours), np.float32)
    beard_line = np.interp(side, (0, 20, 30, 45, 60, 75), (683, 681, 670, 668, 682, 705))
    beard = _step(beard_line - y, -3, 5) * _step(y, 596, 612) * (1 - canvas.lips) * (1 - canvas.ears)
    beard *= 1 - 0.75 * np.exp(-((side / 9) ** 2) - ((y - 643) / 4) ** 2)
    beard *= _step(z, 48, 62)
    _mix(colours, np.asarray(look.hair) * 0.9 + np.asarray(look.skin) * 0.12, 0.8 * look.beard * beard * grain)

    height = np.interp(side, BROW_X_MM, BROW_Y_MM) + look.brow_raise_mm
    height += look.brow_arch_mm * np.exp(-(((side - 40) / 10) ** 2))
    half = np.interp(side, BROW_X_MM, BROW_HALF_MM) * look.brow_thickness
    ends = _step(side, 9.5, 14.5) * _step(side, 60.5, 54.0)
    brow = np.exp(-(np.abs((y - height) / half) ** 3)) * ends * (z > 75)
    _mix(colours, look.brows, look.brow_density * brow * (0.8 + 0.2 * grain))
    gloss *= 1 - 0.7 * brow

    above = y - hairline_mm(canvas.azimuth_deg, look.hairline_mm) + 2.0 * _waves(canvas.neutral, 12, 16, rng)
    scalp = _step(above, -2, 7) * (1 - _step(canvas.ears, 0.1, 0.4))
    _mix(colours, look.hair, scalp * (0.82 + 0.18 * grain))
    gloss[:] = gloss * (1 - scalp) + 0.3 * scalp


def _paint_features(colours: FloatArray, gloss: FloatArray, look: Appearance, rng: np.random.Generator) -> None:
    canvas = _canvas()
    x, y, z = canvas.neutral.T
    side = np.abs(x)
    lips = _step(canvas.lips, 0.25, 0.75)
    lower = (y < 661).astype(np.float32)
    _mix(colours, look.lips, lips * (0.88 + 0.06 * lower))
    colours *= (1 - 0.10 * lips * (1 - lower))[:, None]
    gloss += lips * (0.45 - gloss)
    front = (z > 115) & ~canvas.eye
    colours *= (1 - 0.10 * canvas.lids * (y > 729))[:, None]
    for line, strength, width in ((UPPER_LID_MM, 0.9, 1.0), (LOWER_LID_MM, 0.4, 0.8)):
        lash = front * np.exp(-((_near_line(side, y, line) / width) ** 2))
        _mix(colours, np.asarray(look.brows) * 0.5, strength * look.lashes * lash)
    corner = np.exp(-((side - 19.5) ** 2 + (y - 727.3) ** 2) / 3) * front
    _mix(colours, (0.35, 0.13, 0.11), 0.6 * corner)
    _mix(colours, (0.18, 0.06, 0.05), canvas.rear.astype(np.float32) * 0.9)


def _paint_eyes(colours: FloatArray, gloss: FloatArray, look: Appearance, rng: np.random.Generator) -> None:
    canvas = _canvas()
    right, up = np.radians(look.gaze_deg)
    gaze = np.asarray((np.sin(right) * np.cos(up), np.sin(up), np.cos(right) * np.cos(up)))
    for sign in (-1, 1):
        ball = np.nonzero(canvas.eye & (canvas.neutral[:, 0] * sign > 0))[0]
        offset = canvas.neutral[ball] - np.asarray(EYE_CENTRE_MM, np.float32) * (sign, 1, 1)
        along = offset @ gaze
        reach = np.linalg.norm(offset - along[:, None] * gaze, axis=1).astype(np.float32)
        reach[along < 0] = EYE_RADIUS_MM
        paint = np.tile(np.asarray(SCLERA, np.float32), (len(ball), 1))
        paint *= 1 - 0.25 * np.asarray((0.3, 1.0, 1.0), np.float32) * _step(np.abs(offset[:, 0]), 6, 12)[:, None]
        ring = 1 + 0.25 * rng.standard_normal(len(ball), np.float32)
        iris = np.asarray(look.iris, np.float32) * (0.75 + 0.5 * _step(reach, PUPIL_MM, 4.2))[:, None] * ring[:, None]
        iris *= (1 - 0.6 * _step(reach, 4.8, 5.8))[:, None]
        _mix(paint, iris, _step(reach, IRIS_MM + 0.35, IRIS_MM - 0.35))
        _mix(paint, (0.004, 0.004, 0.004), _step(reach, PUPIL_MM + 0.4, PUPIL_MM - 0.4))
        # The upper lid and its lashes shade the ball.
        paint *= (1 - 0.55 * _step(offset[:, 1], 0.5, 5.0))[:, None]
        colours[ball] = paint
        gloss[ball] = 0.95


def _mouth(placement: Placement) -> tuple[Mesh, FloatArray]:
    """What is seen between the lips, and its colours: dark, with upper teeth and tongue as far as the mouth is open.

    A sheet from lip to lip that sinks in between them, by at most ``MOUTH_DEPTH_MM``.
    """
    canvas = _canvas()
    upper, lower = np.split(canvas.lip_edges @ placement.coarse_mm, 2)
    opening = np.linalg.norm(upper - lower, axis=1)
    # The first and the last row tuck the sheet in behind the lips, or gaps would open along their edges.
    down = np.pad(np.linspace(0, 1, MOUTH_ROWS - 2, dtype=np.float32), 1, mode="edge")[:, None]
    sheet = upper + down[..., None] * (lower - upper)
    sheet[..., 2] -= np.minimum(0.6 * opening, MOUTH_DEPTH_MM) * np.sqrt(np.sin(np.pi * down).clip(0))
    for row, up in ((0, 1), (-1, -1)):
        sheet[row] += np.asarray((0, up * TUCKED_IN_MM, -TUCKED_IN_MM), np.float32)
    below, above = (down * opening).ravel(), ((1 - down) * opening).ravel()
    side = np.tile(np.abs(canvas.mouth_x), MOUTH_ROWS)
    colours = np.tile(np.asarray(MOUTH, np.float32), (len(side), 1))
    shown = _step(np.tile(opening, MOUTH_ROWS), 2.5, 6.0)
    _mix(colours, TONGUE, 0.6 * shown * _step(above, 9, 4) * _step(side, 20, 12))
    gaps = 0.85 + 0.15 * np.abs(np.sin(np.pi * side / 7.5)) ** 0.5
    _mix(colours, TEETH, (0.9 * gaps * shown * _step(below, 8.5, 7.0) * _step(side, 22, 14)).astype(np.float32))
    colours.reshape(MOUTH_ROWS, MOUTH_COLUMNS, 3)[[0, 1, -2, -1]] = MOUTH
    return Mesh(placement.place(sheet.reshape(-1, 3)), grid_triangles(MOUTH_ROWS, MOUTH_COLUMNS)), colours


@lru_cache(maxsize=8)
def paint_head(appearance: Appearance) -> tuple[FloatArray, FloatArray]:
    """Albedo (V, 3) and gloss (V,) of all vertices of the whole head; the mouth's inside is left as lips.

    Cached (a person is seen many times), so the arrays are read-only.
    """
    canvas = _canvas()
    rng = np.random.default_rng(appearance.seed)
    colours = np.tile(np.asarray(appearance.skin, np.float32), (len(canvas.neutral), 1))
    gloss = np.empty(len(colours), np.float32)
    _paint_skin(colours, gloss, appearance, rng)
    _paint_spots(colours, appearance, rng)
    _paint_features(colours, gloss, appearance, rng)
    _paint_hair(colours, gloss, appearance, rng)
    _paint_eyes(colours, gloss, appearance, rng)
    shade = np.where(canvas.eye, 0.5 + 0.5 * canvas.sky, 0.18 + 0.82 * canvas.sky).astype(np.float32)
    colours *= shade[:, None]
    gloss *= shade
    colours, gloss = np.clip(colours, 0.002, 0.95), np.clip(gloss, 0, 1)
    colours.flags.writeable = gloss.flags.writeable = False
    return colours, gloss


def _head(parameters: FaceParameters, appearance: Appearance, placement: Placement) -> ColouredMesh:
    """The whole head, coloured, in the space of ``face_mesh(parameters)``, whatever the parameters' extent.

    The same surface, but for an open mouth, which sinks in between the lips here and is closed there.
    """
    canvas, model = _canvas(), load_model(extent="head")
    fine = placement.place(model.refine @ placement.coarse_mm)
    colours, gloss = paint_head(appearance)
    outer = model.triangles[shown_triangles(parameters, "head") & ~canvas.mouth]
    mouth, mouth_colours = _mouth(placement)
    mesh = Mesh(
        np.concatenate([fine, mouth.vertices_mm]), np.concatenate([outer, mouth.triangles + np.int32(len(fine))])
    )
    return ColouredMesh(
        mesh,
        np.concatenate([colours, mouth_colours]),
        np.concatenate([gloss, np.full(len(mouth_colours), 0.4, np.float32)]),
        "head",
    )


def coloured_person(parameters: FaceParameters, appearance: Appearance) -> tuple[ColouredMesh, ...]:
    """Head, hair (unless shorn) and body in the space of ``face_mesh(parameters)``; the parts' names say which."""
    placement = face_placement(parameters)
    look = appearance
    head = _head(parameters, look, placement)
    hair = hair_part(
        placement,
        style=look.hair_style,
        colour=look.hair,
        hairline=look.hairline_mm,
        volume_mm=look.hair_volume_mm,
        length_mm=look.hair_length_mm,
        seed=look.seed,
    )
    body = body_part(
        parameters,
        placement,
        head_colours=head.colours,
        skin=look.skin,
        gloss=look.gloss,
        clothes=look.clothes,
        stripes=look.stripes,
        neckline_mm=look.neckline_mm,
    )
    return (head, body) if hair is None else (head, hair, body)
