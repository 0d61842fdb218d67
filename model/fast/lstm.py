"""Long short-term memory, by hand."""

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
        self.gates.addmm_(self.h_prev, weight)  # a = W_i2h x + b + W h_prev
        self.ifo.sigmoid_()  # i, f, o = sigmoid(a_i, a_f, a_o)
        self.g.tanh_()  # g = tanh(a_g)
        torch.mul(self.f, self.c_prev, out=self.c).addcmul_(self.i, self.g)  # c = f c_prev + i g
        torch.tanh(self.c, out=self.tanh_c)
        torch.mul(self.o, self.tanh_c, out=self.h)  # h = o tanh c

    def local_derivatives(self) -> None:
        gates, i, g, o, tanh_c = self.gates, self.i, self.g, self.o, self.tanh_c
        torch.addcmul(gates, gates, gates, value=-1, out=self.d_gates)  # s (1 - s) is a sigmoid's; g's follows below
        self.d_i.mul_(g)  # ∂c/∂a_i = g i (1 - i)
        self.d_f.mul_(self.c_prev)  # ∂c/∂a_f = c_prev f (1 - f)
        self.d_o.mul_(tanh_c)  # ∂h/∂a_o = tanh c o (1 - o)
        torch.mul(i, g, out=self.d_g)
        torch.addcmul(i, self.d_g, g, value=-1, out=self.d_g)  # ∂c/∂a_g = i (1 - g²)
        torch.addcmul(o, self.h, tanh_c, value=-1, out=self.dh_dc)  # ∂h/∂c = o (1 - tanh² c)

    def backward(self, weights: Sequence[Tensor]) -> None:
        (weight_t,) = weights
        self.dc.addcmul_(self.dh, self.dh_dc)  # dc += dh ∂h/∂c
        self.d_i.mul_(self.dc)  # d_i = dc ∂c/∂a_i; f and g likewise
        self.d_f.mul_(self.dc)
        self.d_g.mul_(self.dc)
        self.d_o.mul_(self.dh)  # d_o = dh ∂h/∂a_o
        torch.mul(self.dc, self.f, out=self.dc_prev)  # dc_prev = dc f, since ∂c/∂c_prev = f
        self.dh_prev.addmm_(self.d_gates, weight_t)  # dh_prev += W^T d_gates
