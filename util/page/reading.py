"""Reads and writes texts with the network, several side by side, each from a zero state.

Letters: N texts, T characters in a text, V in the vocabulary, C cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.stepper import Parameters, Stepper
from util.checkpoint.content import Checkpoint
from util.sampling.drawing import drawing, sample
from util.sampling.growing import document_end


def read_passages(
    checkpoint: Checkpoint, parameters: Parameters, passages: Sequence[str], keep_cells: bool = True
) -> tuple[float, np.ndarray]:
    """Returns the mean loss in nats, without each passage's first character, and all cells after each one, (T, C).

    The model must know every character of the passages. `parameters` are its own, or others of the same shapes.
    Without `keep_cells`, which may take much memory, no cells are returned, (0, C).
    """
    V, H, L, model = checkpoint.model_shape
    index, N, lengths = checkpoint.vocabulary.index, len(passages), np.array([len(passage) for passage in passages])
    window = np.zeros((max(lengths, default=0), N), int)  # what follows a shorter passage is ignored
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = [index[c] for c in passage]
    dtype = next(iter(parameters.values())).dtype
    cells = np.empty((N, len(window) if keep_cells else 0, L * H), dtype)
    if not window.size:
        return 0.0, cells.reshape(0, L * H)
    step, total = Stepper(parameters, L, model, N), 0.0
    log_probs = np.zeros((N, V), dtype)
    for t, indices in enumerate(window):
        if t:
            total -= float(log_probs[np.arange(N), indices][lengths > t].sum())
        log_probs = step(indices)
        if keep_cells:
            cells[:, t] = np.concatenate([layer.shown.reshape(N, H) for layer in step.layers], axis=1)
    count = int(np.maximum(lengths - 1, 0).sum())
    return total / max(1, count), np.concatenate([rows[:length] for rows, length in zip(cells, lengths)])


def written_texts(checkpoint: Checkpoint, length: int, seed: int, texts: int = 1) -> list[str]:
    """Returns what the model writes by itself, in its own characters: what sample.py prints with this seed.

    Several texts use consecutive seeds.
    """
    V, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model, texts)
    sampled = sample(step, drawing(seed, texts), texts, V, document_end(checkpoint), length)
    drawn = np.array([indices for indices, _ in sampled]).reshape(length, texts)
    return ["".join(checkpoint.vocabulary.characters[index] for index in column) for column in drawn.T]
