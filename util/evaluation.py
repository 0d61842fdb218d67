"""How well a model predicts a text. Letters: S time steps, B streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

if TYPE_CHECKING:
    from model.char_rnn import CharRNN


@torch.no_grad()
def batch_losses(model: CharRNN, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What it costs the model to read x (S, B) and predict y (S, B), without dropout, in nats.

    Gives the sum over all characters (float64, no dimension), the loss of each (S, B), and the state afterwards.
    """
    log_probs, state = model(x, state)
    log_probs, targets = log_probs.flatten(0, 1), y.flatten()
    # The sum is one operation of its own: in another order its last digits would be others.
    total = nll_loss(log_probs, targets, reduction="sum").double()
    return total, nll_loss(log_probs, targets, reduction="none").view(y.shape), state
