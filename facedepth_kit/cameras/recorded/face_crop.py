"""From a recorded frame to a face crop in the kit's convention, and back without losing the frame's own values.

:func:`find_face` looks for the face in the frame's picture, :func:`crop_face` cuts a square around it and resamples it
to 256x256 with 25 cm from the nearest face point; :func:`restore_face` carries an enhancer's changes back into a copy
of the frame. The rules, in one place:

- The square is centred on the face box; its side is the box's longer side divided by ``fill`` (0.8: a face fills
  0.72 to 0.94 of the kit's training images). Without a box the frame is the face crop and its longer side the square's.
- Near is the nearest point of the face's own surface, less 5 mm; specks and things held before the face do not count.
- Resampling never mixes holes, nor depths further apart than 20 mm, into a pixel.
- Back in the frame a measured pixel changes by what the enhancer changed (so nothing is lost to resampling) and, where
  it did, loses the fine noise that an enlarged crop no longer shows. A hole takes the enhancer's value, and what the
  enhancer calls a hole stays as it was measured. Measured pixels outside the 25 cm stay, too. Only the face changes:
  the surface in the span with its gaps closed, and of that only what lies in the face outline (landmarks) or the box
  a little grown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import (
    CAMERA_SPAN_MM,
    SIZE,
    DepthImage,
    DepthRange,
    Mask,
    Picture,
    check_depth,
    from_millimetres,
    to_millimetres,
)
from facedepth_kit.faces.detection import BROWS, LANDMARKS, Box, Face, detect_face, to_grey

Points = npt.NDArray[np.float64]
FloatArray = npt.NDArray[np.float32]
Coordinates = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int32]

FILL = 0.8
JUMP_MM = 20.0
NEAR_MARGIN_MM = 5.0
REACH_MM = 150.0
NOSE_MM = 60.0
SMALLEST_SIDE_PX = 16
LARGEST_KERNEL_PX = 64


class Square(NamedTuple):
    """A square of a frame, in its pixels and from their edges; it may reach beyond the frame."""

    left: float = 0.0
    top: float = 0.0
    side: float = float(SIZE)

    @property
    def step(self) -> float:
        """How many pixels of the frame a pixel of the crop is wide."""
        return self.side / SIZE

    @property
    def box(self) -> Box:
        """The square in whole pixels: left, top, right, bottom (right and bottom exclusive)."""
        left, top = round(self.left), round(self.top)
        return left, top, left + round(self.side), top + round(self.side)

    def into(self, points: npt.NDArray[np.floating]) -> Points:
        """Points (..., 2) of the frame in pixels of the crop; (0, 0) is the centre of the top left pixel."""
        return np.asarray((np.asarray(points, np.float64) + 0.5 - self[:2]) * (SIZE / self.side) - 0.5)

    def cut_picture(self, picture: npt.NDArray[np.generic]) -> Picture:
        """The square of a picture (uint8 or uint16, grey or RGB) as uint8 (256, 256) or (256, 256, 3)."""
        seen = np.asarray(picture, np.uint8) if picture.dtype == np.uint8 else to_grey(picture)
        # What reducing averages reaches beyond the square; the rest of the frame need not be looked at.
        reach = self.step + 2
        rows = _inside(self.top - reach, self.side + 2 * reach, seen.shape[0])
        columns = _inside(self.left - reach, self.side + 2 * reach, seen.shape[1])
        part = np.ascontiguousarray(seen[rows, columns])
        if self.step > 1.5:
            part = np.asarray(cv2.GaussianBlur(part, (0, 0), self.step / 3), np.uint8)
        # Pixel k of the crop has its centre at (k + 0.5) * step + left - 0.5 in the frame's index coordinates.
        x, y = self.left - columns.start + self.step / 2 - 0.5, self.top - rows.start + self.step / 2 - 0.5
        back = np.array([[self.step, 0, x], [0, self.step, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(part, back, (SIZE, SIZE), flags=flags), np.uint8)


WHOLE = Square()


@dataclass(frozen=True, eq=False)
class FaceCrop:
    """The face of a recorded frame: what enhancers are given and evaluations measure.

    ``name``, ``person``, ``session``, ``variant``, ``simulated`` and ``unit_mm`` are the frame's. ``depth`` is uint16
    (256, 256) with hole 65535 over ``depth_range``; ``square`` is where it was cut from, in a frame of ``frame_size``
    (width, height) pixels. In pixels of the crop:
    ``mask`` bool (256, 256), the hull of the landmarks, where the face is measured; ``landmarks`` float64 (68, 2),
    ``marks`` (n, 2) the data set's own points; ``outline`` (m, 2) a polygon on the face with half of its forehead, to
    show it by; ``picture`` the aligned colour or infrared picture, uint8 (256, 256[, 3]). ``writable`` is a mask of the
    frame's size: the pixels that :func:`restore_face` may change. None stands for what there is not.
    """

    name: str
    depth: DepthImage
    depth_range: DepthRange
    square: Square = WHOLE
    unit_mm: float = 1.0
    mask: Mask | None = None
    landmarks: Points | None = None
    marks: Points | None = None
    outline: Points | None = None
    picture: Picture | None = None
    writable: Mask | None = None
    person: str = ""
    session: str = ""
    variant: str = ""
    simulated: bool = False
    frame_size: tuple[int, int] = (SIZE, SIZE)

    @property
    def shown(self) -> Mask:
        """Where the face is, its forehead too, bool (256, 256); all of the crop without an outline."""
        return np.ones((SIZE, SIZE), np.bool_) if self.outline is None else face_mask(self.outline)


def describe_crop(
    frame: RecordedFrame, depth: DepthImage, depth_range: DepthRange, square: Square, face: Face | None = None
) -> FaceCrop:
    """A crop of a frame with all that lies in its square: picture, marks and, where a face is given, landmarks."""
    crop = FaceCrop(
        frame.name,
        depth,
        depth_range,
        square,
        frame.unit_mm,
        marks=None if frame.marks is None else square.into(frame.marks),
        picture=None if frame.picture is None else square.cut_picture(frame.picture),
        person=frame.person,
        session=frame.session,
        variant=frame.variant,
        simulated=frame.simulated,
        frame_size=(frame.depth.shape[1], frame.depth.shape[0]),
    )
    if face is None:
        return crop
    landmarks = square.into(face.landmarks)
    return replace(crop, mask=face_mask(landmarks), landmarks=landmarks, outline=square.into(_shown_outline(face)))


def _shown_outline(face: Face) -> Points:
    """The landmarks and half of the forehead: hair, which sensors like to lose, is no face."""
    raised = face.outline[LANDMARKS:]
    return np.concatenate([face.landmarks, (face.landmarks[BROWS] + raised) / 2])


def face_mask(landmarks: npt.NDArray[np.floating], shape: tuple[int, ...] = (SIZE, SIZE)) -> Mask:
    """The convex hull of landmarks (n, 2), pixels, as a mask of ``shape`` (height, width); parts outside are cut."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks).astype(np.int32)), 1)
    return mask > 0


