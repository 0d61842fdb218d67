"""Reads and writes texts with the network, several side by side, each from a zero state.

Letters: N texts, T characters in a text, V in the vocabulary, C cells.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from model.stepper import Parameters, Stepper
from util.checkpoint.content import Checkpoint
from util.sampling.drawing import drawing, sample
from util.sampling.growing import document_end


def read_passages(checkpoint: Checkpoint, parameters: Parameters, passages: Sequence[str]) -> tuple[float, np.ndarray]:
    """Returns the mean loss in nats, without each passage's first character, and all cells after each one, (T, C).

    The model must know every character of the passages. `parameters` are its own, or others in any precision.
    """
    V, H, L, model = checkpoint.model_shape
    index, N, lengths = checkpoint.vocabulary.index, len(passages), np.array([len(passage) for passage in passages])
    if not lengths.any():
        return 0.0, np.zeros((0, L * H))
    window = np.zeros((max(lengths), N), int)  # what follows a shorter passage is ignored
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = [index[c] for c in passage]
    step = Stepper({name: array.astype(checkpoint.dtype) for name, array in parameters.items()}, L, model, N)
    cells = np.empty((N, len(window), L * H), checkpoint.dtype)
    log_probs, total = np.zeros((N, V)), 0.0
    for t, indices in enumerate(with_progress(window, N, "reading")):
        if t:
            total -= float(log_probs[np.arange(N), indices][lengths > t].sum())
        log_probs = step(indices)
        cells[:, t] = np.concatenate([layer.shown.reshape(N, H) for layer in step.layers], axis=1)
    count = int(np.maximum(lengths - 1, 0).sum())
    return total / max(1, count), np.concatenate([rows[:length] for rows, length in zip(cells, lengths)])


def written_texts(checkpoint: Checkpoint, length: int, seed: int, texts: int) -> list[str]:
    """Returns what the model writes by itself: what sample.py prints with this seed and those that follow."""
    V, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model, texts)
    sampled = sample(step, drawing(seed, texts), texts, V, document_end(checkpoint), length)
    drawn = np.array([indices for indices, _ in with_progress(sampled, texts, "writing", length)])
    return ["".join(checkpoint.vocabulary.characters[index] for index in column) for column in drawn.T]


def with_progress(steps: Iterable, texts: int, task: str, total: int | None = None) -> Iterable[Any]:
    """Yields the steps; shows their progress on a terminal, once they have taken two seconds."""
    return tqdm(steps, task, total, leave=False, delay=2, disable=None, unit=" characters", unit_scale=texts)
