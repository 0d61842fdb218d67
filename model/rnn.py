"""The plain recurrent cell, unrolled by hand.

    h' = tanh(W_i2h x + b_i2h + W_h2h h + b_h2h)

Elman (1990). For the letters and the shared parts see recurrent.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.recurrent import Gradients, RecurrentLayer, Workspace, input_gradients, input_product


class UnrolledRNN(torch.autograd.Function):
    """The cell over all steps: (x, state, parameters) to (h of every step, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer):
        S, B = x.shape[:2]
        ws = layer.workspace(S, B)
        ctx.ws, ctx.number = ws, ws.begin()
        ctx.save_for_backward(x, i2h_weight, h2h_weight)

        input_product(x, i2h_weight, torch.add(i2h_bias, h2h_bias, out=ws.bias), out=ws.gates)
        ws.gates.mul_(2)
        weight = torch.mul(h2h_weight, 2, out=ws.h2h_weight)
        ws.h[0].copy_(state[0])
        for a, h_prev, h in ws.steps:
            a.addmm_(h_prev, weight).sigmoid_()
            torch.add(ws.minus_one, a, alpha=2, out=h)
        last_state = ws.h[S:].clone()
        ctx.mark_non_differentiable(last_state)
        return ws.h[1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        ws, (x, i2h_weight, h2h_weight) = ctx.ws, ctx.saved_tensors
        grads = ws.gradients(ctx.number, x.shape[2] if x.is_floating_point() else None)

        torch.mul(ws.h[1:], ws.h[1:], out=grads.gates).neg_().add_(1)  # 1 - h², the slope of tanh
        weight = ws.h2h_weight_t.copy_(h2h_weight.t())
        dh = grads.dh.zero_()
        for da, dh_t in zip(grads.steps, reversed(dh_above.unbind())):
            da.mul_(dh.add_(dh_t))
            torch.mm(da, weight, out=dh)
        torch.mm(ws.h[:-1].flatten(0, 1).t(), grads.gates.flatten(0, 1), out=grads.h2h_weight)
        dx, d_i2h_weight, d_bias = input_gradients(x, i2h_weight, grads)
        return dx, None, d_i2h_weight, d_bias, grads.h2h_weight, d_bias, None


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
