"""Depth, errors and other numbers a pixel, as colour pictures (uint8 RGB)."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import CAMERA_SPAN_MM, FARTHEST, HOLE, DepthImage, DepthRange, Mask, Picture, from_millimetres

HOLE_COLOUR = (190, 190, 190)
RELIEF_HOLE_COLOUR = (38, 54, 84)

Millimetres = npt.NDArray[np.floating]


@cache
def _colour_table(name: str) -> Picture:
    import matplotlib as mpl

    return np.rint(np.asarray(mpl.colormaps[name](np.linspace(0, 1, 1024)))[:, :3] * 255).astype(np.uint8)


def colourize(
    depth: DepthImage,
    depth_range: DepthRange | None = None,
    *,
    limits: tuple[float, float] = (0.0, 1.0),
    relief: float = 0.35,
    colours: str = "viridis_r",
) -> Picture:
    """Depth as colour, near bright and far dark, lightly shaded so that the relief shows; holes are grey.

    ``depth`` is uint16 (..., height, width), the result uint8 RGB (..., height, width, 3). The colours run over
    ``limits`` (shares of the image's span; the same for all images, so that pictures compare); ``relief`` is how much
    of the brightness the shading may take (0: colour alone), with ``depth_range`` as in :func:`shaded_relief`.
    ``colours`` is a Matplotlib colour map, a perceptually uniform one by default.
    """
    table = _colour_table(colours)
    low, high = limits[0] * FARTHEST, limits[1] * FARTHEST
    index = (depth.astype(np.float32) - low) * ((len(table) - 1) / max(high - low, 1.0))
    picture = table[np.clip(index, 0, len(table) - 1).astype(np.intp)]
    if relief > 0:
        light = (1 - relief) + relief * _light(depth, depth_range, 1.0)
        picture = (picture * light[..., None]).astype(np.uint8)
    picture[depth == HOLE] = HOLE_COLOUR
    return picture


def shaded_relief(depth: DepthImage, depth_range: DepthRange | None = None, *, pixel_mm: float = 1.0) -> Picture:
    """The surface as a grey sculpture lit from the upper left; holes are dark blue.

    ``depth`` is uint16 (..., height, width), the result uint8 RGB (..., height, width, 3). Slopes are true to scale
    when ``depth_range`` is given and ``pixel_mm`` is the width of a pixel on the face (about 1 mm where a face fills
    256 pixels); without a range 25 cm is assumed, which makes images of a shorter span look steeper.
    """
    grey = np.rint(255 * (0.08 + 0.92 * _light(depth, depth_range, pixel_mm))).astype(np.uint8)
    picture = np.repeat(grey[..., None], 3, axis=-1)
    picture[depth == HOLE] = RELIEF_HOLE_COLOUR
    return picture


def _light(depth: DepthImage, depth_range: DepthRange | None, pixel_mm: float) -> npt.NDArray[np.float32]:
    """Lambert's cosine, 0..1, of the surface with a light from the upper left, 45 degrees above the image plane."""
    span_mm = CAMERA_SPAN_MM if depth_range is None else depth_range.span_mm
    steps = depth.astype(np.float32) * np.float32(span_mm / FARTHEST / pixel_mm)
    valid = depth != HOLE
    right, down = _slope(steps, valid, -1), _slope(steps, valid, -2)
    # The normal towards the camera is (right, down, -1); the light stands at (-1/2, -1/2, -1/sqrt 2).
    cosine = (np.float32(np.sqrt(0.5)) - (right + down) / 2) / np.sqrt(right * right + down * down + 1)
    return np.maximum(cosine, 0)


def _slope(steps: npt.NDArray[np.float32], valid: Mask, axis: int) -> npt.NDArray[np.float32]:
    """Mean of the differences to the two neighbours along ``axis``, over those that are not holes; 0 without any."""
    pairs = np.moveaxis(valid, axis, -1)
    values = np.moveaxis(steps, axis, -1)
    both = pairs[..., 1:] & pairs[..., :-1]
    difference = np.where(both, values[..., 1:] - values[..., :-1], 0)
    total = np.zeros(values.shape, np.float32)
    count = np.zeros(values.shape, np.float32)
    total[..., 1:] += difference
    total[..., :-1] += difference
    count[..., 1:] += both
    count[..., :-1] += both
    mean: npt.NDArray[np.float32] = (total / np.maximum(count, 1)).astype(np.float32)
    return np.moveaxis(mean, -1, axis)


def frame_picture(
    frame: npt.NDArray[np.generic], near_mm: float, *, unit_mm: float = 1.0, span_mm: float = CAMERA_SPAN_MM
) -> Picture:
    """A camera's frame (uint16 steps, 0 = hole; or float millimetres, NaN = hole) in colours from ``near_mm`` on.

    Holes and what lies beyond the span are grey, as everywhere in the kit.
    """
    depth_mm = np.asarray(frame, np.float64) * unit_mm
    depth_mm[~(depth_mm > 0)] = np.nan
    return colourize(from_millimetres(depth_mm, DepthRange(near_mm, span_mm)))


def error_picture(error_mm: Millimetres, limit_mm: float) -> Picture:
    """Errors in colours: blue measured too near, white right, red too far; black where there is none."""
    share = np.clip(np.nan_to_num(error_mm) / limit_mm, -1, 1)[..., None]
    near, middle, far = (np.array(colour, float) for colour in ((33, 80, 190), (245, 245, 245), (200, 30, 40)))
    picture = np.where(share < 0, middle + (near - middle) * -share, middle + (far - middle) * share)
    picture[np.isnan(error_mm)] = 25
    return np.rint(picture).astype(np.uint8)


def grey_picture(values: npt.NDArray[np.floating], limits: tuple[float, float] | None = None) -> Picture:
    """A map of numbers as grey, black where there is none (NaN).

    ``limits`` are the numbers shown darkest and brightest; by default the 1st and 99th percentile.
    """
    known = ~np.isnan(values)
    low, high = limits or (np.quantile(values[known], (0.01, 0.99)) if known.any() else (0.0, 1.0))
    grey = np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 215 + 40
    return np.repeat(np.where(known, np.nan_to_num(grey), 0).astype(np.uint8)[..., None], 3, axis=-1)


def position_map_pictures(position_map: npt.NDArray[np.floating]) -> tuple[Picture, ...]:
    """A position map (256, 256, 3), 0 where no face is, as pictures: x, y and z in grey, and all three as colour."""
    x, y, z = (grey_picture(np.where(axis != 0, axis, np.nan)) for axis in np.moveaxis(position_map, -1, 0))
    return x, y, z, np.stack([x[..., 0], y[..., 0], z[..., 0]], axis=-1)
