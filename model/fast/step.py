"""What a step by hand reads, writes and computes, forward and back; lstm.py, gru.py and rnn.py say it for their cells.

The equations are those of cells.py, and the way back is the chain rule through their lines.

Letters: S time steps, B streams, H units of the layer, G gates. h_prev goes into a step and h comes out; W is W_h2h,
and a_i the pre-activation of the gate i. dh is the gradient of the loss with respect to h, d_i that with respect to
a_i. ∂h/∂c is a local derivative: that of one quantity by another inside a step, with everything else held.
"""

from collections.abc import Callable, Sequence
from copy import copy
from functools import partial
from typing import Self

import torch
from torch import Tensor

from model.cells import Cell


class Step:
    """All steps of a layer, (S, ...) each, which own the memory; or what `at(t)` returns, one step, without that axis.

    A subclass adds its cell's gates, its states other than h, and what it keeps for the way back, (B, H) each.
    """

    in_kernels = False
    """Whether kernels compute it. They take W^T forward and W back, and need no local derivatives."""

    def __init__(self, cell: type[Cell], S: int, B: int, H: int, new: Callable[..., Tensor]) -> None:
        """Makes room for all steps; `new` returns a tensor of a size."""
        self.H, self.widths, GH = H, cell.widths(H), len(cell.gates) * H
        self.room = partial(new, S, B, H)
        # What the input adds to the gates' pre-activations, (B, G·H); a step forward turns it into the gates.
        self.gates = new(S, B, GH)
        # (B, G·H). Zeros lie behind the last step, since a kernel begins with d_gates of the step after its own.
        self.d_gates = new(S + 1, B, GH).zero_()[:-1]
        self.states = {name: new(S + 1, B, H) for name in cell.states}  # [t] goes into step t, [t + 1] comes out
        self.d_states = {name: new(S + 1, B, H) for name in cell.states}
        self.h_prev, self.h = before_and_after(self.states["h"])
        self.dh_prev, self.dh = before_and_after(self.d_states["h"])

    def at(self, t: int) -> Self:
        """Returns step t, whose tensors are views of ours."""
        step = copy(self)
        vars(step).update({name: values[t] for name, values in vars(self).items() if isinstance(values, Tensor)})
        return step

    def forward(self, weights: Sequence[Tensor]) -> None:
        """Computes the states after the step. weights are the parts of W_h2h (H, G·H)."""
        raise NotImplementedError

    def local_derivatives(self) -> None:
        """Computes, for all steps at once, what the way back multiplies gradients by.

        They follow from the forward pass alone, and each is needed once: an LSTM's d_i first holds ∂c/∂a_i =
        g i (1 - i), and the way back multiplies it by dc, which makes it the gradient.
        """
        raise NotImplementedError

    def backward(self, weights: Sequence[Tensor]) -> None:
        """Computes `d_gates` and the other states' gradients before the step, and adds to `dh_prev`.

        There the gradient from the layer above lies already. weights are the parts of W_h2h^T (G·H, H).
        """
        raise NotImplementedError

    def h2h_gradient(self, out: Tensor) -> None:
        """Fills out (H, G·H) with the gradient of W_h2h, from all steps."""
        torch.mm(self.h_prev.flatten(0, 1).t(), self.d_gates.flatten(0, 1), out=out)


def before_and_after(states: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what goes into each step and what comes out of it, (S, B, H) each, of states (S + 1, B, H)."""
    return states[:-1], states[1:]
