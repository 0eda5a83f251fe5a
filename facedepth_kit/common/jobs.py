"""Jobs on workers: processes of this machine, or any other :class:`concurrent.futures.Executor`, such as a cluster's.

Results come in the order of the jobs, and only a few jobs are under way at a time, so that memory does not grow with
their number. Worker processes end with the process that started them, even when it is killed.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar

from facedepth_kit.common.errors import KitError

T = TypeVar("T")
Job = tuple[Any, ...]
AHEAD = 2  # jobs under way for each worker: the one at work and the next


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    work: Callable[..., T],
    jobs: Iterable[Job],
    *,
    name: Callable[..., str],
    workers: int = 1,
    executor: Executor | None = None,
) -> Generator[T, None, None]:
    """``work(*job)`` of each job, in order: in ``workers`` processes, or on so many workers of ``executor``.

    With one worker and no executor the jobs run here. Elsewhere ``work`` and the jobs must be picklable.
    ``name(*job)`` names a job in errors. Raises :class:`KitError`,
    with that name, for what the work raises as such, for files that cannot be written, and when a worker was killed;
    anything else as it is, with the name as a note.
    """
    if executor is None and workers <= 1:
        for job in jobs:
            yield _named(name, job, partial(work, *job))
    elif executor is None:
        with process_pool(workers) as pool:
            yield from _in_order(pool, work, jobs, name, AHEAD * workers)
    else:
        yield from _in_order(executor, work, jobs, name, AHEAD * workers)


@contextmanager
def process_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that end with this one; on an exception, jobs that have not begun are dropped."""
    # spawn: a forked child of a process that has started TensorFlow or OpenCV threads can deadlock
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # it would let Ctrl-C through again while the first worker starts
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def cluster(address: str) -> Iterator[tuple[Executor, int]]:
    """The workers of the Dask scheduler at ``address``, and how many threads they have.

    A worker that ends is replaced by another, its jobs are done again. Raises :class:`KitError` for no scheduler, no
    workers, or workers that end again and again.
    """
    from distributed import Client
    from distributed.scheduler import KilledWorker

    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise KitError(
            f"--scheduler: found none at {address} ({error}), expected a Dask scheduler such as tcp://host:8786"
        ) from None
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise KitError(f"--scheduler {address}: found no workers, expected one or more (dask worker {address})")
        try:
            yield client.get_executor(pure=False, retries=3), threads
        except KilledWorker as error:
            raise KitError(f"--scheduler {address}: its workers ended again and again ({error})") from None


def _in_order(
    executor: Executor, work: Callable[..., T], jobs: Iterable[Job], name: Callable[..., str], ahead: int
) -> Generator[T, None, None]:
    waiting: deque[tuple[Job, Future[T]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, _submit(executor, work, job)))
            if len(waiting) >= ahead:
                job, future = waiting.popleft()
                yield _named(name, job, future.result)
        while waiting:
            job, future = waiting.popleft()
            yield _named(name, job, future.result)
    finally:
        for _, future in waiting:
            future.cancel()


def _submit(executor: Executor, work: Callable[..., T], job: Job) -> Future[T]:
    """Submit a job; a process that is started for it never sees Ctrl-C, which is this one's to handle."""
    if not isinstance(executor, ProcessPoolExecutor) or not hasattr(signal, "pthread_sigmask"):
        return executor.submit(_on_one_thread, work, job)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return executor.submit(_on_one_thread, work, job)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _on_one_thread(work: Callable[..., T], job: Job) -> T:
    """A job on a worker: there is one a core, so OpenCV shall not start threads of its own."""
    import cv2

    cv2.setNumThreads(1)
    return work(*job)


def _named(name: Callable[..., str], job: Job, result: Callable[[], T]) -> T:
    try:
        return result()
    except KitError as error:
        raise KitError(f"{name(*job)}: {error}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        raise KitError(f"{name(*job)}: {where}{error.strerror or error}") from None
    except (BrokenExecutor, CancelledError):
        raise KitError(
            f"{name(*job)}: found its worker gone (killed, out of memory?); run the same command again to go on"
        ) from None
    except Exception as error:
        error.add_note(f"in {name(*job)}")
        raise


def _end_with_parent() -> None:
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
