"""A layer whose steps are computed by hand, forward and back, in memory that all passes share.

It is Layer's form for speed. Whatever no step has to wait for is computed for all steps at once, on the way back as on
the way forward. Letters: S time steps, B streams, I inputs, H units of the layer, G gates.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from model.fast.gru import GRUStep
from model.fast.launch import kernel_steps
from model.fast.lstm import LSTMStep
from model.fast.rnn import RNNStep
from model.fast.step import Step
from model.layer import Layer

FAST: dict[str, type[Step]] = {"lstm": LSTMStep, "gru": GRUStep, "rnn": RNNStep}
"""The cells whose steps are written by hand; autograd trains all others, more slowly."""

ONE_HOT_ROWS = 1024
"""The largest vocabulary for which a product with one-hot vectors is cheap on a GPU."""


class Unrolled(Layer):
    """A layer of a cell in FAST.

    The outputs live in the layer's buffers until its next forward pass on an x of this shape; a backward pass after
    that raises RuntimeError.
    """

    def __init__(self, model: str, input_size: int, rnn_size: int) -> None:
        super().__init__(model, input_size, rnn_size)
        self._learning: Buffers | None = None
        self._reading: Buffers | None = None

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self.i2h_weight, self.i2h_bias, self.h2h_weight, self.h2h_bias
        return Unroll.apply(x, state, *parameters, self._buffers_for(x))

    def _buffers_for(self, x: Tensor) -> "Buffers":
        """Returns buffers that fit x: those of the last pass or, if they do not, new ones.

        A pass that only reads, with gradients off, uses those for learning if they fit, but never replaces them. So
        what a model in training reads in between never frees memory that a captured CUDA graph writes to.
        """
        if self._learning and self._learning.fit(x, self.h2h_weight):
            return self._learning
        if torch.is_grad_enabled():
            self._learning = Buffers(self, x)
            return self._learning
        if not (self._reading and self._reading.fit(x, self.h2h_weight)):
            self._reading = Buffers(self, x)
        return self._reading


class Buffers:
    """A layer's steps, and the gradients of its parameters and inputs.

    All passes share them: memory allocated anew in every iteration is paged in anew in every iteration, which can cost
    as much as the arithmetic.
    """

    def __init__(self, layer: Layer, x: Tensor) -> None:
        (S, B), weight = x.shape[:2], layer.h2h_weight.detach()
        H, GH = weight.shape
        self.shape, self.weight, self.passes = x.shape, weight, 0
        steps = kernel_steps(layer.model, weight) or FAST[layer.model]
        self.all_steps = steps(layer.cell, S, B, H, weight.new_empty)
        self.steps = [self.all_steps.at(t) for t in range(S)]
        self.step_work = B * H * GH if weight.is_cpu else sys.maxsize  # on a GPU threads do not matter
        self.h2h_weight_t = weight.new_empty(GH, H)  # a copy: a product with a transposed view takes twice as long
        self.bias, self.d_bias = weight.new_empty(GH), weight.new_empty(GH)
        self.d_i2h_weight, self.d_h2h_weight = torch.empty_like(layer.i2h_weight), torch.empty_like(weight)
        self.dx: Tensor | None = None
        self.one_hot: Tensor | None = None
        vocabulary = len(layer.i2h_weight)
        if x.is_floating_point():
            self.dx = weight.new_empty(x.shape)
        elif vocabulary <= ONE_HOT_ROWS and not weight.is_cpu:
            self.one_hot = torch.eye(vocabulary, out=weight.new_empty(0))

    def fit(self, x: Tensor, weight: Tensor) -> bool:
        """Whether they can be used for these inputs with parameters like this one."""
        return (x.shape, weight.dtype, weight.device) == (self.shape, self.weight.dtype, self.weight.device)

    def parts(self, weight: Tensor, transposed: bool) -> Sequence[Tensor]:
        """Returns W_h2h or its transpose in the parts that a step multiplies by."""
        if transposed:
            return self.h2h_weight_t.copy_(weight.t()).split(self.all_steps.widths, 0)
        return weight.split(self.all_steps.widths, 1)


class Unroll(torch.autograd.Function):
    """A layer for autograd.

    x is (S, B) indices or (S, B, I) numbers, the state (states, B, H), i2h_weight (I, G·H), h2h_weight (H, G·H), and
    each bias (G·H,). Returns the outputs of all steps (S, B, H), and the state after the last (states, B, H).
    """

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, buffers):
        buffers.passes += 1
        ctx.buffers, ctx.this_pass = buffers, buffers.passes
        ctx.save_for_backward(x, i2h_weight, h2h_weight)
        steps = buffers.all_steps
        gates = steps.gates.flatten(0, 1)
        bias = torch.add(i2h_bias, h2h_bias, out=buffers.bias)
        if buffers.dx is None:
            torch.index_select(i2h_weight, 0, x.flatten(), out=gates).add_(bias)
        else:
            torch.addmm(bias, x.flatten(0, 1), i2h_weight, out=gates)
        for before, values in zip(state, steps.states.values()):
            values[0].copy_(before)
        weights = buffers.parts(h2h_weight, transposed=steps.in_kernels)
        with threads_worth(buffers.step_work):
            for step in buffers.steps:
                step.forward(weights)
        last_state = torch.stack([values[-1] for values in steps.states.values()])
        ctx.mark_non_differentiable(last_state)
        return steps.h.view_as(steps.h), last_state  # a view of this pass alone, since autograd marks it

    @staticmethod
    def backward(ctx, dh_above, _):
        x, i2h_weight, h2h_weight = ctx.saved_tensors
        buffers, steps = ctx.buffers, ctx.buffers.all_steps
        if ctx.this_pass != buffers.passes:
            raise RuntimeError("the layer ran forward again before this backward pass, which overwrote what it needs")
        for gradient in steps.d_states.values():
            gradient[-1].zero_()  # no gradient comes from beyond the last step
        steps.d_states["h"][0].zero_()
        steps.dh.copy_(dh_above)
        if not steps.in_kernels:
            steps.local_derivatives()
        weights = buffers.parts(h2h_weight, transposed=not steps.in_kernels)
        with threads_worth(buffers.step_work):
            for step in reversed(buffers.steps):
                step.backward(weights)
        dx, d_i2h_weight, d_h2h_weight, d_bias = buffers.dx, buffers.d_i2h_weight, buffers.d_h2h_weight, buffers.d_bias
        d_gates = steps.d_gates.flatten(0, 1)
        torch.sum(d_gates, 0, out=d_bias)
        steps.h2h_gradient(out=d_h2h_weight)
        if dx is None:
            sum_rows(x.flatten(), d_gates, buffers.one_hot, out=d_i2h_weight)
        else:
            torch.mm(x.flatten(0, 1).t(), d_gates, out=d_i2h_weight)
            torch.mm(d_gates, i2h_weight.t(), out=dx.flatten(0, 1))
        return dx, None, d_i2h_weight, d_bias, d_h2h_weight, d_bias, None  # in the order of forward's arguments


WORK = 4_000_000
"""So many multiplications in a step are worth a thread of a CPU; with fewer it would mostly wait for the others."""


@contextmanager
def threads_worth(work: int) -> Iterator[None]:
    """Computes with as many of torch's threads as steps of `work` multiplications are worth.

    The number follows from sizes alone, never from a clock, since the last digits may depend on it.
    """
    most = torch.get_num_threads()
    torch.set_num_threads(max(1, min(most, work // WORK)))
    try:
        yield
    finally:
        torch.set_num_threads(most)


def sum_rows(indices: Tensor, rows: Tensor, one_hot: Tensor | None, out: Tensor) -> None:
    """Fills each row of out (I, G·H) with the sum of the rows (N, G·H) that have its index, always in one order.

    On a CPU index_add_ does so; on a GPU it adds in any order, so the same run could end differently each time. There,
    one_hot (I, I) may be the identity.
    """
    if out.is_cpu:
        out.zero_().index_add_(0, indices, rows)
    elif one_hot is not None:
        torch.mm(one_hot.index_select(0, indices).t(), rows, out=out)
    else:
        out.zero_().index_put_((indices,), rows, accumulate=True)  # which sorts the indices first
