"""Tables: what a cell looks like in a file, what comes back, and when two tables are the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.tables import (
    frame,
    markdown_table,
    read_table,
    records,
    rounded,
    same_but_for_rounding,
    write_table,
)

ROWS: list[dict[str, Any]] = [
    {"enhancer": "None", "mean": 0.2872123, "published_mean": 11.4975, "images": 45, "same": True, "note": ""},
    {"enhancer": "a|b", "mean": -1e-9, "published_mean": 0.0448, "images": None, "same": np.False_, "note": "x, y"},
    {"enhancer": "c", "mean": math.nan, "further": np.int64(3)},
]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.28723, "0.2872"),
        (0.99996, "1.000"),
        (12.3456, "12.35"),
        (1234.56, "1234.6"),
        (1.23e-5, "0.000012"),
        (-1e-9, "0.000000"),
        (0.0, "0.0000"),
        (-0.5, "-0.5000"),
        (30.0, "30.00"),
    ],
)
def test_four_digits_that_mean_something(number: float, text: str) -> None:
    assert rounded(number) == text


def test_cells_in_a_file(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", ROWS)
    assert (tmp_path / "a.csv").read_text() == (
        "enhancer,mean,published_mean,images,same,note,further\n"
        "None,0.2872,11.4975,45,yes,,\n"
        'a|b,0.000000,0.0448,,no,"x, y",\n'
        "c,,,,,,3\n"
    )
    with pytest.raises(KitError, match="already"):
        write_table(tmp_path / "a.csv", ROWS, overwrite=False)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_table(path, [{"enhancer": "None", "person": "0025", "x": 1 / 3, "same": True}], significant=9)
    table = read_table(path, texts=["person"])
    assert records(table) == [{"enhancer": "None", "person": "0025", "x": 0.333333333, "same": True}]
    write_table(path, ROWS)
    table = read_table(path)
    assert table["enhancer"].tolist() == ["None", "a|b", "c"]
    assert table["note"].tolist() == ["", "x, y", ""]
    assert math.isnan(table["mean"][2])
    write_table(path, table)  # writing what was read changes nothing but whole numbers in a column with gaps
    assert read_table(path).equals(table)


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(KitError, match=r"none\.csv: found .*No such file"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(KitError, match=r"empty\.csv: found"):
        read_table(tmp_path / "empty.csv")


def test_markdown() -> None:
    lines = [line.replace(" ", "") for line in markdown_table(ROWS, digits=2).splitlines()]
    assert lines[0] == "|enhancer|mean|published_mean|images|same|note|further|"
    assert lines[2] == "|None|0.29|11.4975|45|yes|||"
    assert lines[3] == r"|a\|b|0.00|0.0448||no|x,y||"
    assert lines[4] == "|c||||||3|"
    assert lines[1].split("|")[2].endswith(":")
    assert not lines[1].split("|")[6].endswith(":")
    assert markdown_table([]).strip() == ""


def test_a_frame_keeps_whole_numbers_and_order() -> None:
    table = frame(ROWS)
    assert list(table) == ["enhancer", "mean", "published_mean", "images", "same", "note", "further"]
    assert frame(table) is table
    assert records(table)[0]["images"] == 45


def test_the_last_digit_may_differ_and_nothing_else() -> None:
    text = "| None | 0.2872 | 45 |\n|:---|---:|\nmore than 10.5 % off: none.\n"
    assert same_but_for_rounding(text, text.replace("0.2872", "0.2873"))
    assert same_but_for_rounding(text, text.replace("0.2872", " 0.287"))
    assert not same_but_for_rounding(text, text.replace("0.2872", "0.2874"))
    assert not same_but_for_rounding(text, text.replace("45", "46"))
    assert not same_but_for_rounding(text, text.replace("none", "De-M2"))
    assert not same_but_for_rounding(text, text + "1.0")
    assert same_but_for_rounding("0.0000,x", "-0.0001,x")
