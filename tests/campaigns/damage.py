"""Damages checkpoints at random and loads them: each is refused with one sentence, or is sound.

    python -m tests.campaigns.damage 1500

That is so many times a .pt file, so many its pickle and one of its arrays, and so many a .t7 file. Behind a changed
pickle or array the zip file's checksums are made right again, so that nothing but the reader itself can notice.
"""

import io
import random
import re
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np

from tests.helpers.campaigns import run as run_campaign
from tests.helpers.checkpoints import peak_of, same, stepper
from tests.helpers.inputs import GOLDEN
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import load_checkpoint
from util.errors import UserError

EDGE = 4096
"""Bytes at either end of a .pt file in which the zip file's and the pickle's structure lies."""
SORTS = (".pt", ".pt's pickle", ".pt's array", ".t7")
"""What is damaged: a file, or a part of one."""
KINDS = (
    "bits flipped",
    "bytes cut out",
    "end cut off",
    "bytes doubled",
    "bytes put in",
    "bytes moved",
    "number put in",
)
"""How it is damaged."""
MAX_SECONDS = 2.0
MAX_MEMORY = 16
"""Bytes of memory per byte of a .t7 file, besides a constant."""
CONSTANT_MEMORY = 200_000


def campaign(count: int, folder: Path, measure_every: int = 1) -> Counter[str]:
    """Damages each sort `count` times, and counts what comes of it.

    The memory is measured for every `measure_every`-th .t7 file, which takes twice the time.
    """
    figures, path = Counter[str](), folder / "x"
    sources = {
        suffix: [(source.read_bytes(), load_checkpoint(source)) for source in sorted(GOLDEN.glob(f"**/*{suffix}"))]
        for suffix in (".pt", ".t7")
    }
    for sort in SORTS:
        for number in range(count):
            dice, kind = random.Random(f"{sort} {number}"), KINDS[number % len(KINDS)]
            content, whole = dice.choice(sources[sort[:3]])  # by its suffix
            if sort in (".pt", ".t7"):
                path.write_bytes(damaged(content, kind, dice))
            else:
                damage_member(path, content, sort == ".pt's pickle", kind, dice)
            try:
                if sort == ".t7" and number % measure_every == 0:
                    assert peak_of(lambda: attempt(path)) < MAX_MEMORY * path.stat().st_size + CONSTANT_MEMORY
                found = attempt(path)
                assert sort != ".pt" or found is None or same(found, whole)
            except Exception as error:
                raise AssertionError(f"{sort} {number}: {kind}") from error
            figures[f"{sort}: {'accepted' if found else 'refused'}"] += 1
    return figures


def damaged(content: bytes, kind: str, dice: random.Random) -> bytes:
    at, size = position(content, dice), dice.choice((1, 4, 8, dice.randrange(1, 1000)))
    before, part, after = content[:at], content[at : at + size], content[at + size :]
    match kind:
        case "bits flipped":
            flipped = bytearray(content)
            for _ in range(dice.choice((1, 1, 2, 8))):
                flipped[position(content, dice)] ^= 1 << dice.randrange(8)
            return bytes(flipped)
        case "bytes cut out":
            return before + after
        case "end cut off":
            return before
        case "bytes doubled":
            return before + part + part + after
        case "bytes put in":
            return before + dice.randbytes(size) + part + after
        case "bytes moved":
            to = position(after, dice) if after else 0
            return before + after[:to] + part + after[to:]
        case "number put in":  # a size that is huge, negative, or just different
            size = dice.choice((4, 8))
            most = 2 ** (8 * size - 1)
            number = dice.choice((-most, -1, 0, 1, 2, 3, 4, 2**15, 2**24, most // 2, most - 1, dice.randrange(10**6)))
            return before + number.to_bytes(size, "little", signed=True) + content[at + size :]
    raise ValueError(kind)


def position(content: bytes, dice: random.Random) -> int:
    """Anywhere, or in every second case where a file says what is in it and how large that is."""
    at = dice.randrange(len(content))
    if dice.random() < 0.5:
        objects = [match.start() for match in re.finditer(b"V 1", content)]  # of Torch7
        at = dice.choice(objects) + dice.randrange(-24, 100) if len(objects) > 9 else dice.randrange(-EDGE, EDGE)
        at = at % len(content)
    return at


def damage_member(path: Path, content: bytes, is_pickle: bool, kind: str, dice: random.Random) -> None:
    """Writes a .pt file of which the pickle, or another part of its zip file, is damaged behind its checksum."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = dice.choice([name for name in members if name.endswith("data.pkl") == is_pickle])
    members[name] = damaged(members[name], kind, dice)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def attempt(path: Path) -> Checkpoint | None:
    """Loads a checkpoint, if it is not refused. Asserts that a refusal is a sentence, and that either takes no time."""
    clock = time.process_time()  # whatever else the machine is doing
    try:
        with warnings.catch_warnings(action="error"):
            warnings.simplefilter("ignore", DeprecationWarning)  # as Python does by itself
            found = load_checkpoint(path)
    except UserError as error:
        assert str(path) in str(error) and len(str(error)) < 400 and str(error).isprintable(), error
        return None
    finally:
        assert time.process_time() - clock < MAX_SECONDS
    with np.errstate(all="ignore"):  # whatever its numbers are
        assert stepper(found)(np.array([0])).shape == (1, len(found.vocabulary))
    return found


if __name__ == "__main__":
    run_campaign(campaign, 1500)
