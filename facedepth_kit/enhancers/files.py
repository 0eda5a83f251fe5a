"""Enhancers on a user's own recordings: files in, files of the same size and unit out, changed only in the face.

What ``facedepth enhance`` does. Depth images become depth images, in their folders; a ``.bag`` or ``.db3`` of the
RealSense SDK becomes a folder of recordings, KinectFaceDB another KinectFaceDB: whatever reads the one reads the other.
All three become :class:`Item`, a frame that can be read, searched for its face, enhanced and written. In a run over
many files one bad file does not stop the others: its report says why.
"""

from __future__ import annotations

import errno
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, partial
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import (
    DepthFile,
    aligned_picture,
    depth_files,
    open_depth,
    read_frame,
    read_picture,
    write_frame,
)
from facedepth_kit.cameras.recorded.face_crop import FaceCrop, cut_square, find_face, restore_face
from facedepth_kit.cameras.recorded.folder import FolderWriter, aligned_beside, nearest_metadata
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import (
    FOLDER,
    SIMULATED,
    KinectFaceDB,
    is_kinectfacedb,
    mark_simulated,
    write_variant,
)
from facedepth_kit.cameras.recorded.realsense import BAG_SUFFIXES, BagFile
from facedepth_kit.common.errors import DiskFullError, KitError
from facedepth_kit.common.parts import only_run
from facedepth_kit.common.paths import remove_temporary, write_atomically
from facedepth_kit.common.tables import write_table
from facedepth_kit.depth import CAMERA_SPAN_MM, HOLE, SIZE, DepthImage, DepthRange, from_millimetres
from facedepth_kit.enhancers.frames import (
    DEFAULT_ENHANCER,
    Enhance,
    able_enhancer,
    enhance_crop,
    enhance_normalized,
    recording_enhancer,
    seen_face,
)
from facedepth_kit.enhancers.memory import EARLIER
from facedepth_kit.faces.detection import Box, Face, detect_face
from facedepth_kit.faces.tracking import FaceTracker
from facedepth_kit.sequences.denoisers import FrameDenoiser
from facedepth_kit.sequences.network_frames import person_by_depth

# Called with the written file, and the face's depth (256, 256) before and after over a range.
OnCrop = Callable[[Path, DepthImage, DepthImage, DepthRange], None]

SUMMARY = "summary"
SCENE_SPAN_MM = 600.0


