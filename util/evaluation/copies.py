"""Finds what a text has copied from another: passages of some lengths, the longest of them, and whole pieces.

Passages are compared by 64-bit hashes. The other text is read in chunks, so it may be larger than memory.
"""

from collections.abc import Iterable

import numpy as np

from util.text.batches import Span, chunks
from util.text.cache import Text
from util.text.source import Source, progress_bar

LENGTHS = (10, 20, 30, 50)
"""The lengths in characters of the passages to count, ascending."""
BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))


def find(texts: list[np.ndarray], length: int, training_text: np.ndarray, training: list[Span]) -> list[np.ndarray]:
    """Returns where each passage of this length of each text is first in the training text; -1 if it is not there.

    `training_text` holds the indices of the whole text (N,), of which the spans `training` count.
    """
    hashes = [hashes_of(text, length) for text in texts]
    known = np.unique(np.concatenate(hashes))
    first = np.full(len(known), -1)
    sieve = np.zeros(1 << 20, bool)  # most passages are not known, which the beginning of their hashes tells fastest
    sieve[known >> np.uint64(44)] = True
    with progress_bar(f"passages of {length}", sum(stop - start for start, stop in training)) as bar:
        for start, chunk in chunks(training_text, training, length - 1):
            here = hashes_of(chunk, length)
            at = np.flatnonzero(sieve[here >> np.uint64(44)])
            _, which, where = np.intersect1d(known, here[at], return_indices=True)
            new = first[which] < 0
            first[which[new]] = start + at[where[new]]
            bar.update(len(chunk))
    return [first[np.searchsorted(known, one)] for one in hashes]


def hashes_of(text: np.ndarray, length: int) -> np.ndarray:
    """Returns the hash of each passage of this length of N indices: (max(N - length + 1, 0),).

    The hash is the sum of text[k] BASE^(i - k) over the passage from i on, modulo 2^64 (Karp and Rabin 1987).
    """
    sums = np.append(np.uint64(0), np.cumsum(text.astype(np.uint64) * np.cumprod(np.full(len(text), INVERSE))))
    differences = sums[length:] - sums[:-length]
    return differences * np.cumprod(np.full(len(differences), BASE))


def longest_copy(
    text: np.ndarray, places: dict[int, np.ndarray], training_text: np.ndarray, training: list[Span]
) -> tuple[np.ndarray, int]:
    """Returns the longest passage of a text that was found, and where it is first; an empty one, at -1, if none was.

    `places` says for each length what `find` returns for this text. The passages of the largest length that was found
    are lengthened both ways where they are first, as far as the characters are the same.
    """
    best, end = (text[:0], -1), 0
    for length in reversed(LENGTHS):
        for here in np.flatnonzero(places[length] >= 0).tolist():
            if here + length <= end:
                continue  # it lies in the one before
            there = int(places[length][here])
            start, stop = next(span for span in training if span[0] <= there < span[1])
            before = common(text[:here][::-1], training_text[start:there][::-1])
            end = here + common(text[here:], training_text[there:stop])
            best = max(best, (text[here - before : end], there - before), key=lambda copy: len(copy[0]))
        if end:
            break
    return best


def common(a: np.ndarray, b: np.ndarray, step: int = 1000) -> int:
    """Returns how many elements at the beginning of two arrays are the same."""
    size = min(len(a), len(b))
    for start in range(0, size, step):
        stop = min(start + step, size)
        different = np.flatnonzero(a[start:stop] != b[start:stop])
        if len(different):
            return start + int(different[0])
    return size


def locate(source: Source, encoding: str, positions: Iterable[int]) -> dict[int, tuple[str | None, int]]:
    """Returns in which of a text's files each position is, if it has several, and in which line, counted from 1."""
    places, start, line, file = {}, 0, 1, source.files[0]
    for path, piece in source.texts(encoding):
        line, file = line if path == file else 1, path
        name = str(path.relative_to(source.folder)) if len(source.files) > 1 else None
        for position in positions:
            if start <= position < start + len(piece):
                places[position] = name, line + piece.count("\n", 0, position - start)
        start, line = start + len(piece), line + piece.count("\n")
    return places


def whole_pieces(wanted: set[str], end: str, text: Text, training: list[Span]) -> set[str]:
    """Returns which of the wanted strings stand in the training text as a whole piece between two `end`."""
    codes = np.array([ord(c) for c in text.vocabulary.characters], "<u4")
    most, carried, after, found = max(map(len, wanted), default=0), "", -1, set[str]()
    for start, chunk in chunks(text.indices, training, 0):
        piece = codes[chunk].tobytes().decode("utf-32-le", "surrogatepass")
        *pieces, rest = ((carried if start == after else "") + piece).split(end)
        carried, after = rest[-(most + 1 + len(end)) :], start + len(chunk)  # so much shows that it is too long
        last = [rest] if any(after == stop for _, stop in training) else []
        found.update(wanted.intersection([*pieces, *last]))
    return found
