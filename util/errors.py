"""One type for every mistake that a user can make."""

from __future__ import annotations

import os
import sys

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "annot allocate memory",
    "failed to map segment",
    "size calculation overflowed",
)


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it."""

    everywhere = False
    """Whether each of several processes that train together must say it, not only the first of a machine."""


def reason(error: OSError) -> str:
    """Returns what the system says of an error, without its number and path."""
    return (error.strerror or str(error)).lower()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy, torch on a CPU or a GPU, or the loader of a library asked for memory in vain."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY)


def physical_memory() -> int:
    """Returns the bytes of memory in this machine; without bound if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):
        return sys.maxsize
