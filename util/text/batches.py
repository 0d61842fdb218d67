"""Cuts a text into batches of indices, the way char-rnn does. Letters: B streams, S time steps."""

from __future__ import annotations

import math
import mmap
from argparse import Namespace

import numpy as np

from util.cli.console import log, warn
from util.errors import UserError
from util.text.cache import Text
from util.text.vocabulary import Vocabulary

RELEASE_CHARACTERS = 1 << 24
"""How many characters to read from a memory-mapped text before releasing its pages."""
FEW_BATCHES = 50
SPLITS = ("train", "val", "test")
TRAIN, VALIDATION, TEST = range(3)


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
        """`translation`, if given, maps an index of the text's vocabulary to the model's.

        `streams` selects which of the B streams `batch` returns.
        """
        self.indices, self.translation = indices, translation
        self._read = 0
        num_batches = len(indices) // (batch_size * seq_length)
        self.length = num_batches * batch_size * seq_length
        self.split_sizes = split_sizes(num_batches, train_frac, val_frac)
        stream_length = num_batches * seq_length
        self.seq_length = seq_length
        if num_batches:
            # Positions in the text of batch 0's inputs, with one more row for the last targets: (S+1, B).
            self._offsets = np.arange(seq_length + 1)[:, None] + np.arange(batch_size)[streams] * stream_length

    def batch(self, split: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns inputs and targets, int64 (S, streams) each, of a batch of the split TRAIN, VALIDATION or TEST.

        Targets are the inputs shifted by one character; the text's last character is followed by its first.
        """
        k = sum(self.split_sizes[:split]) + number
        places = self._offsets + k * self.seq_length
        places[-1] %= self.length
        self._check()
        window = self.indices[places]
        self._read += window.size
        if self._read >= RELEASE_CHARACTERS:
            release(self.indices)
            self._read = 0
        window = window.astype(np.int64) if self.translation is None else self.translation[window]
        return window[:-1], window[1:]

    def _check(self) -> None:
        """Raises UserError if the cache was truncated meanwhile; reading past its end would kill the process."""
        mapped = self.indices.base
        if isinstance(mapped, mmap.mmap) and mapped.size() < self.indices.nbytes:
            raise UserError("the indexed text, data.bin, was truncated while it was in use; start again with -resume")

    def spans(self, split: int) -> list[tuple[int, int]]:
        """Returns the parts of the text that make a split: of each stream the first place, and that after the last."""
        first, last = (sum(self.split_sizes[:end]) * self.seq_length for end in (split, split + 1))
        return [(start + first, start + last) for start in self._offsets[0].tolist()] if self.length else []


def release(indices: np.ndarray) -> None:
    """Releases the pages read from a memory-mapped array, which would count as this process's memory.

    The system caches them while it has room, so reading them again costs next to nothing.
    """
    if isinstance(indices.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        indices.base.madvise(mmap.MADV_DONTNEED)


def split_sizes(num_batches: int, train_frac: float, val_frac: float) -> tuple[int, int, int]:
    """Returns how many batches there are for training, validation and testing."""
    train = int(num_batches * train_frac)
    if train_frac + val_frac >= 1:
        return train, num_batches - train, 0
    val = int(num_batches * val_frac)
    return train, val, num_batches - train - val


def make_batches(text: Text, vocabulary: Vocabulary, options: Namespace, streams: slice) -> Batches:
    """Returns a text's batches for training, as indices into `vocabulary`, and logs how many there are.

    Raises UserError for a character that is not in the vocabulary, or if a split is empty.
    """
    translation = vocabulary.translation_from(
        text.vocabulary, "the text", "remove them, or give them room with -new_chars add"
    )
    B, S, characters = options.batch_size, options.seq_length, len(text.indices)
    batches = Batches(text.indices, B, S, options.train_frac, options.val_frac, translation, streams)
    train, val, test = batches.split_sizes
    total = train + val + test
    if total < FEW_BATCHES:
        smaller = smaller_batches(characters, B, S)
        way_out = smaller or "add more text"
        warn(f"warning: the text is short: {characters} characters make only {total} batches of {B} x {S}; {way_out}")
    if train < 1 or val < 1:
        raise UserError(
            f"the text makes {train} batches for training and {val} for validation, and each needs at least one; "
            "add more text, lower -batch_size or -seq_length, or change -train_frac and -val_frac"
        )
    log(f"data load done. Number of data batches in train: {train}, val: {val}, test: {test}")
    log(f"vocab size: {len(vocabulary)}")
    return batches


def smaller_batches(characters: int, batch_size: int, seq_length: int) -> str:
    """Returns the flags that would make enough batches of a text; empty if it is too short for any."""
    most = characters // FEW_BATCHES
    if most < seq_length * 10:
        seq_length = min(seq_length, math.isqrt(most))
    if not seq_length:
        return ""
    batch_size = min(batch_size, most // seq_length)
    return f"-batch_size {batch_size} -seq_length {seq_length} would make {characters // (batch_size * seq_length)}"
