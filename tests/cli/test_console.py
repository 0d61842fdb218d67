"""How a script ends: its exit status and what it says; and what a terminal gets of what it writes."""

import errno
import io
import os
import pty
import re
import sys
from functools import partial

import pytest
import torch

from tests.helpers.checkpoints import rewrite
from tests.helpers.scripts import run
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


# What would control a terminal is shown there, and never sent to it; a file or a pipe gets it as it is

CONTROLS = "\x1b\x07\x9b\x7f"


@pytest.fixture(scope="module")
def stranger(checkpoint, tmp_path_factory):
    """A model that writes control characters, under a name with one."""
    known = torch.load(checkpoint, weights_only=True)["vocabulary"]
    path = tmp_path_factory.mktemp("stranger") / "a\x1b[31m.pt"
    return rewrite(checkpoint, path, vocabulary=CONTROLS + known[len(CONTROLS) :])


def shown(script: str, *words: object, **options) -> str:
    """Returns what a terminal gets on a script's standard output."""
    ours, theirs = pty.openpty()
    done = run(script, *words, prepare=partial(on_terminal, os.ttyname(theirs)), **options)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    output = b""
    try:
        while more := os.read(ours, 2**16):
            output += more
    except OSError:  # there is no more
        os.close(ours)
    return output.decode().replace("\r\n", "\n")


def on_terminal(name: str) -> None:
    sys.stdout = sys.__stdout__ = os.fdopen(os.open(name, os.O_WRONLY | os.O_NOCTTY), "w")
    os.dup2(sys.stdout.fileno(), 1)  # which is /dev/stdout


def test_a_sampled_text_whose_colors_stay(stranger):
    words = ["sample.py", stranger, "-length=200", "-temperature=9", "-verbose=0"]
    plain = run(*words).stdout
    assert set(CONTROLS) < set(plain)
    for flag in ("-num_samples=1", "-output=/dev/stdout"):
        assert shown(*words, flag) == "".join(f"\\x{ord(c):02x}" if c in CONTROLS else c for c in plain)
    colored = shown(*words, "-color=1")
    assert re.search(r"\x1b\[38;5;\d+m\\x9b\x1b\[0m", colored)
    assert colored.count("\x1b") == colored.count("\x1b[38;5;") + colored.count("\x1b[0m")


def test_a_file_s_name(stranger):
    assert shown("convert_gpu_cpu_checkpoint.py", stranger.name, cwd=stranger.parent) == (
        "saved a\\x1b[31m.pt_cpu.pt\n"
    )


def test_what_comes_byte_by_byte():
    """Neither a character nor the end of a line is parted; a byte that is no text is shown as one."""
    file = io.BytesIO()
    terminal = console.Terminal(file, "utf-8")
    for byte in "é\t東\r\n\r\x9b\u3000x".encode() + b"\xffy":
        terminal.write(bytes([byte]))
    assert file.getvalue().decode() == "é\t東\r\n\\x0d\\x9b\u3000x\\xffy"
