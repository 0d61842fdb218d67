"""Texts made of many short ones, the documents, each of which ends with a separator.

Each split has whole documents, in the order of the file. Training may read its documents in a new order in each epoch;
only their positions are kept for that, so the text stays on the disk. Letters: B streams, S time steps.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from util.text.batches import TRAIN, Batches, Span, chunks


class Documents(Batches):
    """Batches of a text made of documents; each split's documents are cut into their own B streams.

    Shuffling takes 16 bytes per document, and about 40 for a moment while a new order is made.
    """

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
        self.parts = [(part, 0) for part in pairwise(borders)]
        train_batches, val_batches, test_batches = (np.diff(borders) // (batch_size * seq_length)).tolist()
        self.split_sizes = train_batches, val_batches, test_batches
        self._seed, self._epoch = seed, -1
        # Where each training document starts in the text and in the shuffled text, both in the shuffled order.
        self._starts = starts[:train].copy()
        self._shuffled_starts = np.zeros_like(self._starts)

    def positions(self, split: int, number: int, epoch: int | None) -> np.ndarray:
        """Returns positions like `Batches`; in training, those of the epoch's order."""
        positions = super().positions(split, number, epoch)
        if self._seed is None or split != TRAIN or epoch is None:
            return positions
        if epoch != self._epoch:
            self._shuffle(epoch, self._seed)
        document = np.searchsorted(self._shuffled_starts, positions, side="right") - 1
        return positions - self._shuffled_starts[document] + self._starts[document]

    def _shuffle(self, epoch: int, seed: int) -> None:
        draws = np.random.RandomState([seed, epoch]).random_sample(len(self._starts))
        order = np.argsort(draws, kind="stable")
        self._starts.sort()
        lengths = np.diff(self._starts, append=self.parts[TRAIN][0][1])
        np.cumsum(lengths[order[:-1]], out=self._shuffled_starts[1:])
        self._starts = self._starts[order]
        self._epoch = epoch

    def spans(self, split: int) -> list[Span]:
        """Returns a split's parts of the text; all of it if shuffled, since each epoch leaves out a different rest."""
        return [self.parts[TRAIN][0]] if self._seed is not None and split == TRAIN else super().spans(split)


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


def document_splits(starts: np.ndarray, length: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """Returns how many documents are for training, validation and testing.

    The first are for training, until they have train_frac of the characters; then come those for validation, until
    both have train_frac + val_frac; the rest is for testing.
    """
    train = int(np.searchsorted(starts, math.ceil(train_frac * length)))
    both = train_frac + val_frac
    learned = len(starts) if both >= 1 else int(np.searchsorted(starts, math.ceil(both * length)))
    return train, learned - train, len(starts) - learned
