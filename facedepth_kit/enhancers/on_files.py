"""Enhancers on a user's own depth recordings: files in, files of the same size and unit out, changed only in the face.

What ``facedepth enhance`` does. The rules of cutting the face out and putting it back stand in ``face_region.py``,
those of reading in ``cameras/images.py``. In a run over many files one bad file does not stop the others: its report
says why.
"""

from __future__ import annotations

import csv
import errno
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import (
    aligned_picture,
    depth_files,
    read_frame,
    read_picture,
    write_frame,
)
from facedepth_kit.cameras.recorded.face_crop import Box, FaceRegion, close_gaps, crop_face, restore_face
from facedepth_kit.cameras.recorded.folder import aligned_beside, nearest_metadata
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import write_atomically
from facedepth_kit.depth import HOLE, SIZE, DepthImage, check_depth
from facedepth_kit.enhancers import Enhancer

Enhance = Callable[[DepthImage], DepthImage]

DEFAULT_ENHANCER = "DL-Kit-1"
SUMMARY = "summary"
SCENE_SPAN_MM = 600.0
GAP_PX = 16


@dataclass(frozen=True)
class EnhanceSettings:
    """What to do with a run's files.

    ``output`` is the folder that results go to, under their input's name (folders are mirrored). ``unit_mm`` is the
    depth unit of the files, whose 0 is a hole (by default what a ``recording.json`` above the file says, otherwise a
    millimetre); ``normalized`` says instead that they are 256x256 in the kit's convention (hole 65535). The face region
    is ``box`` (left, top, right, bottom in pixels, right and bottom exclusive, hairline to chin) in every file; or what
    Dlib finds in the aligned picture named by ``image_suffix``, by default ``_color`` or ``_infrared`` where a
    ``recording.json`` says that this is a recording; or the whole frame.
    """

    output: Path
    enhancer: str = DEFAULT_ENHANCER
    unit_mm: float | None = None
    normalized: bool = False
    box: Box | None = None
    image_suffix: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.unit_mm is not None and not (np.isfinite(self.unit_mm) and self.unit_mm > 0):
            raise KitError(f"--unit-mm: found {self.unit_mm}, expected millimetres per step above 0")
        if self.box is not None and self.image_suffix is not None:
            raise KitError("--box and --image-suffix: found both, expected at most one way to find the face")
        if self.normalized and (self.box is not None or self.image_suffix is not None or self.unit_mm is not None):
            raise KitError("--normalized: found --box, --image-suffix or --unit-mm beside it, expected it alone")
        if self.box is not None and (self.box[2] <= self.box[0] or self.box[3] <= self.box[1]):
            raise KitError(f"--box: found {' '.join(map(str, self.box))}, expected LEFT < RIGHT and TOP < BOTTOM")
        if self.image_suffix is not None and not self.image_suffix:
            raise KitError("--image-suffix: found nothing, expected the end of a file name such as _infrared.png")


