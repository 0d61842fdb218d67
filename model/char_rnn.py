"""The character-level language model: one-hot input, recurrent layers with dropout between, a linear decoder.

Letters: S time steps, B streams, V characters in the vocabulary, H outputs of a layer, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.gru import GRU
from model.lstm import LSTM
from model.recurrent import RecurrentLayer
from model.rnn import RNN

CELLS: dict[str, type[RecurrentLayer]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


class CharRNN(nn.Module):
    """Predicts the next character of each of B streams from all characters before it.

    All parameters lie in one vector, `flat`, and their gradients in `flat.grad`; the layers' parameters are views of
    it. So the optimizer, the norms and a sum over processes are each one operation. `bucket` holds the gradients and
    two numbers more, for what else is to be summed with them.
    """

    def __init__(self, vocab_size: int, rnn_size: int, num_layers: int, model: str = "lstm") -> None:
        super().__init__()
        self.vocab_size, self.rnn_size, self.num_layers = vocab_size, rnn_size, num_layers
        self.num_states = CELLS[model].num_states
        self.layers = nn.ModuleList(
            CELLS[model](vocab_size if layer == 0 else rnn_size, rnn_size) for layer in range(num_layers)
        )
        self.decoder = nn.utils.skip_init(nn.Linear, rnn_size, vocab_size)
        nn.init.zeros_(self.decoder.weight)
        nn.init.zeros_(self.decoder.bias)
        self._flatten()

    def forward(self, x: Tensor, state: Tensor, masks: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Log-probabilities (S, B, V) of the characters that follow x (S, B), and the state after them.

        state is (L, num_states, B, H); see `zero_state`. masks, for training with dropout, hold a tensor (S, B, H)
        of factors for the output of each layer. No gradient goes into the state.
        """
        h, states = x, []
        for layer, (cell, layer_state) in enumerate(zip(self.layers, state)):
            h, last_state = cell(h, layer_state)
            states.append(last_state)
            if masks is not None:
                h = h * masks[layer]
        return torch.log_softmax(self.decoder(h), dim=-1), torch.stack(states)

    def zero_state(self, batch: int) -> Tensor:
        """The state before the first character of `batch` streams: zeros (L, num_states, B, H)."""
        return self.flat.new_zeros(self.num_layers, self.num_states, batch, self.rnn_size)

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Views of the parameters in the flat order of the reference, weights as (outputs, inputs)."""
        layer: RecurrentLayer
        for layer in self.layers:  # type: ignore[assignment]
            yield from layer.torch7_parameters()
        yield self.decoder.weight
        yield self.decoder.bias

    @torch.no_grad()
    def initialize(self, uniform: Callable[[int], Tensor]) -> None:
        """All parameters from `uniform`, which gives that many numbers; then LSTM forget gates biased to remember."""
        for parameter in self.torch7_parameters():
            parameter.copy_(uniform(parameter.numel()).view(parameter.shape))
        for layer in self.layers:
            if isinstance(layer, LSTM):
                layer.i2h_bias[self.rnn_size : 2 * self.rnn_size] = 1

    @torch.no_grad()
    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Sets every parameter from the array of its name."""
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.tensor(arrays[name]))

    @classmethod
    def from_arrays(cls, shape: tuple[int, int, int, str], arrays: Mapping[str, np.ndarray]) -> CharRNN:
        """The model of this shape (V, H, L, cell) with the arrays of its parameters' names, in their precision."""
        model = cls(*shape).to(torch.tensor(arrays["decoder.bias"]).dtype)
        model.load_arrays(arrays)
        return model

    def stepper(self, texts: int = 1) -> Callable[[np.ndarray], np.ndarray]:
        """Returns a function that feeds a character to each of N texts, (N,) indices, from a zero state.

        Each call gives the log-probabilities (N, V) of the next characters. See model/stepper.py for one in numpy.
        """
        state = self.zero_state(texts)

        @torch.no_grad()
        def step(indices: np.ndarray) -> np.ndarray:
            nonlocal state
            log_probs, state = self(torch.as_tensor(indices, device=state.device)[None], state)
            return log_probs[0].cpu().numpy()

        return step

    def _flatten(self) -> None:
        """Moves the parameters into one vector, and their gradients into another."""
        parameters = list(self.parameters())
        sizes = [p.numel() for p in parameters]
        self.flat = torch.cat([p.detach().flatten() for p in parameters])
        self.bucket = self.flat.new_zeros(self.flat.numel() + 2)
        self.flat.grad = self.bucket[:-2]
        for p, values, gradients in zip(parameters, self.flat.split(sizes), self.flat.grad.split(sizes)):
            p.data = values.view(p.shape)
            p.grad = gradients.view(p.shape)

    def _apply(self, fn, recurse=True):
        """What .to(), .double() and their kin go through: they give each parameter memory of its own."""
        super()._apply(fn, recurse)
        self._flatten()
        return self
