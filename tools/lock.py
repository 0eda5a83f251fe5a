"""Resolve environment.yml into requirements.lock: hashed, for Python 3.11 to 3.13 on Linux, macOS and Windows.

    python tools/lock.py [--upgrade]     (or: make lock [UPGRADE=1])

Versions that are already in the lock are kept unless ``--upgrade`` is given.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Made by `make lock` from environment.yml. Installed with --require-hashes; do not edit.\n"
# What the kit supports; Intel Macs are left out because TensorFlow has no wheels for them.
ENVIRONMENTS = (
    "sys_platform == 'linux' and platform_machine == 'x86_64'",
    "sys_platform == 'linux' and platform_machine == 'aarch64'",
    "sys_platform == 'darwin' and platform_machine == 'arm64'",
    "sys_platform == 'win32' and platform_machine == 'AMD64'",
)


def direct_requirements(environment: Path) -> list[str]:
    """The requirements of environment.yml's pip section, without the package itself."""
    dependencies = yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]
    (pip,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    return [line for line in pip if not line.startswith("-e")]


def main(arguments: list[str]) -> int:
    """Write requirements.lock; returns uv's exit code."""
    lock = ROOT / "requirements.lock"
    fresh = lock.with_name(".requirements.lock.new")
    if lock.exists():
        fresh.write_bytes(lock.read_bytes())
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "-",
        "--universal",
        "--python-version",
        "3.11",
        "--fork-strategy",
        "fewest",
    ]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
    command += ["--quiet", "--output-file", str(fresh), *arguments]
    try:
        done = subprocess.run(
            command, input="\n".join(direct_requirements(ROOT / "environment.yml")), text=True, cwd=ROOT, check=False
        )
        if done.returncode == 0:
            lock.write_text(HEADER + fresh.read_text(encoding="utf-8"), encoding="utf-8", newline="\n")
        return done.returncode
    finally:
        fresh.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
