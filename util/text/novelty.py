"""Measures how much of a sampled text is copied: which of its passages are word for word in the training text.

Passages are compared by 64-bit hashes. The training text is read once, in chunks, so it may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from util.errors import UserError
from util.text.batches import Span, chunks
from util.text.cache import Text
from util.text.source import progress_bar

LENGTHS = (10, 20, 30, 50)
"""The lengths in characters of the passages to count; each at most twice the one before."""
COPIES = 5
LONGEST_SAMPLE = 10_000_000
YARDSTICK = 100_000
"""How many characters of the validation text tell as much as all of it."""
MANY = 1 << 21
"""About how many positions of copied passages of each length to keep at most."""


@dataclass
class Copy:
    """A passage of a sampled text that is in the training text `count` times, first at `position`."""

    passage: str
    position: int
    count: int


@dataclass
class Novelty:
    """The fraction of passages of each length that are in the training text; NaN if there are none that long."""

    sampled: dict[int, float]
    validation: dict[int, float]
    copies: list[Copy]
    """The longest copied passages, without overlaps."""


def novelty(samples: Sequence[str], text: Text, training: Sequence[Span], validation: Sequence[Span]) -> Novelty:
    """Compares sampled texts, and the validation text as a yardstick, with the training text."""
    if sum(map(len, samples)) > LONGEST_SAMPLE:
        raise UserError(f"the sampled text has more than {LONGEST_SAMPLE:,} characters; a part of it will do")
    pieces = [encode(sample, text) for sample in samples]
    yardstick = [text.indices[start:stop].astype(np.int64) for start, stop in thinned(validation)]
    # Behind each piece comes a -1, and in the end a whole passage of them; no training text contains it.
    codes = np.concatenate([*(np.append(piece, -1) for piece in (*pieces, *yardstick)), np.full(LENGTHS[-1], -1)])
    border = sum(len(piece) + 1 for piece in pieces)
    values = np.random.RandomState(0).randint(0, 2**64, len(text.vocabulary) + 1, np.uint64)
    passages = shortest_passages(values[codes])
    tables = [Table(passages := passages.longer(length - passages.length), border) for length in LENGTHS]
    with progress_bar("reading the training text", sum(stop - start for start, stop in training)) as bar:
        for start, stop, chunk in chunks(text.indices, training, LENGTHS[-1] - 1):
            passages = shortest_passages(values[chunk])
            for table in tables:
                passages = table.search(passages.longer(table.length - passages.length), start, stop)
            bar.update(stop - start)
    # The shorter passages also make up the longer ones, but there may be too many of them.
    table = next((table for table in tables if table.count < MANY), tables[-1])
    copies = [
        Copy("".join(text.vocabulary.characters[code] for code in codes[position : position + length]), *there)
        for position, length, *there in longest_copies(table)
    ]
    sampled = {table.length: table.share(slice(border), pieces) for table in tables}
    return Novelty(sampled, {table.length: table.share(slice(border, None), yardstick) for table in tables}, copies)


@dataclass
class Passages:
    """Passages of one length in a text: where they begin, in ascending order, and their hashes, (N,) each."""

    length: int
    positions: np.ndarray
    hashes: np.ndarray

    def __getitem__(self, chosen: np.ndarray | slice) -> Passages:
        return Passages(self.length, self.positions[chosen], self.hashes[chosen])

    def longer(self, step: int) -> Passages:
        """Returns the passages that are `step` characters longer, at most twice as long, and begin and end as these."""
        if not step:
            return self
        end = np.searchsorted(self.positions, self.positions + step)
        end[end == len(end)] = 0
        on = self.positions[end] == self.positions + step
        return Passages(self.length + step, self.positions[on], joined(self.hashes[on], self.hashes[end[on]]))

    def also_in(self, other: Passages) -> Passages:
        """Returns the passages that another text has too."""
        return self[look_up(self.hashes, np.sort(other.hashes))[1]]


def shortest_passages(values: np.ndarray) -> Passages:
    """Returns the passages of LENGTHS[0] characters of a text, given a random value for each of its characters."""
    for step in (1, 2, 4, 2):
        values = joined(values[:-step], values[step:])
    return Passages(LENGTHS[0], np.arange(len(values)), values)


def joined(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the hashes of passages, given those of their beginnings and ends."""
    return (first ^ (first >> np.uint64(29))) * np.uint64(0x9E3779B97F4A7C15) + second


