"""A free parametric face: identity, expression and pose to a mesh of about 40,000 vertices.

The shape comes from ``face_model.npz``, derived from the CC0 MakeHuman / MPFB2 head and the "Face
Units" expression pack by ``tools/derive_face_model.py``. It stands in for PRNet's output, the paper's
source of ground truth (section III-A): the same extent (forehead to chin, no ears, no neck), closed
lips, about the same number of triangles.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from facedepth_kit.common.arrays import read_npz
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds
from facedepth_kit.faces.people.subdivision import subdivision_matrix
from facedepth_kit.rendering.mesh import Mesh, quad_triangles

FloatArray = npt.NDArray[np.float32]

Extent = Literal["face", "head"]
AGES = {"child": 0.1875, "young": 0.5, "old": 1.0}  # MakeHuman's age scale, where its targets stand
AXIS_Z_MM = 30.0  # the head's vertical axis on the neutral mesh, for the azimuth of the outline
CHIN_MM, CHIN_Z_MM = 604.0, 140.0  # the outline's lowest line passes here on the neutral mesh
HAIRLINE_PER_MM = 0.0035  # how fast the hairline falls off to the temples (1/mm)
EARS_Z_MM, EARS_X_MM = 60.0, 80.0  # the neutral mesh's ears lie behind the one or beyond the other
ROUNDING_MM = 7.0  # how softly the lines of the outline meet
FACE_AZIMUTH_DEG, FACE_TOP_MM, FACE_JAW_SLOPE = 82.0, 835.0, 0.3  # beyond any outline: left out before refining
MM_PER_DEGREE = 1.5  # arc length of a degree of azimuth on the cheek
BLINK_WITHOUT_EYEBALL = 0.6  # a lid closed further than this would be pierced by the eyeball


@dataclass(frozen=True)
class FaceSettings:
    """Ranges that identities, expressions and poses are drawn from (our choice; the paper draws photos instead).

    ``slider_sigma`` is the spread of the shape sliders (0.20-0.25 looks natural, 0.33 gives caricatures);
    ``asymmetry_sigma`` the difference between left and right. ``expressive_share`` of the faces show an
    expression of ``expression_units`` action units. Angles are degrees: the spread of a normal
    distribution and its limit. ``azimuth_deg``, ``top_mm`` and ``jaw_slope`` bound the outline: how far the
    cheeks reach round the head, the height of the hairline on the neutral mesh, and the rise of the line
    from the chin to the ears. ``head_share`` of the faces come as whole heads (ears, scalp, neck) for enhancers
    that must serve camera images; the paper's ground truth has none.
    """

    slider_sigma: float = 0.24
    asymmetry_sigma: float = 0.10
    age: tuple[float, float] = (0.3, 0.95)
    expressive_share: float = 0.65
    expression_units: tuple[int, int] = (2, 8)
    yaw_deg: tuple[float, float] = (19.0, 60.0)
    pitch_deg: tuple[float, float] = (10.0, 30.0)
    roll_deg: tuple[float, float] = (6.0, 25.0)
    azimuth_deg: tuple[float, float] = (61.0, 68.0)
    top_mm: tuple[float, float] = (753.0, 785.0)
    jaw_slope: tuple[float, float] = (0.40, 0.60)
    head_share: float = 0.0

    def __post_init__(self) -> None:
        shares = dict.fromkeys(("slider_sigma", "asymmetry_sigma", "age", "expressive_share", "head_share"), (0.0, 1.0))
        check_bounds(self, **shares, expression_units=(0, 50))
        check_bounds(self, azimuth_deg=(30, 180), top_mm=(720, 1000), jaw_slope=(0, 2))
        for name in ("yaw_deg", "pitch_deg", "roll_deg"):
            spread, limit = getattr(self, name)
            if not (0 <= spread <= 180 and 0 <= limit <= 180):
                raise KitError(f"{name}: found {[spread, limit]}, expected a spread and a limit from 0 to 180")


@dataclass(frozen=True)
class FaceParameters:
    """One face: weights of the model's targets by name, pose in degrees, outline (azimuth, top, slope)."""

    targets: dict[str, float]
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    azimuth_deg: float = 64.0
    top_mm: float = 770.0
    jaw_slope: float = 0.5
    extent: Extent = "face"


