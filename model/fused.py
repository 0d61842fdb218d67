"""A layer's steps on a GPU by the kernels of kernels.py: one forward (the GRU two), and one and a product backward.

The plain operations launch up to ten small kernels in each step, which takes longer than what they compute.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace as Step
from typing import Any

import torch
from torch import Tensor

TILES = {128: (16, 8, 4, 1), 512: (16, 16, 4, 3), 1 << 31: (32, 16, 8, 3)}
"""Up to which rnn_size, how many streams and units a tile of an LSTM has, and Triton's num_warps and num_stages."""


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
    """Has a layer's methods for its steps (see Layer), with the parts of W_h2h^T in both directions."""

    def __init__(self, H: int) -> None:
        from model import kernels  # which imports Triton

        self.kernels, self.H = kernels, H
        self.BB, self.BH, warps, stages = next(TILES[largest] for largest in TILES if largest >= H)
        self.options: dict[str, Any] = {"num_warps": warps, "num_stages": stages}
        self.options["P"] = "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"

    def slopes(self, s: Step) -> None:
        """Does nothing: the backward kernels compute the slopes from the gates."""

    def launch(self, kernel: Any, gates: int, *tensors: Tensor) -> None:
        """Calls a kernel, with the number of gates for which it multiplies h by weights."""
        B = len(tensors[0])
        # An LSTM's tiles are as measured on an H100; with more than 16 columns the others' would not fit the registers.
        BB, BH = (self.BB, self.BH if gates == 4 else 16 // gates) if gates else (4, 32)
        kernel[-(-B // BB), -(-self.H // BH)](*tensors, B, self.H, BB=BB, BH=BH, **(self.options if gates else {}))


class LSTMKernels(Kernels):
    def forward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.lstm_forward, 4, s.gates, s.h_prev, s.c_prev, s.h, s.c, w)

    def backward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.lstm_backward, 0, s.gates, s.c_prev, s.c, s.dh, s.dc, s.dc_prev, s.d_gates)
        s.dh_prev.addmm_(s.d_gates, w)  # dh += W_h2h^T da


class GRUKernels(Kernels):
    def forward_step(self, s: Step, w_zr: Tensor, w_n: Tensor) -> None:
        self.launch(self.kernels.gru_forward_zr, 2, s.gates, s.h_prev, s.rh, w_zr)
        self.launch(self.kernels.gru_forward_n, 1, s.gates, s.h_prev, s.rh, s.h, w_n)

    def backward_step(self, s: Step, w_zr: Tensor, w_n: Tensor) -> None:
        self.launch(self.kernels.gru_backward_zn, 0, s.gates, s.h_prev, s.dh, s.dh_prev, s.d_gates)
        torch.mm(s.d_n, w_n, out=s.d_rh)  # d(rh) = W_hn^T da_n
        self.launch(self.kernels.gru_backward_r, 0, s.gates, s.h_prev, s.d_rh, s.dh_prev, s.d_gates)
        s.dh_prev.addmm_(s.d_zr, w_zr)  # dh += dh' (1 - z) + d(rh) r + W_hz^T da_z + W_hr^T da_r


class RNNKernels(Kernels):
    def forward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.rnn_forward, 1, s.gates, s.h_prev, s.h, w)

    def backward_step(self, s: Step, w: Tensor) -> None:
        self.launch(self.kernels.rnn_backward, 0, s.h, s.dh, s.d_gates)
        s.dh_prev.addmm_(s.d_gates, w)  # dh += W_h2h^T da
