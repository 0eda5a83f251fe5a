"""RMSE over the face area, and what Table IV says about its distribution (Schlett et al., section IV-D)."""

from __future__ import annotations

import csv
import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import DepthImage, Mask, check_depth, holes, to_unit

Errors = dict[str, npt.NDArray[np.float64]]


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


def summary(values: npt.ArrayLike) -> ErrorSummary:
    """Mean, standard deviation, skewness and excess kurtosis of per-image errors, as in Table IV.

    ``std`` is the sample one (division by n - 1). Skewness is g1 = m3 / m2^1.5 and excess kurtosis g2 = m4 / m2^2 - 3
    with the plain moments m_k about the mean (division by n), scipy's default; the paper does not say which estimator
    it used, and at its 100,000 images the usual ones agree in every printed digit. One value has no std (NaN); equal
    values have no skewness and no kurtosis (NaN). Raises :class:`KitError` for an empty or non-finite input.
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if numbers.size == 0 or not np.all(np.isfinite(numbers)):
        raise KitError(f"summary: found {numbers.size} values, not all finite or none, expected finite values")
    mean = float(numbers.mean())
    deviation = numbers - mean
    m2, m3, m4 = (float(np.mean(deviation**power)) for power in (2, 3, 4))
    # Equal values leave rounding dust in m2; a ratio of dust is no skewness.
    spread = m2 > (1e-12 * max(abs(mean), 1e-300)) ** 2
    return ErrorSummary(
        mean=mean,
        std=float(numbers.std(ddof=1)) if numbers.size > 1 else float("nan"),
        skewness=m3 / m2**1.5 if spread else float("nan"),
        excess_kurtosis=m4 / m2**2 - 3.0 if spread else float("nan"),
        count=int(numbers.size),
    )


def evaluate(
    pairs: Pairs,
    enhancers: Mapping[str, Enhances],
    *,
    batch_size: int = 16,
    count: int | None = None,
    progress: bool = True,
    partial: Path | None = None,
    key: str = "",
) -> Errors:
    """Face RMSE of every enhancer on every pair, one batch in memory at a time.

    ``enhancers`` maps a name to a function (n, 256, 256) uint16 -> same. ``count`` limits to the first pairs.
    ``partial`` names a file in which finished batches are kept every half minute, so that a killed run goes on where it
    was when ``key`` (what the numbers depend on: data, weights, code), names and count are the same; it is removed at
    the end. Returns name -> float64 (count,). Raises :class:`KitError` when an enhancer returns another shape.
    """
    from time import monotonic

    from tqdm.auto import tqdm

    total = len(pairs) if count is None else min(count, len(pairs))
    if total == 0:
        raise KitError("evaluate: found no pairs, expected at least one")
    fingerprint = hashlib.sha256(repr((key, total, list(enhancers))).encode()).hexdigest()
    errors = _resume(partial, fingerprint) or {name: np.full(total, np.nan) for name in enhancers}
    if not errors:
        return {}
    unfinished = np.flatnonzero(np.any([np.isnan(values) for values in errors.values()], axis=0))
    saved = monotonic()
    with tqdm(total=total, initial=total - len(unfinished), unit="pair", disable=not progress, leave=False) as bar:
        for start in range(0, len(unfinished), batch_size):
            indices = [int(index) for index in unfinished[start : start + batch_size]]
            ground_truth, degraded = pairs.batch(indices)
            for name, enhance in enhancers.items():
                bar.set_postfix_str(name, refresh=False)
                enhanced = enhance(degraded)
                if enhanced.shape != degraded.shape:
                    raise KitError(f"{name}: found output shape {enhanced.shape}, expected {degraded.shape}")
                errors[name][indices] = face_rmse(enhanced, ground_truth)
            bar.update(len(indices))
            if partial is not None and monotonic() - saved > 30.0:
                _write_npz(partial, fingerprint, errors)
                saved = monotonic()
    if partial is not None:
        partial.unlink(missing_ok=True)
    return errors


def write_errors(path: Path, errors: Errors) -> None:
    """Write per-image errors as CSV: one row an image (``pair,NAME,NAME...``), nine significant digits."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pair", *errors])
        for index, row in enumerate(zip(*errors.values(), strict=True)):
            writer.writerow([index, *(f"{value:.9g}" for value in row)])
    os.replace(temporary, path)


def read_errors(path: Path) -> Errors:
    """Read what :func:`write_errors` wrote. Raises :class:`KitError` for a file of another kind."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
        if header[0] != "pair" or not rows:
            raise ValueError(f"header {header[:2]}, {len(rows)} rows")
        columns = np.array(rows, dtype=np.float64).T
    except (OSError, ValueError, IndexError) as error:
        raise KitError(f"{path}: found {error}, expected a CSV of per-image errors") from error
    return dict(zip(header[1:], columns[1:], strict=True))


def _resume(partial: Path | None, fingerprint: str) -> Errors | None:
    """The finished part of a killed run, or None when there is none or it belongs to other data."""
    if partial is None or not partial.exists():
        return None
    try:
        with np.load(partial, allow_pickle=False) as file:
            if str(file["fingerprint"]) != fingerprint:
                return None
            names = [str(name) for name in file["names"]]
            return dict(zip(names, np.array(file["errors"], dtype=np.float64), strict=True))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def _write_npz(path: Path, fingerprint: str, errors: Errors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    np.savez(temporary, fingerprint=fingerprint, names=list(errors), errors=np.stack(list(errors.values())))
    os.replace(temporary, path)
