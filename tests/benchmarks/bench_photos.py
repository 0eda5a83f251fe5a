"""Speed of the photo's way: one photo to a pair, step by step, and several in a batch.

The goal on two cores: 250 ms or less for one photo once everything is loaded. PRNet runs with random values: its time
does not depend on them. With FACEDEPTH_FACE_MESH set, MediaPipe's face mesh runs beside it.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facedepth_kit.depth import own_range
from facedepth_kit.faces.people.parametric import draw_face
from facedepth_kit.faces.people.portraits import draw_portrait
from facedepth_kit.faces.photos.mediapipe_mesh import FaceMesh
from facedepth_kit.faces.photos.prnet import PRNet
from facedepth_kit.faces.photos.reconstruction import MeshSource, find_faces, read_photo, reconstruct
from facedepth_kit.faces.photos.unwrapping import StandIn
from facedepth_kit.pairs.store import SynthesisSettings, degrade_pair, render_mesh
from tests.faces.prnet_files import write_root

SIZES = {"0.1 megapixels": 320, "1 megapixel": 1000, "12 megapixels": 3464}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same rendered portrait as JPEG at three sizes."""
    folder = tmp_path_factory.mktemp("photos")
    picture = draw_portrait(draw_face(np.random.default_rng(5)), np.random.default_rng(6), size_px=1000).picture
    paths = {}
    for name, side in SIZES.items():
        paths[name] = folder / f"{side}.jpg"
        filtering = cv2.INTER_AREA if side < 1000 else cv2.INTER_CUBIC
        sized = np.asarray(cv2.resize(picture, (side, side), interpolation=filtering))
        Image.fromarray(sized).save(paths[name], quality=92)
    return paths


def milliseconds(work: Callable[[], object], rounds: int = 7) -> float:
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times))


def sources(folder: Path) -> list[MeshSource]:
    prefix = write_root(folder)
    found: list[MeshSource] = [PRNet(folder, checkpoint=prefix)]
    if os.environ.get("FACEDEPTH_FACE_MESH"):
        found.append(FaceMesh())
    return found


def test_one_photo_step_by_step(photos: dict[str, Path], tmp_path: Path) -> None:
    settings = SynthesisSettings()
    taken = draw_portrait(draw_face(np.random.default_rng(5)), np.random.default_rng(6))
    stand_in = StandIn(taken.face, taken.camera)
    crop = stand_in.crop(taken.picture, find_faces(taken.picture)[0])
    mesh = stand_in.mesh(stand_in.faces([crop])[0])  # type: ignore[arg-type]

    def pair() -> object:
        rng = np.random.default_rng(1)
        depth, depth_range = render_mesh(mesh, settings, rng)
        return degrade_pair(depth, depth_range, settings, rng)

    drawn = milliseconds(pair)
    print(f"\n{'ms, median':<44}{'read':>8}{'find':>8}{'3D':>8}{'pair':>8}{'all':>8}")
    for source in sources(tmp_path):
        for name, path in photos.items():
            picture = read_photo(path, enough_px=1500)
            (face,) = find_faces(picture)
            reading = milliseconds(lambda path=path: read_photo(path, enough_px=1500))  # type: ignore[misc]
            finding = milliseconds(lambda picture=picture: find_faces(picture))  # type: ignore[misc]
            making = milliseconds(
                lambda picture=picture, face=face, source=source: source.faces([source.crop(picture, face)])  # type: ignore[misc]
            )
            total = reading + finding + making + drawn
            row = f"{reading:>8.0f}{finding:>8.0f}{making:>8.0f}{drawn:>8.0f}{total:>8.0f}"
            print(f"{source.name + ', ' + name:<44}{row}")
    assert own_range(mesh.vertices_mm[:, 2]).span_mm > 0


def test_many_photos_in_batches(photos: dict[str, Path], tmp_path: Path) -> None:
    (source, *_) = sources(tmp_path)
    paths = [photos["1 megapixel"]] * 16
    print()
    for batch in (1, 4, 8, 16):
        took = milliseconds(lambda batch=batch: list(reconstruct(paths, source, batch=batch)), 3)  # type: ignore[misc]
        print(f"16 photos of 1 megapixel, {batch:>2} faces a batch: {took / 16:>6.0f} ms a photo")
