"""Reads and writes texts with the network, several side by side, each from a zero state.

Letters: T characters of a text, V of the vocabulary, C cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.stepper import Parameters, Stepper
from util.checkpoint.content import Checkpoint
from util.sampling.drawing import chooser, sample


def read_passages(checkpoint: Checkpoint, parameters: Parameters, passages: Sequence[str]) -> tuple[float, np.ndarray]:
    """The mean loss of each character but a passage's first, in nats, and all cells after each character, (T, C).

    The model knows every character of the passages; `parameters` are its own, or others of the same shapes.
    """
    V, H, L, model = checkpoint.model_shape
    index = {c: i for i, c in enumerate(checkpoint.vocabulary)}
    lengths = np.array([len(passage) for passage in passages])
    window = np.zeros(
        (max(lengths, default=0), len(passages)), int
    )  # what follows a shorter passage counts for nothing
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = [index[c] for c in passage]
    dtype = next(iter(parameters.values())).dtype
    cells = np.empty((len(passages), len(window), L * H), dtype)
    step, texts = Stepper(parameters, L, model, len(passages)), np.arange(len(passages))
    total, count = 0.0, 0
    log_probs = np.zeros((len(passages), V), dtype)
    for t, indices in enumerate(window):
        goes_on = lengths > t
        if t:
            total -= float(log_probs[texts, indices][goes_on].sum())
            count += int(goes_on.sum())
        log_probs = step(indices)
        np.concatenate([layer.shown for layer in step.layers], axis=1, out=cells[:, t])
    together = np.concatenate([rows[:length] for rows, length in zip(cells, lengths)]) if passages else cells[:0, 0]
    return total / max(1, count), together


def written_text(checkpoint: Checkpoint, length: int, seed: int) -> str:
    """What the model writes of itself, in its own characters: what sample.py prints with this seed."""
    V, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model)
    return "".join(checkpoint.vocabulary[index] for index, _ in sample(step, chooser(seed), (V,), [], length))


def written_texts(checkpoint: Checkpoint, length: int, seed: int, texts: int) -> list[str]:
    """Texts of seeds that follow each other, side by side."""
    V, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model, texts)
    drawn = np.array([indices for indices, _ in sample(step, chooser(seed, texts), (texts, V), [], length)])
    return ["".join(checkpoint.vocabulary[index] for index in column) for column in drawn.T]
