"""RMSE over the face area, and what Table IV says about its distribution (Schlett et al., section IV-D)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from facedepth_kit import enhancers
from facedepth_kit.common.arrays import Kind, read_npz
from facedepth_kit.common.declared import Count
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.jobs import run_jobs
from facedepth_kit.common.parts import open_parts, read_description
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.common.tables import read_table, write_table
from facedepth_kit.depth import DepthImage, Mask, check_depth, holes, to_unit
from facedepth_kit.enhancers import refuse_trained_on
from facedepth_kit.enhancers.ddrnet import checkpoint_state
from facedepth_kit.networks.cards import Faces, ModelCard, network_files, network_present
from facedepth_kit.networks.ddrnet import NAME as DDRNET
from facedepth_kit.pairs.store import PairStore

if TYPE_CHECKING:
    from tqdm import tqdm

FloatArray = npt.NDArray[np.float64]
Errors = dict[str, FloatArray]
Area = Literal["face", "image"]

DESCRIPTION = "errors.json"
PART = 64  # pairs, as many as a shard of a store


class Pairs(Protocol):
    """What evaluation needs from a pair store: a length, and batches read lazily."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> tuple[DepthImage, DepthImage]:
        """(ground truth, degraded), each (n, 256, 256) uint16."""
        ...


class Enhances(Protocol):
    """What evaluation needs from an enhancer."""

    def __call__(self, depth: DepthImage, /) -> DepthImage: ...


@dataclass(frozen=True)
class ErrorSummary:
    """The columns of Table IV for one enhancer."""

    mean: float
    std: float
    skewness: float
    excess_kurtosis: float
    count: int


def face_rmse(
    prediction: DepthImage, target: DepthImage, *, mask: Mask | None = None
) -> float | npt.NDArray[np.float64]:
    """Root mean squared error on depth scaled to 0..1, over the face: the target's non-hole pixels.

    ``prediction`` and ``target``: uint16, (256, 256) or (n, 256, 256), hole 65535 (counted as 1, so a hole left in
    the face costs what the face's farthest point would). ``mask``: bool, same shape, pixels to compare instead.
    Returns a float for one image, float64 (n,) for a stack. Raises :class:`KitError` for other types, for shapes that
    differ and for an image without a pixel to compare. Section IV-D.
    """
    check_depth(prediction, "prediction", size=None)
    check_depth(target, "target", size=None)
    if mask is None:
        mask = ~holes(target)
    if not prediction.shape == target.shape == mask.shape:
        raise KitError(
            f"face_rmse: found shapes {prediction.shape} (prediction), {target.shape} (target), {mask.shape} (mask), "
            "expected three of the same"
        )
    count = mask.sum(axis=(-2, -1), dtype=np.int64)
    if np.any(count == 0):
        raise KitError("face_rmse: found an image without a pixel to compare, expected at least one")
    squared = np.square(to_unit(prediction) - to_unit(target))
    squared[~mask] = 0.0
    # float64 sums: 65,536 squares in float32 would lose the digits that the table prints.
    rmse = np.sqrt(squared.sum(axis=(-2, -1), dtype=np.float64) / count)
    return float(rmse) if prediction.ndim == 2 else rmse


