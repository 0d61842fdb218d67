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
        torch.addmm(s.gates, s.h_prev, weight, out=s.gates)  # a = W_i2h x + b + W_h2h h
        torch.tanh(s.gates, out=s.h)  # h' = tanh(a)

    def slopes(self, s: Step) -> None:
        torch.mul(s.h, s.h, out=s.d_gates).neg_().add_(1)  # dh'/da = 1 - h'²

    def backward_step(self, s: Step, dh: Tensor, weight: Tensor) -> None:  # type: ignore[override]
        s.dh.add_(dh)  # dh' += what comes from above
        s.d_gates.mul_(s.dh)  # da = dh' dh'/da
        torch.mm(s.d_gates, weight, out=s.dh)  # dh = W_h2h^T da
