"""Pictures of others, against a second decoder."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from facedepth_kit.common.files import FRAME_PX
from facedepth_kit.common.pictures import decode_picture

KINDS = [(kind, 8, channels) for kind in (".png", ".bmp", ".tif") for channels in (1, 3, 4)]
KINDS += [(".jpg", 8, 1), (".jpg", 8, 3), (".png", 16, 1), (".png", 16, 3), (".tif", 16, 1)]


@pytest.mark.parametrize(("kind", "bits", "channels"), KINDS)
def test_pixels_are_those_that_opencv_decodes(kind: str, bits: int, channels: int, rng: np.random.Generator) -> None:
    values = rng.integers(0, 2**bits, (24, 31, channels))
    encoded = cv2.imencode(kind, values.astype(np.uint8) if bits == 8 else values.astype(np.uint16))[1]
    decoded = decode_picture(Path(f"x{kind}"), encoded.tobytes(), FRAME_PX, "a picture")
    expected = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    assert expected is not None
    assert decoded.dtype == expected.dtype
    np.testing.assert_array_equal(decoded, expected)
