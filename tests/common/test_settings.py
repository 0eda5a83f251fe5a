from __future__ import annotations

from pathlib import Path

import pytest

from facedepth_kit.cli.main import main

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
