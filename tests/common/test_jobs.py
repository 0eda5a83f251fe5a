"""Jobs: in order, few at a time, named in errors, and no worker outlives what started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from facedepth_kit.common.errors import KitError
from facedepth_kit.common.jobs import process_pool, run_jobs


def name(number: int) -> str:
    return f"job {number}"


def square(number: int) -> int:
    time.sleep(0.02 * (number % 3))
    return number * number


def fail(number: int) -> int:
    if number == 3:
        raise KitError("face.png: found nothing, expected a face")
    if number == 5:
        raise PermissionError(13, "Permission denied", "/face.png")
    if number == 7:
        raise ZeroDivisionError
    if number == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_results_come_in_order_and_few_jobs_are_under_way() -> None:
    taken = []

    def numbers() -> Iterator[tuple[int]]:
        for number in range(30):
            taken.append(number)
            yield (number,)

    with ThreadPoolExecutor(4) as pool:
        for number, result in enumerate(run_jobs(square, numbers(), name=name, executor=pool, workers=3)):
            assert result == number * number
            assert len(taken) <= number + 6
    assert list(run_jobs(square, ((n,) for n in range(5)), name=name)) == [0, 1, 4, 9, 16]
    assert list(run_jobs(square, ((n,) for n in range(5)), name=name, workers=2)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_names_its_job(workers: int) -> None:
    with pytest.raises(KitError, match=r"^job 3: face\.png: found nothing"):
        list(run_jobs(fail, ((n,) for n in (1, 2, 3, 4)), name=name, workers=workers))
    with pytest.raises(KitError, match=r"^job 5: /face\.png: Permission denied"):
        list(run_jobs(fail, [(5,)], name=name, workers=workers))
    with pytest.raises(ZeroDivisionError) as caught:
        list(run_jobs(fail, [(7,)], name=name, workers=workers))
    assert caught.value.__notes__ == ["in job 7"]


def test_a_killed_worker_is_one_line() -> None:
    with pytest.raises(KitError, match=r"^job \d+: found its worker gone"):
        list(run_jobs(fail, ((n,) for n in (8, 9, 10)), name=name, workers=2))


SCRIPT = """
import time
from facedepth_kit.common.jobs import run_jobs
if __name__ == "__main__":
    for _ in run_jobs(time.sleep, [(0.1,)] * 1000, name=str, workers=2):
        print("done", flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 2
    if how == signal.SIGINT:  # as a terminal does: to all of them
        os.killpg(process.pid, how)
    else:
        process.kill()
    _, errors = process.communicate(timeout=30)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert [child for child in alive if child.status() != psutil.STATUS_ZOMBIE] == []
    assert errors.count("Traceback") == (1 if how == signal.SIGINT else 0)  # the parent's own


def test_a_pool_is_usable_by_others() -> None:
    with process_pool(1) as pool:
        assert pool.submit(os.getppid).result() == os.getpid()
