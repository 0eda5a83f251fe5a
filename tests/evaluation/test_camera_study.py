"""What the camera notebooks share: the user's own data set is found, prepared once, measured once, and so named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facedepth_kit.cameras.data_sets import CameraData
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import write_variant
from facedepth_kit.common.errors import KitError
from facedepth_kit.evaluation import camera_study
from facedepth_kit.evaluation.camera_measures import FaceStore, Measures
from facedepth_kit.evaluation.published import KINECTFACEDB, REALSENSE

VARIANTS = ("Neutral", "OpenMouth", "LeftProfile", "OcclusionMouth")


@pytest.fixture
def data(simulated_face: RecordedFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CameraData:
    """A KinectFaceDB of two people in the data folder, each variant the same frame."""
    for person in ("0003", "0011"):
        for variant in VARIANTS:
            name = f"{person}_s1_{variant}"
            frame = replace(simulated_face, name=name, person=person, session="s1", variant=variant, simulated=False)
            write_variant(tmp_path / "data" / "EURECOM_Kinect_Face_Dataset", frame)
    monkeypatch.setenv("FACEDEPTH_DATA", str(tmp_path / "data"))
    return CameraData(tmp_path / "cache", seed=1, people=2, frames=6)


def test_the_users_own_data_set_is_measured_once(data: CameraData) -> None:
    store = camera_study.camera_faces(data, KINECTFACEDB)
    assert not store.simulated
    assert camera_study.origin(store, KINECTFACEDB) == "KinectFaceDB (Kinect v1)"
    assert camera_study.real_cameras({KINECTFACEDB: store}) == [KINECTFACEDB]
    assert camera_study.origins({KINECTFACEDB: store}) == "KinectFaceDB (Kinect v1): 8 images."
    first = camera_study.camera_measures(data, KINECTFACEDB, ["None", "Telea"])
    assert len(first) == 8 * 2
    (file,) = data.cache.glob("measures-kinectfacedb-*/measures.csv")
    written = file.stat().st_mtime_ns
    again = camera_study.camera_measures(data, KINECTFACEDB, ["None"])
    assert [row.name for row in again] == [row.name for row in first if row.enhancer == "None"]
    assert file.stat().st_mtime_ns >= written
    assert camera_study.camera_faces(data, KINECTFACEDB).folder == store.folder


def test_samples_are_the_papers_or_somebody_elses(data: CameraData) -> None:
    store = camera_study.camera_faces(data, KINECTFACEDB)
    assert camera_study.sample(store, "0011").name == "0011_s1_Neutral"
    other = camera_study.sample(store, "0025", "OpenMouth")
    assert other.name.endswith("OpenMouth")
    assert camera_study.sample(store, "0025", "OpenMouth", holes=True).name.endswith("OpenMouth")
    assert camera_study.sample(store, "0011", "OpenMouth", holes=True).name == "0011_s1_OpenMouth"
    assert other.mask is not None
    assert (other.mask <= other.shown).all()
    assert other.shown.sum() > other.mask.sum()
    assert {image.name.split("_")[2] for image in camera_study.frontal(store, 50)} == set(VARIANTS) - {"LeftProfile"}
    assert len(camera_study.frontal(store, 2)) == 2
    with pytest.raises(KitError, match="no mask"):
        camera_study.named(store, "0011_s1_LeftProfile")
    with pytest.raises(KitError, match="found no image nobody"):
        camera_study.named(store, "nobody")


def test_landmark_examples_show_the_worst_of_each_person(data: CameraData) -> None:
    store = camera_study.camera_faces(data, KINECTFACEDB)
    measures = camera_study.camera_measures(data, KINECTFACEDB, ["None"])

    def spoiled(row: Measures) -> Measures:
        return replace(row, mark_holes=0.5) if row.name == "0011_s1_OpenMouth" else row

    worst, other = camera_study.landmark_examples(store, [spoiled(row) for row in measures], 3)
    assert worst.name == "0011_s1_OpenMouth"
    assert (worst.person, worst.variant) == ("0011", "OpenMouth")
    assert worst.landmarks is not None
    assert worst.marks is not None
    assert worst.landmarks.shape == (68, 2)
    assert worst.marks.shape == (6, 2)
    assert other.name.startswith("0003")
    (mouth,) = camera_study.landmark_examples(store, measures, 1, "OpenMouth")
    assert mouth.name.endswith("OpenMouth")
    with pytest.raises(KitError, match="no image with marks"):
        camera_study.landmark_examples(store, [], 1)


def test_what_was_left_out_is_counted_by_reason(data: CameraData) -> None:
    store = camera_study.camera_faces(data, KINECTFACEDB)
    assert camera_study.counts_by_reason(store) == {"damaged or missing files": len(store.damaged)}
    assert len(store.damaged) > 0  # the other variants and sessions are not there


def test_outputs_of_those_that_can_run() -> None:
    depth = np.zeros((256, 256), np.uint16)
    found = camera_study.outputs(depth, ["None", "Telea", "No such enhancer"])
    assert list(found) == ["None", "Telea"]


def test_captions_name_stand_ins_and_networks_with_fewer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    from facedepth_kit import enhancers

    for name, note in camera_study.notes().items():
        assert f"{name}: {note}." in camera_study.row_remarks()
    assert "DL-Delta-1" in enhancers.training_remark(["DL-Delta-1", "DL-Kit-1", "Telea"])
    assert enhancers.training_remark(["DL-Kit-1", "Telea"]) == ""
    monkeypatch.setattr(enhancers, "names", lambda: ["None"])
    monkeypatch.setattr(enhancers, "network_present", lambda name: False)
    assert camera_study.row_remarks() == ""


def test_an_unknown_camera_is_refused(data: CameraData) -> None:
    with pytest.raises(KitError, match=f"expected one of {KINECTFACEDB}, {REALSENSE}"):
        camera_study.camera_recordings(data, "kinect v9")


def test_an_empty_store_has_no_sample(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"images": [], "simulated": true, "left_out": [], "damaged": []}')
    with pytest.raises(KitError, match="no image of a face"):
        camera_study.sample(FaceStore(tmp_path), "0001")
