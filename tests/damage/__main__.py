"""``python -m tests.damage [--cases 10000] [--seed 1] [--case N] [--table CSV]`` with more options, or ``make fuzz``.

Each case copies whole files, damages one or two of them by a seeded generator, and goes through a real door of the kit
(tests/damage/doors.py). It may end well or with its one line, never with a traceback, a crash, a hang, a changed input,
a half written file, or a command for the terminal in its output. Cases run in processes of their own, many in each.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import resource
import select
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import cv2
from tqdm import tqdm

from facedepth_kit.cli.terminal import complain
from facedepth_kit.common.errors import KitError
from facedepth_kit.common.paths import TEMPORARY
from facedepth_kit.common.tables import write_table
from tests.damage.damages import damage
from tests.damage.doors import DOORS, Door, sequence

LONGEST_S = 300.0  # of a case, on a machine that does other things besides
MOST_BYTES = 4_000_000_000  # of memory; TensorFlow alone asks for half of it
OUTCOMES = ("traceback", "crash", "hang", "changed input", "half a file", "terminal")
LIBRARIES = ("[ WARN:", "[ERROR:", "libpng", "TIFFRead", "Corrupt JPEG", "Warning:")


class TooLong(BaseException):
    """A case takes longer than it may."""


def whole_files(folder: Path, wanted: set[str]) -> None:
    """Make the files of the doors, once."""
    for number, door in enumerate(DOORS):
        if door.name in wanted:
            place = folder / str(number)
            place.mkdir()
            with _output_aside(folder / "making"):
                door.make(place)


def contents(folder: Path) -> dict[str, str]:
    """What lies in a folder: names, kinds, and digests of files that are not holes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        regular = stat.S_ISREG(mode) and path.lstat().st_size < 100_000_000
        found[str(path)] = f"{stat.S_IFMT(mode)} {hashlib.md5(path.read_bytes()).hexdigest() if regular else ''}"
    return found


