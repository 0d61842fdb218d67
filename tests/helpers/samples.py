"""What sample.py writes from a checkpoint of the original."""

import subprocess
from pathlib import Path

from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import run_command, run_here

LSTM = GOLDEN / "lstm.t7"


def run(*flags: object, checkpoint: Path = LSTM, **options: object) -> subprocess.CompletedProcess:
    """What sample.py does with a golden checkpoint and without messages.

    Where options of subprocess.run are given it is a process of its own; else, to save time, it runs in this one.
    """
    arguments = [checkpoint, "-gpuid=-1", "-verbose=0", *flags]
    if options:
        return run_command("sample.py", *arguments, text=False, **options)
    return run_here("sample.py", *arguments)


def written(*flags: object, **options: object) -> str:
    """Returns the standard output of sample.py, which must end well and print no messages."""
    done = run(*flags, **options)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()
