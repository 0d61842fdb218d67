"""A file system that fails, in one of the operations that write a file."""

import errno
import io
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

from util.cli import files

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)
OPERATIONS = ("mkdir", "open", "write", "close", "fsync", "chmod", "link", "replace", "unlink")
"""Data is also written when the buffer is flushed."""


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


@contextmanager
def failing(operation: str, number: int, after: int = 0) -> Iterator[list[int]]:
    """Makes an operation fail with an errno, after `after` calls that succeed; gives the numbers of those that fail."""
    module, name = (files, "open") if operation in ("open", "write", "close") else (os, operation)
    calls, failed = itertools.count(), []

    def fail() -> None:
        call = next(calls)
        if call >= after:
            failed.append(call)
            raise OSError(number, os.strerror(number))

    def open_failing(path, mode):
        if operation == "open":
            fail()
        file = FailingFile(path, mode)
        file.method, file.fail = operation, fail
        return io.BufferedRandom(file)

    def instead(*args, **kwargs):
        fail()
        return original(*args, **kwargs)

    original = getattr(module, name, None)
    with patch.object(module, name, open_failing if module is files else instead, create=True):
        yield failed
