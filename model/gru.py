"""Gated recurrent unit, unrolled by hand.

    z  = sigmoid(W_xz x + b + W_hz h + b)
    r  = sigmoid(W_xr x + b + W_hr h + b)
    n  = tanh(W_xn x + b + W_hn (r h) + b)
    h' = z n + (1 - z) h

Cho et al. (2014), as char-rnn has it. torch.nn.GRU is another cell: there r multiplies W_hn h + b, and z weighs h.
The gates lie in the order z, r, n. For the letters and the shared parts see recurrent.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from model.recurrent import Gradients, RecurrentLayer, Workspace, begin_backward, begin_forward, end_backward


class UnrolledGRU(torch.autograd.Function):
    """The cell over all steps: (x, state, parameters) to (h of every step, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer):
        ws = begin_forward(ctx, x, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer)
        ws.n.mul_(2)
        weight_zr, weight_n = ws.h2h_weight.copy_(h2h_weight).split([2 * ws.H, ws.H], dim=1)
        weight_n.mul_(2)
        ws.h[0].copy_(state[0])
        for a_zr, z, r, n, rh, h_prev, h in ws.steps:
            a_zr.addmm_(h_prev, weight_zr).sigmoid_()
            torch.mul(r, h_prev, out=rh)
            n.addmm_(rh, weight_n).sigmoid_()
            torch.add(ws.minus_one, n, alpha=2, out=n)
            torch.lerp(h_prev, n, z, out=h)
        last_state = ws.h[-1:].clone()
        ctx.mark_non_differentiable(last_state)
        return ws.h[1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        ws, grads = begin_backward(ctx)
        weight_zr, weight_n = ws.h2h_weight_t.split([2 * ws.H, ws.H])
        dh, drh = grads.dh.zero_(), grads.drh
        for block in grads.blocks:
            block.differentiate_gates(ws.one)
            for (da_zr, da_z_n, da_r, da_n, r, keep), dh_t in zip(
                block.steps, reversed(dh_above[block.slice].unbind())
            ):
                dh.add_(dh_t)
                da_z_n.mul_(dh.unsqueeze(1))
                torch.mm(da_n, weight_n, out=drh)
                da_r.mul_(drh)
                dh.mul_(keep).addcmul_(drh, r)
                dh.addmm_(da_zr, weight_zr)
        d_zr, d_n = grads.gates.flatten(0, 1).split([2 * ws.H, ws.H], dim=1)
        torch.mm(ws.h[:-1].flatten(0, 1).t(), d_zr, out=grads.h2h_weight[:, : 2 * ws.H])
        torch.mm(ws.rh.flatten(0, 1).t(), d_n, out=grads.h2h_weight[:, 2 * ws.H :])
        return end_backward(ctx, grads)


class GRUBlock:
    """Views of some steps, for the part of the backward pass that needs no gradient from the steps after them."""

    def __init__(self, ws: GRUWorkspace, grads: GRUGradients, steps: slice) -> None:
        self.slice = steps
        self.gates, self.h_prev = ws.gates[steps], ws.h[:-1][steps]
        self.z, self.r, self.n = (gate[steps] for gate in ws.per_gate(ws.gates))
        self.d_gates = grads.gates[steps]
        self.dz, self.dr, self.dn = (gate[steps] for gate in ws.per_gate(grads.gates))
        self.keep = grads.keep[: len(self.z)]
        dz_and_dn = self.d_gates.unflatten(2, (ws.G, ws.H))[:, :, ::2]
        self.steps = list(zip(self.d_gates[:, :, : 2 * ws.H], dz_and_dn, self.dr, self.dn, self.r, self.keep))[::-1]

    def differentiate_gates(self, one: Tensor) -> None:
        """Into each gate's gradient what turns dh (for z, n) or d(rh) (for r) into it, and 1 - z.

        The slope of a sigmoid s is s (1 - s), that of tanh is 1 - tanh².
        """
        torch.addcmul(self.gates, self.gates, self.gates, value=-1, out=self.d_gates)
        self.dz.mul_(torch.sub(self.n, self.h_prev, out=self.keep))
        self.dr.mul_(self.h_prev)
        torch.addcmul(self.z, torch.mul(self.n, self.n, out=self.dn), self.z, value=-1, out=self.dn)
        torch.add(one, self.z, alpha=-1, out=self.keep)


class GRUGradients(Gradients):
    def __init__(self, ws: GRUWorkspace, input_size: int | None) -> None:
        super().__init__(ws, input_size)
        blocks = ws.blocks()
        self.drh = ws.new(ws.B, ws.H)
        self.keep = ws.new(blocks[-1].stop, ws.B, ws.H)  # one for all blocks
        self.blocks = [GRUBlock(ws, self, block) for block in blocks]


class GRUWorkspace(Workspace):
    """Adds the gated output r h that the candidate sees."""

    gradients_type = GRUGradients

    def __init__(self, steps: int, batch: int, rnn_size: int, num_gates: int, like: Tensor) -> None:
        super().__init__(steps, batch, rnn_size, num_gates, like)
        self.rh = self.new(steps, batch, rnn_size)
        self.one = self.new().fill_(1)
        self.z, self.r, self.n = self.per_gate(self.gates)
        self.steps = list(zip(self.gates[:, :, : 2 * rnn_size], self.z, self.r, self.n, self.rh, self.h, self.h[1:]))


class GRU(RecurrentLayer):
    """A layer of GRU cells; its state is (h,)."""

    num_gates = 3
    num_states = 1
    unrolled = UnrolledGRU
    workspace_type = GRUWorkspace

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Views of the parameters in the flat order of the reference: W_xz, W_hz, W_xn, W_xr, W_hr, W_hn."""
        z, r, n = (slice(gate * self.rnn_size, (gate + 1) * self.rnn_size) for gate in range(3))
        i2h, h2h = (self.i2h_weight, self.i2h_bias), (self.h2h_weight, self.h2h_bias)
        for (weight, bias), gate in ((i2h, z), (h2h, z), (i2h, n), (i2h, r), (h2h, r), (h2h, n)):
            yield weight[:, gate].t()
            yield bias[gate]