@dataclass(frozen=True)
class Moments:
    """Count, mean and sums of powers of deviations from it: what Table IV needs, of values that need not be kept.

    Moments of two samples add to those of both together (Chan et al. for the second, Pebay for the third and fourth
    order), so any number of parts can be measured apart, in any process, and merged.
    """

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0

    @staticmethod
    def of(values: npt.ArrayLike) -> Moments:
        """The moments of a sample. Raises :class:`KitError` for values that are not finite."""
        numbers = np.asarray(values, dtype=np.float64).ravel()
        if not np.all(np.isfinite(numbers)):
            raise KitError("moments: found values that are not finite, expected finite ones")
        if not numbers.size:
            return Moments()
        deviation = numbers - numbers.mean()
        sums = (float(np.sum(deviation**power)) for power in (2, 3, 4))
        return Moments(int(numbers.size), float(numbers.mean()), *sums)

    def __add__(self, other: Moments) -> Moments:
        """The moments of both samples together."""
        if not self.count or not other.count:
            return self if self.count else other
        n, na, nb = self.count + other.count, self.count, other.count
        delta = other.mean - self.mean
        step = delta / n
        return Moments(
            n,
            self.mean + step * nb,
            self.m2 + other.m2 + delta * step * na * nb,
            self.m3 + other.m3 + delta * step**2 * na * nb * (na - nb) + 3 * step * (na * other.m2 - nb * self.m2),
            self.m4
            + other.m4
            + delta * step**3 * na * nb * (na**2 - na * nb + nb**2)
            + 6 * step**2 * (na**2 * other.m2 + nb**2 * self.m2)
            + 4 * step * (na * other.m3 - nb * self.m3),
        )

    def summary(self) -> ErrorSummary:
        """The columns of Table IV. Raises :class:`KitError` for an empty sample.

        ``std`` is the sample one (division by n - 1). Skewness is g1 = m3 / m2^1.5 and excess kurtosis g2 = m4 / m2^2
        - 3 with the plain moments m_k about the mean (division by n), scipy's default; the paper does not say which
        estimator it used, and at its 100,000 images the usual ones agree in every printed digit. One value has no std
        (NaN); equal values have no skewness and no kurtosis (NaN).
        """
        if not self.count:
            raise KitError("summary: found no values, expected finite ones")
        m2, m3, m4 = self.m2 / self.count, self.m3 / self.count, self.m4 / self.count
        # Equal values leave rounding dust in m2; a ratio of dust is no skewness.
        spread = m2 > (1e-12 * max(abs(self.mean), 1e-300)) ** 2
        return ErrorSummary(
            mean=self.mean,
            std=float(np.sqrt(self.m2 / (self.count - 1))) if self.count > 1 else float("nan"),
            skewness=m3 / m2**1.5 if spread else float("nan"),
            excess_kurtosis=m4 / m2**2 - 3.0 if spread else float("nan"),
            count=self.count,
        )


def summary(values: npt.ArrayLike) -> ErrorSummary:
    """Mean, standard deviation, skewness and excess kurtosis of per-image errors: :meth:`Moments.summary`."""
    return Moments.of(values).summary()


@dataclass(frozen=True)
class Evaluation:
    """Errors per image over two areas: name -> float64 (pairs,). ``face`` is Table IV's, ``image`` all pixels'."""

    face: Errors
    image: Errors


def evaluate(
    pairs: Pairs,
    enhancers: Mapping[str, Enhances],
    *,
    batch_size: int = 16,
    count: int | None = None,
    progress: bool = True,
) -> Evaluation:
    """RMSE of every enhancer on every pair, over the face and over the full image, a batch in memory at a time.

    ``enhancers`` maps a name to a function (n, 256, 256) uint16 -> same. ``count`` limits to the first pairs. Raises
    :class:`KitError` when an enhancer returns another shape, and when its model card says that it was trained on some
    of these faces.
    """
    total = _total(pairs, enhancers, count)
    with _bar(total, progress) as bar:
        errors = _errors(pairs, enhancers, range(total), batch_size, bar.update)
    return Evaluation(*(dict(zip(enhancers, area, strict=True)) for area in errors))


