"""The steps on a GPU by the kernels of kernels.py: one kernel a step forward and one back, two each for a GRU.

The plain operations launch up to ten small kernels in each step, which takes longer than what they compute.
"""

import sys
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from model.cells import CELLS
from model.fast.gru import GRUStep
from model.fast.lstm import LSTMStep
from model.fast.rnn import RNNStep
from model.fast.step import Step

ONE_GATE = {128: (8, 32, 1), 512: (8, 64, 2), sys.maxsize: (16, 128, 2)}
SEVERAL_GATES = {128: (8, 32, 1), 256: (8, 64, 1), sys.maxsize: (16, 32, 3)}
"""A tile's BH, BK and Triton's num_stages for products of up to so many terms, as they were fastest on an H200.

They are not tried out on the user's GPU, since the last digits depend on them.
"""


def kernel_steps(model: str, weight: Tensor) -> type[Step] | None:
    """Returns the cell's steps as kernels, if its W_h2h, which is given, lies where they can run."""
    return KERNEL_STEPS.get(model) if weight.dtype == torch.float32 and not why_not(weight.device) else None


@cache
def why_not(device: torch.device) -> str:
    """Tries a kernel on a device; returns why it cannot use them and what to do about it, or nothing if it can."""
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        return "the kernels need an NVIDIA GPU, Ampere or newer"
    try:
        x = torch.zeros(1, 1, device=device)
        RNNKernels(CELLS["rnn"], 1, 1, 1, x.new_zeros).at(0).forward([x])
    except ImportError:
        return "Triton is not installed (pip install triton)"
    except Exception as error:  # which may come from the compiler, the linker or the driver
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return f"Triton does not work ({why}); it needs a C compiler, such as gcc, and the header files of Python"
    return ""


def launch(kernel: str, gates: int, K: int, H: int, *tensors: Tensor) -> None:
    """Calls a kernel of kernels.py whose product has K terms, for so many gates of H units."""
    from model.fast import kernels  # not before a GPU is there, since it imports Triton

    tiles = ONE_GATE if gates == 1 else SEVERAL_GATES
    BH, BK, stages = next(tile for most, tile in tiles.items() if most >= K)
    precision = "tf32x3" if torch.get_float32_matmul_precision() == "highest" else "tf32"
    B = len(tensors[0])
    programs = -(-B // kernels.BB.value), -(-H // BH)
    getattr(kernels, kernel)[programs](*tensors, B, H, BH=BH, BK=BK, P=precision, num_stages=stages)


class LSTMKernels(LSTMStep):
    in_kernels = True

    def forward(self, weights: Sequence[Tensor]) -> None:
        H = self.H
        launch("lstm_forward", 4, H, H, self.gates, self.h_prev, self.c_prev, self.h, self.c, *weights)

    def backward(self, weights: Sequence[Tensor]) -> None:
        H, gradients = self.H, (self.dh, self.dc, self.dc_prev, self.d_gates)
        launch("lstm_backward", 1, 4 * H, H, self.gates, self.c_prev, self.c, *gradients, *weights)


class GRUKernels(GRUStep):
    in_kernels = True

    def forward(self, weights: Sequence[Tensor]) -> None:
        H, (w_zr, w_n) = self.H, weights
        launch("gru_forward_zr", 2, H, H, self.gates, self.h_prev, self.rh, w_zr)
        launch("gru_forward_n", 1, H, H, self.gates, self.h_prev, self.rh, self.h, w_n)

    def backward(self, weights: Sequence[Tensor]) -> None:
        H, (w_zr, w_n) = self.H, weights
        launch("gru_backward_zn", 1, 2 * H, H, self.gates, self.h_prev, self.dh, self.dh_prev, self.d_gates, w_zr)
        launch("gru_backward_r", 1, H, H, self.gates, self.h_prev, self.dh_prev, self.d_gates, self.d_n, w_n)


class RNNKernels(RNNStep):
    in_kernels = True

    def forward(self, weights: Sequence[Tensor]) -> None:
        launch("rnn_forward", 1, self.H, self.H, self.gates, self.h_prev, self.h, *weights)

    def backward(self, weights: Sequence[Tensor]) -> None:
        launch("rnn_backward", 1, self.H, self.H, self.h, self.dh, self.d_gates, *weights)


KERNEL_STEPS: dict[str, type[Step]] = {"lstm": LSTMKernels, "gru": GRUKernels, "rnn": RNNKernels}
