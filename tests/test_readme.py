"""The README's numbers are those of the shipped tables, and its commands exist."""

import csv
import re

from facedepth_kit.cli import COMMANDS
from facedepth_kit.paths import figures_dir, repository_root


def readme() -> str:
    return (repository_root() / "README.md").read_text(encoding="utf-8")


def test_the_table_in_the_readme_is_the_shipped_table_4() -> None:
    with (figures_dir("laptop") / "table_4.csv").open(newline="") as file:
        measured = {row["enhancer"]: row for row in csv.DictReader(file) if row["mean"]}
    shown = re.findall(r"^\| (\S+)(?: \(ours\))? \| (0\.\d{4}) \| (0\.\d{4}) \|", readme(), re.MULTILINE)
    assert [name for name, _, _ in shown] == list(measured)
    for name, mean, std in shown:
        assert (mean, std) == (f"{float(measured[name]['mean']):.4f}", f"{float(measured[name]['std']):.4f}")


def test_every_facedepth_command_in_the_readme_exists() -> None:
    named = set(re.findall(r"`?facedepth ([a-z]+)", readme()))
    assert named
    assert named <= set(COMMANDS)


def test_pictures_and_files_that_the_readme_names_exist() -> None:
    paths = re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme()) + re.findall(
        r"`((?:facedepth_kit|tools|notebooks)/[^`*]+)`", readme()
    )
    assert paths
    for path in paths:
        assert (repository_root() / path).exists(), path
