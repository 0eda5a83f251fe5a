"""Aligning in space and time: parts by hand, a simulated pair against its truth, pairs that cannot be aligned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from facedepth_kit.cameras.recorded.frame import Intrinsics
from facedepth_kit.cameras.simulated.paired_recordings import PairSettings, read_clean_depth, read_truth, simulate_pair
from facedepth_kit.common.errors import KitError
from facedepth_kit.sequences.alignment import (
    AlignmentSettings,
    align,
    fit_rig,
    lowest,
    read_alignment,
    write_alignment,
)
from facedepth_kit.sequences.clocks import nearest_frames, paths, start_shift_ms
from facedepth_kit.sequences.matching import key_points, matched
from facedepth_kit.sequences.recordings import PairedRecording
from facedepth_kit.sequences.reprojection import project, rotation_between_deg

CAMERA = Intrinsics(480, 640, 585.0, 585.0, 239.5, 319.5)
SETTINGS = PairSettings(seconds=3.5, lower_fps=12.0, higher_fps=14.0)
QUICK = AlignmentSettings(frame_pairs=4, timing_frames=10)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    simulate_pair(folder, seed=3, number=4, settings=SETTINGS)
    return folder


def test_nearest_frames_by_hand() -> None:
    lower, higher = np.array([0.0, 100.0, 200.0]), np.array([10.0, 60.0, 190.0, 300.0])
    assert nearest_frames(lower, higher, 0.0).tolist() == [0, 1, 2]
    assert nearest_frames(lower, higher, 50.0).tolist() == [0, 1, 2]
    assert nearest_frames(lower, higher, -60.0).tolist() == [1, 2, 3]


def test_the_lowest_loss_lies_between_the_steps() -> None:
    shifts = np.arange(-60, 61, 5.0)
    losses = np.stack([shifts, (shifts - 12.3) ** 2 + 4, (shifts + 7.1) ** 2], axis=1)
    assert lowest(losses, 1) == pytest.approx(12.3)
    assert lowest(losses, 2) == pytest.approx(-7.1)


def test_the_starts_are_found_from_motion(rng: np.random.Generator) -> None:
    time = np.arange(0, 20_000, 33.0)
    events = sum(np.exp(-(((time - at) / 150) ** 2)) for at in rng.uniform(500, 19_000, 12))
    later = np.stack([time - 1234.0, np.asarray(events)], axis=1)[60:]
    found = start_shift_ms(np.stack([time, np.asarray(events)], axis=1), later, 5.0)
    assert found == pytest.approx(1234.0, abs=15)
    with pytest.raises(KitError, match="no motion"):
        start_shift_ms(np.stack([time, 0 * time], axis=1), later, 5.0)
    with pytest.raises(KitError, match="correlates by"):
        start_shift_ms(np.stack([time, rng.random(len(time))], axis=1), later[::-1] * (-1, 1), 1.0)


def test_the_transform_is_found_though_a_quarter_of_the_matches_is_wrong(rng: np.random.Generator) -> None:
    points = rng.uniform((-500, -700, 1200), (500, 700, 2200), (400, 3))
    truth = np.eye(4)
    truth[:3, :3] = Rotation.from_euler("xyz", [3, -2, 4], degrees=True).as_matrix()
    truth[:3, 3] = 90, -40, 20
    pixels = project(points @ truth[:3, :3].T + truth[:3, 3], CAMERA) + rng.normal(0, 0.5, (400, 2))
    pixels[:100] = rng.uniform((0, 0), (480, 640), (100, 2))
    found, _ = fit_rig(points, lambda _: pixels, lambda moved: project(moved, CAMERA), np.eye(4), None, 2.0)
    assert rotation_between_deg(found, truth) < 0.1
    np.testing.assert_allclose(found[:3, 3], truth[:3, 3], atol=2.0)


def test_points_that_move_tell_the_shift(rng: np.random.Generator) -> None:
    points = rng.uniform((-500, -700, 1200), (500, 700, 2200), (300, 3))
    velocity = np.where(rng.random((300, 1)) < 0.3, rng.normal(0, 0.1, (300, 2)), 0.0)  # px/ms, most stand still
    seen = project(points, CAMERA) + 23.0 * velocity + rng.normal(0, 0.5, (300, 2))
    seen[:60] = rng.uniform((0, 0), (480, 640), (60, 2))
    start = np.eye(4)
    start[:3, 3] = 3, -2, 1
    found, shift_ms = fit_rig(
        points, lambda at: seen + (at + 17.0) * velocity, lambda moved: project(moved, CAMERA), start, 0.0, 1.5
    )
    assert shift_ms == pytest.approx(-40.0, abs=2.0)
    np.testing.assert_allclose(found[:3, 3], 0, atol=3.0)


def test_points_are_followed_between_frames(rng: np.random.Generator) -> None:
    smooth = cv2.GaussianBlur(rng.integers(0, 255, (200, 260, 3), np.uint8), (0, 0), 2.0)
    wide = np.asarray(cv2.normalize(smooth, np.empty_like(smooth), 0, 255, cv2.NORM_MINMAX), np.uint8)
    # 4 px to the right in 40 ms, then 8 px in 40 ms more: speed 0.15 px/ms in the middle, and it grows.
    before, picture, after = (wide[:, 30 - x : 230 - x] for x in (-4, 0, 8))
    pixels = np.array([[100.0, 90.0], [50.5, 120.25]])
    velocity, bend, tracked = paths([before, picture, after], (1000.0, 1040.0, 1080.0), pixels)
    assert tracked.all()
    np.testing.assert_allclose(velocity, [[0.15, 0]] * 2, atol=0.004)
    np.testing.assert_allclose(bend, [[0.00125, 0]] * 2, atol=2e-4)
    flat = np.zeros_like(picture)
    assert not paths([flat, picture, after], (1000.0, 1040.0, 1080.0), pixels)[2].any()


def test_matches_are_mutual_and_near(pair: Path) -> None:
    frame = PairedRecording(pair).lower.read(0)
    moved = np.roll(frame.picture, (3, 7), axis=(0, 1))
    first, second = key_points(frame.picture), key_points(moved)
    pairs = matched(first, second)
    away = second.pixels[pairs[:, 1]] - first.pixels[pairs[:, 0]]
    assert len(pairs) > 100
    np.testing.assert_allclose(np.median(away, axis=0), [7, 3], atol=0.05)
    near = matched(first, second, near_px=4.0)
    assert np.linalg.norm(second.pixels[near[:, 1]] - first.pixels[near[:, 0]], axis=1).max() <= 4.0
    assert len(set(near[:, 0])) == len(set(near[:, 1])) == len(near)


def test_a_simulated_pair_is_aligned(pair: Path, tmp_path: Path) -> None:
    truth, found = read_truth(pair), align(PairedRecording(pair), QUICK)
    assert abs(found.shift_ms - truth.shift_ms) < 5
    assert rotation_between_deg(found.extrinsic, truth.extrinsic) < 0.1
    assert np.linalg.norm(found.extrinsic[:3, 3] - truth.extrinsic[:3, 3]) < 5
    assert found.losses.shape[1] == 3
    assert found.moving < found.matches
    write_alignment(tmp_path / "alignment.json", found)
    again = read_alignment(tmp_path / "alignment.json")
    assert (again.shift_ms, again.matches) == (found.shift_ms, found.matches)
    np.testing.assert_array_equal(again.extrinsic, found.extrinsic)
    with pytest.raises(KitError, match=r"recording\.json: found no shift_ms, expected one"):
        read_alignment(pair / "lower" / "recording.json")
    content = json.loads((tmp_path / "alignment.json").read_text())
    for change, message in (
        ({"matches": -3}, r"found matches: -3, expected `?int"),
        ({"extrinsic": [[1, 0, 0, 0]] * 3}, "extrinsic"),
        ({"shift_ms": 1e99}, r"shift_ms: 1e\+99"),
    ):
        (tmp_path / "broken.json").write_text(json.dumps(content | change))
        with pytest.raises(KitError, match=message):
            read_alignment(tmp_path / "broken.json")


def test_the_same_seed_writes_the_same_pair(pair: Path, tmp_path: Path) -> None:
    short = PairSettings(seconds=0.8, lower_fps=12.0, higher_fps=14.0)
    for name in ("one", "other"):
        simulate_pair(tmp_path / name, seed=5, number=1, settings=short)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 35
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes(), file
    with pytest.raises(KitError, match="found a recording"):
        simulate_pair(tmp_path / "one", seed=5, number=1, settings=short)


def test_the_lower_quality_sensor_errs_as_the_papers_raw_row(pair: Path) -> None:
    lower, errors = PairedRecording(pair).lower, []
    for i in range(0, len(lower), 6):
        clean, person = read_clean_depth(pair, lower.names[i])
        away = np.abs(lower.read(i).depth_mm - clean)[person]
        errors.append(np.nanmean(away))
    assert 40 < np.mean(errors) < 80  # Table 1, raw: 57 mm, over all people and distances


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head.update(intrinsics=None), "no intrinsics"),
        (lambda head: [frame.pop("timestamp_ms") for frame in head["frames"].values()], "no timestamp_ms"),
        (lambda head: head["frames"]["0020"].update(timestamp_ms=9e9), "without a frame"),
    ],
)
def test_what_is_missing_is_named(pair: Path, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    broken = tmp_path / "broken"
    shutil.copytree(pair, broken)
    path = broken / "higher" / "recording.json"
    head = json.loads(path.read_text())
    change(head)
    path.write_text(json.dumps(head))
    with pytest.raises(KitError, match=message):
        align(PairedRecording(broken), QUICK)


def test_two_rooms_cannot_be_aligned(pair: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    simulate_pair(other, seed=8, number=2, settings=SETTINGS)
    mixed = tmp_path / "mixed"
    shutil.copytree(pair / "lower", mixed / "lower")
    shutil.copytree(other / "higher", mixed / "higher")
    with pytest.raises(KitError, match=r"key points|correlates"):
        align(PairedRecording(mixed), QUICK)


def repainted(pair: Path, folder: Path, paint: Callable[[np.ndarray, float], np.ndarray]) -> PairedRecording:
    """A copy of a pair whose pictures are painted anew, each from its stream's first one and its true moment (s)."""
    shutil.copytree(pair, folder)
    shift_ms = read_truth(pair).shift_ms
    for part in ("lower", "higher"):
        stream = getattr(PairedRecording(folder), part)
        first = stream.picture(0)
        for name, time in zip(stream.names, stream.times_ms, strict=True):
            seconds = (time + (shift_ms if part == "higher" else 0.0)) / 1000
            painted = np.clip(paint(first, float(seconds)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / part / f"{name}_color.png"), painted[..., ::-1])
    return PairedRecording(folder)