@dataclass(frozen=True)
class EnhanceSettings:
    """What to do with a run's files.

    ``output`` is the folder that results go to, under their input's name (folders are mirrored). ``unit_mm`` is the
    depth unit of the files, whose 0 is a hole (by default what a ``recording.json`` above the file says, otherwise a
    millimetre); ``normalized`` says instead that they are 256x256 in the kit's convention (hole 65535). The face region
    is ``box`` (left, top, right, bottom in pixels, right and bottom exclusive, hairline to chin) in every file; or what
    Dlib finds in the aligned picture named by ``image_suffix``, by default ``_color`` or ``_infrared`` where a
    ``recording.json`` says that this is a recording; or the whole frame. Where there are pictures, a frame is enhanced
    after the few before it in its folder or file (:mod:`facedepth_kit.enhancers.memory`), unless ``single``.
    """

    output: Path
    enhancer: str = DEFAULT_ENHANCER
    unit_mm: float | None = None
    normalized: bool = False
    box: Box | None = None
    image_suffix: str | None = None
    overwrite: bool = False
    single: bool = False

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
    """What became of one file, or of a frame in one; pixel counts are those of the face region, ``None`` if it failed.

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


def enhance_files(
    inputs: Sequence[str | Path],
    settings: EnhanceSettings,
    *,
    enhance: Enhance | None = None,
    on_report: Callable[[FileReport], None] | None = None,
    on_crop: OnCrop | None = None,
) -> list[FileReport]:
    """Enhance files, and all depth files in folders, into ``settings.output``; a report per file, in order.

    Files of the RealSense SDK and KinectFaceDB folders may be among them. ``on_report`` is called as each file ends,
    ``on_crop`` with what can be shown of each enhanced one. ``summary.csv`` and ``summary.json`` in the output folder
    hold the reports. ``enhance`` replaces the enhancer of that name. A file that cannot be used, or whose output is
    already there, is reported and passed over. Raises :class:`KitError` for what concerns the whole run: an unknown
    enhancer or one without weights, inputs that are not there, two that would write the same file, outputs that would
    replace their input, an old summary without ``overwrite``, and a full disk.
    """
    paths = [Path(entry) for entry in inputs]
    sets = [path for path in paths if (is_kinectfacedb(path) if path.is_dir() else _is_bag(path))]
    for path in sets:
        if not path.exists():
            raise KitError(f"{path}: found no such file, expected a recording of the RealSense SDK")
        _check_options(path, settings)
    files = [path for path in paths if path not in sets]
    targets = plan(files, settings) if files or not sets else []
    _check_output(settings)
    if enhance is None:
        name = settings.enhancer
        enhance = able_enhancer(name).enhance if settings.normalized else recording_enhancer(name, runs_fast=True)
    made = chain.from_iterable(
        [
            _folders(targets, settings, enhance, on_crop),
            *(_set_or_why_not(path, settings, enhance, on_crop) for path in sets),
        ]
    )
    reports = []
    try:
        with _held(settings.output):
            for report in made:
                reports.append(report)
                if on_report:
                    on_report(report)
            write_summary(settings.output, reports, overwrite=settings.overwrite)
    except OSError as error:
        raise KitError(f"{settings.output}: cannot write there: {error.strerror or error}") from error
    return reports


@dataclass(frozen=True)
class Target:
    """A file, where its result goes, and the input that it came with (a folder or the file itself)."""

    source: Path
    target: Path
    root: Path


def plan(inputs: Sequence[str | Path], settings: EnhanceSettings) -> list[Target]:
    """Which file goes where; nothing is read but folders, nothing is written.

    Raises :class:`KitError` as :func:`enhance_files` says.
    """
    output = settings.output
    _check_output(settings)
    targets: dict[Path, Target] = {}
    for entry in map(Path, inputs):
        if entry.is_dir():
            inside = output.resolve() != entry.resolve()
            for path in depth_files(entry, without=output if inside else None):
                targets.setdefault(path, Target(path, output / path.relative_to(entry), entry))
        elif entry.exists():
            targets.setdefault(entry, Target(entry, output / entry.name, entry.parent))
        else:
            raise KitError(f"{entry}: found no such file or folder, expected depth images")
    if not targets:
        raise KitError("inputs: found none, expected depth files or folders")
    written: dict[str, Path] = {}
    sources = {os.path.realpath(path) for path in targets}  # not Path.resolve: it raises for links in a circle
    for path, job in list(targets.items()):
        resolved = os.path.realpath(job.target)
        if resolved in sources:
            raise KitError(f"{path}: the output would replace an input, expected an --output folder of its own")
        other = written.setdefault(resolved, path)
        if os.path.realpath(other) != os.path.realpath(path):
            raise KitError(
                f"{path} and {other}: found two inputs for one output {job.target}, expected different names"
            )
        if other is not path:
            del targets[path]
    return list(targets.values())


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
    boxes = (None if row["box"] is None else " ".join(map(str, row["box"])) for row in rows)
    lines = [{**row, "box": box} for row, box in zip(rows, boxes, strict=True)]
    write_table(output / f"{SUMMARY}.csv", lines, overwrite=overwrite)


@contextmanager
def _held(output: Path) -> Iterator[None]:
    """Hold the output folder for one run, and remove what killed runs have left half written in it."""
    with only_run(output):
        for folder in (output, *(path for path in output.rglob("*") if path.is_dir())):
            remove_temporary(folder)
        yield


def _passed_over(error: OSError, target: Path) -> str:
    """What kept one file from being read or written, in a line; raises what would keep all others, too."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        raise error
    return f"{error.filename or target}: {error.strerror or error}"


# --- frames, wherever they come from --------------------------------------------------------------------------------


# A frame's face, its box, or None for the whole frame; raises KitError where there is none.
Find = Callable[[RecordedFrame], Face | Box | None]


