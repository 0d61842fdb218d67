"""Cuts a text into batches of indices, the way char-rnn does. Letters: B streams, S time steps."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

import numpy as np

from util.errors import UserError

SPLITS = ("train", "val", "test")
TRAIN, VALIDATION = range(2)
CHUNK = 1 << 18
"""How many characters of a text to process at a time, so that the arrays stay in a processor's cache."""

Span = tuple[int, int]
"""A part of a text: its first position, and the one after its last."""


class Batches:
    """Batches of B streams of S characters, in three splits.

    The text is read as B streams; their first batches are for training, the next for validation, the rest for testing.
    """

    def __init__(
        self,
        indices: np.ndarray,
        batch_size: int,
        seq_length: int,
        train_frac: float,
        val_frac: float,
        translation: np.ndarray | None = None,
        streams: slice = slice(None),
    ) -> None:
        """`translation`, if given, maps an index of the text's vocabulary to the model's.

        `streams` selects which of the B streams `batch` returns.
        """
        self.indices, self.translation = indices, translation
        self.batch_size, self.seq_length, self.streams = batch_size, seq_length, streams
        whole, batches = (0, len(indices)), len(indices) // (batch_size * seq_length)
        self.split_sizes = train, val, _ = split_sizes(batches, train_frac, val_frac)
        self.parts = [(whole, 0), (whole, train), (whole, train + val)]
        """For each split, the part of the text that is cut into B streams, and which of their batches is its first."""

    def batch(self, split: int, number: int, epoch: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets, int64 (S, streams) each, of a batch of a split, by its place in SPLITS.

        Targets are the inputs shifted by one character; the last character is followed by the first. `epoch`, counted
        from 0, is for texts that are read in another order in each epoch; without it, the order is the file's.
        """
        positions = self.positions(split, number, epoch)
        mapped = self.indices.base
        if isinstance(mapped, mmap.mmap) and mapped.size() < self.indices.nbytes:
            # Reading past its end would kill the process.
            raise UserError("the indexed text, data.bin, was truncated while it was in use; start again with -resume")
        window = self.indices[positions]
        release(self.indices)
        window = window.astype(np.int64) if self.translation is None else self.translation[window]
        return window[:-1], window[1:]

    def positions(self, split: int, number: int, epoch: int | None) -> np.ndarray:
        """Returns the positions in the text of a batch's inputs and, one row down, its targets: (S+1, streams)."""
        ((start, stop), first), B, S = self.parts[split], self.batch_size, self.seq_length
        length = (stop - start) // (B * S) * S  # of a stream
        positions = np.arange(S + 1)[:, None] + (first + number) * S + np.arange(B)[self.streams] * length
        positions[-1] %= B * length
        return start + positions

    def spans(self, split: int) -> list[Span]:
        """Returns a split's parts of the text, one in each stream."""
        length = self.split_sizes[split] * self.seq_length
        return [(start, start + length) for start in self.positions(split, 0, None)[0].tolist()] if length else []


def release(indices: np.ndarray) -> None:
    """Releases the pages read from a memory-mapped array, which would count as this process's memory.

    The system caches them while it has room, so reading them again costs next to nothing.
    """
    if isinstance(indices.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        indices.base.madvise(mmap.MADV_DONTNEED)


def chunks(text: np.ndarray, spans: Sequence[Span], more: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yields parts of a text in chunks: where each starts, and its characters with up to `more` after."""
    for start, end in spans:
        for at in range(start, end, CHUNK):
            yield at, np.array(text[at : min(at + CHUNK + more, end)])
            release(text)


def split_sizes(num_batches: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """Returns how many batches there are for training, validation and testing."""
    train = int(num_batches * train_frac)
    if train_frac + val_frac >= 1:
        return train, num_batches - train, 0
    val = int(num_batches * val_frac)
    return train, val, num_batches - train - val
