"""A file system that fails, in one of the operations that write a file."""

import errno
import io
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


class FailingFile(io.FileIO):
    """An open file of which one method fails; `write` does so when half of the data is on the disk."""

    method = ""
    fail: Callable[[], None]

    def write(self, data) -> int:
        if self.method == "write":
            super().write(memoryview(data)[: len(data) // 2])
            self.fail()
        return super().write(data)

    def close(self) -> None:
        was_open = not self.closed
        super().close()
        if self.method == "close" and was_open:
            self.fail()


PATCHED = {
    "mkdir": (os, "mkdir"),
    "mkstemp": (tempfile, "mkstemp"),
    "open": (os, "open"),
    "write": (os, "fdopen"),
    "close": (os, "fdopen"),
    "fsync": (os, "fsync"),
    "chmod": (os, "chmod"),
    "link": (os, "link"),
    "replace": (os, "replace"),
    "unlink": (os, "unlink"),
}
"""The function through which each operation is reached. Data is also written when the buffer is flushed."""
OPERATIONS = tuple(PATCHED)


@contextmanager
def failing(operation: str, number: int, after: int = 0, times: int | None = None) -> Iterator[list[int]]:
    """Makes an operation fail with an errno: after `after` calls that succeed, and `times` times.

    Gives the numbers of the calls that have failed.
    """
    module, name = PATCHED[operation]
    original = getattr(module, name)
    calls, failed = itertools.count(), []

    def fail() -> None:
        call = next(calls)
        if call >= after and (times is None or call < after + times):
            failed.append(call)
            raise OSError(number, os.strerror(number))

    def instead(*args, **kwargs):
        if name == "fdopen":
            file = FailingFile(args[0], "r+b")
            file.method, file.fail = operation, fail
            return io.BufferedRandom(file)
        fail()
        return original(*args, **kwargs)

    with patch.object(module, name, instead):
        yield failed
