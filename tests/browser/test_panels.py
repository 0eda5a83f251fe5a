"""The panels as a student meets them: a real JupyterLab, a real browser, sliders moved by keyboard and mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from facedepth_kit.depth import write_png
from facedepth_kit.panels import FaceChoice, synthetic

OpenNotebook = Callable[[str], Any]


def clean(desk: Any) -> None:
    """No cell failed or complained, all were run, the page logged no error and asked nobody but JupyterLab."""
    outputs = desk.outputs()
    assert desk.errors() == []
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []
    assert all(desk.executed())
    assert desk.problems == []
    assert desk.elsewhere == []


def panel_of(desk: Any) -> Any:
    """The panel, scrolled into view."""
    panel = desk.page.locator(".jupyter-widgets.widget-container", has=desk.page.locator("img.widget-image")).first
    panel.wait_for(timeout=60_000)
    panel.scroll_into_view_if_needed()
    return panel


def picture(panel: Any, title: str) -> Any:
    """The first picture of the column with that title."""
    column = panel.locator(".widget-vbox", has_text=title).filter(has=panel.page.locator("img.widget-image")).last
    return column.locator("img.widget-image").first


def slider(panel: Any, label: str) -> Any:
    """The last handle of the slider with that label: the upper one of a range."""
    return panel.locator(".widget-slider", has_text=label).first.locator("[role=slider]").last


def test_degradation_panel(open_notebook: OpenNotebook) -> None:
    with open_notebook("03_degradation") as desk:
        panel = panel_of(desk)
        assert desk.cut(panel) == []
        degraded, truth = picture(panel, "Degraded"), picture(panel, "Ground truth")
        before, truth_before = desk.settled(degraded), desk.settled(truth)
        numbers = panel.locator("table").first
        said = numbers.inner_text()
        counts = panel.get_by_text(re.compile(r"^drawn: \d+$")).all_inner_texts()
        assert len(counts) == 3
        desk.shoot("opened")

        # by keyboard: more random holes
        handle = panel.locator(".widget-slider", has_text="holes (count)").nth(1).locator("[role=slider]").last
        handle.focus()
        for _ in range(25):
            desk.page.keyboard.press("ArrowRight")
        desk.wait_until(lambda: numbers.inner_text() != said)
        assert (before != desk.settled(degraded)).any()
        desk.page.keyboard.press("End")
        after = desk.settled(degraded)
        desk.shoot("more_holes")
        assert (before != after).any(axis=-1).mean() > 0.01
        assert panel.get_by_text(re.compile(r"^drawn: \d+$")).all_inner_texts() != counts
        assert np.array_equal(desk.settled(truth), truth_before)

        # by mouse, faster than pictures can be drawn: what is shown is where the slider ended
        noise = slider(panel, "up to (mm)")
        box = noise.bounding_box()
        y = box["y"] + box["height"] / 2
        desk.page.mouse.move(box["x"] + box["width"] / 2, y)
        desk.page.mouse.down()
        desk.page.mouse.move(box["x"] + 60, y, steps=40)
        desk.page.mouse.move(box["x"] - 60, y, steps=40)
        desk.page.mouse.up()
        dragged = desk.settled(degraded)
        noise.focus()
        desk.page.keyboard.press("ArrowRight")
        assert not np.array_equal(desk.settled(degraded), dragged)
        desk.page.keyboard.press("ArrowLeft")
        assert np.array_equal(desk.settled(degraded), dragged)

        panel.get_by_role("button", name="Reset all").click()
        desk.wait_until(lambda: numbers.inner_text() == said)
        assert np.array_equal(desk.settled(degraded), before)

        # another person, then a preset
        panel.get_by_role("tab", name="Face").click()
        panel.get_by_role("button", name="next person").click()
        desk.wait_until(lambda: not np.array_equal(desk.pixels(truth), truth_before))
        desk.settled(truth)
        desk.shoot("face")
        panel.get_by_role("tab", name="Presets").click()
        panel.get_by_role("button", name="Save").click()
        panel.get_by_text("saved").wait_for()
        desk.shoot("preset")
        saved = desk.lab.folder / "build" / "smoke" / "output" / "presets" / "my_degradation.yaml"
        assert "noise_mm: 15.0" in saved.read_text()
        clean(desk)


def test_enhancer_panel(open_notebook: OpenNotebook, tmp_path: Path) -> None:
    with open_notebook("17_compare_enhancers") as desk:
        panel = panel_of(desk)
        desk.settled(panel)
        assert desk.cut(panel) == []
        desk.shoot("opened")
        first = picture(panel, "input")
        relief = panel.locator(".widget-vbox", has_text="input").filter(
            has=desk.page.locator("img.widget-image")
        ).last.locator("img.widget-image").nth(2)  # fmt: skip
        profile = panel.locator("svg[role=img]")
        before, relief_before, drawn = desk.settled(first), desk.settled(relief), profile.inner_html()

        slider(panel, "at pixel").focus()
        for _ in range(20):
            desk.page.keyboard.press("ArrowRight")
        desk.wait_until(lambda: profile.inner_html() != drawn)
        assert (desk.settled(first) != before).any()
        assert np.array_equal(desk.settled(relief), relief_before)

        slider(panel, "turn").focus()
        for _ in range(20):
            desk.page.keyboard.press("ArrowLeft")
        desk.wait_until(lambda: not np.array_equal(desk.pixels(relief), relief_before))
        desk.settled(relief)
        desk.shoot("turned")

        columns = panel.locator("img.widget-image").count()
        panel.locator("select[multiple]").select_option(label=["De-M8", "Telea", "Navier-Stokes+bilateral", "Sp-HfU"])
        desk.wait_until(lambda: panel.locator("img.widget-image").count() != columns)
        desk.settled(panel)
        assert desk.cut(panel) == []
        desk.shoot("four")

        mine = tmp_path / "mine.png"
        write_png(mine, synthetic(FaceChoice(7)).crop.depth)
        panel.get_by_role("tab", name="Your own file").click()
        with desk.page.expect_file_chooser() as chooser:
            panel.get_by_role("button", name="Upload").click()
        chooser.value.set_files(mine)
        desk.wait_until(lambda: "ground truth" not in panel.inner_text())
        panel.get_by_role("tab", name="Look").click()
        assert panel.locator("select").first.locator("option:checked").inner_text() == "mine.png"
        desk.settled(panel)
        desk.shoot("own_file")
        clean(desk)


def test_pad_panel(open_notebook: OpenNotebook) -> None:
    with open_notebook("18_pad_panel") as desk:
        panel = panel_of(desk)
        enhanced = picture(panel, "Enhanced")
        before = desk.settled(enhanced)
        verdicts = panel.locator("table").first
        said = verdicts.inner_text()
        assert desk.cut(panel) == []
        desk.shoot("opened")
        slider(panel, "PAD error from").focus()
        desk.page.keyboard.press("Home")
        desk.wait_until(lambda: verdicts.inner_text() != said)
        assert np.array_equal(desk.settled(enhanced), before)
        panel.locator("select").nth(1).select_option(label="Hf-L")
        desk.wait_until(lambda: not np.array_equal(desk.pixels(enhanced), before))
        panel.locator("select").nth(2).select_option(label="shaded relief")
        desk.settled(enhanced)
        desk.shoot("relief")
        clean(desk)