@dataclass(frozen=True)
class Item:
    """A frame to be enhanced: its name in reports, how to read it and find its face, and what writes the result."""

    source: Path
    read: Callable[[], RecordedFrame]
    find: Find
    write: Callable[[RecordedFrame], Path]

    @cached_property
    def seen(self) -> tuple[RecordedFrame, Face | Box | None, FaceCrop]:
        """The frame, its face, and that cut out."""
        frame = self.read()
        face = self.find(frame) if frame.depth.any() else None
        return frame, face, seen_face(frame, face)


# The items before one in its recording, whether their results were written now, before, or not at all.
Recent = deque[Item]


def _crops(recent: Recent) -> list[FaceCrop]:
    """The faces of the frames before, as measured, those after the last one without a face."""
    crops: list[FaceCrop] = []
    for item in reversed(recent):
        try:
            crops.insert(0, item.seen[2])
        except (KitError, OSError):
            break
    return crops


def _enhanced(item: Item, enhance: Enhance, on_crop: OnCrop | None, recent: Recent) -> FileReport:
    """Enhance and write one frame. Raises ``OSError`` for what would keep all others from being written, too."""

    def made(report: FileReport) -> FileReport:
        frame, face, crop = item.seen
        earlier = [] if crop.picture is None else _crops(recent)
        result = restore_face(frame, enhance_crop(crop, enhance, earlier), crop)
        near_mm, span_mm = crop.depth_range.near_mm, crop.depth_range.span_mm
        report = replace(
            report,
            hint=_scene_hint(frame) if face is None else None,
            box=crop.square.box,
            near_mm=round(near_mm, 2),
            far_mm=round(near_mm + span_mm, 2),
        )
        report = _counted(report, frame.depth, result.depth, crop.writable, 0)
        report = replace(report, output=item.write(result))
        if on_crop is not None and report.output is not None:
            after = from_millimetres(cut_square(result, crop.square), crop.depth_range)
            on_crop(report.output, crop.depth, after, crop.depth_range)
        return report

    try:
        return _reported(item.source, made)
    finally:
        recent.append(item)


def _reported(source: Path, make: Callable[[FileReport], FileReport]) -> FileReport:
    """What became of a file, or why it failed. Raises ``OSError`` for what would keep all others from being written."""
    report = FileReport(source)
    try:
        return make(report)
    except DiskFullError:
        raise
    except KitError as error:
        return replace(report, error=_naming(source, error))
    except OSError as error:
        return replace(report, error=_passed_over(error, source))


def _naming(source: Path, error: KitError) -> str:
    """The error's line, with the file's name before it where it does not say it itself."""
    text = str(error)
    return text if str(source) in text else f"{source}: {text}"


def _scene_hint(frame: RecordedFrame) -> str | None:
    low, high = np.percentile(frame.depth[frame.depth > 0], (1, 99)) * frame.unit_mm
    if high - low <= SCENE_SPAN_MM:
        return None
    return (
        f"depths span {(high - low) / 10:.0f} cm: "
        "if this is more than a face crop, say where the face is (--box, --image-suffix)"
    )


def _counted(
    report: FileReport,
    before: npt.NDArray[np.uint16],
    after: npt.NDArray[np.uint16],
    face: npt.NDArray[np.bool_] | None,
    hole: int,
) -> FileReport:
    part = np.ones(before.shape, np.bool_) if face is None else face
    return replace(
        report,
        face_pixels=int(part.sum()),
        holes_before=int((before[part] == hole).sum()),
        holes_after=int((after[part] == hole).sum()),
        changed_pixels=int((before != after).sum()),
    )


# --- depth images ---------------------------------------------------------------------------------------------------


def _folders(
    targets: Iterable[Target], settings: EnhanceSettings, enhance: Enhance, on_crop: OnCrop | None
) -> Iterator[FileReport]:
    """Depth files one after the other; those of a folder are a recording."""
    recent, folder = _nothing_before(settings), None
    for target in targets:
        if target.source.parent != folder:
            recent, folder = _nothing_before(settings), target.source.parent
        yield from _file(target, settings, enhance, on_crop, recent)


def _nothing_before(settings: EnhanceSettings) -> Recent:
    return deque(maxlen=0 if settings.single else EARLIER)


