"""What ``facedepth live`` shows: the picture with its landmarks and the verdict, the face's depth before and after."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.depth import HOLE, SIZE, DepthImage, Picture
from facedepth_kit.evaluation.live import LiveFrame, Verdict
from facedepth_kit.faces.detection import to_grey
from facedepth_kit.plots.colours import shaded_relief

Colour = tuple[int, int, int]

LARGE = 480  # px: smaller pictures are enlarged to about this height
BAR = 64
DARK = 24
VERDICT_COLOURS: dict[Verdict, Colour] = {
    "no face": (150, 150, 150),
    "observing": (255, 221, 87),
    "bona fide": (120, 220, 130),
    "attack": (255, 105, 97),
}
# Colour and shape: valid landmarks, and each of the three rules.
VALID = ((120, 220, 130), cv2.MARKER_SQUARE, 2)
RULES: dict[str, tuple[Colour, int, int]] = {
    "hole": ((255, 70, 70), cv2.MARKER_TILTED_CROSS, 9),
    "before the nose": ((255, 165, 0), cv2.MARKER_TRIANGLE_DOWN, 8),
    "jaw": ((235, 110, 235), cv2.MARKER_DIAMOND, 8),
}
GREY = (200, 200, 200)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw(frame: LiveFrame) -> Picture:
    """The frame as a picture to look at, uint8 RGB: verdict and landmarks, beside it the depth before and after.

    Landmarks are coloured by the rule that they break. A picture is as large as the frame's (small ones are enlarged),
    with a column of two squares to its right and a bar of text below.
    """
    picture, scale = _background(frame)
    if frame.face is not None:
        left, top, right, bottom = (round(edge * scale) for edge in frame.face.box)
        cv2.rectangle(picture, (left, top), (right, bottom), VERDICT_COLOURS[frame.verdict], 2, cv2.LINE_AA)
        _marks(picture, (frame.face.landmarks + 0.5) * scale - 0.5, frame)
    height = picture.shape[0]
    given = None if frame.crop is None else frame.crop.depth
    squares = [_depth(given, frame, height // 2, "measured"), _depth(frame.depth, frame, height // 2, "enhanced")]
    column = np.concatenate([*squares, np.zeros((height % 2, height // 2, 3), np.uint8)])
    whole = np.concatenate([picture, column], axis=1)
    return np.concatenate([whole, _bar(frame, whole.shape[1])])


def open_window(title: str) -> Window | None:
    """A window to show pictures in, or None where there is no screen or nothing that draws on it."""
    for kind in (_OpenCvWindow, _MatplotlibWindow):
        try:
            return kind(title)
        except Exception:  # each toolkit has its own errors for a missing screen
            continue
    return None


class Window:
    """A window on the screen."""

    def show(self, picture: Picture) -> bool:
        """Show an RGB picture; False once the window has been closed (or Q or Escape pressed)."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the window; safe to call again."""
        raise NotImplementedError


class _OpenCvWindow(Window):
    def __init__(self, title: str) -> None:
        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE)  # headless builds of OpenCV raise here

    def show(self, picture: Picture) -> bool:
        cv2.imshow(self._title, picture[..., ::-1])
        pressed = cv2.waitKey(1) & 0xFF
        return pressed not in (27, ord("q")) and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        cv2.destroyAllWindows()


class _MatplotlibWindow(Window):
    def __init__(self, title: str) -> None:
        import matplotlib as mpl
        from matplotlib import pyplot as plt
        from matplotlib.backends.registry import BackendFilter, backend_registry

        able = set(backend_registry.list_builtin(BackendFilter.INTERACTIVE)) - {"nbagg", "webagg"}
        if mpl.get_backend().lower() not in {name.lower() for name in able}:
            raise RuntimeError("no screen")
        self._plt = plt
        with mpl.rc_context({"toolbar": "None"}):
            self._figure = plt.figure(title, frameon=False)
        self._image: Any = None
        self._open = True
        self._figure.canvas.mpl_connect("close_event", self._closed)
        self._figure.canvas.mpl_connect("key_press_event", self._pressed)
        plt.show(block=False)

    def show(self, picture: Picture) -> bool:
        if self._open and self._image is None:
            height, width = picture.shape[:2]
            self._figure.set_size_inches(width / self._figure.dpi, height / self._figure.dpi)
            axes = self._figure.add_axes((0, 0, 1, 1))
            axes.set_axis_off()
            self._image = axes.imshow(picture)
        if self._open:
            self._image.set_data(picture)
            self._figure.canvas.draw_idle()
            self._figure.canvas.flush_events()
        return self._open

    def close(self) -> None:
        self._plt.close(self._figure)

    def _closed(self, event: Any) -> None:
        self._open = False

    def _pressed(self, event: Any) -> None:
        self._open = self._open and event.key not in ("q", "escape")


