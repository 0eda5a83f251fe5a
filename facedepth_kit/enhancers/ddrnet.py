"""DDRNet-dn, the denoising part of DDRNet (Yan et al. 2018), as an enhancer (section IV-B of the Schlett paper).

Its weights come from the checkpoint that its authors published, where the user has fetched it, or else from a stand-in
that this kit trained on simulated people (``pairs/body_batches.py``): that one's numbers are not comparable.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import data_dir
from facedepth_kit.common.quiet import quiet_tensorflow
from facedepth_kit.depth import (
    CAMERA_SPAN_MM,
    FARTHEST,
    HOLE,
    SIZE,
    DepthImage,
    DepthRange,
    check_depth,
    to_millimetres,
)
from facedepth_kit.networks.cards import load_checked, network_files
from facedepth_kit.networks.ddrnet import NAME, build_ddrnet, denormalise, normalise, official_variables
from facedepth_kit.networks.forward import compiled_forward
from facedepth_kit.networks.weights import checkpoint_files, load_tensorflow_checkpoint

FloatArray = npt.NDArray[np.float32]

PAD_PX = 8
BATCH = 4
PUBLISHED_STEM = "noBN_L1_sd100_B16-6000"
PUBLISHED_DATA_BYTES = 12_019_716
# Where an image's span is put when its millimetres are not known (see ddrnet_enhancer).
PLACEMENT = DepthRange(1000.0, CAMERA_SPAN_MM)


# --- Weights ------------------------------------------------------------------------------------------------------


def find_checkpoint(place: str | Path | None = None) -> Path | None:
    """The prefix of the published checkpoint, or None where there is none.

    ``place``: a prefix itself, or a folder that is searched with all its subfolders; without it the folder that
    FACEDEPTH_DDRNET names, or ``DDRNet`` in the data folder. Of several checkpoints the one with the published name
    counts, or else the last by name.
    """
    given = place or os.environ.get("FACEDEPTH_DDRNET") or data_dir() / "DDRNet"
    start = Path(given).expanduser()
    if start.with_name(f"{start.name}.index").is_file():
        return start
    if not start.is_dir():
        return None
    found = sorted(start.rglob("*.index"))
    found.sort(key=lambda path: path.stem == PUBLISHED_STEM)
    return found[-1].with_suffix("") if found else None


def checkpoint_state() -> str:
    """Which checkpoint would be used, with its size and time; empty for the stand-in. For whoever caches results."""
    prefix = find_checkpoint()
    if prefix is None:
        return ""
    stats = [path.stat() for path in checkpoint_files(prefix) if path.is_file()]
    return f"{prefix} {[(stat.st_size, stat.st_mtime_ns) for stat in stats]}"


# --- Use ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Denoiser:
    """DDRNet-dn with its weights; ``source`` is the published checkpoint's prefix, or None for the stand-in."""

    source: Path | None
    forward: Callable[[FloatArray], FloatArray]

    def __call__(self, depth_mm: npt.NDArray[np.floating]) -> FloatArray:
        """Millimetres (h, w) or (n, h, w), NaN = hole, to float32 of the same shape, as its authors evaluate it.

        Normalised, padded by 8 px (mirrored; more at the lower right where a side is no multiple of 4), run, cropped,
        masked by what was measured, and cut to whole millimetres. What was a hole stays one.
        """
        stack = np.asarray(depth_mm).reshape(-1, *depth_mm.shape[-2:])
        result = np.empty(stack.shape, np.float32)
        height, width = stack.shape[1:]
        pads = ((0, 0), *((PAD_PX, PAD_PX + -size % 4) for size in (height, width)))
        for first in range(0, len(stack), BATCH):
            part = stack[first : first + BATCH]
            padded = np.pad(normalise(part), pads, mode="symmetric")
            unit = self.forward(padded[..., None])[:, PAD_PX : PAD_PX + height, PAD_PX : PAD_PX + width, 0]
            whole = np.floor(denormalise(unit))
            result[first : first + BATCH] = np.where(np.isnan(part), np.float32(np.nan), whole)
        return result.reshape(depth_mm.shape)


def load_denoiser(checkpoint: str | Path | None = None) -> Denoiser:
    """DDRNet-dn with the published weights where they are found (:func:`find_checkpoint`), with the stand-in's if not.

    With ``checkpoint`` (a prefix, or a folder that holds one) only that will do. Raises :class:`KitError` for missing,
    damaged or foreign weights: a checkpoint that is there but wrong is never passed over for the stand-in.
    """
    quiet_tensorflow()
    import keras

    prefix = find_checkpoint(checkpoint)
    if checkpoint is not None and prefix is None:
        raise KitError(f"{checkpoint}: found no .index file, expected DDRNet's checkpoint ({PUBLISHED_STEM})")
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")  # a trainer in this process may have set another one
    try:
        model = build_ddrnet()
    finally:
        keras.config.set_dtype_policy(policy)
    if prefix is None:
        load_checked(model, network_files(NAME)[0])
    else:
        load_tensorflow_checkpoint(prefix, official_variables(model), "DDRNet")
    return Denoiser(prefix, compiled_forward(model))


# Keyed by what is loaded and its state, so that weights which come or change are noticed.
_loaded: dict[tuple[tuple[str, int, int], ...], Denoiser] = {}
_loading = threading.Lock()


def _shared_denoiser() -> Denoiser:
    """The denoiser of this process, loaded once and shared by all threads."""
    prefix = find_checkpoint()
    files = checkpoint_files(prefix) if prefix else network_files(NAME)
    key = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files if path.is_file())
    with _loading:
        if key not in _loaded:
            denoiser = load_denoiser()
            _loaded.clear()
            _loaded[key] = denoiser
        return _loaded[key]


def ddrnet_enhancer(
    placement: DepthRange = PLACEMENT, denoiser: Denoiser | None = None
) -> Callable[[DepthImage], DepthImage]:
    """DDRNet-dn as an enhancer of depth images, uint16 (256, 256) or (n, 256, 256), hole 65535.

    The network knows millimetres, the image only shares of its span, and the paper does not say how the one became the
    other. Here every image is put at ``placement``: value 0 at 1 m, well inside the network's 0.5 to 2 m, and a span of
    25 cm, that of camera images. What the network brings nearer than the span's begin is put there; what it moves
    beyond the far end becomes a hole, as do the holes that came in. Nothing is read before the first call. Raises
    :class:`KitError`, on call, for another shape or dtype, and for missing, damaged or foreign weights.
    """

    def enhance(depth: DepthImage) -> DepthImage:
        check_depth(depth)
        run = denoiser or _shared_denoiser()
        stack = depth.reshape(-1, SIZE, SIZE)
        moved = run(to_millimetres(stack, placement)) - np.float32(placement.near_mm)
        value = np.rint(moved * np.float32(FARTHEST / placement.span_mm))
        with np.errstate(invalid="ignore"):
            inside = value <= FARTHEST
        result = np.full(stack.shape, HOLE, np.uint16)
        result[inside] = np.maximum(value[inside], 0).astype(np.uint16)
        return result.reshape(depth.shape)

    return enhance
