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
    path: str | Path, flag: str, reads: Iterable[Path] = (), over_checkpoints: bool = False
) -> Iterator[BinaryIO]:
    """Opens the place that the user named with `flag` for writing; `-` is standard output.

    A regular file appears at the end of the block, whole; until then, and after an error, it is what it was. It keeps
    its mode and its owner, and a link still leads to it. Devices and pipes are written to as they are. Raises
    UserError where it cannot be written, is one of the files that this run `reads`, or is a checkpoint (with
    `over_checkpoints`: where it is something else).
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
        raise UserError(f"cannot write {path}: {reason(error)}; name another file with {flag}") from error


def check_output(path: str | Path, flag: str, reads: Iterable[Path] = (), over_checkpoints: bool = False) -> None:
    """Raises UserError where `output` would destroy something."""
    path = Path(path)
    try:
        if path.is_dir():
            raise UserError(f"{flag} {path} is a folder; name a file")
        if not path.exists() or is_stream(path):
            return
        if identity(path) in {identity(other) for other in (*reads, *own_code())}:
            raise UserError(f"{flag} would write over {path}, which this command reads; name another file")
        if is_checkpoint(path) and not over_checkpoints:
            raise UserError(f"{flag} would write over {path}, which is a checkpoint; name another file")
        if over_checkpoints and not is_checkpoint(path) and path.stat().st_size:
            raise UserError(f"cannot write {path}: there is another file of that name; rename it, or remove it")
        path.open("ab").close()  # a new file in its place would not ask whether this one may be written
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}; name another file with {flag}") from error


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
    and the owner of the one before it. `commit` moves the finished file to its place: os.replace, `create` or
    `discard`. Raises OSError.
    """
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


def _give_permissions(temporary: str, path: Path) -> None:
    """Gives a file the mode and the owner of the one at `path`, or else those of any new file."""
    with suppress(OSError, AttributeError):  # a file system may have no permissions; Windows has no owners
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
    """Makes a rename last through a power cut, where the system lets a folder be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
