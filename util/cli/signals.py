"""Ctrl-C and kill as a wish to stop soon, rather than at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType


class StopSignals:
    """While this context lasts, the first SIGINT or SIGTERM is only noted; a second one ends the process at once."""

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent
        self.received: signal.Signals | None = None

    @property
    def exit_status(self) -> int:
        """What a shell expects of a process that such a signal has ended."""
        return 128 + self.received if self.received else 0

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        for either in self._before:
            signal.signal(either, signal.SIG_DFL)
        # Not by way of sys.stderr: the signal may have come in the midst of a print, and streams cannot be re-entered.
        if self.silent:
            return
        with suppress(OSError):
            os.write(2, b"stopping after this iteration; once more stops at once, without saving\n")
