"""How well enhancers fill holes of real recordings: holes punched where the sensor's value is known (ours).

Real frames have no ground truth, but most of their face pixels were measured. Punching blobs into those, enhancing the
frame as a user would and comparing at exactly these pixels gives an error in millimetres. The sensor's own noise is
part of it, the same for every enhancer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import crop_face, face_mask
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import DepthImage, Mask
from facedepth_kit.enhancers.frames import enhance_frame
from facedepth_kit.faces.detection import Box, Face

LEAST_FILLED = 0.5


@dataclass(frozen=True)
class PunchSettings:
    """The holes (our choice): the share of the face they cover, and the blobs' size as a share of the face's width."""

    share: tuple[float, float] = (0.05, 0.20)
    blob: tuple[float, float] = (0.03, 0.12)


@dataclass(frozen=True)
class PunchedRow:
    """An enhancer's error at the punched pixels of all frames.

    ``filled`` is the share of ``pixels`` that it filled, ``rmse_mm`` its error at those, ``common_rmse_mm`` its error
    at those that all compared enhancers filled (those that fill less than half are not asked),
    ``median_frame_rmse_mm`` the median over frames of a frame's error there. NaN where no pixel counts.
    """

    enhancer: str
    frames: int
    pixels: int
    filled: float
    rmse_mm: float
    common_rmse_mm: float
    median_frame_rmse_mm: float


def known_face(frame: RecordedFrame, face: Face | Box) -> Mask:
    """Measured pixels on the face, (height, width): inside its outline (or box) and within the 25 cm of the crop."""
    crop = crop_face(frame, face)
    depth_mm = frame.depth * frame.unit_mm - crop.depth_range.near_mm
    known = (frame.depth > 0) & (depth_mm >= 0) & (depth_mm <= crop.depth_range.span_mm)
    if crop.writable is not None:
        known &= crop.writable
    return known & face_mask(face.outline, frame.depth.shape) if isinstance(face, Face) else known


def punch_known_holes(known: Mask, rng: np.random.Generator, settings: PunchSettings | None = None) -> Mask:
    """Random blobs inside ``known`` (height, width): the pixels to punch, about the drawn share of it.

    Raises :class:`KitError` when nothing is known.
    """
    settings = settings or PunchSettings()
    if not known.any():
        raise KitError("punched holes: found no measured pixel on the face, expected some")
    columns = np.flatnonzero(known.any(axis=0))
    sigma = max(rng.uniform(*settings.blob) * (columns[-1] - columns[0] + 1) / 2, 0.5)
    field = cv2.GaussianBlur(rng.random(known.shape), (0, 0), sigma)
    return np.asarray(known & (field <= np.quantile(field[known], rng.uniform(*settings.share))))


def evaluate_punched(
    frames: Iterable[tuple[RecordedFrame, Face | Box]],
    enhancers: Mapping[str, Callable[[DepthImage], DepthImage]],
    rng: np.random.Generator,
    settings: PunchSettings | None = None,
) -> list[PunchedRow]:
    """Punch each frame once, enhance it with each of ``enhancers``, and compare at the punched pixels; a row for each.

    ``frames`` are given with the face in each. All enhancers see the same holes. Frames go through
    :func:`enhance_frame`, as a user's do.
    """
    targets: list[npt.NDArray[np.float64]] = []
    outputs: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in enhancers}
    for frame, face in frames:
        holes = punch_known_holes(known_face(frame, face), rng, settings)
        punched = replace(frame, depth=np.where(holes, np.uint16(0), frame.depth))
        targets.append(frame.depth[holes].astype(np.float64) * frame.unit_mm)
        for name, enhance in enhancers.items():
            result = enhance_frame(punched, enhance, face)[0].depth[holes]
            outputs[name].append(np.where(result == 0, np.nan, result * frame.unit_mm))
    return [_row(name, targets, outputs) for name in outputs]


def _row(
    name: str,
    targets: list[npt.NDArray[np.float64]],
    outputs: dict[str, list[npt.NDArray[np.float64]]],
) -> PunchedRow:
    # An enhancer that fills nothing or little ("None", De-M2) must not leave the others only a hole's easy rim.
    filling = [made for made in outputs.values() if _filled(made) >= LEAST_FILLED]
    squares = [(output - target) ** 2 for output, target in zip(outputs[name], targets, strict=True)]
    common = [
        square[np.all([np.isfinite(made[index]) for made in filling], axis=0)] if filling else square[:0]
        for index, square in enumerate(squares)
    ]
    every = np.concatenate(squares) if squares else np.empty(0)
    per_frame = [_root_mean(square) for square in common]
    per_frame = [value for value in per_frame if np.isfinite(value)]
    return PunchedRow(
        enhancer=name,
        frames=len(targets),
        pixels=every.size,
        filled=_filled(squares),
        rmse_mm=_root_mean(every),
        common_rmse_mm=_root_mean(np.concatenate(common) if common else np.empty(0)),
        median_frame_rmse_mm=float(np.median(per_frame)) if per_frame else float("nan"),
    )


def _filled(frames: list[npt.NDArray[np.float64]]) -> float:
    """The share of values that are there; NaN without any."""
    every = np.concatenate(frames) if frames else np.empty(0)
    return float(np.isfinite(every).mean()) if every.size else float("nan")


def _root_mean(squares: npt.NDArray[np.float64]) -> float:
    finite = squares[np.isfinite(squares)]
    return float(np.sqrt(finite.mean())) if finite.size else float("nan")
