"""The hand-crafted enhancers of Table II: the RealSense SDK's own filters on arrays, without a camera (section IV-A).

A software device turns an array into the SDK's depth frame, the filter turns that into another frame, and a copy of its
data comes back. Between the two conventions of a hole lies one subtraction: the kit's value v travels as v + 1, so that
the hole 65535 wraps around to the SDK's hole 0 and the nearest point 0, which the SDK would take for a hole, arrives
as 1. The way back is v - 1. No value is lost, and the filters do not notice the shift: they take medians, floors of
means, minima, maxima, copies and differences of depths. One exception: see :class:`Spatial`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.realsense_sdk import realsense_sdk
from facedepth_kit.depth import HOLE, SIZE, DepthImage, check_depth

HoleFilling = Literal["left", "farthest", "nearest"]
SpatialHoleFilling = Literal["off", "2 pixels", "4 pixels", "8 pixels", "16 pixels", "unlimited"]
HoleUpscaling = Literal["value", "aware"]

_HOLE_FILLING: tuple[HoleFilling, ...] = ("left", "farthest", "nearest")
_SPATIAL_HOLE_FILLING: tuple[SpatialHoleFilling, ...] = (
    "off",
    "2 pixels",
    "4 pixels",
    "8 pixels",
    "16 pixels",
    "unlimited",
)


@dataclass(frozen=True)
class Decimation:
    """The SDK's decimation filter and the scaling back to full size that the paper adds (section IV-A1).

    ``magnitude`` 2..8 is the side of the window, px: up to 3 the lower median of its non-hole pixels, from 4 on the
    floor of their mean. Upscaling is bilinear; the paper does not say how holes take part in it. ``hole_upscaling``
    "value" takes the hole for the depth 65535 that it is stored as, as a general image library does: next to a
    remaining hole the result is drawn towards the background. "aware" leaves holes out of the sums and keeps a pixel a
    hole where most of the weight (half or more) falls on holes. The calibration and Table IV use "value".
    """

    magnitude: int = 2
    hole_upscaling: HoleUpscaling = "value"

    def __post_init__(self) -> None:
        if self.magnitude not in range(2, 9):
            raise KitError(f"decimation: found magnitude {self.magnitude}, expected 2 to 8")
        if self.hole_upscaling not in ("value", "aware"):
            raise KitError(f"decimation: found hole upscaling {self.hole_upscaling!r}, expected 'value' or 'aware'")


@dataclass(frozen=True)
class HoleFill:
    """The SDK's hole-filling filter (section IV-A2): each hole gets a neighbour's value, row by row from the left.

    "left": the pixel to the left. "farthest" and "nearest" (the paper's "Farest-" and "Nearest-From-Around"): the
    greatest or smallest of up, up-left, left, down-left and down, except in the first and last row and the first
    column, which the SDK skips. "nearest" fills nothing below a hole: the SDK starts from the pixel above and then
    takes smaller ones, and its hole is the smallest. Works in place: what is filled fills further holes.
    """

    mode: HoleFilling

    def __post_init__(self) -> None:
        if self.mode not in _HOLE_FILLING:
            raise KitError(f"hole filling: found mode {self.mode!r}, expected one of {', '.join(_HOLE_FILLING)}")


@dataclass(frozen=True)
class Spatial:
    """The SDK's edge-preserving spatial filter (section IV-A3); the defaults are the SDK's own.

    ``delta`` is in raw units, 1..50: next to nothing on depth stretched to 16 bits. ``hole_filling`` works along rows,
    in each iteration from the left and from the right; "16 pixels" fills 15 at a time, "unlimited" 254, and from the
    left never the last column. From the right the SDK takes its value 1, too, for a hole: so the nearest point goes in
    as 2, and comes back as 0 where it is still that. A hole below a depth of less than ``delta`` is smoothed with it.
    """

    hole_filling: SpatialHoleFilling = "off"
    alpha: float = 0.5
    delta: float = 20.0
    iterations: int = 2

    def __post_init__(self) -> None:
        if self.hole_filling not in _SPATIAL_HOLE_FILLING:
            raise KitError(
                f"spatial filter: found {self.hole_filling!r}, expected one of {', '.join(_SPATIAL_HOLE_FILLING)}"
            )
        if not (0.25 <= self.alpha <= 1 and 1 <= self.delta <= 50 and self.iterations in range(1, 6)):
            raise KitError(
                f"spatial filter: found alpha {self.alpha}, delta {self.delta}, {self.iterations} iterations, "
                "expected alpha 0.25..1, delta 1..50, 1..5 iterations"
            )


FilterSettings = Decimation | HoleFill | Spatial

TABLE_II: dict[str, FilterSettings] = {
    "De-M2": Decimation(2),
    "De-M8": Decimation(8),
    "Hf-FFA": HoleFill("farthest"),
    "Hf-NFA": HoleFill("nearest"),
    "Hf-L": HoleFill("left"),
    "Sp-Hf16": Spatial("16 pixels"),
    "Sp-HfU": Spatial("unlimited"),
}
# What section IV says in words: the spatial filter without hole filling (C), the other magnitudes of decimation (A).
REMARKED: dict[str, FilterSettings] = {
    "Sp": Spatial("off"),
    **{f"De-M{magnitude}": Decimation(magnitude) for magnitude in range(3, 8)},
}


class _Injector:
    """A software device with one depth stream: an array in, the SDK's depth frame out. For one thread only."""

    def __init__(self) -> None:
        rs = realsense_sdk()
        intrinsics = rs.intrinsics()
        intrinsics.width = intrinsics.height = SIZE
        intrinsics.ppx = intrinsics.ppy = SIZE / 2
        intrinsics.fx = intrinsics.fy = float(SIZE)  # the filters do not look at it
        intrinsics.model = rs.distortion.none
        intrinsics.coeffs = [0.0] * 5
        stream = rs.video_stream()
        stream.type, stream.fmt = rs.stream.depth, rs.format.z16
        stream.index, stream.uid, stream.fps, stream.bpp = 0, 1, 30, 2
        stream.width = stream.height = SIZE
        stream.intrinsics = intrinsics
        self._device = rs.software_device()  # kept: the sensor dies with it
        self._sensor = self._device.add_sensor("depth")
        self._profile = self._sensor.add_video_stream(stream).as_video_stream_profile()
        self._sensor.add_read_only_option(rs.option.depth_units, 0.001)
        self._queue = rs.frame_queue(1)
        self._sensor.open(self._profile)
        self._sensor.start(self._queue)
        self._count = 0
        self._filters: dict[FilterSettings, Any] = {}

    def filter(self, settings: FilterSettings) -> Any:
        """The SDK's filter object with these settings, made once."""
        if settings not in self._filters:
            self._filters[settings] = _make_filter(settings)
        return self._filters[settings]

    def process(self, settings: FilterSettings, raw: DepthImage) -> DepthImage:
        """Run a filter on one C-contiguous uint16 (256, 256) array in the SDK's convention (hole 0)."""
        rs = realsense_sdk()
        self._count += 1
        frame = rs.software_video_frame()
        frame.pixels = raw
        frame.stride, frame.bpp = SIZE * 2, 2
        frame.frame_number, frame.timestamp = self._count, float(self._count)
        frame.domain = rs.timestamp_domain.system_time
        frame.profile = self._profile
        self._sensor.on_video_frame(frame)
        # A copy, and no name for the frame: a filter stops once 16 of its output frames, or views of them, are alive.
        return np.array(self.filter(settings).process(self._queue.wait_for_frame()).get_data(), dtype=np.uint16)


_threads = threading.local()


def _injector() -> _Injector:
    if not hasattr(_threads, "injector"):
        _threads.injector = _Injector()
    injector: _Injector = _threads.injector
    return injector


def _make_filter(settings: FilterSettings) -> Any:
    rs = realsense_sdk()
    if isinstance(settings, Decimation):
        made = rs.decimation_filter()
        made.set_option(rs.option.filter_magnitude, settings.magnitude)
    elif isinstance(settings, HoleFill):
        made = rs.hole_filling_filter()
        made.set_option(rs.option.holes_fill, _HOLE_FILLING.index(settings.mode))
    else:
        made = rs.spatial_filter()
        made.set_option(rs.option.filter_smooth_alpha, settings.alpha)
        made.set_option(rs.option.filter_smooth_delta, settings.delta)
        made.set_option(rs.option.filter_magnitude, settings.iterations)
        made.set_option(rs.option.holes_fill, _SPATIAL_HOLE_FILLING.index(settings.hole_filling))
    return made


def filtered(depth: DepthImage, settings: FilterSettings) -> DepthImage:
    """Run one of the SDK's filters on a depth image or a stack.

    ``depth``: uint16 (256, 256) or (n, 256, 256), hole 65535; it is not modified. Returns a new array of the same
    shape and dtype. May be called from any thread: each has a device and filters of its own. Raises :class:`KitError`
    for another shape or dtype, or without the SDK.
    """
    check_depth(depth)
    injector = _injector()
    result = np.empty(depth.shape, np.uint16)
    one = np.uint16(1)
    for image, out in zip(depth.reshape(-1, SIZE, SIZE), result.reshape(-1, SIZE, SIZE), strict=True):
        given = image + one  # 65535 wraps around to the SDK's hole 0
        if isinstance(settings, Spatial):
            given[image == 0] = 2
        raw = injector.process(settings, np.ascontiguousarray(given))
        if isinstance(settings, Decimation):
            out[...] = _upscaled(raw, settings)
            continue
        np.subtract(raw, one, out=out)  # 0 wraps back to 65535
        if isinstance(settings, Spatial):
            out[(image == 0) & (raw == 2)] = 0
    return result


def decimated(depth: DepthImage, magnitude: int) -> DepthImage:
    """The decimation filter alone: uint16 (256, 256) to (256 // magnitude, 256 // magnitude), hole 65535."""
    check_depth(depth)
    raw = _injector().process(Decimation(magnitude), np.ascontiguousarray(depth + np.uint16(1)))
    return _without_padding(raw, magnitude) - np.uint16(1)


def _without_padding(raw: DepthImage, magnitude: int) -> DepthImage:
    # The SDK pads its output with zeros to a multiple of four; they are no holes of the image.
    side = SIZE // magnitude
    return raw[:side, :side]


def _upscaled(raw: DepthImage, settings: Decimation) -> DepthImage:
    """Decimated image in the SDK's convention to a full-sized depth image, bilinearly."""
    small = _without_padding(raw, settings.magnitude) - np.uint16(1)
    side = len(small) * settings.magnitude
    if settings.hole_upscaling == "value":
        large = np.rint(_bilinear(small, side)).astype(np.uint16)
    else:
        valid = small != HOLE
        weight, total = _bilinear(valid, side), _bilinear(np.where(valid, small, 0), side)
        kept = weight > 0.5
        large = np.full((side, side), HOLE)
        large[kept] = np.rint(total[kept] / weight[kept]).astype(np.uint16)
    # Magnitudes that do not divide 256 leave a rest of a few rows and columns: the last window's value goes on.
    return np.pad(large, (0, SIZE - side), mode="edge") if side < SIZE else large


def _bilinear(small: npt.NDArray[np.generic], side: int) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.resize(small.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
