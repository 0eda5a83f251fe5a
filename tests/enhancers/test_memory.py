"""Earlier frames of a recording: less noise, filled holes, nothing smeared, nothing kept of another scene."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facedepth_kit.cameras.recorded.depth_files import read_frame, write_frame
from facedepth_kit.cameras.recorded.face_crop import FaceCrop
from facedepth_kit.depth import HOLE, DepthImage, DepthRange, from_millimetres, to_millimetres
from facedepth_kit.enhancers.files import EnhanceSettings, enhance_files
from facedepth_kit.enhancers.memory import with_earlier
from tests.faces.test_detection import drawn_face

RANGE = DepthRange(500.0, 250.0)
NOISE_MM = 1.0
FloatArray = npt.NDArray[np.float32]


def surface(x: float = 0.0, y: float = 0.0, *, turned: float = 0.0, mouth_mm: float = 0.0) -> FloatArray:
    """A ball of a head whose middle is moved by x, y pixels, turned by so many mm from side to side; mm."""
    rows, columns = np.mgrid[0:256, 0:256].astype(np.float32)
    across, down = (columns - 127.5 - x) / 90, (rows - 127.5 - y) / 110
    ball_mm = 620 - 80 * np.sqrt(np.maximum(1 - across**2 - down**2, 0)) + turned * across
    inside = across**2 + down**2 < 0.95
    ball_mm[(np.abs(across) < 0.25) & (np.abs(down - 0.45) < 0.12)] += mouth_mm
    return np.where(inside, ball_mm, np.nan).astype(np.float32)


def picture(x: float = 0.0, y: float = 0.0, *, seed: int = 0, mouth: int = 0) -> npt.NDArray[np.uint8]:
    """A skin with spots, moved by x, y pixels, ``mouth`` darker at the mouth."""
    spots = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, (256, 256)).astype(np.float32), (0, 0), 4)
    skin = 130 + 400 * spots
    skin[153:179, 105:150] -= mouth
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    moved = cv2.warpAffine(skin, move, (256, 256), borderMode=cv2.BORDER_REFLECT)
    return np.clip(moved, 0, 255).astype(np.uint8)


def crop(true_mm: FloatArray, seen: npt.NDArray[np.uint8] | None, seed: int, near_mm: float = 500.0) -> FaceCrop:
    """What a sensor with a millimetre of noise measures of a surface."""
    noise = np.random.default_rng(seed).normal(0, NOISE_MM, true_mm.shape)
    depth_range = DepthRange(near_mm, 250.0)
    return FaceCrop("a", from_millimetres(true_mm + noise, depth_range), depth_range, picture=seen)


def error_mm(depth: DepthImage, true_mm: FloatArray, where: npt.NDArray[np.bool_] | None = None) -> float:
    """Root mean square over what is there."""
    error = to_millimetres(depth, RANGE) - true_mm
    return float(np.sqrt(np.nanmean(np.square(error if where is None else error[where]))))


def test_a_still_face_gets_less_noise() -> None:
    *earlier, now = (crop(surface(), picture(), seed) for seed in range(4))
    alone, together = error_mm(now.depth, surface()), error_mm(with_earlier(now, earlier), surface())
    assert alone == pytest.approx(NOISE_MM, rel=0.05)
    assert together < 0.7 * alone  # the mean of four would have half; its rim has fewer


def test_a_hole_takes_what_was_measured_there_before() -> None:
    *earlier, now = (crop(surface(), picture(), seed) for seed in range(4))
    hole = np.zeros((256, 256), np.bool_)
    hole[110:122, 110:122] = True
    now.depth[hole] = HOLE
    filled = with_earlier(now, earlier)
    assert (filled[hole] != HOLE).mean() > 0.95
    assert error_mm(filled, surface(), hole) < NOISE_MM
    for one in earlier:
        one.depth[hole] = HOLE
    assert (with_earlier(now, earlier)[hole] == HOLE).all()  # nobody has seen it


@pytest.mark.parametrize("step", [(5.0, 2.0, 0.0), (0.0, 0.0, 12.0), (3.0, -4.0, 8.0)])
def test_a_moved_face_is_not_smeared(step: tuple[float, float, float]) -> None:
    x, y, turned = step
    moments = [-3, -2, -1, 0]  # each frame moves on by x and y px, turns, and comes 6 mm nearer
    *earlier, now = (
        crop(surface(x * i, y * i, turned=turned * i) - 6 * i, picture(x * i, y * i), i + 3, 500.0 - 6 * i)
        for i in moments
    )
    true_mm = surface()
    together = with_earlier(now, earlier)
    assert error_mm(together, true_mm) < error_mm(now.depth, true_mm)
    assert np.nanquantile(np.abs(to_millimetres(together, RANGE) - true_mm), 0.9999) < 5 * NOISE_MM


def test_an_opened_mouth_is_not_closed_by_the_past() -> None:
    *earlier, _ = (crop(surface(), picture(), seed) for seed in range(4))
    true_mm = surface(mouth_mm=15.0)
    now = crop(true_mm, picture(mouth=90), 3)
    mouth = np.zeros((256, 256), np.bool_)
    mouth[165:185, 110:145] = True
    together = with_earlier(now, earlier)
    assert error_mm(together, true_mm, mouth) < 1.1 * error_mm(now.depth, true_mm, mouth)


def test_another_scene_is_forgotten() -> None:
    earlier = [crop(surface(25, -20, turned=40.0, mouth_mm=20), picture(seed=5), seed) for seed in range(3)]
    now = crop(surface(), picture(), 9)
    np.testing.assert_array_equal(with_earlier(now, earlier), now.depth)


def test_without_earlier_frames_or_pictures_a_frame_is_its_own() -> None:
    now, bare = crop(surface(), picture(), 0), crop(surface(), None, 1)
    assert with_earlier(now, []) is now.depth
    np.testing.assert_array_equal(with_earlier(now, [bare]), now.depth)
    np.testing.assert_array_equal(with_earlier(bare, [now]), bare.depth)


# --- recordings -----------------------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Five frames of a drawn face that holds still, with a hole elsewhere in each."""
    folder = tmp_path / "take"
    true_mm = surface()
    for index in range(5):
        noise = np.random.default_rng(index).normal(0, NOISE_MM, true_mm.shape)
        depth = np.nan_to_num(10 * (true_mm + noise)).astype(np.uint16)
        depth[100 + 9 * index : 108 + 9 * index, 120:128] = 0
        write_frame(folder / f"{index}_depth.png", depth)
        cv2.imwrite(str(folder / f"{index}_color.png"), drawn_face(256))
    (folder / "recording.json").write_text('{"unit_mm": 0.1}')
    return folder


