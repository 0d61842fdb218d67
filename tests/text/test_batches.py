"""Batches are columns of the text, cut into streams; the text may be larger than memory.

tests/campaigns/large_text.py does the same with a real one.
"""

import re
from pathlib import Path

import numpy as np
import pytest

from util.text.batches import Batches, split_sizes


@pytest.mark.parametrize(
    ("B", "S", "length"), [(1, 1, 2), (1, 7, 100), (7, 1, 100), (3, 5, 15), (3, 5, 44), (4, 6, 1271)]
)
@pytest.mark.parametrize("train_frac", [0.5, 0.95, 1.0])
def test_batches_are_columns_of_the_text_as_B_streams(B, S, length, train_frac):
    text = np.random.default_rng(0).integers(0, 250, length).astype(np.uint8)
    batches = Batches(text, B, S, train_frac, 0.2)
    total = length // (B * S)
    assert sum(batches.split_sizes) == total
    streams = text[: total * B * S].reshape(B, -1)
    pairs = [batches.batch(split, k) for split in range(3) for k in range(batches.split_sizes[split])]
    assert all(x.shape == y.shape == (S, B) and x.dtype == y.dtype == np.int64 for x, y in pairs)
    assert np.array_equal(np.concatenate([x for x, _ in pairs]).T, streams)
    for split in range(3):
        rows = [batches.batch(split, k)[0] for k in range(batches.split_sizes[split])]
        spans = [text[start:stop] for start, stop in batches.spans(split)]
        assert not rows or np.array_equal(np.concatenate(rows).T.ravel(), np.concatenate(spans))
    # A stream's last target is the next stream's first character, and the very last one is the text's first.
    targets = np.concatenate([y for _, y in pairs]).T
    assert np.array_equal(targets.ravel(), np.roll(streams.ravel(), -1))
    assert targets[-1, -1] == text[0]


@pytest.mark.parametrize(
    ("batches", "train_frac", "val_frac", "expected"),
    [
        (1115394 // 2500, 0.95, 0.05, (423, 23, 0)),
        (202, 0.8, 0.1, (161, 20, 21)),
        (202, 0.95, 0.05, (191, 11, 0)),
        (10, 0.5, 0.25, (5, 2, 3)),
        (10, 0.7, 0.7, (7, 3, 0)),
        (10, 0.0, 0.0, (0, 0, 10)),
        (1, 0.95, 0.05, (0, 1, 0)),
        (0, 0.95, 0.05, (0, 0, 0)),
    ],
)
def test_split_sizes(batches, train_frac, val_frac, expected):
    assert split_sizes(batches, train_frac, val_frac) == expected
    assert Batches(np.zeros(batches, np.uint8), 1, 1, train_frac, val_frac).split_sizes == expected
    assert Batches(np.zeros(batches, np.uint8), 10**30, 50, train_frac, val_frac).split_sizes == (0, 0, 0)


# Batches from beyond 2**32 characters, and memory that does not grow with the text

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
