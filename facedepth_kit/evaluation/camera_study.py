"""What the notebooks on cameras share: prepared images and measures of both cameras, made once for each profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facedepth_kit import enhancers
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import weights_dir
from facedepth_kit.depth import HOLE, DepthImage, DepthRange, Mask
from facedepth_kit.enhancers.ddrnet import checkpoint_state
from facedepth_kit.evaluation.camera_measures import FaceStore, Measures, Prepare, keep_faces, measure_faces
from facedepth_kit.evaluation.camera_tables import INSTRUMENTS
from facedepth_kit.evaluation.prepared_faces import (
    NEUTRAL,
    PROFILES,
    FaceImage,
    face_mask,
    prepare_faces,
    prepare_kinectfacedb,
)
from facedepth_kit.evaluation.published import KINECTFACEDB, REALSENSE

if TYPE_CHECKING:
    from facedepth_kit.cameras.recorded.sources import Recordings
    from facedepth_kit.pipeline.workspace import Workspace

CAMERAS = (KINECTFACEDB, REALSENSE)
CAMERA_NAMES = {KINECTFACEDB: "KinectFaceDB (Kinect v1)", REALSENSE: "RealSense D435"}
PREPARE: dict[str, Prepare] = {KINECTFACEDB: prepare_kinectfacedb, REALSENSE: prepare_faces}


def camera_recordings(work: Workspace, camera: str) -> Recordings:
    """The recordings of a camera: the user's own where there are any, or simulated ones of the profile's size."""
    from facedepth_kit.cameras import data_sets as datasets

    if camera not in CAMERAS:
        raise KitError(f"camera: found {camera!r}, expected one of {', '.join(CAMERAS)}")
    return datasets.kinectfacedb(work) if camera == KINECTFACEDB else datasets.realsense(work)


def camera_faces(work: Workspace, camera: str, *, progress: bool = False) -> FaceStore:
    """The prepared images of a camera, kept between notebooks and runs."""
    recordings = camera_recordings(work, camera)
    modules = ["facedepth_kit.evaluation.camera_measures", "facedepth_kit.evaluation.prepared_faces"]
    folder = work.cache_folder(f"faces-{camera}", _fingerprint(recordings), modules)
    return keep_faces(folder, recordings, PREPARE[camera], progress=progress)


def camera_measures(
    work: Workspace, camera: str, names: Sequence[str] | None = None, *, progress: bool = False
) -> list[Measures]:
    """Every measure of the enhancers that can run here (or of ``names``) on a camera's images; resumed after a kill."""
    store = camera_faces(work, camera, progress=progress)
    cards = sorted(weights_dir().glob("*.json"))
    key = f"{store.folder.name} {[hashlib.sha256(card.read_bytes()).hexdigest() for card in cards]}"
    key += checkpoint_state()  # DDRNet's own weights, where the user has brought them
    modules = ["facedepth_kit.evaluation.camera_measures", "facedepth_kit.enhancers"]
    folder = work.cache_folder(f"measures-{camera}", key, modules)
    chosen = {name: enhancers.get(name).enhance for name in names or enhancers.available()}
    return measure_faces(camera, store, chosen, folder / "measures.csv", progress=progress)


def counts_by_reason(store: FaceStore) -> dict[str, int]:
    """How many images could not be evaluated, by reason; ``damaged or missing files`` among them."""
    counts: dict[str, int] = {}
    for entry in store.left_out:
        reason = entry.reason.split(":")[0]
        counts[reason] = counts.get(reason, 0) + 1
    return counts | ({"damaged or missing files": len(store.damaged)} if store.damaged else {})


def _fingerprint(recordings: Recordings) -> str:
    """What a data set's images depend on: the names, sizes and times of its files."""
    states = []
    for root in _roots(recordings):
        files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        for path in files:
            state = path.stat()
            states.append((path.relative_to(root).as_posix(), state.st_size, state.st_mtime_ns))
    return hashlib.sha256(repr((states, len(recordings))).encode()).hexdigest()


def _roots(recordings: Any) -> list[Path]:
    """The files and folders of a data set; one made of several lists them as ``members``."""
    members = getattr(recordings, "members", None)
    if members is not None:
        return [root for member in members for root in _roots(member)]
    root = getattr(recordings, "root", None) or getattr(recordings, "path", None)
    if not isinstance(root, Path):
        raise KitError(f"{type(recordings).__name__}: found no folder, expected recordings on disk")
    return [root]


def origin(store: FaceStore, camera: str) -> str:
    """Where a camera's images come from, as captions say it."""
    name = CAMERA_NAMES[camera]
    return f"simulated {name}, faces that belong to nobody" if store.simulated else name


def origins(stores: Mapping[str, FaceStore]) -> str:
    """The same of several cameras, as a sentence."""
    text = "; ".join(f"{origin(store, camera)}: {len(store)} images" for camera, store in stores.items())
    return f"{text[0].upper()}{text[1:]}."


def real_cameras(stores: Mapping[str, FaceStore]) -> list[str]:
    """The cameras whose images are recordings, not simulated."""
    return [camera for camera, store in stores.items() if not store.simulated]