def _background(frame: LiveFrame) -> tuple[Picture, float]:
    """The frame's picture (depth without one) as RGB of a decent size, and how much it was enlarged."""
    recorded = frame.frame
    if recorded.picture is None:
        grey = to_grey(recorded.depth)
    elif recorded.picture.ndim == 3:
        grey = np.asarray(recorded.picture, np.uint8)
    else:
        grey = to_grey(recorded.picture)
    colour = np.repeat(grey[..., None], 3, axis=2) if grey.ndim == 2 else grey.copy()
    scale = max(round(LARGE / colour.shape[0]), 1)
    if scale > 1:
        colour = np.asarray(cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.ascontiguousarray(colour), float(scale)


def _marks(picture: Picture, points: npt.NDArray[np.float64], frame: LiveFrame) -> None:
    broken = (
        {}
        if frame.pad is None
        else dict(zip(RULES, (frame.pad.hole, frame.pad.before_nose, frame.pad.jaw), strict=True))
    )
    for index, place in enumerate(np.rint(points).astype(int).tolist()):
        colour, shape, size = next((RULES[rule] for rule, hits in broken.items() if hits[index]), VALID)
        if frame.pad is None:
            colour = GREY
        cv2.drawMarker(picture, tuple(place), colour, shape, size, 2 if size > VALID[2] else 3, cv2.LINE_AA)


def _depth(depth: DepthImage | None, frame: LiveFrame, side: int, title: str) -> Picture:
    if depth is None or frame.crop is None:
        picture: Picture = np.full((side, side, 3), 40, np.uint8)
    else:
        relief = shaded_relief(depth, frame.crop.depth_range)
        picture = np.asarray(cv2.resize(relief, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
        if frame.crop.landmarks is not None and title == "enhanced":
            _marks(picture, (frame.crop.landmarks + 0.5) * (side / SIZE) - 0.5, frame)
    holes = "" if depth is None else f", {(depth == HOLE).mean():.0%} holes"
    _text(picture, f"{title}{holes}", (6, 16), 0.45, GREY)
    return picture


def _bar(frame: LiveFrame, width: int) -> Picture:
    bar = np.full((BAR, width, 3), DARK, np.uint8)
    _text(bar, frame.verdict, (10, 26), 0.8, VERDICT_COLOURS[frame.verdict], 2)
    facts = []
    if frame.pad is not None and frame.relief is not None:
        facts.append(f"nose {frame.relief.nose_mm:.1f} mm")
        facts.append(f"{int(frame.pad.invalid.sum())} of 68 landmarks invalid")
    if frame.distance_mm is not None:
        facts.append(f"{frame.distance_mm / 10:.0f} cm")
    if frame.frame.simulated:
        facts.append("SIMULATED")
    _text(bar, "   ".join(facts), (190, 25), 0.5, GREY)
    decision = "" if frame.accepted is None else "accepted" if frame.accepted else "rejected, "
    _text(bar, f"frame {frame.number} {decision}{frame.reason}", (10, 52), 0.45, GREY)
    if frame.pad is not None:
        x = width - 10
        for rule, (colour, shape, size) in reversed(RULES.items()):
            x -= cv2.getTextSize(rule, FONT, 0.45, 1)[0][0]
            _text(bar, rule, (x, 52), 0.45, colour)
            cv2.drawMarker(bar, (x - 10, 48), colour, shape, size, 2, cv2.LINE_AA)
            x -= 28
    return bar


def _text(picture: Picture, text: str, place: tuple[int, int], size: float, colour: Colour, width: int = 1) -> None:
    (long, high), below = cv2.getTextSize(text, FONT, size, width)
    x, y = place
    if text:
        picture[max(y - high - 3, 0) : y + below, max(x - 3, 0) : x + long + 3] = DARK
    cv2.putText(picture, text, place, FONT, size, colour, width, cv2.LINE_AA)
