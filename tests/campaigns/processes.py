"""Trains with several processes, and compares with the original's figures.

    python -m tests.campaigns.processes

All golden runs, each with two, three and four processes.
"""

import tempfile
import time
from pathlib import Path

from tests.helpers.golden import RUNS
from tests.helpers.inputs import numbers
from tests.helpers.processes import check_golden


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


if __name__ == "__main__":
    main()
