"""Long short-term memory.

    a  = W_i2h x + b_i2h + W_h2h h + b_h2h                      four blocks: a_i, a_f, a_o, a_g
    i  = sigmoid(a_i),  f = sigmoid(a_f),  o = sigmoid(a_o),  g = tanh(a_g)
    c' = f c + i g
    h' = o tanh c'

Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000). The way back is the
chain rule through these lines. For the letters and the loop over time see layer.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from model.layer import Layer, Step


class LSTM(Layer):
    """A layer of LSTM cells; its state is (c, h)."""

    cell = "lstm"
    kept = ("tanh_c", "dh_dc")
    blocks = {"ifo": 3}

    def forward_step(self, s: Step, weight: Tensor) -> None:  # type: ignore[override]
        s.gates.addmm_(s.h_prev, weight)  # a = W_i2h x + b + W_h2h h
        s.ifo.sigmoid_()  # i, f, o = sigmoid(a_i, a_f, a_o)
        s.g.tanh_()  # g = tanh(a_g)
        torch.mul(s.f, s.c_prev, out=s.c).addcmul_(s.i, s.g)  # c' = f c + i g
        torch.tanh(s.c, out=s.tanh_c)
        torch.mul(s.o, s.tanh_c, out=s.h)  # h' = o tanh c'

    def slopes(self, s: Step) -> None:
        torch.addcmul(s.gates, s.gates, s.gates, value=-1, out=s.d_gates)  # sigmoid' = s (1 - s); g follows below
        s.d_i.mul_(s.g)  # dc'/da_i = g i (1 - i)
        s.d_f.mul_(s.c_prev)  # dc'/da_f = c f (1 - f)
        s.d_o.mul_(s.tanh_c)  # dh'/da_o = tanh c' o (1 - o)
        torch.addcmul(s.i, torch.mul(s.i, s.g, out=s.d_g), s.g, value=-1, out=s.d_g)  # dc'/da_g = i (1 - g²)
        torch.addcmul(s.o, s.h, s.tanh_c, value=-1, out=s.dh_dc)  # dh'/dc' = o (1 - tanh² c')

    def backward_step(self, s: Step, weight_t: Tensor) -> None:  # type: ignore[override]
        s.dc.addcmul_(s.dh, s.dh_dc)  # dc' += dh' dh'/dc'
        s.d_i.mul_(s.dc)
        s.d_f.mul_(s.dc)
        s.d_g.mul_(s.dc)  # da = dc' dc'/da for i, f, g
        s.d_o.mul_(s.dh)  # da_o = dh' dh'/da_o
        torch.mul(s.dc, s.f, out=s.dc_prev)  # dc = dc' f
        s.dh_prev.addmm_(s.d_gates, weight_t)  # dh += W_h2h^T da
