"""How well a model predicts a text. Letters: S time steps, B streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

if TYPE_CHECKING:
    from model.char_rnn import CharRNN


@torch.no_grad()
def batch_loss(model: CharRNN, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What it costs the model to read x (S, B) and predict y (S, B), without dropout, in nats.

    Gives the sum over all characters (float64, no dimension), the log-probabilities (S, B, V), and the state after.
    """
    log_probs, state = model(x, state)
    return nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum").double(), log_probs, state
