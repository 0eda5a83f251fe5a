"""What the panels draw: pictures as PNG bytes, reliefs turned in space, profile lines as SVG."""

from __future__ import annotations

import html
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import FARTHEST, HOLE, DepthImage, DepthRange, Mask, Picture, from_millimetres
from facedepth_kit.faces.people.parametric import rotation
from facedepth_kit.plots.colours import colourize, shaded_relief
from facedepth_kit.rendering.camera import Camera
from facedepth_kit.rendering.mesh import Mesh
from facedepth_kit.rendering.zbuffer import rasterize

ERROR_LIMIT = 0.1  # share of the image's span from which an error map is at its brightest
CHANGE_LIMIT_MM = 8.0  # change of depth from which a difference picture is at its strongest
JUMP_MM = 15.0  # a step in depth between neighbouring pixels that is no surface
VIEW_MM = 700.0  # from where a turned relief is looked at
BEHIND = (246, 247, 249)
FILLED = (46, 157, 119)
STILL_OPEN = (190, 190, 190)
# Of one brightness and told apart by the colour-blind (Okabe and Ito).
LINES = ("#4d4d4d", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def png(picture: Picture) -> bytes:
    """A picture (height, width, 3) uint8 RGB as PNG; run lengths alone pack it half as well and twice as fast."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    ok, encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)
    assert ok
    return encoded.tobytes()


def views(depth: DepthImage, depth_range: DepthRange, *below: Picture) -> bytes:
    """A depth image (256, 256) in colour, below it as shaded relief, and further pictures of that size below: PNG."""
    return png(np.vstack([colourize(depth, depth_range), shaded_relief(depth, depth_range), *below]))


def error_map(depth: DepthImage, ground_truth: DepthImage) -> Picture:
    """How far each pixel of the face is off: black for nothing, bright from ``ERROR_LIMIT`` of the span on, grey
    outside.

    A hole counts as the farthest depth, as in the face RMSE. uint8 (height, width, 3).
    """
    off = np.minimum(cv2.absdiff(depth, ground_truth), np.uint16(FARTHEST))
    off[ground_truth == HOLE] = HOLE
    return colourize(off, limits=(0.0, ERROR_LIMIT), relief=0.0, colours="inferno")


def difference(depth: DepthImage, given: DepthImage, depth_range: DepthRange) -> Picture:
    """What an enhancer did to an image: red where it came nearer, blue where it went farther away, green where it
    filled a hole, grey where a hole is still open. uint8 (height, width, 3)."""
    change_mm = (depth.astype(np.float32) - given.astype(np.float32)) * np.float32(depth_range.span_mm / FARTHEST)
    share = np.clip(0.5 + change_mm / (2 * CHANGE_LIMIT_MM), 0, 1)
    picture = colourize((share * FARTHEST).astype(np.uint16), relief=0.0, colours="RdBu")
    picture[(given == HOLE) & (depth != HOLE)] = FILLED
    picture[depth == HOLE] = STILL_OPEN
    return picture


def turned(
    depth: DepthImage,
    depth_range: DepthRange,
    *,
    pixel_mm: float,
    yaw_deg: float,
    pitch_deg: float,
    size_px: int = 256,
) -> Picture:
    """The relief of a depth image seen from another side, coloured by depth: uint8 (size, size, 3).

    ``pixel_mm`` is the width of a pixel on the face; angles as of faces (yaw to the image's right, pitch chin down).
    Neighbours more than ``JUMP_MM`` apart are not joined, so holes and the rim stay open.
    """
    mesh = surface(depth, depth_range, pixel_mm)
    if not len(mesh.triangles):
        return np.full((size_px, size_px, 3), BEHIND, np.uint8)
    x, y, z = rotation(yaw_deg, pitch_deg, 0.0).T.astype(np.float32)
    # A matrix product this flat takes ten times as long.
    vertices = mesh.vertices_mm[:, :1] * x + mesh.vertices_mm[:, 1:2] * y + mesh.vertices_mm[:, 2:] * z
    side_mm = depth.shape[1] * pixel_mm
    camera = Camera(VIEW_MM, VIEW_MM * size_px / side_mm, (size_px / 2, size_px / 2), size_px)
    depth_mm, triangle = rasterize(Mesh(vertices, mesh.triangles), camera)
    seen = triangle >= 0
    if not seen.any():
        return np.full((size_px, size_px, 3), BEHIND, np.uint8)
    # Each point keeps the colour that it has from the front; only light and shade follow the turn.
    front = np.full(seen.shape, HOLE, np.uint16)
    front[seen] = depth.ravel()[mesh.triangles[triangle[seen], 0]]
    colours = colourize(front, relief=0.0).astype(np.float32)
    near_mm, far_mm = float(depth_mm[seen].min()), float(depth_mm[seen].max())
    span = DepthRange(near_mm, max(far_mm - near_mm, 1.0))
    grey = shaded_relief(from_millimetres(depth_mm, span), span, pixel_mm=side_mm / size_px)[..., :1]
    picture = (colours * (0.25 + 0.75 * grey.astype(np.float32) / 255)).astype(np.uint8)
    picture[~seen] = BEHIND
    return picture


def surface(depth: DepthImage, depth_range: DepthRange, pixel_mm: float) -> Mesh:
    """A depth image as triangles around its middle, in the face model's axes, millimetres; holes are left open."""
    rows, columns = np.indices(depth.shape, dtype=np.float32)
    height, width = depth.shape
    scale = np.float32(depth_range.span_mm / FARTHEST)
    z = (np.float32(FARTHEST / 2) - depth.astype(np.float32)) * scale
    vertices = np.stack([(columns - (width - 1) / 2) * pixel_mm, ((height - 1) / 2 - rows) * pixel_mm, z], axis=-1)
    corners = np.stack([z[:-1, :-1], z[1:, :-1], z[1:, 1:], z[:-1, 1:]])
    known = depth != HOLE
    whole = known[:-1, :-1] & known[1:, :-1] & known[1:, 1:] & known[:-1, 1:]
    whole &= corners.max(axis=0) - corners.min(axis=0) < JUMP_MM
    first = np.flatnonzero(np.pad(whole, ((0, 1), (0, 1)))).astype(np.int32)
    below, right = first + np.int32(width), first + np.int32(1)
    triangles = np.concatenate(
        [np.stack([first, below, below + 1], axis=1), np.stack([first, below + 1, right], axis=1)]
    )
    return Mesh(vertices.reshape(-1, 3).astype(np.float32), triangles)


def with_line(picture: Picture, place: int, direction: str) -> Picture:
    """A copy of a picture with the profile's line drawn in: a row or a column."""
    marked = picture.copy()
    along = (slice(place, place + 1), slice(None)) if direction == "row" else (slice(None), slice(place, place + 1))
    marked[along] = (213, 94, 0)
    return marked


def profile_svg(lines: Sequence[npt.NDArray[np.floating]], *, across: str, width: int = 344, height: int = 150) -> str:
    """Depth along a line as an SVG drawing: millimetres behind the nearest point, nearer is up; holes leave gaps.

    ``lines`` are float (n,) with NaN for a hole, all of one length, drawn in the colours of ``LINES``; ``across`` names
    the horizontal axis.
    """
    left, right, top, bottom = 30, 6, 8, 30
    inner_width, inner_height = width - left - right, height - top - bottom
    values = np.concatenate([np.asarray(line, float) for line in lines]) if lines else np.array([])
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    step = _round_step((high - low) / 3)
    low, high = np.floor(low / step) * step, max(np.ceil(high / step), np.floor(low / step) + 1) * step
    count = max((len(line) for line in lines), default=2)

    def x(place: float) -> float:
        return left + inner_width * place / max(count - 1, 1)

    def y(value: float) -> float:
        return top + inner_height * (value - low) / (high - low)

    ink, grid = "var(--jp-ui-font-color1, #333)", "var(--jp-border-color2, #ddd)"
    start = f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px" role="img" '
    parts = [start + f'aria-label="depth along the {html.escape(across)}" font-size="11" fill="{ink}">']
    for value in np.arange(low, high + step / 2, step):
        parts.append(
            f'<line x1="{left}" x2="{left + inner_width}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{grid}"/>'
            f'<text x="{left - 5}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for place in range(0, count, 64):
        parts.append(f'<text x="{x(place):.1f}" y="{top + inner_height + 13}" text-anchor="middle">{place}</text>')
    parts.append(
        f'<text x="{left + inner_width / 2}" y="{height - 4}" text-anchor="middle">{html.escape(across)}; '
        "depth in mm, near above</text>"
    )
    for number, line in enumerate(lines):
        colour = LINES[number % len(LINES)]
        for piece in _pieces(np.asarray(line, float)):
            points = " ".join(f"{x(place):.1f},{y(line[place]):.1f}" for place in piece)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
    return "".join(parts) + "</svg>"


def _round_step(step: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(step, 1e-6)))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999))