def _file(
    target: Target, settings: EnhanceSettings, enhance: Enhance, on_crop: OnCrop | None, recent: Recent
) -> Iterator[FileReport]:
    """The frames of one depth file, written together: one of an image, several of an NPY stack.

    Frames of a stack that cannot be enhanced are left as they are; their reports say why.
    """
    source, done = target.source, dict[int, npt.NDArray[np.uint16]]()
    report = FileReport(source)
    try:
        described = (1.0, None, None) if settings.normalized else _described(target, settings)
        file = open_depth(source, described[0])
        items = [_item(target, settings, file, index, described[1], done) for index in range(len(file))]
        try:
            _check_target(target, settings)
        except KitError:
            recent.extend(items)  # a run that goes on: the frames after this one still have it before them
            raise
    except KitError as error:
        yield replace(report, error=_naming(source, error))
        return
    for index in range(len(file)):
        if index:
            yield report
        if settings.normalized:
            report = _normalized(target, file, index, enhance, done, on_crop)
        else:
            shown = _of_frame(on_crop, file, index)
            report = replace(_enhanced(items[index], enhance, shown, recent), assumed=described[2])
    try:
        if done:
            file.save(target.target, done, overwrite=settings.overwrite)
    except DiskFullError:
        raise
    except KitError as error:
        report = replace(report, output=None, error=_naming(source, error))
    except OSError as error:
        report = replace(report, output=None, error=_passed_over(error, target.target))
    yield report


def _item(
    target: Target,
    settings: EnhanceSettings,
    file: DepthFile,
    index: int,
    picture: Path | None,
    done: dict[int, npt.NDArray[np.uint16]],
) -> Item:
    """A frame of a depth file; enhanced, it goes to ``done``."""

    def find(frame: RecordedFrame) -> Face | Box | None:
        if picture is None:
            return settings.box
        assert frame.picture is not None
        face = detect_face(frame.picture)
        if face is None:
            raise KitError(f"{target.source}: found no face in {picture.name}, expected one (--box says where it is)")
        return face

    def write(frame: RecordedFrame) -> Path:
        done[index] = frame.depth
        return target.target

    def read() -> RecordedFrame:
        frame = RecordedFrame(target.source.name, file.frame(index), file.unit_mm)
        if picture is None:
            return frame
        beside = _picture_beside(target.source, frame, picture, index if file.is_stack else None)
        return replace(frame, picture=beside)

    return Item(_name(file, index), read, find, write)


def _name(file: DepthFile, index: int) -> Path:
    """The file's path; of a stack's frame with its number, as NumPy counts."""
    return file.path.with_name(f"{file.path.name}[{index}]") if file.is_stack else file.path


def _of_frame(on_crop: OnCrop | None, file: DepthFile, index: int) -> OnCrop | None:
    """``on_crop``, told of another path for each frame of a stack."""
    if on_crop is None or not file.is_stack:
        return on_crop
    return lambda path, *rest: on_crop(path.with_stem(f"{path.stem}_{index:06d}"), *rest)


def _normalized(
    target: Target,
    file: DepthFile,
    index: int,
    enhance: Enhance,
    done: dict[int, npt.NDArray[np.uint16]],
    on_crop: OnCrop | None,
) -> FileReport:
    """One image in the kit's own convention, where the whole image is the face."""
    report = FileReport(_name(file, index))
    try:
        if file.stored.dtype.kind == "f":
            raise KitError(f"found {file.stored.dtype}, expected uint16 in the kit's convention (hole 65535)")
        depth: DepthImage = file.frame(index)
        result = enhance_normalized(depth, enhance)
        hint = None
        if (depth == 0).mean() > 0.02 and not (depth == HOLE).any():
            hint = "many zeros and no 65535: if 0 is a hole here, this is a camera image (leave out --normalized)"
        done[index] = result
        shown = _of_frame(on_crop, file, index)
        if shown is not None:
            shown(target.target, depth, result, DepthRange(0.0, CAMERA_SPAN_MM))
    except DiskFullError:
        raise
    except KitError as error:
        return replace(report, error=_naming(report.input, error))
    except OSError as error:
        return replace(report, error=_passed_over(error, target.target))
    report = replace(report, output=target.target, hint=hint, box=(0, 0, SIZE, SIZE))
    return _counted(report, depth, result, None, int(HOLE))


