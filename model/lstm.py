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

from model.recurrent import Gradients, RecurrentLayer, Workspace, begin_backward, begin_forward, end_backward


class UnrolledLSTM(torch.autograd.Function):
    """The cell over all steps: (x, state, parameters) to (h of every step, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer):
        ws = begin_forward(ctx, x, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer)
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
        last_state = torch.stack((ws.C[-1] / -2, ws.h[-1]))
        ctx.mark_non_differentiable(last_state)
        return ws.h[1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        ws, grads = begin_backward(ctx)
        weight = ws.h2h_weight_t
        dc, dh = grads.dc.zero_(), grads.dh.zero_()
        for block in grads.blocks:
            block.differentiate_gates(ws.one)
            for (da, da_if, da_o, da_g, dc_dh, f), dh_t in zip(block.steps, reversed(dh_above[block.slice].unbind())):
                dh.add_(dh_t)
                dc.addcmul_(dh, dc_dh)
                da_if.mul_(dc.unsqueeze(1))
                da_o.mul_(dh)
                da_g.mul_(dc)
                dc.mul_(f)
                torch.mm(da, weight, out=dh)
        torch.mm(ws.h[:-1].flatten(0, 1).t(), grads.gates.flatten(0, 1), out=grads.h2h_weight)
        return end_backward(ctx, grads)


class LSTMBlock:
    """Views of some steps, for the part of the backward pass that needs no gradient from the steps after them."""

    def __init__(self, ws: LSTMWorkspace, grads: LSTMGradients, steps: slice) -> None:
        self.slice = steps
        self.gates, self.q, self.C_prev = ws.gates[steps], ws.q[steps], ws.C[:-1][steps]
        self.i, self.f, self.o, self.g = (gate[steps] for gate in ws.per_gate(ws.gates))
        self.d_gates = grads.gates[steps]
        self.di, self.df, self.do, self.dg = (gate[steps] for gate in ws.per_gate(grads.gates))
        self.dc_dh = grads.dc_dh[: len(self.q)]
        i_and_f = self.d_gates.unflatten(2, (ws.G, ws.H))[:, :, :2]
        self.steps = list(zip(self.d_gates, i_and_f, self.do, self.dg, self.dc_dh, self.f))[::-1]

    def differentiate_gates(self, one: Tensor) -> None:
        """Into each gate's gradient what turns dc (for i, f, g) or dh (for o) into it, and dc/dh.

        The slope of a sigmoid s is s (1 - s), that of tanh is 1 - tanh².
        """
        torch.addcmul(self.gates, self.gates, self.gates, value=-1, out=self.d_gates)
        self.di.mul_(self.g)
        self.df.mul_(self.C_prev).mul_(-0.5)
        tanh_c = torch.add(one, self.q, alpha=-2, out=self.dc_dh)
        self.do.mul_(tanh_c)
        torch.addcmul(self.i, torch.mul(self.g, self.g, out=self.dg), self.i, value=-1, out=self.dg)
        torch.addcmul(self.o, tanh_c.square_(), self.o, value=-1, out=self.dc_dh)


class LSTMGradients(Gradients):
    def __init__(self, ws: LSTMWorkspace, input_size: int | None) -> None:
        super().__init__(ws, input_size)
        blocks = ws.blocks()
        self.dc = ws.new(ws.B, ws.H)
        self.dc_dh = ws.new(blocks[-1].stop, ws.B, ws.H)  # one for all blocks
        self.blocks = [LSTMBlock(ws, self, block) for block in blocks]


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
