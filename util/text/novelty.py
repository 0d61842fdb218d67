"""Measures how much of a sampled text is copied: which of its passages are word for word in the training text.

The training text is read in pieces. A hash finds the places that may begin with a known passage of 10 characters, and
comparing the characters confirms them; from there on only those places matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from util.errors import UserError
from util.text.batches import Span, chunks
from util.text.cache import Text
from util.text.passages import Finder, Longer, Windows, longest
from util.text.source import progress_bar

LENGTHS = (10, 20, 30, 50)
"""The lengths in characters of the passages to count; each at most twice the one before."""
COPIES = 5
LONGEST_SAMPLE = 10_000_000
YARDSTICK = 100_000
"""How many characters of the validation text tell as much as all of it."""
MANY = 1 << 23
"""With more copied places than this only the longer ones are kept, which limits the memory to about 200 MB."""


@dataclass
class Copy:
    """A passage of a sampled text that is in the training text `count` times, first at `place`."""

    passage: str
    place: int
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
    codes = np.concatenate([np.append(piece, -1) for piece in (*pieces, *yardstick)] or [np.zeros(0, int)])
    border = sum(len(piece) + 1 for piece in pieces)
    passages = Passages(codes, border, text.indices.dtype)
    for shortest in LENGTHS[1::-1]:  # the longer ones have fewer places, and there are seldom fewer than five
        theirs = passages.search(text.indices, training, shortest)
        copies = [
            Copy("".join(text.vocabulary.characters[code] for code in codes[place : place + length]), *found)
            for place, length, *found in longest_copies(passages.sampled(theirs.length), theirs)
        ]
        sampled = passages.shares(pieces, 0, border)
        if len(copies) == COPIES or not sampled[LENGTHS[0]] > 0:
            break
    return Novelty(sampled, passages.shares(yardstick, border, len(codes)), copies)


def line_number(text: Text, place: int) -> int:
    """Returns the number, counted from 1, of the line that a position in a text belongs to."""
    line_end = text.vocabulary.characters.find("\n")
    return 1 + sum(int((codes == line_end).sum()) for _, _, codes in chunks(text.indices, [(0, place)], 0))


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


class Passages:
    """The passages of sampled texts, which end before the position `border`, and of the validation text after it.

    `codes` are characters as indices, whose type in the training text is `dtype`; no passage contains a -1.
    """

    def __init__(self, codes: np.ndarray, border: int, dtype: np.dtype) -> None:
        self.border = border
        windows = Windows(1, np.flatnonzero(codes >= 0), codes[codes >= 0])
        for step in (1, 2, 4, 2):
            windows = Longer(windows, step).windows
        self.finder = Finder(windows, codes.astype(dtype))
        self.longer: dict[int, Longer] = {}
        self.windows = {windows.length: windows}
        for length, following in pairwise(LENGTHS):
            self.longer[following] = Longer(self.windows[length], following - length)
            self.windows[following] = self.longer[following].windows
        self.found = {length: np.zeros(len(w.names), bool) for length, w in self.windows.items()}
        """Whether the passage with each name is in the training text."""
        self.wanted = {length: np.zeros(len(w.names), bool) for length, w in self.windows.items()}
        """Whether it is in a sampled text."""
        for length, wanted in self.wanted.items():
            wanted[self.sampled(length).names] = True

    def sampled(self, length: int) -> Windows:
        windows = self.windows[length]
        return windows[windows.places < self.border]

    def search(self, text: np.ndarray, spans: Sequence[Span], shortest: int) -> Windows:
        """Finds the passages in parts of a text.

        Returns where those of the sampled texts are, of the length `shortest`, or longer ones if there are too many.
        """
        kept: dict[int, list[Windows]] = {length: [] for length in LENGTHS if length >= shortest}
        with progress_bar("reading the training text", sum(stop - start for start, stop in spans)) as bar:
            for start, stop, codes in chunks(text, spans, LENGTHS[-1] - 1):
                windows = self.finder.find(codes)
                for length in LENGTHS:
                    if length in self.longer:
                        windows = self.longer[length].among(windows)
                    self.found[length][windows.names] = True
                    if length in kept:
                        mine = windows[self.wanted[length][windows.names] & (windows.places < stop - start)]
                        kept[length].append(Windows(length, mine.places + start, mine.names))
                length = min(kept)
                if sum(len(windows.names) for windows in kept[length]) > MANY and len(kept) > 1:
                    del kept[length]
                bar.update(stop - start)
        none = Windows(min(kept), *np.zeros((2, 0), int))
        places, names = zip(*((windows.places, windows.names) for windows in [none, *kept[none.length]]))
        return Windows(none.length, np.concatenate(places), np.concatenate(names))

    def shares(self, pieces: Sequence[np.ndarray], start: int, stop: int) -> dict[int, float]:
        """Returns by length the fraction found of the passages between two positions, which hold these pieces."""
        shares = {}
        for length, windows in self.windows.items():
            here = windows[(start <= windows.places) & (windows.places < stop)]
            count = sum(max(len(piece) - length + 1, 0) for piece in pieces)
            shares[length] = float(self.found[length][here.names].sum() / count) if count else float("nan")
        return shares


def longest_copies(mine: Windows, theirs: Windows) -> Iterator[tuple[int, int, int, int]]:
    """Yields the longest passages of my text that are also in theirs, built from shorter ones with common names.

    Each comes as its position in my text, its length, its first position in theirs, and how often it is there.
    """
    for _ in range(COPIES):
        theirs = theirs[np.isin(theirs.names, mine.names)]
        if not len(theirs.names):
            return
        here, there = longest(mine, theirs)
        first = np.flatnonzero(np.isin(here.names, there.names))[0]
        name = here.names[first]
        places = there.places[there.names == name]
        yield int(here.places[first]), here.length, int(places[0]), len(places)
        # Whatever overlaps this passage, in any place, does not count as another copy.
        taken = here.places[here.names == name]
        before = np.searchsorted(taken, mine.places + mine.length) - 1
        mine = mine[(before < 0) | (taken[before] + here.length <= mine.places)]
