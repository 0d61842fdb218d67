"""What the scripts print, and how they end.

torchrun may start several processes that train one model; only this module knows which of them prints.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TextIO

from util.errors import UserError, is_out_of_memory, reason


class Rank(NamedTuple):
    """This process's place among those that train together, and among those on its machine."""

    number: int = 0
    total: int = 1
    local: int = 0
    local_total: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and saves."""
        return self.number == 0


def rank() -> Rank:
    """Returns the rank that torchrun gave this process; without torchrun it is the only one."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if any(name not in os.environ for name in (*names, "MASTER_ADDR")):
        return Rank()
    return Rank(*(int(os.environ[name]) for name in names))


def launcher() -> str:
    """Returns the command that starts a script the way this one was started."""
    if rank().total == 1:
        return "python"
    return "torchrun " + (f"--nproc_per_node={rank().total}" if rank().total == rank().local_total else "(as before)")


def log(sentence: str) -> bool:
    """Prints a log line on standard output, above any progress bar, and flushes it so that a pipe gets it at once.

    Only the first of several processes prints. If the log cannot be written, it warns and the run carries on without
    a log. If the log's reader has gone away, util.cli.signals.StopSignals takes that as a request to stop; before there
    is anything to save, the program ends. Returns whether the line may reach a reader.
    """
    if not rank().first:
        return True
    from tqdm import tqdm

    try:
        tqdm.write(sentence, sys.stdout)
        sys.stdout.flush()
    except OSError as error:
        drop_output()
        if not isinstance(error, BrokenPipeError):
            tell(f"warning: cannot write the log ({reason(error)}); training continues without it")
        elif hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN:  # Python's default
            raise SystemExit(128 + signal.SIGPIPE) from None
    return getattr(sys.stdout, "name", "") != os.devnull


def tell(sentence: str, everywhere: bool = False) -> None:
    """Prints a sentence that is not part of the log on standard error, after flushing standard output.

    Of several processes only the first on each machine prints, unless `everywhere` is set.
    """
    if everywhere or rank().local == 0:
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):
            print(sentence, file=sys.stderr, flush=True)


def drop_output() -> None:
    """Discards standard output from now on, after an error there.

    Otherwise Python would try to flush its buffer again at exit, fail again, and print a traceback.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stdout = usable(None)


def run(main: Callable[[], int | None]) -> None:
    """Calls `main` and exits with its status: 1 after a UserError, 130 after Ctrl-C."""
    sys.stdout, sys.stderr = usable(sys.stdout), Unfailing(usable(sys.stderr))  # type: ignore[assignment]
    try:
        status = status_of(main)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        drop_output()
        status = 0 if isinstance(error, BrokenPipeError) else 1  # a reader that has gone away is not an error
        if status:
            where = f": {error.filename}" if error.filename else " while writing output"
            tell(f"error: {reason(error)}{where}", everywhere=True)
    sys.exit(status)


def status_of(main: Callable[[], int | None]) -> int:
    """Runs `main`, reports its errors, and returns the exit status."""
    try:
        return main() or 0
    except UserError as error:
        tell(f"error: {error}", error.everywhere)
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        tell("error: out of memory; try a smaller model, -batch_size or -seq_length", everywhere=True)
    except SystemExit as stop:  # from argparse, after -help or a bad flag
        return int(stop.code or 0)
    return 1


def usable(stream: TextIO | None) -> TextIO:
    """Returns the stream, made to accept any character; a null device if it is closed."""
    if stream is None:
        return open(os.devnull, "w")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class Unfailing:
    """A stream for messages that ignores errors: if its terminal is gone, only the messages are lost."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()
