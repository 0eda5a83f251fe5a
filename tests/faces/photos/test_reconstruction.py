"""Photos of every kind become the same upright RGB; faces are found; every photo gets its answer, in order."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facedepth_kit.common.errors import KitError
from facedepth_kit.faces.people.appearance import coloured_person, draw_appearance
from facedepth_kit.faces.people.landmarks import landmarks_68_mm
from facedepth_kit.faces.people.parametric import FaceSettings, draw_face
from facedepth_kit.faces.photos.reconstruction import (
    INNER,
    INNER_RADIUS_MM,
    PhotoFace,
    covered_by,
    find_faces,
    photo_files,
    photo_size,
    read_photo,
    reconstruct,
)
from facedepth_kit.rendering.camera import Camera, project_points
from facedepth_kit.rendering.shading import Light, render_view
from tests.faces.sources import Bowls

Picture = npt.NDArray[np.uint8]
FRONTAL = FaceSettings(expressive_share=0.0, yaw_deg=(0.0, 0.0), pitch_deg=(0.0, 0.0), roll_deg=(0.0, 0.0))


def landscape() -> Picture:
    """Wider than high, no two corners alike."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30], picture[:20, 30:], picture[20:, :30] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    return picture


def corners(picture: Picture) -> list[tuple[int, ...]]:
    h, w = picture.shape[:2]
    return [tuple(picture[y, x].tolist()) for y in (h // 8, -h // 8) for x in (w // 8, -w // 8)]


def test_a_face_covers_the_pixels_of_its_triangles() -> None:
    corners = np.array([[2, 1, 0], [6, 1, 9], [6, 4, 0], [2, 4, 0]], np.float32)
    face = PhotoFace(corners, np.zeros((68, 3), np.float32))
    area = covered_by(face, np.array([[0, 1, 2], [0, 2, 3]], np.int32), (8, 10))
    expected = np.zeros((8, 10), np.bool_)
    expected[1:5, 2:7] = True
    np.testing.assert_array_equal(area, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_it_was_held(orientation: int, tmp_path: Path) -> None:
    upright = landscape()
    # What a camera stores so that a viewer, by the tag, shows `upright`.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "held.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "held.png"), upright)
    assert sorted(photo_size(tmp_path / "held.png")) == [40, 60]


def test_grey_deep_transparent_and_indexed_photos_become_rgb(tmp_path: Path) -> None:
    picture = landscape()
    grey = np.arange(60, dtype=np.uint8)[None].repeat(40, axis=0) * 4
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "grey.png"), grey[..., None].repeat(3, axis=2))

    deep = np.linspace(0, 65535, 60).astype(np.uint16)[None].repeat(40, axis=0)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.png")[..., 1], deep >> 8)
    cv2.imwrite(str(tmp_path / "deep.tif"), deep)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.tif")[..., 1], deep >> 8)
    colour = (picture.astype(np.uint16) * 257)[..., ::-1]
    cv2.imwrite(str(tmp_path / "deep_colour.png"), colour)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep_colour.png"), picture)
    cv2.imwrite(str(tmp_path / "infrared.png"), deep // 8)  # dark: stretched as the detector wants it
    assert read_photo(tmp_path / "infrared.png").max() == 255

    alpha = np.full((40, 60, 1), 255, np.uint8)
    alpha[:10] = 0
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(tmp_path / "clear.png")
    seen = read_photo(tmp_path / "clear.png")
    assert (seen[:10] == 255).all()
    np.testing.assert_array_equal(seen[10:], picture[10:])

    Image.fromarray(picture).quantize(16).save(tmp_path / "indexed.gif")
    np.testing.assert_allclose(read_photo(tmp_path / "indexed.gif"), picture, atol=2)
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    assert np.abs(np.subtract(corners(read_photo(tmp_path / "print.jpg")), corners(picture))).max() < 12


def test_large_jpegs_are_decoded_smaller_but_never_too_small(tmp_path: Path) -> None:
    large = np.asarray(cv2.resize(landscape(), (3000, 2000), interpolation=cv2.INTER_NEAREST), np.uint8)
    Image.fromarray(large).save(tmp_path / "large.jpg")
    assert read_photo(tmp_path / "large.jpg").shape == (2000, 3000, 3)
    reduced = read_photo(tmp_path / "large.jpg", enough_px=450)
    assert reduced.shape == (500, 750, 3)
    assert np.abs(np.subtract(corners(reduced), corners(large))).max() < 6
    assert photo_size(tmp_path / "large.jpg") == (3000, 2000)


def test_what_is_no_photo_is_one_line(tmp_path: Path) -> None:
    Image.fromarray(landscape()).save(tmp_path / "whole.jpg")
    Image.fromarray(landscape()).save(tmp_path / "whole.png")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name in ("whole.jpg", "whole.png"):
        data = (tmp_path / name).read_bytes()
        (tmp_path / f"short_{name}").write_bytes(data[: len(data) * 2 // 3])
    (tmp_path / "text.jpg").write_text("a letter")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    expected = {
        "short_whole.jpg": "no readable picture",
        "short_whole.png": "no readable picture",
        "text.jpg": "not a picture",
        "empty.jpg": "an empty file",
        "absent.jpg": "no such file",
        "folder.jpg": "found a folder",
        "float.tif": "found float32 pixels, expected 8 or 16 bits",
    }
    for name, reason in expected.items():
        with pytest.raises(KitError, match=reason) as raised:
            read_photo(tmp_path / name)
        assert str(raised.value).startswith(str(tmp_path / name))
        assert "\n" not in str(raised.value)


def test_photos_are_listed_in_order_without_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/2.png", "a/1.webp", ".hidden/x.png", "a/.y.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert [path.relative_to(tmp_path).as_posix() for path in photo_files(tmp_path)] == ["b.JPG", "a/1.webp", "a/2.png"]
    with pytest.raises(KitError, match="no such folder"):
        next(photo_files(tmp_path / "absent"))


def portrait(number: int, focal_px: float = 560.0, size: int = 320) -> tuple[Picture, npt.NDArray[np.float64]]:
    """A rendered person who does not exist, and where the 68 landmarks lie (0 = centre of the first pixel)."""
    rng = np.random.default_rng([11, number])
    face = draw_face(rng, FRONTAL)
    camera = Camera(distance_mm=800.0, focal_px=focal_px, centre_px=(size / 2, size / 2), size_px=size)
    view = render_view(coloured_person(face, draw_appearance(rng, face)), camera, Light())
    return view.picture, project_points(landmarks_68_mm(face), camera)


def test_a_face_is_found_whatever_the_photos_size() -> None:
    picture, landmarks = portrait(0)
    between_eyes = float(np.linalg.norm(landmarks[36] - landmarks[45]))
    for scale in (0.3, 1.0, 6.0):
        photo = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 2)
        (face,) = find_faces(np.asarray(photo, np.uint8))
        off = np.linalg.norm(face.landmarks - ((landmarks + 0.5) * scale - 0.5), axis=1) / (between_eyes * scale)
        assert np.median(off) < 0.06
        assert face.rectangle is not None
        middle = (np.array(face.rectangle[:2]) + face.rectangle[2:]) / 2
        assert np.abs(middle / scale - landmarks.mean(axis=0)).max() < 0.35 * between_eyes


def test_the_largest_face_or_all_or_the_whole_photo() -> None:
    near, _ = portrait(0)
    far, _ = portrait(1)
    photo = np.full((320, 700, 3), 80, np.uint8)
    photo[:, 380:] = near
    photo[60:220, 60:220] = cv2.resize(far, (160, 160), interpolation=cv2.INTER_AREA)
    found = find_faces(photo, "all")
    assert len(found) == 2
    assert found[0].box[0] > 350 > found[1].box[2]
    assert len(find_faces(photo)) == 1
    assert find_faces(photo)[0].box[0] > 350
    (whole,) = find_faces(photo, "whole")
    crop = Bowls().crop(photo, whole)
    assert crop.step * 255 == pytest.approx(700, abs=2)
    assert find_faces(np.full((300, 300, 3), 90, np.uint8)) == []


def test_every_photo_gets_its_answer_in_order(tmp_path: Path) -> None:
    names = [f"{number:02d}.png" for number in range(21)]
    for number, name in enumerate(names):
        colour = (255, 10, 10) if number in (3, 4) else (12 * number,) * 3
        Image.new("RGB", (30, 30), colour).save(tmp_path / name)
    (tmp_path / "07.png").write_bytes(b"no picture")
    source = Bowls()
    results = list(reconstruct((tmp_path / name for name in names), source, which="whole"))
    assert [result.path.name for result in results] == names
    assert [len(result.faces) for result in results] == [int(number not in (3, 4, 7)) for number in range(21)]
    assert "07.png" in results[7].problem
    assert max(source.batches) <= 8
    assert sum(source.batches) == 20
    depths = [float(np.ptp(result.faces[0].vertices_px[:, 2])) for result in results if result.faces]
    assert depths == sorted(depths)


def test_the_scale_is_the_parametric_faces_mean() -> None:
    radii = []
    for number in range(60):
        inner = landmarks_68_mm(draw_face(np.random.default_rng([4, number])))[INNER]
        radii.append(np.sqrt(((inner - inner.mean(axis=0)) ** 2).sum(axis=1).mean()))
    assert np.mean(radii) == pytest.approx(INNER_RADIUS_MM, rel=0.03)
