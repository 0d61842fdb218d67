"""Files that are whole or not there: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, commit: Callable[[str, Path], None] = os.replace) -> Iterator[BinaryIO]:
    """A new file, open for writing and reading, that takes the place of `path` when the block ends well.

    Until then, and after any exception, `path` is what it was, and nothing is left beside it. `commit` moves the
    finished file to its place: os.replace, `create` or `discard`. Raises OSError.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # a file system may have no permissions
            os.chmod(temporary, 0o666 & ~_umask())
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


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Makes a rename last through a power cut, where the system lets a folder be flushed."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
