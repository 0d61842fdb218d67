"""Damages a checkpoint at random and loads it: it is refused with one sentence, or is the same as before.

    python -m tests.campaigns.flips 1000

A bit flipped, some bytes cut out, the end cut off, by turns; every second time in the headers, the pickle or the
directory of the zip file, where it hurts, rather than anywhere.
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

from tests.helpers.checkpoints import same
from tests.helpers.inputs import SMALL, numbers
from tests.helpers.logs import saved
from tests.helpers.runs import finish
from util.checkpoint.store import load_checkpoint
from util.errors import UserError

EDGE = 4096
"""Bytes at either end of the file in which the zip file's and the pickle's structure lies."""


def campaign(count: int, seed: int, checkpoint: Path, scratch: Path) -> Counter[str]:
    """Damages the checkpoint `count` times; returns counts of what came of it."""
    dice, figures = random.Random(seed), Counter[str]()
    content, whole = checkpoint.read_bytes(), load_checkpoint(checkpoint)
    for number in range(count):
        place = dice.randrange(len(content))
        if number % 2:
            place = dice.choice([dice.randrange(EDGE), len(content) - 1 - dice.randrange(EDGE)])
        kind = ("bit flipped", "bytes cut out", "end cut off")[number // 2 % 3]
        scratch.write_bytes(damaged(content, place, kind, dice))
        try:
            with warnings.catch_warnings(action="error"):
                found = load_checkpoint(scratch)
        except UserError as error:
            assert str(error).startswith(f"{scratch} is not a ") and len(str(error)) < 400, error
            figures[f"{kind}: refused"] += 1
        else:
            assert same(found, whole), (kind, place)
            figures[f"{kind}: the same"] += 1
    return figures


def damaged(content: bytes, place: int, kind: str, dice: random.Random) -> bytes:
    if kind == "end cut off":
        return content[:place]
    if kind == "bytes cut out":
        return content[:place] + content[place + dice.randrange(1, 100) :]
    flipped = bytes([content[place] ^ 1 << dice.randrange(8)])
    return content[:place] + flipped + content[place + 1 :]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(numbers(140))
        run = finish(folder, *SMALL, "-data_dir", folder, "-max_epochs", 1)
        assert run.status == 0, run.err
        figures = campaign(count, seed, folder / "cv" / saved(run.out)[0], folder / "damaged.pt")
    for what, number in sorted(figures.items()):
        print(f"{number:7} {what}")


if __name__ == "__main__":
    main()
