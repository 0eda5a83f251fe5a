"""What every test shares: quiet libraries, a seeded generator, and the real frames where there are any."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new for each test."""
    return np.random.default_rng(2023)


@pytest.fixture(scope="session")
def real_depth() -> Path:
    """The folder of real frames beside the repository (``../shared/real_depth``); the test is skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "real_depth"
    if not folder.is_dir():
        pytest.skip("needs real depth frames beside the repository")
    return folder
