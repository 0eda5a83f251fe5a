"""Where ``python -m facedepth_kit.cli`` and the ``facedepth`` script begin: Ctrl-C is one line from here to the end."""

from __future__ import annotations

import signal
import sys

INTERRUPTED = 130


def start() -> int:
    """Run the command; an interrupt is one line and exit code 130, also while modules load and while Python ends."""
    try:
        import _thread
        import threading

        unraisable = sys.unraisablehook

        def not_lost(ignored: sys.UnraisableHookArgs) -> None:
            """An interrupt that arrived in a destructor or in a callback from C: raise it again, outside of this."""
            if ignored.exc_type is KeyboardInterrupt:
                threading.Timer(0.01, _thread.interrupt_main).start()
            else:
                unraisable(ignored)

        sys.unraisablehook = not_lost
        from facedepth_kit.cli.main import main

        code = main()
    except BaseException as error:
        if not _interrupted(error):
            raise
        print("facedepth: interrupted", file=sys.stderr)
        code = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the work is done: let Python end in peace
    if code == INTERRUPTED:
        # Where the interrupt passed through an exec or eval of text, as in dataclasses, CPython would end with the
        # signal itself, handled or not. The next one that succeeds takes that back.
        exec("")
    return code


def _interrupted(error: BaseException | None) -> bool:
    """Whether an exception is an interrupt, or what a library made of one."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    sys.exit(start())