@dataclass(frozen=True)
class FileReport:
    """What became of one file; pixel counts are those of the face region, ``None`` where the file failed.

    ``error`` is the line that says why it failed; ``hint`` something to look at though it did not; ``assumed`` what
    nobody asked for, but the recording says. ``box`` is the square that was cut out, ``near_mm`` and ``far_mm`` its
    depth span (None for normalized images).
    """

    input: Path
    output: Path | None = None
    error: str | None = None
    hint: str | None = None
    box: Box | None = None
    near_mm: float | None = None
    far_mm: float | None = None
    face_pixels: int | None = None
    holes_before: int | None = None
    holes_after: int | None = None
    changed_pixels: int | None = None
    assumed: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the output was written."""
        return self.error is None


def enhance_frame(
    frame: npt.NDArray[np.uint16],
    enhance: Enhance,
    box: Box | None = None,
    *,
    unit_mm: float = 1.0,
    outline: npt.NDArray[np.floating] | None = None,
) -> tuple[npt.NDArray[np.uint16], FaceRegion]:
    """A camera frame (height, width) uint16, 0 = hole, with its face enhanced, and the region that this concerned.

    ``enhance`` takes and gives a depth image (256, 256); ``box`` and ``outline`` as in
    :func:`crop_face`. Raises :class:`KitError` as that does, and for frames of holes only.
    """
    if not frame.any():
        raise KitError("found holes only (every pixel is 0), expected depth")
    crop, region = crop_face(frame, box, unit_mm=unit_mm, outline=outline)
    return restore_face(frame, enhance(crop), region), region


def enhance_normalized(depth: DepthImage, enhance: Enhance) -> tuple[DepthImage, npt.NDArray[np.bool_]]:
    """A depth image (256, 256) uint16 in the kit's convention, enhanced, and the mask of pixels that were open to
    change.

    The rule is that of frames: only the surface with its gaps closed changes, and what the enhancer calls a hole stays.
    Raises :class:`KitError` for other shapes and for images of holes only.
    """
    check_depth(depth, "normalized image")
    if depth.ndim != 2:
        raise KitError(f"normalized image: found shape {depth.shape}, expected {(SIZE, SIZE)}")
    if (depth == HOLE).all():
        raise KitError("found holes only (every pixel is 65535), expected depth")
    writable = close_gaps(depth != HOLE, GAP_PX)
    enhanced = enhance(depth)
    return np.where(writable & (enhanced != HOLE), enhanced, depth), writable


def enhance_files(
    inputs: Sequence[str | Path],
    settings: EnhanceSettings,
    *,
    enhance: Enhance | None = None,
    on_report: Callable[[FileReport], None] | None = None,
) -> list[FileReport]:
    """Enhance files, and all depth files in folders, into ``settings.output``; a report per file, in order.

    Files of the RealSense SDK and KinectFaceDB folders may be among them (:mod:`facedepth_kit.enhancers.on_data_sets`).
    ``on_report`` is called as each file ends. ``summary.csv`` and ``summary.json`` in the output folder hold the
    reports. ``enhance`` replaces the enhancer of that name. A file that cannot be used, or whose output is already
    there, is reported and passed over. Raises :class:`KitError` for what concerns the whole run: an unknown enhancer
    or one without weights, inputs that are not there, two that would write the same file, outputs that would replace
    their input, an old summary without ``overwrite``, and a full disk.
    """
    from facedepth_kit.enhancers.on_data_sets import enhance_set, is_set

    paths = [Path(entry) for entry in inputs]
    sets = [path for path in paths if is_set(path)]
    files = [path for path in paths if path not in sets]
    jobs = plan(files, settings) if files or not sets else []
    _check_output(settings)
    if enhance is None:
        name = settings.enhancer
        enhance = _able_enhancer(name).enhance if settings.normalized else recording_enhancer(name)
    made = chain(
        (_one_file(job, settings, enhance) for job in jobs),
        *(enhance_set(path, settings, enhance) for path in sets),
    )
    reports = []
    try:
        settings.output.mkdir(parents=True, exist_ok=True)
        for report in made:
            reports.append(report)
            if on_report:
                on_report(report)
        write_summary(settings.output, reports, overwrite=settings.overwrite)
    except OSError as error:
        raise KitError(f"{settings.output}: cannot write there: {error.strerror or error}") from error
    return reports


@dataclass(frozen=True)
class Job:
    """A file, where its result goes, and the input that it came with (a folder or the file itself)."""

    source: Path
    target: Path
    root: Path


def plan(inputs: Sequence[str | Path], settings: EnhanceSettings) -> list[Job]:
    """Which file goes where; nothing is read but folders, nothing is written.

    Raises :class:`KitError` as :func:`enhance_files` says.
    """
    output = settings.output
    _check_output(settings)
    jobs: dict[Path, Job] = {}
    for entry in map(Path, inputs):
        if entry.is_dir():
            inside = output.resolve() != entry.resolve()
            for path in depth_files(entry, without=output if inside else None):
                jobs.setdefault(path, Job(path, output / path.relative_to(entry), entry))
        elif entry.exists():
            jobs.setdefault(entry, Job(entry, output / entry.name, entry.parent))
        else:
            raise KitError(f"{entry}: found no such file or folder, expected depth images")
    if not jobs:
        raise KitError("inputs: found none, expected depth files or folders")
    written: dict[Path, Path] = {}
    sources = {path.resolve() for path in jobs}
    for path, job in list(jobs.items()):
        resolved = job.target.resolve()
        if resolved in sources:
            raise KitError(f"{path}: the output would replace an input, expected an --output folder of its own")
        other = written.setdefault(resolved, path)
        if other.resolve() != path.resolve():
            raise KitError(
                f"{path} and {other}: found two inputs for one output {job.target}, expected different names"
            )
        if other is not path:
            del jobs[path]
    return list(jobs.values())


def _check_output(settings: EnhanceSettings) -> None:
    output = settings.output
    if os.path.lexists(output) and not output.is_dir():
        raise KitError(f"{output}: found a file, expected a folder for the output")
    if not settings.overwrite:
        for name in (f"{SUMMARY}.csv", f"{SUMMARY}.json"):
            if os.path.lexists(output / name):
                raise KitError(
                    f"{output / name}: found an earlier run, expected a new --output folder (or --overwrite)"
                )


def write_summary(output: Path, reports: Iterable[FileReport], *, overwrite: bool = False) -> None:
    """Write reports to ``summary.csv`` and ``summary.json`` in a folder; file names are as given."""
    rows = [asdict(report) for report in reports]
    for row in rows:
        row["input"], row["output"] = str(row["input"]), None if row["output"] is None else str(row["output"])
    with write_atomically(output / f"{SUMMARY}.json", overwrite) as temporary:
        temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    with (
        write_atomically(output / f"{SUMMARY}.csv", overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, FileReport.__dataclass_fields__.keys(), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            box = None if row["box"] is None else " ".join(map(str, row["box"]))
            writer.writerow({**row, "box": box})


def recording_enhancer(name: str) -> Enhance:
    """The enhancer of that name as it is used on recordings: (256, 256) in, (256, 256) out.

    A learned enhancer's output is joined to what was measured (:mod:`facedepth_kit.enhancers.measured_bias`). Raises
    :class:`KitError` for an unknown name, and where weights or a package are missing.
    """
    from facedepth_kit.enhancers.measured_bias import add_measured_bias

    enhancer = _able_enhancer(name)
    if enhancer.kind != "learned":
        return enhancer.enhance
    return lambda depth: add_measured_bias(depth, enhancer.enhance(depth))


def _able_enhancer(name: str) -> Enhancer:
    from facedepth_kit import enhancers

    enhancer = enhancers.get(name)
    if name in enhancers.names() and name not in enhancers.available():
        able = ", ".join(enhancers.available())
        raise KitError(f"enhancer: found {name} without its weights or package, expected one that can run here: {able}")
    return enhancer


def _one_file(job: Job, settings: EnhanceSettings, enhance: Enhance) -> FileReport:
    source, target = job.source, job.target
    report = FileReport(source)
    try:
        if not settings.overwrite and os.path.lexists(target):
            raise KitError(f"{target}: found an earlier output, expected none (--overwrite replaces it)")
        frame = read_frame(source)
        if settings.normalized:
            result, report = _normalized(source, frame, enhance)
        else:
            result, report = _frame(job, frame, settings, enhance)
        write_frame(target, result, overwrite=settings.overwrite)
    except KitError as error:
        text = str(error)
        return replace(report, error=text if str(source) in text or str(target) in text else f"{source}: {text}")
    except OSError as error:
        return replace(report, error=passed_over(error, target))
    return replace(report, output=target)


def passed_over(error: OSError, target: Path) -> str:
    """What kept one file from being read or written, in a line; raises what would keep all others, too."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        raise error
    return f"{error.filename or target}: {error.strerror or error}"