def _pieces(line: npt.NDArray[np.floating]) -> list[range]:
    """Runs of neighbouring finite values."""
    known = np.concatenate([[False], np.isfinite(line), [False]])
    edges = np.flatnonzero(known[1:] != known[:-1])
    return [range(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def with_landmarks(
    picture: Picture,
    points: npt.NDArray[np.floating],
    marks: Sequence[tuple[Mask, tuple[int, int, int]]],
    *,
    scale: int = 2,
    enlarge: bool = True,
    numbers: bool = False,
) -> Picture:
    """A picture with a dot for each point (n, 2) that bears one of the ``marks`` (mask, colour); later ones win.

    The picture is enlarged ``scale`` times first, or comes enlarged. ``numbers`` writes each point's number, from 1,
    beside it.
    """
    large = np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1) if enlarge else picture.copy()
    for mask, colour in marks:
        for place in np.flatnonzero(mask & np.isfinite(points).all(axis=1)):
            # In pixels of the enlarged picture, with three more bits for places between them.
            centre = [round(value * 8) for value in (points[place] + 0.5) * scale - 0.5]
            cv2.circle(large, centre, 5 * 8, (255, 255, 255), -1, cv2.LINE_AA, 3)
            cv2.circle(large, centre, 4 * 8, colour, -1, cv2.LINE_AA, 3)
            if numbers:
                at = (centre[0] // 8 + 6, centre[1] // 8 + 4)
                cv2.putText(large, str(place + 1), at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 3, cv2.LINE_AA)
                cv2.putText(large, str(place + 1), at, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (20, 20, 20), 1, cv2.LINE_AA)
    return large
