"""What the recurrent layers share: parameters, buffers, and everything that does not depend on the step before.

A cell computes its gates from its input x_t and its previous output h_{t-1}:

    a_t = W_i2h x_t + b_i2h + W_h2h h_{t-1} + b_h2h

Only the last product depends on the step before. Everything else is computed for all steps at once, here, so that the
loops over time in lstm.py, gru.py and rnn.py keep one small product and a few pointwise operations.

Letters: S time steps, B streams, I inputs, H outputs of the layer, G gates. Time is the first axis everywhere.
Weights are (inputs, outputs), the transpose of Torch's: a row is what one input adds to every gate.
dh, `d_gates` and the like are the gradients of the loss with respect to h, to the gates' pre-activations, and so on.

tanh x = 2 sigmoid(2x) - 1, and a vectorized sigmoid takes a fraction of the time of tanh. The cells therefore double
the pre-activation of what the equations send through tanh, and take one sigmoid over all gates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from model.products import FULL, Products
from model.shapes import GATES

ONE_HOT_ROWS = 1024
"""The largest vocabulary for which a product with one-hot vectors is cheap on a GPU."""


class RecurrentLayer(nn.Module):
    """A layer of H cells over S steps; a subclass names its cell and the class that unrolls it.

    `forward(x, state)` takes x, either (S, B) integer indices, which stand for one-hot vectors, or (S, B, I) numbers,
    and the state before the first step, (states, B, H) with the output h last. It returns the outputs (S, B, H)
    and the state after the last step. No gradient goes through either state: backpropagation is truncated at the
    borders of a batch. The outputs live in the layer's buffers until its next forward pass on an x of this shape;
    a backward pass after that raises RuntimeError.
    """

    cell: str
    unrolled: type[Unrolled]

    def __init__(self, input_size: int, rnn_size: int, products: Products = FULL) -> None:
        super().__init__()
        self.rnn_size, self.products = rnn_size, products
        width = len(GATES[self.cell]) * rnn_size
        self.i2h_weight = nn.Parameter(torch.zeros(input_size, width))
        self.i2h_bias = nn.Parameter(torch.zeros(width))
        self.h2h_weight = nn.Parameter(torch.zeros(rnn_size, width))
        self.h2h_bias = nn.Parameter(torch.zeros(width))
        self._kept: dict[bool, Unrolled] = {}

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self.i2h_weight, self.i2h_bias, self.h2h_weight, self.h2h_bias
        return OverAllSteps.apply(x, state, *parameters, self._unrolled_for(x))

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the flat order of the reference, weights as (outputs, inputs)."""
        yield self.i2h_weight.t()
        yield self.i2h_bias
        yield self.h2h_weight.t()
        yield self.h2h_bias

    def _unrolled_for(self, x: Tensor) -> Unrolled:
        """Returns the cell unrolled over x's steps and streams: one of the two kept if it fits, or else a new one.

        The two are the last one made for learning and the last one made for reading only, with gradients off. So
        what a model in training reads in between never frees memory that a captured CUDA graph writes to.
        """
        purposes = (True,) if torch.is_grad_enabled() else (True, False)  # reading can use what learning uses
        for learning in purposes:
            kept = self._kept.get(learning)
            if kept and kept.fits(x, self.h2h_weight):
                return kept
        weights = self.i2h_weight.detach(), self.h2h_weight.detach()
        made = self._kept[purposes[-1]] = self.unrolled(x, *weights, self.products)
        return made


