"""Measures how much of a sampled text is copied: which of its passages are word for word in the training text.

Passages are compared by 64-bit hashes. The training text is read once, in chunks, so it may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from util.errors import UserError
from util.text.batches import Span, chunks
from util.text.cache import Text
from util.text.source import Source, progress_bar

LENGTHS = (10, 20, 30, 50)
"""The lengths in characters of the passages to count."""
LONGEST_SAMPLE = 10_000_000
YARDSTICK = 100_000
"""How many characters of the validation text tell as much as all of it."""
BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))

Extent = tuple[int, int, int]
"""Where a copy begins and ends in the sampled texts, and where it begins in the training text."""


@dataclass
class Copy:
    """A passage of a sampled text that is in the training text, there at `position`."""

    passage: str
    position: int


@dataclass
class Novelty:
    """The fraction of passages of each length that are in the training text; NaN if there are none that long."""

    sampled: dict[int, float]
    validation: dict[int, float]
    copies: list[Copy | None]
    """The longest copied passage of each text; None if there is none of the smallest length."""


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
    passages = {length: Passages(window_hashes(values[codes], length)) for length in LENGTHS}
    with progress_bar("reading the training text", sum(stop - start for start, stop in training)) as bar:
        for start, stop, chunk in chunks(text.indices, training, LENGTHS[-1] - 1):
            at = np.arange(len(chunk))
            for length in LENGTHS:  # a longer passage can only be where a shorter one is
                hashes = window_hashes(values[chunk], length)
                at = passages[length].find(hashes, at[at < len(hashes)], start)
            bar.update(stop - start)
    found = {length: passages[length].position[passages[length].rank] for length in LENGTHS}
    sampled = {length: share(found[length][:border], length, pieces) for length in LENGTHS}
    expected = {length: share(found[length][border:], length, yardstick) for length in LENGTHS}
    longest: list[Extent | None] = [None] * len(pieces)
    starts = np.cumsum([0, *(len(piece) + 1 for piece in pieces)])
    for length in LENGTHS[::-1]:
        for number, copy in enumerate(longest):
            if copy:  # a shorter passage is no longer copy
                found[length][starts[number] : starts[number + 1]] = -1
        for extent in copied(codes, found[length][:border], length, text.indices, training):
            number = int(np.searchsorted(starts, extent[0], "right")) - 1
            best = longest[number]
            if not best or extent[1] - extent[0] > best[1] - best[0]:
                longest[number] = extent
    characters = text.vocabulary.characters
    copies = [
        copy and Copy("".join(characters[code] for code in codes[copy[0] : copy[1]]), copy[2]) for copy in longest
    ]
    return Novelty(sampled, expected, copies)


class Passages:
    """The passages of one length in the sampled texts and the yardstick, by their hashes."""

    def __init__(self, hashes: np.ndarray) -> None:
        self.hashes, self.rank = np.unique(hashes, return_inverse=True)
        self.position = np.full(len(self.hashes), -1)
        """Where each passage is first in the training text; -1 if it is not there."""

    def find(self, hashes: np.ndarray, at: np.ndarray, start: int) -> np.ndarray:
        """Looks up the passages at some positions of a chunk that begins at `start`; returns those that are known."""
        rank = np.searchsorted(self.hashes, hashes[at])
        rank[rank == len(self.hashes)] = 0
        known = self.hashes[rank] == hashes[at]
        at, rank = at[known], rank[known]
        new = self.position[rank] < 0
        self.position[rank[new][::-1]] = at[new][::-1] + start  # backwards, so that the first one stays
        return at


def window_hashes(values: np.ndarray, length: int) -> np.ndarray:
    """Returns the hash of each passage of a text, (N - length + 1,) for a random value for each of N characters.

    The hash is the sum of value[k] BASE^(i - k) over the passage from i on, modulo 2^64 (Karp and Rabin 1987).
    """
    powers = np.cumprod(np.full(len(values), INVERSE))
    sums = np.append(np.uint64(0), np.cumsum(values * powers))
    starts = np.cumprod(np.full(max(len(values) - length + 1, 0), BASE))
    return (sums[length:] - sums[:-length]) * starts


def share(found: np.ndarray, length: int, pieces: Sequence[np.ndarray]) -> float:
    """Returns which fraction of these pieces' passages were found."""
    count = sum(max(len(piece) - length + 1, 0) for piece in pieces)
    return float((found >= 0).sum() / count) if count else float("nan")


def copied(
    codes: np.ndarray, found: np.ndarray, length: int, text: np.ndarray, training: Sequence[Span]
) -> Iterator[Extent]:
    """Yields what is copied.

    `found` says where the passage of this length at each position of the samples is first in the training text. From
    there it is lengthened both ways, as far as the characters are the same.
    """
    end = 0
    for here in np.flatnonzero(found >= 0).tolist():
        if here + length <= end:
            continue  # it lies in the one before
        there = int(found[here])
        start, stop = next(span for span in training if span[0] <= there < span[1])
        before = common(codes[:here][::-1], text[start:there][::-1])
        end = here + common(codes[here:], text[there:stop])
        yield here - before, end, there - before


def common(a: np.ndarray, b: np.ndarray) -> int:
    """Returns how many elements at the beginning of two arrays are the same."""
    size = 64
    while True:
        count = min(size, len(a), len(b))
        different = np.flatnonzero(a[:count] != b[:count])
        if len(different) or count < size:
            return int(different[0]) if len(different) else count
        size *= 2


def locate(source: Source, encoding: str, positions: Iterable[int]) -> dict[int, tuple[Path, int]]:
    """Returns in which of a text's files each position is, and in which line of it, counted from 1."""
    wanted, found = sorted(set(positions)), dict[int, tuple[Path, int]]()
    start, line, file = 0, 1, source.files[0]
    for path, codes in source.by_file(encoding):
        if path != file:
            file, line = path, 1
        ends = np.flatnonzero(codes == ord("\n"))
        for position in wanted[len(found) :]:
            if position >= start + len(codes):
                break
            found[position] = path, line + int(np.searchsorted(ends, position - start))
        start, line = start + len(codes), line + len(ends)
    return found


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
