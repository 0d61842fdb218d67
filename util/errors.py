"""One type for every mistake that a user can make."""

from __future__ import annotations

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "annot allocate memory", "failed to map segment")


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
