"""Tables: one writer and one reader for CSV, and the same rows as Markdown.

Numbers are rounded to what means something, so that the same run on another machine writes the same table: four
significant digits, at most six decimals, never ``-0``. Columns of published numbers (``published...``) are quoted as
printed, whole numbers are written whole, yes and no stand for booleans, and an empty cell for a number that is missing
or not finite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.files import refuse_irregular
from facedepth_kit.common.paths import write_atomically

if TYPE_CHECKING:  # pandas takes a third of a second to import
    from pandas import DataFrame

Table: TypeAlias = "DataFrame | Iterable[Mapping[str, Any]]"
SIGNIFICANT = 4
MOST_DECIMALS = 6
QUOTED = "published"


def frame(table: Table) -> DataFrame:
    """Rows as a data frame, columns in the order in which they first occur; a data frame is returned as it is.

    Cells keep their types: a whole number stays whole in a column with gaps.
    """
    import pandas as pd

    if isinstance(table, pd.DataFrame):
        return table
    rows = list(table)
    return pd.DataFrame(rows, columns=list(dict.fromkeys(key for row in rows for key in row)), dtype=object)


def records(table: Table) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame(table).to_dict("records")]


def write_table(path: Path, table: Table, *, significant: int = SIGNIFICANT, overwrite: bool = True) -> None:
    """Write a table as CSV, whole or not at all.

    ``significant``: digits of a measured number (nine for results that other notebooks compute with). Raises
    :class:`KitError` when ``path`` exists and ``overwrite`` is false.
    """
    shown = _formatted(frame(table), lambda number: rounded(number, significant))
    text = shown.to_csv(index=False, lineterminator="\n")
    with write_atomically(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")  # names of files need not be text


def read_table(path: Path, *, texts: Sequence[str] = ()) -> DataFrame:
    """Read a CSV table; an empty cell is NaN in a column of numbers and ``""`` in one of text.

    ``texts`` names columns that are text whatever they hold (a person ``0025``). Raises :class:`KitError` for a file
    that is missing or no table.
    """
    import pandas as pd

    refuse_irregular(path, "a table (CSV)")
    try:
        table = pd.read_csv(
            path,
            encoding_errors="surrogateescape",
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,  # an enhancer is called None
            na_values=["", "nan"],
            true_values=["yes"],
            false_values=["no"],
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise KitError(f"{path}: found {' '.join(str(error).split())}, expected a table (CSV)") from error
    words = [name for name in table if name in texts or not pd.api.types.is_numeric_dtype(table[name])]
    return table.fillna(dict.fromkeys(words, ""))


def markdown_table(table: Table, *, digits: int = 4) -> str:
    """A table as Markdown, numbers with ``digits`` decimals and to the right."""
    known = frame(table)
    shown = shown_table(known, digits=digits)
    sides = ["right" if any(_is_number(cell) and cell == cell for cell in known[name]) else "left" for name in known]
    text = shown.replace(r"\|", r"\\|", regex=True).to_markdown(
        index=False, tablefmt="pipe", disable_numparse=True, colalign=sides if len(shown) else None
    )
    return f"{text}\n"


def shown_table(table: Table, *, digits: int = 4) -> DataFrame:
    """A table to be looked at: cells as text, numbers with ``digits`` decimals."""
    return _formatted(frame(table), lambda number: _plain(f"{number:.{digits}f}"))


def rounded(number: float, significant: int = SIGNIFICANT) -> str:
    """A number in fixed notation, to so many significant digits but one to six (or ``significant``) decimals.

    >>> [rounded(number) for number in (0.28723, 12.3456, 1234.56, 0.0000123, -1e-9)]
    ['0.2872', '12.35', '1234.6', '0.000012', '0.000000']
    """
    most = max(MOST_DECIMALS, significant)
    if number == 0:
        return f"{0.0:.{min(significant, most)}f}"
    # The power of ten after rounding: 0.99996 becomes 1.000, not 1.0000.
    power = int(f"{number:.{significant - 1}e}".split("e")[1])
    return _plain(f"{number:.{min(max(significant - 1 - power, 1), most)}f}")


def same_but_for_rounding(first: str, second: str) -> bool:
    """Whether two texts (CSV, Markdown) agree but for decimals that differ by no more than one in the last place.

    Whole numbers and words must be the same; blanks and rulers may differ in length.
    """
    parts = [re.split(r"([-+]?\d+\.\d+)", text) for text in (first, second)]
    if len(parts[0]) != len(parts[1]):
        return False
    for index, (one, other) in enumerate(zip(*parts, strict=True)):
        if index % 2:
            unit = 10.0 ** -min(len(one.split(".")[1]), len(other.split(".")[1]))
            if abs(float(one) - float(other)) > 1.0001 * unit:
                return False
        elif _spaced(one) != _spaced(other):
            return False
    return True


def _formatted(table: DataFrame, number: Callable[[float], str]) -> DataFrame:
    columns = {}
    for name in table:
        quoted = str(name).startswith(QUOTED)
        columns[name] = [_cell(value, repr if quoted else number) for value in table[name]]
    import pandas as pd

    return pd.DataFrame(columns, columns=table.columns, dtype=object)


def _cell(value: Any, number: Callable[[float], str]) -> str:
    if value is None or (_is_number(value) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        return number(float(value))
    return "" if str(value) == "<NA>" else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool | np.bool_)


def _plain(text: str) -> str:
    return text[1:] if re.fullmatch(r"-0\.?0*", text) else text


def _spaced(text: str) -> str:
    return " ".join(re.sub(r"[-:]{3,}", "---", text).split())