def _check_target(target: Target, settings: EnhanceSettings) -> None:
    if not settings.overwrite and os.path.lexists(target.target):
        raise KitError(
            f"{target.source}: found an earlier output {target.target}, expected none (--overwrite replaces it)"
        )


def _described(target: Target, settings: EnhanceSettings) -> tuple[float, Path | None, str | None]:
    """The file's unit, the picture to find its face in, and in words what of both only ``recording.json`` said."""
    picture = None if settings.image_suffix is None else aligned_picture(target.source, settings.image_suffix)
    metadata, path = nearest_metadata(target.source.parent, target.root)
    if path is None:
        return settings.unit_mm or 1.0, picture, None
    assumed = []
    if settings.unit_mm is None:
        assumed.append(f"steps of {metadata.unit_mm:g} mm ({path.name})")
    if settings.box is None and picture is None:
        picture = aligned_beside(target.source)
        if picture is not None:
            assumed.append(f"face found in *{picture.stem[picture.stem.rindex('_') :]}{picture.suffix}")
    return settings.unit_mm or metadata.unit_mm, picture, "; ".join(assumed) or None


def _picture_beside(source: Path, frame: RecordedFrame, path: Path, index: int | None) -> npt.NDArray[np.generic]:
    if not path.exists():
        raise KitError(f"{source}: found no aligned picture {path.name} beside it, expected one (--image-suffix)")
    picture = read_picture(path, index)
    if picture.shape[:2] != frame.depth.shape:
        found, expected = ("x".join(map(str, size[1::-1])) for size in (picture.shape, frame.depth.shape))
        raise KitError(
            f"{path}: found {found} pixels, expected {expected} as in {source.name}: pictures must be aligned"
        )
    return picture


# --- whole people in recordings (the second paper) -------------------------------------------------------------------


def denoise_files(
    recording: str | Path,
    output: str | Path,
    denoiser: FrameDenoiser,
    *,
    overwrite: bool = False,
    on_report: Callable[[FileReport], None] | None = None,
) -> list[FileReport]:
    """Denoise the person in every frame of a recording, in the order of time, into a folder; a report per frame.

    Each depth file needs its aligned colour picture beside it (``_color``). The person is found by depth thresholding
    (:func:`person_by_depth`); what is not the person stays as it was measured. Raises :class:`KitError` as
    :func:`enhance_files` does for what concerns the whole run.
    """
    settings = EnhanceSettings(Path(output), overwrite=overwrite)
    root = Path(recording)
    described = nearest_metadata(root, root)[0].frames or {}

    def moment(target: Target) -> tuple[float, int]:
        known = described.get(target.source.stem.removesuffix("_depth"))
        stamp = None if known is None else known.timestamp_ms
        return (float("inf") if stamp is None else stamp), order[target.source]

    targets = plan([root], settings)
    order = {target.source: i for i, target in enumerate(targets)}
    denoiser.forget()
    reports = []
    with _held(settings.output):
        for target in sorted(targets, key=moment):
            report = _reported(target.source, partial(_denoised, target, settings, denoiser))
            if not report.ok:
                denoiser.forget()
            reports.append(report)
            if on_report:
                on_report(report)
        write_summary(settings.output, reports, overwrite=overwrite)
    return reports


def _denoised(target: Target, settings: EnhanceSettings, denoiser: FrameDenoiser, report: FileReport) -> FileReport:
    _check_target(target, settings)
    unit_mm, _, assumed = _described(target, settings)
    path = aligned_beside(target.source)
    picture = None if path is None else read_picture(path)
    if picture is None or picture.ndim != 3:
        raise KitError("found no aligned colour picture beside it, expected one (_color)")
    frame = RecordedFrame(target.source.name, read_frame(target.source), unit_mm)
    depth_mm = frame.millimetres()
    if picture.shape[:2] != depth_mm.shape:
        raise KitError(f"found a picture of {picture.shape[:2]} pixels, expected {depth_mm.shape} as in the depth file")
    person = person_by_depth(depth_mm)
    made = denoiser(depth_mm, np.asarray(picture[..., :3], np.uint8), person)
    steps = np.clip(np.rint(np.nan_to_num(made) / unit_mm), 0, 65535).astype(np.uint16)
    result = np.where(np.isfinite(made), steps, frame.depth)
    write_frame(target.target, result, overwrite=settings.overwrite)
    report = replace(report, output=target.target, assumed=assumed)
    return _counted(report, frame.depth, result, person, 0)


