"""The optimizers, written out: torch.optim imports the compiler, which takes longer than our first iterations.

Each works on one vector of parameters and one of their gradients; on a CPU in pieces, so that each piece stays in the
cache through all operations on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK_SIZE = 1 << 16
EPSILON = 1e-8


class Optimizer:
    """Keeps running means of the gradient, each as long as the parameters, by the names in `state_names`."""

    state_names: tuple[str, ...]

    def __init__(self, parameters: Tensor, gradient: Tensor) -> None:
        self.state = {name: torch.zeros_like(parameters) for name in self.state_names}
        size = CHUNK_SIZE if parameters.device.type == "cpu" else parameters.numel()
        self._scratch = torch.empty_like(parameters[:size])
        tensors = (parameters, gradient, *self.state.values())
        self._chunks = list(zip(*(tensor.split(size) for tensor in tensors)))

    def restore(self, state: dict[str, Tensor]) -> None:
        """Copies another optimizer's `state`."""
        for name, tensor in self.state.items():
            tensor.copy_(state[name])

    def step(self, iteration: int, learning_rate: float, grad_clip: float) -> None:
        """Clamps each element of the gradient to ± grad_clip and updates the parameters; iterations count from 1."""
        raise NotImplementedError

    def _clamped(self, grad_clip: float) -> Iterator[tuple[Tensor, ...]]:
        """Yields pieces of the parameters, the clamped gradient and the state, and scratch space of the same size."""
        for chunk in self._chunks:
            chunk[1].clamp_(-grad_clip, grad_clip)
            yield *chunk, self._scratch[: len(chunk[0])]


class RMSprop(Optimizer):
    """Divides each element of the gradient g by a running mean of its size.

        m = alpha m + (1 - alpha) g²
        p = p - learning_rate g / (sqrt(m) + epsilon)

    Tieleman and Hinton (2012), in Torch7's form; torch.optim.RMSprop computes the same.
    """

    state_names = ("square_avg",)

    def __init__(self, parameters: Tensor, gradient: Tensor, alpha: float) -> None:
        super().__init__(parameters, gradient)
        self.alpha = alpha

    def step(self, iteration: int, learning_rate: float, grad_clip: float) -> None:
        for parameters, gradient, square_avg, root in self._clamped(grad_clip):
            square_avg.mul_(self.alpha).addcmul_(gradient, gradient, value=1 - self.alpha)
            torch.sqrt(square_avg, out=root).add_(EPSILON)
            parameters.addcdiv_(gradient, root, value=-learning_rate)


class Adam(Optimizer):
    """Keeps running means of the gradient g and of its square, both corrected for starting at zero.

        a = beta1 a + (1 - beta1) g
        m = beta2 m + (1 - beta2) g²
        p = p - learning_rate (a / (1 - beta1^t)) / (sqrt(m / (1 - beta2^t)) + epsilon)

    Kingma and Ba (2015), with their constants.
    """

    state_names = ("avg", "square_avg")
    beta1, beta2 = 0.9, 0.999

    def step(self, iteration: int, learning_rate: float, grad_clip: float) -> None:
        step_size = learning_rate / (1 - self.beta1**iteration)
        correction = (1 - self.beta2**iteration) ** 0.5
        for parameters, gradient, avg, square_avg, root in self._clamped(grad_clip):
            avg.lerp_(gradient, 1 - self.beta1)
            square_avg.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
            torch.sqrt(square_avg, out=root).div_(correction).add_(EPSILON)
            parameters.addcdiv_(avg, root, value=-step_size)
