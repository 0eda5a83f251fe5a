"""Which profile a run takes, and that the paper's counts are the paper's."""

from __future__ import annotations

import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.pipeline.profiles import PROFILES, get_profile


def test_laptop_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEDEPTH_PROFILE", raising=False)
    assert get_profile().name == "laptop"
    monkeypatch.setenv("FACEDEPTH_PROFILE", "smoke")
    assert get_profile().name == "smoke"
    assert get_profile("paper").name == "paper"


def test_unknown_profile_names_the_known() -> None:
    with pytest.raises(KitError, match="'huge', expected one of smoke, laptop, paper"):
        get_profile("huge")


def test_paper_counts() -> None:
    paper = PROFILES["paper"]
    assert paper.test_pairs == 100_000
    assert paper.trains == "everything"  # by the recipes, at their full counts


def test_sizes_grow() -> None:
    smoke, laptop, paper = (PROFILES[name] for name in ("smoke", "laptop", "paper"))
    for field in ("test_pairs", "calibration_pairs", "validation_pairs"):
        assert getattr(smoke, field) < getattr(laptop, field) < getattr(paper, field)
    assert laptop.test_pairs >= 1_000
