"""Enhancers on a camera's frames: the face is cut out, enhanced, joined to what was measured, and put back.

The rules of cutting out and putting back stand in :mod:`facedepth_kit.cameras.recorded.face_crop`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.face_crop import FaceCrop, crop_face, restore_face
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, SIZE, DepthImage, check_depth
from facedepth_kit.enhancers.learned import learned_enhancer
from facedepth_kit.enhancers.measured_bias import hold_measured, join_to_measured
from facedepth_kit.enhancers.memory import with_earlier
from facedepth_kit.faces.detection import Box, Face
from facedepth_kit.networks import fast

Enhance = Callable[[DepthImage], DepthImage]

DEFAULT_ENHANCER = "DL-Kit-1"


def enhance_frame(
    frame: RecordedFrame, enhance: Enhance, face: Face | Box | None = None
) -> tuple[RecordedFrame, FaceCrop]:
    """A camera's frame with its face enhanced, and the crop that was.

    ``enhance`` takes and gives a depth image (256, 256), such as :func:`recording_enhancer` returns; ``face`` is
    :func:`crop_face`'s. Raises :class:`KitError` as that does, and for frames of holes only.
    """
    crop = seen_face(frame, face)
    return restore_face(frame, enhance(crop.depth), crop), crop


def seen_face(frame: RecordedFrame, face: Face | Box | None = None) -> FaceCrop:
    """:func:`crop_face`, which refuses frames of holes only, too."""
    if not frame.depth.any():
        raise KitError("found holes only (every pixel is 0), expected depth")
    return crop_face(frame, face)


def enhance_crop(crop: FaceCrop, enhance: Enhance, earlier: Sequence[FaceCrop] = ()) -> DepthImage:
    """A crop enhanced after the ``earlier`` ones of its recording (:mod:`facedepth_kit.enhancers.memory`).

    What is measured in it stays within four standard deviations of its noise, as without them.
    """
    given = with_earlier(crop, earlier)
    enhanced = enhance(given)
    return enhanced if given is crop.depth else hold_measured(crop.depth, enhanced)


def enhance_normalized(depth: DepthImage, enhance: Enhance) -> DepthImage:
    """A depth image (256, 256) uint16 in the kit's convention, where the whole image is the face, enhanced.

    This is what Table IV measures. Raises :class:`KitError` for other shapes and for images of holes only.
    """
    check_depth(depth, "normalized image")
    if depth.ndim != 2:
        raise KitError(f"normalized image: found shape {depth.shape}, expected {(SIZE, SIZE)}")
    if (depth == HOLE).all():
        raise KitError("found holes only (every pixel is 65535), expected depth")
    return enhance(depth)


def recording_enhancer(name: str, *, runs_fast: bool = False) -> Enhance:
    """The enhancer of that name as it is used on recordings: (256, 256) or (n, 256, 256) in, the same out.

    A learned enhancer's output is joined to what was measured (:mod:`facedepth_kit.enhancers.measured_bias`).
    ``runs_fast``: through OpenVINO, where it is installed and the network exported; tables take TensorFlow always.
    Raises :class:`KitError` for an unknown name, and where weights or a package are missing.
    """
    enhancer = able_enhancer(name)
    if not carries_measured_bias(name):
        return enhancer.enhance
    enhance = learned_enhancer(name, runs_fast=True) if runs_fast and fast.exported(name) else enhancer.enhance
    return lambda depth: join_to_measured(depth, enhance(depth))


def carries_measured_bias(name: str) -> bool:
    """Whether that enhancer's output on recordings is corrected by the measured bias (ours), which tables must say."""
    return enhancers.get(name).kind == "learned"


def able_enhancer(name: str) -> enhancers.Enhancer:
    """The enhancer of that name. Raises :class:`KitError` for an unknown name and for one that cannot run here."""
    enhancer = enhancers.get(name)
    if name in enhancers.names() and name not in enhancers.available():
        able = ", ".join(enhancers.available())
        raise KitError(f"enhancer: found {name} without its weights or package, expected one that can run here: {able}")
    return enhancer