def enhanced(recording: Path, output: Path, *, single: bool = False) -> dict[str, npt.NDArray[np.uint16]]:
    """Depth by file after ``facedepth enhance`` with an enhancer that leaves all as it is."""
    enhance_files([recording], EnhanceSettings(output, "None", single=single))
    return {path.name: read_frame(path) for path in sorted(output.glob("*_depth.png"))}


def test_frames_of_a_recording_help_each_other_unless_single(recording: Path, tmp_path: Path) -> None:
    together, single = enhanced(recording, tmp_path / "a"), enhanced(recording, tmp_path / "b", single=True)
    np.testing.assert_array_equal(together["0_depth.png"], single["0_depth.png"])
    face = np.zeros((256, 256), np.bool_)
    face[90:180, 90:165] = True
    for index, (name, depth) in enumerate(single.items()):
        np.testing.assert_array_equal(depth, read_frame(recording / name))  # as without a memory, bit for bit
        known = face & (depth > 0)
        errors = [np.abs(made[known] / 10 - surface()[known]).mean() for made in (together[name], depth)]
        assert errors[0] < (0.9 if index else 1.01) * errors[1]
    hole = np.s_[118:126, 120:128]
    assert (single["2_depth.png"][hole] == 0).all()
    assert (together["2_depth.png"][hole] > 0).mean() > 0.9


def test_a_run_that_goes_on_writes_the_same_files(recording: Path, tmp_path: Path) -> None:
    whole = enhanced(recording, tmp_path / "whole")
    begun = tmp_path / "begun"
    begun.mkdir()
    for index in range(3):  # as after a kill: three files, no summary
        shutil.copy2(tmp_path / "whole" / f"{index}_depth.png", begun)
    gone_on = enhanced(recording, begun)
    assert list(gone_on) == list(whole)
    for name, depth in whole.items():
        np.testing.assert_array_equal(gone_on[name], depth)
