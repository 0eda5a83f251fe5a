"""A few kills of every resumable piece of work; ``make kill`` tries thirty of each."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="kills forks of a process")
def test_killed_work_is_made_good() -> None:
    run = subprocess.run([sys.executable, "-m", "tests.kills", "--kills", "3"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
