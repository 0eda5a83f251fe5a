"""What the panels are put together from: one look, one way to be shown, one way to draw."""

from __future__ import annotations

import html
import time
from collections.abc import Sequence
from typing import Any

from facedepth_kit import enhancers
from facedepth_kit.common.errors import KitError
from facedepth_kit.panels.debouncer import Debouncer

QUIET = "color: var(--jp-ui-font-color2, #666); font-size: 12px; line-height: 1.35"
FIRST_SHOWN = "Telea+bilateral"  # panels open at once with it: no network to load


class Panel:
    """Something that a notebook shows and code can drive: ``widget`` is what is shown.

    A subclass sets its pictures in :meth:`refresh`; observers call :meth:`ask`, and what they have changed is drawn
    once, when the kernel has nothing more to read (:class:`Debouncer`). ``shown_ms`` is how long the last drawing took.
    """

    def __init__(self) -> None:
        import ipywidgets as widgets

        self.message = widgets.HTML()
        self.debouncer = Debouncer(self._draw)
        self.shown_ms = 0.0
        self.widget: Any = None
        self._held = False
        self._warm: set[str] = set()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)

    def ask(self, *_: object) -> None:
        """Ask for the pictures to follow; for observers."""
        if not self._held:
            self.debouncer.ask()

    def finish(self) -> None:
        """Draw what is due now: for code that moves a slider and reads the numbers in the same cell."""
        self.debouncer.finish()

    def set_all(self, values: Sequence[tuple[Any, Any]]) -> None:
        """Give several widgets their values (widget, value) with one drawing at the end, ranges widened as needed."""
        self._held = True
        try:
            for widget, value in values:
                _widen(widget, value)
                widget.value = value
        finally:
            self._held = False
        self.ask()

    def refresh(self) -> None:
        """Set pictures and numbers to what the widgets say. May raise :class:`KitError`, which is shown."""
        raise NotImplementedError

    def say(self, text: str, *, wrong: bool = False) -> None:
        """One line for the reader below the controls."""
        colour = "var(--jp-error-color1, #b00020)" if wrong else "var(--jp-ui-font-color2, #666)"
        self.message.value = f'<div style="color: {colour}; line-height: 1.4">{html.escape(text)}</div>' if text else ""

    def announce(self, enhancer: str) -> None:
        """Say that the network behind an enhancer is being loaded, if it is: the panel does not respond meanwhile."""

        if enhancer not in self._warm and enhancers.get(enhancer).kind == "learned":
            self.say(f"loading {enhancer} ...")
        self._warm.add(enhancer)

    def _draw(self) -> None:
        began = time.perf_counter()
        try:
            self.refresh()
        except KitError as error:
            self.say(str(error), wrong=True)
            return
        self.shown_ms = (time.perf_counter() - began) * 1e3
        if "loading" in self.message.value:
            self.say("")


def _widen(widget: Any, value: Any) -> None:
    """A value beyond a slider's ends (of a preset, say) moves the end, it is not cut off."""
    if hasattr(widget, "min") and hasattr(widget, "max"):
        low, high = value if isinstance(value, tuple) else (value, value)
        widget.min, widget.max = min(widget.min, low), max(widget.max, high)


def heading(text: str) -> Any:
    """A group's name."""
    import ipywidgets as widgets

    layout = {"margin": "4px 0 0 0", "flex": "1 1 auto"}
    return widgets.HTML(f'<b style="font-size: 13px">{html.escape(text)}</b>', layout=layout)


def note(text: str, **layout: str) -> Any:
    """Small grey text (HTML)."""
    import ipywidgets as widgets

    return widgets.HTML(f'<div style="{QUIET}">{text}</div>', layout=layout)


def button(text: str, tooltip: str = "", **layout: str) -> Any:
    """A small button."""
    import ipywidgets as widgets

    return widgets.Button(
        description=text,
        tooltip=tooltip or text,
        layout={"width": "auto", "height": "26px", "flex": "0 0 auto", **layout},
    )


def picture() -> Any:
    """A place for PNG bytes, as wide as its column."""
    import ipywidgets as widgets

    return widgets.Image(format="png", layout={"width": "100%", "height": "auto", "margin": "0 0 3px 0"})


def column(title: str, *children: Any, widest: str, colour: str = "", lines: int = 1) -> Any:
    """A column of a panel: a title of so many lines, a bar of ``colour`` if there is one, then pictures.

    ``widest`` is a CSS length. In parts of the window's height (``vh``) it keeps a panel as high as a small screen.
    """
    import ipywidgets as widgets

    # All titles of a row are of one height, so that the pictures below them are level.
    style = (
        f"font-weight: 600; font-size: 12px; height: {15 * lines}px; line-height: 15px; "
        "display: flex; align-items: end; justify-content: center; margin-bottom: 3px"
    )
    if colour:
        style += f"; border-bottom: 3px solid {colour}"
    text = html.escape(title).replace("+", "+<wbr>")
    head = widgets.HTML(f'<div style="{style}"><div style="text-align: center">{text}</div></div>')
    layout = {"flex": "1 1 0", "min_width": "0", "max_width": widest, "margin": "0 6px 0 0", "overflow": "hidden"}
    return widgets.VBox([head, *children], layout=layout)


def side_by_side(controls: Sequence[Any], results: Sequence[Any], *, width_px: int) -> Any:
    """A panel's controls, ``width_px`` wide, and to their right what they change; below each other in a narrow page."""
    import ipywidgets as widgets

    left = widgets.VBox(
        controls, layout={"width": f"{width_px}px", "flex": f"0 0 {width_px}px", "margin": "0 12px 0 0"}
    )
    right = widgets.VBox(results, layout={"flex": "1 1 300px", "min_width": "290px"})
    return widgets.HBox([left, right], layout={"flex_flow": "row wrap", "align_items": "flex-start"})


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, prose: bool = False) -> str:
    """A small HTML table: the first column names the row, the others hold numbers; or texts that wrap (``prose``)."""
    side, space = ("left", "normal") if prose else ("right", "nowrap")

    def cell(tag: str, text: str, place: int) -> str:
        space_px = 0 if place == len(columns) - 1 else 10
        style = f"padding: 1px {space_px}px 1px 0; vertical-align: top; text-align: {'left' if place == 0 else side}"
        return f'<{tag} style="{style}; white-space: {"normal" if tag == "th" else space}">{html.escape(text)}</{tag}>'

    lines = [("th", columns), *(("td", row) for row in rows)]
    body = "".join(
        "<tr>" + "".join(cell(tag, text, place) for place, text in enumerate(line)) + "</tr>" for tag, line in lines
    )
    return f'<table style="line-height: 1.4; font-size: 13px; margin-top: 4px">{body}</table>'


def able_enhancers() -> list[str]:
    """Names of the enhancers that run here, the user's own networks last, for a picker."""
    return enhancers.offered()
