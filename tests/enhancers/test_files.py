"""`facedepth enhance` without the command line: folders in, folders out, one bad file stops no other."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.depth_files import read_frame, write_frame
from facedepth_kit.common import paths
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage, write_png
from facedepth_kit.enhancers.files import EnhanceSettings, FileReport, enhance_files
from facedepth_kit.evaluation.error import evaluate, face_rmse
from facedepth_kit.pairs.store import synthesize


def fill(crop: DepthImage) -> DepthImage:
    """A stand-in enhancer: every hole becomes the median of what is there."""
    return np.where(crop == HOLE, np.uint16(np.median(crop[crop != HOLE])), crop)


def head(size: int = 120) -> np.ndarray:
    """A ball of a head 600 mm away with 36 hole pixels in it, before a wall at 1 m; uint16 mm."""
    rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
    squared = (rows**2 + columns**2) / (size * 0.4) ** 2
    frame = np.where(squared < 1, 680 - 80 * np.sqrt(np.maximum(1 - squared, 0)), 1000.0).astype(np.uint16)
    frame[size // 2 : size // 2 + 6, size // 2 : size // 2 + 6] = 0
    return frame


def run(inputs: list[Path], output: Path, **settings: object) -> list[FileReport]:
    return enhance_files(inputs, EnhanceSettings(output, **settings), enhance=fill)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a_depth.png", "a.tif", "a.npy"])
def test_output_has_the_inputs_size_unit_format_and_background(tmp_path: Path, name: str) -> None:
    write_frame(tmp_path / name, head())
    (report,) = run([tmp_path / name], tmp_path / "out")
    assert report.ok
    assert report.output == tmp_path / "out" / name
    before, after = head(), read_frame(tmp_path / "out" / name)
    holes = before == 0
    assert np.abs(after[holes].astype(int) - 640).max() < 50
    np.testing.assert_array_equal(after[~holes], before[~holes])
    assert (report.holes_before, report.holes_after, report.changed_pixels) == (36, 0, 36)
    assert (report.near_mm, report.far_mm, report.box) == (595.0, 845.0, (0, 0, 120, 120))


def test_the_unit_of_the_files_counts(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", head() * 10)
    (report,) = run([tmp_path / "a.png"], tmp_path / "out", unit_mm=0.1)
    assert report.near_mm == pytest.approx(595, abs=0.01)
    after = read_frame(tmp_path / "out/a.png")
    assert after[60:66, 60:66].min() >= 6000
    np.testing.assert_array_equal(after[head() != 0], (head() * 10)[head() != 0])


@pytest.mark.parametrize("metres", [False, True])
def test_a_stack_is_enhanced_frame_by_frame(tmp_path: Path, metres: bool) -> None:
    frames = np.stack([head(), np.zeros_like(head()), head() + np.uint16(10) * (head() > 0)])
    stored = np.where(frames > 0, frames / np.float32(1000), np.nan).astype(np.float32) if metres else frames
    np.save(tmp_path / "take.npy", stored)
    previews: list[Path] = []
    reports = enhance_files(
        [tmp_path / "take.npy"],
        EnhanceSettings(tmp_path / "out", unit_mm=1000 if metres else None),
        enhance=fill,
        on_crop=lambda path, *_: previews.append(path),
    )
    assert [report.ok for report in reports] == [True, False, True]
    assert reports[1].error is not None
    assert "take.npy[1]: found holes only" in reports[1].error
    assert [path.name for path in previews] == ["take_000000.npy", "take_000002.npy"]
    after = np.load(tmp_path / "out/take.npy")
    assert (after.shape, after.dtype) == (stored.shape, stored.dtype)
    np.testing.assert_array_equal(after[1], stored[1])
    for index in (0, 2):
        write_frame(tmp_path / f"{index}.png", frames[index])
        run([tmp_path / f"{index}.png"], tmp_path / f"out{index}")
        alone = read_frame(tmp_path / f"out{index}/{index}.png")
        np.testing.assert_allclose(after[index] * (1000 if metres else 1), alone, atol=0.6)
        np.testing.assert_array_equal(after[index][frames[index] > 0], stored[index][frames[index] > 0])


def test_a_stack_of_normalized_images_is_enhanced_frame_by_frame(tmp_path: Path) -> None:
    store = synthesize(tmp_path / "pairs", 2, seed=1, workers=1, progress=False)
    degraded = store.batch(range(2))[1]
    np.save(tmp_path / "crops.npy", degraded)
    reports = run([tmp_path / "crops.npy"], tmp_path / "out", normalized=True)
    assert [str(report.input) for report in reports] == [f"{tmp_path}/crops.npy[{index}]" for index in range(2)]
    np.testing.assert_array_equal(np.load(tmp_path / "out/crops.npy"), np.stack([fill(image) for image in degraded]))


def test_folders_are_mirrored_and_summed_up(tmp_path: Path) -> None:
    for name in ("one/1_depth.png", "one/1_color.png", "two/deep/1_depth.png"):
        write_frame(tmp_path / "in" / name, head())
    seen: list[FileReport] = []
    reports = enhance_files([tmp_path / "in"], EnhanceSettings(tmp_path / "out"), enhance=fill, on_report=seen.append)
    assert seen == reports
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == ["one/1_depth.png", "summary.csv", "summary.json", "two/deep/1_depth.png"]
    with (tmp_path / "out/summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["holes_before"] for row in rows] == ["36", "36"]
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary[0]["box"] == [0, 0, 120, 120]
    assert summary[1]["input"].endswith("two/deep/1_depth.png")


def test_one_bad_file_stops_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_frame(folder / "1_depth.png", head())
    (folder / "2_depth.png").touch()
    write_frame(folder / "3_depth.png", np.zeros((50, 50), np.uint16))
    cv2.imwrite(str(folder / "4_depth.png"), np.zeros((50, 50), np.uint8))
    np.save(folder / "5_depth.npy", np.full((50, 50), np.nan))
    write_frame(folder / "6_depth.png", head())
    reports = run([folder], tmp_path / "out")
    assert [report.ok for report in reports] == [True, False, False, False, False, True]
    for report, words in zip(reports[1:5], ("empty file", "holes only", "8-bit", "holes only"), strict=True):
        assert report.error is not None
        assert words in report.error
        assert report.input.name in report.error
        assert "\n" not in report.error
    assert sorted(path.name for path in (tmp_path / "out").glob("*_depth.*")) == ["1_depth.png", "6_depth.png"]
    assert len(json.loads((tmp_path / "out/summary.json").read_text())) == 6


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", head())
    write_frame(tmp_path / "b.png", head())
    write_frame(tmp_path / "out/a.png", head() + 1)
    first, second = run([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert first.error is not None
    assert "--overwrite" in first.error
    assert second.ok
    np.testing.assert_array_equal(read_frame(tmp_path / "out/a.png"), head() + 1)
    with pytest.raises(KitError, match=r"summary\.csv.*--overwrite"):
        run([tmp_path / "b.png"], tmp_path / "out")
    assert all(report.ok for report in run([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out", overwrite=True))
    assert (read_frame(tmp_path / "out/a.png") > 0).all()


def test_inputs_and_outputs_that_collide_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    write_frame(tmp_path / "x/a.png", head())
    write_frame(tmp_path / "y/a.png", head())
    with pytest.raises(KitError, match="two inputs for one output"):
        run([tmp_path / "x/a.png", tmp_path / "y/a.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for inputs, output in (([tmp_path / "x/a.png"], tmp_path / "x"), ([tmp_path / "x"], tmp_path / "y" / ".." / "x")):
        with pytest.raises(KitError, match="replace an input"):
            run(inputs, output, overwrite=True)
    np.testing.assert_array_equal(read_frame(tmp_path / "x/a.png"), head())


def test_the_same_file_twice_is_done_once(tmp_path: Path) -> None:
    write_frame(tmp_path / "in/a_depth.png", head())
    assert len(run([tmp_path / "in", tmp_path / "in/a_depth.png"], tmp_path / "out")) == 1


def test_an_output_folder_inside_the_input_is_no_input(tmp_path: Path) -> None:
    write_frame(tmp_path / "in/a_depth.png", head())
    run([tmp_path / "in"], tmp_path / "in/out")
    (report,) = run([tmp_path / "in"], tmp_path / "in/out", overwrite=True)
    assert report.ok


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit_mm": 0.0}, "--unit-mm"),
        ({"unit_mm": float("nan")}, "--unit-mm"),
        ({"box": (5, 5, 5, 9)}, "--box"),
        ({"box": (1, 1, 9, 9), "image_suffix": "_color.png"}, "at most one"),
        ({"normalized": True, "box": (1, 1, 9, 9)}, "--normalized"),
        ({"image_suffix": ""}, "--image-suffix"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(KitError, match=words):
        EnhanceSettings(Path("out"), **change)  # type: ignore[arg-type]


def test_an_unknown_enhancer_names_the_known_ones(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", head())
    with pytest.raises(KitError, match="Sp-HfU"):
        enhance_files([tmp_path / "a.png"], EnhanceSettings(tmp_path / "out", "DL-Omega"))
    assert not (tmp_path / "out").exists()


def test_an_enhancer_without_weights_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SHIPPED_WEIGHTS", tmp_path / "none")
    write_frame(tmp_path / "a.png", head())
    with pytest.raises(KitError, match="DL-Kit-1"):
        enhance_files([tmp_path / "a.png"], EnhanceSettings(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_registrys_enhancers_work_on_frames(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", head())
    (none,) = enhance_files([tmp_path / "a.png"], EnhanceSettings(tmp_path / "none", "None"))
    assert none.changed_pixels == 0
    (telea,) = enhance_files([tmp_path / "a.png"], EnhanceSettings(tmp_path / "telea", "Telea"))
    assert telea.holes_after == 0
    filled = read_frame(tmp_path / "telea/a.png")[60:66, 60:66]
    assert np.abs(filled.astype(int) - 600).max() <= 2  # the ball's top is 600 to 601 mm there


def test_missing_inputs_and_a_file_as_output_are_refused(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", head())
    (tmp_path / "empty").mkdir()
    for inputs, output, words in (
        ([tmp_path / "b.png"], "out", "no such file"),
        ([tmp_path / "empty"], "out", "no depth images"),
        ([], "out", "none"),
        ([tmp_path / "a.png"], "a.png", "found a file, expected a folder"),
    ):
        with pytest.raises(KitError, match=words):
            run(inputs, tmp_path / output)


def test_a_box_says_where_the_face_is(tmp_path: Path) -> None:
    scene = np.full((240, 320), 1500, np.uint16)
    scene[60:180, 150:270] = head()
    scene[10:20, 10:20] = 0
    write_frame(tmp_path / "a.png", scene)
    (report,) = run([tmp_path / "a.png"], tmp_path / "out", box=(160, 70, 260, 170))
    assert report.box is not None
    assert report.holes_before == 36
    after = read_frame(tmp_path / "out/a.png")
    assert (after[10:20, 10:20] == 0).all()
    (outside,) = run([tmp_path / "a.png"], tmp_path / "out2", box=(400, 70, 460, 170))
    assert outside.error is not None
    assert "inside 320x240" in outside.error


def test_a_whole_scene_without_a_box_gets_a_hint(tmp_path: Path) -> None:
    scene = np.full((240, 320), 2500, np.uint16)
    scene[60:180, 150:270] = head()
    write_frame(tmp_path / "a.png", scene)
    write_frame(tmp_path / "b.png", head())
    first, second = run([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert first.hint is not None
    assert "--box" in first.hint
    assert second.hint is None


def test_dlib_finds_the_face_in_the_aligned_picture(tmp_path: Path) -> None:
    picture = cartoon()
    write_frame(tmp_path / "1_depth.png", head())
    cv2.imwrite(str(tmp_path / "1_color.png"), picture)
    write_frame(tmp_path / "2_depth.png", head())
    cv2.imwrite(str(tmp_path / "2_color.png"), np.zeros_like(picture))
    write_frame(tmp_path / "3_depth.png", head())
    write_frame(tmp_path / "4_depth.png", head())
    cv2.imwrite(str(tmp_path / "4_color.png"), picture[:50])
    found, no_face, no_picture, other_size = run([tmp_path], tmp_path / "out", image_suffix="_color.png")
    assert found.ok
    assert found.box is not None
    assert abs(found.box[0] + found.box[2] - 120) < 8  # the cartoon's middle, left to right
    assert found.holes_before == 36
    assert found.holes_after == 0
    for report, words in (
        (no_face, "no face"),
        (no_picture, "3_color.png"),
        (other_size, "120x50 pixels, expected 120x120"),
    ):
        assert report.error is not None
        assert words in report.error


def cartoon() -> np.ndarray:
    from tests.faces.test_detection import drawn_face

    return drawn_face(120)


def test_normalized_images_keep_the_kits_convention(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:256, 0:256] - 127.5
    depth = np.where(np.hypot(rows, columns) < 90, 3000 + 100 * np.abs(columns), 65535).astype(np.uint16)
    depth[120:130, 120:130] = HOLE
    depth[0, 0] = 0  # the nearest value, not a hole
    write_frame(tmp_path / "a.png", depth)
    write_frame(tmp_path / "small.png", depth[:128])
    write_frame(tmp_path / "holes.png", np.full((256, 256), HOLE))
    good, holes, small = run([tmp_path], tmp_path / "out", normalized=True)
    after = read_frame(tmp_path / "out/a.png")
    assert good.face_pixels == 256 * 256  # the whole image is the face
    assert good.holes_before == (depth == HOLE).sum()
    assert good.holes_after == 0
    assert after[0, 0] == 0
    np.testing.assert_array_equal(after, fill(depth))
    assert small.error is not None
    assert "(128, 256)" in small.error
    assert "256, 256" in small.error
    assert holes.error is not None
    assert "65535" in holes.error


def test_normalized_images_of_the_kit_give_table_iv(tmp_path: Path) -> None:
    store = synthesize(tmp_path / "pairs", 3, seed=11, progress=False)
    for index in range(3):
        write_png(tmp_path / "in" / f"{index}.png", store[index].degraded[0])
    chosen = {name: enhancers.get(name).enhance for name in enhancers.available()}
    table = evaluate(store, chosen, progress=False).face
    for name in chosen:
        enhance_files([tmp_path / "in"], EnhanceSettings(tmp_path / name, name, normalized=True))
        outputs = [read_frame(tmp_path / name / f"{index}.png") for index in range(3)]
        errors = [float(face_rmse(output, store[index].ground_truth)) for index, output in enumerate(outputs)]
        # A network rounds batches its own way.
        assert np.abs(np.array(errors) - table[name]).max() < 2e-6, name


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from facedepth_kit.enhancers.files import *\n"
        "try: enhance_files([Path(sys.argv[1])], EnhanceSettings(Path(sys.argv[2]), 'None'))\n"
        "except KitError as error: print(error)\n"
        "print(sorted(path.name for path in Path(sys.argv[2]).rglob('*') if path.is_file()))"
    )
    noise = np.random.default_rng(0).integers(600, 800, (200, 200), dtype=np.uint16)
    for name in ("1_depth.npy", "2_depth.npy", "3_depth.npy"):
        write_frame(tmp_path / "in" / name, noise)  # 80 kB each
    disk = tmp_path / "disk"
    disk.mkdir()
    unshare = shutil.which("unshare")
    inside = f'mount -t tmpfs -o size=128k none "{disk}" && "$0" -c "$1" "$2" "$3"'
    command = [unshare or "", "-rm", "sh", "-c", inside, sys.executable, script, str(tmp_path / "in"), str(disk)]
    trial = [*command[:4], f'mount -t tmpfs none "{disk}"']
    if unshare is None or subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("needs Linux user namespaces to mount a small disk")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    message, left = done.stdout.strip().splitlines()
    assert "No space left on device" in message
    assert str(disk) in message
    assert left == "['1_depth.npy']"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    write_frame(tmp_path / "a.png", head())
    with pytest.raises(KitError, match=r"a\.png/out"):
        run([tmp_path / "a.png"], tmp_path / "a.png/out")
