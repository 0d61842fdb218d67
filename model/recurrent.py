"""What the recurrent layers share: parameters, buffers, and everything that does not depend on the step before.

A cell computes its gates from its input x_t and its previous output h_{t-1}:

    a_t = W_i2h x_t + b_i2h + W_h2h h_{t-1} + b_h2h

Only the last product depends on the step before. `input_product` computes the rest for all steps at once,
so that the loop over time in lstm.py, gru.py and rnn.py keeps one small product and a few pointwise operations.

Letters: S time steps, B streams, I inputs, H outputs of the layer, G gates. Time is the first axis everywhere.
Weights are kept (inputs, outputs), the transpose of Torch's: a row is what one input adds to every gate.

tanh x = 2 sigmoid(2x) - 1, and a vectorised sigmoid takes a fraction of the time of tanh. The cells therefore double
the pre-activation of what the equations send through tanh, and take one sigmoid over all gates.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

CACHE_BYTES = 2 << 20  # of a core's second level and its share of the third, on common processors


class RecurrentLayer(nn.Module):
    """A layer of H cells over S steps; a subclass says how many gates and states a cell has, and unrolls it.

    `forward(x, state)` takes x, either (S, B) integer indices, which stand for one-hot vectors, or (S, B, I) numbers,
    and the state before the first step, (num_states, B, H) with the output h last. It returns the outputs (S, B, H)
    and the state after the last step. No gradient goes through either state: backpropagation is truncated at the
    borders of a batch. The outputs live in the layer's buffers until its next forward pass; a backward pass after
    that raises RuntimeError.
    """

    num_gates: int
    num_states: int
    unrolled: type[torch.autograd.Function]
    workspace_type: type[Workspace]

    def __init__(self, input_size: int, rnn_size: int) -> None:
        super().__init__()
        self.input_size, self.rnn_size = input_size, rnn_size
        width = self.num_gates * rnn_size
        self.i2h_weight = nn.Parameter(torch.zeros(input_size, width))
        self.i2h_bias = nn.Parameter(torch.zeros(width))
        self.h2h_weight = nn.Parameter(torch.zeros(rnn_size, width))
        self.h2h_bias = nn.Parameter(torch.zeros(width))
        self._workspace: Workspace | None = None

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.unrolled.apply(x, state, self.i2h_weight, self.i2h_bias, self.h2h_weight, self.h2h_bias, self)

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Views of the parameters in the flat order of the reference, weights as (outputs, inputs)."""
        yield self.i2h_weight.t()
        yield self.i2h_bias
        yield self.h2h_weight.t()
        yield self.h2h_bias

    def workspace(self, steps: int, batch: int) -> Workspace:
        """The layer's buffers, made anew only when their shape, type or device changes."""
        like, ws = self.h2h_weight.detach(), self._workspace
        if ws is None or ws.key != (steps, batch, like.dtype, like.device):
            ws = self._workspace = self.workspace_type(steps, batch, self.rnn_size, self.num_gates, like)
        return ws


