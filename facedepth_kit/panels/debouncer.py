"""Few redraws for many changes of a slider: only its latest value counts.

A browser sends a message for every step of a slider that is dragged. Drawing for each would queue up pictures that
nobody wants to see. So an observer only asks (:meth:`Debouncer.ask`), and the drawing is put off on the kernel's own
event loop until no further message has arrived for a moment. There is no thread and no lock, so a run without a screen
cannot hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

QUIET_S = 0.004  # several times what the kernel takes to read a waiting message
PATIENCE_S = 0.04  # under a drag that never pauses there is a picture this often, drawing time aside


class Debouncer:
    """Calls ``work`` once for any number of requests that came while it was due.

    Under a running event loop (a notebook's kernel) ``work`` is put off by ``quiet_s`` behind the last request, but not
    longer than ``patience_s`` behind the first. Without one (plain Python, tests) it runs at once. ``runs`` counts
    the calls, ``asked`` the requests.
    """

    def __init__(self, work: Callable[[], None], *, quiet_s: float = QUIET_S, patience_s: float = PATIENCE_S) -> None:
        self.work = work
        self.quiet_s = quiet_s
        self.patience_s = patience_s
        self.asked = 0
        self.runs = 0
        self._timer: asyncio.TimerHandle | None = None
        self._first = 0.0

    @property
    def due(self) -> bool:
        """Whether something was asked for that has not been done."""
        return self._timer is not None

    def ask(self, *_: object) -> None:
        """Ask for ``work``; takes and ignores what a widget hands to its observers."""
        self.asked += 1
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._run()
            return
        if self._timer is None:
            self._first = loop.time()
            self._timer = loop.call_later(self.quiet_s, self._due, loop, self.asked)

    def finish(self) -> None:
        """Do now what is due, if anything: for code that moves a slider and reads the result in the same cell."""
        if self._timer is not None:
            self._timer.cancel()
            self._run()

    def _due(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        # More messages arrived since, so more are probably waiting, and a picture drawn now would be out of date.
        if self.asked != seen and loop.time() - self._first < self.patience_s:
            self._timer = loop.call_later(self.quiet_s, self._due, loop, self.asked)
            return
        self._run()

    def _run(self) -> None:
        self._timer = None
        self.runs += 1
        self.work()
