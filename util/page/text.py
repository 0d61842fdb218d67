"""Chooses the text that a page shows: a split of the model's own text, another file, or what the model writes."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import batches_of_split, find_text_of, load_text_of, source_of_file
from util.cli.console import tell
from util.errors import UserError
from util.page.reading import written_texts
from util.text.source import CACHE_FILES, Source
from util.text.vocabulary import Vocabulary

SEED = 123  # for what the model writes if its text is gone
SEARCHED, PIECE = 30_000, 1000  # characters to search for cells that follow a fact, in passages of at most so many
MOST_VALUES = 60_000_000  # of cells to look at; a larger model reads fewer characters
NAMES = "Training text", "Validation text", "Test text"


@dataclass
class PageText:
    passages: list[str]  # what the page shows, each read from a zero state; the model may not know all characters
    searched: list[str]  # what is searched for cells that follow a fact; the model knows all of its characters
    tab: str  # what the text is, in a word or two
    source: str  # and in a sentence
    reads: list[Path]  # the files that it comes from


def text_for_page(checkpoint: Checkpoint, options: Namespace) -> PageText:
    """Returns the text that the flags name, or what the model writes if that is gone. Raises UserError."""
    _, H, L, _ = checkpoint.model_shape
    searched = max(2 * PIECE, min(SEARCHED, MOST_VALUES // (H * L)))
    wanted = max(searched, options.length)
    source = source_of_file(options.file) if options.file else find_text_of(checkpoint, options.data_dir)
    if not source:
        folder = "its folder with -data_dir, or " if "train_frac" in checkpoint.options else ""
        tell(
            f"the text of {options.checkpoint} has moved, so the page shows what the model writes itself; "
            f"give {folder}another text with -file"
        )
        passages = written_texts(checkpoint, PIECE, SEED, -(-wanted // PIECE))
        tab = "A sample"
        sentence = f"The model's text is gone; this is what it writes itself (seed {SEED}, temperature 1)."
    elif options.file:
        passages = [beginning_of_file(source, checkpoint.vocabulary, wanted)]
        tab = source.files[0].name
        sentence = f"{tab}."
    else:
        tab, passages = passages_of_split(checkpoint, options, source, wanted)
        sentence = f"{tab} of {source.folder.absolute().name}."

    unknown = checkpoint.vocabulary.unknown("".join(passages))
    if unknown:
        some = checkpoint.vocabulary.named(unknown)
        tell(f"{source} contains characters that the model has never seen: {some}; the network skips them")
    left_out = str.maketrans(dict.fromkeys(unknown, ""))
    known = [passage.translate(left_out) for passage in passages]
    pieces = [passage[start : start + PIECE] for passage in known for start in range(0, len(passage), PIECE)]
    reads = [*source.files, *(source.folder / name for name in CACHE_FILES)] if source else []
    return PageText(beginning(passages, options.length), beginning(pieces, searched), tab, sentence, reads)


def beginning(passages: list[str], length: int) -> list[str]:
    """Returns the first `length` characters of passages."""
    starts = accumulate(map(len, passages), initial=0)
    return [passage[: length - start] for passage, start in zip(passages, starts) if start < length]


def beginning_of_file(source: Source, vocabulary: Vocabulary, length: int) -> str:
    """Returns the first characters of a file, or all if it has fewer. Raises UserError if there is no such text."""
    content = ""
    for piece in source.characters(vocabulary.encoding):
        content += "".join(map(chr, piece))
        if len(content) >= length:
            break
    if not content:
        raise UserError(f"{source} is empty; -file takes the name of a text file")
    return content[:length]


def passages_of_split(checkpoint: Checkpoint, options: Namespace, source: Source, length: int) -> tuple[str, list[str]]:
    """Returns a split's name and its passages, one per stream, of about `length` characters. Raises UserError."""
    text = load_text_of(checkpoint, source)
    batches, split = batches_of_split(checkpoint, text, source, options)
    count = min(batches.split_sizes[split], -(-length // checkpoint.options["seq_length"]))
    rows = np.concatenate([batches.batch(split, number)[0] for number in range(count)])
    streams = rows.T[: -(-length // len(rows))]
    return NAMES[split], ["".join(text.vocabulary.characters[index] for index in stream) for stream in streams]
