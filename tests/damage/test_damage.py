"""Two thousand damaged files and options through every door, in two processes; ``make fuzz`` tries ten thousand."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="forks, and makes pipes among the files")
def test_damaged_files_end_in_one_line() -> None:
    command = [sys.executable, "-m", "tests.damage", "--cases", "2000", "--seed", "1", "--jobs", "2"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
