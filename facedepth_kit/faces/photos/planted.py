"""A folder of photos in which is known what is wrong: to see what screening catches and what it loses.

The photos are rendered portraits. The mesh that belongs to each is its parametric face's, deformed on purpose in some:
what a network makes of a photo that it cannot read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.paths import write_atomically
from facedepth_kit.faces.people.parametric import FaceParameters, draw_face, face_placement, load_model
from facedepth_kit.faces.people.portraits import draw_portrait
from facedepth_kit.faces.photos.screening import LARGEST_PX, Found

Vertices = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

LEVELS = 1  # a quarter of the usual triangles: enough sides to judge by, and four times as fast
STRENGTHS = {"mild": 0.5, "medium": 1.0, "strong": 2.0}
GOOD, COPY, LARGE = "well-formed", "copy of another file", "too large"


def mesh_vertices(parameters: FaceParameters) -> Vertices:
    """All vertices (V, 3) of a face in millimetres, the same number and order for every face; not posed, not cut."""
    return np.asarray(load_model(LEVELS).refine @ face_placement(parameters).coarse_mm, np.float64)


def mesh_triangles() -> npt.NDArray[np.int32]:
    """The triangles (T, 3) of :func:`mesh_vertices`."""
    return load_model(LEVELS).triangles


def _spike(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    away = rng.normal(size=3)
    points[rng.choice(_used())] += away / np.linalg.norm(away) * 8 * amount
    return points


def _tremble(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    return points + rng.normal(0, 0.2 * amount, points.shape)


def _flatten(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    return points * (1, 1, 0.75**amount)


def _widen(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    return points * (1.25**amount, 1, 1)


def _shear(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    side = rng.choice((-1, 1))
    return points + np.outer(points[:, 1] - points[:, 1].mean(), (0.25 * amount * side, 0, 0))


def _bulge(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    centre = points[rng.choice(_used())]
    near = np.exp(-((np.linalg.norm(points - centre, axis=1) / 20) ** 2))
    return points + near[:, None] * (0, 0, 14 * amount)


def _collapse(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    side = points[:, 0] * rng.choice((-1, 1)) > 0
    points[side, 0] *= 0.75**amount
    return points


def _ripple(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    return points + np.outer(np.sin(points[:, 1] / 20 * 2 * np.pi + rng.uniform(0, 6)), (0, 0, 1.6 * amount))


def _mirror(points: Vertices, amount: float, rng: np.random.Generator) -> Vertices:
    return points * (1, 1, -1)


# What a network's wrong answers look like, from a single vertex to the whole; amount 1 is clearly seen.
DISTORTIONS: dict[str, Callable[[Vertices, float, np.random.Generator], Vertices]] = {
    "spike": _spike,
    "trembling": _tremble,
    "flattened": _flatten,
    "widened": _widen,
    "sheared": _shear,
    "bulge": _bulge,
    "half collapsed": _collapse,
    "ripples": _ripple,
    "hollow (mirrored)": _mirror,
}


def _used() -> npt.NDArray[np.int32]:
    return np.unique(mesh_triangles())


@dataclass(frozen=True, eq=False)
class Planted:
    """A photo of the folder: its name, what is wrong with it (``GOOD``: nothing) and how strongly, and its face.

    ``number`` seeds the distortion.
    """

    name: str
    fault: str
    strength: str
    face: FaceParameters
    number: int

    def vertices(self) -> Vertices:
        """The mesh that belongs to the photo."""
        points = mesh_vertices(self.face)
        if self.fault in DISTORTIONS:
            rng = np.random.default_rng([self.number, 1])
            points = DISTORTIONS[self.fault](points, STRENGTHS[self.strength], rng)
        return points


def plant(folder: Path, count: int, rng: np.random.Generator, *, people: int, progress: bool = False) -> list[Planted]:
    """Write ``count`` photos, a third of them faulty (each fault at least once), and say what is wrong with which.

    ``people`` portraits are rendered; a person's photos differ in crop, size and light, and each has a face of its own
    for a mesh. Copies are equal to a good photo byte by byte; photos that are too large have 1,025 pixels or more.
    """
    from tqdm.auto import tqdm

    bar = tqdm(range(people), desc="portraits", unit="face", disable=not progress, leave=False)
    portraits = [draw_portrait(draw_face(rng), rng, size_px=160).picture for _ in bar]
    faults = [(fault, strength) for fault in DISTORTIONS for strength in STRENGTHS]
    kinds = [*((GOOD, "") for _ in range(round(count * 2 / 3)))]
    kinds += [(COPY, ""), (LARGE, "")] * max(count // 30, 1)
    kinds += [faults[number % len(faults)] for number in range(max(count - len(kinds), len(faults)))]
    order = rng.permutation(len(kinds))
    planted: list[Planted] = []
    good: list[str] = []
    # Copies come last, in a folder that sorts behind the others: the first of a set of equal files is kept.
    kinds = sorted((kinds[place] for place in order), key=lambda kind: kind[0] == COPY)
    for number, (fault, strength) in enumerate(tqdm(kinds, desc="photos", disable=not progress, leave=False)):
        name = f"copies/{number:05d}.jpg" if fault == COPY else f"{number % 10}/{number:05d}.jpg"
        if fault == COPY:
            data = (folder / good[int(rng.integers(len(good)))]).read_bytes()
        else:
            data = _photo(portraits[number % people], rng, large=fault == LARGE)
        if fault == GOOD:
            good.append(name)
        with write_atomically(folder / name) as temporary:
            temporary.write_bytes(data)
        planted.append(Planted(name, fault, strength, draw_face(rng), number))
    return planted


def _photo(picture: Picture, rng: np.random.Generator, *, large: bool) -> bytes:
    """A JPEG of a portrait, cropped, sized and lit at random."""
    from PIL import Image

    cut = rng.integers(0, 12, 4)
    part = picture[cut[0] : len(picture) - cut[1], cut[2] : len(picture) - cut[3]]
    side = int(rng.integers(LARGEST_PX + 1, 1300)) if large else int(rng.integers(90, 300))
    sized = np.asarray(cv2.resize(part, (side, side * part.shape[0] // part.shape[1]), interpolation=cv2.INTER_LINEAR))
    lit = np.clip(sized.astype(np.float32) * rng.uniform(0.8, 1.2), 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(lit).save(content, "JPEG", quality=80)
    return content.getvalue()


def planted_meshes(folder: Path, planted: Sequence[Planted]) -> Callable[[Iterable[Path]], Iterator[Found]]:
    """The planted photos' meshes, as :func:`facedepth_kit.faces.photos.screening.screen` asks for them."""
    known = {one.name: one for one in planted}

    def meshes(paths: Iterable[Path]) -> Iterator[Found]:
        for path in paths:
            yield Found(path, known[path.relative_to(folder).as_posix()].vertices())

    return meshes
