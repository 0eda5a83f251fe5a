"""Data sets of presentation attacks: simulated ones in the layouts of the real ones, and files that are not as they."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from facedepth_kit.cameras.recorded.pad_data_sets import NO_DISPARITY, OPENKINECT, PadDataSet
from facedepth_kit.cameras.recorded.sources import open_recordings
from facedepth_kit.cameras.simulated.data_sets import RealSenseSettings, realsense_recording, write_pad_data_set
from facedepth_kit.cameras.simulated.sensors import ActiveStereo
from facedepth_kit.cli.main import main
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.tables import read_table

SMALL = RealSenseSettings(ActiveStereo(focal_px=320.0), 640, 360, 460.0)
SPECIES = {
    "3DMAD": {"bona_fide", "mask"},
    "WMCA": {"bona_fide", "print", "rigid_mask"},
    "CASIA-SURF": {"bona_fide", "attack_1", "attack_2"},
    "CeFA": {"bona_fide", "print"},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person in every layout."""
    root = tmp_path_factory.mktemp("pad")
    for layout in SPECIES:
        write_pad_data_set(root / layout, layout, 1, seed=3, settings=SMALL, workers=1, progress=False)
    return root


@pytest.mark.parametrize("layout", SPECIES)
def test_each_layout_is_told_apart_and_read(layout: str, written: Path) -> None:
    found = open_recordings(written / layout)
    assert isinstance(found, PadDataSet)
    frames = list(found)
    assert (found.name, found.simulated, found.metric, found.damaged) == (layout, True, layout == "3DMAD", [])
    assert {frame.variant for frame in frames} == SPECIES[layout]
    assert len(frames) == len(found) == len({frame.name for frame in frames})
    for frame in frames:
        assert frame.picture is not None
        assert frame.simulated
        assert (frame.depth == 0).any()
        assert (frame.depth > 0).mean() > 0.1


def test_3dmad_comes_back_in_millimetres(written: Path) -> None:
    face = next(iter(open_recordings(written / "3DMAD")))
    (given,) = realsense_recording(3, 1, "bona_fide", 1, SMALL)
    near = (given.millimetres() < 1000) & (face.depth > 0)
    difference = np.abs(face.millimetres() - given.millimetres())[near]
    assert near.any()
    assert difference.max() < 3  # a step of 11 bits at a metre
    assert ((face.depth == 0) == np.isnan(given.millimetres())).all()
    assert face.marks is not None
    assert given.marks is not None
    assert np.abs(face.marks - given.marks[:2]).max() <= 0.5


def video(path: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
    return path


def test_3dmad_by_hand(tmp_path: Path) -> None:
    raw = np.array([[[[600, NO_DISPARITY], [NO_DISPARITY, 800]]]], np.uint16)
    colour = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2)
    video(tmp_path / "02_01_05.hdf5", Depth_Data=raw, Color_Data=colour, Eye_Pos=np.array([[4, 90, 5, 20]]))
    millimetres = np.array([[[[600, 0], [2500, 2047]]]], np.uint16)
    video(tmp_path / "02_03_01.hdf5", Depth_Data=millimetres, Color_Data=colour)
    disparities, plain = open_recordings(tmp_path)
    slope, offset = OPENKINECT
    assert disparities.depth.tolist() == [
        [round(1000 / (slope * 600 + offset)), 0],
        [0, round(1000 / (slope * 800 + offset))],
    ]
    assert disparities.picture is not None
    assert disparities.picture[0, 1].tolist() == [1, 5, 9]
    assert disparities.marks is not None
    assert disparities.marks.tolist() == [[90, 4], [20, 5]]  # x is where the eyes lie apart
    assert (disparities.person, disparities.session, disparities.variant) == ("02", "01", "bona_fide")
    assert (plain.depth.tolist(), plain.variant) == ([[600, 0], [2500, 2047]], "mask")


def test_frames_are_spread_over_a_video(tmp_path: Path) -> None:
    depth = np.full((10, 1, 2, 2), 700, np.uint16) + np.arange(10, dtype=np.uint16)[:, None, None, None]
    video(tmp_path / "01_01_01.hdf5", Depth_Data=depth, Color_Data=np.zeros((10, 3, 2, 2), np.uint8))
    for count, expected in ((None, list(range(10))), (1, [5]), (2, [2, 7]), (20, list(range(10)))):
        found = open_recordings(tmp_path, frames=count)
        assert [int(frame.depth[0, 0]) - 700 for frame in found] == expected
        assert len(found) == len(expected)


