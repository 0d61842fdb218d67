"""One type for every mistake that a user can make, and the one place where it is printed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import TextIO


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it."""

    everywhere = False
    """Whether each of several processes that train together must say it, not only the first of a machine."""


def warn(sentence: str, everywhere: bool = False) -> None:
    """Says something on standard error, after what standard output holds so far.

    Of several processes that train together the first of each machine says it, or each where it is about that one.
    """
    if everywhere or os.environ.get("LOCAL_RANK", "0") == "0":
        sys.stdout.flush()
        print(sentence, file=sys.stderr, flush=True)


def reason(error: OSError) -> str:
    """What the system says of an error, without its number and path."""
    return (error.strerror or str(error)).lower()


def run(main: Callable[[], int | None]) -> None:
    """Calls `main` and leaves the process with its exit status: 1 after a UserError, 130 after Ctrl-C."""
    sys.stdout, sys.stderr = usable(sys.stdout), usable(sys.stderr)
    try:
        status = status_of(main)
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except OSError as error:
        # What Python still holds of the output would fail again at its end, and be told as a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0 if isinstance(error, BrokenPipeError) else 1  # a reader that has gone: nothing is wrong
        if status:
            warn(
                f"error: {reason(error)}" + (f": {error.filename}" if error.filename else " while writing output"), True
            )
    sys.exit(status)


def status_of(main: Callable[[], int | None]) -> int:
    """The exit status of `main`, its mistakes told."""
    try:
        return main() or 0
    except UserError as error:
        warn(f"error: {error}", error.everywhere)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        warn(
            "error: the memory does not suffice; a smaller model, -batch_size or -seq_length needs less",
            everywhere=True,
        )
    except SystemExit as stop:  # of argparse, after -help or a mistake in the flags
        return int(stop.code or 0)
    return 1


def usable(stream: TextIO | None) -> TextIO:
    """A standard stream that takes any character, and something that takes them where it is closed."""
    if stream is None:
        return open(os.devnull, "w")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def is_out_of_memory(error: Exception) -> bool:
    """Whether numpy, or torch on a CPU or a GPU, asked for memory in vain."""
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)
