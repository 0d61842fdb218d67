"""The plain recurrent cell, by hand."""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.fast.step import Step


class RNNStep(Step):
    def forward(self, weights: Sequence[Tensor]) -> None:
        (weight,) = weights
        self.gates.addmm_(self.h_prev, weight)  # a = W_i2h x + b + W h_prev
        torch.tanh(self.gates, out=self.h)  # h = tanh(a)

    def local_derivatives(self) -> None:
        torch.mul(self.h, self.h, out=self.d_gates).neg_().add_(1)  # ∂h/∂a = 1 - h²

    def backward(self, weights: Sequence[Tensor]) -> None:
        (weight_t,) = weights
        self.d_gates.mul_(self.dh)  # d_a = dh ∂h/∂a
        self.dh_prev.addmm_(self.d_gates, weight_t)  # dh_prev += W^T d_a
