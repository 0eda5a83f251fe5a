"""What the notebooks on cameras share: prepared images and measures of both cameras, made once for each profile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from facedepth_kit import enhancers
from facedepth_kit.cameras import data_sets
from facedepth_kit.cameras.data_sets import CameraData
from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.sources import Recordings
from facedepth_kit.cameras.simulated.data_sets import RealSenseSettings, realsense_recording
from facedepth_kit.common.cache import cache_folder
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.parts import read_description, write_description
from facedepth_kit.depth import HOLE, DepthImage, Mask
from facedepth_kit.evaluation.camera_measures import (
    FaceStore,
    Measures,
    Prepare,
    keep_faces,
    measure_faces,
    read_measures,
    write_measures,
)
from facedepth_kit.evaluation.camera_tables import INSTRUMENTS
from facedepth_kit.evaluation.error import weights_key
from facedepth_kit.evaluation.prepared_faces import NEUTRAL, PROFILES, prepare_faces, prepare_kinectfacedb
from facedepth_kit.evaluation.published import KINECTFACEDB, REALSENSE
from facedepth_kit.faces.detection import detect_face
from facedepth_kit.faces.photos import prnet
from facedepth_kit.faces.photos.reconstruction import covered_by, whole_face

NEAR_AND_FAR_MM = (500.0, 1000.0)
CAMERAS = (KINECTFACEDB, REALSENSE)
CAMERA_NAMES = {KINECTFACEDB: "KinectFaceDB (Kinect v1)", REALSENSE: "RealSense D435"}
PREPARE: dict[str, Prepare] = {KINECTFACEDB: prepare_kinectfacedb, REALSENSE: prepare_faces}


def camera_recordings(data: CameraData, camera: str) -> Recordings:
    """The recordings of a camera: the user's own where there are any, or simulated ones."""
    if camera not in CAMERAS:
        raise KitError(f"camera: found {camera!r}, expected one of {', '.join(CAMERAS)}")
    return data_sets.kinectfacedb(data) if camera == KINECTFACEDB else data_sets.realsense(data)


def camera_faces(data: CameraData, camera: str) -> FaceStore:
    """The prepared images of a camera, kept between notebooks and runs."""
    recordings = camera_recordings(data, camera)
    modules = ["facedepth_kit.evaluation.camera_measures", "facedepth_kit.evaluation.prepared_faces"]
    folder = cache_folder(data.cache, f"faces-{camera}", _fingerprint(recordings), modules)
    return keep_faces(folder, recordings, PREPARE[camera], progress=data.progress)


def camera_measures(data: CameraData, camera: str, names: Sequence[str] | None = None) -> list[Measures]:
    """Every measure of the enhancers that can run here (or of ``names``) on a camera's images.

    Resumed after a kill; an enhancer that is new, or has new weights, costs only itself.
    """
    store = camera_faces(data, camera)
    modules = ["facedepth_kit.evaluation.camera_measures", "facedepth_kit.enhancers"]
    folder = cache_folder(data.cache, f"measures-{camera}", store.folder.name, modules)
    chosen = {name: enhancers.get(name).enhance for name in names or enhancers.available()}
    measures, weights = folder / "measures.csv", folder / "weights.json"
    known = read_description(weights, "measures", dict[str, str]) if weights.exists() else {}
    keys = known | {name: weights_key([name]) for name in chosen}
    if measures.exists():
        kept = [row for row in read_measures(measures) if known.get(row.enhancer) == keys.get(row.enhancer, "")]
        write_measures(measures, kept)
    write_description(weights, keys)
    return measure_faces(camera, store, chosen, measures, progress=data.progress)


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


def row_remarks() -> str:
    """Sentences for captions on rows: stand-ins for published weights, and networks trained with fewer images."""
    trained = enhancers.training_remark()
    return "".join(f" {name}: {note}." for name, note in notes().items()) + (f" {trained}" if trained else "")