def _frame(
    job: Job, frame: npt.NDArray[np.uint16], settings: EnhanceSettings, enhance: Enhance
) -> tuple[npt.NDArray[np.uint16], FileReport]:
    if not frame.any():
        raise KitError(f"{job.source}: found holes only (every pixel is 0), expected depth")
    unit_mm, picture, assumed = _described(job, settings)
    box, outline = settings.box, None
    if picture is not None:
        box, outline = _find_face(job.source, frame.shape, picture)
    result, report = enhance_recorded(job.source, frame, enhance, box, outline, unit_mm)
    return result, replace(report, assumed=assumed)


def enhance_recorded(
    source: Path,
    frame: npt.NDArray[np.uint16],
    enhance: Enhance,
    box: Box | None,
    outline: npt.NDArray[np.floating] | None,
    unit_mm: float,
) -> tuple[npt.NDArray[np.uint16], FileReport]:
    """:func:`enhance_frame` and what there is to report of it, ``source`` being the name of the frame."""
    hint = None
    if box is None and frame.any():
        low, high = np.percentile(frame[frame > 0], (1, 99)) * unit_mm
        if high - low > SCENE_SPAN_MM:
            hint = (
                f"depths span {(high - low) / 10:.0f} cm: "
                "if this is more than a face crop, say where the face is (--box, --image-suffix)"
            )
    result, region = enhance_frame(frame, enhance, box, unit_mm=unit_mm, outline=outline)
    near_mm, span_mm = region.depth_range.near_mm, region.depth_range.span_mm
    report = FileReport(
        source, hint=hint, box=region.square, near_mm=round(near_mm, 2), far_mm=round(near_mm + span_mm, 2)
    )
    return result, _counted(report, frame, result, region.writable, 0)


