"""Measures how well a model predicts a text. Letters: S time steps, B streams, V characters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

if TYPE_CHECKING:
    from model.char_rnn import CharRNN


@torch.no_grad()
def batch_loss(model: CharRNN, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the loss in nats of predicting y (S, B) from x (S, B), without dropout.

    Returns its sum over all characters (a float64 scalar), the log-probabilities (S, B, V), and the new state.
    """
    log_probs, state = model(x, state)
    return nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum").double(), log_probs, state
