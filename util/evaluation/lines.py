"""Measures how well a model predicts each line of a text by itself."""

from __future__ import annotations

import math

import numpy as np

from util.checkpoint.content import Checkpoint
from util.evaluation.loss import figures
from util.evaluation.predictors import numpy_predictor
from util.text.source import Source, code_points

SIDE_BY_SIDE = 256  # lines to predict at once


def print_lines(checkpoint: Checkpoint, source: Source) -> None:
    """Prints a row for each line of a text: the loss on its characters after the first, from a zero state."""
    vocabulary = checkpoint.vocabulary
    text = "".join(piece for _, piece in source.texts(vocabulary.encoding))
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    passages = [vocabulary.indices_of(code_points(line), str(source)) for line in lines]
    print("line", f"{vocabulary.unit}s", "nats", "bits", "perplexity", "text", sep="\t")
    for first in range(0, len(passages), SIDE_BY_SIDE):
        some = passages[first : first + SIDE_BY_SIDE]
        for number, (passage, total) in enumerate(zip(some, line_losses(checkpoint, some)), first + 1):
            count = max(0, len(passage) - 1)
            print(number, count, *figures(total / count if count else math.nan), vocabulary.decode(passage), sep="\t")


def line_losses(checkpoint: Checkpoint, passages: list[np.ndarray]) -> list[float]:
    """Returns the sum of the losses in nats on each passage, given by its indices; all are predicted side by side."""
    window = np.full(
        (max(2, *map(len, passages)), len(passages)), -1
    )  # -1 after a passage: what comes there is left out
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = passage
    losses = numpy_predictor(checkpoint, len(passages))(window[:-1], window[1:])
    return np.where(window[1:] < 0, 0, losses).sum(axis=0, dtype=float).tolist()
