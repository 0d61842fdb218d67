"""A layer's steps on a GPU by the kernels of kernels.py: one forward and one back, the GRU two each.

The plain operations launch up to ten small kernels in each step, which takes longer than what they compute.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace as Step
from typing import Any

import torch
from torch import Tensor

LARGEST = 1 << 31
ONE_GATE = {128: (8, 32, 1), 512: (8, 64, 2), LARGEST: (16, 128, 2)}
SEVERAL_GATES = {128: (8, 32, 1), 256: (8, 64, 1), LARGEST: (16, 32, 3)}
"""A tile's BH, BK and Triton's num_stages for products of up to so many terms, as they were fastest on an H200.

They are not tried out on the user's GPU, since the last digits depend on them.
"""


def kernels_for(cell: str, weight: Tensor) -> Kernels | None:
    """Returns what computes a layer's steps in place of the layer, whose W_h2h is given; None if nothing can."""
    if weight.dtype != torch.float32 or why_not(weight.device):
        return None
    kernels = {"lstm": LSTMKernels, "gru": GRUKernels, "rnn": RNNKernels}.get(cell)
    return kernels and kernels(len(weight))


@cache
def why_not(device: torch.device) -> str:
    """Tries a kernel on a device; returns why it cannot use them and what to do about it, or nothing if it can."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return "the kernels need an NVIDIA GPU, Ampere or newer"
    try:
        x = torch.zeros(1, 1, device=device)
        RNNKernels(1).forward_step(Step(gates=x, h_prev=x, h=x), x)
    except ImportError:
        return "Triton is not installed (pip install triton)"
    except Exception as error:  # which may come from the compiler, the linker or the driver
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return f"Triton does not work ({why}); it needs a C compiler, such as gcc, and the header files of Python"
    return ""


class Kernels:
    """Has a layer's methods for its steps (see Layer). Their weights are W_h2h^T on the way forward, W_h2h back."""

    def __init__(self, H: int) -> None:
        from model import kernels  # which imports Triton

        self.kernels, self.H = kernels, H
        self.precision = "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"

    def slopes(self, s: Step) -> None:
        """Does nothing: the backward kernels compute the slopes from the gates."""

    def launch(self, kernel: Any, gates: int, K: int, *tensors: Tensor) -> None:
        """Calls a kernel whose product has K terms, for so many gates."""
        tiles = ONE_GATE if gates == 1 else SEVERAL_GATES
        BH, BK, stages = next(tile for most, tile in tiles.items() if most >= K)
        B = len(tensors[0])
        programs = -(-B // self.kernels.BB.value), -(-self.H // BH)
        kernel[programs](*tensors, B, self.H, BH=BH, BK=BK, P=self.precision, num_stages=stages)


class LSTMKernels(Kernels):
    def forward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.lstm_forward, 4, self.H, s.gates, s.h_prev, s.c_prev, s.h, s.c, w)

    def backward_step(self, s: Step, w: Tensor) -> None:
        gradients = s.dh, s.dc, s.dc_prev, s.d_gates
        self.launch(self.kernels.lstm_backward, 1, 4 * self.H, s.gates, s.c_prev, s.c, *gradients, w)


class GRUKernels(Kernels):
    def forward_step(self, s: Step, w_zr: Tensor, w_n: Tensor) -> None:
        self.launch(self.kernels.gru_forward_zr, 2, self.H, s.gates, s.h_prev, s.rh, w_zr)
        self.launch(self.kernels.gru_forward_n, 1, self.H, s.gates, s.h_prev, s.rh, s.h, w_n)

    def backward_step(self, s: Step, w_zr: Tensor, w_n: Tensor) -> None:
        self.launch(self.kernels.gru_backward_zn, 1, 2 * self.H, s.gates, s.h_prev, s.dh, s.dh_prev, s.d_gates, w_zr)
        self.launch(self.kernels.gru_backward_r, 1, self.H, s.gates, s.h_prev, s.dh_prev, s.d_gates, s.d_n, w_n)


class RNNKernels(Kernels):
    def forward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.rnn_forward, 1, self.H, s.gates, s.h_prev, s.h, w)

    def backward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.rnn_backward, 1, self.H, s.h, s.dh, s.d_gates, w)
