"""How a script ends: its exit status and what it says."""

import errno

import pytest

from util.cli import console
from util.errors import UserError


def test_messages_of_the_program_s_own_errors_are_not_hidden(capfd):
    def fails() -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(RuntimeError, match="a mistake of ours"):
        console.run(fails)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("the sentence"), 1, "error: the sentence\n"),
        (UserError("no \n\x1b[31m\udce9 é" + "9" * 5000), 1, r"no \n\x1b[31m\udce9 é" + "9" * 20 + "...\n"),
        (MemoryError(), 1, "error: out of memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "error: out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1, "error: out of memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), 1, "error: out of memory"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(2), 2, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_exit_statuses(error, status, words, capfd):
    def fails() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        console.run(fails)
    assert (stop.value.code or 0) == status
    assert words in (said := capfd.readouterr().err) and said.count("\n") == (words != "")
