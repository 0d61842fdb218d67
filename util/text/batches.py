"""A text as batches of indices, the way char-rnn cuts them."""

from __future__ import annotations

import mmap

import numpy as np

RELEASE_CHARACTERS = 1 << 24
"""How many characters are read from a memory-mapped text until its pages are let go."""


class Batches:
    """Batches of B streams of S characters, in three splits.

    The text, cut to a multiple of B·S, is read as B equal consecutive streams; batch k holds columns k·S to (k+1)·S
    of that matrix. The first batches are for training, the next for validation, the rest for testing.
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
        """`translation`, if given, turns an index of the text's vocabulary into one of the model's.

        `streams` are those of the B that `batch` gives.
        """
        self.indices, self.translation = indices, translation
        self._read = 0
        num_batches = len(indices) // (batch_size * seq_length)
        self.length = num_batches * batch_size * seq_length
        self.split_sizes = split_sizes(num_batches, train_frac, val_frac)
        stream_length = num_batches * seq_length
        self.seq_length = seq_length
        if num_batches:
            # Where in the text the characters of batch 0 stand, and after them the last targets: (S+1, B).
            self._offsets = np.arange(seq_length + 1)[:, None] + np.arange(batch_size)[streams] * stream_length

    def batch(self, split: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets, int64 (S, streams) each, of a batch of split 0 (train), 1 (validation) or 2 (test).

        Targets are the inputs shifted by one character; after the text's last character comes its first.
        """
        k = sum(self.split_sizes[:split]) + number
        places = self._offsets + k * self.seq_length
        places[-1] %= self.length
        window = self.indices[places]
        self._read += window.size
        if self._read >= RELEASE_CHARACTERS:
            release(self.indices)
            self._read = 0
        window = window.astype(np.int64) if self.translation is None else self.translation[window]
        return window[:-1], window[1:]


def release(indices: np.ndarray) -> None:
    """Lets go of the pages that were read from a memory-mapped array, which count as this process's memory.

    The system keeps them as long as it has room, so that reading them again costs next to nothing.
    """
    if isinstance(indices.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        indices.base.madvise(mmap.MADV_DONTNEED)


def split_sizes(num_batches: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """How many batches there are for training, validation and testing."""
    train = int(num_batches * train_frac)
    if train_frac + val_frac >= 1:
        return train, num_batches - train, 0
    val = int(num_batches * val_frac)
    return train, val, num_batches - train - val
