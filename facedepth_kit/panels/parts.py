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
DEFAULT_ENHANCER = "Telea+bilateral"


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
        """Say that the network behind an enhancer is being loaded, if it is: the kernel is deaf meanwhile."""

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
        description=text, tooltip=tooltip or text, layout={"width": "auto", "height": "26px", **layout}
    )


def picture(width_px: int = 256) -> Any:
    """A place for PNG bytes that shrinks with the window but never grows beyond its pixels."""
    import ipywidgets as widgets

    return widgets.Image(format="png", layout={"width": "100%", "max_width": f"{width_px}px", "height": "auto"})


def titled(title: str, *children: Any, width_px: int = 256) -> Any:
    """A column of a panel: a title, then pictures."""
    import ipywidgets as widgets

    # Room for two lines, so that the pictures of a row keep to one height.
    style = (
        "font-weight: 600; height: 36px; line-height: 18px; display: flex; align-items: end; justify-content: center"
    )
    text = html.escape(title).replace("+", "+<wbr>")
    head = widgets.HTML(f'<div style="{style}"><div style="text-align: center">{text}</div></div>')
    layout = {
        "flex": f"1 1 {width_px // 2}px",
        "min_width": "120px",
        "max_width": f"{width_px}px",
        "margin": "0 6px 0 0",
    }
    return widgets.VBox([head, *children], layout=layout)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, prose: bool = False) -> str:
    """A small HTML table: the first column names the row, the others hold numbers; or texts that wrap (``prose``)."""
    side, space = ("left", "normal") if prose else ("right", "nowrap")

    def cell(tag: str, text: str, place: int) -> str:
        style = f"padding: 1px 14px 1px 0; vertical-align: top; text-align: {'left' if place == 0 else side}"
        return f'<{tag} style="{style}; white-space: {space}">{html.escape(text)}</{tag}>'

    lines = [("th", columns), *(("td", row) for row in rows)]
    body = "".join(
        "<tr>" + "".join(cell(tag, text, place) for place, text in enumerate(line)) + "</tr>" for tag, line in lines
    )
    return f'<table style="line-height: 1.5; font-size: 14px; margin-top: 6px">{body}</table>'


def able_enhancers() -> list[str]:
    """Names of the enhancers that run here, for a picker."""

    return enhancers.available()
