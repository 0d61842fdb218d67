"""Passages of a text under names: equal ones have the same, a number from 0.

A passage twice as long is a pair of such names (Karp, Miller, Rosenberg 1972), so that the names of passages of a few
characters lead to those of any length, without ever comparing texts again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Windows:
    """Passages of one length: where they begin, in rising order, and their names, int64 (N,) each."""

    length: int
    places: np.ndarray
    names: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Windows:
        return Windows(self.length, self.places[chosen], self.names[chosen])


class Longer:
    """The passages of a text that are `step` characters longer than some others of it, at most twice as long."""

    def __init__(self, windows: Windows, step: int) -> None:
        self.step, self.base = step, windows.names.max(initial=0) + 1
        places, pairs = self.pairs(windows)
        self.known, names = np.unique(pairs, return_inverse=True)
        self.windows = Windows(windows.length + step, places, names)

    def pairs(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Where passages go on for `step` characters, and the names of what stands there and `step` further, in one."""
        further = np.searchsorted(windows.places, windows.places + self.step)
        further[further == len(further)] = 0
        on = windows.places[further] == windows.places + self.step
        return windows.places[on], windows.names[on] * self.base + windows.names[further[on]]

    def among(self, other: Windows) -> Windows:
        """Those of another text that this one has as well, from its shorter passages under the names of this one."""
        places, pairs = self.pairs(other)
        names, there = look_up(pairs, self.known)
        return Windows(self.windows.length, places[there], names[there])


def look_up(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where values stand in a sorted array, and whether they do."""
    where = np.searchsorted(known, values)
    where[where == len(known)] = 0
    return where, known[where] == values if len(known) else np.zeros(len(values), bool)


def longest(mine: Windows, theirs: Windows) -> tuple[Windows, Windows]:
    """The longest passages that are in both texts, in each of them."""
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
    """Finds passages in another text: by a hash that is different for each, and then by their characters."""

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
            raise AssertionError("no hash tells the passages apart")
        self.examples = examples
        bits = max(16, (16 * len(hashes)).bit_length())
        self.shift = np.uint64(64 - bits)
        self.may_be = np.zeros(1 << bits, bool)
        self.may_be[self.known >> self.shift] = True

    def words(self, codes: np.ndarray) -> list[np.ndarray]:
        """The passage at each place as numbers of 64 bits, which together cover its bytes: views, (N,) each."""
        count, size = max(len(codes) - self.length + 1, 0), self.length * codes.itemsize
        offsets = [*range(0, size - 8, 8), size - 8]
        data = codes.tobytes() + bytes(size)
        return [np.ndarray(count, np.uint64, data, offset, (codes.itemsize,)) for offset in offsets]

    def hashes(self, words: Sequence[np.ndarray]) -> np.ndarray:
        return sum((word * factor for word, factor in zip(words, self.factors)), np.zeros(1, np.uint64))

    def find(self, codes: np.ndarray) -> Windows:
        """The passages that stand in these characters."""
        words = self.words(codes)
        hashes = self.hashes(words)
        places = np.flatnonzero(self.may_be[hashes >> self.shift])
        where, there = look_up(hashes[places], self.known)
        places, names = places[there], self.names[where[there]]
        for word, example in zip(words, self.examples):
            same = word[places] == example[names]
            places, names = places[same], names[same]
        return Windows(self.length, places, names)
