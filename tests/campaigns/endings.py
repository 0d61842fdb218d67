"""Runs train.py under torchrun with two processes again and again, and looks at how they end.

python -m tests.campaigns.endings 60
"""

import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

from tests.helpers.campaigns import run
from tests.helpers.checkpoints import checkpoints
from tests.helpers.folders import folder_in
from tests.helpers.inputs import SMALL
from tests.helpers.processes import child, torchrun, wait_for

FLAGS = [*SMALL, "-data_dir=.."]
CRASHES = ("terminate called", "Fatal Python error", "SIGABRT", "SIGSEGV", "Signal 6", "Signal 11")


def campaign(count: int, folder: Path) -> Counter[str]:
    """`count` runs to the end, and the two others; returns counts of how they ended."""
    for number in range(count):
        place = folder_in(folder, f"end{number}")
        check(place, torchrun(place, 2, *FLAGS, "-max_epochs=1", "-print_every=50"), 0)
        assert len(checkpoints(place / "cv")) == 1

    place = folder_in(folder, "mistake")  # the loss explodes
    said = check(place, torchrun(place, 2, *FLAGS, "-max_epochs=9", "-learning_rate=1000"), 1)
    assert said.count("error: the loss") == 1, said

    place = folder_in(folder, "signal")  # which one process gets; both save, and end with its status
    process = torchrun(place, 2, *FLAGS, "-max_epochs=10000")
    wait_for(place, process, "\n9/")
    os.kill(child(process, 1), signal.SIGTERM)
    said = check(place, process, 1)  # torchrun's own status
    assert "exitcode  : 143" in said, said
    assert len(checkpoints(place / "cv")) == 1
    return Counter(
        {"came to their end with exit status 0": count, "a mistake, with 1 and one sentence": 1, "SIGTERM, saved": 1}
    )


def check(folder: Path, process: subprocess.Popen, status: int) -> str:
    """Waits for the end of a run; returns what it has said on standard error, which must be nothing of a crash."""
    found, said = process.wait(120), (folder / "err").read_text()
    assert found == status and not any(word in said for word in CRASHES), said
    return said


if __name__ == "__main__":
    run(campaign, 60)
