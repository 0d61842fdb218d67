"""Chooses the text that a page shows: a split of the model's own, another file, or what the model writes."""

from itertools import accumulate, chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import TextIsMissing, batches_of_split, load_text_of
from util.cli.console import tell
from util.errors import UserError
from util.sampling.settings import Settings
from util.sampling.writing import Writer
from util.text.source import Source, source_of_file
from util.torch7_random import DEFAULT_SEED

SEARCHED, PIECE = 30_000, 1000  # characters to search for cells that follow a fact, in passages of at most so many
NAMES = "Training text", "Validation text", "Test text"


class PageText(NamedTuple):
    passages: list[str]  # what the page shows, each read from a zero state; the model may not know all characters
    searched: list[str]  # what is searched for cells that follow a fact; the model knows all of its characters
    tab: str  # what the text is, in a word or two
    sentence: str  # and in a sentence
    files: tuple[Path, ...]  # that it comes from


def text_for_page(checkpoint: Checkpoint, path: Path, file: str, data_dir: str, split: str, length: int) -> PageText:
    """Returns the text for the page of the checkpoint at `path`, which shows `length` characters.

    It is `file` or, if that is empty, a split of the checkpoint's own text, which is in `data_dir` or where the run had
    it, or what the model writes if that is gone; `split` is that of `batches_of_split`. Raises UserError.
    """
    wanted = max(SEARCHED, length)
    if not file:
        source, tab, passages, sentence = own_text(checkpoint, path, data_dir, split, wanted)
    else:
        source = source_of_file(file)
        tab, passages = source.files[0].name, [beginning_of_file(source, checkpoint.vocabulary.encoding, wanted)]
        sentence = f"{tab}."

    unknown = checkpoint.vocabulary.unknown("".join(passages))
    if unknown:
        some = checkpoint.vocabulary.named(unknown)
        tell(f"{source} contains characters that the model has never seen: {some}; the network skips them")
    known = [passage.translate(dict.fromkeys(map(ord, unknown))) for passage in passages]
    pieces = [passage[start : start + PIECE] for passage in known for start in range(0, len(passage), PIECE)]
    shown, searched = beginning(passages, length), beginning(pieces, SEARCHED)
    return PageText(shown, searched, tab, sentence, source.files if source else ())


def beginning_of_file(source: Source, encoding: str, length: int) -> str:
    """Returns the first `length` characters of a file. Raises UserError if it is empty or not text."""
    characters = chain.from_iterable(piece for _, piece in source.texts(encoding))
    text = "".join(islice(characters, length))
    if not text:
        raise UserError(f"{source} is empty; -file takes the name of a text file")
    return text


def own_text(
    checkpoint: Checkpoint, path: Path, data_dir: str, split: str, length: int
) -> tuple[Source | None, str, list[str], str]:
    """Returns where a split of the checkpoint's text is, its tab, the beginnings of its streams, and its sentence.

    They have about `length` characters in all. If the text is gone, it is what the model writes, which is nowhere.
    """
    try:
        source, text = load_text_of(checkpoint, path, data_dir)
    except TextIsMissing as missing:
        tell(f"the page shows what the model writes itself, since {missing}")
        sentence = f"The model's text is gone; this is what it writes itself (seed {DEFAULT_SEED}, temperature 1)."
        return None, "A sample", written_passages(checkpoint, -(-length // PIECE)), sentence
    batches, number = batches_of_split(checkpoint, path, text, source, split)
    spans, characters = batches.spans(number), text.vocabulary.characters
    size = -(-length // len(spans))  # so much of each stream
    streams = (text.indices[start : min(start + size, stop)] for start, stop in spans)
    passages = ["".join(characters[index] for index in stream) for stream in streams]
    return source, NAMES[number], passages, f"{NAMES[number]} of {source.folder.absolute().name}."


def beginning(passages: list[str], length: int) -> list[str]:
    """Returns the first `length` characters of passages."""
    starts = accumulate(map(len, passages), initial=0)
    return [passage[: length - start] for passage, start in zip(passages, starts) if start < length]


def written_passages(checkpoint: Checkpoint, count: int) -> list[str]:
    """Returns what the model writes by itself: what sample.py prints with the default seed and those that follow."""
    written = Writer(checkpoint).characters([], Settings(length=PIECE), count)
    characters = tqdm(written, "writing", PIECE, leave=False, delay=2, disable=None)
    drawn = np.array([indices for indices, _ in characters])
    return ["".join(checkpoint.vocabulary.characters[index] for index in column) for column in drawn.T]
