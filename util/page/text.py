"""Chooses the text that a page shows, a split of the model's own, another file, or what the model writes, and reads it.

Letters: N texts side by side, each from a zero state, T characters in a text, C cells.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from model.stepper import Parameters, Stepper
from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import batches_of_split, find_text_of, load_text_of, source_of_file
from util.cli.console import tell
from util.errors import UserError
from util.sampling.drawing import drawing, sample
from util.sampling.growing import document_end
from util.text.source import Source

SEED = 123  # for what the model writes if its text is gone
SEARCHED, PIECE = 30_000, 1000  # characters to search for cells that follow a fact, in passages of at most so many
NAMES = "Training text", "Validation text", "Test text"


class PageText(NamedTuple):
    passages: list[str]  # what the page shows, each read from a zero state; the model may not know all characters
    searched: list[str]  # what is searched for cells that follow a fact; the model knows all of its characters
    tab: str  # what the text is, in a word or two
    sentence: str  # and in a sentence
    files: tuple[Path, ...]  # that it comes from


def text_for_page(checkpoint: Checkpoint, options: Namespace) -> PageText:
    """Returns the text that the flags name, or what the model writes if that is gone. Raises UserError."""
    wanted = max(SEARCHED, options.length)
    source = source_of_file(options.file) if options.file else find_text_of(checkpoint, options.data_dir)
    if not source:
        moved = f"the text of {options.checkpoint} has moved, so the page shows what the model writes itself"
        tell(f"{moved}; give its folder with -data_dir, or another text with -file")
        tab, passages = "A sample", written_texts(checkpoint, PIECE, SEED, -(-wanted // PIECE))
        sentence = f"The model's text is gone; this is what it writes itself (seed {SEED}, temperature 1)."
    elif options.file:
        characters = chain.from_iterable(source.characters(checkpoint.vocabulary.encoding))
        passages = ["".join(map(chr, islice(characters, wanted)))]
        if not passages[0]:
            raise UserError(f"{source} is empty; -file takes the name of a text file")
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
    files = source.files if source else ()
    return PageText(beginning(passages, options.length), beginning(pieces, SEARCHED), tab, sentence, files)


def beginning(passages: list[str], length: int) -> list[str]:
    """Returns the first `length` characters of passages."""
    starts = accumulate(map(len, passages), initial=0)
    return [passage[: length - start] for passage, start in zip(passages, starts) if start < length]


def passages_of_split(checkpoint: Checkpoint, options: Namespace, source: Source, length: int) -> tuple[str, list[str]]:
    """Returns a split's name and its passages, one per stream, of about `length` characters. Raises UserError."""
    text = load_text_of(checkpoint, source, options)
    batches, split = batches_of_split(checkpoint, text, source, options)
    count = min(batches.split_sizes[split], -(-length // checkpoint.options["seq_length"]))
    rows = np.concatenate([batches.batch(split, number)[0] for number in range(count)])
    streams = rows.T[: -(-length // len(rows))]
    return NAMES[split], ["".join(text.vocabulary.characters[index] for index in stream) for stream in streams]


def read_passages(checkpoint: Checkpoint, parameters: Parameters, passages: Sequence[str]) -> tuple[float, np.ndarray]:
    """Returns the mean loss in nats, without each passage's first character, and all cells after each one, (T, C).

    No passage is empty, and the model knows all of their characters. `parameters` are its own in any precision.
    """
    V, H, L, model = checkpoint.model_shape
    index, N, lengths = checkpoint.vocabulary.index, len(passages), np.array([len(passage) for passage in passages])
    if not passages:
        return 0.0, np.zeros((0, L * H))
    window = np.zeros((max(lengths), N), int)  # what follows a shorter passage is ignored
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = [index[c] for c in passage]
    step = Stepper({name: array.astype(checkpoint.dtype) for name, array in parameters.items()}, L, model, N)
    cells = np.empty((N, len(window), L * H), checkpoint.dtype)
    log_probs, total = np.zeros((N, V)), 0.0
    for t, indices in enumerate(tqdm(window, "reading", leave=False, delay=2, disable=None)):
        if t:
            total -= float(log_probs[np.arange(N), indices][lengths > t].sum())
        log_probs = step(indices)
        cells[:, t] = np.concatenate([shown(states).reshape(N, H) for states in step.states], axis=1)
    loss = total / max(1, int(lengths.sum()) - N)
    return loss, np.concatenate([rows[:length] for rows, length in zip(cells, lengths)])


def shown(states: Sequence[np.ndarray]) -> np.ndarray:
    """Returns what the page shows of a layer's states: tanh c of an LSTM's (c, h), and h of the others."""
    return np.tanh(states[0]) if len(states) > 1 else states[0]


def written_texts(checkpoint: Checkpoint, length: int, seed: int, texts: int) -> list[str]:
    """Returns what the model writes by itself: what sample.py prints with this seed and those that follow."""
    V, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model, texts)
    sampled = sample(step, drawing(seed, texts), texts, V, document_end(checkpoint), length)
    drawn = np.array([indices for indices, _ in tqdm(sampled, "writing", length, leave=False, delay=2, disable=None)])
    return ["".join(checkpoint.vocabulary.characters[index] for index in column) for column in drawn.T]
