"""Measures how well a model predicts each line of a text by itself."""

from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from util.checkpoint.content import Checkpoint
from util.cli.console import print_row, tell
from util.errors import UserError
from util.evaluation.loss import figures
from util.sampling.drawing import check_numbers
from util.sampling.writing import Writer, warn_of_strangers
from util.text.cache import warn_of_returns
from util.text.source import Source, code_points
from util.text.vocabulary import Vocabulary

SIDE_BY_SIDE = 256  # lines to predict at once


def print_lines(checkpoint: Checkpoint, source: Source, unknown: str) -> None:
    """Prints a row for each line of a text: the loss on its characters after the first, from a zero state.

    For a model of documents each line is one, predicted from its first character to its end. A line without a character
    to predict has no loss, and so no row. `unknown` says what to do with characters that the model has never seen.
    Raises UserError, like Vocabulary.encode.
    """
    vocabulary = checkpoint.vocabulary
    text = "".join(piece for _, piece in source.texts(vocabulary.encoding))
    if not text:
        raise UserError(f"{source} is empty; -lines takes a file with lines")
    warn_of_returns(text, source)
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    passages = encode_lines(vocabulary, lines, str(source), unknown)
    writer = Writer(checkpoint)
    totals = line_losses(writer, passages)
    ends = len(writer.document_end) or -1  # without documents, nothing predicts a line's first character
    counts = [max(0, len(passage) + ends) for passage in passages]
    print_row("line", f"{vocabulary.unit}s", "nats", "bits", "perplexity", "sum", "text")
    for number, (passage, count, total) in enumerate(zip(passages, counts, totals), 1):
        if count:
            print_row(number, count, *figures(total / count), total, vocabulary.decode(passage))
    if left_out := counts.count(0):
        tell(f"{left_out} of {len(lines)} lines have fewer than two {vocabulary.unit}s: nothing to predict, and no row")


def encode_lines(vocabulary: Vocabulary, lines: list[str], what: str, unknown: str) -> list[np.ndarray]:
    """Returns the indices of each line. Raises UserError, which names all characters that the model has never seen."""
    strangers = vocabulary.unknown("".join(lines))
    if strangers and unknown == "error":
        first = next(number for number, line in enumerate(lines, 1) if vocabulary.unknown(line))
        some = f"{vocabulary.named(strangers, most=20)}, first in line {first}"
        advice = "remove them, or use -unknown_chars skip or nearest"
        raise UserError(f"{what} contains characters that the model has never seen: {some}; {advice}")
    if strangers and unknown == "nearest" and not vocabulary.is_bytes:
        warn_of_strangers(vocabulary, strangers, what)
        return [np.array(vocabulary.encode(line, unknown, what), int) for line in lines]
    passages = [vocabulary.by_code[code_points(line)] for line in lines]
    return [passage[passage >= 0] for passage in passages]


def line_losses(writer: Writer, passages: Sequence[np.ndarray]) -> list[float]:
    """Returns the sum of the losses in nats on each passage, given by its indices, up to the end of its document.

    Those of like length are predicted side by side: at most half of what is computed is for the longest one's sake.
    """
    totals = np.zeros(len(passages))
    left = sorted(range(len(passages)), key=lambda number: len(passages[number]), reverse=True)
    with tqdm(total=sum(map(len, passages)), unit_scale=True, leave=False, disable=None) as bar:
        while left:
            most = 2 * len(passages[left[-1]])
            some = [number for number in left[-SIDE_BY_SIDE:] if len(passages[number]) <= most]
            totals[some] = side_by_side(writer, [passages[number] for number in some])
            del left[-len(some) :]
            bar.update(sum(len(passages[number]) for number in some))
    check_numbers(totals)
    return totals.tolist()


def side_by_side(writer: Writer, passages: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the sums of the losses on N passages, which are padded to the length of the longest, (N,)."""
    passages = [np.append(passage, writer.document_end).astype(int) for passage in passages]
    window = np.full((max(map(len, passages)), len(passages)), -1)  # -1 after a passage: what comes there is left out
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = passage
    (step, log_probs), every = writer.read([], len(passages)), np.arange(len(passages))
    found = np.zeros(window.shape)
    for t, indices in enumerate(window):
        if t or writer.document_end:  # else nothing predicts the first character
            found[t] = log_probs[every, indices]
        if t + 1 < len(window):
            log_probs = step(indices)
    return -np.where(window < 0, 0, found).sum(axis=0)