def evaluate_parts(
    folder: Path,
    store: Path,
    names: Sequence[str],
    *,
    count: int | None = None,
    part: int = PART,
    batch_size: int = 16,
    workers: int = 1,
    executor: Executor | None = None,
    progress: bool = True,
) -> ErrorParts:
    """The same for a pair store of any size, in parts that are written to ``folder`` as they are done.

    There is a file for each part and enhancer, in a folder named after the enhancer and its weights. So a killed run
    goes on with what is missing, and a further enhancer, or one with new weights, costs only itself. ``store`` is the
    pair store's folder and ``names`` are enhancers, because other processes (``workers``, or any ``executor``, such as
    a cluster's, that sees both folders) open them themselves; the result does not depend on how many those are. Raises
    :class:`KitError` for a folder that holds something else.
    """
    pairs = PairStore(store)
    total = _total(pairs, names, count)
    description = {"pairs": pairs.fingerprint, "count": total, "part": part}
    with open_parts(
        folder,
        description,
        name=DESCRIPTION,
        fixed=tuple(description),
        parts=("*/part_*.npz",),
        holds="errors of enhancers (facedepth evaluate --parts writes them)",
    ):
        places = {name: folder / f"{name}-{weights_key([name])}" for name in names}
        jobs = []
        for start in range(0, total, part):
            missing = {name: place for name, place in places.items() if not part_path(place, start).exists()}
            if missing:
                jobs.append((missing, store, start, min(start + part, total), batch_size))
        with _bar(total, progress, total - sum(stop - start for _, _, start, stop, _ in jobs)) as bar:
            for done in run_jobs(_write_part, jobs, name=_part_name, workers=workers, executor=executor):
                bar.update(done)
    return ErrorParts(folder, names)


class Described(msgspec.Struct, frozen=True):
    """What :class:`ErrorParts` needs of ``errors.json``."""

    count: Count
    part: Count


class ErrorParts:
    """Errors per image in a folder, as :func:`evaluate_parts` wrote them for ``names``, read a part at a time.

    Raises :class:`KitError` for a folder of another kind.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        known = read_description(folder / DESCRIPTION, "errors of enhancers", Described)
        self.places = {name: folder / f"{name}-{weights_key([name])}" for name in names}
        self.count, self.part = known.count, known.part

    @property
    def names(self) -> list[str]:
        """The enhancers, in order."""
        return list(self.places)

    def __iter__(self) -> Iterator[tuple[FloatArray, FloatArray]]:
        """Errors over the face and over the full image, float64 (names, pairs of the part) each, in order."""
        for start in range(0, self.count, self.part):
            parts = [self._read(place, start) for place in self.places.values()]
            face, image = (np.stack(areas) for areas in zip(*parts, strict=True))
            yield face, image

    def _read(self, place: Path, start: int) -> tuple[FloatArray, FloatArray]:
        kind = Kind("float64", (min(self.part, self.count - start),))
        try:
            arrays = read_npz(part_path(place, start), {"face": kind, "image": kind})
        except KitError as error:
            raise KitError(f"{error}; remove it and run the same command again") from None
        return arrays["face"], arrays["image"]

    def summaries(self, area: Area = "face", count: int | None = None) -> dict[str, ErrorSummary]:
        """The columns of Table IV for every enhancer, on the first ``count`` pairs; moments are merged part by part."""
        moments = [Moments()] * len(self.names)
        left = self.count if count is None else count
        for face, image in self:
            errors = face if area == "face" else image
            moments = [known + Moments.of(row[:left]) for known, row in zip(moments, errors, strict=True)]
            left -= min(left, errors.shape[1])
        return {name: known.summary() for name, known in zip(self.names, moments, strict=True)}

    def errors(self) -> Evaluation:
        """All of them at once."""
        faces, images = zip(*self, strict=True)
        areas = (np.concatenate(parts, axis=1) for parts in (faces, images))
        return Evaluation(*(dict(zip(self.names, area, strict=True)) for area in areas))


def weights_key(names: Iterable[str]) -> str:
    """What the numbers of these enhancers depend on beside the images: their weights and how cards say to read them."""
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name} ".encode())
        if name == DDRNET:
            digest.update(checkpoint_state().encode())  # DDRNet's own weights, where the user has brought them
        if network_present(name):
            card = ModelCard.read(network_files(name)[0])
            digest.update(f"{card.sha256} {card.validity_threshold} {card.fill_reach_px}".encode())
    return digest.hexdigest()[:12]


def write_into_cards(pairs: PairStore, face: Mapping[str, ErrorSummary], image: Mapping[str, ErrorSummary]) -> None:
    """Write the row of Table IV of every network among these into its model card, with the pairs it was measured on."""
    for name, found in face.items():
        if not network_present(name):
            continue
        path = network_files(name)[0]
        card = ModelCard.read(path)
        row = {key: round(value, 5) for key, value in asdict(found).items()} | {
            "full_image_mean": round(image[name].mean, 5),
            "pairs": asdict(pairs.faces),
        }
        replace(card, measured=card.measured | {"table_4": row}).write(path, overwrite=True)


def part_path(folder: Path, start: int) -> Path:
    """The file in an enhancer's folder of the part that begins with pair ``start``."""
    return folder / f"part_{start:08d}.npz"


