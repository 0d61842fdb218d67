"""Cuts a text into batches of indices, the way char-rnn does. Letters: B streams, S time steps.

The text may be made of many short ones, the documents, each of which ends with a separator. Training may read its
documents in a new order in each epoch; only their positions are kept for that, so the text stays on the disk.
"""

import math
import mmap
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise

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
    Of a text made of documents, each split has whole ones, in the file's order, and reads them as B streams of its own.
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
        separator: Sequence[int] = (),
        seed: int | None = None,
    ) -> None:
        """`indices` (characters,) is the text, of any integer type.

        `translation` (vocabulary,), if given, maps an index of the text to the model's. `streams` selects which of the
        B streams `batch` returns. `separator`, the indices that end each document but perhaps the last, is empty if
        there are no documents; `seed`, if given, shuffles those for training.
        """
        self.indices, self.translation = indices, translation
        self.batch_size, self.seq_length, self.streams = batch_size, seq_length, streams
        self.split_sizes: tuple[int, ...]
        """How many batches there are for training, validation and testing."""
        self.documents: tuple[int, ...] = ()
        """How many documents there are for each; empty if there are none."""
        self.parts: list[tuple[Span, int]]
        """For each split, the part of the text that is cut into B streams, and which of their batches is its first."""
        self._shuffled: Shuffled | None = None
        if separator:
            starts = document_starts(indices, separator)
            self.documents = train, val, _ = document_splits(starts, len(indices), train_frac, val_frac)
            borders = np.append(starts, len(indices))[[0, train, train + val, len(starts)]].tolist()
            self.parts = [(part, 0) for part in pairwise(borders)]
            self.split_sizes = tuple((stop - start) // (batch_size * seq_length) for start, stop in pairwise(borders))
            if seed is not None:
                self._shuffled = Shuffled(starts[:train].copy(), borders[1], seed)
        else:
            batches = len(indices) // (batch_size * seq_length)
            self.split_sizes = train, val, _ = split_sizes(batches, train_frac, val_frac)
            self.parts = [((0, len(indices)), first) for first in (0, train, train + val)]

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
        (start, stop), first = self.parts[split]
        B, S = self.batch_size, self.seq_length
        length = (stop - start) // (B * S) * S  # of a stream
        positions = np.arange(S + 1)[:, None] + (first + number) * S + np.arange(B)[self.streams] * length
        positions[-1] %= B * length
        positions += start
        if self._shuffled and split == TRAIN and epoch is not None:
            return self._shuffled.positions(positions, epoch)
        return positions

    def spans(self, split: int) -> list[Span]:
        """Returns the parts of the text that a split reads, one for each stream.

        Shuffled, they are its whole part: what does not fill a batch is left out, and differs from epoch to epoch.
        """
        if self._shuffled and split == TRAIN:
            return [self.parts[split][0]]
        length = self.split_sizes[split] * self.seq_length
        return [(start, start + length) for start in self.positions(split, 0, None)[0].tolist()] if length else []


class Shuffled:
    """The first `length` characters of a text, with their documents in a new order in each epoch.

    Takes 16 bytes per document, and about 40 for a moment while a new order is made.
    """

    def __init__(self, starts: np.ndarray, length: int, seed: int) -> None:
        self._length, self._seed, self._epoch = length, seed, -1
        # Where each document starts in the text and in the shuffled text, both in the shuffled order.
        self._starts, self._shuffled_starts = starts, np.zeros_like(starts)

    def positions(self, positions: np.ndarray, epoch: int) -> np.ndarray:
        """Returns the positions in the text, of any shape, of positions in the epoch's shuffled text."""
        if epoch != self._epoch:
            draws = np.random.RandomState([self._seed, epoch]).random_sample(len(self._starts))
            order = np.argsort(draws, kind="stable")
            self._starts.sort()
            lengths = np.diff(self._starts, append=self._length)
            np.cumsum(lengths[order[:-1]], out=self._shuffled_starts[1:])
            self._starts, self._epoch = self._starts[order], epoch
        document = np.searchsorted(self._shuffled_starts, positions, side="right") - 1
        return positions - self._shuffled_starts[document] + self._starts[document]


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


def document_splits(starts: np.ndarray, length: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """Returns how many documents are for training, validation and testing.

    The first are for training, until they have train_frac of the characters; then come those for validation, until
    both have train_frac + val_frac; the rest is for testing.
    """
    train = int(np.searchsorted(starts, math.ceil(train_frac * length)))
    both = train_frac + val_frac
    learned = len(starts) if both >= 1 else int(np.searchsorted(starts, math.ceil(both * length)))
    return train, learned - train, len(starts) - learned


def document_starts(indices: np.ndarray, separator: Sequence[int]) -> np.ndarray:
    """Returns where documents start: at 0 and after each separator except one at the very end; int64 (documents,).

    Separators do not overlap: they are found from left to right. A text without any is one document.
    """
    size, starts = len(separator), array("q", [0])
    for first, codes in chunks(indices, [(0, len(indices))], size - 1):
        ends = np.flatnonzero(codes[: max(len(codes) - size + 1, 0)] == separator[0])
        for offset, code in enumerate(separator[1:], 1):
            ends = ends[codes[ends + offset] == code]
        for end in (ends + first + size).tolist():
            if end >= starts[-1] + size:
                starts.append(end)
    if starts[-1] == len(indices):
        starts.pop()
    return np.array(starts)