def notes() -> dict[str, str]:
    """Remarks on rows: enhancers that stand in for published weights."""
    return {name: note for name in enhancers.names() if (note := getattr(enhancers.get(name), "note", ""))}


@dataclass(frozen=True, eq=False)
class Sample:
    """An image to be shown or tried on: ``mask`` is the landmarks' hull, ``face`` reaches over the forehead, too."""

    name: str
    depth: DepthImage
    depth_range: DepthRange
    mask: Mask
    face: Mask
    picture: npt.NDArray[np.uint8]
    step: float


def stand_ins() -> str:
    """A sentence for captions on the rows that stand in for published weights; empty when there are none."""
    return "".join(f" {name}: {note}." for name, note in notes().items())


def frontal(store: FaceStore, count: int) -> list[Sample]:
    """Up to ``count`` bona fide images with a mask, evenly spread over a store."""
    hidden = (*PROFILES, *INSTRUMENTS)
    entries = [index for index, entry in enumerate(store.entries) if entry["variant"] not in hidden]
    return [_sample(store[index]) for index in entries[:: max(len(entries) // max(count, 1), 1)][:count]]


def sample(
    store: FaceStore, person: str, variant: str = NEUTRAL, session: str = "s1", *, holes: bool = False
) -> Sample:
    """The image that the paper shows, or the same variant of another person where a store has fewer.

    ``holes`` asks for the one with most holes in the face then (the paper's wears glasses, say). Stores without such
    variants (RealSense) give a bona fide image. Raises :class:`KitError` when there is none.
    """
    entries = list(enumerate(store.entries))
    matching = [index for index, entry in entries if (entry["variant"], entry["session"]) == (variant, session)]
    matching = matching or [index for index, entry in entries if entry["variant"] not in INSTRUMENTS]
    if not matching:
        raise KitError(f"{store.folder}: found no image of a face, expected some")
    exact = [index for index in matching if store.entries[index]["person"] == person]
    if exact or not holes:
        rank, rounds = (int(person) - 1) % len(matching), (int(person) - 1) // len(matching)
        return _sample(store[(exact or [matching[(rank + rounds) % len(matching)]])[0]])
    shown = [_sample(store[index]) for index in matching]
    return max(shown, key=lambda image: float((image.depth[image.mask] == HOLE).mean()))


def named(store: FaceStore, name: str) -> Sample:
    """One image by its name. Raises :class:`KitError` when there is none of that name, or it cannot be shown."""
    image = store.find(name=name)
    if image is None:
        raise KitError(f"{store.folder}: found no image {name}, expected one of its {len(store)}")
    return _sample(image)


def _sample(image: FaceImage) -> Sample:
    if image.mask is None or image.picture is None or image.outline is None:
        raise KitError(f"{image.name}: found no mask or picture, expected a frontal face with a picture")
    face = face_mask(image.outline)
    return Sample(image.name, image.depth, image.depth_range, image.mask, face, image.picture, image.step)


def outputs(depth: DepthImage, names: Iterable[str]) -> dict[str, DepthImage]:
    """What the enhancers of ``names`` that can run here make of a depth image or a stack."""
    able = set(enhancers.available())
    return {name: enhancers.get(name).enhance(depth) for name in names if name in able}


@dataclass(frozen=True, eq=False)
class LandmarkSample(Sample):
    """A sample with Dlib's 68 ``landmarks`` and the data set's own ``marks``, pixels (n, 2)."""

    landmarks: npt.NDArray[np.float64]
    marks: npt.NDArray[np.float64]
    label: str


def landmark_sample(store: FaceStore, name: str) -> LandmarkSample:
    """One image by its name, with landmarks and marks. Raises :class:`KitError` when it has none."""
    image = store.find(name=name)
    if image is None or image.landmarks is None or image.marks is None:
        raise KitError(f"{store.folder}: found no landmarks in {name}, expected an image with both kinds")
    return LandmarkSample(
        **vars(_sample(image)), landmarks=image.landmarks, marks=image.marks, label=f"{image.person}, {image.variant}"
    )


def landmark_examples(
    store: FaceStore, measures: Iterable[Measures], count: int, variant: str | None = None
) -> list[LandmarkSample]:
    """The images with most landmarks in holes, marks before Dlib's, one for each person.

    ``variant`` chooses one. Raises :class:`KitError` when no image has mask, marks and landmarks.
    """
    plain = [row for row in measures if row.enhancer == "None" and row.mark_holes >= 0 and row.landmark_holes >= 0]
    shown = [row for row in plain if row.holes >= 0 and row.variant == (variant or row.variant)]
    found: dict[str, LandmarkSample] = {}
    for row in sorted(shown, key=lambda row: (-row.mark_holes, -row.landmark_holes, row.name)):
        if row.person not in found and len(found) < count:
            found[row.person] = landmark_sample(store, row.name)
    if not found:
        raise KitError(f"{store.folder}: found no image with marks and landmarks, expected some")
    return list(found.values())
