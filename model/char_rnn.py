"""The character-level language model: one-hot input, recurrent layers with dropout between, a linear decoder.

Letters: S time steps, B streams, V characters in the vocabulary, H outputs of a layer, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.gru import GRU
from model.layer import Layer
from model.lstm import LSTM
from model.rnn import RNN
from model.shapes import STATES

CELLS: dict[str, type[Layer]] = {"lstm": LSTM, "gru": GRU, "rnn": RNN}


class CharRNN(nn.Module):
    """Predicts the next character of each of B streams from all characters before it."""

    def __init__(self, vocab_size: int, rnn_size: int, num_layers: int, model: str = "lstm") -> None:
        super().__init__()
        self.rnn_size, self.num_layers = rnn_size, num_layers
        self.num_states = len(STATES[model])
        self.layers = nn.ModuleList(
            CELLS[model](vocab_size if layer == 0 else rnn_size, rnn_size) for layer in range(num_layers)
        )
        self.decoder = nn.Linear(rnn_size, vocab_size)  # skip_init would import sympy, a third of a second
        nn.init.zeros_(self.decoder.weight)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, x: Tensor, state: Tensor, masks: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Returns log-probabilities (S, B, V) of the characters that follow x (S, B), and the state after them.

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
        """Returns the state before the first character of `batch` streams, zeros (L, num_states, B, H)."""
        return self.decoder.weight.new_zeros(self.num_layers, self.num_states, batch, self.rnn_size)

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the flat order of the reference, weights as (outputs, inputs)."""
        layer: Layer
        for layer in self.layers:  # type: ignore[assignment]
            yield from layer.torch7_parameters()
        yield self.decoder.weight
        yield self.decoder.bias

    @torch.no_grad()
    def initialize(self, uniform: Callable[[int], Tensor]) -> None:
        """Draws all parameters from `uniform`, which returns as many numbers as asked; LSTM forget gates start open."""
        for parameter in self.torch7_parameters():
            parameter.copy_(uniform(parameter.numel()).view(parameter.shape))
        for layer in self.layers:
            if isinstance(layer, LSTM):
                _, forget, _, _ = layer.i2h_bias.split(self.rnn_size)
                forget.fill_(1)

    @torch.no_grad()
    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Sets every parameter from the array of its name."""
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.tensor(arrays[name]))

    @classmethod
    def from_arrays(cls, shape: tuple[int, int, int, str], arrays: Mapping[str, np.ndarray]) -> CharRNN:
        """Returns the model of this shape (V, H, L, cell) with these parameters by name, in their precision."""
        model = cls(*shape).to(torch.tensor(arrays["decoder.bias"]).dtype)
        model.load_arrays(arrays)
        return model

    def stepper(self, texts: int = 1) -> Callable[[np.ndarray], np.ndarray]:
        """Returns a function that feeds a character to each of N texts, (N,) indices, from a zero state.

        It returns the log-probabilities (N, V) of the next characters. See model/stepper.py for one in numpy.
        """
        state = self.zero_state(texts)

        @torch.no_grad()
        def step(indices: np.ndarray) -> np.ndarray:
            nonlocal state
            log_probs, state = self(torch.as_tensor(indices, device=state.device)[None], state)
            return log_probs[0].cpu().numpy()

        return step
