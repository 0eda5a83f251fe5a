"""KinectFaceDB's layout: what is written is read back, what is damaged is named, what is missing is counted."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit.cameras.recorded import kinectfacedb
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.cameras.recorded.kinectfacedb import KinectFaceDB, mark_simulated, read_depth_text, write_variant
from facedepth_kit.common.errors import KitError


def frame(
    rng: np.random.Generator, variant: str = "Neutral", person: str = "0001", session: str = "s1"
) -> RecordedFrame:
    return RecordedFrame(
        "frame",
        rng.integers(0, 1200, (256, 256), dtype=np.uint16),
        picture=rng.integers(0, 256, (256, 256, 3), dtype=np.uint8),
        person=person,
        session=session,
        variant=variant,
        marks=np.round(rng.uniform(0, 255, (6, 2)), 3),
    )


def lines(depth: np.ndarray, end: str = "\t\n") -> str:
    """The layout of the specification, by a way of its own: x 192..447, y 74..329, a line a pixel."""
    return "".join(f"{x + 192}\t{y + 74}\t{depth[y, x]}{end}" for y in range(256) for x in range(256))


@pytest.fixture
def depth(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 65536, (256, 256), dtype=np.uint16)


def test_depth_text_as_the_specification_has_it(tmp_path: Path, depth: np.ndarray) -> None:
    path = tmp_path / "depth.txt"
    path.write_text(lines(depth), newline="")
    np.testing.assert_array_equal(read_depth_text(path), depth)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t\r\n", " \n", "\t\n\n"])
def test_line_ends_of_all_kinds(tmp_path: Path, depth: np.ndarray, end: str) -> None:
    path = tmp_path / "depth.txt"
    path.write_bytes(lines(depth, end).encode())
    np.testing.assert_array_equal(read_depth_text(path), depth)
    path.write_bytes(b"\xef\xbb\xbf" + lines(depth, end).rstrip().encode() + (b"\t" if "\t" in end else b""))
    np.testing.assert_array_equal(read_depth_text(path), depth)


def test_pixels_may_come_in_any_order(tmp_path: Path, depth: np.ndarray, rng: np.random.Generator) -> None:
    shuffled = lines(depth).splitlines()
    rng.shuffle(shuffled)
    (tmp_path / "depth.txt").write_text("\n".join(shuffled))
    np.testing.assert_array_equal(read_depth_text(tmp_path / "depth.txt"), depth)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("\t74\t", "\t74.5\t", 1), "line 1"),
        (lambda text: text.replace("300\t100\t", "300\t100\t-", 1), "other than whole numbers"),
        (lambda text: text[: len(text) // 2].rsplit("\n", 1)[0], "expected 65536"),
        (lambda text: text[:-3], "line 65536 that is cut short"),
        (lambda text: text.split("\n", 1)[1], "65535 pixels (none for 192, 74), expected 65536"),
        (lambda text: text + text.split("\n", 1)[0], "192, 74 a second time in line 65537"),
        (lambda text: text.replace("192\t74\t", "191\t74\t", 1), "pixel 191, 74 in line 1"),
        (lambda text: text.replace("447\t329\t", "447\t330\t", 1), "pixel 447, 330 in line 65536"),
        (lambda text: text.replace("193\t74\t", "193\t74\t7000", 1), "beyond 65535 mm in line 2"),
        (lambda text: text.replace("193\t74\t", "193\t", 1), "not three numbers in line 2"),
        (lambda text: text.replace("193\t74\t", "193\t74\t7\t", 1), "not three numbers in line 2"),
        (lambda text: "", "empty"),
        (lambda text: "\n \n", "empty"),
        (lambda text: "v 1 2 3\n", "line 1"),
        (lambda text: text * 8, "bytes"),
    ],
)
def test_damaged_depth_text_is_one_line(tmp_path: Path, depth: np.ndarray, change, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "depth.txt"
    path.write_text(change(lines(depth // 70 + 10)))
    with pytest.raises(KitError) as caught:
        read_depth_text(path)
    message = str(caught.value)
    assert words in message
    assert message.startswith(str(path))
    assert "\n" not in message


def test_what_is_written_is_read(tmp_path: Path, rng: np.random.Generator) -> None:
    given = frame(rng)
    write_variant(tmp_path, given, mesh=True)
    folder = tmp_path / "0001" / "s1"
    # As the independent loaders of the specification have it.
    raw = (folder / "Depth/DepthKinect/depth_0001_s1_Neutral.txt").read_text()
    assert raw == lines(given.depth)
    picture = cv2.imread(str(folder / "RGB/rgb_0001_s1_Neutral.bmp"))
    assert picture is not None
    assert given.picture is not None
    np.testing.assert_array_equal(picture[..., ::-1], given.picture)
    assert (folder / "Depth/DepthBMP/depth_0001_s1_Neutral.bmp").is_file()
    found = KinectFaceDB(tmp_path).read("0001", "s1", "Neutral")
    np.testing.assert_array_equal(found.depth, given.depth)
    np.testing.assert_array_equal(found.picture, given.picture)
    assert found.marks is not None
    assert given.marks is not None
    np.testing.assert_allclose(found.marks, given.marks, atol=1e-3)
    assert found.mark_names[2] == "nose tip"
    assert (found.person, found.session, found.variant, found.unit_mm) == ("0001", "s1", "Neutral", 1.0)
    assert found.intrinsics is not None
    assert (found.intrinsics.fx, found.intrinsics.cx, found.intrinsics.cy) == (525.0, 127.5, 165.5)
    assert not found.simulated


def test_the_mesh_is_the_depth_in_space(tmp_path: Path, rng: np.random.Generator) -> None:
    given = frame(rng)
    given.depth[:100] = 0
    write_variant(tmp_path, given, mesh=True)
    text = (tmp_path / "0001/s1/3DObj/depth_0001_s1_Neutral.obj").read_text().splitlines()
    vertices = np.array([line.split()[1:] for line in text if line.startswith("v ")], float)
    faces = np.array([line.split()[1:] for line in text if line.startswith("f ")], int)
    assert len(vertices) == (given.depth > 0).sum()
    assert faces.min() >= 1
    assert faces.max() <= len(vertices)
    assert (vertices[:, 2] < 0).all()
    columns = np.rint(vertices[:, 0] / -vertices[:, 2] * 525 + 127.5).astype(int)
    rows = np.rint(165.5 - vertices[:, 1] / -vertices[:, 2] * 525).astype(int)
    np.testing.assert_array_equal(given.depth[rows, columns], -vertices[:, 2])


@pytest.fixture
def small(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two people, both sessions, three variants each; the other six are missing."""
    for person in ("0001", "0002"):
        for session in ("s1", "s2"):
            for variant in ("Neutral", "Smile", "LightOn"):
                write_variant(tmp_path / "set", frame(rng, variant, person, session))
    return tmp_path / "set"


