"""Measures how well a model predicts a text. Letters: S time steps, B streams, V characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from model.stepper import Stepper
from util.training.threads import choose_threads

if TYPE_CHECKING:
    from torch import Tensor

    from model.char_rnn import CharRNN
    from util.checkpoint.content import Checkpoint

SIDE_BY_SIDE = 256
"""How many passages to predict at once."""
Predict = Callable[[np.ndarray, np.ndarray], float]
"""Takes the next inputs and targets, (S, B) indices each; returns the sum of the losses in nats."""


def one_stream_predictor(checkpoint: Checkpoint) -> Predict:
    """Returns what predicts a single stream on a CPU: in numpy, which is faster than torch here and starts at once."""
    step = Stepper(checkpoint.parameters, checkpoint.options["num_layers"], checkpoint.options["model"])

    def predict(x: np.ndarray, y: np.ndarray) -> float:
        return -float(np.sum([step(index)[0, target] for index, target in zip(x, y[:, 0])], dtype=float))

    return predict


def streams_predictor(checkpoint: Checkpoint, batch_size: int, device: str) -> Predict:
    """Returns what predicts streams side by side, on any device, just as a run does for its validation loss."""
    import torch

    from model.char_rnn import CharRNN

    choose_threads(0, checkpoint.options["model"], checkpoint.options["rnn_size"], batch_size)
    if checkpoint.precision == "bfloat16":
        torch.set_float32_matmul_precision("medium")
    model = CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters).to(device)
    state = model.zero_state(batch_size)

    def predict(x: np.ndarray, y: np.ndarray) -> float:
        nonlocal state
        loss, _, state = batch_loss(model, torch.from_numpy(x).to(device), torch.from_numpy(y).to(device), state)
        return loss.item()

    return predict


def passage_losses(checkpoint: Checkpoint, passages: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the sum of the losses in nats of each passage after its first index, from a zero state: (N,)."""
    _, _, L, model = checkpoint.model_shape
    losses = np.zeros(len(passages))
    by_length = sorted(range(len(passages)), key=lambda number: len(passages[number]))
    for start in range(0, len(passages), SIDE_BY_SIDE):
        chosen = by_length[start : start + SIDE_BY_SIDE]
        lengths = np.array([len(passages[number]) for number in chosen])
        window = np.zeros((lengths[-1], len(chosen)), int)  # what follows a shorter passage is ignored
        for column, number in zip(window.T, chosen):
            column[: len(passages[number])] = passages[number]
        step = Stepper(checkpoint.parameters, L, model, len(chosen))
        for t in range(1, len(window)):
            log_probs = step(window[t - 1])[np.arange(len(chosen)), window[t]]
            losses[chosen] -= np.where(lengths > t, log_probs, 0)
    return losses


def batch_loss(model: CharRNN, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the loss in nats of predicting y (S, B) from x (S, B), without dropout.

    Returns its sum over all characters (a float64 scalar), the log-probabilities (S, B, V), and the new state.
    """
    import torch  # takes seconds, and a single stream on a CPU does without
    from torch.nn.functional import nll_loss

    with torch.no_grad():
        log_probs, state = model(x, state)
        return nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum").double(), log_probs, state