def test_grey_levels_can_be_turned_round(written: Path) -> None:
    near, far = (next(iter(PadDataSet(written / "WMCA", bright_is_near=bright))).depth for bright in (False, True))
    seen = near > 0
    assert ((far > 0) == seen).all()
    assert (near[seen].astype(int) + far[seen] == 256).all()


def test_single_pictures_of_casia_surf_need_their_list(tmp_path: Path) -> None:
    folder = tmp_path / "Val" / "0000"
    folder.mkdir(parents=True)
    for name in ("000000-color", "000000-depth", "000001-color", "000001-depth"):
        cv2.imwrite(str(folder / f"{name}.jpg"), np.full((20, 30, 3), 100, np.uint8))
    lines = [
        f"Val/0000/00000{i}-color.jpg Val/0000/00000{i}-depth.jpg Val/0000/00000{i}-ir.jpg {1 - i}" for i in (0, 1)
    ]
    with pytest.raises(KitError, match="found none of 3DMAD"):
        PadDataSet(tmp_path)
    (tmp_path / "val_private_list.txt").write_text("\n".join(lines))
    frames = list(PadDataSet(tmp_path))
    assert [(frame.name, frame.variant) for frame in frames] == [
        ("Val_000000/000", "bona_fide"),
        ("Val_000001/000", "attack"),
    ]
    assert not frames[0].metric


@pytest.mark.parametrize(
    ("name", "arrays", "expected"),
    [
        ("01_01_01.hdf5", {"Depth": np.zeros(3)}, "found Depth, expected Depth_Data"),
        ("01_01_01.hdf5", {"Depth_Data": np.zeros((1, 1, 2, 2))}, "expected Color_Data"),
        ("01_01_01.hdf5", {"Depth_Data/x": np.zeros(3)}, "found no array in Depth_Data"),
        ("01_01_01.hdf5", {"Depth_Data": np.float64(3)}, "found no array in Depth_Data"),
        ("018_02_000_3_10.hdf5", {"stream_0": np.zeros(3)}, "found stream_0, expected Frame_0"),
        ("018_02_000_3_10.hdf5", {"Frame_x/array": np.zeros(3)}, "found Frame_x, expected Frame_0"),
        ("018_02_000_3_10.hdf5", {"Frame_0/array": np.zeros((3, 9, 9), np.uint8)}, "expected uint8 (4, rows, columns)"),
        ("018_02_000_3_10.hdf5", None, "found a file that is no HDF5"),
    ],
)  # fmt: skip
def test_foreign_files_are_named(
    name: str, arrays: dict[str, np.ndarray] | None, expected: str, tmp_path: Path
) -> None:
    if arrays is None:
        (tmp_path / name).write_bytes(b"damaged")
    else:
        video(tmp_path / name, **arrays)
    found = PadDataSet(tmp_path)
    assert list(found) == []
    (line,) = found.damaged
    assert str(tmp_path / name) in line
    assert expected in line


def test_arrays_in_another_file_are_left_alone(tmp_path: Path) -> None:
    other = video(tmp_path / "other.h5", x=np.zeros((1, 1, 4, 4), np.uint16))
    with h5py.File(tmp_path / "01_01_01.hdf5", "w") as file:
        file["Depth_Data"] = h5py.ExternalLink(str(other), "x")
    (tmp_path / "raw").write_bytes(bytes(32))
    with h5py.File(tmp_path / "01_02_01.hdf5", "w") as file:
        file.create_dataset("Depth_Data", (1, 1, 4, 4), "u2", external=[(str(tmp_path / "raw"), 0, 32)])
    found = PadDataSet(tmp_path)
    assert list(found) == []
    assert [line.rpartition(": ")[2] for line in found.damaged] == [
        "found Depth_Data in another file, expected it here"
    ] * 2


def test_the_tables_of_an_attack_data_set(written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate-recordings", str(written / "3DMAD"), "--enhancer", "None", "--enhancer", "Telea", "--no-punch"]
    assert main([*command, "--decisions", str(tmp_path / "decisions.csv")]) == 0
    printed = capsys.readouterr().out
    assert "presentations: bona fide 1, mask 1" in printed
    assert "BPCER at APCER 5%" in printed
    rows = read_table(tmp_path / "decisions.csv")
    assert set(rows["presentation"]) == {"bona_fide", "mask", "worst species"}
    assert set(rows["check"]) == {"geometric PAD error", "relief (ours)"}


def test_grey_data_sets_have_no_relief_and_say_so(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(written / "CeFA", tmp_path / "CeFA")
    command = ["evaluate-recordings", str(tmp_path / "CeFA"), "--enhancer", "None", "--no-punch"]
    assert main(command) == 0
    streams = capsys.readouterr()
    assert "not metric" in streams.err
    assert "relief (ours)" not in streams.out