def test_by_person_session_and_variant_in_order(small: Path) -> None:
    everything = KinectFaceDB(small)
    assert len(everything) == 12
    assert [frame.name for frame in everything][:4] == [
        "0001_s1_Neutral",
        "0001_s1_Smile",
        "0001_s1_LightOn",
        "0001_s2_Neutral",
    ]
    assert len(everything.damaged) == 2 * 2 * 6
    some = KinectFaceDB(small, people=["0002"], sessions=["s2"], variants=["Smile", "LightOn"])
    assert [(frame.person, frame.session, frame.variant) for frame in some] == [
        ("0002", "s2", "Smile"),
        ("0002", "s2", "LightOn"),
    ]
    assert some.damaged == []


def test_nothing_is_read_before_it_is_asked_for(small: Path) -> None:
    found = KinectFaceDB(small, variants=["Neutral"])
    for path in small.rglob("*Neutral.txt"):
        path.write_text("damaged")
    assert len(found) == 4
    assert found.damaged == []
    assert list(found) == []
    assert len(found.damaged) == 4
    assert list(found) == []
    assert len(found.damaged) == 4  # named once, however often it is met


def test_damaged_and_missing_files_are_named_and_the_rest_goes_on(small: Path) -> None:
    (small / "0001/s1/Depth/DepthKinect/depth_0001_s1_Neutral.txt").write_text("192\t74\t")
    (small / "0001/s2/RGB/rgb_0001_s2_Neutral.bmp").write_bytes(b"BM")
    (small / "0002/s1/Mark/MarkRGB/rgb_0002_s1_Neutral_Points.txt").unlink()
    (small / "0002/s2/Depth/DepthKinect/depth_0002_s2_Neutral.txt").unlink()
    data = KinectFaceDB(small, variants=["Neutral"])
    frames = {frame.name: frame for frame in data}
    assert list(frames) == ["0001_s2_Neutral", "0002_s1_Neutral"]
    assert frames["0001_s2_Neutral"].picture is None
    assert frames["0001_s2_Neutral"].marks is not None
    assert frames["0002_s1_Neutral"].marks is None
    assert len(data.damaged) == 4
    for name in ("depth_0001_s1_Neutral.txt", "rgb_0001_s2", "rgb_0002_s1_Neutral_Points", "depth_0002_s2"):
        assert sum(name in line for line in data.damaged) == 1, name
    for key in (("0001", "s1", "Neutral"), ("0001", "s2", "Neutral"), ("0002", "s1", "Neutral"), ("0009", "s1", "x")):
        with pytest.raises(KitError, match=key[0]):
            data.read(*key)


