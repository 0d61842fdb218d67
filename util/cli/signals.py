"""Ctrl-C, kill and a closed terminal as a wish to stop soon, rather than at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE")
"""Ctrl-C, kill, a closed terminal, a log whose reader has gone; Windows lacks the last two."""


class StopSignals:
    """While this context lasts, the first such signal is only noted; then Ctrl-C or kill ends the process at once.

    A SIGHUP that was ignored from the start (nohup) stays ignored. Neither it nor a SIGPIPE ends the process when it
    comes again: a closing terminal sends several, and the last messages may go to the same pipe.
    """

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self.received: signal.Signals | None = None

    @property
    def exit_status(self) -> int:
        """What a shell expects of a process that such a signal has ended."""
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
        # Not by way of sys.stderr: the signal may have come in the midst of a print, and streams cannot be re-entered.
        if not self.silent and self.received.name != "SIGPIPE":
            with suppress(OSError):
                os.write(
                    2,
                    b"\n" * os.isatty(2) + b"stopping after this iteration; once more stops at once, without saving\n",
                )
