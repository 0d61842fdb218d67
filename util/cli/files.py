"""Writing files: whole or not at all, and never over what must not be lost.

`replacing` writes a file beside its place, flushes it to the disk and renames it. `output` is for every place that a
user names: it knows what may be written over, and takes links, devices and pipes as they are.
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

from util.errors import UserError, reason

CHECKPOINT_STARTS = (b"PK\3\4", b"\3\0\0\0", b"\4\0\0\0")
"""How a .pt file begins, and a .t7 file of Torch."""


@contextmanager
def output(
    path: str | Path, flag: str = "", reads: Iterable[Path] = (), over_checkpoints: bool = False
) -> Iterator[BinaryIO]:
    """Opens a place for writing that the user named with `flag`, if with any; `-` is standard output.

    A regular file appears at the end of the block, whole; until then, and after an error, it is what it was. It keeps
    its mode, and a link still leads to it. Devices and pipes are written to as they are. Raises UserError where it
    cannot be written, is one of the files that this run `reads`, or is a checkpoint, unless `over_checkpoints`.
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
    """Raises UserError where `output` would destroy something."""
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
    except OSError as error:
        raise refusal(path, reason(error), flag) from error


def refusal(path: str | Path, why: str, flag: str) -> UserError:
    return UserError(f"cannot write {path}: {why}" + (f"; name another file with {flag}" if flag else ""))


def identity(path: Path) -> tuple[int, int] | None:
    """Returns what is the same for a file under all its names; None where there is none."""
    with suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def own_code() -> list[Path]:
    """Returns the files of the program and the libraries that it has loaded."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return [Path(file) for file in files if file]


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or an open file such as /dev/stdout, which keep what they were given."""
    parent = os.path.realpath(path.absolute().parent)
    if parent == "/dev" or parent.startswith("/proc/"):
        return True
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def is_checkpoint(path: Path) -> bool:
    """Whether a file is a checkpoint, by how it begins, or by its name where it is damaged."""
    with path.open("rb") as file:
        start = file.read(4)
    return start in CHECKPOINT_STARTS or (path.suffix in (".pt", ".t7") and bool(start))


@contextmanager
def replacing(path: Path, commit: Callable[[str, Path], None] = os.replace) -> Iterator[BinaryIO]:
    """Opens a new file, for writing and reading, that takes the place of `path` when the block ends well.

    Until then, and after any exception, `path` is what it was, and nothing is left beside it. The file has the mode
    of the one before it. `commit` moves the finished file to its place: os.replace, `create` or `discard`. Raises
    OSError.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # a file system may have no permissions
            os.chmod(temporary, _mode(path))
        commit(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(path.parent)


def create(temporary: str, path: Path) -> None:
    """Commits a file to a place where there is none yet; raises FileExistsError where there is."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: look first, with a moment in which another process could come between.
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(temporary, path)
    else:
        with suppress(OSError):  # the file is in its place all the same
            os.unlink(temporary)


def discard(temporary: str, path: Path) -> None:
    """Commits nothing: only tries whether such a file can be written."""
    os.unlink(temporary)


def _mode(path: Path) -> int:
    """Returns the mode of the file there, or that of a new one."""
    with suppress(OSError):
        return stat.S_IMODE(os.stat(path).st_mode)
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power cut, where the system lets a folder be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
