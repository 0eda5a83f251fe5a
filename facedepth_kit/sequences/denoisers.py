"""M1 and M2 at work on a camera's frames: one at a time, and one after another (section 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.quiet import quiet_tensorflow
from facedepth_kit.networks.cards import ModelCard, check_weights, network_files
from facedepth_kit.networks.denoisers import (
    FRAMES,
    DenoiserSize,
    build_denoiser,
    build_step,
    cell_levels,
)
from facedepth_kit.networks.forward import compiled_forward, compiled_step
from facedepth_kit.networks.weights import load_weights
from facedepth_kit.sequences.network_frames import (
    SPAN_MM,
    STEP_PX,
    FloatArray,
    Mask,
    Picture,
    SmallFrame,
    enlarge,
    make_small,
    network_input,
    padded,
)

SINGLE, MEMORY = "M1", "M2"


@dataclass(frozen=True, eq=False)
class SingleFrames:
    """M1: a frame at the networks' resolution to float32 millimetres (h, w), everywhere."""

    forward: Callable[[FloatArray], FloatArray]
    step_px: int = STEP_PX

    def small(self, frame: SmallFrame) -> FloatArray:
        """The prediction at the networks' resolution."""
        middle_mm = frame.middle_mm
        unit = self.forward(padded(network_input(frame, middle_mm))[None])[0, :, :, 0]
        return middle_mm + np.float32(SPAN_MM) * unit[: frame.depth_mm.shape[0], : frame.depth_mm.shape[1]]

    def __call__(self, depth_mm: FloatArray, picture: Picture, person: Mask) -> FloatArray:
        """Millimetres (rows, columns), NaN = hole, to the same on the person, NaN elsewhere."""
        frame = make_small(depth_mm, picture, person, self.step_px)
        return enlarge(_on_person(self.small(frame), frame), person, self.step_px)

    def forget(self) -> None:
        """Nothing to forget."""


class Remembering:
    """M2 behind M1: frames must come in the order of time; :meth:`forget` before another recording.

    It sees each frame with the three before it, as in training (section 7.1: sequences of four), and nothing earlier.
    """

    def __init__(self, single: SingleFrames, step: Callable[[list[FloatArray]], list[FloatArray]], size: DenoiserSize):
        self.single, self.step_px = single, single.step_px
        self._step, self._size = step, size
        self._seen: deque[tuple[SmallFrame, FloatArray]] = deque(maxlen=FRAMES)

    def forget(self) -> None:
        """Begin anew: the next frame is the first."""
        self._seen.clear()

    def refine(self, frame: SmallFrame, predicted_mm: FloatArray) -> FloatArray:
        """M2's prediction at the networks' resolution from M1's; both are remembered."""
        if self._seen and self._seen[0][1].shape != predicted_mm.shape:
            self.forget()
        self._seen.append((frame, predicted_mm))
        middle_mm = self._seen[0][0].middle_mm
        memory: list[FloatArray] = []
        for one, predicted in self._seen:
            channels = padded(network_input(one, middle_mm, predicted))[None]
            height, width = channels.shape[1:3]
            memory = memory or [
                np.zeros((1, height >> level, width >> level, filters), np.float32)
                for level, filters in cell_levels(self._size)
                for _ in ("h", "c")
            ]
            prediction, *memory = self._step([channels, *memory])
        unit = prediction[0, :, :, 0]
        return middle_mm + np.float32(SPAN_MM) * unit[: predicted_mm.shape[0], : predicted_mm.shape[1]]

    def __call__(self, depth_mm: FloatArray, picture: Picture, person: Mask) -> FloatArray:
        """Millimetres (rows, columns), NaN = hole, to the same on the person, NaN elsewhere."""
        frame = make_small(depth_mm, picture, person, self.step_px)
        refined = self.refine(frame, self.single.small(frame))
        return enlarge(_on_person(refined, frame), person, self.step_px)


FrameDenoiser = SingleFrames | Remembering


def _on_person(depth_mm: FloatArray, frame: SmallFrame) -> FloatArray:
    return np.where(frame.person > 0, depth_mm, np.float32(np.nan))


def single_frames(size: DenoiserSize, weights: list[Any], step_px: int = STEP_PX) -> SingleFrames:
    """M1 with these weights."""
    model = build_denoiser(size)
    model.set_weights(weights)
    return SingleFrames(compiled_forward(model), step_px)


def remembering(single: SingleFrames, size: DenoiserSize, weights: list[Any]) -> Remembering:
    """M2 with these weights behind M1."""
    model = build_step(size)
    model.set_weights(weights)
    return Remembering(single, compiled_step(model), size)


def card_size(card: ModelCard) -> tuple[DenoiserSize, int]:
    """A card's network and the step of its resolution. Raises :class:`KitError` for another network's card."""
    try:
        size = card.recipe["size"]
        built = DenoiserSize(tuple(size["widths"]), int(size["convolutions"]), bool(size["remembers"]))
        return built, int(card.recipe["step_px"])
    except (KeyError, TypeError, ValueError):
        raise KitError(f"{card.name}: found a card of {card.size}, expected one of {SINGLE} or {MEMORY}") from None


def load_denoiser(name: str, folder: str | Path | None = None) -> FrameDenoiser:
    """M1 or M2 with the weights of that name; M2 needs M1's beside its own. Raises :class:`KitError` without them."""
    quiet_tensorflow()
    card, weights = check_weights(network_files(name, folder)[0])
    size, step_px = card_size(card)
    model = build_step(size) if size.remembers else build_denoiser(size)
    load_weights(model, weights)
    if not size.remembers:
        return SingleFrames(compiled_forward(model), step_px)
    single = load_denoiser(card.started_from or SINGLE, folder)
    if not isinstance(single, SingleFrames) or single.step_px != step_px:
        raise KitError(f"{name}: found {card.started_from} before it, expected {SINGLE} of the same resolution")
    return Remembering(single, compiled_step(model), size)
