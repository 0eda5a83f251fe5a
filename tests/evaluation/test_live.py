"""The live application: decisions on rendered faces and prints, verdicts by hand, empty frames, commands."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.simulated.data_sets import Attack, RealSenseSettings, realsense_recording
from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import SHIPPED_WEIGHTS
from facedepth_kit.common.realsense_sdk import realsense_sdk
from facedepth_kit.depth import DepthImage, to_millimetres
from facedepth_kit.evaluation.live import (
    LiveFrame,
    LiveSettings,
    TemporalDecision,
    TemporalSettings,
    ahead,
    side_by_side,
    watch,
)
from facedepth_kit.faces.detection import Face
from facedepth_kit.panels.live_view import draw, open_window

OLD_BAG = Path(__file__).parents[1] / "cameras" / "recorded" / "sdk_2_56.bag"
SMALL = RealSenseSettings(width_px=424, height_px=240, focal_px=306.0)


@pytest.fixture(scope="module")
def rendered() -> dict[str, RecordedFrame]:
    """One simulated D435 frame each of a person, a flat and a bent print, 424x240."""
    kinds: tuple[Attack, ...] = ("bona_fide", "flat_print", "bent_print")
    return {kind: next(realsense_recording(11, 4, kind, 1, SMALL)) for kind in kinds}


def as_it_is(depth: DepthImage) -> DepthImage:
    return depth.copy()


def moving(frame: RecordedFrame, count: int) -> list[RecordedFrame]:
    """The frame again and again, shifted by a few pixels each time."""
    assert frame.picture is not None
    return [
        replace(
            frame,
            name=f"{index:03d}",
            depth=np.roll(frame.depth, 2 * index, axis=1),
            picture=np.roll(frame.picture, 2 * index, axis=1),
        )
        for index in range(count)
    ]


# --- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "verdict"), [("bona_fide", "bona fide"), ("flat_print", "attack"), ("bent_print", "attack")]
)
def test_faces_pass_and_prints_do_not(rendered: dict[str, RecordedFrame], kind: str, verdict: str) -> None:
    frames = list(watch(moving(rendered[kind], 10), enhance=as_it_is))
    assert [frame.number for frame in frames] == list(range(10))
    assert [frame.frame.name for frame in frames] == [f"{index:03d}" for index in range(10)]
    assert [frame.verdict for frame in frames] == ["observing"] * 7 + [verdict] * 3
    for frame in frames:
        assert frame.accepted == (verdict == "bona fide")
        assert frame.relief is not None
        if frame.accepted:
            assert frame.relief.nose_mm > 5
            assert frame.reason == ""
        else:
            assert frame.relief.nose_mm < 5
            assert frame.reason.startswith("flat")


def test_the_shipped_enhancer_fills_landmarks_and_keeps_the_decisions(rendered: dict[str, RecordedFrame]) -> None:
    for kind, accepted in (("bona_fide", True), ("flat_print", False)):
        frames = list(watch(moving(rendered[kind], 2)))
        assert [frame.accepted for frame in frames] == [accepted] * 2
        for frame in frames:
            assert frame.pad is not None
            assert not frame.pad.hole.any()
            assert frame.depth is not None
            assert frame.crop is not None
            assert (frame.depth != frame.crop.depth).any()


def test_landmarks_fall_on_the_same_point_of_picture_and_crop(rendered: dict[str, RecordedFrame]) -> None:
    frame = next(watch([rendered["bona_fide"]], enhance=as_it_is))
    assert frame.face is not None
    assert frame.crop is not None
    assert frame.crop.landmarks is not None
    nose = np.rint(frame.crop.landmarks[30]).astype(int)
    x, y = np.rint(frame.face.landmarks[30]).astype(int)
    crop_mm = to_millimetres(frame.crop.depth, frame.crop.depth_range)[nose[1], nose[0]]
    assert crop_mm == pytest.approx(frame.frame.depth[y, x] * frame.frame.unit_mm, abs=4)


def test_large_faces_are_cut_from_every_second_pixel(rendered: dict[str, RecordedFrame]) -> None:
    small = rendered["bona_fide"]
    assert small.picture is not None
    large = replace(
        small,
        depth=np.kron(small.depth, np.ones((6, 6), np.uint16)),
        picture=np.asarray(
            cv2.resize(np.asarray(small.picture, np.uint8), None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC)
        ),
    )
    before, after = (next(watch([recording], enhance=as_it_is)) for recording in (small, large))
    assert after.face is not None
    assert after.face.box[3] - after.face.box[1] > 512
    assert after.accepted
    assert before.relief is not None
    assert after.relief is not None
    assert after.relief.nose_mm == pytest.approx(before.relief.nose_mm, abs=4)


def test_holes_at_the_nose_reject_and_say_so(rendered: dict[str, RecordedFrame]) -> None:
    given = rendered["bona_fide"]
    seen = next(watch([given], enhance=as_it_is)).face
    assert seen is not None
    depth = given.depth.copy()
    x, y = np.rint(seen.landmarks[30]).astype(int)
    depth[y - 12 : y + 13, x - 12 : x + 13] = 0
    frame = next(watch([replace(given, depth=depth)], enhance=as_it_is))
    assert frame.accepted is False
    assert frame.reason == "no depth at the nose or at most landmarks"
    assert frame.row()["nose_mm"] is None
    json.dumps(frame.row(), allow_nan=False)


def test_frames_that_hold_nothing_are_no_error(rendered: dict[str, RecordedFrame]) -> None:
    good = rendered["bona_fide"]
    assert good.picture is not None
    nothing = np.zeros_like(good.depth)
    frames = [
        (replace(good, picture=None), None, "no picture"),
        (replace(good, picture=np.full_like(good.picture, 90)), None, "no face"),
        (replace(good, depth=nothing), False, "no depth in the face"),
        (RecordedFrame("tiny", np.ones((5, 6), np.uint16), picture=np.zeros((5, 6), np.uint8)), None, "no face"),
        (RecordedFrame("infrared", nothing, picture=good.picture[..., 0].astype(np.uint16) * 9), False, "no depth"),
        (replace(good, depth=np.full_like(good.depth, 65535)), False, ""),
        (good, True, ""),
    ]
    for frame, (_, accepted, reason) in zip(watch([f[0] for f in frames], enhance=as_it_is), frames, strict=True):
        assert frame.accepted is accepted
        assert reason in frame.reason
        assert draw(frame).dtype == np.uint8
        json.dumps(frame.row(), allow_nan=False)


def test_an_enhancer_that_cannot_run_is_told_before_the_first_frame() -> None:
    def never() -> Iterator[RecordedFrame]:
        raise AssertionError
        yield

    with pytest.raises(KitError, match="DL-Omega"):
        next(watch(never(), LiveSettings(enhancer="DL-Omega")))


# --- verdicts -------------------------------------------------------------------------------------------------------


def verdicts(decisions: Sequence[bool | None], settings: TemporalSettings | None = None) -> list[str]:
    temporal = TemporalDecision(settings)
    return [temporal.update(decision) for decision in decisions]


def test_eight_frames_make_a_verdict() -> None:
    assert verdicts([True] * 9) == ["observing"] * 7 + ["bona fide"] * 2
    assert verdicts([False] * 9) == ["observing"] * 7 + ["attack"] * 2


def test_between_the_shares_the_verdict_stays() -> None:
    # 6 of 8 accepted is neither 0.8 nor 0.5; the ninth makes 7 of 9 (0.78), the tenth 8 of 10.
    assert verdicts([False, False, *[True] * 8])[7:] == ["observing", "observing", "bona fide"]
    # Of 15, the eighth rejected one leaves 7 accepted (0.47); then 12 of 15 must be accepted again.
    there = verdicts([True] * 15 + [False] * 8 + [True] * 20)
    assert there[14:22] == ["bona fide"] * 8
    assert there[22] == "attack"
    assert there.index("bona fide", 22) - 22 == 12


def test_one_bad_frame_now_and_then_changes_nothing() -> None:
    decisions = [index % 6 != 5 for index in range(60)]
    assert set(verdicts(decisions)[7:]) == {"bona fide"}


def test_a_lost_face_starts_anew() -> None:
    there = verdicts([True] * 10 + [None] * 6 + [True] * 8)
    assert there[9:14] == ["bona fide"] * 5  # four frames without a face are none yet
    assert there[14:16] == ["no face"] * 2
    assert there[16:] == ["observing"] * 7 + ["bona fide"]
    assert verdicts([None, None]) == ["no face"] * 2


def face_at(x: int, width: int = 100) -> Face:
    return Face((x, 50, x + width, 170), np.zeros((68, 2)), 1.0)


def test_another_face_starts_anew() -> None:
    temporal = TemporalDecision()
    for _ in range(10):
        assert temporal.update(True, face_at(100), 600.0) in ("observing", "bona fide")
    assert temporal.update(True, face_at(160), 670.0) == "bona fide"  # moved by 60 px and 70 mm
    assert temporal.update(True, face_at(250), 670.0) == "observing"  # 90 px, 0.9 of its width
    for _ in range(7):
        temporal.update(True, face_at(250), 670.0)
    assert temporal.update(True, face_at(250), None) == "bona fide"  # a frame without depth says nothing of the place
    assert temporal.update(True, face_at(250), 760.0) == "observing"  # 90 mm farther at once


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"least": 20}, {"accept": 0.5, "reject": 0.5}, {"lost_after": 0}):
        with pytest.raises(KitError, match="temporal decision"):
            TemporalSettings(**wrong)


# --- threads --------------------------------------------------------------------------------------------------------


def test_ahead_keeps_order_and_runs_no_farther_than_asked() -> None:
    made = []

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = ahead(source(), 3)
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    time.sleep(0.2)
    assert len(made) <= 5 + 3 + 1
    items.close()
    assert threading.active_count() < 20
    assert list(ahead(range(50), 2)) == list(range(50))


def test_ahead_passes_errors_on_in_their_place_and_closes_its_source() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield 1
            yield 2
            raise KitError("two is enough")
        finally:
            closed.append(True)

    items = ahead(source(), 4)
    assert next(items) == 1
    assert next(items) == 2
    with pytest.raises(KitError, match="enough"):
        next(items)
    assert closed == [True]
    early = ahead(source(), 1)
    next(early)
    early.close()
    assert closed == [True, True]


def test_side_by_side_keeps_the_order() -> None:
    def slow(number: int) -> int:
        time.sleep(0.02 * (number % 3))
        if number == 10:
            raise KitError("ten")
        return number

    assert list(side_by_side(slow, ahead(range(10), 2), 3)) == list(range(10))
    with pytest.raises(KitError, match="ten"):
        list(side_by_side(slow, ahead(range(20), 2), 3))


# --- pictures -------------------------------------------------------------------------------------------------------


def test_the_picture_shows_verdict_and_broken_rules(rendered: dict[str, RecordedFrame]) -> None:
    accepted = list(watch(moving(rendered["bona_fide"], 8), enhance=as_it_is))[-1]
    rejected = list(watch(moving(rendered["flat_print"], 8), enhance=as_it_is))[-1]
    green, red, orange = (120, 220, 130), (255, 105, 97), (255, 165, 0)

    def pixels(frame: LiveFrame, colour: tuple[int, int, int]) -> int:
        return int((draw(frame)[:480] == colour).all(axis=2).sum())

    assert pixels(accepted, green) > 500
    assert pixels(rejected, red) > 300  # the box alone
    assert pixels(rejected, orange) > pixels(accepted, orange)
    height, width = accepted.frame.depth.shape
    assert draw(accepted).shape == (480 + 64, 2 * width + 240, 3)  # 240 rows are shown twice as large
    assert height == 240


def test_without_a_screen_there_is_no_window() -> None:
    assert open_window("test") is None  # tests run with Matplotlib's Agg


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(rendered: dict[str, RecordedFrame], tmp_path: Path) -> Path:
    """Nine frames of a person."""
    with FolderWriter(tmp_path / "frames", simulated=True) as writer:
        for frame in moving(rendered["bona_fide"], 9):
            writer.write(frame)
    return tmp_path / "frames"


def needs_sdk() -> None:
    try:
        realsense_sdk()
    except KitError as reason:
        pytest.skip(str(reason))


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str], list[str]]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err.splitlines()


def test_live_prints_a_line_a_frame(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "live", folder, "--enhancer", "Telea", "--no-pictures")
    assert code == 0
    assert len(out) == 9
    assert all("(simulated)" in line for line in out)
    assert err[0].startswith("observing: fewer than 8 frames")
    assert "observing" in out[0]
    assert "bona fide" in out[8]
    assert err[-1].startswith("9 frames")
    code, out, err = run(capsys, "live", folder, "--enhancer", "Telea", "--no-pictures", "--json", "--frames", "4")
    rows = [json.loads(line) for line in out]
    assert [row["frame"] for row in rows] == [0, 1, 2, 3]
    assert rows[0]["simulated"] is True
    assert rows[3]["nose_mm"] > 5
    assert rows[3]["box"][0] > rows[0]["box"][0]


def test_live_takes_a_network_of_ones_own_and_shows_its_plain_output(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".json", ".safetensors"):
        shutil.copy2(SHIPPED_WEIGHTS / f"DL-Kit-1{suffix}", tmp_path / f"mine{suffix}")
    options = ("--enhancer", "mine", "--weights", tmp_path, "--no-pictures", "--json", "--frames", "1")
    noses = []
    for more in ((), ("--plain",)):
        code, out, _ = run(capsys, "live", folder, *options, *more)
        assert code == 0
        noses.append(json.loads(out[0])["nose_mm"])
    assert noses[0] != noses[1]  # the first is joined to what was measured


def test_live_writes_pictures_and_numbers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments: list[str | Path] = ["live", folder, "--enhancer", "None", "--frames", "3"]
    assert run(capsys, *arguments, "--output", "seen")[0] == 0
    assert len(list(Path("seen").glob("*_live.png"))) >= 3
    assert cv2.imread("seen/000002_live.png") is not None
    assert len(Path("seen/frames.jsonl").read_text().splitlines()) >= 3
    code, _, err = run(capsys, *arguments, "--output", "seen")
    assert code == 2
    assert "--overwrite" in err[-1]
    assert run(capsys, *arguments, "--output", "seen", "--overwrite")[0] == 0
    code, _, err = run(capsys, *arguments)  # no screen here
    assert code == 0
    assert "no screen" in err[0]
    assert len(list(Path("facedepth_live").glob("*_live.png"))) >= 3


def test_live_goes_on_over_damaged_frames(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "003_depth.png").write_bytes(b"damaged")
    (folder / "005_color.png").unlink()
    code, out, err = run(capsys, "live", folder, "--enhancer", "None", "--no-pictures")
    assert code == 2
    assert len(out) == 8
    assert sum("no picture" in line for line in out) == 1
    assert sum("003_depth.png" in line for line in err) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["live", "nowhere"], "nowhere"),
        (["live", "camera"], "camera: found none"),
        (["live", ".", "--no-pictures", "--output", "x"], "--no-pictures"),
        (["live", "camera", "--size", "huge"], "--size: found 'huge'"),
        (["live", ".", "--frames", "0"], "found '0'"),
        (["record", "out"], "camera: found none"),
        (["record", "out", "--from", "absent.bag"], "absent.bag"),
        (["record", "out", "--from", "a.bag", "--bag", "b.bag"], "--bag"),
        (["record", "out", "--seconds", "-1"], "found '-1'"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "camera" in words:
        needs_sdk()
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert (code, out, len(err)) == (2, [], 1)
    assert words in err[0]
    assert list(tmp_path.iterdir()) == []


def test_record_turns_a_file_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    needs_sdk()
    code, out, _ = run(capsys, "record", tmp_path / "out", "--from", OLD_BAG)
    assert (code, out) == (0, [f"{tmp_path / 'out'}: 6 frames"])
    found = RecordingFolder(tmp_path / "out")
    assert len(list(found)) == 6
    assert {read.unit_mm for read in found} == {0.5}
    code, _, err = run(capsys, "record", tmp_path / "out", "--from", OLD_BAG)
    assert code == 2
    assert "--overwrite" in err[0]
    assert run(capsys, "record", tmp_path / "out", "--from", OLD_BAG, "--overwrite", "--frames", "2")[0] == 0
    assert len(RecordingFolder(tmp_path / "out")) == 2
    code, out, _ = run(capsys, "live", OLD_BAG, "--enhancer", "None", "--no-pictures")
    assert code == 0
    assert len(out) == 6


def test_a_full_disk_ends_the_recording_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_sdk()
    written: Callable[..., Path] = FolderWriter.write

    def full(self: FolderWriter, recording: RecordedFrame, **more: object) -> Path:
        if recording.name == "000003":
            raise OSError(28, "No space left on device", str(tmp_path))
        return written(self, recording, **more)

    monkeypatch.setattr(FolderWriter, "write", full)
    code, _, err = run(capsys, "record", tmp_path / "out", "--from", OLD_BAG)
    assert code == 2
    assert len(err) == 1
    assert "No space left" in err[0]
    assert len(list(RecordingFolder(tmp_path / "out"))) >= 3
