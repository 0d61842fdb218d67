"""Turns Ctrl-C, kill and a closed terminal into a request to stop soon, or into an exception that cleans up."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn, Self

# Ctrl-C, kill, a closed terminal, a log whose reader has gone away; Windows lacks the last two.
SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE") if hasattr(signal, name)]
STOPPING = b"stopping after this iteration; interrupt again to stop at once, without saving\n"


class StopSignals:
    """Inside this context the first such signal is only noted; after it, Ctrl-C or kill ends the process at once.

    A SIGHUP that was ignored from the start (nohup) stays ignored. A second SIGHUP or SIGPIPE is ignored as well: a
    closing terminal sends several, and the last messages may go to the same pipe.
    """

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self.received: signal.Signals | None = None

    @property
    def exit_status(self) -> int:
        """What a shell expects of a process ended by the signal; 0 if there was none."""
        return 128 + self.received if self.received else 0

    def __enter__(self) -> Self:
        numbers = [n for n in SIGNALS if not (n.name == "SIGHUP" and signal.getsignal(n) == signal.SIG_IGN)]
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received:
            return
        self.received = signal.Signals(number)
        for impatient in (signal.SIGINT, signal.SIGTERM):
            signal.signal(impatient, end if cleanings else signal.SIG_DFL)
        if not self.silent and self.received.name != "SIGPIPE":
            # Not through sys.stderr: the signal may arrive in the middle of a print, and streams are not reentrant.
            with suppress(OSError):
                os.write(2, b"\n" + STOPPING if os.isatty(2) else STOPPING)


cleanings = 0
"""How many blocks of the main thread will have to be cleaned up after."""


@contextmanager
def cleaning_up() -> Iterator[None]:
    """Lets a signal that would end the process without a word raise SystemExit instead, so that others can clean up."""
    global cleanings
    if threading.current_thread() is not threading.main_thread():  # no other thread can set a handler
        yield
        return
    fatal = [number for number in SIGNALS if signal.getsignal(number) == signal.SIG_DFL]
    cleanings += 1
    try:
        for number in fatal:
            signal.signal(number, end)
        yield
    finally:
        cleanings -= 1
        for number in fatal:
            if signal.getsignal(number) == end:
                signal.signal(number, signal.SIG_DFL)


def end(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
