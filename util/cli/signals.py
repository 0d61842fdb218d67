"""Turns Ctrl-C, kill and a closed terminal into a request to stop soon rather than at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE")
"""Ctrl-C, kill, a closed terminal, a log whose reader has gone away; Windows lacks the last two."""


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
        """The status that a shell expects of a process ended by the signal; 0 if there was none."""
        return 128 + self.received if self.received else 0

    def __enter__(self) -> StopSignals:
        numbers = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
        if getattr(signal, "SIGHUP", None) in numbers and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)
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
            signal.signal(impatient, signal.SIG_DFL)
        if not self.silent and self.received.name != "SIGPIPE":
            message = b"stopping after this iteration; interrupt again to stop at once, without saving\n"
            # Not through sys.stderr: the signal may arrive in the middle of a print, and streams are not reentrant.
            with suppress(OSError):
                os.write(2, b"\n" * os.isatty(2) + message)