def test_doubled_root_thumbnails_and_case_do_not_matter(small: Path, tmp_path: Path) -> None:
    doubled = tmp_path / "EURECOM_Kinect_Face_Dataset" / "EURECOM_Kinect_Face_Dataset"
    doubled.parent.mkdir()
    small.rename(doubled)
    for path in list(doubled.rglob("*.bmp")):
        path.rename(path.with_suffix(".BMP"))
        (path.parent / "Thumbs.db").write_bytes(b"\xd0\xcf")
    for path in list(doubled.rglob("*.txt")):
        path.rename(path.with_name(path.name.upper()))
    (doubled / "0001" / "s1" / "RGB").rename(doubled / "0001" / "s1" / "rgb")
    (doubled / "Thumbs.db").write_bytes(b"\xd0\xcf")
    (doubled / "0003").write_text("a file")
    for root in (tmp_path, doubled.parent, doubled):
        data = KinectFaceDB(root, variants=["Neutral", "Smile"])
        assert len(list(data)) == 8
        assert all(frame.picture is not None and frame.marks is not None for frame in data)
        assert data.damaged == []


def test_simulated_frames_say_so(small: Path) -> None:
    mark_simulated(small, {"seed": 7})
    data = KinectFaceDB(small)
    assert data.simulated
    assert all(frame.simulated for frame in data)


def test_what_is_no_data_set_or_not_in_it_is_refused(small: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for root in (tmp_path / "empty", tmp_path / "none"):
        with pytest.raises(KitError, match=str(root)):
            KinectFaceDB(root)
        assert not kinectfacedb.is_kinectfacedb(root)
    with pytest.raises(KitError, match="0009"):
        KinectFaceDB(small, people=["0009"])
    with pytest.raises(KitError, match=r"Grin.*OcclusionPaper"):
        KinectFaceDB(small, variants=["Grin"])


def test_writing_refuses_what_the_layout_cannot_hold(tmp_path: Path, rng: np.random.Generator) -> None:
    good = frame(rng)
    write_variant(tmp_path, good)
    with pytest.raises(KitError, match="already there"):
        write_variant(tmp_path, good)
    write_variant(tmp_path, good, overwrite=True)
    for wrong in (
        frame(rng, "Grin"),
        frame(rng, person="1"),
        RecordedFrame("a", good.depth[:9], person="0001", session="s1", variant="Smile"),
        RecordedFrame("a", good.depth, unit_mm=0.1, person="0001", session="s1", variant="Smile"),
    ):
        with pytest.raises(KitError):
            write_variant(tmp_path, wrong)
