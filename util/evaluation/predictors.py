"""Measures how well a model predicts a text. Letters: S time steps, B streams, V characters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from model.stepper import Stepper

if TYPE_CHECKING:
    from torch import Tensor

    from model.char_rnn import CharRNN
    from util.checkpoint.content import Checkpoint

Predictor = Callable[[np.ndarray, np.ndarray], "np.ndarray | float"]
"""Takes the next inputs and targets, (S, B) indices each; returns the losses in nats, (S, B), or their sum."""


def numpy_predictor(checkpoint: Checkpoint) -> Predictor:
    """Returns what predicts one stream on a CPU: in numpy, which is faster than torch there, and starts at once."""
    _, _, L, model = checkpoint.model_shape
    step = Stepper(checkpoint.parameters, L, model)
    return lambda x, y: -np.array([step(indices)[0, targets] for indices, targets in zip(x, y)])


def streams_predictor(checkpoint: Checkpoint, batch_size: int, device: str) -> Predictor:
    """Returns what predicts streams side by side, on any device, just as a run does for its validation loss."""
    import torch

    from model.char_rnn import CharRNN

    torch.set_float32_matmul_precision("medium" if checkpoint.precision == "bfloat16" else "highest")
    model = CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters).to(device)
    state = model.zero_state(batch_size)

    def predict(x: np.ndarray, y: np.ndarray) -> float:
        nonlocal state
        loss, state = batch_loss(model, torch.from_numpy(x).to(device), torch.from_numpy(y).to(device), state)
        return loss.item()

    return predict


def batch_loss(model: CharRNN, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Predicts y (S, B) from x (S, B), without dropout; returns the sum of the losses in nats, and the new state."""
    import torch  # takes seconds, and a single stream on a CPU does without
    from torch.nn.functional import nll_loss

    with torch.no_grad():
        log_probs, state = model(x, state)
        return nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum").double(), state
