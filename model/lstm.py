"""Long short-term memory, unrolled by hand.

    a  = W_i2h x + b_i2h + W_h2h h + b_h2h          four blocks: a_i, a_f, a_o, a_g
    i  = sigmoid(a_i),  f = sigmoid(a_f),  o = sigmoid(a_o),  g = tanh(a_g)
    c' = f c + i g
    h' = o tanh(c')

Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000). The backward pass is
the chain rule through these lines. For the letters and the shared parts see recurrent.py.

The cell is kept as C = -2c, and q = sigmoid(C) with it: then tanh c = 1 - 2q, and h = o - 2 o q is one operation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.products import Products
from model.recurrent import RecurrentLayer, Unrolled


class UnrolledLSTM(Unrolled):
    def __init__(self, x: Tensor, i2h_weight: Tensor, h2h_weight: Tensor, products: Products) -> None:
        super().__init__(x, i2h_weight, h2h_weight, products)
        S, B, H = self.S, self.B, self.H
        self.C = self.new(S + 1, B, H)  # C[t] goes into step t, and C[t + 1] comes out of it
        self.q = self.new(S, B, H)
        self.dc = self.new(B, H)
        self.dh_dc = self.new(S, B, H)  # the slope of h' in c'
        self.all = LSTMStep(self, slice(None))
        self.steps = [LSTMStep(self, t) for t in range(S)]

    def forward(self, state: Tensor, h2h_weight: Tensor) -> Tensor:
        weight = self.h2h_weight.copy_(h2h_weight)
        *_, weight_g = weight.split(self.H, dim=1)
        weight_g.mul_(2)  # for g = 2 sigmoid(2 a_g) - 1; see recurrent.py
        self.all.g.mul_(2)
        weight = self.packed(weight, self.B)
        torch.mul(state[0], -2, out=self.C[0])
        self.h[0].copy_(state[1])
        for s in self.steps:
            self.addmm(s.gates, s.h_prev, weight, out=s.gates).sigmoid_()  # i, f, o; and (1 + g) / 2
            torch.add(self.minus_one, s.g, alpha=2, out=s.g)  # g = tanh(a_g)
            torch.mul(s.f, s.C_prev, out=s.C).addcmul_(s.i, s.g, value=-2)  # c' = f c + i g, kept as C = -2c'
            torch.sigmoid(s.C, out=s.q)  # tanh c' = 1 - 2q
            torch.addcmul(s.o, s.o, s.q, value=-2, out=s.h)  # h' = o tanh c'
        return torch.stack((self.C[-1] / -2, self.h[-1]))

    def backward(self, dh_above: Tensor, h2h_weight: Tensor) -> None:
        weight = self.packed(h2h_weight.t(), self.B, out=self.h2h_weight_t)
        dc, dh = self.dc.zero_(), self.dh.zero_()  # no gradient from beyond the last step
        dc_twice = dc.unsqueeze(1)  # (B, 1, H), for i and f together
        self._slopes()
        for s, dh_t in zip(reversed(self.steps), reversed(dh_above.unbind())):
            dh.add_(dh_t)
            dc.addcmul_(dh, s.dh_dc)  # dc += dh o (1 - tanh² c')
            s.d_if.mul_(dc_twice)  # da_i = dc g i (1 - i), da_f = dc c f (1 - f)
            s.d_g.mul_(dc)  # da_g = dc i (1 - g²)
            s.d_o.mul_(dh)  # da_o = dh tanh c' o (1 - o)
            dc.mul_(s.f)  # now of the step before: dc = dc f
            self.mm(s.d_gates, weight, out=dh)  # and dh = W_h2h^T da

    def _slopes(self) -> None:
        """Computes for all steps what needs no gradient: what the loop multiplies by dc (i, f, g) or dh (o), and dh_dc.

        The slope of a sigmoid s is s (1 - s), that of tanh is 1 - tanh². A slope is needed only once, so it may lie in
        `d_gates`, where the loop turns it into the gradient; `gates` stays as it is.
        """
        s = self.all
        torch.addcmul(s.gates, s.gates, s.gates, value=-1, out=s.d_gates)  # s (1 - s); g is overwritten below
        s.d_i.mul_(s.g)  # g i (1 - i)
        s.d_f.mul_(s.C_prev).mul_(-0.5)  # c f (1 - f)
        tanh_c = torch.add(self.one, s.q, alpha=-2, out=s.dh_dc)  # in the buffer that dh_dc is about to fill
        s.d_o.mul_(tanh_c)  # tanh c' o (1 - o)
        torch.addcmul(s.i, torch.mul(s.g, s.g, out=s.d_g), s.i, value=-1, out=s.d_g)  # i - g² i
        torch.addcmul(s.o, tanh_c.square_(), s.o, value=-1, out=s.dh_dc)  # o - tanh² c' o


class LSTMStep:
    """Views of step t, (B, H) each unless said otherwise; of several steps, with one axis more, where t is a slice."""

    def __init__(self, all: UnrolledLSTM, t: int | slice) -> None:
        self.gates, self.d_gates = all.gates[t], all.d_gates[t]  # (B, 4H), in the order i, f, o, g
        self.i, self.f, self.o, self.g = self.gates.split(all.H, dim=-1)
        self.d_i, self.d_f, self.d_o, self.d_g = self.d_gates.split(all.H, dim=-1)
        self.d_if = self.d_gates.unflatten(-1, (-1, all.H))[..., :2, :]  # (B, 2, H)
        self.C_prev, self.C, self.q, self.dh_dc = all.C[:-1][t], all.C[1:][t], all.q[t], all.dh_dc[t]
        self.h_prev, self.h = all.h[:-1][t], all.h[1:][t]


class LSTM(RecurrentLayer):
    """A layer of LSTM cells; its state is (c, h)."""

    cell = "lstm"
    unrolled = UnrolledLSTM
