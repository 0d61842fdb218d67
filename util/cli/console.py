"""What the scripts print, and how they end. torchrun may start several processes that train one model."""

import codecs
import csv
import io
import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NamedTuple, TextIO

from util.errors import UserError, is_out_of_memory, reason

# All control characters but newline, tab and the colors of -color, which do no harm.
CONTROLS = re.compile(r"(?!\x1b\[(?:38;5;\d+|0)m)(?!\r\n)[\x00-\x08\x0b-\x1f\x7f-\x9f]")


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
    """Takes the rank from the environment, where torchrun has put it; only train.py does.

    Raises UserError if another program has left something else there.
    """
    global _rank
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    if os.environ.keys() >= set(names):
        values = [os.environ[name] for name in names]
        if all(map(str.isdecimal, values)) and int(values[0]) < int(values[1]) and int(values[2]) < int(values[3]):
            _rank = Rank(*map(int, values))
        else:
            raise UserError(f"{', '.join(names)} are {', '.join(values)}, not as torchrun sets them; unset them")


def log(sentence: str) -> None:
    """Prints a log line on standard output, above any progress bar, at once; only in the first of several processes.

    If that fails, as on a full disk, the log goes on on standard error. A reader that has gone away ends the program,
    unless StopSignals has taken that as a request to stop.
    """
    if not rank().first:
        return
    try:
        print_line(sentence, sys.stdout)
    except OSError as error:
        unhandled = hasattr(signal, "SIGPIPE") and signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
        if isinstance(error, BrokenPipeError) and unhandled:
            raise
        drop_output()
        sys.stdout = sys.stderr
        tell(f"warning: cannot write the log ({reason(error)}); it goes on here")
        tell(sentence)


def tell(sentence: str, everywhere: bool = False) -> None:
    """Prints what is not part of the log on standard error, if it can: in every process, or one on each machine."""
    if everywhere or rank().local == 0:
        with suppress(OSError):
            print_line(sentence, sys.stderr)


def print_line(sentence: str, stream: TextIO) -> None:
    """Prints a line at once, above any progress bar."""
    write = sys.modules["tqdm"].tqdm.write if "tqdm" in sys.modules else print
    write(shown(sentence), file=stream)
    stream.flush()


def print_row(*values: object, flush: bool = False) -> None:
    r"""Prints a tab-separated row, quoted as readers of CSV expect it: also a value with a tab or a \r in it."""
    row = io.StringIO(newline="")
    csv.writer(row, "excel-tab").writerow(values)
    print(row.getvalue().removesuffix("\r\n"), flush=flush)


def shown(sentence: str) -> str:
    """Returns it as one line in which what would control a terminal is escaped; endless numbers are cut."""
    sentence = re.sub(r"(\d{20})\d{80,}", r"\1...", sentence)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in sentence)


def shows_bars() -> bool:
    """Whether to draw a progress bar: on a terminal, unless the log may come there as well, through `| tee`."""
    return rank().first and sys.stderr.isatty() and not stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)


def drop_output() -> None:
    """Discards standard output after an error there, also what Python would try to write again at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Terminal(io.RawIOBase):
    """Writes bytes to a terminal's `stream`, with everything that would control it escaped.

    A model's text and a file's name may come from a stranger.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream, self._encoding = stream, encoding
        characters = codecs.getincrementaldecoder(encoding)("backslashreplace")
        self._decoder = io.IncrementalNewlineDecoder(characters, translate=False)  # which never parts \r from \n

    def write(self, content: bytes) -> int:  # type: ignore[override]
        text = CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", self._decoder.decode(content))
        self._stream.write(text.encode(self._encoding))
        return len(content)

    def flush(self) -> None:
        self._stream.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return True


def run(main: Callable[[], int | None]) -> None:
    """Calls `main` and exits with its status: 1 after a UserError, 130 after Ctrl-C."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115 (None if it is closed)
        stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)
    if sys.stdout.isatty():
        encoding = sys.stdout.encoding
        terminal = Terminal(sys.stdout.buffer, encoding)
        sys.stdout = io.TextIOWrapper(terminal, encoding, "backslashreplace", line_buffering=True)
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
    except (OSError, MemoryError, RuntimeError, ImportError) as error:
        if is_out_of_memory(error):
            tell("error: out of memory; a smaller model, batch or number of texts needs less", everywhere=True)
            sys.exit(1)
        if not isinstance(error, OSError):
            raise
        status = 0 if isinstance(error, BrokenPipeError) else 1  # a reader that has gone away is not an error
        if status:
            tell(f"error: {error.filename or 'standard output'}: {reason(error)}", everywhere=True)
        drop_output()  # last, since with -log_csv - it is standard error
    sys.exit(status)
