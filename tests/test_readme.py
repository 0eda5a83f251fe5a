"""The README's numbers are those of the shipped tables, and its commands exist."""

import re
import runpy
import subprocess
import sys

import pytest

from facedepth_kit.cli.main import COMMANDS
from facedepth_kit.common.paths import SHIPPED_WEIGHTS, figures_dir, repository_root
from facedepth_kit.common.tables import read_table
from facedepth_kit.networks.cards import ModelCard


def readme() -> str:
    return (repository_root() / "README.md").read_text(encoding="utf-8")


def test_the_tables_in_the_readme_are_those_of_the_shipped_figures() -> None:
    tool = repository_root() / "tools" / "fill_readme.py"
    ran = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    # The check would pass on a README without tables.
    blocks = re.findall(r"^<!-- (?!end)(.+) -->", readme(), re.MULTILINE)
    assert set(blocks) == set(runpy.run_path(str(tool))["BLOCKS"])
    assert re.search(r"^\| DL-Delta-1 +\| 0\.\d{4} +\|", readme(), re.MULTILINE)


def test_the_cards_rows_of_table_4_are_those_of_the_table() -> None:
    table = read_table(figures_dir("laptop") / "table_4.csv").set_index("enhancer")["mean"].dropna()
    for card in map(ModelCard.read, SHIPPED_WEIGHTS.glob("*.json")):
        if "table_4" in card.measured and card.name in table:
            assert card.measured["table_4"]["mean"] == pytest.approx(table[card.name], abs=1e-3)


def test_every_facedepth_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"`?facedepth ([a-z-]+)", readme()))
    assert named
    assert named <= set(COMMANDS)


def test_pictures_and_files_that_the_readme_names_exist() -> None:
    paths = re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme()) + re.findall(
        r"`((?:facedepth_kit|tools|notebooks)/[^`*]+)`", readme()
    )
    assert paths
    for path in paths:
        assert (repository_root() / path).exists(), path
