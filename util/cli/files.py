"""Writes files whole or not at all, and never over one that must not be lost."""

import glob
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from util.cli.console import Terminal
from util.cli.signals import cleaning_up
from util.errors import UserError, reason

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

# How a file begins that one of a kind may replace; one of no kind, such as a text, may replace all but a .pt or .t7.
KINDS = {
    "": rb"(?!PK\x03\x04|[\x03\x04]\0\0\0)",
    "checkpoint": rb"PK\x03\x04.{26}archive/data\.pkl",
    "picture": rb"\x89PNG|%PDF-|<\?xml|<svg",
    "page": rb"(?i:<!doctype html>)",
    "table of losses": rb"iteration,epoch,train_loss,val_loss\n",
}


@contextmanager
def output(path: str | Path, flag: str = "", reads: Iterable[Path] = (), kind: str = "") -> Iterator[BinaryIO]:
    """Opens the file that the user named with `flag`, if there is such a flag, for writing; `-` is standard output.

    A regular file is replaced when the block ends without an error; a link to it still leads to it. Devices and pipes
    are written to directly. Raises UserError like `check_output`, and if the file cannot be written.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        return
    check_output(path, flag, reads, kind)
    try:
        with open(path, "ab") if is_stream(Path(path)) else replacing(Path(os.path.realpath(path))) as file:
            yield cast(BinaryIO, Terminal(file, sys.stdout.encoding)) if file.isatty() else file
    except OSError as error:
        raise refusal(path, reason(error), flag) from error


def read_input(path: str) -> bytes:
    """Returns the content of a file or pipe; `-` is standard input. Raises UserError if it cannot be read."""
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            return file.read()
    except OSError as error:
        raise refusal_to_read(path, error) from error


def refusal_to_read(path: str, error: OSError) -> UserError:
    return UserError(f"cannot read {path}: {reason(error)}")


def check_output(path: str | Path, flag: str, reads: Iterable[Path] = (), kind: str = "") -> None:
    """Raises UserError if a path is a folder, one of the files that this run `reads`, or not to be replaced.

    What is of a `kind`, one of KINDS, replaces only a file of that kind or an empty one. What has none, such as a text,
    replaces anything but a checkpoint.
    """
    path, why = Path(path), ""
    if str(path) == "-":
        return
    try:
        if path.is_dir():
            why = "it is a folder"
        elif path.exists() and not is_stream(path):
            with path.open("r+b") as file:  # replacing it would not check whether this one is writable
                start = file.read(64)
            if start and not re.match(KINDS[kind], start, re.DOTALL):
                why = f"what is there is not a {kind}" if kind else "it is a checkpoint"
            inputs = [os.fstat(0), *(other.stat() for other in reads if other.exists())]
            if any(os.path.samestat(path.stat(), one) for one in inputs):
                why = "this command reads it"
    except OSError as error:
        why = reason(error)
    if why:
        raise refusal(path, why, flag)


def what_is(path: Path) -> str:
    """Returns what lies at a path that should lead to a regular file, in words; empty if it is one, or nothing."""
    if path.is_symlink() and not path.exists():
        return "a link to a file that is not there"
    if path.is_file() or not path.exists():
        return ""
    return "a folder" if path.is_dir() else "not a regular file"


def refusal(path: str | Path, why: str, flag: str) -> UserError:
    return UserError(f"cannot write {path}: {why}" + (f"; choose another file for {flag}" if flag else ""))


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open file such as /dev/stdout, which cannot be replaced."""
    if not path.is_file() or f"{os.path.realpath(path.absolute().parent)}/".startswith("/proc/"):
        return path.exists()
    return path.is_symlink() and is_stream(path.parent / os.readlink(path))


def lock(file: IO) -> bool:
    """Locks a file as long as it is open. Returns False if another process has it, True where there are no locks."""
    try:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:  # not every file system has locks
        return not isinstance(error, BlockingIOError)
    return True


def remove_abandoned(folder: Path, start: str) -> None:
    """Removes what `replacing` left in a folder of files whose names begin with `start`, if its process was killed."""
    for path in folder.glob(f".{glob.escape(start)}*.tmp"):
        with suppress(OSError), path.open("rb") as file:
            if fcntl and lock(file):
                path.unlink()


@contextmanager
def replacing(
    path: Path, commit: Callable[[str, Path], None] = os.replace, mode: int | None = None
) -> Iterator[BinaryIO]:
    """Opens a new file, for reading and writing, that replaces `path` when the block ends without an exception.

    Until then `path` is untouched, and after an exception or a signal no temporary file is left. The new file has this
    `mode`, or the old one's. `commit` moves it into place: os.replace, `create` or `discard`. Raises OSError.
    """
    temporary = os.path.join(path.parent, f".{path.name}.{os.urandom(4).hex()}.tmp")
    with cleaning_up():
        try:
            with open(temporary, "x+b") as file:
                lock(file)
                with suppress(OSError):  # there is no such file, or the file system has no permissions
                    os.chmod(temporary, stat.S_IMODE(path.stat().st_mode) if mode is None else mode)
                yield file
                file.flush()
                os.fsync(file.fileno())
            commit(temporary, path)
        finally:
            with suppress(OSError):
                os.unlink(temporary)
    with suppress(OSError):  # not every system can flush a folder, so that the rename survives a power failure
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def create(temporary: str, path: Path) -> None:
    """Commits a file only if `path` does not exist yet; raises FileExistsError if it does."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if os.path.lexists(path):
            raise FileExistsError(path) from error
        os.replace(temporary, path)  # no hard links on this file system; another process may slip in between


def discard(temporary: str, path: Path) -> None:
    """Commits nothing: only checks that such a file could be written."""
