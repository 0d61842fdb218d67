"""Long short-term memory, unrolled by hand.

    i, f, o = sigmoid(W_i2h x + b_i2h + W_h2h h + b_h2h)     the first three of four blocks of that sum
    g       = tanh(...)                                      the fourth
    c'      = f c + i g
    h'      = o tanh(c')

Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000). The backward pass is
the chain rule through these lines. For the letters and the shared parts see recurrent.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.recurrent import Gradients, RecurrentLayer, Workspace, input_gradients, input_product


class UnrolledLSTM(torch.autograd.Function):
    """The cell over all steps: (x, state, parameters) to (h of every step, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer):
        S, B = x.shape[:2]
        ws = layer.workspace(S, B)
        ctx.ws, ctx.number = ws, ws.begin()
        ctx.save_for_backward(x, i2h_weight, h2h_weight)

        input_product(x, i2h_weight, torch.add(i2h_bias, h2h_bias, out=ws.bias), out=ws.gates)
        ws.g.mul_(2)
        weight = ws.h2h_weight.copy_(h2h_weight)
        weight[:, 3 * ws.H :].mul_(2)
        torch.mul(state[0], -2, out=ws.C[0])
        ws.h[0].copy_(state[1])
        for a, i, f, o, g, C_prev, C, q, h_prev, h in ws.steps:
            a.addmm_(h_prev, weight).sigmoid_()
            torch.add(ws.minus_one, g, alpha=2, out=g)
            torch.mul(f, C_prev, out=C).addcmul_(i, g, value=-2)
            torch.sigmoid(C, out=q)
            torch.addcmul(o, o, q, value=-2, out=h)
        last_state = torch.stack((ws.C[S] / -2, ws.h[S]))
        ctx.mark_non_differentiable(last_state)
        return ws.h[1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        ws, (x, i2h_weight, h2h_weight) = ctx.ws, ctx.saved_tensors
        grads = ws.gradients(ctx.number, x.shape[2] if x.is_floating_point() else None)

        # What depends on the forward pass alone, for all steps at once: into each gate's gradient the factor that
        # turns dc (for i, f, g) or dh (for o) into it, and dc/dh. The slope of a sigmoid s is s (1 - s).
        torch.addcmul(ws.gates, ws.gates, ws.gates, value=-1, out=grads.gates)
        grads.i.mul_(ws.g)
        grads.f.mul_(ws.C[:-1]).mul_(-0.5)
        grads.o.mul_(torch.add(ws.one, ws.q, alpha=-2, out=grads.dc_dh))  # tanh c
        torch.addcmul(ws.i, torch.mul(ws.g, ws.g, out=grads.g), ws.i, value=-1, out=grads.g)
        torch.addcmul(ws.o, grads.dc_dh.square_(), ws.o, value=-1, out=grads.dc_dh)

        weight = ws.h2h_weight_t.copy_(h2h_weight.t())
        dc, dh = grads.dc.zero_(), grads.dh.zero_()
        for (da, da_if, da_o, da_g, dc_dh, f), dh_t in zip(grads.steps, reversed(dh_above.unbind())):
            dh.add_(dh_t)
            dc.addcmul_(dh, dc_dh)
            da_if.mul_(dc.unsqueeze(1))
            da_o.mul_(dh)
            da_g.mul_(dc)
            dc.mul_(f)
            torch.mm(da, weight, out=dh)
        torch.mm(ws.h[:-1].flatten(0, 1).t(), grads.gates.flatten(0, 1), out=grads.h2h_weight)
        dx, d_i2h_weight, d_bias = input_gradients(x, i2h_weight, grads)
        return dx, None, d_i2h_weight, d_bias, grads.h2h_weight, d_bias, None


class LSTMGradients(Gradients):
    def __init__(self, ws: LSTMWorkspace, input_size: int | None) -> None:
        super().__init__(ws, input_size)
        self.dc = ws.new(ws.B, ws.H)
        self.dc_dh = ws.new(ws.S, ws.B, ws.H)
        self.i, self.f, self.o, self.g = ws.per_gate(self.gates)
        i_and_f = self.gates.view(ws.S, ws.B, ws.G, ws.H)[:, :, :2]
        self.steps = list(zip(self.gates, i_and_f, self.o, self.g, self.dc_dh, ws.f))[::-1]


class LSTMWorkspace(Workspace):
    """Adds the cell, kept as C = -2c: then q = sigmoid(C) gives tanh c = 1 - 2q, and h = o - 2 o q is one operation."""

    gradients_type = LSTMGradients

    def __init__(self, steps: int, batch: int, rnn_size: int, num_gates: int, like: Tensor) -> None:
        super().__init__(steps, batch, rnn_size, num_gates, like)
        self.C = self.new(steps + 1, batch, rnn_size)
        self.q = self.new(steps, batch, rnn_size)
        self.one = self.new().fill_(1)
        self.i, self.f, self.o, self.g = self.per_gate(self.gates)
        self.steps = list(
            zip(self.gates, self.i, self.f, self.o, self.g, self.C, self.C[1:], self.q, self.h, self.h[1:])
        )


class LSTM(RecurrentLayer):
    """A layer of LSTM cells; its state is (c, h)."""

    num_gates = 4
    num_states = 2
    unrolled = UnrolledLSTM
    workspace_type = LSTMWorkspace