# --- files of the RealSense SDK, and KinectFaceDB -------------------------------------------------------------------


def _is_bag(path: Path) -> bool:
    return path.suffix.lower() in BAG_SUFFIXES and not path.is_dir()


def _check_options(path: Path, settings: EnhanceSettings) -> None:
    if settings.normalized or settings.image_suffix is not None or settings.unit_mm is not None:
        raise KitError(f"{path}: found --normalized, --image-suffix or --unit-mm, expected none: the recording says it")


def _set_or_why_not(
    path: Path, settings: EnhanceSettings, enhance: Enhance, on_crop: OnCrop | None
) -> Iterator[FileReport]:
    """The reports of a set; one that cannot be opened does not keep the others from being enhanced."""
    try:
        yield from _data_set(path, settings, enhance, on_crop)
    except DiskFullError:
        raise
    except KitError as error:
        yield FileReport(path, error=_naming(path, error))


def _data_set(path: Path, settings: EnhanceSettings, enhance: Enhance, on_crop: OnCrop | None) -> Iterator[FileReport]:
    """Enhance all frames of a set into ``settings.output``; a report per frame, and one per damaged file.

    ``a.bag`` goes to the folder ``a``, KinectFaceDB to a folder of its own name, colour and marks with it. Raises
    :class:`KitError` for a file that cannot be opened, and for outputs that are already there.
    """
    recordings: BagFile | KinectFaceDB
    with ExitStack() as stack:
        if _is_bag(path):
            recordings, find = BagFile(path), _find_tracked(FaceTracker())
            writer = FolderWriter(settings.output / path.stem, overwrite=settings.overwrite)
            write: Callable[[RecordedFrame], Path] = stack.enter_context(writer).write
        else:
            recordings = KinectFaceDB(path)
            find, write = _find_in_session(recordings), _kinectfacedb_writer(recordings.simulated, settings)
        recent: Recent = _nothing_before(settings) if isinstance(recordings, BagFile) else deque(maxlen=0)
        for frame in recordings:
            item = Item(
                path / frame.name,
                read=lambda frame=frame: frame,  # type: ignore[misc]
                find=find if settings.box is None else lambda _: settings.box,
                write=write,
            )
            yield _enhanced(item, enhance, on_crop, recent)
    for line in recordings.damaged:
        yield FileReport(path, error=line)


def _find_tracked(tracker: FaceTracker) -> Find:
    """Finds the face that is followed from frame to frame; frames without a picture are the face as a whole."""

    def find(frame: RecordedFrame) -> Face | None:
        if frame.picture is None:
            return None
        face = tracker(frame.picture)
        if face is None:
            raise KitError("found no face in its picture, expected one (--box says where it is)")
        return face

    return find


def _find_in_session(recordings: KinectFaceDB) -> Find:
    """Finds faces in their own picture; profiles and hidden faces where the same session's Neutral has its face."""

    @cache
    def neutral(person: str, session: str) -> Face | None:
        try:
            return find_face(recordings.read(person, session, "Neutral"))
        except KitError:  # named where the frame itself is read
            return None

    def find(frame: RecordedFrame) -> Face | Box:
        if not frame.variant.endswith("Profile"):
            try:
                return find_face(frame)
            except KitError:
                pass
        face = None if frame.variant == "Neutral" else neutral(frame.person, frame.session)
        if face is None:
            raise KitError("found no face in its picture nor in Neutral, expected one (--box says where it is)")
        return face.box  # the head is where it was, the landmarks are not

    return find


def _kinectfacedb_writer(simulated: bool, settings: EnhanceSettings) -> Callable[[RecordedFrame], Path]:
    root = settings.output / FOLDER
    if simulated and (settings.overwrite or not (root / SIMULATED).exists()):
        note = f"Simulated, then enhanced by {settings.enhancer}."
        mark_simulated(root, {"note": note}, overwrite=settings.overwrite)

    def write(frame: RecordedFrame) -> Path:
        write_variant(root, frame, overwrite=settings.overwrite)
        return KinectFaceDB(root, people=[frame.person]).path(frame.person, frame.session, frame.variant)

    return write
