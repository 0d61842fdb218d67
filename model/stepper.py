"""The model one character at a time, for sampling: numpy alone, one stream, buffers made once.

The equations are those of lstm.py, gru.py and rnn.py. All gates of a cell go through one tanh, since
sigmoid(x) = (1 + tanh(x / 2)) / 2: the weights of the gates that want a sigmoid are halved beforehand.
"""

from __future__ import annotations

import numpy as np

Parameters = dict[str, np.ndarray]


class Stepper:
    """Feeds characters to a model, from a zero state, and gives the log-probabilities of the next one.

    `parameters` are those of model.char_rnn.CharRNN by name, float32 or float64, and `model` names the cell.
    """

    def __init__(self, parameters: Parameters, num_layers: int, model: str) -> None:
        self._layers = [CELLS[model](parameters, f"layers.{layer}.") for layer in range(num_layers)]
        self._weight, self._bias = parameters["decoder.weight"], parameters["decoder.bias"]
        self._log_probs = np.empty_like(self._bias)
        self._exp = np.empty_like(self._bias)

    def __call__(self, index: int) -> np.ndarray:
        """Log-probabilities (V,) after the character `index`; overwritten by the next call."""
        h = self._layers[0].step(self._layers[0].rows[index])
        for layer in self._layers[1:]:
            h = layer.step_above(h)
        log_probs = np.dot(self._weight, h, out=self._log_probs)
        log_probs += self._bias
        log_probs -= log_probs.max()
        log_probs -= np.log(np.exp(log_probs, out=self._exp).sum())
        return log_probs


class Cell:
    """One layer. A subclass says which of its gates are candidates (tanh) and steps."""

    candidate: int
    """The index of the gate that goes through tanh; the others go through a sigmoid."""

    def __init__(self, parameters: Parameters, prefix: str) -> None:
        h2h = parameters[prefix + "h2h_weight"]
        H, width = h2h.shape
        self.H = H
        scale = np.full(width, 0.5, h2h.dtype)
        scale[self.candidate * H : (self.candidate + 1) * H] = 1
        self.scale, self.shift = scale, 1 - scale
        self.h2h = h2h * scale
        # One row for each input: what it adds to the gates. A character picks its row with the biases in it.
        self.rows = parameters[prefix + "i2h_weight"] * scale
        self.bias = (parameters[prefix + "i2h_bias"] + parameters[prefix + "h2h_bias"]) * scale
        self.from_below = np.empty_like(self.bias)
        self.gates = np.empty_like(self.bias)
        self.h = np.zeros(H, h2h.dtype)

    def step_above(self, h_below: np.ndarray) -> np.ndarray:
        """The output after an input from the layer below."""
        return self.step(np.dot(h_below, self.rows, out=self.from_below))

    def step(self, from_below: np.ndarray) -> np.ndarray:
        """The output h after an input, given as W_i2h x."""
        raise NotImplementedError

    def activate(self, gates: np.ndarray, part: slice) -> None:
        """Pre-activations to activations, in place; `part` says where in the layer's gates they lie."""
        np.tanh(gates, out=gates)
        gates *= self.scale[part]
        gates += self.shift[part]


class LSTMCell(Cell):
    candidate = 3

    def __init__(self, parameters: Parameters, prefix: str) -> None:
        super().__init__(parameters, prefix)
        self.i, self.f, self.o, self.g = self.gates.reshape(4, self.H)
        self.c, self.tanh_c = np.zeros_like(self.h), np.empty_like(self.h)

    def step(self, from_below: np.ndarray) -> np.ndarray:
        gates = np.dot(self.h, self.h2h, out=self.gates)
        gates += from_below
        gates += self.bias
        self.activate(gates, slice(None))
        self.c *= self.f
        self.g *= self.i
        self.c += self.g
        return np.multiply(self.o, np.tanh(self.c, out=self.tanh_c), out=self.h)


class GRUCell(Cell):
    candidate = 2

    def __init__(self, parameters: Parameters, prefix: str) -> None:
        super().__init__(parameters, prefix)
        self.z, self.r, self.n = self.gates.reshape(3, self.H)
        self.zr, self.zr_part, self.n_part = self.gates[: 2 * self.H], slice(2 * self.H), slice(2 * self.H, None)
        self.h2h_zr = np.ascontiguousarray(self.h2h[:, self.zr_part])
        self.h2h_n = np.ascontiguousarray(self.h2h[:, self.n_part])
        self.rh = np.empty_like(self.h)

    def step(self, from_below: np.ndarray) -> np.ndarray:
        np.dot(self.h, self.h2h_zr, out=self.zr)
        self.zr += from_below[self.zr_part]
        self.zr += self.bias[self.zr_part]
        self.activate(self.zr, self.zr_part)
        np.dot(np.multiply(self.r, self.h, out=self.rh), self.h2h_n, out=self.n)
        self.n += from_below[self.n_part]
        self.n += self.bias[self.n_part]
        np.tanh(self.n, out=self.n)
        self.n -= self.h
        self.n *= self.z
        self.h += self.n  # z n + (1 - z) h = h + z (n - h)
        return self.h


class RNNCell(Cell):
    candidate = 0

    def step(self, from_below: np.ndarray) -> np.ndarray:
        gates = np.dot(self.h, self.h2h, out=self.gates)
        gates += from_below
        gates += self.bias
        return np.tanh(gates, out=self.h)


CELLS: dict[str, type[Cell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}
