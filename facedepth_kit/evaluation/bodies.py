"""Does a denoiser bring a camera's frames nearer to what many frames agree on? Pairs of noisy and fused depth, in mm.

The folder layout is that of DDRNet's data set: ``depth_map``, ``high_quality_depth`` and ``mask`` hold files of the
same names, 16-bit PNG in millimetres (0 = nothing) and 8-bit masks of the person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facedepth_kit.cameras.recorded.depth_files import read_frame, read_picture
from facedepth_kit.cameras.simulated.body_scenes import BodySceneSettings, draw_body_scene, sense
from facedepth_kit.common.errors import KitError
from facedepth_kit.depth import Mask
from facedepth_kit.networks.ddrnet import HIGH_MM

FloatArray = npt.NDArray[np.float32]
EDGE_PX = 4  # what lies nearer to the mask's rim or to a hole is left out of the inside


@dataclass(frozen=True)
class BodyPair:
    """One frame: ``noisy_mm`` and ``fused_mm`` float32 (h, w), NaN = nothing, and the person's ``mask``."""

    name: str
    noisy_mm: FloatArray
    fused_mm: FloatArray
    mask: Mask

    @property
    def compared(self) -> Mask:
        """The pixels of the person that both know."""
        return self.mask & np.isfinite(self.noisy_mm) & np.isfinite(self.fused_mm)


def read_body_pairs(folder: str | Path) -> Iterator[BodyPair]:
    """The pairs of a folder such as ``20170907/group1``, by name.

    Raises :class:`KitError` where a part of the layout is missing or a file is no picture of the expected kind.
    """
    folder = Path(folder)
    paths = sorted((folder / "depth_map").glob("*.png"))
    if not paths:
        raise KitError(f"{folder}: found no depth_map/*.png, expected depth_map, high_quality_depth and mask beside it")
    for path in paths:
        noisy, fused = (_millimetres(folder / part / path.name) for part in ("depth_map", "high_quality_depth"))
        picture = np.atleast_3d(read_picture(folder / "mask" / path.name))[..., 0]
        mask = np.asarray(picture != 0)
        if not noisy.shape == fused.shape == mask.shape:
            raise KitError(
                f"{path}: found shapes {noisy.shape}, {fused.shape} and {mask.shape}, expected three of the same"
            )
        yield BodyPair(path.stem, noisy, fused, mask)


def _millimetres(path: Path) -> FloatArray:
    frame = read_frame(path)
    return np.where(frame > 0, frame, np.nan).astype(np.float32)


def simulated_body_pairs(
    count: int, seed: int, settings: BodySceneSettings | None = None, *, size_px: int = 256
) -> Iterator[BodyPair]:
    """``count`` simulated people, (size_px, size_px): what a simulated camera measured beside what was there.

    The mask leaves out what lies beyond the network's far end, where everything is the same to it.
    """
    for index in range(count):
        rng = np.random.default_rng([seed, 3, index])
        truth = draw_body_scene(rng, settings, size_px=size_px)
        measured = sense(truth, rng, settings)
        with np.errstate(invalid="ignore"):
            mask = truth < HIGH_MM
        yield BodyPair(f"scene_{index:03d}", measured, truth, mask)


def bilateral(depth_mm: FloatArray) -> FloatArray:
    """What needs no learning: a bilateral filter over 9 px (20 mm, 3 px), holes kept; the rival of a denoiser."""
    seen = np.isfinite(depth_mm)
    # A hole, at 0, lies so far from any surface that it weighs nothing.
    smooth = cv2.bilateralFilter(np.where(seen, depth_mm, 0).astype(np.float32), 9, 20.0, 3.0)
    return np.where(seen, smooth, np.nan).astype(np.float32)


def distances(pair: BodyPair, outputs: Mapping[str, FloatArray]) -> dict[str, float | int | str]:
    """How far the frame and its denoised forms are from the fused one, over :attr:`BodyPair.compared`, in millimetres.

    Mean absolute error, root mean square and median, ``before`` and for every name of ``outputs``; and the mean
    absolute error once more for the inside, ``EDGE_PX`` away from every rim, where no displaced edge counts. Raises
    :class:`KitError` for a denoised frame of another shape, or with holes where there were none.
    """
    where = pair.compared
    framed = np.pad(where, 1).astype(np.uint8)  # beyond the picture nothing is known either
    inside = np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 5))[1:-1, 1:-1] > EDGE_PX
    row: dict[str, float | int | str] = {"frame": pair.name, "pixels": int(where.sum())}
    for word, depth in {"before": pair.noisy_mm, **outputs}.items():
        if depth.shape != pair.noisy_mm.shape:
            raise KitError(f"{pair.name}: found shape {depth.shape} ({word}), expected {pair.noisy_mm.shape}")
        if not np.isfinite(depth[where]).all():
            raise KitError(f"{pair.name}: found holes ({word}), expected none where the camera had measured")
        error = np.abs(depth.astype(np.float64) - pair.fused_mm)
        row[f"mae_mm_{word}"] = float(error[where].mean())
        row[f"rmse_mm_{word}"] = float(np.sqrt(np.square(error[where]).mean()))
        row[f"median_mm_{word}"] = float(np.median(error[where]))
        row[f"inside_mae_mm_{word}"] = float(error[inside].mean()) if inside.any() else float("nan")
    return row


def compare(
    pairs: Iterable[BodyPair], denoisers: Mapping[str, Callable[[FloatArray], FloatArray]]
) -> list[dict[str, float | int | str]]:
    """:func:`distances` of every pair, for every denoiser."""
    return [distances(pair, {name: run(pair.noisy_mm) for name, run in denoisers.items()}) for pair in pairs]
