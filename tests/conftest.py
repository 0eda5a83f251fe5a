"""What every test shares: quiet libraries, a seeded generator, the real frames where there are any, strict skips."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# A shell that runs the tests in the background lets them ignore Ctrl-C; the commands that they start must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Whoever runs the tests may have trained networks; the tests are about the shipped ones.
os.environ["FACEDEPTH_WEIGHTS"] = str(Path(__file__).with_name("no weights of the user's own"))


# Why a test may be skipped under --strict-skips: what it needs cannot be shipped, or the machine forbids it. A missing
# SDK, Dlib or browser is none of these.
ALLOWED_SKIPS = (
    "needs real depth frames beside the repository",
    "the recordings of DDRNet's data set are not here",
    "needs FACEDEPTH_FACE_MESH",
    "needs the list of the official checkpoint's variables",
    "needs PRNet's index files",
    "needs Linux user namespaces to mount a small disk",
    "this file system wants text",
)
FORBIDDEN_SKIPS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """--strict-skips, for continuous integration."""
    parser.addoption("--strict-skips", action="store_true", help="fail where a test was skipped that need not be")


def pytest_configure(config: pytest.Config) -> None:
    """Gather what was skipped without leave."""
    forbidden: list[str] = []
    config.stash[FORBIDDEN_SKIPS] = forbidden

    class Watch:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            self.look(report)

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            self.look(report)

        def look(self, report: pytest.TestReport | pytest.CollectReport) -> None:
            if not report.skipped or hasattr(report, "wasxfail"):
                return
            reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
            if not any(allowed in reason for allowed in ALLOWED_SKIPS):
                forbidden.append(f"{report.nodeid}: {reason}")

    if config.getoption("--strict-skips"):
        config.pluginmanager.register(Watch())


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under --strict-skips, a test skipped without leave is a failure."""
    if session.config.stash[FORBIDDEN_SKIPS] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which these were."""
    if config.stash[FORBIDDEN_SKIPS]:
        terminalreporter.section("skipped without leave")
        for line in config.stash[FORBIDDEN_SKIPS]:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _networks_of_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a workspace names the networks of its profile's run; the next test must not find them."""
    monkeypatch.setenv("FACEDEPTH_RUN_NETWORKS", "")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed, new for each test."""
    return np.random.default_rng(2023)


@pytest.fixture(scope="session")
def real_depth() -> Path:
    """The folder of real frames beside the repository (``../shared/real_depth``); the test is skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "real_depth"
    if not folder.is_dir():
        pytest.skip("needs real depth frames beside the repository")
    return folder
