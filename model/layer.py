"""A recurrent layer: its parameters, its buffers, the loop over time, and all that one step need not wait for.

The job of a cell is to compute a layer's next state from the state before and the gates' pre-activations:

    a_t = W_i2h x_t + b_i2h + W_h2h h_{t-1} + b_h2h

Only the last product depends on the step before. Everything else is computed here, for all steps at once. The loops
over time call a step of the cell, forward and back, which lstm.py, gru.py and rnn.py hold.

Letters: S time steps, B streams, I inputs, H units of the layer, G gates. Time is the first axis everywhere.
Weights are (inputs, outputs), the transpose of Torch's: a row is what one input adds to every gate.
dh is the gradient of the loss with respect to h, and d_i that with respect to the pre-activation of the gate i.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from model import fused
from model.shapes import GATES, STATES

ONE_HOT_ROWS = 1024
"""The largest vocabulary for which a product with one-hot vectors is cheap on a GPU."""

WORK = 4_000_000
"""So many multiplications in a step are worth a thread of a CPU; with fewer it would mostly wait for the others."""

Step = SimpleNamespace
"""What a cell reads and writes in one step; see `Buffers.step`."""


class Layer(nn.Module):
    """H units over S steps; a subclass names its cell and computes a step of it.

    `forward(x, state)` takes x, either (S, B) integer indices, which stand for one-hot vectors, or (S, B, I) numbers,
    and the state before the first step, (states, B, H) with the output h last. It returns the outputs (S, B, H)
    and the state after the last step. No gradient goes through either state: backpropagation is truncated at the
    borders of a batch. The outputs live in the layer's buffers until its next forward pass on an x of this shape;
    a backward pass after that raises RuntimeError.
    """

    cell: str
    kept: tuple[str, ...] = ()
    """What the cell keeps of each step, (B, H) each, besides its gates and states."""
    blocks: dict[str, int] = {}
    """Names for the first few gates side by side, such as ifo for three."""

    def __init__(self, input_size: int, rnn_size: int) -> None:
        super().__init__()
        self.rnn_size = rnn_size
        width = len(GATES[self.cell]) * rnn_size
        self.i2h_weight = nn.Parameter(torch.zeros(input_size, width))
        self.i2h_bias = nn.Parameter(torch.zeros(width))
        self.h2h_weight = nn.Parameter(torch.zeros(rnn_size, width))
        self.h2h_bias = nn.Parameter(torch.zeros(width))
        self._buffers_for: dict[bool, Buffers] = {}

    def h2h_parts(self, weight: Tensor, axis: int) -> Sequence[Tensor]:
        """Returns W_h2h or its transpose, whose `axis` is G·H long, in the parts that a step multiplies by."""
        return [weight]

    def forward_step(self, s: Step, *weights: Tensor) -> None:
        """Computes the states of a step, given what the input adds to its gates; weights are the parts of W_h2h."""
        raise NotImplementedError

    def slopes(self, s: Step) -> None:
        """Computes for all steps at once what the backward loop multiplies by a gradient, from the forward pass alone.

        A slope is needed only once, so it may lie in `d_gates`, where the loop turns it into the gradient.
        """
        raise NotImplementedError

    def backward_step(self, s: Step, *weights: Tensor) -> None:
        """Computes `d_gates` and `dc_prev` from `dh` and `dc`, and adds to `dh_prev`, where what comes from above is.

        weights are the parts of W_h2h^T.
        """
        raise NotImplementedError

    def h2h_gradient(self, s: Step, out: Tensor) -> None:
        """Fills out (H, G·H) with the gradient of W_h2h, from all steps."""
        torch.mm(s.h_prev.flatten(0, 1).t(), s.d_gates.flatten(0, 1), out=out)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self.i2h_weight, self.i2h_bias, self.h2h_weight, self.h2h_bias
        return Unroll.apply(x, state, *parameters, self, self._buffers_of(x))

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the flat order of the reference, weights as (outputs, inputs)."""
        yield self.i2h_weight.t()
        yield self.i2h_bias
        yield self.h2h_weight.t()
        yield self.h2h_bias

    def _buffers_of(self, x: Tensor) -> Buffers:
        """Returns buffers for x's steps and streams: one of the two kept if they fit, or else new ones.

        The two are the last ones made for learning and the last ones made for reading only, with gradients off. So
        what a model in training reads in between never frees memory that a captured CUDA graph writes to.
        """
        purposes = (True,) if torch.is_grad_enabled() else (True, False)  # reading can use what learning uses
        for learning in purposes:
            kept = self._buffers_for.get(learning)
            if kept and kept.fits == (x.shape, self.h2h_weight.dtype, self.h2h_weight.device):
                return kept
        made = self._buffers_for[purposes[-1]] = Buffers(self, x)
        return made


