"""Names passages of a text: equal passages have the same name, a number from 0.

A passage twice as long is a pair of such names (Karp, Miller, Rosenberg 1972), so the names of short passages lead to
those of any length without comparing the texts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Windows:
    """Passages of one length: where they begin, in ascending order, and their names, int64 (N,) each."""

    length: int
    places: np.ndarray
    names: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Windows:
        return Windows(self.length, self.places[chosen], self.names[chosen])


class Longer:
    """The passages of a text that are `step` characters longer than given ones, at most twice as long."""

    def __init__(self, windows: Windows, step: int) -> None:
        self.step, self.base = step, windows.names.max(initial=0) + 1
        places, pairs = self.pairs(windows)
        self.known, names = np.unique(pairs, return_inverse=True)
        self.windows = Windows(windows.length + step, places, names)

    def pairs(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Returns where passages continue for `step` characters, and the two names there as one number."""
        further = np.searchsorted(windows.places, windows.places + self.step)
        further[further == len(further)] = 0
        on = windows.places[further] == windows.places + self.step
        return windows.places[on], windows.names[on] * self.base + windows.names[further[on]]

    def among(self, other: Windows) -> Windows:
        """Returns those that another text has too, given its shorter passages by the names of this text."""
        places, pairs = self.pairs(other)
        names, there = look_up(pairs, self.known)
        return Windows(self.windows.length, places[there], names[there])


def look_up(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of values in a sorted array, and whether they are there."""
    where = np.searchsorted(known, values)
    where[where == len(known)] = 0
    return where, known[where] == values if len(known) else np.zeros(len(values), bool)


def longest(mine: Windows, theirs: Windows) -> tuple[Windows, Windows]:
    """Returns the longest passages that are in both texts, in each of them."""
    step, limit = mine.length, 0
    while step:
        longer = Longer(mine, step)
        found = longer.among(theirs)
        if len(found.names):
            mine, theirs = longer.windows, found
        else:
            limit = mine.length + step
        step = (limit - mine.length) // 2 if limit else mine.length
    return mine, theirs


class Finder:
    """Finds passages in another text: by a hash that differs for each, and then by their characters."""

    def __init__(self, windows: Windows, codes: np.ndarray) -> None:
        self.length = windows.length
        _, first = np.unique(windows.names, return_index=True)
        examples = [word[windows.places[first]] for word in self.words(codes)]
        for seed in range(100):
            self.factors = np.random.RandomState(seed).randint(0, 2**64, len(examples), np.uint64) | 1
            hashes = self.hashes(examples)
            self.names = np.argsort(hashes)
            self.known = hashes[self.names]
            if np.all(self.known[1:] > self.known[:-1]):
                break
        else:
            raise AssertionError("no hash distinguishes the passages")
        self.examples = examples
        bits = max(16, (16 * len(hashes)).bit_length())
        self.shift = np.uint64(64 - bits)
        self.may_be = np.zeros(1 << bits, bool)
        self.may_be[self.known >> self.shift] = True

    def words(self, codes: np.ndarray) -> list[np.ndarray]:
        """Returns the passage at each position as 64-bit numbers that together cover its bytes: views, (N,) each."""
        count, size = max(len(codes) - self.length + 1, 0), self.length * codes.itemsize
        offsets = [*range(0, size - 8, 8), size - 8]
        data = codes.tobytes() + bytes(size)
        return [np.ndarray(count, np.uint64, data, offset, (codes.itemsize,)) for offset in offsets]

    def hashes(self, words: Sequence[np.ndarray]) -> np.ndarray:
        return sum((word * factor for word, factor in zip(words, self.factors)), np.zeros(1, np.uint64))

    def find(self, codes: np.ndarray) -> Windows:
        """Returns the passages that occur in these characters."""
        words = self.words(codes)
        hashes = self.hashes(words)
        places = np.flatnonzero(self.may_be[hashes >> self.shift])
        where, there = look_up(hashes[places], self.known)
        places, names = places[there], self.names[where[there]]
        for word, example in zip(words, self.examples):
            same = word[places] == example[names]
            places, names = places[same], names[same]
        return Windows(self.length, places, names)
