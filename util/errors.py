"""Errors that a user is told of in one sentence, and how to know that memory has run out."""

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "annot allocate memory",  # with a capital from C, without one from its loader
    "failed to map segment",
    "size calculation overflowed",
)


class UserError(Exception):
    """One sentence that says what is wrong and what to do about it."""

    everywhere = False
    """Whether every process of a run prints it, not just the first on each machine."""


class InvalidFile(ValueError):
    """What is wrong with a file, in words for the user; Python's own errors have other words."""


def reason(error: OSError) -> str:
    """Returns the system's own words for an error, without its number and path."""
    return (error.strerror or str(error)).lower()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether numpy, torch on a CPU or GPU, or the loader of a library ran out of memory."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY)
