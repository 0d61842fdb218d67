"""The character-level language model: one-hot input, recurrent layers with dropout between, a linear decoder.

Letters: S time steps, B streams, V characters in the vocabulary, H units of a layer, L layers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import nll_loss

from model.cells import CELLS, INITIAL_RANGE
from model.fast.unrolled import FAST, Unrolled
from model.layer import Layer
from model.stepper import States


class CharRNN(nn.Module):
    """Predicts the next character of each of B streams from all characters before it.

    A new one is to be filled: by `initialize`, or by `load_arrays`.
    """

    def __init__(self, vocab_size: int, rnn_size: int, num_layers: int, model: str = "lstm") -> None:
        super().__init__()
        self.rnn_size, self.num_layers, self.num_states = rnn_size, num_layers, len(CELLS[model].states)
        make = Unrolled if model in FAST else Layer
        sizes = [vocab_size] + [rnn_size] * (num_layers - 1)
        self.layers: Sequence[Layer] = nn.ModuleList(make(model, size, rnn_size) for size in sizes)  # type: ignore[assignment]
        self.decoder = nn.Linear(rnn_size, vocab_size)

    def forward(self, x: Tensor, state: Tensor, masks: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Returns log-probabilities (S, B, V) of the characters that follow x (S, B), and the state after them.

        state is (L, num_states, B, H); see `zero_state`. masks, for training with dropout, hold a tensor (S, B, H)
        of factors for the output of each layer. No gradient goes into the state.
        """
        h, states = x, []
        for number, (layer, before) in enumerate(zip(self.layers, state, strict=True)):
            h, after = layer(h, before)
            states.append(after)
            if masks is not None:
                h = h * masks[number]
        return torch.log_softmax(self.decoder(h), dim=-1), torch.stack(states)

    @torch.no_grad()
    def batch_loss(self, x: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Predicts y (S, B) from x (S, B), without dropout; returns the sum of the losses in nats and the new state."""
        log_probs, state = self(x, state)
        return nll_loss(log_probs.flatten(0, 1), y.flatten(), reduction="sum").double(), state

    def zero_state(self, batch: int) -> Tensor:
        """Returns the state before the first character of `batch` streams, zeros (L, num_states, B, H)."""
        return self.decoder.weight.new_zeros(self.num_layers, self.num_states, batch, self.rnn_size)

    def torch7_parameters(self) -> Iterator[Tensor]:
        """Yields views of the parameters in the original's flat order, weights as (outputs, inputs)."""
        for layer in self.layers:
            yield from layer.torch7_parameters()
        yield self.decoder.weight
        yield self.decoder.bias

    @torch.no_grad()
    def initialize(self, uniform: Callable[[int, float, float], np.ndarray]) -> None:
        """Draws all parameters; `uniform(count, low, high)` returns so many numbers. Then opens some gates."""
        for parameter in self.torch7_parameters():
            drawn = uniform(parameter.numel(), -INITIAL_RANGE, INITIAL_RANGE)
            parameter.copy_(torch.from_numpy(drawn).view(parameter.shape))
        for layer in self.layers:
            layer.open_gates()

    @torch.no_grad()
    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Sets every parameter from the array of its name."""
        for name, parameter in self.named_parameters():
            parameter.copy_(torch.tensor(arrays[name]))

    @classmethod
    def from_arrays(cls, shape: tuple[int, int, int, str], arrays: Mapping[str, np.ndarray]) -> Self:
        """Returns the model of this shape (V, H, L, cell) with these parameters by name, in their precision."""
        model = cls(*shape).to(torch.tensor(arrays["decoder.bias"]).dtype)
        model.load_arrays(arrays)
        return model

    def stepper(self, texts: int, states: Sequence[States]) -> Callable[[np.ndarray], np.ndarray]:
        """Returns a function that feeds a character to each of N texts, (N,), which all begin with these states.

        It returns the log-probabilities (N, V) of the next characters. See model/stepper.py for one in numpy.
        """
        start = torch.from_numpy(np.array(states)).to(self.decoder.weight.device)  # (L, num_states, H)
        state = start[:, :, None].expand(-1, -1, texts, -1)

        @torch.no_grad()
        def step(indices: np.ndarray) -> np.ndarray:
            nonlocal state
            log_probs, state = self(torch.as_tensor(indices, device=state.device)[None], state)
            return log_probs[0].cpu().numpy()

        return step
