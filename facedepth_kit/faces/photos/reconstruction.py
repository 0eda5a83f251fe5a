"""Photos in, 3D faces out: reading any picture file, finding faces, and what every source of meshes has in common."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import PHOTO_PX, refuse_irregular
from facedepth_kit.common.pictures import check_size, known_formats, too_large
from facedepth_kit.depth import Mask, Picture
from facedepth_kit.faces.detection import Face, detect_faces, to_grey
from facedepth_kit.faces.photos.position_map import BOX_GROWTH, Crop
from facedepth_kit.rendering.mesh import Mesh

FloatArray = npt.NDArray[np.float32]
Which = Literal["largest", "all", "whole"]

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".ppm", ".pgm"))
EXPECTED = "a photo (JPEG, PNG, TIFF, WebP, BMP, ..)"
# A photo does not say how large a face is. Faces are scaled so that the landmarks on eyes, brows, nose and mouth lie
# this far from their middle (root mean square): the mean of the parametric faces.
INNER_RADIUS_MM = 43.0
INNER = slice(17, 68)
DARK = 20_000  # 16-bit pictures with 99 % of their values below this come from infrared cameras, not from photos


@dataclass(frozen=True, eq=False)
class PhotoFace:
    """A 3D face where it lies in its photo.

    ``vertices_px`` float32 (V, 3): x to the right, y down, in photo pixels (0 = centre of the first pixel), z towards
    the camera in the same unit. ``landmarks_px`` float32 (68, 3) in Dlib's order.
    """

    vertices_px: FloatArray
    landmarks_px: FloatArray


class MeshSource(Protocol):
    """Something that makes 3D faces of photos, all with the same triangles in the same order."""

    @property
    def name(self) -> str:
        """Its name in tables."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever its meshes would: model, weights, topology."""

    @property
    def triangles(self) -> npt.NDArray[np.int32]:
        """int32 (T, 3) of ``vertices_px``, counter-clockwise seen from outside once y points up."""

    def crop(self, picture: Picture, face: Face) -> Crop:
        """The part of a photo that the model sees for a face."""

    def faces(self, crops: Sequence[Crop]) -> list[PhotoFace | None]:
        """The 3D face in each crop; None where the model sees none."""

    def mesh(self, face: PhotoFace) -> Mesh:
        """A face's surface in millimetres, ready to be rendered."""


def mesh_in_millimetres(vertices_px: FloatArray, triangles: npt.NDArray[np.int32], landmarks_px: FloatArray) -> Mesh:
    """A face's mesh in the kit's space: millimetres, y up, the middle of its bounding box at the origin.

    ``landmarks_px`` (68, 3) give the scale (``INNER_RADIUS_MM``). Raises :class:`KitError` where the points have no
    extent or are not finite.
    """
    inner = landmarks_px[INNER].astype(np.float64)
    radius = float(np.sqrt(((inner - inner.mean(axis=0)) ** 2).sum(axis=1).mean()))
    if not (np.isfinite(vertices_px).all() and np.isfinite(radius) and radius > 1e-6):
        raise KitError("mesh: found points without extent, expected a face")
    points = vertices_px * np.array([1, -1, 1], np.float32) * np.float32(INNER_RADIUS_MM / radius)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    return Mesh(np.ascontiguousarray(points - middle, np.float32), triangles)


def covered_by(face: PhotoFace, triangles: npt.NDArray[np.int32], shape: tuple[int, int]) -> Mask:
    """The pixels of a photo of ``shape`` (height, width) that a 3D face covers, bool."""
    import cv2

    area = np.zeros(shape, np.uint8)
    corners = np.rint(face.vertices_px[:, :2]).astype(np.int32)[triangles]
    for triangle in corners:
        cv2.fillConvexPoly(area, triangle, 1)
    return area.astype(np.bool_)


# --- Reading ------------------------------------------------------------------------------------------------------


def photo_files(folder: str | Path) -> Iterator[Path]:
    """The photos in a folder and its subfolders by the ending of their names, folder by folder in sorted order.

    Hidden files and folders do not count. Raises :class:`KitError` when there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise KitError(f"{folder}: found no such folder, expected one with photos")
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith("."):
                yield Path(place, name)


def photo_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a photo in pixels, from its header alone. Raises :class:`KitError` if there is none."""
    from PIL import Image

    refuse_irregular(Path(path), EXPECTED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=known_formats()) as photo:
                return photo.size
    except Exception as error:  # damaged files raise many kinds
        raise _unreadable(Path(path), error) from None


