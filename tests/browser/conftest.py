"""JupyterLab as ``make lab`` starts it, in a copy under a path with blanks, seen by the system's own Chromium.

Without a browser these tests are skipped; with FACEDEPTH_BROWSER=required (``make test-browser``, CI) that is a
failure. Pictures of what was seen lie in ``build/browser``.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "build" / "browser"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MINUTES_S = 180.0
# Nothing of the browser's own may go out: what is tested is that the page asks for nothing either.
QUIET_BROWSER = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)


def chromium() -> str:
    """The browser's path: FACEDEPTH_CHROMIUM, or what the system has."""
    found = os.environ.get("FACEDEPTH_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = "needs Chromium (apt-get install chromium), or FACEDEPTH_CHROMIUM=/path/to/it"
        if os.environ.get("FACEDEPTH_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


# Texts are measured by the room they would take; a select list may scroll.
CUT = """panel => {
    const view = document.querySelector('.jp-WindowedPanel-outer, .jp-Notebook').getBoundingClientRect();
    const edge = panel.closest('.jp-OutputArea-output').getBoundingClientRect().right;
    const found = [];
    const seen = element => element.getClientRects().length > 0;
    const box = panel.getBoundingClientRect();
    if (box.height > view.height) found.push(`panel: ${box.height} px high, ${view.height} px in view`);
    for (const part of panel.querySelectorAll('td, th, button, label, img, svg, input, select, .widget-html, b')) {
        if (!seen(part)) continue;
        const place = part.getBoundingClientRect(), name = part.innerText?.slice(0, 40) || part.tagName;
        if (place.right > edge + 1) found.push(`${name}: ends at ${place.right}, the output at ${edge}`);
        for (let around = part.parentElement; around !== panel.parentElement; around = around.parentElement)
            if (getComputedStyle(around).overflow !== 'visible' && seen(around)
                && place.right > around.getBoundingClientRect().right + 1.5)
                found.push(`${name}: cut at ${around.getBoundingClientRect().right} of ${place.right}`);
        const cuts = getComputedStyle(part).overflow === 'hidden' && part.tagName !== 'SELECT';
        if (cuts && part.scrollWidth > part.clientWidth + 1) found.push(`${name}: cut`);
    }
    return found;
}"""


@dataclass
class Lab:
    """A running JupyterLab: its address, its folder and its token."""

    url: str
    folder: Path
    token: str


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab on a fresh copy of the notebooks; ended with all its kernels."""
    chromium()
    folder = tmp_path_factory.mktemp("desk of a student") / "facedepth kit"
    for name in ("facedepth_kit", "notebooks", "tools"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("environment.yml", "pyproject.toml", "requirements.lock"):
        shutil.copy2(ROOT / name, folder / name)
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, str(folder / "tools" / "lab.py"), "--no-browser", "--allow-root"]
    command += [f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command.append("--LabApp.expose_app_in_browser=True")
    own = {
        name: str(folder.parent / name)
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"):
        own[name] = str(folder.parent / name)
    environment = {**os.environ, **own, "PYTHONPATH": str(folder), "FACEDEPTH_PROFILE": "smoke"}
    for name in ("JUPYTER_CONFIG_PATH", "PYTEST_CURRENT_TEST"):  # under the latter a kernel hides what libraries say
        environment.pop(name, None)
    with (folder.parent / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            found = Lab(f"http://127.0.0.1:{port}", folder, token)
            _wait_for(found, server, folder.parent / "lab.log")
            yield found
        finally:
            # The kernels are JupyterLab's children and belong to its session.
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait_for(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-2000:]}")


@dataclass
class Desk:
    """A notebook that was opened in the browser and run, and everything that went wrong on the way."""

    page: Any
    lab: Lab
    name: str
    problems: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    def shoot(self, what: str) -> None:
        """Keep a picture of the window."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{self.name}_{what}.png")

    def outputs(self) -> list[dict[str, Any]]:
        """All outputs of the notebook, saved first."""
        self.page.evaluate("jupyterapp.commands.execute('docmanager:save')")
        path = self.lab.folder / "notebooks" / f"{self.name}.ipynb"
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [output for cell in cells for output in cell.get("outputs", [])]

    def errors(self) -> list[str]:
        """What went wrong in cells."""
        return [
            f"{output['ename']}: {output['evalue']}" for output in self.outputs() if output["output_type"] == "error"
        ]

    def executed(self) -> list[bool]:
        """Of each code cell, whether it has been run to its end."""
        path = self.lab.folder / "notebooks" / f"{self.name}.ipynb"
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell["execution_count"] is not None for cell in cells if cell["cell_type"] == "code"]

    def pixels(self, place: Any) -> np.ndarray[Any, Any]:
        """What a part of the page looks like: uint8 (height, width, 3)."""
        picture = cv2.imdecode(np.frombuffer(place.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        return np.asarray(picture)

    def wait_until(self, what: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for something to become true; the page goes on meanwhile."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, f"waited {seconds:.0f} s in vain"
            self.page.wait_for_timeout(100)

    def cut(self, panel: Any) -> list[str]:
        """What is not seen whole of a panel that is scrolled to the top: what lies beyond an edge, texts cut short."""
        panel.evaluate("panel => panel.scrollIntoView({block: 'start'})")
        return list(panel.evaluate(CUT))

    def settled(self, place: Any) -> np.ndarray[Any, Any]:
        """The look of a part of the page once it no longer changes."""
        before = self.pixels(place)
        for _ in range(50):
            self.page.wait_for_timeout(300)
            after = self.pixels(place)
            if before.shape == after.shape and np.array_equal(before, after):
                return after
            before = after
        raise AssertionError("the picture never came to rest")


@pytest.fixture(scope="module")
def open_notebook(lab: Lab) -> Iterator[Callable[[str], Any]]:
    """A function that opens a notebook by name, runs all of it and hands out the desk, in a ``with``."""
    from playwright.sync_api import sync_playwright

    @contextmanager
    def opened(name: str) -> Iterator[Desk]:
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        desk = Desk(page, lab, name)
        page.on("pageerror", lambda error: desk.problems.append(f"page: {error}"))
        page.on("console", lambda line: desk.problems.append(f"console: {line.text}") if line.type == "error" else None)
        page.on("requestfailed", lambda request: desk.problems.append(f"request: {request.url} {request.failure}"))
        page.on(
            "response",
            lambda answer: desk.problems.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else None,
        )
        page.on(
            "request",
            lambda request: (
                desk.elsewhere.append(request.url) if not request.url.startswith((lab.url, "data:", "blob:")) else None
            ),
        )
        # reset: only this notebook, whatever was open before
        page.goto(f"{lab.url}/lab/tree/notebooks/{name}.ipynb?reset&token={lab.token}")
        page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady", timeout=60_000)
        page.wait_for_function(
            "jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'", timeout=60_000
        )
        page.get_by_text("Run", exact=True).first.click()
        page.get_by_text("Run All Cells", exact=True).click()
        try:
            # A cell that fails stops the rest.
            page.wait_for_function(
                """() => { const at = jupyterapp.shell.currentWidget;
                const code = at.content.widgets.filter(cell => cell.model.type === 'code');
                return at.sessionContext.session.kernel.status === 'idle' && (
                    code.every(cell => cell.model.executionCount !== null) ||
                    code.some(cell => cell.model.outputs.toJSON().some(one => one.output_type === 'error'))); }""",
                timeout=MINUTES_S * 1e3,
            )
            assert desk.errors() == []
            yield desk
            desk.shoot("end")
        except BaseException:
            desk.shoot("failed")
            raise
        finally:
            # The next notebook's kernel should not share the cores with this one.
            page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            page.close()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET_BROWSER))
        try:
            yield opened
        finally:
            browser.close()
