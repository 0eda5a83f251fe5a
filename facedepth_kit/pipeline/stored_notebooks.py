"""The stored ``.ipynb`` files: made from their py:percent sources by jupytext, without outputs."""

from __future__ import annotations

from pathlib import Path

from facedepth_kit.common.paths import write_atomically
from facedepth_kit.pipeline import notebooks


def notebook_text(source: Path) -> str:
    """The ``.ipynb`` that belongs to a py:percent source: no outputs, no counts, the same bytes every time."""
    import jupytext
    import nbformat

    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    # JupyterLab's jupytext notes its own version there.
    notebook.metadata.get("jupytext", {}).pop("text_representation", None)
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem.split('_')[0]}-{index:02d}"
    return str(nbformat.writes(notebook)) + "\n"


def write_notebooks() -> list[Path]:
    """Make every stored notebook from its source; returns those that changed."""
    changed = []
    for source in sorted((notebooks.notebooks_dir() / "src").glob("*.py")):
        text, stored = notebook_text(source), notebooks.notebooks_dir() / f"{source.stem}.ipynb"
        if not stored.exists() or stored.read_text(encoding="utf-8") != text:
            with write_atomically(stored, overwrite=True) as temporary:
                temporary.write_text(text, encoding="utf-8")
            changed.append(stored)
    return changed


def check_notebooks() -> list[str]:
    """Problems with the stored notebooks, one line each: outputs kept, text other than the source's, one missing."""
    import nbformat

    problems = []
    sources = {source.stem: source for source in sorted((notebooks.notebooks_dir() / "src").glob("*.py"))}
    stored = {path.stem: path for path in sorted(notebooks.notebooks_dir().glob("*.ipynb"))}
    listed = {notebook.name for notebook in notebooks.NOTEBOOKS}
    for name in sorted(sources.keys() ^ listed):
        where = "not in the list of pipeline/notebooks.py" if name in sources else "listed, but notebooks/src has none"
        problems.append(f"{name}: {where}")
    for name in sorted(sources.keys() | stored.keys()):
        if name not in sources or name not in stored:
            problems.append(f"{name}: found no {'source' if name not in sources else 'notebook'}")
            continue
        notebook = nbformat.read(stored[name], as_version=4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        if any(cell.outputs or cell.execution_count is not None for cell in code):
            problems.append(f"{name}: the stored notebook keeps outputs, expected none")
        elif stored[name].read_text(encoding="utf-8") != notebook_text(sources[name]):
            problems.append(f"{name}: the stored notebook differs from notebooks/src/{name}.py")
    return problems
