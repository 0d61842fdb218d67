"""The model one character at a time, for sampling: in numpy alone, by the equations of cells.py.

N texts are computed side by side, as matrices. A single one, N = 1, uses vectors, whose products are faster. So the
shapes inside are (..., H), which is (N, H) or, for a single text, (H,).
"""

from collections.abc import Sequence
from copy import copy
from types import SimpleNamespace
from typing import Self

import numpy as np

from model.cells import CELLS, Cell

Parameters = dict[str, np.ndarray]
States = tuple[np.ndarray, ...]
"""A layer's, (..., H) each, in the order of its cell's `states`."""


class Stepper:
    """Feeds characters to a model, from a zero state, and returns the log-probabilities of the next ones.

    `parameters` are those of model.char_rnn.CharRNN by name, float32 or float64, `model` names the cell, and `texts`
    is N. `states` holds each layer's states, (..., H); nothing in them is overwritten.
    """

    def __init__(self, parameters: Parameters, num_layers: int, model: str, texts: int = 1) -> None:
        self.cell, self.xp = CELLS[model], Numpy(parameters["decoder.bias"].dtype)
        self.layers = [layer_of(parameters, layer, self.cell) for layer in range(num_layers)]
        self.rows = self.layers[0].i2h_weight + self.layers[0].bias  # what each character adds to the first layer
        self.decoder_weight = np.ascontiguousarray(parameters["decoder.weight"].T)
        self.decoder_bias = parameters["decoder.bias"]
        H = len(self.decoder_weight)
        zero = np.zeros((texts, H) if texts > 1 else H, self.rows.dtype)
        self.states: list[States] = [(zero,) * len(self.cell.states)] * num_layers

    def begin(self, texts: int, states: Sequence[States]) -> Self:
        """Returns one with the same weights for N texts that all begin with these states, each layer's (H,)."""
        new, H = copy(self), len(self.decoder_weight)
        shape = (texts, H) if texts > 1 else (H,)
        new.states = [tuple(np.array(np.broadcast_to(state, shape), order="C") for state in layer) for layer in states]
        return new

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """Returns the log-probabilities (N, V) after a character of each text, (N,)."""
        below = self.rows[indices if len(indices) > 1 else indices[0]]
        for k, layer in enumerate(self.layers):
            if k:
                below = below @ layer.i2h_weight
                below += layer.bias
            self.states[k] = self.cell.step(self.xp, below, layer, *self.states[k])
            below = self.states[k][-1]
        log_probs = below @ self.decoder_weight
        log_probs += self.decoder_bias
        log_probs -= np.maximum.reduce(log_probs, axis=-1, keepdims=True)
        log_probs -= np.log(np.add.reduce(np.exp(log_probs), axis=-1, keepdims=True))
        return log_probs.reshape(len(indices), -1)


class Numpy:
    """The functions that a cell calls, as torch has them."""

    tanh = staticmethod(np.tanh)

    def __init__(self, dtype: np.dtype) -> None:
        self.half = np.array(0.5, dtype)  # an array, since numpy is slower with a number

    @staticmethod
    def split(x: np.ndarray, size: int, axis: int) -> list[np.ndarray]:
        """Returns views of the blocks of a size that lie side by side along the last axis, -1."""
        return [x[..., start : start + size] for start in range(0, x.shape[-1], size)]

    def sigmoid(self, x: np.ndarray) -> np.ndarray:
        """Returns 1 / (1 + exp(-x)) = (1 + tanh(x / 2)) / 2, which cannot overflow."""
        y = x * self.half
        np.tanh(y, out=y)
        y *= self.half
        y += self.half
        return y


def layer_of(parameters: Parameters, layer: int, cell: type[Cell]) -> SimpleNamespace:
    """Returns a layer's parameters as a cell's step takes them, and `bias`, which is both in one."""
    prefix = f"layers.{layer}."
    own = {n.removeprefix(prefix): array for n, array in parameters.items() if n.startswith(prefix)}
    weight = own.pop("h2h_weight")
    ends = np.cumsum(cell.widths(len(weight)))
    p = SimpleNamespace(**{name: array.copy() for name, array in own.items()})  # a file's bytes may not be aligned
    p.h2h = [part.copy() for part in np.split(weight, ends[:-1], axis=1)]  # a product with a part of a matrix is slower
    p.bias = p.i2h_bias + p.h2h_bias
    return p