class Buffers:
    """The memory of a layer over S steps of B streams: what the forward pass computes, and all gradients.

    All passes share it: memory allocated anew in every iteration is paged in anew in every iteration, which can cost
    as much as the arithmetic.
    """

    def __init__(self, layer: Layer, x: Tensor) -> None:
        (S, B), (H, width) = x.shape[:2], layer.h2h_weight.shape
        new = layer.h2h_weight.detach().new_empty
        self.fits = x.shape, layer.h2h_weight.dtype, layer.h2h_weight.device
        self.passes = 0
        self.layer, self.H = layer, H
        self.kernels = fused.kernels_for(layer.cell, layer.h2h_weight)
        self.cell = self.kernels or layer
        self.step_work = B * H * width if layer.h2h_weight.is_cpu else sys.maxsize
        # What the input adds to the gates' pre-activations. A step turns its part, needed nowhere else, into the gates.
        self.gates, self.d_gates = new(S, B, width), new(S + 1, B, width)  # zeros come last
        self.states = {name: new(S + 1, B, H) for name in STATES[layer.cell]}  # [t] goes into step t, [t + 1] comes out
        self.d_states = {name: new(S + 1, B, H) for name in STATES[layer.cell]}
        self.kept = {name: new(S, B, H) for name in layer.kept}
        self.steps = [self.step(t) for t in range(S)]
        self.all_steps = self.step(slice(None))
        self.d_i2h_weight, self.d_h2h_weight = new(layer.i2h_weight.shape), new(H, width)
        self.h2h_weight_t = new(width, H)  # a copy, since a product with a transposed view takes twice as long
        self.bias, self.d_bias = new(width), new(width)
        self.dx = new(x.shape) if x.is_floating_point() else None
        cheap = self.dx is None and not new(0).is_cpu and len(layer.i2h_weight) <= ONE_HOT_ROWS
        self.one_hot = torch.eye(len(layer.i2h_weight), out=new(0)) if cheap else None

    def step(self, t: int | slice) -> Step:
        """Returns views of step t; of several steps, with one axis more, where t is a slice.

        They are `gates` and `d_gates` (B, G·H); each gate, each block of gates and their gradients by name, such as i
        and d_i; each state before the step and after it and their gradients, such as c_prev, c, dc_prev and dc; and
        what the layer keeps. Each is (B, H) unless said otherwise.
        """
        s = Step(gates=self.gates[t], d_gates=self.d_gates[:-1][t])
        single = {name: slice(k * self.H, (k + 1) * self.H) for k, name in enumerate(GATES[self.layer.cell])}
        blocks = {name: slice(count * self.H) for name, count in self.layer.blocks.items()}
        for name, columns in (single | blocks).items():
            vars(s).update({name: s.gates[..., columns], f"d_{name}": s.d_gates[..., columns]})
        for states, d in (self.states, ""), (self.d_states, "d"):
            for name, state in states.items():
                vars(s).update({f"{d}{name}_prev": state[:-1][t], f"{d}{name}": state[1:][t]})
        vars(s).update({name: tensor[t] for name, tensor in self.kept.items()})
        return s

    def h2h_parts(self, weight: Tensor, transposed: bool) -> Sequence[Tensor]:
        """Returns W_h2h or its transpose in the parts that a step multiplies by."""
        if transposed:
            return self.layer.h2h_parts(self.h2h_weight_t.copy_(weight.t()), axis=0)
        return self.layer.h2h_parts(weight, axis=1)


class Unroll(torch.autograd.Function):
    """A layer for autograd: (x, state, parameters) to (outputs of all steps, state after the last)."""

    @staticmethod
    def forward(ctx, x, state, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer, buffers):
        b = buffers
        b.passes += 1
        ctx.layer, ctx.buffers, ctx.number = layer, b, b.passes
        ctx.save_for_backward(x, i2h_weight, h2h_weight)
        bias, gates = torch.add(i2h_bias, h2h_bias, out=b.bias), b.gates.flatten(0, 1)
        if b.dx is None:
            torch.index_select(i2h_weight, 0, x.flatten(), out=gates).add_(bias)
        else:
            torch.addmm(bias, x.flatten(0, 1), i2h_weight, out=gates)
        for before, values in zip(state, b.states.values()):
            values[0].copy_(before)
        weights = b.h2h_parts(h2h_weight, transposed=bool(b.kernels))  # kernels read rows, torch.mm columns
        with threads_worth(b.step_work):
            for s in b.steps:
                b.cell.forward_step(s, *weights)
        last_state = torch.stack([values[-1] for values in b.states.values()])
        ctx.mark_non_differentiable(last_state)
        return b.states["h"][1:], last_state

    @staticmethod
    def backward(ctx, dh_above, _):
        x, i2h_weight, h2h_weight = ctx.saved_tensors
        layer, b = ctx.layer, ctx.buffers
        if ctx.number != b.passes:
            raise RuntimeError("the layer ran forward again before this backward pass, which overwrote what it needs")
        for gradient in b.d_states.values():
            gradient[-1].zero_()  # no gradient comes from beyond the last step
        b.d_gates[-1].zero_()
        b.d_states["h"][0].zero_()
        b.d_states["h"][1:].copy_(dh_above)
        b.cell.slopes(b.all_steps)
        weights = b.h2h_parts(h2h_weight, transposed=not b.kernels)
        with threads_worth(b.step_work):
            for s in reversed(b.steps):
                b.cell.backward_step(s, *weights)
        d_gates = b.all_steps.d_gates.flatten(0, 1)
        torch.sum(d_gates, 0, out=b.d_bias)
        layer.h2h_gradient(b.all_steps, b.d_h2h_weight)
        if b.dx is None:
            sum_rows(x.flatten(), d_gates, b.one_hot, out=b.d_i2h_weight)
        else:
            torch.mm(x.flatten(0, 1).t(), d_gates, out=b.d_i2h_weight)
            torch.mm(d_gates, i2h_weight.t(), out=b.dx.flatten(0, 1))
        return b.dx, None, b.d_i2h_weight, b.d_bias, b.d_h2h_weight, b.d_bias, None, None


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
    """Fills each row of out (V, W) with the sum of those rows (N, W) that have its index, always in the same order.

    On a CPU index_add_ does so; on a GPU it adds in any order, so the same run could end differently each time. There,
    one_hot (V, V) may be the identity.
    """
    if out.is_cpu:
        out.zero_().index_add_(0, indices, rows)
    elif one_hot is not None:
        torch.mm(one_hot.index_select(0, indices).t(), rows, out=out)
    else:
        out.zero_().index_put_((indices,), rows, accumulate=True)  # which sorts the indices first
