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
from typing import NamedTuple, TextIO

from util.errors import UserError, is_out_of_memory, reason

RANK_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


class Rank(NamedTuple):
    """This process's number among those that train together, and among those on its machine."""

    number: int = 0
    total: int = 1
    local: int = 0
    local_total: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and saves."""
        return self.number == 0


_rank = Rank()


def rank() -> Rank:
    """Returns the rank that torchrun gave this process; without torchrun it is the only one."""
    return _rank


def join_torchrun() -> None:
    """Takes the rank from the environment; only train.py does. Raises UserError if torchrun did not set it."""
    global _rank
    values = [os.environ.get(name, "") for name in RANK_VARIABLES]
    if "" in values:
        return
    ranks = Rank(*map(int, values)) if all(map(str.isdecimal, values)) else Rank(0, 0)
    if ranks.number >= ranks.total or ranks.local >= ranks.local_total:
        raise UserError(f"{', '.join(RANK_VARIABLES)} are {', '.join(values)}, not as torchrun sets them; unset them")
    _rank = ranks


def launcher() -> str:
    """Returns the command that starts a script the way this one was started."""
    return "python" if rank().total == 1 else f"torchrun --nproc_per_node={rank().local_total}"


def log(sentence: str) -> None:
    """Prints a log line on standard output, above any progress bar, at once; only in the first of several processes.

    If its disk is full, the run carries on without a log. If its reader has gone away, util.cli.signals.StopSignals
    takes that as a request to stop, and the rest goes to standard error, such as how to resume; before there is
    anything to save, the program ends.
    """
    if not rank().first:
        return
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
        else:
            sys.stdout = sys.stderr
            tell(sentence)


def tell(sentence: str, everywhere: bool = False) -> None:
    """Prints a sentence that is not part of the log on standard error; if that fails, only the sentence is lost.

    Of several processes only the first on each machine prints, unless `everywhere` is set.
    """
    if everywhere or rank().local == 0:
        with suppress(OSError):
            print(sentence, file=sys.stderr, flush=True)


def drop_output() -> None:
    """Discards standard output after an error there, also what Python would try to write again at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(main: Callable[[], int | None]) -> None:
    """Calls `main` and exits with its status: 1 after a UserError, 130 after Ctrl-C."""
    sys.stdout, sys.stderr = usable(sys.stdout), usable(sys.stderr)
    status = 1
    try:
        try:
            status = main() or 0
        finally:
            sys.stdout.flush()
    except UserError as error:
        tell(f"error: {error}", error.everywhere)
    except KeyboardInterrupt:
        status = 130
    except SystemExit as stop:  # -help, a bad flag, a signal
        status = int(stop.code or 0)
    except BrokenPipeError:  # a reader that has gone away is not an error
        drop_output()
        status = 0
    except OSError as error:
        drop_output()
        tell(f"error: {reason(error)}" + (f": {error.filename}" if error.filename else " while writing output"), True)
        status = 1
    except (MemoryError, RuntimeError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        tell("error: out of memory; try a smaller model, -batch_size or -seq_length", everywhere=True)
    sys.exit(status)


def usable(stream: TextIO | None) -> TextIO:
    """Returns the stream, made to accept any character; a null device if it is closed."""
    if stream is None:
        return open(os.devnull, "w")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
