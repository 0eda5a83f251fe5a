"""The tables of section IV, as far as they apply, for recordings of one's own: any folder, any camera.

There is no Neutral image and no published number here. Each frame's own picture gives the face (Dlib); the enhancers
work as in ``facedepth enhance``, on a crop whose span begins at the face's own surface, and are joined to what was
measured. Surfaces are measured in the frame as it comes back, at the sensor's own resolution; landmarks and the checks
for attacks in the enlarged crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import FaceRegion, crop_face, restore_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import figures_dir
from facedepth_kit.common.tables import read_table
from facedepth_kit.depth import CAMERA_SPAN_MM, DepthImage, DepthRange, from_millimetres
from facedepth_kit.enhancers.on_files import recording_enhancer
from facedepth_kit.evaluation.camera_measures import Measures, measure_image
from facedepth_kit.evaluation.prepared_faces import FaceImage, LeftOut, face_mask, into_square
from facedepth_kit.evaluation.punched import FaceFrame, PunchedRow, evaluate_punched
from facedepth_kit.evaluation.relief import ReliefSettings

if TYPE_CHECKING:
    from pandas import DataFrame

    from facedepth_kit.faces.detection import Face

CAMERA = "recordings"
BATCH = 16


@dataclass(frozen=True, eq=False)
class FoundFace:
    """A recording, the face that Dlib found in its picture, and the crop that enhancers are given."""

    recording: RecordedFrame
    face: Face
    region: FaceRegion

    @property
    def frame(self) -> FaceFrame:
        """The same as punched holes want it."""
        known = self.recording
        return FaceFrame(known.depth, known.unit_mm, self.face.box, self.face.outline, known.name)


def found_faces(recordings: Iterable[RecordedFrame], left_out: list[LeftOut]) -> Iterator[FoundFace]:
    """The recordings in which Dlib finds a face with depth; the others are added to ``left_out`` with the reason."""
    from facedepth_kit.faces.detection import detect_face

    for recording in recordings:
        try:
            face = None if recording.picture is None else detect_face(recording.picture)
            if face is None:
                found = "no aligned picture" if recording.picture is None else "no face in the picture (Dlib)"
                raise KitError(f"found {found}")
            _, region = crop_face(recording.depth, face.box, unit_mm=recording.unit_mm, outline=face.outline)
            yield FoundFace(recording, face, region)
        except KitError as error:
            names = (recording.name, recording.person, recording.session, recording.variant)
            left_out.append(LeftOut(*names, str(error)))


@dataclass(frozen=True)
class RecordingsReport:
    """What :func:`evaluate_recordings` found: measures of every frame and enhancer, punched holes, frames left out."""

    measures: list[Measures]
    punched: list[PunchedRow]
    left_out: list[LeftOut]
    simulated: bool


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

    def measured() -> Iterator[FaceFrame]:
        faces = found_faces(recordings, left_out)
        while batch := list(islice(faces, BATCH)):
            crops = np.stack([found.region.crop for found in batch])
            for name in enhancers:
                outputs = enhanced_crops(crops, name)
                measures.extend(_measure(found, name, output) for found, output in zip(batch, outputs, strict=True))
            for found in batch:
                simulated.add(found.recording.simulated)
                yield found.frame

    frames = measured()
    punched = evaluate_punched(frames, functions, rng) if rng is not None else []
    for _ in frames:  # without punching nobody has asked for the frames yet
        pass
    if not measures:
        reasons = sorted({entry.reason for entry in left_out})
        raise KitError(f"recordings: found no face ({'; '.join(reasons[:2]) or 'no frames'}), expected some")
    return RecordingsReport(measures, punched, left_out, True in simulated)


def enhanced_crops(crops: DepthImage, name: str) -> DepthImage:
    """A stack of crops (n, 256, 256) enhanced as recordings are: a learned enhancer's output joined to the measured.

    Raises :class:`KitError` for an unknown enhancer and for one that cannot run here.
    """
    from facedepth_kit import enhancers
    from facedepth_kit.enhancers.measured_bias import add_measured_bias

    enhancer = enhancers.get(name)
    outputs = enhancer.enhance(crops)
    if enhancer.kind != "learned":
        return outputs
    return np.stack([add_measured_bias(crop, output) for crop, output in zip(crops, outputs, strict=True)])


def _measure(found: FoundFace, name: str, output: DepthImage) -> Measures:
    recording, region = found.recording, found.region
    before = _normalised(recording.depth, recording.unit_mm, region.depth_range)
    frame = restore_face(recording.depth, output, region)
    after = before if frame is recording.depth else _normalised(frame, recording.unit_mm, region.depth_range)
    names = {key: getattr(recording, key) for key in ("name", "person", "session", "variant", "simulated")}
    mask = face_mask(found.face.landmarks, (before.shape[0], before.shape[1]))
    surface = measure_image(
        CAMERA, FaceImage(depth=before, depth_range=region.depth_range, mask=mask, **names), name, after
    )
    square = (region.left, region.top, region.side)
    points = FaceImage(
        depth=region.crop,
        depth_range=region.depth_range,
        landmarks=into_square(found.face.landmarks, square),
        marks=None if recording.marks is None else into_square(recording.marks, square),
        **names,
    )
    at_points = measure_image(CAMERA, points, name, output)
    fields = ("mark_holes", "landmark_holes", "pad_error", "nose_mm")
    return replace(surface, **{field: getattr(at_points, field) for field in fields})


def _normalised(frame: npt.NDArray[np.uint16], unit_mm: float, depth_range: DepthRange) -> DepthImage:
    return from_millimetres(np.where(frame > 0, frame * np.float32(unit_mm), np.float32(np.nan)), depth_range)


def summary_rows(measures: Sequence[Measures], punched: Sequence[PunchedRow] = ()) -> list[dict[str, Any]]:
    """A line for each enhancer: means over the frames, and the errors at punched holes where there are any.

    ``roughness`` and ``holes`` are in percent as in Table V (with the step at the mask's border), ``noise_mm`` is the
    kernel on measured pixels alone; ``changed`` is Table VI's falsification in percent; ``plausible`` the share of
    frames whose nose stands out of the best sheet of paper.
    """
    at_holes = {row.enhancer: row for row in punched}
    lines = []
    for name in dict.fromkeys(row.enhancer for row in measures):
        rows = [row for row in measures if row.enhancer == name]
        percent = {key: 100 * _mean(rows, key) for key in ("roughness", "holes")}
        line = {
            "enhancer": name,
            "frames": len(rows),
            **percent,
            "noise_mm": CAMERA_SPAN_MM * _mean(rows, "noise"),
            "changed": 100 * _mean(rows, "falsification"),
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
