"""How Sphinx makes the book: ``tools/book.py`` gathers the pages and calls it. Nothing is executed, nothing fetched."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from typing import Any

project = "facedepth-kit"
author = "the facedepth-kit maintainers"
extensions = ["myst_nb", "sphinx_togglebutton"]

nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # tables and links in what cells show
nb_output_stderr = "remove"  # progress bars
nb_ipywidgets_js: dict[str, Any] = {}  # would come from a CDN; tools/book.py writes panels as plain HTML
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure"]

html_theme = "pydata_sphinx_theme"
html_title = "facedepth-kit"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "navigation_with_keys": False,
}
html_math_renderer = "mathtext"
FONT_PT = 13.0
togglebutton_hint = "show"
togglebutton_hint_hide = "hide"


def _svg(latex: str) -> tuple[str, float]:
    """A formula as an SVG data address, drawn by matplotlib, and how far it reaches below the line, in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    file, font = BytesIO(), FontProperties(size=FONT_PT, math_fontfamily="cm")
    depth = math_to_image(f"${latex}$", file, prop=font, format="svg")
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode(), float(depth)


def _inline(translator: Any, node: Any) -> None:
    from docutils import nodes

    latex = node.astext()
    source, depth = _svg(latex)
    style = f"vertical-align:{-depth / FONT_PT:.2f}em"
    translator.body.append(f'<img class="math" src="{source}" alt="{escape(latex)}" style="{style}">')
    raise nodes.SkipNode


def _display(translator: Any, node: Any) -> None:
    from docutils import nodes

    lines = [part for part in node.astext().split("\\\\") if part.strip()]
    drawn = [f'<img class="math" src="{_svg(" ".join(line.split()))[0]}" alt="{escape(line)}">' for line in lines]
    translator.body.append(f'<div class="math">{"<br>".join(drawn)}</div>')
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Formulae become pictures: MathJax would have to be fetched."""
    app.add_html_math_renderer("mathtext", (_inline, None), (_display, None))
