"""The plain recurrent cell.

    h' = tanh(W_i2h x + b_i2h + W_h2h h + b_h2h)

Elman (1990). For the letters and the loop over time see layer.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.layer import Layer, Step


class RNN(Layer):
    """A layer of plain recurrent cells; its state is (h,)."""

    cell = "rnn"

    def forward_step(self, s: Step, weight: Tensor) -> None:  # type: ignore[override]
        s.gates.addmm_(s.h_prev, weight)  # a = W_i2h x + b + W_h2h h
        torch.tanh(s.gates, out=s.h)  # h' = tanh(a)

    def slopes(self, s: Step) -> None:
        torch.mul(s.h, s.h, out=s.d_gates).neg_().add_(1)  # dh'/da = 1 - h'²

    def backward_step(self, s: Step, weight_t: Tensor) -> None:  # type: ignore[override]
        s.d_gates.mul_(s.dh)  # da = dh' dh'/da
        s.dh_prev.addmm_(s.d_gates, weight_t)  # dh += W_h2h^T da