def _described(job: Job, settings: EnhanceSettings) -> tuple[float, Path | None, str | None]:
    """The file's unit, the picture to find its face in, and in words what of both only ``recording.json`` said."""
    picture = None if settings.image_suffix is None else aligned_picture(job.source, settings.image_suffix)
    about, path = nearest_metadata(job.source.parent, job.root)
    if path is None:
        return settings.unit_mm or 1.0, picture, None
    assumed = []
    if settings.unit_mm is None:
        assumed.append(f"steps of {about.unit_mm:g} mm ({path.name})")
    if settings.box is None and picture is None:
        picture = aligned_beside(job.source)
        if picture is not None:
            assumed.append(f"face found in *{picture.stem[picture.stem.rindex('_') :]}{picture.suffix}")
    return settings.unit_mm or about.unit_mm, picture, "; ".join(assumed) or None


def _normalized(source: Path, depth: DepthImage, enhance: Enhance) -> tuple[DepthImage, FileReport]:
    result, writable = enhance_normalized(depth, enhance)
    hint = None
    if (depth == 0).mean() > 0.02 and not (depth == HOLE).any():
        hint = "many zeros and no 65535: if 0 is a hole here, this is a camera image (leave out --normalized)"
    return result, _counted(FileReport(source, hint=hint, box=(0, 0, SIZE, SIZE)), depth, result, writable, int(HOLE))


def _counted(
    report: FileReport,
    before: npt.NDArray[np.uint16],
    after: npt.NDArray[np.uint16],
    face: npt.NDArray[np.bool_],
    hole: int,
) -> FileReport:
    return replace(
        report,
        face_pixels=int(face.sum()),
        holes_before=int((before[face] == hole).sum()),
        holes_after=int((after[face] == hole).sum()),
        changed_pixels=int((before != after).sum()),
    )


def _find_face(source: Path, shape: tuple[int, ...], path: Path) -> tuple[Box, npt.NDArray[np.float64]]:
    from facedepth_kit.faces.detection import detect_face

    if not path.exists():
        raise KitError(f"{source}: found no aligned picture {path.name} beside it, expected one (--image-suffix)")
    picture = read_picture(path)
    if picture.shape[:2] != shape:
        found, expected = ("x".join(map(str, size[1::-1])) for size in (picture.shape, shape))
        raise KitError(
            f"{path}: found {found} pixels, expected {expected} as in {source.name}: pictures must be aligned"
        )
    face = detect_face(picture)
    if face is None:
        raise KitError(f"{source}: found no face in {path.name}, expected one (--box says where it is)")
    return face.box, face.outline
