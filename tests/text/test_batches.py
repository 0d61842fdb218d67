"""Batches are columns of the text, cut into streams."""

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
