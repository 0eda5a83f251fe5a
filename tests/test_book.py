"""How notebooks and tables become pages of the book."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.book import STATE, VIEW, beside, cleaned, table_page


def notebook(*cells: dict[str, Any], widgets: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = {"papermill": {"output_path": "/home/me"}, "widgets": {STATE: {"state": widgets or {}}}}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def text_cell(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def test_a_solution_folds_and_a_notebooks_name_becomes_a_link() -> None:
    solution = "<details><summary>Solution</summary>\n\nIt is **42**, see `04_networks` and `other`.\n</details>"
    text = f"Ask.\n\n{solution}\n\nEnd."
    (cell,) = cleaned(notebook(text_cell(text)), ["04_networks"])["cells"]
    assert "::::{admonition} Solution\n:class: dropdown\n\nIt is **42**" in cell["source"]
    assert "<details>" not in cell["source"]
    assert "[`04_networks`](04_networks.ipynb) and `other`" in cell["source"]
    assert cell["source"].endswith("End.")


def test_what_the_pipeline_put_in_stays_out() -> None:
    injected = {"cell_type": "code", "metadata": {"tags": ["injected-parameters"]}, "source": "output = '/home/me'"}
    page = cleaned(notebook(injected, text_cell("hello")), [])
    assert [cell["source"] for cell in page["cells"]] == ["hello"]
    assert "papermill" not in page["metadata"]


def test_a_panel_becomes_its_pictures_and_values() -> None:
    widgets: dict[str, Any] = {
        "box": {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_slider", "IPY_MODEL_picture"]}},
        "slider": {"model_name": "FloatSliderModel", "state": {"description": "noise <mm>", "value": 15.0}},
        "picture": {
            "model_name": "ImageModel",
            "state": {"format": "png"},
            "buffers": [{"path": ["value"], "data": "QUJD\n"}],
        },
        "menu": {
            "model_name": "DropdownModel",
            "state": {"description": "x", "index": 1, "_options_labels": ["a", "b"]},
        },
    }
    widgets["box"]["state"]["children"].append("IPY_MODEL_menu")
    output = {"output_type": "execute_result", "data": {VIEW: {"model_id": "box"}, "text/plain": "VBox()"}}
    code = {"cell_type": "code", "metadata": {}, "source": "panel", "outputs": [output]}
    (cell,) = cleaned(notebook(code, widgets=widgets), [])["cells"]
    html = cell["outputs"][0]["data"]["text/html"]
    assert "noise &lt;mm&gt; <b>15.0</b>" in html
    assert 'src="data:image/png;base64,QUJD"' in html
    assert "x <b>b</b>" in html
    assert "text/plain" not in cell["outputs"][0]["data"]


def test_published_numbers_stand_right_of_ours() -> None:
    rows = [{"enhancer": "None", "mean": 1.0, "std": 2.0, "published_mean": 3.0, "published_std": 4.0, "note": ""}]
    assert list(beside(rows)[0]) == ["enhancer", "mean", "published mean", "std", "published std", "note"]
    assert beside(rows)[0]["published mean"] == 3.0
    shares = [{"stage": "total", "here": 1, "here_share": 1.0, "published": 2, "published_share": 1.0}]
    assert list(beside(shares)[0]) == ["stage", "here", "published", "here share", "published share"]


def test_a_long_table_becomes_one_row_an_enhancer() -> None:
    rows = [
        {"row": row, "condition": condition, "metric": metric, "value": value, "published": published}
        for row, condition, metric, value, published in (
            ("None", "mouth", "mean", 1.0, 2.0),
            ("None", "mouth", "std", 9.0, 9.0),
            ("None", "eyes", "mean", 3.0, ""),
            ("Hf-L", "eyes", "mean", 5.0, 6.0),
        )
    ]
    assert beside(rows) == [
        {"enhancer": "None", "mouth": 1.0, "mouth, published": 2.0, "eyes": 3.0, "eyes, published": ""},
        {"enhancer": "Hf-L", "mouth": "", "mouth, published": "", "eyes": 5.0, "eyes, published": 6.0},
    ]


def test_a_tables_page_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "table_5.csv").write_text(
        'table,row,condition,metric,value,published,verdict\nV,None,"Kinect, holes",mean,1.943,2.15,holds\n'
    )
    (tmp_path / "table_5.md").write_text("| a |\n| --- |\n| b |\n\nIn percent.\n")
    page = table_page(5, tmp_path, linked=True)
    assert page.startswith("# Table V: ")
    assert "1.94" in page
    assert "2.15" in page
    assert "In percent." in page
    assert "{doc}`../notebooks/12_roughness_and_holes`" in page
    assert "Every number and its verdict" in page
    assert "{doc}" not in table_page(5, tmp_path, linked=False)


def test_a_note_stands_once_below_the_table(tmp_path: Path) -> None:
    (tmp_path / "table_4.csv").write_text("enhancer,mean,note\nTelea,0.03,ours\nNavier-Stokes,0.04,ours\nNone,0.2,\n")
    (tmp_path / "table_4.md").write_text("| a |\n\nA caption.\n")
    page = table_page(4, tmp_path, linked=False)
    assert "- Telea, Navier-Stokes: ours\n" in page
    assert "| note" not in page
