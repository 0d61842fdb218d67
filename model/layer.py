"""A recurrent layer: a cell's step over time, and what no step has to wait for.

A cell computes a layer's next state from the state before it and from what the input adds to its gates. Only the state
has to be waited for; what the inputs add is computed here for all steps at once. Autograd finds the way back.

Letters: S time steps, B streams, I inputs, H units of the layer, G gates. Time is the first axis everywhere.
Weights are (inputs, outputs), the transpose of Torch's: a row is what one input adds to every gate.
"""

from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from model.cells import CELLS


class Layer(nn.Module):
    """H units of a cell, which `model` names, over S steps.

    `forward(x, state)` takes x, either (S, B) integer indices, which stand for one-hot vectors, or (S, B, I) numbers,
    and the state before the first step, (states, B, H) with the output h last. It returns the outputs (S, B, H)
    and the state after the last step. No gradient goes through either state: backpropagation is truncated at the
    borders of a batch.
    """

    i2h_weight: Tensor  # (I, G·H)
    i2h_bias: Tensor  # (G·H,)
    h2h_weight: Tensor  # (H, G·H)
    h2h_bias: Tensor  # (G·H,)

    def __init__(self, model: str, input_size: int, rnn_size: int) -> None:
        super().__init__()
        self.model, self.cell, self.rnn_size = model, CELLS[model], rnn_size
        for name, shape in self.cell.shapes(input_size, rnn_size).items():
            setattr(self, name, nn.Parameter(torch.zeros(shape)))

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        # The gradient of weight[x] would depend on how two threads meet; that of embedding does not.
        from_x = x @ self.i2h_weight if x.is_floating_point() else embedding(x, self.i2h_weight)
        # A copy of the state, since the caller may overwrite its own before the way back.
        states, outputs = state.detach().clone().unbind(), []
        extra = {name: getattr(self, name) for name in self.cell.extra_shapes(self.rnn_size)}
        p = SimpleNamespace(h2h=self.h2h_weight.split(self.cell.widths(self.rnn_size), 1), **extra)
        for a in from_x + (self.i2h_bias + self.h2h_bias):
            states = self.cell.step(torch, a, p, *states)
            outputs.append(states[-1])
        return torch.stack(outputs), torch.stack(states).detach()

    def open_gates(self) -> None:
        """Sets the i2h biases of the gates that start open to 1."""
        for gate in self.cell.start_open:
            self.i2h_bias[self._columns(gate)] = 1

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the original's flat order, weights as (outputs, inputs)."""
        maps = {"i2h": (self.i2h_weight, self.i2h_bias), "h2h": (self.h2h_weight, self.h2h_bias)}
        for name, gate in self.cell.linear_maps:
            weight, bias = maps[name]
            columns = self._columns(gate)
            yield weight[:, columns].t()
            yield bias[columns]
        for name in self.cell.extra_shapes(self.rnn_size):
            yield getattr(self, name)

    def _columns(self, gate: str | None) -> slice:
        """Returns where a gate's block is in the weights; None stands for all gates."""
        if gate is None:
            return slice(None)
        first = self.cell.gates.index(gate) * self.rnn_size
        return slice(first, first + self.rnn_size)
