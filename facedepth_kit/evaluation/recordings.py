"""The tables of section IV, as far as they apply, for recordings of one's own: any folder, any camera.

There is no Neutral image and no published number here. Each frame's own picture gives the face (Dlib); the enhancers
work as in ``facedepth enhance``, on a crop whose span begins at the face's own surface, and are joined to what was
measured. Surfaces are measured in the frame as it comes back, at the sensor's own resolution; landmarks and the checks
for attacks in the enlarged crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from facedepth_kit.cameras.recorded.face_crop import FaceCrop, crop_face, face_mask, find_face, restore_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import figures_dir
from facedepth_kit.common.tables import read_table
from facedepth_kit.depth import CAMERA_SPAN_MM, DepthImage, from_millimetres
from facedepth_kit.enhancers.frames import carries_measured_bias, recording_enhancer
from facedepth_kit.evaluation.camera_measures import Measures, measure_image
from facedepth_kit.evaluation.prepared_faces import LeftOut, left_out_for
from facedepth_kit.evaluation.punched import PunchedRow, evaluate_punched
from facedepth_kit.evaluation.relief import ReliefSettings
from facedepth_kit.faces.detection import Face

if TYPE_CHECKING:
    from pandas import DataFrame

CAMERA = "recordings"
BATCH = 16
MOVED_MM = 20.0


def faces_in(
    frames: Iterable[RecordedFrame], left_out: list[LeftOut]
) -> Iterator[tuple[RecordedFrame, Face, FaceCrop]]:
    """The frames in which Dlib finds a face with depth, with both; the others are added to ``left_out``, and why."""
    for frame in frames:
        try:
            face = find_face(frame)
            yield frame, face, crop_face(frame, face)
        except KitError as error:
            left_out.append(left_out_for(frame, error))


@dataclass(frozen=True)
class RecordingsReport:
    """What :func:`evaluate_recordings` found: measures of every frame and enhancer, punched holes, frames left out.

    ``moved`` is each enhancer's share of the faces' measured pixels that it moved by more than 20 mm.
    """

    measures: list[Measures]
    punched: list[PunchedRow]
    left_out: list[LeftOut]
    simulated: bool
    moved: dict[str, float]


def evaluate_recordings(
    recordings: Iterable[RecordedFrame], enhancers: Sequence[str], *, rng: np.random.Generator | None = None
) -> RecordingsReport:
    """Every measure of every enhancer on every recording with a face, a batch of frames in memory at a time.

    With ``rng``, holes are punched into each frame as well. Raises :class:`KitError` when no frame shows a face, for an
    unknown enhancer and for one that cannot run here.
    """
    functions = {name: recording_enhancer(name) for name in enhancers}
    measures: list[Measures] = []
    left_out: list[LeftOut] = []
    simulated: set[bool] = set()
    moved = {name: np.zeros(2) for name in enhancers}

    def measured() -> Iterator[tuple[RecordedFrame, Face]]:
        faces = faces_in(recordings, left_out)
        while batch := list(islice(faces, BATCH)):
            crops = np.stack([crop.depth for _, _, crop in batch])
            for name, enhance in functions.items():
                outputs = enhance(crops)
                for (frame, face, crop), output in zip(batch, outputs, strict=True):
                    restored = restore_face(frame, output, crop)
                    measures.append(_measure(frame, restored, face, crop, name, output))
                    moved[name] += moved_pixels(frame, restored, crop)
            for frame, face, _ in batch:
                simulated.add(frame.simulated)
                yield frame, face

    frames = measured()
    punched = evaluate_punched(frames, functions, rng) if rng is not None else []
    for _ in frames:  # without punching nobody has asked for the frames yet
        pass
    if not measures:
        reasons = sorted({entry.reason for entry in left_out})
        raise KitError(f"recordings: found no face ({'; '.join(reasons[:2]) or 'no frames'}), expected some")
    shares = {name: float(changed / max(known, 1)) for name, (changed, known) in moved.items()}
    return RecordingsReport(measures, punched, left_out, True in simulated, shares)


def moved_pixels(before: RecordedFrame, after: RecordedFrame, crop: FaceCrop) -> tuple[int, int]:
    """How many of the face's measured pixels moved by more than 20 mm, and how many there are.

    Counted in the frame, over all that :func:`restore_face` may change: the surface within the crop's 25 cm.
    """
    depth_mm = before.millimetres() - crop.depth_range.near_mm
    with np.errstate(invalid="ignore"):
        known = (depth_mm >= 0) & (depth_mm <= crop.depth_range.span_mm)
        moved = np.abs(after.millimetres() - before.millimetres()) > MOVED_MM
    if crop.writable is not None:
        known &= crop.writable
    return int((moved & known).sum()), int(known.sum())


def _measure(
    frame: RecordedFrame, restored: RecordedFrame, face: Face, crop: FaceCrop, name: str, output: DepthImage
) -> Measures:
    """Surfaces in the whole frame before and after, everything at landmarks in the crop."""
    before, after = (from_millimetres(shown.millimetres(), crop.depth_range) for shown in (frame, restored))
    whole = replace(crop, depth=before, mask=face_mask(face.landmarks, before.shape), landmarks=None, marks=None)
    surface = measure_image(CAMERA, whole, name, after)
    at_points = measure_image(CAMERA, replace(crop, mask=None), name, output)
    fields = ("mark_holes", "landmark_holes", "pad_error", "nose_mm")
    return replace(surface, **{field: getattr(at_points, field) for field in fields})


def summary_rows(
    measures: Sequence[Measures], punched: Sequence[PunchedRow] = (), moved: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """A line for each enhancer: means over the frames, and the errors at punched holes where there are any.

    ``roughness`` and ``holes`` are in percent as in Table V (with the step at the mask's border), ``noise_mm`` is the
    kernel on measured pixels alone; ``changed`` is Table VI's falsification in percent; ``moved_20mm_share`` the share
    of the faces' measured pixels that moved by more than 20 mm (``moved`` says it); ``plausible`` the share of frames
    whose nose stands out of the best sheet of paper; ``measured_bias`` whether the enhancer's output was joined to what
    was measured (ours, :mod:`facedepth_kit.enhancers.measured_bias`).
    """
    at_holes = {row.enhancer: row for row in punched}
    lines = []
    for name in dict.fromkeys(row.enhancer for row in measures):
        rows = [row for row in measures if row.enhancer == name]
        percent = {key: 100 * _mean(rows, key) for key in ("roughness", "holes")}
        line = {
            "enhancer": name,
            "measured_bias": carries_measured_bias(name),
            "frames": len(rows),
            **percent,
            "noise_mm": CAMERA_SPAN_MM * _mean(rows, "noise"),
            "changed": 100 * _mean(rows, "falsification"),
            **({} if moved is None else {"moved_20mm_share": moved[name]}),
            "mark_holes": _mean(rows, "mark_holes"),
            "landmark_holes": _mean(rows, "landmark_holes"),
            "pad_error": _mean(rows, "pad_error"),
            "pad_error_max": max(row.pad_error for row in rows),
            "nose_mm": _mean(rows, "nose_mm"),
            "plausible": float(np.mean([_plausible(row.nose_mm) for row in rows])),
        }
        if hole := at_holes.get(name):
            line |= {
                "punched_filled": hole.filled,
                "punched_rmse_mm": hole.common_rmse_mm,
                "punched_median_frame_mm": hole.median_frame_rmse_mm,
            }
        lines.append(line)
    return lines


def _plausible(nose_mm: float) -> bool:
    settings = ReliefSettings()
    return settings.least_mm <= nose_mm <= settings.most_mm


def _mean(rows: Sequence[Measures], field: str) -> float:
    values = np.array([getattr(row, field) for row in rows])
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def kept_tables() -> dict[str, DataFrame]:
    """The tables of real recordings that lie in ``figures/recordings``, by name: numbers that were measured elsewhere.

    Empty where there are none.
    """
    tables = {}
    for path in sorted(figures_dir("recordings").glob("*.csv")):
        table = read_table(path)
        if "punched_rmse_mm" in table:  # else another measurement's
            tables[path.stem] = table
    return tables
