"""A file that a rerun would change in nothing but rounding is kept."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure

from facedepth_kit.pipeline.unchanged import looks_the_same, unchanged


def picture(path: Path, text: str = "2.27", height: float = 0.5, shade: float = 0.4) -> Path:
    """A small figure: a bar, a grey image, a label."""
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot()
    axes.bar([0], [height])
    axes.set_ylim(0, 1)
    axes.imshow(np.full((8, 8), shade), cmap="gray", vmin=0, vmax=1, extent=(1, 2, 0, 1), aspect="auto")
    axes.set_xlim(-1, 2)
    axes.text(-0.9, 0.9, text, fontsize=7)
    figure.savefig(path, dpi=150)
    return path


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"shade": 0.403}, True),  # one grey level
        ({"height": 0.5004}, True),  # a tenth of a pixel
        ({"text": "2.28"}, False),
        ({"height": 0.52}, False),
        ({"shade": 0.45}, False),
    ],
)
def test_pictures_are_compared_by_eye(tmp_path: Path, changes: dict[str, float], same: bool) -> None:
    assert unchanged(picture(tmp_path / "a.png"), picture(tmp_path / "b.png", **changes)) is same  # type: ignore[arg-type]


def test_a_pixel_at_an_edge_may_fall_either_way(rng: np.random.Generator) -> None:
    old = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    new = old.copy()
    new[30, 40] ^= 255
    assert looks_the_same(old, new)
    assert not looks_the_same(old, new[:-1])
    new[20:40, 30:50] ^= 64
    assert not looks_the_same(old, new)


def test_tables_and_other_files(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("enhancer,mean\nNone,0.2872\n")
    new.write_text("enhancer,mean\nNone,0.2873\n")
    assert unchanged(old, new)
    new.write_text("enhancer,mean\nNone,0.2879\n")
    assert not unchanged(old, new)
    assert not unchanged(tmp_path / "none.csv", new)
    other = old.rename(tmp_path / "old.json"), new.rename(tmp_path / "new.json")
    assert not unchanged(*other)


def test_a_damaged_picture_is_replaced(tmp_path: Path) -> None:
    damaged = tmp_path / "a.png"
    damaged.write_bytes(b"\x89PNG")
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((4, 4), np.uint8))
    assert not unchanged(damaged, tmp_path / "b.png")