def face_square(box: Box, fill: float = FILL) -> Square:
    """The square around a face box, which fills ``fill`` of it."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) / fill
    return Square((left + right - side) / 2, (top + bottom - side) / 2, side)


def find_face(frame: RecordedFrame) -> Face:
    """The face that Dlib finds in the frame's picture. Raises :class:`KitError` without a picture or a face in it."""
    if frame.picture is None:
        raise KitError("found no aligned picture")
    face = detect_face(frame.picture)
    if face is None:
        raise KitError("found no face in the picture (Dlib)")
    return face


def crop_face(frame: RecordedFrame, face: Face | Box | None = None, *, fill: float = FILL) -> FaceCrop:
    """Cut the face out of a frame.

    ``face`` is what :func:`find_face` found, or its box (left, top, right, bottom) in pixels, right and bottom
    exclusive, from hairline to chin and cheek to cheek; None takes the whole frame. Raises :class:`KitError` when the
    box is empty, outside the frame or too small, or holds no depth at all.
    """
    height, width = frame.depth.shape
    found = face if isinstance(face, Face) else None
    box: Box | None = face.box if isinstance(face, Face) else face
    left, top, right, bottom = inner = box if box is not None else (0, 0, width, height)
    if right <= left or bottom <= top or left >= width or top >= height or right <= 0 or bottom <= 0:
        given = f"{left} {top} {right} {bottom}"
        raise KitError(f"box: found {given}, expected left < right and top < bottom inside {width}x{height} pixels")
    square = face_square(inner, 1.0 if box is None else fill)
    if square.side < SMALLEST_SIDE_PX:
        raise KitError(f"box: found a face region of {square.side:.0f} pixels, expected at least {SMALLEST_SIDE_PX}")
    rows, columns = _inside(square.top, square.side, height), _inside(square.left, square.side, width)
    part_mm = frame.depth[rows, columns].astype(np.float32) * np.float32(frame.unit_mm)
    part_mm[frame.depth[rows, columns] == 0] = np.nan
    shifted = (left - columns.start, top - rows.start, right - columns.start, bottom - rows.start)
    labels, sizes = _pieces(part_mm)
    near_mm = _near(part_mm, shifted, labels, sizes)
    depth_range = DepthRange(near_mm, CAMERA_SPAN_MM)
    with np.errstate(invalid="ignore"):
        surface = (part_mm >= near_mm) & (part_mm <= near_mm + CAMERA_SPAN_MM)
    # What lies outside the span is no face: it must not be averaged into one.
    crop_mm = _resample(
        np.where(surface, part_mm, np.float32(np.nan)),
        _centres(square.left - columns.start, square.step, SIZE),
        _centres(square.top - rows.start, square.step, SIZE),
        step=square.step,
    )
    writable = np.zeros(frame.depth.shape, np.bool_)
    polygon = None if found is None else found.outline - np.array([columns.start, rows.start])
    solid = surface & (labels >= 0) & (sizes[labels] >= _smallest_piece((right - left) * (bottom - top)))
    # Specks beside the head are no face, unless holes or noise have left nothing but specks.
    area = solid if 2 * solid.sum() > surface.sum() else surface
    writable[rows, columns] = _face_area(area, None if box is None else shifted, polygon)
    crop = describe_crop(frame, from_millimetres(crop_mm, depth_range), depth_range, square, found)
    return replace(crop, writable=writable)


