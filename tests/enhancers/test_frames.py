"""Enhancers on arrays of frames and of normalized images, without files."""

import numpy as np
import pytest

from facedepth_kit import enhancers
from facedepth_kit.cameras.recorded.frame import RecordedFrame
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import HOLE, DepthImage
from facedepth_kit.enhancers.frames import enhance_frame, enhance_normalized, recording_enhancer


def fill(crop: DepthImage) -> DepthImage:
    """A stand-in enhancer: every hole becomes the median of what is there."""
    return np.where(crop == HOLE, np.uint16(np.median(crop[crop != HOLE])), crop)


def test_a_frame_comes_back_with_its_face_filled() -> None:
    rows, columns = np.mgrid[0:120, 0:120] - 59.5
    squared = (rows**2 + columns**2) / 48**2
    depth = np.where(squared < 1, 680 - 80 * np.sqrt(np.maximum(1 - squared, 0)), 1000.0).astype(np.uint16)
    depth[60:66, 60:66] = 0
    given = depth.copy()
    result, crop = enhance_frame(RecordedFrame("a", depth), fill, (12, 12, 108, 108))
    np.testing.assert_array_equal(depth, given)
    assert crop.writable is not None
    assert (result.depth[crop.writable] > 0).all()
    with pytest.raises(KitError, match="holes only"):
        enhance_frame(RecordedFrame("a", np.zeros((64, 64), np.uint16)), fill)


def test_what_is_no_normalized_image_is_refused() -> None:
    with pytest.raises(KitError, match="uint16"):
        enhance_normalized(np.zeros((256, 256), np.float32), fill)
    with pytest.raises(KitError, match="expected \\(256, 256\\)"):
        enhance_normalized(np.zeros((2, 256, 256), np.uint16), fill)
    with pytest.raises(KitError, match="holes only"):
        enhance_normalized(np.full((256, 256), HOLE), fill)


def test_a_stack_of_crops_is_enhanced_as_single_ones() -> None:
    rng = np.random.default_rng(1)
    crops = rng.integers(20000, 30000, (2, 256, 256), dtype=np.uint16)
    crops[:, 100:120, 90:130] = HOLE
    for name in ("Telea", "De-M2", "DL-Kit-1"):
        if name in enhancers.available():
            enhance = recording_enhancer(name)
            together, alone = enhance(crops), np.stack([enhance(crop) for crop in crops])
            assert np.abs(together.astype(int) - alone).max() <= 1  # a network rounds batches its own way
