"""`facedepth enhance` on recordings that describe themselves: folders, files of the RealSense SDK, KinectFaceDB."""

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.cameras.recorded.depth_files import read_frame, write_frame
from facedepth_kit.cameras.recorded.folder import FolderWriter, RecordingFolder
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import KinectFaceDB, mark_simulated, write_variant
from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.realsense_sdk import realsense_sdk
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.enhancers.files import EnhanceSettings, FileReport, enhance_files
from tests.faces.test_detection import drawn_face

OLD_BAG = Path(__file__).parents[1] / "cameras" / "recorded" / "sdk_2_56.bag"


def fill(crop: DepthImage) -> DepthImage:
    """A stand-in enhancer: every hole becomes the median of what is there."""
    return np.where(crop == HOLE, np.uint16(np.median(crop[crop != HOLE])), crop)


def run(inputs: list[Path], output: Path, **settings: object) -> list[FileReport]:
    return enhance_files(inputs, EnhanceSettings(output, **settings), enhance=fill)  # type: ignore[arg-type]


def seen(size: int = 256, *, unit_mm: float = 1.0) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
    """A ball of a head at 0.6 m with 100 hole pixels, a wall at 1 m, and the drawn face in its picture."""
    rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
    squared = (rows**2 + columns**2) / (size * 0.42) ** 2
    depth = np.where(squared < 1, 680 - 80 * np.sqrt(np.maximum(1 - squared, 0)), 1000.0) / unit_mm
    depth[size // 2 : size // 2 + 10, size // 2 : size // 2 + 10] = 0
    face = cv2.resize(drawn_face(240), (size, size))
    return depth.astype(np.uint16), np.repeat(np.asarray(face, np.uint8)[..., None], 3, axis=2)


def holes(depth: npt.NDArray[np.uint16]) -> int:
    return int((depth == 0).sum())


def test_a_recording_says_unit_and_picture_itself(tmp_path: Path) -> None:
    depth, picture = seen(unit_mm=0.25)
    with FolderWriter(tmp_path / "in" / "deep", unit_mm=0.25) as writer:
        writer.write(RecordedFrame("1", depth, unit_mm=0.25, picture=picture))
    (report,) = run([tmp_path / "in"], tmp_path / "out")
    assert report.error is None
    assert report.assumed == "steps of 0.25 mm (recording.json); face found in *_color.png"
    assert report.near_mm == pytest.approx(595, abs=2)
    assert (report.holes_before, report.holes_after) == (100, 0)
    assert report.box != (0, 0, 256, 256)  # found, not the whole frame
    after = read_frame(tmp_path / "out/deep/1_depth.png")
    assert holes(after) == 0
    assert after[130, 130] * 0.25 == pytest.approx(620, abs=30)


def test_options_win_over_what_a_recording_says(tmp_path: Path) -> None:
    depth, picture = seen()
    with FolderWriter(tmp_path / "in", unit_mm=0.25) as writer:
        writer.write(RecordedFrame("1", depth, unit_mm=0.25, picture=picture))
    (report,) = run([tmp_path / "in"], tmp_path / "out", unit_mm=1.0, box=(40, 20, 216, 240))
    assert report.assumed is None
    assert report.near_mm == pytest.approx(595, abs=2)
    (alone,) = run([tmp_path / "in/1_depth.png"], tmp_path / "alone", unit_mm=1.0)
    assert alone.assumed == "face found in *_color.png"


def test_without_recording_json_nothing_is_assumed(tmp_path: Path) -> None:
    depth, picture = seen()
    write_frame(tmp_path / "in/1_depth.png", depth)
    cv2.imwrite(str(tmp_path / "in/1_color.png"), picture)
    (report,) = run([tmp_path / "in"], tmp_path / "out")
    assert report.assumed is None
    assert report.box == (0, 0, 256, 256)


def test_a_damaged_recording_json_fails_its_files_and_no_others(tmp_path: Path) -> None:
    depth, _ = seen()
    for name in ("a/1_depth.png", "b/1_depth.png"):
        write_frame(tmp_path / "in" / name, depth)
    (tmp_path / "in/a/recording.json").write_text("{")
    bad, good = run([tmp_path / "in"], tmp_path / "out")
    assert bad.error is not None
    assert "recording.json" in bad.error
    assert good.ok


def test_the_command_says_once_what_was_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    depth, picture = seen()
    with FolderWriter(tmp_path / "in") as writer:
        for name in ("1", "2"):
            writer.write(RecordedFrame(name, depth, picture=picture))
    code = cli.main(["enhance", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--enhancer", "Telea"])
    assert code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "as recorded: steps of 1 mm (recording.json); face found in *_color.png"
    assert len(lines) == 4


def test_a_file_of_the_sdk_becomes_a_folder_of_recordings(tmp_path: Path) -> None:
    try:
        realsense_sdk()
    except KitError as reason:
        pytest.skip(str(reason))
    reports = run([OLD_BAG], tmp_path / "out", box=(4, 2, 28, 22))
    assert [report.ok for report in reports] == [True] * 6
    found = list(RecordingFolder(tmp_path / "out/sdk_2_56"))
    assert [recording.unit_mm for recording in found] == [0.5] * 6
    assert all(recording.picture is not None for recording in found)
    assert json.loads((tmp_path / "out/summary.json").read_text())[5]["input"].endswith("sdk_2_56.bag/000006")
    with pytest.raises(KitError, match="earlier run"):
        run([OLD_BAG], tmp_path / "out", box=(4, 2, 28, 22))
    faceless = run([OLD_BAG], tmp_path / "none")
    assert all("no face" in (report.error or "") for report in faceless)
    with pytest.raises(KitError, match="the recording says it"):
        run([OLD_BAG], tmp_path / "unit", unit_mm=1.0)
    with pytest.raises(KitError, match=r"absent\.bag"):
        run([tmp_path / "absent.bag"], tmp_path / "absent")


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A KinectFaceDB of one person: Neutral, an occluded face and a profile without one in their pictures."""
    depth, picture = seen()
    blank = np.full_like(picture, 90)
    for variant, shown in (("Neutral", picture), ("OcclusionPaper", blank), ("LeftProfile", blank)):
        write_variant(
            tmp_path / "set",
            RecordedFrame(
                "frame",
                depth,
                picture=shown,
                person="0007",
                session="s1",
                variant=variant,
                marks=np.full((6, 2), 100.0),
            ),
        )
    return tmp_path / "set"


def test_kinectfacedb_becomes_kinectfacedb(people: Path, tmp_path: Path) -> None:
    mark_simulated(people, {"seed": 1})
    reports = run([people], tmp_path / "out")
    good = [report for report in reports if report.ok]
    assert len(good) == 3
    assert all(report.holes_before == 100 and report.holes_after == 0 for report in good)
    assert len(reports) == 3 + 6 + 1  # six variants and a session are missing, and named
    before, after = KinectFaceDB(people), KinectFaceDB(tmp_path / "out")
    assert after.simulated
    assert after.keys == before.keys
    for old, new in zip(before, after, strict=True):
        assert holes(old.depth) == 100
        assert holes(new.depth) == 0
        np.testing.assert_array_equal(new.picture, old.picture)
        np.testing.assert_array_equal(new.marks, old.marks)
    assert good[0].output == after.path("0007", "s1", "Neutral")


def test_faces_that_dlib_misses_are_taken_from_neutral_or_reported(people: Path, tmp_path: Path) -> None:
    neutral = people / "0007/s1/RGB/rgb_0007_s1_Neutral.bmp"
    boxes = {report.input.name: report.box for report in run([people], tmp_path / "out") if report.ok}
    assert len(set(boxes.values())) == 1
    cv2.imwrite(str(neutral), np.full((256, 256, 3), 90, np.uint8))
    reports = run([people], tmp_path / "again")
    assert sum("no face in its picture nor in Neutral" in (report.error or "") for report in reports) == 3
    boxed = run([people], tmp_path / "boxed", box=(40, 20, 216, 240))
    assert sum(report.ok for report in boxed) == 3


def test_a_preview_shows_the_face_before_and_after(tmp_path: Path) -> None:
    depth, picture = seen()
    with FolderWriter(tmp_path / "in") as writer:
        writer.write(RecordedFrame("1", depth, picture=picture))
    command = ["enhance", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--enhancer", "Telea", "--preview"]
    assert cli.main(command) == 0
    shown = cv2.imread(str(tmp_path / "out/1_depth_preview.png"))
    assert shown is not None
    assert shown.shape == (256, 512, 3)
    assert (shown[:, :256] != shown[:, 256:]).any()
    assert cli.main([*command, "--overwrite"]) == 0
    assert RecordingFolder(tmp_path / "out").names == ["1"]
    normalized = np.where(depth == 0, HOLE, depth).astype(np.uint16)
    write_frame(tmp_path / "kit.png", normalized)
    assert cli.main(["enhance", str(tmp_path / "kit.png"), "--normalized", *command[2:]]) == 2  # an earlier run
    assert cli.main(["enhance", str(tmp_path / "kit.png"), "--normalized", "--overwrite", *command[2:]]) == 0
    assert (tmp_path / "out/kit_preview.png").is_file()