def cut_square(frame: RecordedFrame, square: Square) -> FloatArray:
    """A square of a frame as float32 (256, 256) millimetres, NaN = hole.

    What lies outside the frame is a hole. Holes and depths more than 20 mm apart are not mixed. Raises
    :class:`KitError` for an empty square.
    """
    if not square.side > 0:
        raise KitError(f"square: found a side of {square.side} pixels, expected more than 0")
    left, top, step = square.left, square.top, square.step
    return _resample(frame.millimetres(), _centres(left, step, SIZE), _centres(top, step, SIZE), step=step)


def restore_face(frame: RecordedFrame, enhanced: DepthImage, crop: FaceCrop) -> RecordedFrame:
    """The frame with an enhanced crop put back: a new depth array of the same shape, unit and hole value (0).

    ``enhanced`` is uint16 (256, 256). An unchanged crop gives the frame's depth back bit by bit. Raises
    :class:`KitError` when shapes or dtypes do not fit.
    """
    check_depth(enhanced, "enhanced crop")
    shape = None if crop.writable is None else crop.writable.shape
    if enhanced.shape != (SIZE, SIZE) or crop.writable is None or frame.depth.shape != shape:
        expected = f"{(SIZE, SIZE)} and {shape}"
        found = f"a crop of {enhanced.shape} and a frame of {frame.depth.shape}"
        raise KitError(f"restore: found {found}, expected {expected}")
    restored = frame.depth.copy()
    if np.array_equal(enhanced, crop.depth):
        return replace(frame, depth=restored)
    height, width = frame.depth.shape
    left, top, side = crop.square
    rows, columns = _inside(top, side, height), _inside(left, side, width)
    part = frame.depth[rows, columns]
    step = SIZE / side
    xs = _centres((columns.start - left) * step, step, part.shape[1])
    ys = _centres((rows.start - top) * step, step, part.shape[0])
    after_mm, before_mm = (to_millimetres(depth, crop.depth_range) for depth in (enhanced, crop.depth))
    with np.errstate(invalid="ignore"):
        part_mm = part.astype(np.float32) * np.float32(frame.unit_mm)
        beyond = part_mm - crop.depth_range.near_mm
        seen = (part > 0) & (beyond >= 0) & (beyond <= crop.depth_range.span_mm)
    change_mm = _resample(after_mm - before_mm, xs, ys, step=step, jump_mm=np.inf)
    fill_mm = _resample(after_mm, xs, ys, step=step)
    wanted_mm = np.where(part > 0, part_mm + change_mm, fill_mm)
    if side <= SIZE:
        wanted_mm = np.where(part > 0, wanted_mm - _fine_noise(part_mm, before_mm, change_mm, xs, ys, step), wanted_mm)
    write = crop.writable[rows, columns] & np.isfinite(wanted_mm) & (seen | (part == 0))
    # 0 means hole in the frame: a measured pixel must not become one by rounding.
    units = np.clip(np.rint(np.where(write, wanted_mm, 1) / frame.unit_mm), 1, 65535)
    restored[rows, columns] = np.where(write, units, part).astype(np.uint16)
    return replace(frame, depth=restored)


