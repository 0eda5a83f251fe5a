"""Noisy against fused frames: distances by hand, foreign folders, and DDRNet-dn on real people where they are here."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit.cli import main as cli
from facedepth_kit.common.errors import KitError
from facedepth_kit.enhancers.ddrnet import find_checkpoint, load_denoiser
from facedepth_kit.evaluation.bodies import BodyPair, bilateral, compare, distances, read_body_pairs

REAL = Path(__file__).resolve().parents[3] / "shared" / "real_depth" / "kinect_v2_bodies" / "group1"


def flat_pair() -> BodyPair:
    """40 x 40: the fused surface at 1,000 mm, the frame 4 mm farther, and 24 mm farther along the left edge."""
    noisy = np.full((40, 40), 1004, np.float32)
    noisy[:, :2] = 1024
    noisy[0] = np.nan
    fused = np.full((40, 40), 1000, np.float32)
    fused[-1] = np.nan
    mask = np.ones((40, 40), bool)
    mask[:, -10:] = False
    return BodyPair("frame", noisy, fused, mask)


def test_distances_by_hand() -> None:
    pair = flat_pair()
    row = distances(pair, {"after": np.where(np.isnan(pair.noisy_mm), np.nan, np.float32(1001))})
    assert row["pixels"] == 38 * 30
    assert row["mae_mm_before"] == pytest.approx((4 * 28 + 24 * 2) / 30)
    assert row["rmse_mm_before"] == pytest.approx(((16 * 28 + 576 * 2) / 30) ** 0.5)
    assert row["median_mm_before"] == 4
    assert row["inside_mae_mm_before"] == 4
    assert row["mae_mm_after"] == row["rmse_mm_after"] == row["inside_mae_mm_after"] == 1


def test_a_denoiser_must_not_punch_holes_or_change_the_shape() -> None:
    pair = flat_pair()
    with pytest.raises(KitError, match="holes"):
        distances(pair, {"after": np.full((40, 40), np.nan, np.float32)})
    with pytest.raises(KitError, match="shape"):
        distances(pair, {"after": pair.noisy_mm[:20]})


def test_the_rival_smooths_surfaces_and_keeps_steps_and_holes() -> None:
    truth = np.full((60, 60), 1000, np.float32)
    truth[:, 30:] = 1400
    noisy = truth + np.random.default_rng(0).normal(0, 4, truth.shape).astype(np.float32)
    noisy[10:20, 25:35] = np.nan
    smooth = bilateral(noisy)
    np.testing.assert_array_equal(np.isnan(smooth), np.isnan(noisy))
    assert np.nanstd(smooth - truth) < 0.4 * np.nanstd(noisy - truth)
    assert np.nanmax(np.abs(smooth - truth)) < 12


def write_folder(root: Path) -> Path:
    pair = flat_pair()
    parts = {"depth_map": np.nan_to_num(pair.noisy_mm), "high_quality_depth": np.nan_to_num(pair.fused_mm)}
    for name, values in parts.items():
        (root / name).mkdir(parents=True)
        for number in (1, 2):
            assert cv2.imwrite(str(root / name / f"frame_{number:06d}.png"), values.astype(np.uint16))
    (root / "mask").mkdir()
    for number in (1, 2):
        assert cv2.imwrite(str(root / "mask" / f"frame_{number:06d}.png"), pair.mask.astype(np.uint8) * 255)
    return root


def test_the_layout_of_ddrnets_data_set(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    pairs = list(read_body_pairs(folder))
    assert [pair.name for pair in pairs] == ["frame_000001", "frame_000002"]
    for name in ("noisy_mm", "fused_mm", "mask"):
        np.testing.assert_array_equal(getattr(pairs[1], name), getattr(flat_pair(), name))
    (folder / "mask" / "frame_000002.png").unlink()
    with pytest.raises(KitError, match="mask"):
        list(read_body_pairs(folder))
    with pytest.raises(KitError, match="depth_map"):
        list(read_body_pairs(tmp_path / "mask"))


def test_the_command_writes_a_row_a_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "in")
    output = tmp_path / "bodies.csv"
    assert cli.main(["bodies", str(folder), "--output", str(output)]) == 0
    assert "mae_mm" in capsys.readouterr().out
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["frame_000001", "frame_000002"]
    assert float(rows[0]["median_mm_before"]) == 4
    assert cli.main(["bodies", str(folder), "--output", str(output)]) == 2
    assert cli.main(["bodies", str(folder), "--checkpoint", str(tmp_path)]) == 2


@pytest.mark.skipif(not REAL.is_dir(), reason="the recordings of DDRNet's data set are not here")
@pytest.mark.skipif(find_checkpoint() is not None, reason="DDRNet's own weights are in use")
def test_the_stand_in_brings_real_frames_nearer_to_the_fused_ones() -> None:
    rows = compare(read_body_pairs(REAL), {"after": load_denoiser()})
    assert len(rows) == 8
    for row in rows:
        assert float(row["inside_mae_mm_after"]) < float(row["inside_mae_mm_before"])
        assert float(row["rmse_mm_after"]) < float(row["rmse_mm_before"])
