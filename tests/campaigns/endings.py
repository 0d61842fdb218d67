"""Runs train.py under torchrun with two processes again and again, and looks at how they end.

    python -m tests.campaigns.endings 60

So many runs of a small text come to their end, all with exit status 0; one ends by a mistake, one by SIGTERM. Ends with
a traceback where a run says anything of a crash, or its checkpoint is missing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.checkpoints import checkpoints
from tests.helpers.folders import folder_in
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.processes import child, torchrun, wait_for

FLAGS = [*SMALL, "-data_dir=.."]
CRASHES = ("terminate called", "Fatal Python error", "SIGABRT", "SIGSEGV", "Signal 6", "Signal 11")


def to_the_end(folder: Path) -> None:
    """A run that ends by itself."""
    check(folder, torchrun(folder, 2, *FLAGS, "-max_epochs=1", "-print_every=50"), 0)
    assert len(checkpoints(folder / "cv")) == 1


def by_mistake(folder: Path) -> None:
    """A run whose loss explodes: one sentence, and torchrun's report of status 1."""
    said = check(folder, torchrun(folder, 2, *FLAGS, "-max_epochs=9", "-learning_rate=1000"), 1)
    assert said.count("error: the loss") == 1, said


def by_signal(folder: Path) -> None:
    """A run of which one process gets SIGTERM: both save, and end with that signal's status."""
    process = torchrun(folder, 2, *FLAGS, "-max_epochs=10000")
    wait_for(folder, process, "\n9/")
    os.kill(child(process, 1), signal.SIGTERM)
    said = check(folder, process, 1)  # torchrun's own status
    assert "exitcode  : 143" in said, said
    assert len(checkpoints(folder / "cv")) == 1


def check(folder: Path, process: subprocess.Popen, status: int) -> str:
    """Waits for the end of a run; returns what it has said on standard error, which must be nothing of a crash."""
    found, said = process.wait(120), (folder / "err").read_text()
    assert found == status and not any(word in said for word in CRASHES), said
    return said


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(numbers(140))
        for number in range(count):
            to_the_end(folder_in(folder, f"end{number}"))
        print(f"{count:7} runs came to their end with exit status 0", flush=True)
        by_mistake(folder_in(folder, "mistake"))
        print("      1 run ended by a mistake, with status 1 and one sentence", flush=True)
        by_signal(folder_in(folder, "signal"))
        print("      1 run ended by SIGTERM, with a checkpoint")


if __name__ == "__main__":
    main()
