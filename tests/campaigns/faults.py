"""Trains while every file operation fails with every error, in one checkpoint, in the last, and in all.

    python -m tests.campaigns.faults 3

The number is how many of the errors ENOSPC, EIO and EACCES are tried.
"""

import errno
import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from tests.helpers.campaigns import run as run_campaign
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.failing import ERRORS, OPERATIONS
from tests.helpers.folders import names
from tests.helpers.inputs import EPOCH, SMALL, numbers
from tests.helpers.logs import log, saved
from tests.helpers.runs import Run, fails_saves, finish

FLAGS = [*SMALL, *f"-max_epochs 1 -eval_val_every {EPOCH // 3}".split()]
"""Three validated checkpoints."""
DISPENSABLE = {"chmod", "link", "mkdir", "unlink"}
"""Operations without which a file is written anyway: `link` by renaming; `unlink` leaves a hidden file behind."""
UNUSED = {"replace"}
"""How another run's file is not overwritten: never by this operation, unless there are no links."""
ENDINGS = {
    (): "not disturbed, exit status 0",
    (1,): "went on, exit status 0",
    (2,): "last one missing, exit status 1",
    (0, 1, 2): "all missing, exit status 1",
}
"""Which of the three checkpoints are missing, and what comes of it."""


def campaign(operations: Collection[str], numbers_: Collection[int], folder: Path) -> Counter[str]:
    """Does three runs for each operation and error; returns counts of how they ended."""
    (folder / "input.txt").write_bytes(numbers(140))
    flags = [*FLAGS, "-data_dir", folder]
    (folder / "whole").mkdir()
    whole = finish(folder / "whole", *flags)
    figures = Counter[str]()
    for operation in operations:
        for number in numbers_:
            for which in ({1}, {2}, {0, 1, 2}):
                place = folder / f"{operation}-{errno.errorcode[number]}-{len(which)}-{max(which)}"
                place.mkdir()
                run = finish(place, *flags, prepare=fails_saves(operation, number, which))
                missing = set() if operation in DISPENSABLE | UNUSED else which
                check(run, whole, place / "cv", missing, os.strerror(number).lower())
                left = {name for name in names(place / "cv") if name.endswith(".tmp")}
                assert bool(left) == (operation == "unlink"), (operation, left)
                figures[ENDINGS[tuple(missing)]] += 1
    return figures


def check(run: Run, whole: Run, folder: Path, missing: Collection[int], reason: str) -> None:
    """Compares a run whose `missing` checkpoints could not be written with the undisturbed one."""
    assert log([run.out]) == log([whole.out])
    every = saved(whole.out)
    there = [name for number, name in enumerate(every) if number not in missing]
    undisturbed = checkpoints(folder.parent.parent / "whole" / "cv")
    assert same(checkpoints(folder), {name: undisturbed[name] for name in sorted(there)})
    expected = [
        f"warning: cannot write cv/{every[n]} ({reason}), so this checkpoint is missing" for n in sorted(missing)
    ]
    if 2 in missing:
        last = f"resume with: python train.py -resume cv/{there[-1]}" if there else "there is no checkpoint yet"
        expected.append(f"error: the last checkpoint could not be written; {last}")
    found = run.err.splitlines()
    assert len(found) == len(expected), run.err
    assert all(line.startswith(start) for line, start in zip(found, expected, strict=True)), run.err
    assert run.status == (1 if 2 in missing else 0)


if __name__ == "__main__":
    run_campaign(lambda count, folder: campaign(OPERATIONS, ERRORS[:count], folder), 3)
