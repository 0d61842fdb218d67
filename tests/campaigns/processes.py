"""Trains with several processes, and compares with one process and with the original's figures.

    python -m tests.campaigns.processes

All golden runs, each with two, three and four processes; and a process that is killed or hangs must end the run soon.
"""

import os
import re
import signal
import tempfile
import time
from pathlib import Path

from tests.helpers.checkpoints import checkpoints
from tests.helpers.golden import RUNS
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.processes import check_golden, child, torchrun, wait_for


def strike(folder: Path, number: int) -> tuple[float, str]:
    """Sends a signal to one process of two under torchrun; seconds until all have ended, and what they said."""
    (folder / "input.txt").write_bytes(numbers(140))
    process = torchrun(folder, 2, *SMALL, "-data_dir", folder, "-max_epochs", 10000, "-save_every", 10)
    wait_for(folder, process, "20/")
    os.kill(child(process, 1), number)
    before = time.monotonic()
    assert process.wait(120) != 0
    seconds = time.monotonic() - before
    said = re.findall("^error: .*", (folder / "err").read_text(), re.MULTILINE)
    assert len(said) == 1 and "lost contact with another process" in said[0], said
    assert checkpoints(folder / "cv")  # all of which have loaded
    return seconds, said[0]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(numbers(1500))
        for run in RUNS:
            for size in (2, 3, 4):
                (folder / f"{run}{size}").mkdir()
                before = time.monotonic()
                check_golden(run, size, folder, folder / f"{run}{size}")
                seconds = time.monotonic() - before
                print(
                    f"{run:15} {size} processes: {RUNS[run]['iterations']} iterations equal, {seconds:.1f} s",
                    flush=True,
                )
        for what, number in (("is killed", signal.SIGKILL), ("hangs", signal.SIGSTOP)):
            (folder / what).mkdir()
            seconds, said = strike(folder / what, number)
            assert seconds < 60
            print(f"a process {what}: all end in {seconds:.1f} s with: {said}")


if __name__ == "__main__":
    main()
