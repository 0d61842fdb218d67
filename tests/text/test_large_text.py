"""A text that is larger than memory: batches from beyond 2**32 characters, and memory that does not grow with it.

tests/campaigns/large_text.py does the same with a real one.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from util.text.batches import Batches

MANY = 5 * 2**30 + 12345


def sparse(path: Path, count: int, dtype: type, known: dict[int, int]) -> np.ndarray:
    """Returns a memory-mapped array of zeros, except for known numbers at some positions; it takes hardly any disk."""
    size = np.dtype(dtype).itemsize
    with open(path, "wb") as file:
        file.truncate(count * size)
        for position, number in known.items():
            file.seek(position * size)
            file.write(dtype(number).tobytes())
    return np.memmap(path, dtype, "r")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_batches_from_beyond_2_to_the_32_characters(dtype, tmp_path):
    B, S = 4, 25
    length = MANY // (B * S) * B * S
    stream = length // B
    positions = [0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, stream * 3 + S, length - 1]
    known = {position: 1 + number for number, position in enumerate(positions)}
    batches = Batches(sparse(tmp_path / "data.bin", MANY, dtype, known), B, S, 0.95, 0.05)
    train, val, _ = batches.split_sizes
    assert train + val == length // (B * S) == stream // S

    for position, number in known.items():
        b, column = divmod(position, stream)
        k, step = divmod(column, S)
        x, _ = batches.batch(int(k >= train), k % train)
        assert x[step, b] == number
        assert np.count_nonzero(x) == sum(p % stream // S == k for p in positions)


def resident() -> int:
    """Bytes of files in this process's memory."""
    status = Path("/proc/self/status")
    found = re.search(r"RssFile:\s*(\d+) kB", status.read_text()) if status.exists() else None
    if not found:
        pytest.skip("this system does not tell")
    return int(found[1]) * 1024


def test_memory_does_not_grow_with_what_was_read(tmp_path):
    megabyte = 1 << 20
    batches = Batches(sparse(tmp_path / "data.bin", 32 * megabyte, np.uint8, {}), 8, 4096, 1, 0)
    before = resident()
    for k in range(batches.split_sizes[0]):
        batches.batch(0, k)
        assert resident() - before < 8 * megabyte