def run_case(number: int, seed: int, door: Door, whole: Path, place: Path) -> tuple[str, str]:
    """Run one case; returns what became of it, and what to know about that."""
    rng = random.Random(f"{seed} {number}")
    shutil.rmtree(place, ignore_errors=True)
    (place / "out").mkdir(parents=True)
    shutil.copytree(whole, place / "in", copy_function=os.link)
    files = sorted(path for path in (place / "in").rglob(door.files) if path.is_file())
    for path in rng.sample(files, min(len(files), rng.choice((1, 1, 2)))):
        damage(path, rng)
    before = contents(place / "in")
    rss = _memory()
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        with _output_aside(place / "said"):
            try:
                code = door.run(place, rng)
            except KitError as error:
                complain(str(error))
                code = 2
    except TooLong:
        return "hang", ""
    except BaseException:
        return "traceback", traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    said = (place / "said").read_bytes()
    after = contents(place / "in")
    left = [path for path in place.rglob("*") if path.name.startswith((TEMPORARY, ".lock"))]
    if b"Traceback" in said:
        return "traceback", said.decode(errors="replace")
    if b"out of memory" in said or _memory() - rss > 1_500_000_000:
        return "hang", f"memory: {_memory() - rss:,} bytes more; {said.decode(errors='replace')[:300]}"
    changed = any(after.get(path) != digest for path, digest in before.items())
    if changed and not (door.goes_on and code == 0):
        return "changed input", str({p for p, d in before.items() if after.get(p) != d}) + said.decode(errors="replace")
    if left:
        return "half a file", str(left)
    if b"\x1b[2J" in said or b"\x1b[31m" in said or any(word.encode() in said for word in LIBRARIES):
        return "terminal", said.decode(errors="replace")
    if code not in (0, 1, 2):
        return "traceback", f"exit code {code}"
    return ("fine", "with problems", "refused")[code], ""


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def _output_aside(path: Path) -> Iterator[None]:
    """Send the process's output and errors to a file: what libraries in C write, too."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            with contextlib.suppress(UnicodeError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            for number, one in enumerate(kept, 1):
                os.dup2(one, number)
                os.close(one)


def _serve(numbers: list[int], seed: int, order: list[Door], whole: Path, pipe: IO[str]) -> None:
    def stop(*ignored: object) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    place = Path(tempfile.mkdtemp(dir=whole, prefix="case-"))
    for number in numbers:
        print(json.dumps([number]), file=pipe, flush=True)
        door = order[number % len(order)]
        began = time.process_time()
        outcome, about = run_case(number, seed, door, whole / str(DOORS.index(door)), place)
        print(json.dumps([number, outcome, about, time.process_time() - began]), file=pipe, flush=True)
        if _memory() > MOST_BYTES:
            break
    shutil.rmtree(place, ignore_errors=True)


@dataclass
class _Server:
    """A process that runs cases, and those that it has left to do."""

    child: int
    pipe: int
    waiting: list[int]
    begun: int | None = None
    text: bytes = b""


def _start(waiting: list[int], seed: int, order: list[Door], whole: Path) -> _Server:
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as pipe:
                _serve(waiting, seed, order, whole, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    return _Server(child, reading, waiting)


def run_cases(
    numbers: list[int], seed: int, order: list[Door], whole: Path, jobs: int
) -> Iterator[tuple[int, str, str, float]]:
    """Run cases in processes side by side; another takes over where one crashes, hangs or has grown."""
    serving = [_start(numbers[job::jobs], seed, order, whole) for job in range(min(jobs, len(numbers)))]
    while serving:
        ready = select.select([one.pipe for one in serving], [], [], 2 * LONGEST_S)[0]
        for one in list(serving):
            if ready and one.pipe not in ready:
                continue
            data = os.read(one.pipe, 1 << 16) if ready else b""
            *lines, one.text = (one.text + data).split(b"\n")
            for line in lines:
                one.begun, *result = json.loads(line)
                if result:
                    one.waiting.remove(one.begun)
                    yield one.begun, *result
                    one.begun = None
            if data:
                continue
            serving.remove(one)
            os.close(one.pipe)
            os.kill(one.child, signal.SIGKILL)
            _, status = os.waitpid(one.child, 0)
            if one.begun is not None:
                one.waiting.remove(one.begun)
                yield one.begun, "crash" if ready else "hang", f"status {status}", 0.0
            if one.waiting:
                serving.append(_start(one.waiting, seed, order, whole))


def table(counts: Mapping[str, Counter[str]]) -> list[dict[str, object]]:
    """A row for each door, and one for all: cases, and what became of them."""
    words = ("fine", "with problems", "refused", *OUTCOMES)
    known = {door.name: counts[door.name] for door in DOORS if door.name in counts}
    known["all"] = sum(known.values(), Counter())
    return [{"door": door, "cases": one.total(), **{word: one[word] for word in words}} for door, one in known.items()]


def main(arguments: list[str]) -> int:
    """Run the cases that were asked for; prints a table, and ends with 1 if any case ended badly."""
    parser = argparse.ArgumentParser(prog="python -m tests.damage", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="decides the damage (default: the time)")
    parser.add_argument("--case", type=int, action="append", help="this one only, with all that it says")
    parser.add_argument("--door", help="only cases of doors with this in their names")
    parser.add_argument("--log", type=Path, help="keep what became of each case there, and go on with it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes side by side (default: one a core)")
    parser.add_argument("--table", type=Path, help="write the counts there, too")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("FACEDEPTH_SILENCE_S", "20")
    cv2.setNumThreads(1)  # a fork of a process with threads can hang
    tqdm.monitor_interval = 0  # its thread, too
    order = list(sequence())
    numbers = chosen.case or [
        number for number in range(chosen.cases) if (chosen.door or "") in order[number % len(order)].name
    ]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for line in chosen.log.read_text().splitlines() if chosen.log is not None and chosen.log.is_file() else ():
        number, outcome = json.loads(line)
        numbers.remove(number)
        counts[order[number % len(order)].name][outcome] += 1
    spent: defaultdict[str, float] = defaultdict(float)  # seconds of the processor
    bad = sum(one[outcome] for one in counts.values() for outcome in OUTCOMES)
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place)
        wanted = {order[number % len(order)].name for number in numbers}
        keras = {"weights", "training checkpoints"}
        whole_files(whole, wanted - keras)
        if wanted & keras:  # in a process of its own: a fork of one with TensorFlow's threads can hang
            child = os.fork()
            if not child:
                code = 1
                try:
                    whole_files(whole, wanted & keras)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
        for number, outcome, about, seconds in run_cases(numbers, chosen.seed, order, whole, chosen.jobs):
            door = order[number % len(order)].name
            counts[door][outcome] += 1
            spent[door] += seconds
            spent["all"] += seconds
            if chosen.log is not None:
                with chosen.log.open("a") as log:
                    print(json.dumps([number, outcome]), file=log)
            if chosen.table is not None and sum(one.total() for one in counts.values()) % 100 == 0:
                write_table(chosen.table, table(counts))  # a run that is cut short has its counts, too
            if outcome in OUTCOMES or chosen.case:
                bad += outcome in OUTCOMES
                shown = about.encode("utf-8", "backslashreplace").decode()
                print(f"case {number} of seed {chosen.seed}, {door}: {outcome}\n{shown}", flush=True)
    for row in table(counts):
        print(" | ".join(str(cell) for cell in row.values()), f"| {spent[str(row['door'])]:.1f} s")
    if chosen.table is not None:
        write_table(chosen.table, table(counts))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
