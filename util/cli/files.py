"""Writes files whole or not at all, and never over one that must not be lost.

`replacing` writes to a temporary file beside the target, flushes it to disk, and renames it. `output` is for every
file that a user names: it knows what may be overwritten, follows links, and writes to devices and pipes as they are.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from util.cli.signals import cleaning_up
from util.errors import UserError, reason

CHECKPOINT_STARTS = (b"PK\3\4", b"\3\0\0\0", b"\4\0\0\0")
"""The first bytes of a .pt file, and of Torch's .t7 files."""


@contextmanager
def output(
    path: str | Path, flag: str = "", reads: Iterable[Path] = (), over_checkpoints: bool = False
) -> Iterator[BinaryIO]:
    """Opens the file that the user named with `flag`, if there is such a flag, for writing; `-` is standard output.

    A regular file is complete when the block ends; until then, and after an error, it is what it was. It keeps its
    mode and its owner, and links to it still lead to it. Devices and pipes are written to directly. Raises UserError
    if it cannot be written, is one of the files that this run `reads`, or is a checkpoint, unless `over_checkpoints`.
    """
    if str(path) == "-":
        yield sys.stdout.buffer
        return
    check_output(path, flag, reads, over_checkpoints)
    try:
        if is_stream(Path(path)):
            with open(path, "ab") as file:
                yield file
        else:
            with replacing(Path(os.path.realpath(path))) as file:
                yield file
    except OSError as error:
        raise refusal(path, reason(error), flag) from error


def check_output(path: str | Path, flag: str, reads: Iterable[Path] = (), over_checkpoints: bool = False) -> None:
    """Raises UserError if `output` would destroy something."""
    path = Path(path)
    try:
        if path.is_dir():
            raise refusal(path, "it is a folder", flag)
        if not path.exists() or is_stream(path):
            return
        if identity(path) in {identity(other) for other in (*reads, *own_code())}:
            raise refusal(path, "this command reads it", flag)
        if is_checkpoint(path) and not over_checkpoints:
            raise refusal(path, "it is a checkpoint", flag)
        path.open("ab").close()  # replacing it would not check whether this one is writable
    except OSError as error:
        raise refusal(path, reason(error), flag) from error


def refusal(path: str | Path, why: str, flag: str) -> UserError:
    return UserError(f"cannot write {path}: {why}" + (f"; choose another file for {flag}" if flag else ""))


def identity(path: Path) -> tuple[int, int] | None:
    """Returns what a file has in common under all its names; None if there is no file."""
    with suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def own_code() -> list[Path]:
    """Returns the files of the program itself and of the libraries it has loaded."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return [Path(file) for file in files if file]


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open file such as /dev/stdout, which cannot be replaced."""
    parent = os.path.realpath(path.absolute().parent)
    if parent == "/dev" or parent.startswith("/proc/"):
        return True
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint, by its first bytes, or by its name in case it is damaged."""
    with path.open("rb") as file:
        start = file.read(4)
    return start in CHECKPOINT_STARTS or (path.suffix in (".pt", ".t7") and bool(start))


@contextmanager
def replacing(path: Path, commit: Callable[[str, Path], None] = os.replace) -> Iterator[BinaryIO]:
    """Opens a new file, for reading and writing, that replaces `path` when the block ends without an exception.

    Until then `path` is untouched, and after an exception or a signal no temporary file is left. The new file has the
    old one's mode and owner. `commit` moves the finished file into place: os.replace, `create` or `discard`. Raises
    OSError.
    """
    with cleaning_up():
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _give_permissions(temporary, path)
            commit(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    _sync_folder(path.parent)


def create(temporary: str, path: Path) -> None:
    """Commits a file only if `path` does not exist yet; raises FileExistsError if it does."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # No hard links on this file system: check first, though another process may slip in between.
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temporary, path)
    else:
        with suppress(OSError):  # the file is in place regardless
            os.unlink(temporary)


def discard(temporary: str, path: Path) -> None:
    """Commits nothing: only checks that such a file could be written."""
    os.unlink(temporary)


def _give_permissions(temporary: str, path: Path) -> None:
    """Gives a file the mode and owner of the one at `path`, or if there is none, those of a new file."""
    with suppress(OSError, AttributeError):  # not every file system has permissions; Windows has no owners
        try:
            before = os.stat(path)
        except FileNotFoundError:
            mask = os.umask(0o077)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
        else:
            os.chmod(temporary, stat.S_IMODE(before.st_mode))
            os.chown(temporary, before.st_uid, before.st_gid)


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power failure, on systems that can flush a folder."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
