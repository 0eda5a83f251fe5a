"""Whether a table or picture that a run made says the same as the one that is there.

Another processor rounds the last bit of a number differently. A tracked file that agrees with the new one, but for
that, is kept, so that a rerun changes nothing in the repository.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.common.tables import same_but_for_rounding

# A patch of a picture has changed when the mean difference over it, of 255 levels, is more than this. One digit of a
# label that becomes another changes its patch by 25 and more, a pixel at an edge that falls the other way by less.
PATCH_PX = 16
LEVELS = 6.0


def unchanged(old: Path, new: Path) -> bool:
    """Whether ``new`` agrees with ``old``: a picture (PNG) to the eye, a table (CSV, Markdown) but for its last digits.

    Files of another kind must be equal byte for byte; without ``old`` the answer is no.
    """
    if not old.is_file():
        return False
    before, after = old.read_bytes(), new.read_bytes()
    if before == after:
        return True
    if old.suffix == ".png":
        return looks_the_same(_decoded(before), _decoded(after))
    if old.suffix in (".csv", ".md"):
        return same_but_for_rounding(before.decode("utf-8", "replace"), after.decode("utf-8", "replace"))
    return False


def looks_the_same(old: npt.NDArray[np.uint8] | None, new: npt.NDArray[np.uint8] | None) -> bool:
    """Whether two pictures, uint8 (height, width) or (height, width, channels), differ nowhere visibly."""
    if old is None or new is None or old.shape != new.shape:
        return False
    difference = cv2.absdiff(old, new)
    largest = difference if difference.ndim == 2 else difference.max(axis=2)
    return float(cv2.blur(largest.astype(np.float32), (PATCH_PX, PATCH_PX)).max()) <= LEVELS


def _decoded(content: bytes) -> npt.NDArray[np.uint8] | None:
    """The pixels of a PNG file; None for a damaged one."""
    return np.asarray(picture) if (picture := cv2.imdecode(np.frombuffer(content, np.uint8), -1)) is not None else None
