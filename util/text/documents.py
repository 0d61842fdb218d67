"""Texts made of many short ones, the documents, each of which ends with a separator.

Each split has whole documents, in the order of the file. Training may read its documents in a new order in each epoch;
only their positions are kept for that, so the text stays on the disk. Letters: B streams, S time steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from util.text.batches import TRAIN, Batches, Span, Streams, chunks
from util.text.source import progress_bar


class Documents(Batches):
    """Batches of a text made of documents; each split's documents are cut into their own B streams."""

    def __init__(
        self,
        indices: np.ndarray,
        separator: Sequence[int],
        batch_size: int,
        seq_length: int,
        train_frac: float,
        val_frac: float,
        translation: np.ndarray | None = None,
        streams: slice = slice(None),
        seed: int | None = None,
    ) -> None:
        """`separator` ends each document, except perhaps the last. The other arguments are those of Batches.

        `seed`, if given, shuffles the training documents.
        """
        super().__init__(indices, batch_size, seq_length, train_frac, val_frac, translation, streams)
        starts = document_starts(indices, separator)
        self.counts = train, val, _ = document_splits(starts, len(indices), train_frac, val_frac)
        """How many documents there are for training, validation and testing."""
        borders = np.append(starts, len(indices))[[0, train, train + val, len(starts)]].tolist()
        self.parts = list(pairwise(borders))
        """The part of the text that holds the documents of each split."""
        self._splits = [(Streams(part, batch_size, seq_length, streams), 0) for part in self.parts]
        training, validation, testing = (part.num_batches for part, _ in self._splits)
        self.split_sizes = training, validation, testing
        self._shuffled = None if seed is None else Shuffled(starts[:train].copy(), borders[1], seed)

    def positions(self, split: int, number: int, epoch: int | None) -> np.ndarray:
        """Returns positions like `Batches`; in training, those of the epoch's order."""
        positions = super().positions(split, number, epoch)
        if self._shuffled and split == TRAIN and epoch is not None:
            return self._shuffled.positions(positions, epoch)
        return positions

    def spans(self, split: int) -> list[Span]:
        """Returns a split's parts of the text; all of it if shuffled, since each epoch leaves out a different rest."""
        return [self.parts[split]] if self._shuffled and split == TRAIN else super().spans(split)


class Shuffled:
    """The first `length` characters of a text, with their documents in a new order in each epoch.

    Takes 16 bytes per document, and about 40 for a moment while a new order is made.
    """

    def __init__(self, starts: np.ndarray, length: int, seed: int) -> None:
        self._length, self._seed = length, seed
        self._epoch: int | None = None
        # Where each document starts in the text and in the shuffled text, both in the shuffled order.
        self._starts, self._shuffled_starts = starts, np.zeros_like(starts)

    def positions(self, positions: np.ndarray, epoch: int) -> np.ndarray:
        """Returns the positions in the text of positions in the epoch's shuffled text."""
        if epoch != self._epoch:
            self._shuffle(epoch)
        document = np.searchsorted(self._shuffled_starts, positions, side="right") - 1
        return positions - self._shuffled_starts[document] + self._starts[document]

    def _shuffle(self, epoch: int) -> None:
        draws = np.random.RandomState([self._seed, epoch]).random_sample(len(self._starts))
        order = np.argsort(draws, kind="stable")
        self._starts.sort()
        lengths = np.diff(self._starts, append=self._length)
        np.cumsum(lengths[order[:-1]], out=self._shuffled_starts[1:])
        self._starts = self._starts[order]
        self._epoch = epoch


def document_starts(indices: np.ndarray, separator: Sequence[int]) -> np.ndarray:
    """Returns where documents start: at 0 and after each separator except one at the very end; int64 (documents,).

    Separators do not overlap: they are found from left to right. A text without any is one document.
    """
    size, last = len(separator), 0
    starts = [np.zeros(1, np.int64)]
    with progress_bar("looking for documents", len(indices)) as bar:
        for first, stop, codes in chunks(indices, [(0, len(indices))], size - 1):
            ends = np.flatnonzero(codes[: max(len(codes) - size + 1, 0)] == separator[0])
            for offset, code in enumerate(separator[1:], 1):
                ends = ends[codes[ends + offset] == code]
            ends = without_overlaps(ends + first + size, size, last)
            if len(ends):
                last = int(ends[-1])
                starts.append(ends)
            bar.update(stop - first)
    if last == len(indices):
        starts[-1] = starts[-1][:-1]
    return np.concatenate(starts)


def without_overlaps(ends: np.ndarray, size: int, last: int) -> np.ndarray:
    """Returns those of ascending ends of separators that are at least `size` after the one before, first after `last`.

    Few separators can overlap: those that begin as they end.
    """
    if (np.diff(ends, prepend=last) >= size).all():
        return ends
    apart = []
    for end in ends.tolist():
        if end >= last + size:
            apart.append(last := end)
    return np.array(apart, np.int64)


def document_splits(starts: np.ndarray, length: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """Returns how many documents are for training, validation and testing.

    The first are for training, until they have train_frac of the characters; then come those for validation, until
    both have train_frac + val_frac; the rest is for testing.
    """
    train = int(np.searchsorted(starts, math.ceil(train_frac * length)))
    both = train_frac + val_frac
    learned = len(starts) if both >= 1 else int(np.searchsorted(starts, math.ceil(both * length)))
    return train, learned - train, len(starts) - learned
