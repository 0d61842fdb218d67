"""The model one character at a time, for sampling: in numpy alone, with buffers made once.

The equations are those of lstm.py, gru.py and rnn.py. All gates of a cell go through one tanh, since
sigmoid(x) = (1 + tanh(x / 2)) / 2: the weights of the gates that need a sigmoid are halved beforehand.

N texts are computed side by side, as matrices. A single one, N = 1, uses vectors, whose products are faster. So the
shapes inside are (..., H), which is (N, H) or, for a single text, (H,).
"""

from __future__ import annotations

import numpy as np

Parameters = dict[str, np.ndarray]
Shape = tuple[int, ...]


class Stepper:
    """Feeds characters to a model, from a zero state, and returns the log-probabilities of the next ones.

    `parameters` are those of model.char_rnn.CharRNN by name, float32 or float64, `model` names the cell, and `texts`
    is N. What visualize.py shows of `layers` is their `shown` (..., H): tanh c of an LSTM, h of the others.
    """

    def __init__(self, parameters: Parameters, num_layers: int, model: str, texts: int = 1) -> None:
        shape = (texts,) if texts > 1 else ()
        self.layers = [CELLS[model](parameters, layer, shape) for layer in range(num_layers)]
        self._weight = np.ascontiguousarray(parameters["decoder.weight"].T)
        self._bias = parameters["decoder.bias"]
        self._log_probs = np.empty((*shape, *self._bias.shape), self._bias.dtype)
        self._exp = np.empty_like(self._log_probs)
        self._result = self._log_probs.reshape(texts, -1)

    def __call__(self, indices: np.ndarray) -> np.ndarray:
        """Returns the log-probabilities (N, V) after a character of each text, (N,); the next call overwrites them."""
        h = self.layers[0].step(self.layers[0].rows[indices if len(indices) > 1 else indices[0]])
        for layer in self.layers[1:]:
            from_below = np.dot(h, layer.rows, out=layer.from_below)
            from_below += layer.bias
            h = layer.step(from_below)
        log_probs = np.dot(h, self._weight, out=self._log_probs)
        log_probs += self._bias
        log_probs -= log_probs.max(axis=-1, keepdims=True)
        log_probs -= np.log(np.exp(log_probs, out=self._exp).sum(axis=-1, keepdims=True))
        return self._result


class Cell:
    """One layer. Its last gate is a candidate, which goes through tanh; the others go through a sigmoid.

    `step` returns the output h (..., H) after an input, given as W_i2h x plus the biases.
    """

    def __init__(self, parameters: Parameters, layer: int, shape: Shape) -> None:
        i2h, h2h = (parameters[f"layers.{layer}.{name}_weight"] for name in ("i2h", "h2h"))
        i2h_bias, h2h_bias = (parameters[f"layers.{layer}.{name}_bias"] for name in ("i2h", "h2h"))
        self.H, width = h2h.shape
        self.scale = np.full(width, 0.5, h2h.dtype)
        self.scale[-self.H :] = 1
        self.shift = 1 - self.scale
        self.h2h = h2h * self.scale
        # One row for each input: what it adds to the gates. A character picks its row with the biases in it.
        self.bias = (i2h_bias + h2h_bias) * self.scale
        self.rows = i2h * self.scale + (0 if layer else self.bias)
        self.from_below = np.empty((*shape, width), h2h.dtype)
        self.gates = np.empty_like(self.from_below)
        self.h = self.shown = np.zeros((*shape, self.H), h2h.dtype)


class LSTMCell(Cell):
    def __init__(self, parameters: Parameters, layer: int, shape: Shape) -> None:
        super().__init__(parameters, layer, shape)
        self.i, self.f, self.o, self.g = np.split(self.gates, 4, axis=-1)
        self.c = np.zeros_like(self.h)
        self.tanh_c = self.shown = np.zeros_like(self.h)

    def step(self, from_below: np.ndarray) -> np.ndarray:
        gates = np.dot(self.h, self.h2h, out=self.gates)
        gates += from_below
        np.tanh(gates, out=gates)
        gates *= self.scale
        gates += self.shift  # i, f, o, g
        self.c *= self.f
        self.g *= self.i
        self.c += self.g  # c' = f c + i g
        return np.multiply(self.o, np.tanh(self.c, out=self.tanh_c), out=self.h)  # h' = o tanh c'


class GRUCell(Cell):
    def __init__(self, parameters: Parameters, layer: int, shape: Shape) -> None:
        super().__init__(parameters, layer, shape)
        self.h2h_zr, self.h2h_n = map(np.ascontiguousarray, np.split(self.h2h, [2 * self.H], axis=1))
        self.zr, self.n = map(np.empty_like, np.split(self.gates, [2 * self.H], axis=-1))
        self.z, self.r = np.split(self.zr, 2, axis=-1)
        self.half = self.scale[: 2 * self.H]  # an array, since numpy is slower with a number
        self.rh = np.empty_like(self.h)

    def step(self, from_below: np.ndarray) -> np.ndarray:
        zr = np.dot(self.h, self.h2h_zr, out=self.zr)
        zr += from_below[..., : 2 * self.H]
        np.tanh(zr, out=zr)
        zr *= self.half
        zr += self.half  # z, r
        n = np.dot(np.multiply(self.r, self.h, out=self.rh), self.h2h_n, out=self.n)
        n += from_below[..., 2 * self.H :]
        np.tanh(n, out=n)  # n
        n -= self.h
        n *= self.z
        self.h += n  # h' = z n + (1 - z) h = h + z (n - h)
        return self.h


class RNNCell(Cell):
    def step(self, from_below: np.ndarray) -> np.ndarray:
        gates = np.dot(self.h, self.h2h, out=self.gates)
        gates += from_below
        return np.tanh(gates, out=self.h)  # h' = tanh(a)


CELLS: dict[str, type[LSTMCell | GRUCell | RNNCell]] = {"lstm": LSTMCell, "gru": GRUCell, "rnn": RNNCell}
