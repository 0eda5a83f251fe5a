"""Run the notebooks with panels headless again and again, and count those that hang or fail.

    python tools/stress.py [--runs 100] [--limit 180] [--notebook NAME ...]     (or: make stress RUNS=100)

One run is one papermill process at the smoke profile, notebooks in turn, one after the other at low priority. A run
that takes longer than the limit is ended and counts as hung. Exits with 1 if any run hung or failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PANELS = ("03_degradation", "17_compare_enhancers", "18_pad_panel")


def run_once(notebook: str, limit_s: float, folder: Path) -> tuple[str, float]:
    """Run a notebook; "ok", "hung" or what papermill said last, and the seconds it took."""
    command = [sys.executable, "-m", "papermill", str(ROOT / "notebooks" / f"{notebook}.ipynb"), os.devnull]
    command += ["--cwd", str(ROOT / "notebooks"), "--kernel", "python3", "--no-progress-bar", "--log-level", "ERROR"]
    command += ["-p", "profile", "smoke", "-p", "output", str(folder)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "FACEDEPTH_PROFILE": "smoke"}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said, start_new_session=True)
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return "hung", time.monotonic() - began
        finally:
            # papermill, and the kernel it may have left
            with contextlib.suppress(ProcessLookupError, AttributeError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        said.seek(0)
        lines = said.read().strip().splitlines()
    return "ok" if code == 0 else (lines[-1] if lines else f"exit code {code}"), time.monotonic() - began


def main(arguments: list[str]) -> int:
    """Run, report a line for each ten runs and what went wrong at once, and sum up."""
    parser = argparse.ArgumentParser(description="run the panel notebooks headless and count hangs")
    parser.add_argument("--runs", type=int, default=100, help="runs of all notebooks together (default: 100)")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds after which a run counts as hung (180)")
    parser.add_argument("--notebook", action="append", help="repeat for more (default: all with panels)")
    chosen = parser.parse_args(arguments)
    if hasattr(os, "nice"):
        os.nice(10)
    notebooks = chosen.notebook or PANELS
    seconds: list[float] = []
    hung: list[str] = []
    failed: list[str] = []
    for number in range(chosen.runs):
        notebook = notebooks[number % len(notebooks)]
        with tempfile.TemporaryDirectory() as folder:
            said, took = run_once(notebook, chosen.limit, Path(folder))
        seconds.append(took)
        if said != "ok":
            (hung if said == "hung" else failed).append(notebook)
            print(f"run {number + 1}, {notebook}: {said}", flush=True)
        if (number + 1) % 10 == 0:
            print(f"{number + 1} runs: {len(hung)} hung, {len(failed)} failed", flush=True)
    print(
        f"{chosen.runs} runs of {', '.join(notebooks)}: {len(hung)} hung, {len(failed)} failed; "
        f"{statistics.median(seconds):.1f} s at the median, {max(seconds):.1f} s at most"
    )
    return 1 if hung or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
