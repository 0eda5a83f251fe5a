"""``facedepth enhance`` on recordings whose frames are no depth images of their own: RealSense files and KinectFaceDB.

A ``.bag`` or ``.db3`` becomes a folder of recordings, KinectFaceDB another KinectFaceDB; whatever reads the one reads
the other. Both say unit and pictures themselves, so that only ``--box`` is left to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.face_crop import Box
from facedepth_kit.cameras.recorded.folder import FolderWriter
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
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import DepthImage
from facedepth_kit.enhancers.on_files import EnhanceSettings, FileReport, enhance_recorded, passed_over

Enhance = Callable[[DepthImage], DepthImage]
Outline = npt.NDArray[np.float64]
Write = Callable[[RecordedFrame], Path]
Find = Callable[[RecordedFrame], tuple[Box | None, Outline | None]]


def is_set(path: Path) -> bool:
    """Whether a path is a file of the RealSense SDK or a KinectFaceDB folder."""
    if path.is_dir():
        return is_kinectfacedb(path)
    return path.suffix.lower() in BAG_SUFFIXES


def enhance_set(path: Path, settings: EnhanceSettings, enhance: Enhance) -> Iterator[FileReport]:
    """Enhance all frames into ``settings.output``; a report per frame, and one per damaged file.

    ``a.bag`` goes to the folder ``a``, KinectFaceDB to a folder of its own name, colour and marks with it. Faces are
    found by Dlib in the frame's picture; KinectFaceDB's profiles and occluded faces are taken where the same session's
    Neutral has its face. Raises :class:`KitError` for options that make no sense here, for a file that cannot be
    opened, and for outputs that are already there.
    """
    if settings.normalized or settings.image_suffix is not None or settings.unit_mm is not None:
        raise KitError(f"{path}: found --normalized, --image-suffix or --unit-mm, expected none: the recording says it")
    return _bag(path, settings, enhance) if not path.is_dir() else _kinectfacedb(path, settings, enhance)


def _bag(path: Path, settings: EnhanceSettings, enhance: Enhance) -> Iterator[FileReport]:
    from facedepth_kit.faces.tracking import FaceTracker

    tracker = FaceTracker()
    recordings = BagFile(path)

    def find(recording: RecordedFrame) -> tuple[Box | None, Outline | None]:
        if settings.box is not None or recording.picture is None:
            return settings.box, None
        face = tracker(recording.picture)
        if face is None:
            raise KitError("found no face in its picture, expected one (--box says where it is)")
        return face.box, face.outline

    with FolderWriter(settings.output / path.stem, overwrite=settings.overwrite) as writer:
        for recording in recordings:
            yield _one(path / recording.name, recording, enhance, find, writer.write)
    for line in recordings.damaged:
        yield FileReport(path, error=line)


def _kinectfacedb(path: Path, settings: EnhanceSettings, enhance: Enhance) -> Iterator[FileReport]:
    recordings = KinectFaceDB(path)
    root = settings.output / FOLDER
    if recordings.simulated and (settings.overwrite or not (root / SIMULATED).exists()):
        mark_simulated(
            root, {"note": f"Simulated, then enhanced by {settings.enhancer}."}, overwrite=settings.overwrite
        )
    neutral: dict[tuple[str, str], tuple[Box, Outline] | None] = {}

    def find(recording: RecordedFrame) -> tuple[Box | None, Outline | None]:
        if settings.box is not None:
            return settings.box, None
        session = (recording.person, recording.session)
        found = None if recording.variant.endswith("Profile") else _face(recording)
        if recording.variant == "Neutral":
            neutral[session] = found
        elif found is None:
            if session not in neutral:
                neutral[session] = _neutral_face(recordings, *session)
            # The head is where it was, the landmarks are not.
            found = neutral[session]
            if found is not None:
                return found[0], None
        if found is None:
            raise KitError("found no face in its picture nor in Neutral, expected one (--box says where it is)")
        return found

    def write(recording: RecordedFrame) -> Path:
        write_variant(root, recording, overwrite=settings.overwrite)
        return KinectFaceDB(root, people=[recording.person]).path(
            recording.person, recording.session, recording.variant
        )

    for recording in recordings:
        yield _one(path / recording.name, recording, enhance, find, write)
    for line in recordings.damaged:
        yield FileReport(path, error=line)


def _neutral_face(recordings: KinectFaceDB, person: str, session: str) -> tuple[Box, Outline] | None:
    try:
        return _face(recordings.read(person, session, "Neutral"))
    except KitError:  # named where the frame itself is read
        return None


def _face(recording: RecordedFrame) -> tuple[Box, Outline] | None:
    from facedepth_kit.faces.detection import detect_face

    face = None if recording.picture is None else detect_face(recording.picture)
    return None if face is None else (face.box, face.outline)


def _one(source: Path, recording: RecordedFrame, enhance: Enhance, find: Find, write: Write) -> FileReport:
    """Enhance and write one frame. Raises ``OSError`` for what would keep all others from being written, too."""
    report = FileReport(source)
    try:
        if not recording.depth.any():
            raise KitError("found holes only (every pixel is 0), expected depth")
        box, outline = find(recording)
        depth, report = enhance_recorded(source, recording.depth, enhance, box, outline, recording.unit_mm)
        return replace(report, output=write(replace(recording, depth=depth)))
    except KitError as error:
        return replace(report, error=f"{source}: {error}")
    except OSError as error:
        return replace(report, error=passed_over(error, source))
