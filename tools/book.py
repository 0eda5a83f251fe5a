"""The notebooks as papermill ran them, as a static site in ``build/book/html``: ``make book``.

Nothing is executed twice: where a profile's executed notebooks are missing, the pipeline runs first. Each notebook's
copy is cleaned (no machine's paths, panels as plain HTML, solutions that fold), each table of the paper gets a page
that sets ours beside the published number, and Sphinx makes the rest. The site asks the network for nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import figures_dir, repository_root, results_dir
from facedepth_kit.common.tables import markdown_table, read_table, records
from facedepth_kit.evaluation.published import PRINTED
from facedepth_kit.pipeline.notebooks import NOTEBOOKS, Notebook, maker
from facedepth_kit.pipeline.profiles import DEFAULT, PROFILES
from facedepth_kit.pipeline.tasks import run

TABLES = {
    1: "What the screening of photos discards",
    2: "The hand-crafted filters",
    3: "Parameters of the networks",
    4: "Error on synthetic faces",
    5: "Roughness and holes of camera images",
    6: "Falsification",
    7: "Landmarks and attack detection",
}
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII")
STATE, VIEW = "application/vnd.jupyter.widget-state+json", "application/vnd.jupyter.widget-view+json"
SOLUTION = re.compile(r"<details>\s*<summary>(.*?)</summary>\n(.*?)</details>", re.DOTALL)


def executed(profile: str) -> dict[Notebook, Path]:
    """The notebooks that papermill has run at a profile, and its copies of them."""
    copies = {one: results_dir(profile) / "notebooks" / f"{one.name}.ipynb" for one in NOTEBOOKS}
    return {notebook: copy for notebook, copy in copies.items() if copy.is_file()}


def build(notebooks: Mapping[Notebook, Path], figures: Path, output: Path) -> Path:
    """Make the site from executed notebooks and a folder of tables; returns its first page.

    Raises :class:`KitError` where Sphinx complains about a page.
    """
    from sphinx.cmd.build import build_main

    shutil.rmtree(output, ignore_errors=True)
    source, site = output / "source", output / "html"
    gather(notebooks, figures, source)
    arguments = ["-q", "-b", "html", "-W", "--keep-going", "-d", str(output / "doctrees"), str(source), str(site)]
    if build_main(arguments) != 0:
        raise KitError(f"{source}: found pages that Sphinx complains about (see above), expected none")
    return site / "index.html"


def gather(notebooks: Mapping[Notebook, Path], figures: Path, source: Path) -> None:
    """Write every page of the book as Sphinx reads it."""
    shutil.copytree(repository_root() / "docs", source, ignore=shutil.ignore_patterns("__pycache__"))
    pages = {"notebooks/index.md": _notebook_index(list(notebooks), figures.name)}
    for notebook, copy in notebooks.items():
        here = json.dumps(str(repository_root()))[1:-1]  # what ran here may name this machine's folders
        text = copy.read_text(encoding="utf-8").replace(here, "facedepth-kit")
        page = cleaned(json.loads(text), [one.name for one in notebooks])
        pages[f"notebooks/{notebook.name}.ipynb"] = json.dumps(page)
    numbers = [number for number in TABLES if (figures / f"table_{number}.csv").is_file()]
    for number in numbers:
        pages[f"tables/table_{number}.md"] = table_page(number, figures, maker(f"table_{number}.csv") in notebooks)
    head = "# Tables\n\nOurs beside the paper's. Every number comes from a file that the notebooks wrote.\n"
    pages["tables/index.md"] = f"{head}\n{_toctree(f'table_{number}' for number in numbers)}"
    for name, text in pages.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")


def _toctree(pages: Iterable[str], caption: str = "") -> str:
    options = f":maxdepth: 1\n{f':caption: {caption}' if caption else ''}"
    return f":::{{toctree}}\n{options}\n\n{chr(10).join(pages)}\n:::\n"


def _notebook_index(notebooks: Sequence[Notebook], profile: str) -> str:
    parts = groupby(notebooks, key=lambda one: one.part)
    trees = [_toctree((one.name for one in group), part) for part, group in parts]
    return f"# Notebooks\n\nAs they ran at the *{profile}* profile, in the order of the story.\n\n" + "\n".join(trees)


# --- Notebooks ------------------------------------------------------------------------------------------------------


def cleaned(notebook: dict[str, Any], pages: Sequence[str]) -> dict[str, Any]:
    """An executed notebook (nbformat 4) as the book shows it; where it names one of ``pages``, it links to it."""
    names = re.compile(rf"(?<!\[)`({'|'.join(map(re.escape, pages))})`")
    widgets = notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {})
    cells = [
        cell for cell in notebook["cells"] if "injected-parameters" not in cell.get("metadata", {}).get("tags", [])
    ]
    for cell in cells:
        cell["metadata"] = {}
        if cell["cell_type"] == "markdown":
            text = SOLUTION.sub(_folded, "".join(cell["source"]))
            cell["source"] = names.sub(r"[`\1`](\1.ipynb)", text)
        for output in cell.get("outputs", []):
            if VIEW in output.get("data", {}):
                model = output["data"][VIEW]["model_id"]
                output["data"] = {"text/html": f'<div class="panel">{_static(widgets, model)}</div>{PANEL_NOTE}'}
            width = output.get("metadata", {}).get("image/png", {}).get("width")
            if width:
                cell["metadata"] = {"mystnb": {"image": {"width": f"{width}px"}}}
    kernel = {"kernelspec": notebook["metadata"].get("kernelspec", {}), "language_info": {"name": "python"}}
    return {**notebook, "cells": cells, "metadata": kernel}


PANEL_NOTE = "<p><em>A panel as it stood at the end of the run; in JupyterLab (make lab) its sliders move.</em></p>"


def _folded(match: re.Match[str]) -> str:
    return f"::::{{admonition}} {match[1].strip()}\n:class: dropdown\n\n{match[2].strip()}\n::::"


def _static(widgets: Mapping[str, Any], model: str) -> str:
    """A widget and those within it as HTML: pictures and texts as they are, controls as their values."""
    widget = widgets.get(model)
    if widget is None:
        return ""
    state, kind = widget["state"], widget["model_name"]
    children = [_static(widgets, child.removeprefix("IPY_MODEL_")) for child in state.get("children", [])]
    if kind == "TabModel":
        return children[0] if children else ""
    if kind == "HBoxModel":
        return f'<div class="row">{"".join(f"<div>{child}</div>" for child in children if child)}</div>'
    if children:
        return "".join(f"<div>{child}</div>" for child in children if child)
    if kind == "ImageModel":
        data = next((buffer["data"] for buffer in widget.get("buffers", []) if buffer["path"] == ["value"]), "")
        source = f"data:image/{state.get('format', 'png')};base64,{''.join(data.split())}"
        return f'<img src="{source}" alt="a picture of the panel">' if data else ""
    if kind in ("HTMLModel", "HTMLMathModel"):
        return str(state.get("value", ""))
    return _control(state)


def _control(state: Mapping[str, Any]) -> str:
    """A slider, box or menu as its label and value; a button shows nothing."""
    value: Any = state.get("value")
    labels = state.get("_options_labels")
    if labels and isinstance(state.get("index"), int):
        value = labels[state["index"]]
    elif labels and isinstance(state.get("index"), list):
        value = ", ".join(labels[index] for index in state["index"])
    if value is None or "description" not in state:
        return ""
    return f'<span class="control">{escape(str(state["description"]))} <b>{escape(str(value))}</b></span>'


# --- Tables ---------------------------------------------------------------------------------------------------------


def table_page(number: int, figures: Path, linked: bool) -> str:
    """The page of Table ``number``: ours beside the published numbers, and what the table says about itself.

    ``linked``: whether the notebook that made it has a page.
    """
    table = read_table(figures / f"table_{number}.csv")
    caption = (figures / f"table_{number}.md").read_text(encoding="utf-8").strip().splitlines()[-1]
    notebook = maker(f"table_{number}.csv").name
    digits = round(-math.log10(PRINTED.get(ROMAN[number], 1e-4)))
    shown = beside(records(table))
    remarks: dict[str, list[str]] = {}
    for row in shown:
        if remark := row.pop("note", ""):
            remarks.setdefault(str(remark), []).append(str(next(iter(row.values()))))
    page = f"# Table {ROMAN[number]}: {TABLES[number]}\n\n{markdown_table(shown, digits=digits)}\n"
    page += "" if caption.startswith("|") else f"{caption}\n\n"
    page += "".join(f"- {', '.join(names)}: {remark}\n" for remark, names in remarks.items()) + "\n"
    page += f"From {f'{{doc}}`../notebooks/{notebook}`' if linked else f'notebook `{notebook}`'}.\n"
    if "verdict" in table:
        every = markdown_table(table.drop(columns=["table"], errors="ignore"), digits=digits)
        page += f"\n:::{{admonition}} Every number and its verdict\n:class: dropdown\n\n{every}\n:::\n"
    return page


def beside(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with each published number right of ours.

    Long rows (``row``, ``condition``, ``metric``, ``value``, ``published``) become one row an enhancer, their means
    in two columns a condition.
    """
    if {"row", "condition", "metric", "value", "published"} <= set(rows[0]):
        wide: dict[str, dict[str, Any]] = {}
        conditions = dict.fromkeys(row["condition"] for row in rows)
        for row in rows:
            found = wide.setdefault(row["row"], {"enhancer": row["row"]} | _empty(conditions))
            if row["metric"] == "mean":
                found[str(row["condition"])] = row["value"]
                found[f"{row['condition']}, published"] = row["published"]
        return list(wide.values())
    published = [name for name in rows[0] if name.startswith("published_")]
    order: list[str] = []
    for name in rows[0]:
        if name not in published and name != "published":
            order += [name, *(other for other in published if other == f"published_{name}")]
            order += ["published"] if name == "here" and "published" in rows[0] else []
    order += [name for name in rows[0] if name not in order]
    return [{name.replace("_", " "): row[name] for name in order} for row in rows]


def _empty(conditions: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: "" for condition in conditions for name in (str(condition), f"{condition}, published")}


def main() -> int:
    """Make the book, and the figures first where there are none."""
    parser = argparse.ArgumentParser(prog="make book", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default=DEFAULT, choices=list(PROFILES))
    arguments = parser.parse_args()
    try:
        if len(executed(arguments.profile)) < len(NOTEBOOKS) and run(arguments.profile, report=print) != 0:
            return 1
        page = build(executed(arguments.profile), figures_dir(arguments.profile), repository_root() / "build" / "book")
    except KitError as error:
        print(f"book: {error}", file=sys.stderr)
        return 2
    print(page.relative_to(repository_root()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