class Unrolled(ABC):
    """A cell unrolled over S steps of B streams: its buffers, and the loops over time that fill them.

    All passes share the buffers and the views of each step: memory allocated anew in every iteration is paged in anew
    in every iteration, which can cost as much as the arithmetic. A subclass adds its cell's own, and the loops.
    The slopes that a backward loop needs are computed before it, for all steps at once. Computing them for groups of
    steps that fit into a processor's cache is not worth the code: a training step took 0.98 to 1.05 of the time.
    """

    def __init__(self, x: Tensor, i2h_weight: Tensor, h2h_weight: Tensor, products: Products) -> None:
        """Makes the buffers for an input and weights like these; `products` are the functions that multiply."""
        (S, B), (H, width) = x.shape[:2], h2h_weight.shape
        self.S, self.B, self.H = S, B, H
        self._fits = x.shape, h2h_weight.dtype, h2h_weight.device
        self.rounded, self.packed, self.mm, self.addmm = products
        self.passes = 0
        self.new = h2h_weight.new_empty
        self.one, self.minus_one = h2h_weight.new_tensor(1), h2h_weight.new_tensor(-1)

        # What the input adds to the gates' pre-activations. A step turns its part, needed nowhere else, into the gates.
        self.gates = self.new(S, B, width)
        self.h = self.new(S + 1, B, H)  # h[t] goes into step t, and h[t + 1] comes out of it
        self.bias = self.new(width)
        self.h2h_weight = self.new(H, width)  # as the forward loop uses it

        self.d_gates = self.new(S, B, width)
        self.dh = self.new(B, H)
        self.dx = self.new(x.shape) if x.is_floating_point() else None
        self.one_hot = one_hot_rows(i2h_weight) if self.dx is None else None
        self.d_bias = self.new(width)
        self.d_i2h_weight = self.new(i2h_weight.shape)
        self.d_h2h_weight = self.new(H, width)
        self.h2h_weight_t = self.new(width, H)  # as the backward loop uses it

    def fits(self, x: Tensor, weight: Tensor) -> bool:
        """Whether the buffers are right for this input and weight."""
        return self._fits == (x.shape, weight.dtype, weight.device)

    @abstractmethod
    def forward(self, state: Tensor, h2h_weight: Tensor) -> Tensor:
        """Fills `h`, given `gates` with what the input adds; returns the state after the last step."""

    @abstractmethod
    def backward(self, dh_above: Tensor, h2h_weight: Tensor) -> None:
        """Fills `d_gates`; dh_above (S, B, H) is the gradient of the layer's outputs."""

    def h2h_backward(self, d_gates: Tensor) -> None:
        """Fills `d_h2h_weight` from the gradients of all steps' gates (S·B, G·H)."""
        self.mm(self.h[:-1].flatten(0, 1).t(), d_gates, out=self.d_h2h_weight)

    def input_forward(self, x: Tensor, weight: Tensor, i2h_bias: Tensor, h2h_bias: Tensor) -> None:
        """Fills `gates` with W_i2h x_t and both biases, for all steps; an index picks a row of W_i2h."""
        bias = torch.add(i2h_bias, h2h_bias, out=self.bias)
        rows = self.gates.flatten(0, 1)
        if self.dx is None:
            torch.index_select(weight, 0, x.flatten(), out=rows)
            rows.add_(bias)
        else:
            self.addmm(bias, x.flatten(0, 1), weight, out=rows)

    def all_steps_backward(self, x: Tensor, weight: Tensor) -> None:
        """Fills the parameters' gradients and, unless x holds indices, `dx`, from `d_gates`."""
        rows = self.d_gates.flatten(0, 1)
        torch.sum(rows, 0, out=self.d_bias)
        factor = self.rounded(rows)
        self.h2h_backward(factor)
        if self.dx is None:
            sum_rows(x.flatten(), rows, self.one_hot, out=self.d_i2h_weight)
        else:
            self.mm(x.flatten(0, 1).t(), factor, out=self.d_i2h_weight)
            self.mm(factor, weight.t(), out=self.dx.flatten(0, 1))


def one_hot_rows(weight: Tensor) -> Tensor | None:
    """Returns each character as a one-hot vector, (V, V), for a GPU and a vocabulary for which that is cheap."""
    if weight.device.type == "cpu" or len(weight) > ONE_HOT_ROWS:
        return None
    return torch.eye(len(weight), dtype=weight.dtype, device=weight.device)


def sum_rows(indices: Tensor, rows: Tensor, one_hot: Tensor | None, out: Tensor) -> None:
    """Fills each row of out (V, W) with the sum of those rows (N, W) that have its index, always in the same order.

    On a CPU index_add_ does so; on a GPU it adds in any order, so the same run could end differently each time.
    """
    if out.device.type == "cpu":
        out.zero_().index_add_(0, indices, rows)
    elif one_hot is not None:
        torch.mm(one_hot.index_select(0, indices).t(), rows, out=out)
    else:
        out.zero_().index_put_((indices,), rows, accumulate=True)  # which sorts the indices first


class OverAllSteps(torch.autograd.Function):
    """A layer for autograd: (x, state, parameters) to (outputs of all steps, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, cell):
        cell.passes += 1
        ctx.cell, ctx.number = cell, cell.passes
        ctx.save_for_backward(x, i2h_weight, h2h_weight)
        cell.input_forward(x, i2h_weight, i2h_bias, h2h_bias)
        last_state = cell.forward(state, h2h_weight)
        ctx.mark_non_differentiable(last_state)
        return cell.h[1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        x, i2h_weight, h2h_weight = ctx.saved_tensors
        cell = ctx.cell
        if ctx.number != cell.passes:
            raise RuntimeError("the layer ran forward again before this backward pass, which overwrote what it needs")
        cell.backward(dh_above, h2h_weight)
        cell.all_steps_backward(x, i2h_weight)
        return cell.dx, None, cell.d_i2h_weight, cell.d_bias, cell.d_h2h_weight, cell.d_bias, None