def frontal(store: FaceStore, count: int) -> list[FaceCrop]:
    """Up to ``count`` bona fide images with a mask, evenly spread over a store."""
    hidden = (*PROFILES, *INSTRUMENTS)
    entries = [index for index, entry in enumerate(store.entries) if entry["variant"] not in hidden]
    return [_showable(store[index]) for index in entries[:: max(len(entries) // max(count, 1), 1)][:count]]


def sample(
    store: FaceStore, person: str, variant: str = NEUTRAL, session: str = "s1", *, holes: bool = False
) -> FaceCrop:
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
        return _showable(store[(exact or [matching[(rank + rounds) % len(matching)]])[0]])
    shown = [_showable(store[index]) for index in matching]
    return max(shown, key=lambda crop: float((crop.depth[crop.mask] == HOLE).mean()))


def named(store: FaceStore, name: str) -> FaceCrop:
    """One image by its name. Raises :class:`KitError` when there is none of that name, or it cannot be shown."""
    image = store.find(name=name)
    if image is None:
        raise KitError(f"{store.folder}: found no image {name}, expected one of its {len(store)}")
    return _showable(image)


def near_and_far(data: CameraData, store: FaceStore) -> tuple[FaceCrop, FaceCrop]:
    """Figure 2: with the simulated D435 one person at 0.5 and 1 m, of recordings the nearest and the farthest face."""
    if store.simulated:
        frames = [_at_distance(data.seed, distance_mm) for distance_mm in NEAR_AND_FAR_MM]
        near, far = prepare_faces(frames, [])
        return _showable(near), _showable(far)
    bona_fide = [entry for entry in store.entries if entry["variant"] not in INSTRUMENTS]
    ordered = sorted(bona_fide, key=lambda entry: entry["depth_range"]["near_mm"])
    return named(store, ordered[0]["name"]), named(store, ordered[-1]["name"])


def _at_distance(seed: int, distance_mm: float) -> RecordedFrame:
    settings = RealSenseSettings(distance_mm=(distance_mm, distance_mm), spectacles_share=0.0)
    return next(realsense_recording(seed, 1, "bona_fide", 1, settings))


def shown_area(image: FaceCrop) -> Mask:
    """Where figures show a face: PRNet's surface, as the paper did, where its files are here, else Dlib's outline."""
    if image.picture is None or not prnet.files_present():
        return image.shown
    source = _prnet()
    face = detect_face(image.picture) or whole_face(image.picture)
    found = source.faces([source.crop(image.picture, face)])[0]
    return image.shown if found is None else covered_by(found, source.triangles, image.depth.shape)


@cache
def _prnet() -> prnet.PRNet:
    return prnet.PRNet()


def _showable(crop: FaceCrop) -> FaceCrop:
    if crop.mask is None or crop.picture is None or crop.outline is None:
        raise KitError(f"{crop.name}: found no mask or picture, expected a frontal face with a picture")
    return crop


def outputs(depth: DepthImage, names: Iterable[str]) -> dict[str, DepthImage]:
    """What the enhancers of ``names`` that can run here make of a depth image or a stack."""
    able = set(enhancers.available())
    return {name: enhancers.get(name).enhance(depth) for name in names if name in able}


def landmark_crop(store: FaceStore, name: str) -> FaceCrop:
    """One image by its name, with landmarks and marks. Raises :class:`KitError` when it has none."""
    crop = store.find(name=name)
    if crop is None or crop.landmarks is None or crop.marks is None:
        raise KitError(f"{store.folder}: found no landmarks in {name}, expected an image with both kinds")
    return _showable(crop)


def landmark_examples(
    store: FaceStore, measures: Iterable[Measures], count: int, variant: str | None = None
) -> list[FaceCrop]:
    """The images with most landmarks in holes, marks before Dlib's, one for each person.

    ``variant`` chooses one. Raises :class:`KitError` when no image has mask, marks and landmarks.
    """
    plain = [row for row in measures if row.enhancer == "None" and row.mark_holes >= 0 and row.landmark_holes >= 0]
    shown = [row for row in plain if row.holes >= 0 and row.variant == (variant or row.variant)]
    found: dict[str, FaceCrop] = {}
    for row in sorted(shown, key=lambda row: (-row.mark_holes, -row.landmark_holes, row.name)):
        if row.person not in found and len(found) < count:
            found[row.person] = landmark_crop(store, row.name)
    if not found:
        raise KitError(f"{store.folder}: found no image with marks and landmarks, expected some")
    return list(found.values())
