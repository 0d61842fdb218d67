"""Gated recurrent unit, by hand."""

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
        self.rh, self.d_rh, self.dh_dh_prev = self.room(), self.room(), self.room()

    def forward(self, weights: Sequence[Tensor]) -> None:
        w_zr, w_n = weights
        self.zr.addmm_(self.h_prev, w_zr).sigmoid_()  # z, r = sigmoid(a + W_zr h_prev)
        torch.mul(self.r, self.h_prev, out=self.rh)
        self.n.addmm_(self.rh, w_n).tanh_()  # n = tanh(a + W_n (r h_prev))
        torch.lerp(self.h_prev, self.n, self.z, out=self.h)  # h = h_prev + z (n - h_prev)

    def local_derivatives(self) -> None:
        gates, z, n = self.gates, self.z, self.n
        torch.addcmul(gates, gates, gates, value=-1, out=self.d_gates)  # s (1 - s) is a sigmoid's; n's follows below
        self.d_z.mul_(torch.sub(n, self.h_prev, out=self.dh_dh_prev))  # ∂h/∂a_z = (n - h_prev) z (1 - z)
        self.d_r.mul_(self.h_prev)  # ∂rh/∂a_r = h_prev r (1 - r)
        torch.mul(z, n, out=self.d_n)
        torch.addcmul(z, self.d_n, n, value=-1, out=self.d_n)  # ∂h/∂a_n = z (1 - n²)
        torch.neg(z, out=self.dh_dh_prev).add_(1)  # ∂h/∂h_prev = 1 - z, with z and n held

    def backward(self, weights: Sequence[Tensor]) -> None:
        w_zr_t, w_n_t = weights
        self.d_z.mul_(self.dh)  # d_z = dh ∂h/∂a_z
        self.d_n.mul_(self.dh)  # d_n = dh ∂h/∂a_n
        torch.mm(self.d_n, w_n_t, out=self.d_rh)  # W_n^T d_n
        self.d_r.mul_(self.d_rh)  # d_r = d_rh ∂rh/∂a_r
        self.dh_prev.addcmul_(self.dh, self.dh_dh_prev).addcmul_(self.d_rh, self.r)
        self.dh_prev.addmm_(self.d_zr, w_zr_t)  # dh_prev += dh ∂h/∂h_prev + d_rh r + W_zr^T d_zr

    def h2h_gradient(self, out: Tensor) -> None:
        d_weight_zr, d_weight_n = out.split(self.widths, 1)
        torch.mm(self.h_prev.flatten(0, 1).t(), self.d_zr.flatten(0, 1), out=d_weight_zr)
        torch.mm(self.rh.flatten(0, 1).t(), self.d_n.flatten(0, 1), out=d_weight_n)
