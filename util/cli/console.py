"""What the scripts say, and how they end.

Several processes may train one model, as torchrun starts them; this is the one place that knows which of them speaks.
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
    """This process among those that train together, and among those of its machine."""

    number: int = 0
    total: int = 1
    local: int = 0
    local_total: int = 1


def rank() -> Rank:
    """Returns what torchrun says; without torchrun a process is the only one."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if any(name not in os.environ for name in (*names, "MASTER_ADDR")):
        return Rank()
    return Rank(*(int(os.environ[name]) for name in names))


def launcher() -> str:
    """Returns the command that starts a script as this one was started."""
    if rank().total == 1:
        return "python"
    return "torchrun " + (f"--nproc_per_node={rank().total}" if rank().total == rank().local_total else "(as before)")


def log(sentence: str) -> bool:
    """Prints a line of the log on standard output, above any progress bar; the first process speaks for all.

    A line appears at once, in a pipe as well. A log that can no longer be written costs a warning and not the run.
    Where its reader has gone, util.cli.signals.StopSignals takes that as a wish to stop; before there is anything to
    save, the program ends. Returns whether somebody may read it.
    """
    if rank().number:
        return True
    from tqdm import tqdm

    try:
        tqdm.write(sentence, sys.stdout)
        sys.stdout.flush()
    except OSError as error:
        drop_output()
        if not isinstance(error, BrokenPipeError):
            warn(f"warning: cannot write the log ({reason(error)}); training continues without it")
        elif hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN:  # as Python starts
            raise SystemExit(128 + signal.SIGPIPE) from None
    return getattr(sys.stdout, "name", "") != os.devnull


def tell(sentence: str) -> None:
    """Says something that is no part of the log, on standard error; the first process speaks for all."""
    if rank().number == 0:
        warn(sentence)


def warn(sentence: str, everywhere: bool = False) -> None:
    """Says something on standard error, after what standard output holds so far.

    Of several processes the first of each machine says it, or each one where it is about that one.
    """
    if everywhere or rank().local == 0:
        with suppress(OSError):
            sys.stdout.flush()
        with suppress(OSError):
            print(sentence, file=sys.stderr, flush=True)


def drop_output() -> None:
    """Lets what is still to come on standard output vanish, after an error there.

    What Python holds back of it would fail again at its end, and be told as a traceback.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.stdout = usable(None)


def run(main: Callable[[], int | None]) -> None:
    """Calls `main` and leaves the process with its exit status: 1 after a UserError, 130 after Ctrl-C."""
    sys.stdout, sys.stderr = usable(sys.stdout), Unfailing(usable(sys.stderr))  # type: ignore[assignment]
    try:
        status = status_of(main)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        drop_output()
        status = 0 if isinstance(error, BrokenPipeError) else 1  # a reader that has gone: nothing is wrong
        if status:
            where = f": {error.filename}" if error.filename else " while writing output"
            warn(f"error: {reason(error)}{where}", everywhere=True)
    sys.exit(status)


def status_of(main: Callable[[], int | None]) -> int:
    """Returns the exit status of `main`, after telling its mistakes."""
    try:
        return main() or 0
    except UserError as error:
        warn(f"error: {error}", error.everywhere)
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        warn("error: out of memory; a smaller model, -batch_size or -seq_length needs less", everywhere=True)
    except SystemExit as stop:  # of argparse, after -help or a mistake in the flags
        return int(stop.code or 0)
    return 1


def usable(stream: TextIO | None) -> TextIO:
    """Returns a standard stream that takes any character, or one that swallows them where it is closed."""
    if stream is None:
        return open(os.devnull, "w")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


class Unfailing:
    """A stream for messages, which may have lost its terminal: then they vanish, and nothing else is lost."""

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
