"""``python -m tests.pins --write [TABLE ...]``: measure the pinned tables anew, after a change that was meant.

Without ``--write`` it shows by how much each column differs from what is pinned.
"""

from __future__ import annotations

import argparse
import os

from tests.pins.measure import TABLES, read, write

parser = argparse.ArgumentParser(prog="python -m tests.pins", description=__doc__)
parser.add_argument("tables", nargs="*", help="default: all")
parser.add_argument("--write", action="store_true", help="write the CSV files beside the tests")
arguments = parser.parse_args()
os.environ["FACEDEPTH_WEIGHTS"] = "none of the user's own"
for table in arguments.tables or TABLES:
    if arguments.write:
        write(table)
    else:
        pinned, measured = read(table), TABLES[table]()
        print(table, "largest relative difference of each column", sep=": ")
        print(((measured - pinned).abs() / pinned.abs()).max().to_string(), "\n")