def _fine_noise(
    part_mm: FloatArray, before_mm: FloatArray, change_mm: FloatArray, xs: Coordinates, ys: Coordinates, step: float
) -> FloatArray:
    """What of a frame's pixels neither the crop shows nor their neighbours share, where the enhancer changed something.

    Interpolated there and back, a crop loses its pixels' fine part. What neighbours have in common of it is relief and
    stays; the rest is noise, which the enhancer could not see. Zero elsewhere; millimetres, the frame part's shape.
    """
    with np.errstate(invalid="ignore"):
        unseen = part_mm - _resample(before_mm, xs, ys, step=step)
        known = np.isfinite(unseen) & (np.abs(unseen) < JUMP_MM) & (np.abs(change_mm) > 0)
    weight = known.astype(np.float32)
    total, count = (cv2.blur(array, (3, 3)) for array in (np.where(known, unseen, 0).astype(np.float32), weight))
    shared = np.asarray(total) / np.maximum(np.asarray(count), np.float32(1 / 9))
    return np.where(known, unseen - shared, 0).astype(np.float32)


def _inside(start: float, side: float, length: int) -> slice:
    """The whole pixels of an axis of ``length`` that an interval touches."""
    return slice(max(int(np.floor(start)), 0), max(min(int(np.ceil(start + side)), length), 1))


def _centres(start: float, step: float, count: int) -> Coordinates:
    """Index coordinates (0 = centre of the first pixel) of the centres of ``count`` pixels of width ``step``."""
    return start + (np.arange(count, dtype=np.float64) + 0.5) * step - 0.5


