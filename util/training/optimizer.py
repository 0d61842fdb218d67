"""The optimizers, written out: torch.optim imports the compiler, which takes longer than our first iterations.

Each works on one vector of parameters p and one of their gradients g; on a CPU in pieces, so that each piece stays in
the cache through all operations on it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PIECE = 1 << 16
EPSILON = 1e-8


class Optimizer:
    """Keeps running means of the gradient, each as long as the parameters, by the names in `means`."""

    means: tuple[str, ...]

    def __init__(self, parameters: Tensor, gradient: Tensor, decay_rate: float) -> None:
        self.decay_rate = decay_rate
        self.state = {name: torch.zeros_like(parameters) for name in self.means}
        size = PIECE if parameters.device.type == "cpu" else parameters.numel()
        root = torch.empty_like(parameters[:size])  # for the square roots
        vectors = parameters, gradient, *self.state.values()
        self._pieces = [(*piece, root[: len(piece[0])]) for piece in zip(*(vector.split(size) for vector in vectors))]

    def clamped(self, grad_clip: float) -> Iterator[tuple[Tensor, ...]]:
        """Clamps each element of the gradient to ± grad_clip; yields pieces of p, g, the means and scratch space."""
        for piece in self._pieces:
            piece[1].clamp_(-grad_clip, grad_clip)
            yield piece

    def step(self, iteration: int, learning_rate: float, grad_clip: float) -> None:
        """Clamps the gradient and updates the parameters; iterations count from 1."""
        raise NotImplementedError


class RMSprop(Optimizer):
    """Divides the gradient by a running mean of its size.

        m = alpha m + (1 - alpha) g²
        p = p - learning_rate g / (sqrt(m) + epsilon)

    Tieleman and Hinton (2012), in Torch7's form, with -decay_rate as alpha; torch.optim.RMSprop computes the same.
    """

    means = ("square_avg",)

    def step(self, iteration: int, learning_rate: float, grad_clip: float) -> None:
        for p, g, m, root in self.clamped(grad_clip):
            m.mul_(self.decay_rate).addcmul_(g, g, value=1 - self.decay_rate)
            p.addcdiv_(g, torch.sqrt(m, out=root).add_(EPSILON), value=-learning_rate)


class Adam(Optimizer):
    """Keeps running means of the gradient and of its square, both corrected for starting at zero.

        a = beta1 a + (1 - beta1) g
        m = beta2 m + (1 - beta2) g²
        p = p - learning_rate (a / (1 - beta1^t)) / (sqrt(m / (1 - beta2^t)) + epsilon)

    Kingma and Ba (2015), with their constants.
    """

    means = ("avg", "square_avg")
    beta1, beta2 = 0.9, 0.999

    def step(self, iteration: int, learning_rate: float, grad_clip: float) -> None:
        step_size = learning_rate / (1 - self.beta1**iteration)
        correction = (1 - self.beta2**iteration) ** 0.5
        for p, g, a, m, root in self.clamped(grad_clip):
            a.lerp_(g, 1 - self.beta1)
            m.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
            p.addcdiv_(a, torch.sqrt(m, out=root).div_(correction).add_(EPSILON), value=-step_size)


OPTIMIZERS = {"rmsprop": RMSprop, "adam": Adam}
