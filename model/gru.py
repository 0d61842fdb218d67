"""Gated recurrent unit, unrolled by hand.

    z  = sigmoid(W_xz x + b_xz + W_hz h + b_hz)
    r  = sigmoid(W_xr x + b_xr + W_hr h + b_hr)
    n  = tanh(W_xn x + b_xn + W_hn (r h) + b_hn)
    h' = z n + (1 - z) h

Cho et al. (2014), as char-rnn has it. torch.nn.GRU is another cell: there r multiplies W_hn h + b, and z weighs h.
The backward pass is the chain rule through these lines. For the letters and the shared parts see recurrent.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from model.products import Products
from model.recurrent import RecurrentLayer, Unrolled


class UnrolledGRU(Unrolled):
    def __init__(self, x: Tensor, i2h_weight: Tensor, h2h_weight: Tensor, products: Products) -> None:
        super().__init__(x, i2h_weight, h2h_weight, products)
        S, B, H = self.S, self.B, self.H
        self.rh = self.new(S, B, H)
        self.d_rh = self.new(B, H)
        self.dh_dh = self.new(S, B, H)  # the slope of h' in h, with z and n held
        self.all = GRUStep(self, slice(None))
        self.steps = [GRUStep(self, t) for t in range(S)]

    def forward(self, state: Tensor, h2h_weight: Tensor) -> Tensor:
        weight_zr, weight_n = self.h2h_weight.copy_(h2h_weight).tensor_split([2 * self.H], dim=1)
        weight_n.mul_(2)  # for n = 2 sigmoid(2 a_n) - 1; see recurrent.py
        self.all.n.mul_(2)
        weight_zr, weight_n = self.packed(weight_zr, self.B), self.packed(weight_n, self.B)
        self.h[0].copy_(state[0])
        for s in self.steps:
            self.addmm(s.zr, s.h_prev, weight_zr, out=s.zr).sigmoid_()  # z, r
            torch.mul(s.r, s.h_prev, out=s.rh)
            self.addmm(s.n, s.rh, weight_n, out=s.n).sigmoid_()  # (1 + n) / 2
            torch.add(self.minus_one, s.n, alpha=2, out=s.n)  # n = tanh(a_n)
            torch.lerp(s.h_prev, s.n, s.z, out=s.h)  # h' = z n + (1 - z) h
        return self.h[-1:].clone()

    def backward(self, dh_above: Tensor, h2h_weight: Tensor) -> None:
        weight_zr, weight_n = self.h2h_weight_t.copy_(h2h_weight.t()).tensor_split([2 * self.H])
        weight_zr, weight_n = self.packed(weight_zr, self.B), self.packed(weight_n, self.B)
        dh, d_rh = self.dh.zero_(), self.d_rh  # no gradient from beyond the last step
        dh_twice = dh.unsqueeze(1)  # (B, 1, H), for z and n together
        self._slopes()
        for s, dh_t in zip(reversed(self.steps), reversed(dh_above.unbind())):
            dh.add_(dh_t)
            s.d_zn.mul_(dh_twice)  # da_z = dh (n - h) z (1 - z), da_n = dh z (1 - n²)
            self.mm(s.d_n, weight_n, out=d_rh)  # d(rh) = W_hn^T da_n
            s.d_r.mul_(d_rh)  # da_r = d(rh) h r (1 - r)
            dh.mul_(s.dh_dh).addcmul_(d_rh, s.r)  # now of the step before: dh = dh (1 - z) + d(rh) r
            self.addmm(dh, s.d_zr, weight_zr, out=dh)  # + W_hz^T da_z + W_hr^T da_r

    def h2h_backward(self, d_gates: Tensor) -> None:
        d_zr, d_n = d_gates.tensor_split([2 * self.H], dim=1)
        d_weight_zr, d_weight_n = self.d_h2h_weight.tensor_split([2 * self.H], dim=1)
        self.mm(self.h[:-1].flatten(0, 1).t(), d_zr, out=d_weight_zr)
        self.mm(self.rh.flatten(0, 1).t(), d_n, out=d_weight_n)

    def _slopes(self) -> None:
        """Computes for all steps what needs no gradient: what the loop multiplies by dh (z, n) or d(rh) (r), and dh_dh.

        The slope of a sigmoid s is s (1 - s), that of tanh is 1 - tanh². A slope is needed only once, so it may lie in
        `d_gates`, where the loop turns it into the gradient; `gates` stays as it is.
        """
        s = self.all
        torch.addcmul(s.gates, s.gates, s.gates, value=-1, out=s.d_gates)  # s (1 - s); n is overwritten below
        n_minus_h = torch.sub(s.n, s.h_prev, out=s.dh_dh)  # in the buffer that 1 - z fills last
        s.d_z.mul_(n_minus_h)  # (n - h) z (1 - z)
        s.d_r.mul_(s.h_prev)  # h r (1 - r)
        torch.addcmul(s.z, torch.mul(s.n, s.n, out=s.d_n), s.z, value=-1, out=s.d_n)  # z - n² z
        torch.add(self.one, s.z, alpha=-1, out=s.dh_dh)  # 1 - z


class GRUStep:
    """Views of step t, (B, H) each unless said otherwise; of several steps, with one axis more, where t is a slice."""

    def __init__(self, all: UnrolledGRU, t: int | slice) -> None:
        self.gates, self.d_gates = all.gates[t], all.d_gates[t]  # (B, 3H), in the order z, r, n
        self.z, self.r, self.n = self.gates.split(all.H, dim=-1)
        self.d_z, self.d_r, self.d_n = self.d_gates.split(all.H, dim=-1)
        self.zr, self.d_zr = self.gates[..., : 2 * all.H], self.d_gates[..., : 2 * all.H]  # (B, 2H)
        self.d_zn = self.d_gates.unflatten(-1, (-1, all.H))[..., ::2, :]  # (B, 2, H)
        self.rh, self.dh_dh = all.rh[t], all.dh_dh[t]
        self.h_prev, self.h = all.h[:-1][t], all.h[1:][t]


class GRU(RecurrentLayer):
    """A layer of GRU cells; its state is (h,)."""

    cell = "gru"
    unrolled = UnrolledGRU

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the flat order of the reference: W_xz, W_hz, W_xn, W_xr, W_hr, W_hn."""
        z, r, n = (slice(gate * self.rnn_size, (gate + 1) * self.rnn_size) for gate in range(3))
        i2h, h2h = (self.i2h_weight, self.i2h_bias), (self.h2h_weight, self.h2h_bias)
        for (weight, bias), gate in ((i2h, z), (h2h, z), (i2h, n), (i2h, r), (h2h, r), (h2h, n)):
            yield weight[:, gate].t()
            yield bias[gate]
