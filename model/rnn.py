"""The plain recurrent cell, unrolled by hand.

    h' = tanh(W_i2h x + b_i2h + W_h2h h + b_h2h)

Elman (1990). For the letters and the shared parts see recurrent.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.products import Products
from model.recurrent import RecurrentLayer, Unrolled


class UnrolledRNN(Unrolled):
    def __init__(self, x: Tensor, i2h_weight: Tensor, h2h_weight: Tensor, products: Products) -> None:
        super().__init__(x, i2h_weight, h2h_weight, products)
        self.steps = [RNNStep(self, t) for t in range(self.S)]

    def forward(self, state: Tensor, h2h_weight: Tensor) -> Tensor:
        doubled = torch.mul(h2h_weight, 2, out=self.h2h_weight)  # for h' = 2 sigmoid(2a) - 1; see recurrent.py
        weight = self.packed(doubled, self.B)
        self.gates.mul_(2)
        self.h[0].copy_(state[0])
        for s in self.steps:
            self.addmm(s.gates, s.h_prev, weight, out=s.gates).sigmoid_()  # (1 + h') / 2
            torch.add(self.minus_one, s.gates, alpha=2, out=s.h)  # h' = tanh(a)
        return self.h[-1:].clone()

    def backward(self, dh_above: Tensor, h2h_weight: Tensor) -> None:
        weight = self.packed(h2h_weight.t(), self.B, out=self.h2h_weight_t)
        dh = self.dh.zero_()  # no gradient from beyond the last step
        # The slope of tanh, 1 - h'², in the place of the gradient that the loop turns it into.
        torch.mul(self.h[1:], self.h[1:], out=self.d_gates).neg_().add_(1)
        for s, dh_t in zip(reversed(self.steps), reversed(dh_above.unbind())):
            dh.add_(dh_t)
            s.d_gates.mul_(dh)  # da = dh (1 - h'²)
            self.mm(s.d_gates, weight, out=dh)  # now of the step before: dh = W_h2h^T da


class RNNStep:
    """Views of step t, (B, H) each."""

    def __init__(self, all: UnrolledRNN, t: int) -> None:
        self.gates, self.d_gates = all.gates[t], all.d_gates[t]
        self.h_prev, self.h = all.h[t], all.h[t + 1]


class RNN(RecurrentLayer):
    """A layer of plain recurrent cells; its state is (h,)."""

    cell = "rnn"
    unrolled = UnrolledRNN