def read_photo(path: str | Path, *, enough_px: int | None = None) -> Picture:
    """A photo as uint8 RGB (height, width, 3), turned upright as its EXIF data say.

    Grey becomes three equal channels, 16 bits eight, transparency white; of an animation the first picture is taken.
    A JPEG whose shorter side has more than twice ``enough_px`` is decoded at half, a quarter or an eighth of its size,
    which takes a fraction of the time.
    Raises :class:`KitError` for a file that is missing, truncated, damaged, no picture or too large (``PHOTO_PX``).
    """
    from PIL import Image, ImageOps

    path = Path(path)
    refuse_irregular(path, EXPECTED)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's warning about large photos; far too large ones are refused below
            with Image.open(path, formats=known_formats()) as photo:
                check_size(path, *photo.size, PHOTO_PX)
                if enough_px is not None:
                    photo.draft(None, (enough_px, enough_px))
                photo.load()
                upright = ImageOps.exif_transpose(photo)
                if upright.mode.startswith(("I", "F")):
                    return _from_deep(path, np.asarray(upright))
                if upright.has_transparency_data:
                    paper = Image.new("RGBA", upright.size, "white")
                    upright = Image.alpha_composite(paper, upright.convert("RGBA"))
                return np.ascontiguousarray(np.asarray(upright.convert("RGB")))
    except KitError:
        raise
    except Exception as error:  # damaged files raise many kinds
        raise _unreadable(path, error) from None


def _from_deep(path: Path, values: npt.NDArray[np.generic]) -> Picture:
    """One channel of 16 bits (PIL may give 32) as RGB: by its high byte, or stretched where it is a dark infrared."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise KitError(f"{path}: found {values.dtype} pixels, expected 8 or 16 bits a channel")
    deep = values.astype(np.uint16)
    grey = to_grey(deep) if np.percentile(deep, 99) < DARK else (deep >> 8).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _unreadable(path: Path, error: Exception) -> KitError:
    if isinstance(error, FileNotFoundError):
        return KitError(f"{path}: found no such file, expected {EXPECTED}")
    if type(error).__name__ == "DecompressionBombError":
        return too_large(path, PHOTO_PX)
    reason = " ".join(str(error).replace(repr(str(path)), "it").split()) or type(error).__name__
    if "cannot identify" in reason:
        reason = "not a picture" if path.stat().st_size else "an empty file"
    return KitError(f"{path}: found no readable picture ({reason[:120]}), expected {EXPECTED}")


# --- Finding faces ------------------------------------------------------------------------------------------------


def find_faces(picture: Picture, which: Which = "largest") -> list[Face]:
    """The faces of a photo that are to be made 3D.

    "largest": the largest that Dlib finds, or none; "all": every one, largest first, looked for at twice the size;
    "whole": no search, the photo itself is the crop of a face (as MegaFace's tightly cropped ones).
    """
    if which == "whole":
        return [whole_face(picture)]
    found = detect_faces(picture, longest_side=1280 if which == "all" else 640)
    return found if which == "all" else found[:1]


def whole_face(picture: Picture) -> Face:
    """A photo that is the crop of a face: a box whose crop is the whole photo; landmarks are not known (NaN)."""
    height, width = picture.shape[:2]
    half = max(height, width) / BOX_GROWTH / 2
    low, high = (np.array([width, height]) / 2 + shift for shift in (-half, half))
    box = (round(low[0]), round(low[1]), round(high[0]), round(high[1]))
    return Face(box, np.full((68, 2), np.nan), 0.0)


@dataclass(frozen=True, eq=False)
class PhotoResult:
    """What became of a photo: its 3D faces (none where no face was found), or why it could not be read."""

    path: Path
    faces: tuple[PhotoFace, ...]
    problem: str = ""


# Photos are decoded to no less: a face of an eighth of that is still as large as the models' input.
ENOUGH_PX: dict[Which, int] = {"largest": 1500, "whole": 600, "all": 3000}
BATCH = 8


def reconstruct(
    paths: Iterable[str | Path], source: MeshSource, *, which: Which = "largest", batch: int = BATCH
) -> Iterator[PhotoResult]:
    """The 3D faces of photos, one result a photo in their order; unreadable ones come with the reason.

    Only the crops of at most ``batch`` faces and the current photo are in memory.
    """
    waiting: list[tuple[Path, int, str]] = []
    crops: list[Crop] = []
    for path in map(Path, paths):
        try:
            picture = read_photo(path, enough_px=ENOUGH_PX[which])
            found = [source.crop(picture, face) for face in find_faces(picture, which)]
            waiting.append((path, len(found), ""))
            crops += found
        except KitError as error:
            waiting.append((path, 0, str(error)))
        if len(crops) >= batch or not crops or len(waiting) >= 4 * batch:
            yield from _results(waiting, crops, source, batch)
            waiting, crops = [], []
    yield from _results(waiting, crops, source, batch)


def _results(
    waiting: Sequence[tuple[Path, int, str]], crops: Sequence[Crop], source: MeshSource, batch: int
) -> Iterator[PhotoResult]:
    faces: list[PhotoFace | None] = []
    for first in range(0, len(crops), batch):
        faces += source.faces(crops[first : first + batch])
    first = 0
    for path, count, problem in waiting:
        seen = tuple(face for face in faces[first : first + count] if face is not None)
        first += count
        yield PhotoResult(path, seen, problem)