def look_up(hashes: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of hashes in a sorted array, and whether they are there."""
    rank = np.searchsorted(known, hashes)
    rank[rank == len(known)] = 0
    return rank, known[rank] == hashes if len(known) else np.zeros(len(hashes), bool)


class Table:
    """The passages of one length in the sampled texts, which begin before `border`, and in the yardstick after them."""

    def __init__(self, passages: Passages, border: int) -> None:
        self.length, self.sampled = passages.length, passages[slice(border)]
        self.hashes, self.rank = np.unique(passages.hashes, return_inverse=True)
        self.wanted, self.found = np.zeros((2, len(self.hashes)), bool)
        self.wanted[self.rank[:border]] = True
        self.copied, self.count = [(passages.positions[:0], passages.hashes[:0])], 0
        """Where passages of the sampled texts are in the training text, and how many these are."""

    def search(self, passages: Passages, start: int, stop: int) -> Passages:
        """Returns those of a chunk's passages that are in the table; the chunk's own begin before `stop`."""
        rank, known = look_up(passages.hashes, self.hashes)
        passages, rank = passages[known], rank[known]
        self.found[rank] = True
        if self.count < MANY:
            copied = passages[self.wanted[rank] & (passages.positions < stop - start)]
            self.copied.append((copied.positions + start, copied.hashes))
            self.count += len(copied.hashes)
        return passages

    def share(self, part: slice, pieces: Sequence[np.ndarray]) -> float:
        """Returns the fraction found of the passages in a part of the table, which holds these pieces."""
        count = sum(max(len(piece) - self.length + 1, 0) for piece in pieces)
        return float(self.found[self.rank[part]].sum() / count) if count else float("nan")


def longest_copies(table: Table) -> Iterator[tuple[int, int, int, int]]:
    """Yields the longest passages of the sampled texts that are in the training text.

    Each comes as its position in the sampled texts, its length, its first position in the training text, and how often
    it is there.
    """
    mine, (positions, hashes) = table.sampled, map(np.concatenate, zip(*table.copied))
    theirs = Passages(table.length, positions, hashes)
    for _ in range(COPIES):
        theirs = theirs.also_in(mine)
        if not len(theirs.hashes):
            return
        here, there = longest(mine, theirs)
        first = here.hashes == here.also_in(there).hashes[0]
        positions = there.positions[there.hashes == here.hashes[first][0]]
        taken = here.positions[first]
        yield int(taken[0]), here.length, int(positions[0]), len(positions)
        # Whatever overlaps this passage, wherever it comes, does not count as another copy.
        before = np.searchsorted(taken, mine.positions + mine.length) - 1
        mine = mine[(before < 0) | (taken[before] + here.length <= mine.positions)]


def longest(mine: Passages, theirs: Passages) -> tuple[Passages, Passages]:
    """Returns the longest passages that are in both texts, in each of them."""
    step, limit = mine.length, 0
    while step:
        longer = mine.longer(step)
        found = theirs.longer(step).also_in(longer)
        if len(found.hashes):
            mine, theirs = longer, found
        else:
            limit = mine.length + step
        step = (limit - mine.length) // 2 if limit else mine.length
    return mine, theirs


def line_number(text: Text, position: int) -> int:
    """Returns the number, counted from 1, of the line that a position in a text belongs to."""
    line_end = text.vocabulary.characters.find("\n")
    return 1 + sum(int((codes == line_end).sum()) for _, _, codes in chunks(text.indices, [(0, position)], 0))


def without_primetext(texts: Sequence[str], primetext: str) -> list[str]:
    """Returns texts without the primetext in front. Raises UserError if one of them does not begin with it."""
    for number, text in enumerate(texts, 1):
        if not text.startswith(primetext):
            raise UserError(
                f"text {number} does not begin with the -primetext {primetext!r}; give it exactly as it stands "
                "there, or leave it out"
            )
    return [text[len(primetext) :] for text in texts]


def thinned(spans: Sequence[Span]) -> list[Span]:
    """Returns parts of a text, or about YARDSTICK characters spread over all of them."""
    total = sum(stop - start for start, stop in spans)
    if total <= YARDSTICK:
        return list(spans)
    tenths = [pair for start, stop in spans for pair in pairwise(np.linspace(start, stop, 11).astype(int).tolist())]
    return [(start, start + (stop - start) * YARDSTICK // total) for start, stop in tenths]


def encode(sample: str, text: Text) -> np.ndarray:
    """Returns the indices of characters in a text's vocabulary; -1 for those it lacks."""
    return text.vocabulary.by_code[np.frombuffer(sample.encode("utf-32-le", "surrogatepass"), "<u4")]