class Workspace:
    """Buffers of a layer for S steps of B streams, with the views of each step made once.

    Memory asked for anew in every iteration is paged in anew in every iteration, which can cost as much as the
    arithmetic. The buffers of the backward pass come into being with the first one.
    """

    gradients_type: type[Gradients]

    def __init__(self, steps: int, batch: int, rnn_size: int, num_gates: int, like: Tensor) -> None:
        self.key = (steps, batch, like.dtype, like.device)
        self.S, self.B, self.H, self.G = steps, batch, rnn_size, num_gates
        self._like = like
        self._passes = 0
        self._gradients: Gradients | None = None
        self.gates = self.new(steps, batch, num_gates * rnn_size)
        self.h = self.new(steps + 1, batch, rnn_size)  # h[t] goes into step t and h[t + 1] comes out of it
        self.bias = self.new(num_gates * rnn_size)
        self.h2h_weight = self.new(rnn_size, num_gates * rnn_size)  # as the loop forward wants it
        self.h2h_weight_t = self.new(num_gates * rnn_size, rnn_size)  # as the loop backward wants it
        self.minus_one = self.new().fill_(-1)

    def new(self, *shape: int) -> Tensor:
        """An uninitialised tensor of the workspace's type and device."""
        return self._like.new_empty(shape)

    def per_gate(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """(S, B, G·H) as one view (S, B, H) for each gate."""
        return tensor.view(self.S, self.B, self.G, self.H).unbind(2)

    def blocks(self) -> list[slice]:
        """The steps in groups, last one first, each small enough that what is computed for it stays in the cache."""
        step_bytes = 12 * self.B * self.H * self._like.element_size()
        size = max(1, CACHE_BYTES // step_bytes)
        return [slice(start, min(start + size, self.S)) for start in range(0, self.S, size)][::-1]

    def begin(self) -> int:
        """Claims the buffers for a forward pass; returns its number."""
        self._passes += 1
        return self._passes

    def gradients(self, number: int, input_size: int | None) -> Gradients:
        """The buffers for the backward pass of that forward pass; input_size is None for indices.

        Raises RuntimeError where another forward pass has overwritten the buffers since.
        """
        if number != self._passes:
            raise RuntimeError("the layer ran forward again before this backward pass, which overwrote what it needs")
        if self._gradients is None:
            self._gradients = self.gradients_type(self, input_size)
        return self._gradients


class Gradients:
    """What a backward pass writes: the gradient of the gates' pre-activations, and what follows from it."""

    def __init__(self, ws: Workspace, input_size: int | None) -> None:
        self.gates = ws.new(ws.S, ws.B, ws.G * ws.H)
        self.dh = ws.new(ws.B, ws.H)
        self.bias = ws.new(ws.G * ws.H)
        self.h2h_weight = ws.new(ws.H, ws.G * ws.H)
        self.i2h_weight: Tensor | None = None
        self.x = None if input_size is None else ws.new(ws.S, ws.B, input_size)


def begin_forward(ctx, x, i2h_weight, i2h_bias, h2h_weight, h2h_bias, layer) -> Workspace:
    """The layer's buffers for a forward pass, with W_i2h x_t and both biases in `gates` for all steps."""
    ctx.ws = ws = layer.workspace(*x.shape[:2])
    ctx.number = ws.begin()
    ctx.save_for_backward(x, i2h_weight, h2h_weight)
    input_product(x, i2h_weight, torch.add(i2h_bias, h2h_bias, out=ws.bias), out=ws.gates)
    return ws


def begin_backward(ctx) -> tuple[Workspace, Gradients]:
    """The buffers of the forward pass, with the transpose of W_h2h in `h2h_weight_t`, and those for this one."""
    x, _, h2h_weight = ctx.saved_tensors
    ctx.ws.h2h_weight_t.copy_(h2h_weight.t())
    return ctx.ws, ctx.ws.gradients(ctx.number, x.shape[2] if x.is_floating_point() else None)


def end_backward(ctx, grads: Gradients) -> tuple[Tensor | None, ...]:
    """What the backward pass gives for each argument of the forward pass; both biases have the same gradient."""
    x, i2h_weight, _ = ctx.saved_tensors
    dx, d_i2h_weight, d_bias = input_gradients(x, i2h_weight, grads)
    return dx, None, d_i2h_weight, d_bias, grads.h2h_weight, d_bias, None


def input_product(x: Tensor, weight: Tensor, bias: Tensor, out: Tensor) -> None:
    """W x_t + b for all steps into out (S, B, G·H); x is (S, B) indices, each picking a row of W, or (S, B, I)."""
    rows = out.flatten(0, 1)
    if x.is_floating_point():
        torch.addmm(bias, x.flatten(0, 1), weight, out=rows)
    else:
        torch.index_select(weight, 0, x.flatten(), out=rows)
        rows.add_(bias)


def input_gradients(x: Tensor, weight: Tensor, grads: Gradients) -> tuple[Tensor | None, Tensor, Tensor]:
    """From the gates' gradients those of x (None for indices), of W_i2h, and of either bias."""
    rows = grads.gates.flatten(0, 1)
    torch.sum(rows, 0, out=grads.bias)
    if grads.i2h_weight is None:
        grads.i2h_weight = torch.empty_like(weight)
    if grads.x is None:
        grads.i2h_weight.zero_().index_add_(0, x.flatten(), rows)
    else:
        torch.mm(x.flatten(0, 1).t(), rows, out=grads.i2h_weight)
        torch.mm(rows, weight.t(), out=grads.x.flatten(0, 1))
    return grads.x, grads.i2h_weight, grads.bias
