"""How much a run does: smoke (CI), laptop (the default), paper (the papers' counts)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from facedepth_kit.common.errors import KitError

DEFAULT = "laptop"


@dataclass(frozen=True)
class Profile:
    """The sizes of one run; every notebook reads its counts from here.

    ``test_pairs``: pairs of Table IV (section IV-D: 100,000). ``training_ground_truths`` faces, three degradations
    each, in chunks of ``chunk_ground_truths`` for ``epochs``: notebook 05's training to watch.
    ``calibration_pairs``: pairs on which the rows without learning are held against the published ones;
    ``calibration_seconds``: how long the calibration notebook searches on.
    ``people`` of the simulated camera data sets (KinectFaceDB has 52), two sessions each; ``camera_frames`` of the
    simulated RealSense recordings. ``pair_seconds`` of a simulated recording of two cameras (the second paper: 30), of
    which ``pair_frames`` frames are used to align them.
    ``trains`` says which networks of the paper are evaluated: those that come with the kit (``nothing`` is trained),
    or those that notebook 05 has trained first by the paper's recipes, ``everything`` or in ``a few steps``.
    ``denoising_recordings`` test recordings of ``denoising_seconds`` are denoised (the second paper: 4 of 30), and of
    these every ``denoising_every``-th frame is measured.
    ``attacked_images`` of each kind are attacked with ``attack_steps`` steps of gradient descent and five times as many
    queries of a search.
    ``cell_seconds``: how long one cell may take before a headless run gives up; None waits for ever.
    """

    name: str
    purpose: str
    test_pairs: int
    calibration_pairs: int
    calibration_seconds: int
    training_ground_truths: int
    chunk_ground_truths: int
    validation_pairs: int
    epochs: int
    evaluation_batch: int
    people: int
    camera_frames: int
    pair_seconds: float
    pair_frames: int
    trains: Literal["nothing", "a few steps", "everything"]
    denoising_recordings: int
    denoising_seconds: float
    denoising_every: int
    attacked_images: int
    attack_steps: int
    cell_seconds: int | None


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            purpose="CI and tests: does everything run?",
            test_pairs=24,
            calibration_pairs=24,
            calibration_seconds=2,
            training_ground_truths=16,
            chunk_ground_truths=16,
            validation_pairs=8,
            epochs=1,
            evaluation_batch=8,
            people=2,
            camera_frames=6,
            pair_seconds=3.5,
            pair_frames=10,
            trains="a few steps",
            denoising_recordings=1,
            denoising_seconds=0.8,
            denoising_every=4,
            attacked_images=1,
            attack_steps=1,
            cell_seconds=600,
        ),
        Profile(
            name="laptop",
            purpose="students, and the figures shown in the repository",
            test_pairs=1_000,
            calibration_pairs=400,
            calibration_seconds=15,
            training_ground_truths=160,
            chunk_ground_truths=80,
            validation_pairs=32,
            epochs=2,
            evaluation_batch=16,
            people=12,
            camera_frames=60,
            pair_seconds=6.0,
            pair_frames=40,
            trains="nothing",
            denoising_recordings=4,
            denoising_seconds=1.6,
            denoising_every=2,
            attacked_images=4,
            attack_steps=5,
            cell_seconds=3_600,
        ),
        Profile(
            name="paper",
            purpose="a GPU machine or a cluster: the paper's counts",
            test_pairs=100_000,
            calibration_pairs=2_000,
            calibration_seconds=3_600,
            training_ground_truths=160,
            chunk_ground_truths=80,
            validation_pairs=1_000,
            epochs=2,
            evaluation_batch=64,
            people=52,
            camera_frames=400,
            pair_seconds=30.0,
            pair_frames=120,
            trains="everything",
            denoising_recordings=4,
            denoising_seconds=30.0,
            denoising_every=1,
            attacked_images=50,
            attack_steps=40,
            cell_seconds=None,
        ),
    )
}


def get_profile(name: str | None = None) -> Profile:
    """The profile called ``name``; without a name the one that FACEDEPTH_PROFILE says, or laptop.

    Raises :class:`KitError` naming the known profiles.
    """
    chosen = name or os.environ.get("FACEDEPTH_PROFILE") or DEFAULT
    if chosen not in PROFILES:
        raise KitError(f"profile: found {chosen!r}, expected one of {', '.join(PROFILES)}")
    return PROFILES[chosen]
