"""Damages the golden .t7 files in thousands of ways and opens each: it loads, or is refused with one sentence.

python -m tests.campaigns.t7_mutations 20000
"""

import random
import re
import tracemalloc
from collections import Counter
from pathlib import Path

from tests.campaigns.flips import load
from tests.helpers.campaigns import run as run_campaign
from tests.helpers.inputs import GOLDEN

MAX_MEMORY = 16
"""Bytes of memory per byte of the file, besides a constant."""
CONSTANT_MEMORY = 200_000


def position(data: bytearray, rng: random.Random) -> int:
    """Anywhere in the file, or in every second case where an object of Torch says what it is and how large."""
    if rng.random() < 0.5:
        return rng.randrange(len(data) - 8)
    version = rng.choice([match.start() for match in re.finditer(b"V 1", data)])
    return min(max(version + rng.randrange(-24, 100), 0), len(data) - 8)


def mutate(data: bytearray, kind: str, rng: random.Random) -> None:
    at, other, size = position(data, rng), position(data, rng), rng.choice((4, 8))
    match kind:
        case "flip":
            for _ in range(rng.choice((1, 1, 2, 8))):
                data[position(data, rng)] ^= 1 << rng.randrange(8)
        case "cut":
            del data[at : rng.choice((at + 1, at + 4, at + 1000, len(data)))]
        case "insert":
            data[at:at] = rng.randbytes(rng.choice((1, 4, 8, 100)))
        case "swap":
            data[at : at + size], data[other : other + size] = data[other : other + size], data[at : at + size]
        case "number":  # a size that is huge, negative, or just different
            number = rng.choice((-1, 0, 1, 2, 3, 4, 2**15, 2**24, 2**31 - 1, -(2**31), rng.randrange(10**6)))
            if size == 8:
                number = rng.choice((number, 2**40, 2**62, 2**63 - 1, -(2**63)))
            data[at : at + size] = number.to_bytes(size, "little", signed=True)


def campaign(count: int, folder: Path, measure_every: int = 1) -> Counter[str]:
    """Tries `count` damages of the golden files, and measures the memory of every so many, which takes twice the time.

    Returns how many were accepted and refused, and the most memory for a byte of file.
    """
    originals = [path.read_bytes() for path in sorted(GOLDEN.glob("**/*.t7"))]
    figures, path = Counter[str](), folder / "damaged.t7"
    for number in range(count):
        rng = random.Random(number)
        data = bytearray(originals[number % len(originals)])
        kind = rng.choice(("flip", "cut", "insert", "swap", "number"))
        mutate(data, kind, rng)
        path.write_bytes(data)
        what = f"damage {number} ({kind})"
        if number % measure_every == 0:
            tracemalloc.start()
        try:
            figures["accepted" if load(path) else "refused"] += 1
        except Exception as error:
            raise AssertionError(what) from error
        memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert memory < MAX_MEMORY * len(data) + CONSTANT_MEMORY, f"{what}: {len(data)} bytes take {memory}"
        share = max(0, memory - CONSTANT_MEMORY) // len(data)
        figures["times the file in memory at most"] = max(figures["times the file in memory at most"], share)
    return figures


if __name__ == "__main__":
    run_campaign(campaign, 20_000)
