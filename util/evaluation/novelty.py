"""Says how much of a sampled text is copied: which of its passages are word for word in the training text.

Passages are compared by 64-bit hashes. The training text is read in chunks, so it may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import load_text_of, text_of
from util.cli.console import shown, tell
from util.cli.files import read_input
from util.errors import UserError
from util.sampling.growing import texts_in
from util.sampling.writing import primetext as written_primetext
from util.text.batches import TRAIN, VALIDATION, Span, chunks
from util.text.loading import batches_of_run
from util.text.source import Source, code_points, progress_bar
from util.text.vocabulary import Vocabulary, as_bytes

LENGTHS = (10, 20, 30, 50)
"""The lengths in characters of the passages to count, ascending."""
YARDSTICK = 100_000
"""How many characters of the validation text tell as much as all of it."""
BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(int(BASE), -1, 2**64))


def print_novelty(name: str, primetext: str, checkpoint: Checkpoint, path: Path, data_dir: str) -> None:
    """Prints how much of the sampled text in the file `name` is word for word in the training text.

    `path` is where the checkpoint lies, and `data_dir` where its text does, if the user says so. Raises UserError.
    """
    unit = checkpoint.vocabulary.unit
    samples = read_samples(name, primetext, checkpoint.vocabulary)
    source = text_of(checkpoint, path, data_dir, or_file=False)
    text = load_text_of(checkpoint, source, named=bool(data_dir))
    training, validation = [(0, len(text.indices))], list[Span]()
    batches = batches_of_run(text, checkpoint.options)
    if batches and batches.split_sizes[TRAIN]:
        training, validation = batches.spans(TRAIN), batches.spans(VALIDATION)
    else:
        tell("the checkpoint does not say which part of its text was for training, so all of it counts")
    sampled = [text.vocabulary.by_code[code_points(sample)] for sample in samples]
    most = YARDSTICK // max(1, len(validation))
    yardstick = [text.indices[start : min(stop, start + most)].astype(int) for start, stop in validation]
    found = {length: find([*sampled, *yardstick], length, text.indices, training) for length in LENGTHS}

    print(f"{name}: {sum(map(len, samples))} {unit}s in {len(samples)} text{'s' * (len(samples) != 1)}")
    print(f"{source}: {sum(stop - start for start, stop in training)} {unit}s for training")
    print("passages in the training text: of the sample, of the validation text")
    for length, places in found.items():
        print(f"{length:>4} {unit}s: {share(places[: len(samples)])} {share(places[len(samples) :])}")
    print("longest copied passage of each text:")
    of_each = ({length: found[length][number] for length in LENGTHS} for number in range(len(samples)))
    copies = [longest_copy(codes, places, text.indices, training) for codes, places in zip(sampled, of_each)]
    lines = locate(source, text.vocabulary.encoding, [copy[1] for copy in copies if copy])
    for number, copy in enumerate(copies, 1):
        if not copy:
            print(f"text {number}: none of {LENGTHS[0]} {unit}s or more")
            continue
        indices, position = copy
        file, line = lines[position]
        where = f"line {line}" + (f" of {shown(str(file.relative_to(source.folder)))}" if len(source.files) > 1 else "")
        passage = text.vocabulary.decode(indices)
        print(f"text {number}: {len(indices)} {unit}s, {where}: {passage[:200]!r}" + " ..." * (len(passage) > 200))


def read_samples(name: str, primetext: str, vocabulary: Vocabulary) -> list[str]:
    """Returns the texts in a file that sample.py wrote, without the primetext in front. Raises UserError."""
    try:
        content = read_input(name).decode("latin-1" if vocabulary.is_bytes else "utf-8")
    except UnicodeError as error:
        raise UserError(f"{name} is not UTF-8 text, which sample.py writes for this model") from error
    samples, prime = texts_in(content), written_primetext(vocabulary, primetext)
    start = as_bytes(prime) if vocabulary.is_bytes else prime
    for number, sample in enumerate(samples, 1):
        if not sample.startswith(start):
            what_to_do = "give it exactly as it stands there, or leave it out"
            raise UserError(f"text {number} does not begin with the -primetext {prime!r}; {what_to_do}")
    return [sample.removeprefix(start) for sample in samples]


def find(texts: list[np.ndarray], length: int, training_text: np.ndarray, training: list[Span]) -> list[np.ndarray]:
    """Returns where each passage of this length of each text is first in the training text; -1 if it is not there.

    `training_text` holds the indices of the whole text (N,), of which the spans `training` count.
    """
    hashes = [hashes_of(text, length) for text in texts]
    known = np.unique(np.concatenate([[np.uint64(0)], *hashes]))
    first = np.full(len(known), -1)
    sieve = np.zeros(1 << 20, bool)  # most passages are not known, which the beginning of their hashes tells fastest
    sieve[known >> np.uint64(44)] = True
    with progress_bar(f"passages of {length}", sum(stop - start for start, stop in training)) as bar:
        for start, chunk in chunks(training_text, training, length - 1):
            here = hashes_of(chunk, length)
            at = np.flatnonzero(sieve[here >> np.uint64(44)])
            found, where = np.unique(here[at], return_index=True)
            rank = np.searchsorted(known[:-1], found)
            new = (known[rank] == found) & (first[rank] < 0)
            first[rank[new]] = start + at[where[new]]
            bar.update(len(chunk))
    return [first[np.searchsorted(known, one)] for one in hashes]


def hashes_of(text: np.ndarray, length: int) -> np.ndarray:
    """Returns the hash of each passage of this length of N indices: (max(N - length + 1, 0),).

    The hash is the sum of text[k] BASE^(i - k) over the passage from i on, modulo 2^64 (Karp and Rabin 1987).
    """
    sums = np.append(np.uint64(0), np.cumsum(text.astype(np.uint64) * np.cumprod(np.full(len(text), INVERSE))))
    differences = sums[length:] - sums[:-length]
    return differences * np.cumprod(np.full(len(differences), BASE))


def share(places: list[np.ndarray]) -> str:
    """Returns which fraction of passages has a place in the training text."""
    every = np.concatenate([np.zeros(0), *places])
    return f"{np.mean(every >= 0):7.2%}" if len(every) else "      -"


def longest_copy(
    text: np.ndarray, places: dict[int, np.ndarray], training_text: np.ndarray, training: list[Span]
) -> tuple[np.ndarray, int] | None:
    """Returns the longest passage of a text that was found, and where it is first; None if there is none.

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
            return best
    return None


def common(a: np.ndarray, b: np.ndarray, step: int = 1000) -> int:
    """Returns how many elements at the beginning of two arrays are the same."""
    size = min(len(a), len(b))
    for start in range(0, size, step):
        stop = min(start + step, size)
        different = np.flatnonzero(a[start:stop] != b[start:stop])
        if len(different):
            return start + int(different[0])
    return size


def locate(source: Source, encoding: str, positions: Iterable[int]) -> dict[int, tuple[Path, int]]:
    """Returns in which of a text's files each position is, and in which line of it, counted from 1."""
    places, start, line, file = {}, 0, 1, source.files[0]
    for path, piece in source.texts(encoding):
        line, file = line if path == file else 1, path
        for position in positions:
            if start <= position < start + len(piece):
                places[position] = path, line + piece.count("\n", 0, position - start)
        start, line = start + len(piece), line + piece.count("\n")
    return places