def _part_name(places: dict[str, Path], store: Path, start: int, stop: int, batch_size: int) -> str:
    return f"pairs {start} to {stop - 1} of {store}"


def _write_part(places: dict[str, Path], store: Path, start: int, stop: int, batch_size: int) -> int:
    """Measure some pairs and write the errors of each enhancer into its folder; the job of a worker."""
    functions = {name: enhancers.get(name).enhance for name in places}
    areas = _errors(PairStore(store), functions, range(start, stop), batch_size, lambda done: None)
    for place, face, image in zip(places.values(), *areas, strict=True):
        place.mkdir(exist_ok=True)
        with write_atomically(part_path(place, start), overwrite=True) as temporary:
            np.savez(temporary, face=face, image=image)
    return stop - start


def _errors(
    pairs: Pairs,
    enhancers: Mapping[str, Enhances],
    indices: range,
    batch_size: int,
    report: Callable[[int], object],
) -> tuple[FloatArray, FloatArray]:
    """RMSE over the face and over the full image, float64 (enhancers, pairs) each."""
    face, image = np.empty((2, len(enhancers), len(indices)))
    for start in range(0, len(indices), batch_size):
        batch = indices[start : start + batch_size]
        ground_truth, degraded = pairs.batch(batch)
        everywhere = np.ones(ground_truth.shape, np.bool_)
        for row, (name, enhance) in enumerate(enhancers.items()):
            enhanced = enhance(degraded)
            if enhanced.shape != degraded.shape:
                raise KitError(f"{name}: found output shape {enhanced.shape}, expected {degraded.shape}")
            face[row, start : start + len(batch)] = face_rmse(enhanced, ground_truth)
            image[row, start : start + len(batch)] = face_rmse(enhanced, ground_truth, mask=everywhere)
        report(len(batch))
    return face, image


def _total(pairs: Pairs, names: Iterable[str], count: int | None) -> int:
    """How many pairs to measure; refuses those that an enhancer was trained on."""
    total = len(pairs) if count is None else min(count, len(pairs))
    faces: Faces | None = getattr(pairs, "faces", None)
    if faces is not None:
        refuse_trained_on(names, faces)
    if total == 0:
        raise KitError("evaluate: found no pairs, expected at least one")
    return total


def _bar(total: int, show: bool, done: int = 0) -> tqdm[Any]:
    from tqdm.auto import tqdm

    return tqdm(total=total, initial=done, unit="pair", disable=not show, leave=False)


def write_errors(path: Path, errors: Errors) -> None:
    """Write per-image errors as CSV: one row an image (``pair,NAME,NAME...``), nine decimals."""
    import pandas as pd

    write_table(path, pd.DataFrame(errors).rename_axis("pair").reset_index(), significant=9)


def read_errors(path: Path) -> Errors:
    """Read what :func:`write_errors` wrote. Raises :class:`KitError` for a file of another kind."""
    table = read_table(path)
    if table.columns[0] != "pair" or not len(table):
        raise KitError(f"{path}: found columns {list(table)[:2]}, expected a CSV of per-image errors")
    return {str(name): table[name].to_numpy(np.float64) for name in table.columns[1:]}
