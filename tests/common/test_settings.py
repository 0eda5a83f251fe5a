"""Settings from YAML: what fits comes back as it was saved, anything else is one line naming file and setting."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from facedepth_kit.cli.main import main
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.settings import check_bounds, from_dict, load_yaml, save_yaml, settings_hash, to_dict


@dataclass(frozen=True)
class Inner:
    size_px: tuple[float, float] = (1.0, 4.0)
    print_share: float = 0.5
    shift_mm: float = -2.0

    def __post_init__(self) -> None:
        check_bounds(self, size_px=(0, 100), print_share=(0, 1), shift_mm=(-10, 10))


@dataclass(frozen=True)
class Outer:
    count: int = 3
    kinds: tuple[Literal["flat", "bent"], ...] = ("flat",)
    weights: str | None = None
    fresh: bool = False
    inner: Inner = field(default_factory=Inner)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    settings = Outer(5, ("bent", "flat"), "a.npz", True, Inner((2.0, 2.0), 1.0, -5.5))
    save_yaml(settings, tmp_path / "a.yaml")
    assert load_yaml(Outer, tmp_path / "a.yaml") == settings
    assert from_dict(Outer, to_dict(settings)) == settings
    assert settings_hash(settings) != settings_hash(Outer())


def test_what_is_missing_keeps_its_default(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("inner:\n  size_px: [0, 3]\n")
    assert load_yaml(Outer, tmp_path / "a.yaml") == Outer(inner=Inner((0.0, 3.0)))
    (tmp_path / "empty.yaml").touch()
    assert load_yaml(Outer, tmp_path / "empty.yaml") == Outer()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("count: three", "count: found 'three', expected int"),
        ("count: true", "count: found True, expected int"),
        ("count: 1" + "0" * 400, "count: found 1000"),
        ("inner: {size_px: [.nan, 1]}", "inner.size_px: found nan, expected a number"),
        ("inner: {shift_mm: -.inf}", "inner.shift_mm: found -inf, expected a number"),
        ("inner: {size_px: [5, 1]}", "size_px: found [5.0, 1.0], expected the lower end first"),
        ("inner: {size_px: [5]}", "inner.size_px: found [5], expected 2 values"),
        (r'kinds: ["\ud800"]', r"kinds: found '\ud800', expected a word"),
        ("inner: {size_px: [-3, -3]}", "size_px: found [-3.0, -3.0], expected 0 to 100"),
        ("inner: {print_share: 1.5}", "print_share: found 1.5, expected 0 to 1"),
        ("inner: {sise_px: [1, 2]}", "inner.sise_px: unknown setting, expected one of size_px"),
        ("inner: 3", "inner: found int, expected names and values"),
        ("kinds: [flat, round]", "expected one of flat, bent"),
        ("[1, 2]", "Outer: found list, expected names and values"),
        ("1: 2", "1: unknown setting"),
        ("{", "found no readable YAML"),
        ("[" * 5000, "found no readable YAML"),
        ("count: 2020-09-09", "count: found datetime.date(2020, 9, 9), expected int"),
        ("kinds: " + "[" * 50 + "]" * 50, "more than 8 levels"),
        ("\x00", "found no readable YAML"),
    ],
)
def test_anything_else_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(KitError) as caught:
        load_yaml(Outer, path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < 500


def test_aliases_of_aliases_are_refused_before_they_unfold(tmp_path: Path) -> None:
    lines = ["kinds:", "  - &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 6)]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(KitError, match="more than 10000 values"):
        load_yaml(Outer, tmp_path / "a.yaml")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no such file, expected settings"):
        load_yaml(Outer, tmp_path / "none.yaml")
    with pytest.raises(KitError, match="found a folder"):
        load_yaml(Outer, tmp_path)
    (tmp_path / "large.yaml").write_text("#" * 1_000_001)
    with pytest.raises(KitError, match="1,000,001 bytes"):
        load_yaml(Outer, tmp_path / "large.yaml")


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("faces: {azimuth_deg: [-3, -3]}", "azimuth_deg: found [-3.0, -3.0], expected 30 to 180"),
        ("faces: {top_mm: [-3, -3]}", "top_mm"),
        ("faces: {age: [0.9, 0.1]}", "the lower end first"),
        ("faces: {yaw_deg: [.nan, 3]}", "faces.yaw_deg: found nan"),
        ("fill: [5, 1]", "fill: found [5.0, 1.0]"),
        ("hole_values: []", "hole_values: found 0 entries"),
        ("distance_mm: .inf", "distance_mm: found inf"),
        ("degradation: {random_holes: [52, 1000000000]}", "random_holes"),
        ("degradation: {random_holes: [52]}", "expected 2 values"),
        (f"offset: {'9' * 400}", "offset"),
        (f"offset: {'9' * 5000}", "no readable YAML"),
        (f"offset: {'[' * 3000}", "no readable YAML"),
        (BOMB + "fill: *i", "a: unknown setting"),
        (f"fill: {BOMB.splitlines()[0][3:]}", "fill"),
        ("offset: true", "offset: found True, expected float"),
        ("- 1", "expected names and values"),
        ("\x00", "no readable YAML"),
        ("# " + "x" * 2_000_000, "expected settings of at most"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(text)
    assert main(["synthesize", "--count", "1", "--output", "store", "--settings", "bad.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("facedepth: error: bad.yaml: ")
    assert err.count("\n") == 1
    assert len(err) < 500
    assert expected in err
    assert not Path("store").exists()
