"""Runs train.py under torchrun with two processes again and again, and looks at how they end.

    python -m tests.campaigns.endings 60

So many runs of a small text come to their end, all with exit status 0; one ends by a mistake, one by SIGTERM. Ends with
a traceback where a run says anything of a crash, or its checkpoint is missing.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.helpers.checkpoints import checkpoints
from tests.helpers.folders import folder_in
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.processes import child, torchrun, wait_for

CRASHES = ("terminate called", "Fatal Python error", "SIGABRT", "SIGSEGV", "Signal 6", "Signal 11")


def to_the_end(folder: Path) -> None:
    """A run that ends by itself."""
    flags = [*SMALL, "-data_dir", folder.parent, "-max_epochs", 1, "-print_every", 50]
    status = torchrun(folder, 2, *flags).wait(120)
    said = (folder / "err").read_text()
    assert status == 0, said
    assert not crashes(said), said
    assert len(checkpoints(folder / "cv")) == 1


def by_mistake(folder: Path) -> None:
    """A run whose loss explodes: one sentence, and torchrun's report of status 1."""
    flags = [*SMALL, "-data_dir", folder.parent, "-max_epochs", 9, "-learning_rate", 1000]
    status = torchrun(folder, 2, *flags).wait(120)
    said = (folder / "err").read_text()
    assert status == 1 and not crashes(said), said
    assert said.count("error: the loss") == 1, said


def by_signal(folder: Path) -> None:
    """A run of which one process gets SIGTERM: both save, and end with that signal's status."""
    flags = [*SMALL, "-data_dir", folder.parent, "-max_epochs", 10000]
    process = torchrun(folder, 2, *flags)
    wait_for(folder, process, "\n9/")
    os.kill(child(process, 1), signal.SIGTERM)
    status = process.wait(120)
    said = (folder / "err").read_text()
    assert status == 1 and not crashes(said), said  # torchrun's own
    assert "exitcode  : 143" in said, said
    assert len(checkpoints(folder / "cv")) == 1


def crashes(said: str) -> list[str]:
    return [word for word in CRASHES if word in said]


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
