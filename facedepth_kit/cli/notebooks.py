"""``facedepth figures`` runs the notebooks, ``facedepth notebooks`` writes them from their sources."""

from __future__ import annotations

import click

from facedepth_kit.cli.options import SEED
from facedepth_kit.cli.terminal import say


@click.command()
@click.option("--profile", metavar="NAME", help="smoke, laptop (default) or paper.")
@click.option("--only", metavar="NOTEBOOK", help="One notebook by name or number, with what it needs.")
@click.option("--seed", type=SEED, metavar="N", help="Another seed than the one of the published figures.")
def figures(profile: str | None, only: str | None, seed: int | None) -> int:
    """Run the notebooks; make every table and figure."""
    from facedepth_kit.pipeline import tasks

    return tasks.run(profile, seed=tasks.SEED if seed is None else seed, only=only, report=say)


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if one is not up to date.")
def notebooks(check: bool) -> int:
    """Write the stored notebooks from their sources."""
    from facedepth_kit.pipeline import stored_notebooks

    if not check:
        for path in stored_notebooks.write_notebooks():
            say(str(path))
        return 0
    problems = stored_notebooks.check_notebooks()
    for problem in problems:
        say(problem, error=True)
    if problems:
        say("`make notebooks` writes the notebooks from their sources", error=True)
        return 1
    say("the stored notebooks are clean and match their sources")
    return 0
