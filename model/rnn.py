"""The plain recurrent cell, unrolled by hand.

    h' = tanh(W_i2h x + b_i2h + W_h2h h + b_h2h)

Elman (1990). For the letters and the shared parts see recurrent.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.recurrent import Gradients, RecurrentLayer, Workspace, begin_backward, begin_forward, end_backward


class UnrolledRNN(torch.autograd.Function):
    """The cell over all steps: (x, state, parameters) to (h of every step, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer):
        ws = begin_forward(ctx, x, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer)
        ws.gates.mul_(2)
        weight = torch.mul(h2h_weight, 2, out=ws.h2h_weight)
        ws.h[0].copy_(state[0])
        for a, h_prev, h in ws.steps:
            a.addmm_(h_prev, weight).sigmoid_()
            torch.add(ws.minus_one, a, alpha=2, out=h)
        last_state = ws.h[-1:].clone()
        ctx.mark_non_differentiable(last_state)
        return ws.h[1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        ws, grads = begin_backward(ctx)
        torch.mul(ws.h[1:], ws.h[1:], out=grads.gates).neg_().add_(1)  # 1 - h², the slope of tanh
        weight, dh = ws.h2h_weight_t, grads.dh.zero_()
        for da, dh_t in zip(grads.steps, reversed(dh_above.unbind())):
            da.mul_(dh.add_(dh_t))
            torch.mm(da, weight, out=dh)
        torch.mm(ws.h[:-1].flatten(0, 1).t(), grads.gates.flatten(0, 1), out=grads.h2h_weight)
        return end_backward(ctx, grads)


class RNNGradients(Gradients):
    def __init__(self, ws: RNNWorkspace, input_size: int | None) -> None:
        super().__init__(ws, input_size)
        self.steps = list(self.gates)[::-1]


class RNNWorkspace(Workspace):
    gradients_type = RNNGradients

    def __init__(self, steps: int, batch: int, rnn_size: int, num_gates: int, like: Tensor) -> None:
        super().__init__(steps, batch, rnn_size, num_gates, like)
        self.steps = list(zip(self.gates, self.h, self.h[1:]))


class RNN(RecurrentLayer):
    """A layer of plain recurrent cells; its state is (h,)."""

    num_gates = 1
    num_states = 1
    unrolled = UnrolledRNN
    workspace_type = RNNWorkspace
