"""The SDK's software device as a camera: depth and colour sensors, and frames pushed into them by hand."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.realsense_sdk import realsense_sdk


class SoftwareCamera:
    """Two pinhole cameras without distortion side by side: depth, and colour ``baseline_mm`` to its right."""

    def __init__(
        self,
        width: int = 64,
        height: int = 48,
        *,
        colour_width: int | None = None,
        colour_height: int | None = None,
        focal: float = 60.0,
        colour_focal: float | None = None,
        baseline_mm: float = 0.0,
        depth_units: float = 0.001,
        colour_format: str | None = "rgb8",
    ) -> None:
        rs = realsense_sdk()
        self.rs = rs
        self.device = rs.software_device()
        self.device.register_info(rs.camera_info.name, "Software camera")
        self.depth_sensor = self.device.add_sensor("Stereo Module")
        self.depth_units = depth_units
        self.depth_profile = self._stream(self.depth_sensor, rs.stream.depth, rs.format.z16, 1, width, height, focal)
        self.depth_sensor.add_read_only_option(rs.option.depth_units, depth_units)
        self.colour_sensor: Any = None
        if colour_format is not None:
            self.colour_sensor = self.device.add_sensor("RGB Camera")
            self.colour_profile = self._stream(
                self.colour_sensor,
                rs.stream.color,
                getattr(rs.format, colour_format),
                2,
                colour_width or width,
                colour_height or height,
                colour_focal or focal,
            )
            beside = rs.extrinsics()
            beside.rotation = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
            beside.translation = [-baseline_mm / 1000, 0.0, 0.0]
            self.depth_profile.register_extrinsics_to(self.colour_profile, beside)

    def _stream(self, sensor: Any, kind: Any, pixel: Any, number: int, width: int, height: int, focal: float) -> Any:
        rs = self.rs
        intrinsics = rs.intrinsics()
        intrinsics.width, intrinsics.height = width, height
        intrinsics.fx = intrinsics.fy = focal
        intrinsics.ppx, intrinsics.ppy = (width - 1) / 2, (height - 1) / 2
        intrinsics.model, intrinsics.coeffs = rs.distortion.none, [0.0] * 5
        stream = rs.video_stream()
        stream.type, stream.fmt, stream.index, stream.uid, stream.fps = kind, pixel, 0, number, 30
        stream.width, stream.height, stream.intrinsics = width, height, intrinsics
        stream.bpp = {rs.format.z16: 2, rs.format.rgb8: 3, rs.format.bgr8: 3, rs.format.yuyv: 2}[pixel]
        return sensor.add_video_stream(stream).as_video_stream_profile()

    def push_depth(self, depth: npt.NDArray[np.uint16], number: int, timestamp_ms: float) -> None:
        self._push(self.depth_sensor, self.depth_profile, depth, depth.shape[1] * 2, 2, number, timestamp_ms)

    def push_colour(self, colour: npt.NDArray[np.uint8], number: int, timestamp_ms: float) -> None:
        bpp = colour.shape[2]
        self._push(self.colour_sensor, self.colour_profile, colour, colour.shape[1] * bpp, bpp, number, timestamp_ms)

    def _push(
        self, sensor: Any, profile: Any, pixels: Any, stride: int, bpp: int, number: int, timestamp_ms: float
    ) -> None:
        frame = self.rs.software_video_frame()
        frame.pixels, frame.stride, frame.bpp = np.ascontiguousarray(pixels), stride, bpp
        frame.frame_number, frame.timestamp = number, timestamp_ms
        frame.domain, frame.profile = self.rs.timestamp_domain.hardware_clock, profile
        if bpp == 2 and sensor is self.depth_sensor:
            frame.depth_units = self.depth_units
        sensor.on_video_frame(frame)


class Pushing:
    """Frames pushed from a thread of their own, as a camera does, from when the streams have been opened."""

    def __init__(
        self,
        camera: SoftwareCamera,
        depths: list[npt.NDArray[np.uint16]],
        colours: list[npt.NDArray[np.uint8]],
        *,
        interval_s: float = 0.01,
        colour_late_ms: float = 5.0,
    ) -> None:
        self._work = (camera, depths, colours, interval_s, colour_late_ms)
        self._thread = threading.Thread(target=self.push)

    def push(self) -> None:
        """What the thread does."""
        camera, depths, colours, interval_s, late_ms = self._work
        time.sleep(0.2)  # until the reader has started the sensors
        for index in range(max(len(depths), len(colours))):
            at_ms = 1000 + index * 1000 / 30
            if index < len(depths):
                camera.push_depth(depths[index], index + 1, at_ms)
            if index < len(colours):
                camera.push_colour(colours[index], index + 1, at_ms + late_ms)
            time.sleep(interval_s)

    def __enter__(self) -> Pushing:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
