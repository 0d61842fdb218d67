"""Damages a checkpoint at random and loads it: it is refused with one sentence, or is the same as before.

    python -m tests.campaigns.flips 1500

First a .pt file as it is, every second time in the headers, the pickle or the zip file's directory, where it hurts.
Then, as many times, its pickle or its arrays alone, with the zip file's checksums made right again: there nothing but
the reader itself can notice. What it takes for sound must be sound: finite sizes, and a model that computes something.
"""

import io
import random
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from tests.helpers.campaigns import run as run_campaign
from tests.helpers.checkpoints import same, stepper
from tests.helpers.inputs import SMALL
from tests.helpers.logs import saved
from tests.helpers.runs import finish
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.errors import UserError

EDGE = 4096
"""Bytes at either end of the file in which the zip file's and the pickle's structure lies."""
KINDS = ("bit flipped", "bytes cut out", "end cut off", "bytes doubled", "number put in")
MAX_SECONDS = 2.0


def campaign(count: int, seed: int, checkpoint: Path, scratch: Path) -> Counter[str]:
    """So many damages of the whole file, and of what is in it; what came of them, counted."""
    dice = random.Random(seed)
    content, whole = checkpoint.read_bytes(), load_checkpoint(checkpoint)
    figures = Counter[str]()
    for number in range(count):
        position = dice.randrange(len(content))
        if number % 2:
            position = dice.choice([dice.randrange(EDGE), len(content) - 1 - dice.randrange(EDGE)])
        kind = KINDS[number // 2 % 3]
        scratch.write_bytes(damaged(content, position, kind, dice))
        found = load(scratch)
        assert found is None or same(found, whole), (kind, position)
        figures[f".pt, {kind}: {'refused' if found is None else 'the same'}"] += 1
    return figures + behind_checksums(count, dice, content, scratch)


def behind_checksums(count: int, dice: random.Random, content: bytes, scratch: Path) -> Counter[str]:
    """Damages members of the zip file, by turns the pickle and any, and gives each its right checksum."""
    figures = Counter[str]()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickle = next(name for name in members if name.endswith("data.pkl"))
    for number in range(count):
        name = dice.choice([*members]) if number % 4 == 0 else pickle
        kind = dice.choice(KINDS)
        changed = damaged(members[name], dice.randrange(len(members[name])), kind, dice)
        with zipfile.ZipFile(scratch, "w") as archive:
            for each, data in members.items():
                archive.writestr(each, changed if each == name else data)
        found = load(scratch)
        if found:
            with np.errstate(all="ignore"):  # whatever its numbers are
                assert stepper(found)(np.array([0])).shape == (1, len(found.vocabulary))
        outcome = "taken for a sound one, and is" if found else "refused"
        figures[f".pt, {'pickle' if name == pickle else 'array'} behind its checksum: {outcome}"] += 1
    return figures


def load(path: Path) -> Checkpoint | None:
    """The checkpoint, if it is not refused. Asserts that a refusal is a sentence, and that either takes no time."""
    clock = time.process_time()  # whatever else the machine is doing
    try:
        with warnings.catch_warnings(action="error"):
            warnings.simplefilter("ignore", DeprecationWarning)  # as Python does by itself
            return load_checkpoint(path)
    except UserError as error:
        assert str(path) in str(error) and len(str(error)) < 400 and str(error).isprintable(), error
        return None
    finally:
        assert time.process_time() - clock < MAX_SECONDS


def damaged(content: bytes, position: int, kind: str, dice: random.Random) -> bytes:
    before, after = content[:position], content[position:]
    match kind:
        case "end cut off":
            return before
        case "bytes cut out":
            return before + after[dice.randrange(1, 100) :]
        case "bytes doubled":
            return before + after[: dice.randrange(1, 100)] + after
        case "number put in":
            size = dice.choice((1, 4))
            return before + dice.choice([b"\0", b"\xff", b"\x7f", b"\x80"]) * size + after[size:]
    return before + bytes([after[0] ^ 1 << dice.randrange(8)]) + after[1:]


def main(count: int, folder: Path) -> Counter[str]:
    run = finish(folder, *SMALL, "-data_dir", folder, "-max_epochs", 1)
    assert run.status == 0, run.err
    return campaign(count, 0, folder / "cv" / saved(run.out)[0], folder / "damaged.pt")


if __name__ == "__main__":
    run_campaign(main, 1500)
