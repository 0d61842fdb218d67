"""Cuts a text into batches of indices, the way char-rnn does. Letters: B streams, S time steps."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

import numpy as np

from util.errors import UserError

RELEASE_CHARACTERS = 1 << 24
"""How many characters to read from a memory-mapped text before releasing its pages."""
SPLITS = ("train", "val", "test")
TRAIN, VALIDATION = range(2)
CHUNK = 1 << 18
"""How many characters of a text to process at a time, so that the arrays stay in a processor's cache."""

Span = tuple[int, int]
"""A part of a text: its first position, and the one after its last."""


class Streams:
    """A part of a text that, cut to a multiple of B·S, is read as B equal consecutive streams.

    Batch k holds columns k·S to (k+1)·S of that matrix. `chosen` selects some of the B streams.
    """

    def __init__(self, part: Span, batch_size: int, seq_length: int, chosen: slice) -> None:
        self.start, stop = part
        self.seq_length = seq_length
        self.num_batches = (stop - self.start) // (batch_size * seq_length)
        self.length = self.num_batches * batch_size * seq_length
        if self.num_batches:
            starts = np.arange(batch_size)[chosen] * self.num_batches * seq_length
            # Positions of batch 0's inputs, with one more row for the last targets: (S+1, B).
            self._offsets = np.arange(seq_length + 1)[:, None] + starts

    def positions(self, number: int) -> np.ndarray:
        """Returns the positions in the text of a batch's inputs and, one row down, its targets: (S+1, streams).

        The last character is followed by the first.
        """
        offsets = self._offsets + number * self.seq_length
        offsets[-1] %= self.length
        return self.start + offsets

    def spans(self, first: int, stop: int) -> list[Span]:
        """Returns where the batches from `first` to before `stop` are in each stream."""
        starts = (self.start + self._offsets[0]).tolist() if self.num_batches else []
        return [(start + first * self.seq_length, start + stop * self.seq_length) for start in starts]


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
        self._read = 0
        whole = Streams((0, len(indices)), batch_size, seq_length, streams)
        self.split_sizes = train, val, _ = split_sizes(whole.num_batches, train_frac, val_frac)
        self._splits = [(whole, 0), (whole, train), (whole, train + val)]
        """The streams of each split, and their batch that is its first."""

    def batch(self, split: int, number: int, epoch: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets, int64 (S, streams) each, of a batch of a split, by its place in SPLITS.

        Targets are the inputs shifted by one character; the last character is followed by the first. `epoch`, counted
        from 0, is for texts that are read in another order in each epoch; without it, the order is the file's.
        """
        positions = self.positions(split, number, epoch)
        self._check()
        window = self.indices[positions]
        self._read += window.size
        if self._read >= RELEASE_CHARACTERS:
            release(self.indices)
            self._read = 0
        window = window.astype(np.int64) if self.translation is None else self.translation[window]
        return window[:-1], window[1:]

    def positions(self, split: int, number: int, epoch: int | None) -> np.ndarray:
        """Returns the positions in the text of a batch's inputs and, one row down, its targets: (S+1, streams)."""
        streams, first = self._splits[split]
        return streams.positions(first + number)

    def spans(self, split: int) -> list[Span]:
        """Returns a split's parts of the text."""
        streams, first = self._splits[split]
        return streams.spans(first, first + self.split_sizes[split])

    def _check(self) -> None:
        """Raises UserError if the cache was truncated meanwhile; reading past its end would kill the process."""
        mapped = self.indices.base
        if isinstance(mapped, mmap.mmap) and mapped.size() < self.indices.nbytes:
            raise UserError("the indexed text, data.bin, was truncated while it was in use; start again with -resume")


def release(indices: np.ndarray) -> None:
    """Releases the pages read from a memory-mapped array, which would count as this process's memory.

    The system caches them while it has room, so reading them again costs next to nothing.
    """
    if isinstance(indices.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        indices.base.madvise(mmap.MADV_DONTNEED)


def chunks(text: np.ndarray, spans: Sequence[Span], more: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields parts of a text in chunks: where each starts and stops, and its characters with up to `more` after."""
    for start, end in spans:
        for at in range(start, end, CHUNK):
            stop = min(at + CHUNK, end)
            yield at, stop, np.array(text[at : min(stop + more, end)])
            release(text)


def split_sizes(num_batches: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """Returns how many batches there are for training, validation and testing."""
    train = int(num_batches * train_frac)
    if train_frac + val_frac >= 1:
        return train, num_batches - train, 0
    val = int(num_batches * val_frac)
    return train, val, num_batches - train - val
