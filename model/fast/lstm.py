"""Long short-term memory, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model.cells import Cell
from model.fast.step import Step, before_and_after


class LSTMStep(Step):
    def __init__(self, cell: type[Cell], S: int, B: int, H: int, new: Callable[..., Tensor]) -> None:
        super().__init__(cell, S, B, H, new)
        self.i, self.f, self.o, self.g = self.gates.split(H, -1)
        self.ifo = self.gates[..., : 3 * H]
        self.d_i, self.d_f, self.d_o, self.d_g = self.d_gates.split(H, -1)
        self.c_prev, self.c = before_and_after(self.states["c"])
        self.dc_prev, self.dc = before_and_after(self.d_states["c"])
        self.tanh_c, self.dh_dc = self.room(), self.room()

    def forward(self, weights: Sequence[Tensor]) -> None:
        (weight,) = weights
        self.gates.addmm_(self.h_prev, weight)  # a = W_i2h x + b + W_h2h h
        self.ifo.sigmoid_()  # i, f, o = sigmoid(a_i, a_f, a_o)
        self.g.tanh_()  # g = tanh(a_g)
        torch.mul(self.f, self.c_prev, out=self.c).addcmul_(self.i, self.g)  # c' = f c + i g
        torch.tanh(self.c, out=self.tanh_c)
        torch.mul(self.o, self.tanh_c, out=self.h)  # h' = o tanh c'

    def local_derivatives(self) -> None:
        gates, i, g, o, tanh_c = self.gates, self.i, self.g, self.o, self.tanh_c
        torch.addcmul(gates, gates, gates, value=-1, out=self.d_gates)  # sigmoid' = s (1 - s); g follows below
        self.d_i.mul_(g)  # dc'/da_i = g i (1 - i)
        self.d_f.mul_(self.c_prev)  # dc'/da_f = c f (1 - f)
        self.d_o.mul_(tanh_c)  # dh'/da_o = tanh c' o (1 - o)
        torch.addcmul(i, torch.mul(i, g, out=self.d_g), g, value=-1, out=self.d_g)  # dc'/da_g = i (1 - g²)
        torch.addcmul(o, self.h, tanh_c, value=-1, out=self.dh_dc)  # dh'/dc' = o (1 - tanh² c')

    def backward(self, weights: Sequence[Tensor]) -> None:
        (weight_t,) = weights
        self.dc.addcmul_(self.dh, self.dh_dc)  # dc' += dh' dh'/dc'
        self.d_i.mul_(self.dc)  # da = dc' dc'/da for i, f, g
        self.d_f.mul_(self.dc)
        self.d_g.mul_(self.dc)
        self.d_o.mul_(self.dh)  # da_o = dh' dh'/da_o
        torch.mul(self.dc, self.f, out=self.dc_prev)  # dc = dc' f
        self.dh_prev.addmm_(self.d_gates, weight_t)  # dh += W_h2h^T da
