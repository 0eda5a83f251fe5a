"""The book: every page in the system's own Chromium on a small laptop and on a phone, and every link by itself.

It is built from the smoke profile's executed notebooks where there are any; a notebook that has not been run is shown
as it is stored, so that pages and links are always checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from facedepth_kit.common.paths import figures_dir, repository_root
from facedepth_kit.pipeline.notebooks import NOTEBOOKS
from tests.browser.conftest import QUIET_BROWSER, SHOTS, chromium
from tools import book

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning:myst_parser")
SCREENS = {"laptop": (1366, 768), "phone": (390, 844)}
LOADED = {"img": "src", "script": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """Links, loaded files and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(str(given.get("href")))
        if given.get(LOADED.get(tag, "")):
            self.loaded.append(str(given[LOADED[tag]]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = book.executed("smoke")
    figures = figures_dir("smoke" if (figures_dir("smoke") / "table_7.csv").is_file() else "laptop")
    notebooks = {one: run.get(one, one.stored) for one in NOTEBOOKS}
    return book.build(notebooks, figures, tmp_path_factory.mktemp("book") / "a book").parent


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)  # the theme's template
    return {path: Page(path) for path in found}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(QUIET_BROWSER))
        yield running
        running.close()


def test_every_notebook_and_table_has_a_page(pages: dict[Path, Page], site: Path) -> None:
    found = {path.relative_to(site).as_posix() for path in pages}
    assert {f"notebooks/{one.name}.html" for one in NOTEBOOKS} <= found
    assert {f"tables/table_{number}.html" for number in range(1, 8)} <= found


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in {*page.links, *page.loaded}:
            parts = urlsplit(link)
            if parts.scheme or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_nothing_is_fetched_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    loaded = [(path.name, file) for path, page in pages.items() for file in page.loaded]
    assert [one for one in loaded if urlsplit(one[1]).scheme not in ("", "data")] == []
    styles = "\n".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import)\s*['\"]?https?:[^)]*", styles)


def test_no_page_names_this_machines_folders(pages: dict[Path, Page]) -> None:
    named = [path.name for path in pages if str(repository_root()) in path.read_text(encoding="utf-8")]
    assert not named


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_fits_its_window_with_every_picture(
    browser: Any, pages: dict[Path, Page], site: Path, screen: str
) -> None:
    width, height = SCREENS[screen]
    window = browser.new_page(viewport={"width": width, "height": height})
    problems: list[str] = []
    window.on("pageerror", lambda error: problems.append(f"{window.url}: {error}"))
    window.on("requestfailed", lambda request: problems.append(f"{window.url}: {request.url[:100]} failed"))
    window.on(
        "request",
        lambda request: (
            problems.append(f"{window.url} asks for {request.url}")
            if not request.url.startswith(("file:", "data:"))
            else None
        ),
    )
    for path in pages:
        window.goto(path.as_uri())
        seen, missing = window.evaluate(
            "[document.documentElement.scrollWidth, [...document.images].filter(one => !one.naturalWidth).length]"
        )
        if seen > width or missing:
            problems.append(f"{path.name}: {seen} px wide, {missing} pictures missing")
    SHOTS.mkdir(parents=True, exist_ok=True)
    for name in ("notebooks/03_degradation", "tables/table_4"):
        window.goto((site / f"{name}.html").as_uri())
        window.screenshot(path=SHOTS / f"book_{Path(name).name}_{screen}.png")
    window.close()
    assert problems == []


def test_a_solution_unfolds(browser: Any, site: Path) -> None:
    window = browser.new_page()
    window.goto((site / "notebooks" / "03_degradation.html").as_uri())
    solution = window.locator(".admonition.dropdown").first
    text = solution.locator("p").last
    assert not text.is_visible()
    solution.locator(".toggle-button, button").first.click()
    text.wait_for(state="visible", timeout=5000)
    window.close()


def test_search_finds_a_notebook_without_a_server(browser: Any, site: Path) -> None:
    window = browser.new_page()
    window.goto((site / "search.html").as_uri() + "?q=hole")
    window.wait_for_selector("#search-results li a", timeout=20_000)
    found = window.locator("#search-results li a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    window.close()
    assert any("notebooks/" in str(link) for link in found)
