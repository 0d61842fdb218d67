"""Writes files whole or not at all, and never over one that must not be lost."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from util.cli.signals import cleaning_up
from util.errors import UserError, reason

CHECKPOINT_STARTS = (b"PK\3\4", b"\3\0\0\0", b"\4\0\0\0")
"""The first bytes of a .pt file, and of Torch's .t7 files."""
KINDS = {
    "checkpoint": rb"PK\x03\x04.{26}archive/data\.pkl",
    "picture": rb"\x89PNG\r\n|%PDF-|(<\?xml .*?\?>)?\s*(<!--.*?-->\s*)?<(svg|!DOCTYPE svg)\b",
    "page": rb"(?i:<!doctype html>)",
}
"""How files of a kind begin; ours, that is, since no name promises what a .pt or .html file holds."""


@contextmanager
def output(path: str | Path, flag: str = "", reads: Iterable[Path] = (), kind: str = "") -> Iterator[BinaryIO]:
    """Opens the file that the user named with `flag`, if there is such a flag, for writing; `-` is standard output.

    A regular file is complete when the block ends; until then, and after an error, it is what it was. It keeps its
    mode, and links to it still lead to it. Devices and pipes are written to directly. Raises UserError like
    `check_output`, and if the file cannot be written.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        return
    check_output(path, flag, reads, kind)
    try:
        with open(path, "ab") if is_stream(Path(path)) else replacing(Path(os.path.realpath(path))) as file:
            yield file
    except OSError as error:
        raise refusal(path, reason(error), flag) from error


def read_input(path: str) -> bytes:
    """Returns the content of a file or pipe; `-` is standard input. Raises UserError if it cannot be read."""
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from error


def check_output(path: str | Path, flag: str, reads: Iterable[Path] = (), kind: str = "") -> None:
    """Raises UserError if a path is a folder, one of the files that this run `reads`, or not to be replaced.

    What is of one of the KINDS replaces only its kind, or an empty file; anything else replaces all but a checkpoint.
    """
    path = Path(path)
    try:
        if str(path) == "-":
            return
        if path.is_dir():
            raise refusal(path, "it is a folder", flag)
        if not path.exists() or is_stream(path):
            return
        if any(other.exists() and other.samefile(path) for other in reads):
            raise refusal(path, "this command reads it", flag)
        with path.open("r+b") as file:  # replacing it would not check whether this one is writable
            start = file.read(512)
        if flag and start[:4] in CHECKPOINT_STARTS:
            raise refusal(path, "it is a checkpoint", flag)
        if kind and start and not re.match(KINDS[kind], start, re.DOTALL):
            raise refusal(path, f"what is there is not a {kind}", flag)
    except OSError as error:
        raise refusal(path, reason(error), flag) from error


def refusal(path: str | Path, why: str, flag: str) -> UserError:
    return UserError(f"cannot write {path}: {why}" + (f"; choose another file for {flag}" if flag else ""))


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open file such as /dev/stdout, which cannot be replaced."""
    folder = os.path.realpath(path.absolute().parent)
    in_place = folder == "/dev" or folder.startswith("/proc/")
    return in_place or (path.exists() and not stat.S_ISREG(path.stat().st_mode))


@contextmanager
def replacing(path: Path, commit: Callable[[str, Path], None] = os.replace) -> Iterator[BinaryIO]:
    """Opens a new file, for reading and writing, that replaces `path` when the block ends without an exception.

    Until then `path` is untouched, and after an exception or a signal no temporary file is left. The new file has the
    old one's mode. `commit` moves the finished file into place: os.replace, `create` or `discard`. Raises OSError.
    """
    temporary = os.path.join(path.parent, f".{path.name}.{os.urandom(4).hex()}.tmp")
    with cleaning_up():
        try:
            with open(temporary, "x+b") as file:
                if path.exists():
                    with suppress(OSError):  # not every file system has permissions
                        os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
                yield file
                file.flush()
                os.fsync(file.fileno())
            commit(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
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
    except FileExistsError:
        raise
    except OSError:  # no hard links on this file system
        if path.exists():  # though another process may slip in between
            raise FileExistsError(path) from None
        os.replace(temporary, path)
    else:
        with suppress(OSError):  # the file is in place regardless
            os.unlink(temporary)


def discard(temporary: str, path: Path) -> None:
    """Commits nothing: only checks that such a file could be written."""
    os.unlink(temporary)