@dataclass(frozen=True)
class FaceModel:
    """The asset, refined: positions are ``refine @ (base + deltas @ weights)``.

    ``base`` (V, 3) and the sparse ``deltas`` (V * 3, targets) are float32 millimetres of the coarse mesh, ``refine``
    the Catmull-Clark matrix (fine, V), ``triangles`` int32 (T, 3) of the fine mesh. ``eye`` is 0 for skin and 1, 2
    for the triangles of the two eyeballs; ``neutral`` the fine positions of the base face.
    """

    base: FloatArray
    deltas: sp.csr_matrix
    rows: dict[str, int]
    sliders: tuple[tuple[str, str, str], ...]
    units: tuple[str, ...]
    refine: sp.csr_matrix
    triangles: npt.NDArray[np.int32]
    eye: npt.NDArray[np.int8]
    neutral: FloatArray
    azimuth_deg: FloatArray


def _azimuth_deg(vertices_mm: FloatArray) -> FloatArray:
    return np.abs(np.degrees(np.arctan2(vertices_mm[:, 0], vertices_mm[:, 2] - AXIS_Z_MM)))


def read_asset(*names: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of ``face_model.npz`` by name, as ``tools/derive_face_model.py`` wrote them."""
    asset = resources.files("facedepth_kit.faces.people").joinpath("face_model.npz")
    with resources.as_file(asset) as path:
        return read_npz(path, dict.fromkeys(names))


@lru_cache(maxsize=4)
def load_model(levels: int = 2, extent: Extent = "face") -> FaceModel:
    """The face model refined ``levels`` times (2: about PRNet's number of triangles), face only or whole head;
    cached."""

    asset = read_asset("base", "deltas", "skin", "eyes", "names", "sliders", "millimetres")
    unit = float(asset["millimetres"])
    base = asset["base"].astype(np.float32) * np.float32(unit)
    # Most targets move a small part of the face, so a sparse product costs a tenth of a dense one.
    deltas = sp.csr_matrix(asset["deltas"].reshape(len(asset["deltas"]), -1).T.astype(np.float32) * np.float32(unit))
    skin = asset["skin"]
    if extent == "face":
        _, y, z = base.T
        near = (
            (_azimuth_deg(base) < FACE_AZIMUTH_DEG)
            & (y < FACE_TOP_MM)
            & (y > CHIN_MM - 8 + FACE_JAW_SLOPE * (CHIN_Z_MM - z))
        )
        skin = skin[(near[skin] | (skin < 0)).all(axis=1)]
    coarse = np.concatenate([skin, asset["eyes"]]).astype(np.int64)
    refine, quads = subdivision_matrix(coarse, len(base), levels)
    triangles = quad_triangles(quads)
    eyeball = np.unique(asset["eyes"])
    fine_eye = np.asarray((refine[:, eyeball] != 0).sum(axis=1)).ravel() > 0
    neutral = (refine @ base).astype(np.float32)
    side = np.where(neutral[:, 0] < 0, 1, 2)
    eye = np.where(fine_eye, side, 0)[triangles[:, 0]].astype(np.int8)

    names = [str(n) for n in asset["names"]]
    return FaceModel(
        base=base,
        deltas=deltas,
        rows={n: i for i, n in enumerate(names)},
        sliders=tuple((str(a), str(b), str(c)) for a, b, c in asset["sliders"]),
        units=tuple(n for n in names if n.startswith("faceunits/")),
        refine=refine,
        triangles=triangles,
        eye=eye,
        neutral=neutral,
        azimuth_deg=_azimuth_deg(neutral),
    )


def _between(value: float, stops: dict[str, float]) -> dict[str, float]:
    """Weights of the two neighbouring stops of a piecewise linear scale."""
    names, places = list(stops), list(stops.values())
    if value <= places[0]:
        return {names[0]: 1.0}
    for low, high, name, following in zip(places, places[1:], names, names[1:], strict=False):
        if value < high:
            slope = 1.0 / (high - low)
            weights = {name: -slope * (value - low) + 1.0, following: slope * (value - low)}
            return {stop: weight for stop, weight in weights.items() if weight > 0}
    return {names[-1]: 1.0}


def macro_targets(
    *, origins: tuple[float, float, float], male: float, age: float, muscle: float, weight: float
) -> dict[str, float]:
    """MakeHuman's macro targets: shares of three origins, sex 0..1, age, muscle and weight 0..1."""
    genders = {"female": 1 - male, "male": male}
    muscles = _between(muscle, {"minmuscle": 0.0, "averagemuscle": 0.5, "maxmuscle": 1.0})
    weights = _between(weight, {"minweight": 0.0, "averageweight": 0.5, "maxweight": 1.0})
    targets: dict[str, float] = {}
    for gender, by_gender in genders.items():
        for stage, by_age in _between(age, AGES).items():
            for origin, share in zip(("african", "asian", "caucasian"), origins, strict=True):
                targets[f"macrodetails/{origin}-{gender}-{stage}"] = share * by_gender * by_age
            for m, by_muscle in muscles.items():
                for w, by_weight in weights.items():
                    targets[f"macrodetails/universal-{gender}-{stage}-{m}-{w}"] = (
                        by_gender * by_age * by_muscle * by_weight
                    )
    rows = load_model().rows  # a stage that moves nothing in the face (the average build) has no target
    return {name: float(value) for name, value in targets.items() if value and name in rows}


@dataclass(frozen=True, eq=False)
class _Draws:
    """Which of a face's standard normal draws decide about each slider (S,), and the names of its targets.

    Left and right share a value and differ a little: faces are nearly symmetric. A draw of -1 stands for none.
    """

    total: int
    shared: npt.NDArray[np.intp]
    own: npt.NDArray[np.intp]
    names: tuple[tuple[str, str], ...]


@lru_cache(maxsize=1)
def _slider_draws() -> _Draws:
    shared, own, total = [], [], 0
    first: dict[str, int] = {}
    sliders = load_model().sliders
    for name, _, _ in sliders:
        both = re.sub(r"/[lr]-", "/", name)
        first.setdefault(both, total)
        total += 1  # drawn for each of the two, though the second takes the first's value
        sided = both != name
        shared.append(first[both] if sided or not name.startswith("asym/") else -1)
        own.append(total if sided or name.startswith("asym/") else -1)
        total += own[-1] >= 0
    return _Draws(total, np.array(shared), np.array(own), tuple((low, high) for _, low, high in sliders))


def _draw_sliders(rng: np.random.Generator, settings: FaceSettings) -> dict[str, float]:
    draws = _slider_draws()
    drawn = rng.standard_normal(draws.total)
    values = np.where(draws.shared >= 0, settings.slider_sigma * drawn[draws.shared], 0.0)
    values += np.where(draws.own >= 0, settings.asymmetry_sigma * drawn[draws.own], 0.0)
    values = np.clip(values, -3 * settings.slider_sigma, 3 * settings.slider_sigma)
    targets: dict[str, float] = {}
    for (negative, positive), value in zip(draws.names, values.tolist(), strict=True):
        if value < 0 and negative:
            targets[negative] = -value
        elif value > 0:
            targets[positive] = value
    return targets


@lru_cache(maxsize=1)
def _expression_units() -> tuple[list[str], dict[str, list[str]]]:
    """Action units without their side, and the targets of each."""
    model = load_model()
    units = sorted({re.sub(r"(Left|Right)$", "", unit) for unit in model.units})
    sides = ("", "Left", "Right")
    return units, {unit: [f"{unit}{side}" for side in sides if f"{unit}{side}" in model.rows] for unit in units}


def _draw_expression(rng: np.random.Generator, settings: FaceSettings) -> dict[str, float]:
    if rng.random() >= settings.expressive_share:
        return {}
    units, targets_of = _expression_units()
    count = int(rng.integers(settings.expression_units[0], settings.expression_units[1] + 1))
    targets = {}
    for place in rng.choice(len(units), size=count, replace=False):
        strength = float(rng.beta(1.2, 2.5))
        for target in targets_of[units[place]]:
            targets[target] = min(max(strength * (1 + rng.normal(0, 0.1)), 0.0), 1.0)
    return targets


def draw_face(rng: np.random.Generator, settings: FaceSettings | None = None) -> FaceParameters:
    """A random face: identity, expression, pose and outline from the ranges of ``settings``."""
    settings = settings or FaceSettings()
    macro = macro_targets(
        origins=tuple(rng.dirichlet((0.7, 0.7, 0.7))),
        male=float(rng.beta(0.6, 0.6)),
        age=float(rng.uniform(*settings.age)),
        muscle=float(np.clip(rng.normal(0.5, 0.18), 0, 1)),
        weight=float(np.clip(rng.normal(0.5, 0.22), 0, 1)),
    )
    sliders = _draw_sliders(rng, settings)
    expression = _draw_expression(rng, settings)

    def angle(spread_and_limit: tuple[float, float]) -> float:
        spread, limit = spread_and_limit
        return float(np.clip(rng.normal(0, spread), -limit, limit))

    return FaceParameters(
        {**macro, **sliders, **expression},
        yaw_deg=angle(settings.yaw_deg),
        pitch_deg=angle(settings.pitch_deg),
        roll_deg=angle(settings.roll_deg),
        azimuth_deg=float(rng.uniform(*settings.azimuth_deg)),
        top_mm=float(rng.uniform(*settings.top_mm)),
        jaw_slope=float(rng.uniform(*settings.jaw_slope)),
        extent="head" if rng.random() < settings.head_share else "face",
    )


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> npt.NDArray[np.float64]:
    """Rotation matrix (3, 3): roll, then pitch (chin down is positive), then yaw (to the image's right)."""
    y, p, r = np.radians([yaw_deg, pitch_deg, roll_deg])
    yaw = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    pitch = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    roll = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return yaw @ pitch @ roll


def outline_distance_mm(parameters: FaceParameters) -> FloatArray:
    """How far inside the outline each fine vertex lies on the neutral mesh, in about millimetres; float32 (V,).

    The cheeks' azimuth, the hairline, the jaw line and the ears' place are joined by a soft minimum: a rounded outline.
    """
    model = load_model()
    x, y, z = model.neutral.T
    sides = (parameters.azimuth_deg - model.azimuth_deg) * MM_PER_DEGREE
    top = parameters.top_mm - y - HAIRLINE_PER_MM * x**2
    jaw = y - CHIN_MM - parameters.jaw_slope * (CHIN_Z_MM - z)
    before_ears = np.minimum(z - EARS_Z_MM, EARS_X_MM - np.abs(x))
    distances = np.stack([sides, top, jaw, before_ears])
    nearest = distances.min(axis=0)
    return (nearest - ROUNDING_MM * np.log(np.exp((nearest - distances) / ROUNDING_MM).sum(axis=0))).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _inside_count(triangles: npt.NDArray[np.int32], positive: npt.NDArray[np.bool_]) -> npt.NDArray[np.int8]:
    """How many of each triangle's vertices are inside."""
    count = np.empty(len(triangles), np.int8)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        count[t] = np.int8(positive[a]) + np.int8(positive[b]) + np.int8(positive[c])
    return count


@numba.njit(cache=True, nogil=True)
def _clip(
    vertices: FloatArray,
    triangles: npt.NDArray[np.int32],
    inside: FloatArray,
    positive: npt.NDArray[np.bool_],
    count: npt.NDArray[np.int8],
) -> tuple[FloatArray, npt.NDArray[np.int32]]:
    numbers = np.zeros(4, np.int64)
    for t in range(len(triangles)):
        numbers[count[t]] += 1
    total = len(vertices)
    points = np.empty((total + 2 * (numbers[1] + numbers[2]), 3), np.float32)
    points[:total] = vertices
    kept = np.empty((numbers[3] + numbers[1] + 2 * numbers[2], 3), np.int32)
    # Whole triangles, then the tips of those with one vertex inside, then the two halves of the rest of the others.
    whole, tips = 0, numbers[3]
    halves = tips + numbers[1]
    tip_ends, half_ends = total, total + 2 * numbers[1]
    for t in range(len(triangles)):
        if count[t] == 0:
            continue
        if count[t] == 3:
            for k in range(3):
                kept[whole, k] = triangles[t, k]
            whole += 1
            continue
        # The odd one out: the only vertex inside, or the only one outside.
        alone = count[t] == 1
        odd = 0
        while positive[triangles[t, odd]] != alone:
            odd += 1
        lone, second, third = triangles[t, odd], triangles[t, (odd + 1) % 3], triangles[t, (odd + 2) % 3]
        first_end = tip_ends if alone else half_ends
        second_end = first_end + numbers[count[t]]
        for end, other in ((first_end, second), (second_end, third)):
            share = inside[lone] / (inside[lone] - inside[other])
            for axis in range(3):
                points[end, axis] = vertices[lone, axis] + share * (vertices[other, axis] - vertices[lone, axis])
        if alone:
            kept[tips, 0], kept[tips, 1], kept[tips, 2] = lone, first_end, second_end
            tips += 1
            tip_ends += 1
        else:
            kept[halves, 0], kept[halves, 1], kept[halves, 2] = first_end, second, third
            rest = halves + numbers[2]
            kept[rest, 0], kept[rest, 1], kept[rest, 2] = first_end, third, second_end
            halves += 1
            half_ends += 1
    return points, kept


def clip_mesh(mesh: Mesh, inside: FloatArray) -> Mesh:
    """The part of a mesh where ``inside`` (one value a vertex) is positive, cut exactly along its zero line.

    Vertices keep their indices; those on the cut are appended.
    """
    positive = inside > 0
    count = _inside_count(mesh.triangles, positive)
    return Mesh(*_clip(mesh.vertices_mm, mesh.triangles, inside, positive, count))


@numba.njit(cache=True, nogil=True)
def _refine(
    starts: npt.NDArray[np.int32],
    columns: npt.NDArray[np.int32],
    weights: FloatArray,
    coarse: FloatArray,
    needed: npt.NDArray[np.bool_],
) -> FloatArray:
    """The rows of a sparse matrix times ``coarse`` (V, 3) that are needed; zeros elsewhere."""
    fine = np.zeros((len(starts) - 1, 3), np.float32)
    for row in range(len(fine)):
        if needed[row]:
            x, y, z = np.float32(0), np.float32(0), np.float32(0)
            for place in range(starts[row], starts[row + 1]):
                weight, column = weights[place], columns[place]
                x += weight * coarse[column, 0]
                y += weight * coarse[column, 1]
                z += weight * coarse[column, 2]
            fine[row, 0], fine[row, 1], fine[row, 2] = x, y, z
    return fine


@numba.njit(cache=True, nogil=True)
def _needed(triangles: npt.NDArray[np.int32], count: npt.NDArray[np.int8], total: int) -> npt.NDArray[np.bool_]:
    """The vertices of triangles that have one inside."""
    needed = np.zeros(total, np.bool_)
    for t in range(len(triangles)):
        if count[t] > 0:
            for k in range(3):
                needed[triangles[t, k]] = True
    return needed


@numba.njit(cache=True, nogil=True)
def _middle(vertices: FloatArray, triangles: npt.NDArray[np.int32]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """The middle of the bounding box of the triangles' vertices, and which vertices those are."""
    shown = np.zeros(len(vertices), np.bool_)
    low, high = np.full(3, np.inf, np.float32), np.full(3, -np.inf, np.float32)
    for t in range(triangles.shape[0]):
        for k in range(3):
            v = triangles[t, k]
            if not shown[v]:
                shown[v] = True
                for axis in range(3):
                    low[axis] = min(low[axis], vertices[v, axis])
                    high[axis] = max(high[axis], vertices[v, axis])
    return (low + high) / 2, shown


@numba.njit(cache=True, nogil=True)
def _place(vertices: FloatArray, triangles: npt.NDArray[np.int32], turn: FloatArray) -> FloatArray:
    """Move the middle of the shown vertices' bounding box to the origin and rotate.

    Vertices outside the outline stay in the array so that indices hold, but must not count as part of the face: they
    are put on a vertex that does.
    """
    centre, shown = _middle(vertices, triangles)
    placed = np.empty_like(vertices)
    for v in range(len(vertices)):
        source = v if shown[v] else triangles[0, 0]
        x, y, z = vertices[source, 0] - centre[0], vertices[source, 1] - centre[1], vertices[source, 2] - centre[2]
        for axis in range(3):
            placed[v, axis] = turn[axis, 0] * x + turn[axis, 1] * y + turn[axis, 2] * z
    return placed


def _turn(parameters: FaceParameters) -> FloatArray:
    return rotation(parameters.yaw_deg, parameters.pitch_deg, parameters.roll_deg).astype(np.float32)


def _coarse_mm(parameters: FaceParameters) -> FloatArray:
    model = load_model(extent=parameters.extent)
    unknown = [name for name in parameters.targets if name not in model.rows]
    if unknown:
        raise KitError(
            f"face target: found {unknown[0]!r}, expected a name of face_model.npz such as {model.units[0]!r}"
        )
    weights = np.zeros(len(model.rows), np.float32)
    weights[[model.rows[name] for name in parameters.targets]] = list(parameters.targets.values())
    return model.base + (model.deltas @ weights).reshape(-1, 3)


def shown_triangles(parameters: FaceParameters, extent: Extent) -> npt.NDArray[np.bool_]:
    """Which triangles (T,) of the refined model are shown: not the eyeballs behind closed lids."""
    closed = [eye for eye, unit in ((1, "faceunits/eyeBlinkRight"), (2, "faceunits/eyeBlinkLeft"))
              if parameters.targets.get(unit, 0.0) > BLINK_WITHOUT_EYEBALL]  # fmt: skip
    return np.isin(load_model(extent=extent).eye, closed, invert=True)


def _unplaced(parameters: FaceParameters, coarse_mm: FloatArray) -> Mesh:
    model, shown = load_model(extent=parameters.extent), shown_triangles(parameters, parameters.extent)
    triangles = model.triangles if shown.all() else model.triangles[shown]
    refine = model.refine
    if parameters.extent == "head":
        return Mesh(refine @ coarse_mm, triangles)
    inside = outline_distance_mm(parameters)
    positive = inside > 0
    count = _inside_count(triangles, positive)
    needed = _needed(triangles, count, len(inside))
    fine = _refine(refine.indptr, refine.indices, refine.data, coarse_mm, needed)
    return Mesh(*_clip(fine, triangles, inside, positive, count))


def face_mesh(parameters: FaceParameters) -> Mesh:
    """The mesh of a face: float32 vertices in millimetres around the middle of the face, int32 triangles.

    Vertices and their order are the same for every face; triangles outside the outline and eyeballs behind
    closed lids are left out.
    """
    clipped = _unplaced(parameters, _coarse_mm(parameters))
    return Mesh(_place(clipped.vertices_mm, clipped.triangles, _turn(parameters)), clipped.triangles)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a face's other parts go, so that they lie in the space of its :func:`face_mesh`.

    ``coarse_mm`` (V, 3) is the unrefined head with this identity and expression, ``centre_mm`` (3,) the point that
    becomes the origin, ``turn`` (3, 3) the pose; all float32.
    """

    coarse_mm: FloatArray
    centre_mm: FloatArray
    turn: FloatArray

    def place(self, points_mm: FloatArray) -> FloatArray:
        """Points (n, 3) of the unposed head to the space of the face's mesh, float32."""
        return ((points_mm - self.centre_mm) @ self.turn.T).astype(np.float32)


def face_placement(parameters: FaceParameters) -> Placement:
    """How :func:`face_mesh` places the same parameters, whatever their extent."""
    coarse_mm = _coarse_mm(parameters)
    clipped = _unplaced(parameters, coarse_mm)
    return Placement(coarse_mm, _middle(clipped.vertices_mm, clipped.triangles)[0], _turn(parameters))
