"""Images kept on disk and the measures of every enhancer on them: resumed, not repeated, and right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, DepthRange
from facedepth_kit.evaluation.camera_measures import (
    FaceStore,
    keep_faces,
    measure_faces,
    measure_image,
    read_measures,
    write_measures,
)
from facedepth_kit.evaluation.prepared_faces import LeftOut


class Scene:
    """Three frames as a data set."""

    simulated = True
    damaged: ClassVar[list[str]] = ["b.txt: found an empty file"]

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[RecordedFrame]:
        for index in range(3):
            yield RecordedFrame(f"frame{index}", np.full((256, 256), 500 + index, np.uint16), simulated=True)


def prepared(recordings: Iterable[RecordedFrame], left_out: list[LeftOut]) -> Iterator[FaceCrop]:
    """A face image of each frame but the second, without any search for a face."""
    for recording in recordings:
        if recording.name == "frame1":
            left_out.append(LeftOut(recording.name, "", "", "", "no face"))
            continue
        yield face(recording.name)


def face(name: str) -> FaceCrop:
    """A ramp with two holes, a mask of 100 pixels and landmarks of which one lies in a hole."""
    depth = np.broadcast_to(np.arange(256, dtype=np.uint16) * 100, (256, 256)).copy()
    depth[10, 10:12] = HOLE
    mask = np.zeros((256, 256), np.bool_)
    mask[8:18, 8:18] = True
    landmarks = np.full((68, 2), 100.0)
    landmarks[0] = 10, 10
    marks = np.array([[11.0, 10.0], [50.0, 50.0], [np.nan, np.nan]])
    return FaceCrop(
        name,
        depth,
        DepthRange(500.0, 250.0),
        mask=mask,
        landmarks=landmarks,
        marks=marks,
        variant="Neutral",
        simulated=True,
    )


def fill(depth: DepthImage) -> DepthImage:
    return np.where(depth == HOLE, np.uint16(0), depth)


def test_measures_of_one_image_by_hand() -> None:
    image = face("a")
    before = measure_image("kinectfacedb", image, "None", image.depth)
    assert before.holes == 2 / 100
    assert before.noise == pytest.approx(0.0, abs=0.002)  # a ramp has none; next to holes its neighbours are lopsided
    assert before.falsification == 0
    assert before.mark_holes == 1 / 2  # of the two that are known
    assert before.landmark_holes == 1 / 68
    assert before.pad_error == 1 / 68
    after = measure_image("kinectfacedb", image, "fill", fill(image.depth))
    assert (after.holes, after.falsification, after.mark_holes, after.landmark_holes) == (0, 0, 0, 0)
    assert after.roughness < before.roughness
    # Depth 0 at the first landmark: nearer than the nose tip (and than the one before it on the jaw).
    assert after.pad_error == 1 / 68


def test_what_an_image_lacks_is_nan() -> None:
    bare = measure_image("x", FaceCrop("a", face("a").depth, DepthRange(0, 250)), "None", face("a").depth)
    values = (bare.roughness, bare.holes, bare.falsification, bare.mark_holes, bare.landmark_holes, bare.pad_error)
    assert np.isnan([*values, bare.nose_mm]).all()


def test_kept_images_come_back_as_they_were(tmp_path: Path) -> None:
    store = keep_faces(tmp_path / "kept", Scene(), prepared)
    assert len(store) == 2
    assert store.simulated
    assert store.damaged == Scene.damaged
    assert [(entry.name, entry.reason) for entry in store.left_out] == [("frame1", "no face")]
    again, expected = FaceStore(tmp_path / "kept")[1], face("frame2")
    for name in ("depth", "mask", "landmarks", "marks"):
        np.testing.assert_array_equal(getattr(again, name), getattr(expected, name))
    assert again.picture is None
    assert (again.name, again.variant, again.depth_range) == ("frame2", "Neutral", DepthRange(500.0, 250.0))
    found = store.find(variant="Neutral", name="frame2")
    assert found is not None
    assert found.name == "frame2"
    assert store.find(variant="Smile") is None


def test_a_finished_store_is_not_made_again(tmp_path: Path) -> None:
    keep_faces(tmp_path, Scene(), prepared)

    def fail(recordings: object, left_out: object) -> Iterator[FaceCrop]:
        raise AssertionError("prepared twice")

    assert len(keep_faces(tmp_path, Scene(), fail)) == 2
    (tmp_path / "00000.npz").write_bytes(b"")
    with pytest.raises(KitError, match=r"00000.npz: found a damaged file"):
        FaceStore(tmp_path)[0]
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(KitError, match="no prepared images"):
        FaceStore(tmp_path)


def test_every_image_and_enhancer_has_a_line(tmp_path: Path) -> None:
    images = [face(name) for name in "abc"]
    path = tmp_path / "measures.csv"
    rows = measure_faces("kinectfacedb", images, {"None": np.copy, "fill": fill}, path, batch_size=2)
    assert [(row.name, row.enhancer) for row in rows] == [(name, e) for name in "abc" for e in ("None", "fill")]
    assert [row.holes for row in rows] == [0.02, 0.0] * 3
    assert {(row.name, row.enhancer) for row in read_measures(path)} == {(row.name, row.enhancer) for row in rows}
    write_measures(tmp_path / "copy.csv", rows)
    copied = read_measures(tmp_path / "copy.csv")
    assert [row.roughness for row in copied] == pytest.approx([row.roughness for row in rows], rel=1e-8)


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    images = [face(name) for name in "abcd"]
    path = tmp_path / "measures.csv"
    calls: list[int] = []

    def counting(depth: DepthImage) -> DepthImage:
        calls.append(len(depth))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return depth.copy()

    with pytest.raises(KeyboardInterrupt):
        measure_faces("x", images, {"None": counting}, path, batch_size=2)
    # A kill in the middle of writing leaves half a line.
    path.write_text(path.read_text() + "x,c,,,Neutral,None,0.1", encoding="utf-8")
    rows = measure_faces("x", images, {"None": counting}, path, batch_size=2)
    assert calls == [2, 2, 2]
    assert [row.name for row in rows] == list("abcd")
    assert len(read_measures(path)) == 4
    measure_faces("x", images, {"None": counting, "fill": fill}, path, batch_size=4)
    assert calls == [2, 2, 2]  # only the new enhancer ran
    assert len(read_measures(path)) == 8


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="output shape"):
        measure_faces("x", [face("a")], {"bad": lambda depth: depth[:, :10]}, tmp_path / "m.csv")
    (tmp_path / "other.csv").write_text("pair,None\n0,1\n")
    with pytest.raises(KitError, match="measures per image"):
        read_measures(tmp_path / "other.csv")
