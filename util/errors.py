"""One type for every mistake that a user can make, and the one place where it is printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it."""


def warn(sentence: str) -> None:
    """Says something on standard error, after what standard output holds so far."""
    sys.stdout.flush()
    print(sentence, file=sys.stderr, flush=True)


def reason(error: OSError) -> str:
    """What the system says of an error, without its number and path."""
    return (error.strerror or str(error)).lower()


def run(main: Callable[[], int | None]) -> None:
    """Calls `main` and leaves the process with its exit status: 1 after a UserError, 130 after Ctrl-C."""
    try:
        status = main() or 0
        sys.stdout.flush()
    except UserError as error:
        warn(f"error: {error}")
        status = 1
    except KeyboardInterrupt:
        status = 130
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        warn("error: the memory does not suffice; a smaller model, -batch_size or -seq_length needs less")
        status = 1
    except BrokenPipeError:
        # The reader of our output has gone. Nothing can be told to it, and nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


def is_out_of_memory(error: Exception) -> bool:
    """Whether numpy, or torch on a CPU or a GPU, asked for memory in vain."""
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)
