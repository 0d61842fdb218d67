"""One type for every mistake that a user can make."""

from __future__ import annotations


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it."""

    everywhere = False
    """Whether each of several processes that train together must say it, not only the first of a machine."""


def reason(error: OSError) -> str:
    """Returns what the system says of an error, without its number and path."""
    return (error.strerror or str(error)).lower()


def is_out_of_memory(error: Exception) -> bool:
    """Whether numpy, or torch on a CPU or a GPU, asked for memory in vain."""
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)