def _near(depth_mm: FloatArray, box: Sequence[int], labels: Labels, sizes: npt.NDArray[np.intp]) -> float:
    """Nearest depth of the face's surface, less a margin.

    The face is the connected surface (steps below 20 mm) that fills most of the box about the median depth of its
    middle, with pieces (a nose amid holes) up to 6 cm before it. Specks and a hand further in front do not count.
    """
    left, top, right, bottom = (max(edge, 0) for edge in box)
    quarter_x, quarter_y = (right - left) // 4, (bottom - top) // 4
    middle = depth_mm[top + quarter_y : bottom - quarter_y, left + quarter_x : right - quarter_x]
    inner = depth_mm[top:bottom, left:right]
    for candidates in (middle, inner, depth_mm):
        valid = candidates[np.isfinite(candidates)]
        if valid.size >= max(4, candidates.size // 50):
            break
    if valid.size == 0:
        raise KitError("depth: found holes only in the face region, expected depth there")
    median = float(np.median(valid))
    face_box = np.zeros(depth_mm.shape, np.bool_)
    face_box[top:bottom, left:right] = True
    with np.errstate(invalid="ignore"):
        shares = np.bincount(labels[face_box & (np.abs(depth_mm - median) <= REACH_MM)], minlength=sizes.size)
    pieces = np.flatnonzero((shares > 0) & (sizes >= _smallest_piece(int(face_box.sum()))))
    if pieces.size == 0:
        return float(np.quantile(valid, 0.02)) - NEAR_MARGIN_MM
    nearest = {int(piece): max(float(depth_mm[labels == piece].min()), median - REACH_MM) for piece in pieces}
    face = nearest[int(pieces[np.argmax(shares[pieces])])]
    return min(near for near in nearest.values() if near >= face - NOSE_MM) - NEAR_MARGIN_MM


def _smallest_piece(pixels: int) -> int:
    """How many connected pixels of a face of so many are a surface; fewer are specks."""
    return max(4, pixels // 200)


def _pieces(depth_mm: FloatArray) -> tuple[Labels, npt.NDArray[np.intp]]:
    """Label (-1 = hole) of every pixel's connected surface, neighbours less than 20 mm apart, and the pieces' sizes."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    index = np.arange(depth_mm.size).reshape(depth_mm.shape)
    starts, ends = [], []
    with np.errstate(invalid="ignore"):
        for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:, :], np.s_[:-1, :])):
            joined = np.abs(depth_mm[a] - depth_mm[b]) < JUMP_MM
            starts.append(index[a][joined])
            ends.append(index[b][joined])
    start, end = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(start.size, np.int8), (start, end)), shape=(depth_mm.size, depth_mm.size))
    _, flat = connected_components(graph, directed=False)
    labels = np.where(np.isfinite(depth_mm), flat.reshape(depth_mm.shape), -1).astype(np.int32)
    return labels, np.bincount(labels[labels >= 0], minlength=int(flat.max()) + 1)


def _face_area(surface: Mask, box: Sequence[int] | None, outline: npt.NDArray[np.floating] | None) -> Mask:
    """Where the face may be written: the surface with its gaps closed, inside the outline or the box a little grown.

    Gaps up to an eighth of the face close at its rim, enclosed ones whatever their size. A pixel inside ``outline``
    (landmarks: certainly face) always counts.
    """
    height, width = surface.shape
    # A box may reach far beyond the frame; what is closed and grown need not.
    face_px = min(height, width) if box is None else min(max(box[2] - box[0], box[3] - box[1]), 2 * max(height, width))
    area = close_gaps(surface, max(face_px // 16, 1))
    if box is None:
        return area
    grow = round(0.08 * face_px)
    rows, columns = np.mgrid[0:height, 0:width]
    inside = (columns >= box[0] - grow) & (columns < box[2] + grow) & (rows >= box[1] - grow) & (rows < box[3] + grow)
    if outline is None:
        return area & inside
    hull = np.zeros(surface.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(np.rint(outline).astype(np.int32)), 1)
    grown = cv2.dilate(hull, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1)))
    sure = cv2.erode(hull, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow + 1, grow + 1)))
    return (area & (grown > 0)) | (sure > 0)


def close_gaps(surface: Mask, radius_px: int) -> Mask:
    """The mask with gaps up to twice ``radius_px`` closed, enclosed holes filled and only its largest piece kept."""
    padded = np.pad(surface.astype(np.uint8), radius_px + 1)
    closed = _closed(padded, radius_px)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=4)
    if count > 1:
        closed = (labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))).astype(np.uint8)
    _, outside = cv2.connectedComponents(1 - closed, connectivity=4)
    margin = radius_px + 1
    return np.asarray(outside != outside[0, 0])[margin:-margin, margin:-margin]


def _closed(mask: npt.NDArray[np.uint8], radius_px: int) -> npt.NDArray[np.uint8]:
    """A morphological closing by a disc. A kernel's time grows with its area, that of distances does not."""
    if radius_px <= LARGEST_KERNEL_PX:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))
        return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), np.uint8)
    near = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius_px
    inside = cv2.distanceTransform(near.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(inside > radius_px, np.uint8)


def _resample(
    values: FloatArray,
    xs: Coordinates,
    ys: Coordinates,
    *,
    step: float,
    jump_mm: float = JUMP_MM,
) -> FloatArray:
    """Values (NaN = hole) at the grid of index coordinates ``xs`` by ``ys``, float32 (len(ys), len(xs)).

    Enlarging (``step`` <= 1) interpolates between the four neighbours, reducing averages what falls into the new
    pixel; both leave out holes and whatever is more than ``jump_mm`` from the nearest pixel. A hole there, outside,
    or (reducing) in more than half of the pixel gives a hole.
    """
    if step <= 1:
        return _interpolate(values, xs, ys, jump_mm)
    count = min(int(np.ceil(step)), 8)
    shifts = ((np.arange(count) + 0.5) / count - 0.5) * step
    samples = np.stack([_nearest(values, xs + dx, ys + dy) for dy in shifts for dx in shifts])
    found = np.isfinite(samples)
    enough = np.isfinite(_nearest(values, xs, ys)) & (2 * found.sum(axis=0) > len(samples))
    middle = np.full(samples.shape[1:], np.nan, np.float32)
    middle[enough] = np.nanmedian(samples[:, enough], axis=0)
    with np.errstate(invalid="ignore"):
        used = np.abs(samples - middle) <= jump_mm
    total = np.where(used, samples, 0).sum(axis=0)
    return np.where(used.any(axis=0), total / np.maximum(used.sum(axis=0), 1), np.float32(np.nan)).astype(np.float32)


def _nearest(values: FloatArray, xs: Coordinates, ys: Coordinates) -> FloatArray:
    height, width = values.shape
    columns, rows = np.floor(xs + 0.5).astype(np.intp), np.floor(ys + 0.5).astype(np.intp)
    picked = values[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)[None, :]]
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None, :]
    return np.where(inside, picked, np.float32(np.nan))


def _interpolate(values: FloatArray, xs: Coordinates, ys: Coordinates, jump_mm: float) -> FloatArray:
    nearest = _nearest(values, xs, ys)
    height, width = values.shape
    left, top = np.floor(xs).astype(np.intp), np.floor(ys).astype(np.intp)
    weight_x, weight_y = xs - left, ys - top
    total = np.zeros(nearest.shape)
    weights = np.zeros(nearest.shape)
    for row, row_weight in ((top, 1 - weight_y), (top + 1, weight_y)):
        for column, column_weight in ((left, 1 - weight_x), (left + 1, weight_x)):
            near = values[np.clip(row, 0, height - 1)[:, None], np.clip(column, 0, width - 1)[None, :]]
            with np.errstate(invalid="ignore"):
                used = np.abs(near - nearest) <= jump_mm
            weight = np.where(used, row_weight[:, None] * column_weight[None, :], 0)
            total += weight * np.where(used, near, 0)
            weights += weight
    return np.where(np.isfinite(nearest) & (weights > 0), total / np.maximum(weights, 1e-9), np.nan).astype(np.float32)
