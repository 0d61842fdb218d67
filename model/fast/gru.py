"""Gated recurrent unit, by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from model.cells import Cell
from model.fast.step import Step


class GRUStep(Step):
    def __init__(self, cell: type[Cell], S: int, B: int, H: int, new: Callable[..., Tensor]) -> None:
        super().__init__(cell, S, B, H, new)
        self.z, self.r, self.n = self.gates.split(H, -1)
        self.d_z, self.d_r, self.d_n = self.d_gates.split(H, -1)
        self.zr, self.d_zr = self.gates[..., : 2 * H], self.d_gates[..., : 2 * H]
        self.rh, self.d_rh, self.dh_dh = self.room(), self.room(), self.room()

    def forward(self, weights: Sequence[Tensor]) -> None:
        w_zr, w_n = weights
        self.zr.addmm_(self.h_prev, w_zr).sigmoid_()  # z, r = sigmoid(W x + b + W_h h)
        torch.mul(self.r, self.h_prev, out=self.rh)
        self.n.addmm_(self.rh, w_n).tanh_()  # n = tanh(W_xn x + b + W_hn (r h))
        torch.lerp(self.h_prev, self.n, self.z, out=self.h)  # h' = h + z (n - h)

    def local_derivatives(self) -> None:
        gates, z, n = self.gates, self.z, self.n
        torch.addcmul(gates, gates, gates, value=-1, out=self.d_gates)  # sigmoid' = s (1 - s); n follows below
        self.d_z.mul_(torch.sub(n, self.h_prev, out=self.dh_dh))  # dh'/da_z = (n - h) z (1 - z)
        self.d_r.mul_(self.h_prev)  # d(rh)/da_r = h r (1 - r)
        torch.addcmul(z, torch.mul(z, n, out=self.d_n), n, value=-1, out=self.d_n)  # dh'/da_n = z (1 - n²)
        torch.neg(z, out=self.dh_dh).add_(1)  # dh'/dh = 1 - z, with z and n held

    def backward(self, weights: Sequence[Tensor]) -> None:
        w_zr_t, w_n_t = weights
        self.d_z.mul_(self.dh)  # da_z = dh' dh'/da_z
        self.d_n.mul_(self.dh)  # da_n = dh' dh'/da_n
        torch.mm(self.d_n, w_n_t, out=self.d_rh)  # d(rh) = W_hn^T da_n
        self.d_r.mul_(self.d_rh)  # da_r = d(rh) d(rh)/da_r
        self.dh_prev.addcmul_(self.dh, self.dh_dh).addcmul_(self.d_rh, self.r)  # dh += dh' dh'/dh + d(rh) r
        self.dh_prev.addmm_(self.d_zr, w_zr_t)  # + W_hz^T da_z + W_hr^T da_r

    def h2h_gradient(self, out: Tensor) -> None:
        d_weight_zr, d_weight_n = out.split(self.widths, 1)
        torch.mm(self.h_prev.flatten(0, 1).t(), self.d_zr.flatten(0, 1), out=d_weight_zr)
        torch.mm(self.rh.flatten(0, 1).t(), self.d_n.flatten(0, 1), out=d_weight_n)