def test_pictures_without_motion(pair: Path, tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"no motion in the pictures, expected a person who moves"):
        align(repainted(pair, tmp_path / "still", lambda first, _: first), QUICK)


def test_light_that_flickers_is_no_motion(pair: Path, tmp_path: Path) -> None:
    flicker = repainted(pair, tmp_path / "flicker", lambda first, s: first * (0.7 + 0.25 * np.sin(7 * s + s * s)))
    with pytest.raises(KitError, match=r"key points that move, \d+ of which agree on one shift, expected"):
        align(flicker, QUICK)


def test_pictures_without_texture(pair: Path, tmp_path: Path) -> None:
    grey = repainted(pair, tmp_path / "grey", lambda first, s: 0 * first + 100 + 50 * np.sin(5 * s + s * s))
    with pytest.raises(KitError, match=r"found 0 key points seen by both cameras in \d frames, expected 60 or more"):
        align(grey, QUICK)


def test_recordings_of_one_scene_at_other_times(pair: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    shutil.copytree(pair, apart)
    for part, first in (("lower", True), ("higher", False)):
        names = PairedRecording(pair).lower.names if part == "lower" else PairedRecording(pair).higher.names
        for name in names[len(names) // 2 :] if first else names[: len(names) // 2]:
            (apart / part / f"{name}_depth.png").unlink()
    with pytest.raises(KitError, match=r"correlates by|of which agree on one shift|overlap in time"):
        align(PairedRecording(apart), QUICK)


def test_a_folder_that_is_no_pair(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no folder lower"):
        PairedRecording(tmp_path)
