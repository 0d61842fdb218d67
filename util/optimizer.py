"""The optimizer, by hand: torch.optim imports the compiler, which takes longer than our first iteration."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK_SIZE = 1 << 16
EPSILON = 1e-8


class RMSprop:
    """Divides each element of the gradient by a running mean of its size.

        m = alpha m + (1 - alpha) g²
        p = p - learning_rate g / (sqrt(m) + epsilon)

    Tieleman and Hinton (2012), as Torch7 has it; torch.optim.RMSprop computes the same. It works on one vector of
    parameters and its .grad, piece by piece, so that each piece is in the cache for all of these operations.
    """

    def __init__(self, parameters: Tensor, alpha: float) -> None:
        assert parameters.grad is not None
        self.alpha = alpha
        self.square_avg = torch.zeros_like(parameters)
        self._scratch = torch.empty_like(parameters[:CHUNK_SIZE])
        self._chunks = list(
            zip(*(tensor.split(CHUNK_SIZE) for tensor in (parameters, parameters.grad, self.square_avg)))
        )

    def step(self, learning_rate: float, grad_clip: float) -> None:
        """Clamps each element of the gradient to ± grad_clip and updates the parameters."""
        for parameters, gradient, square_avg in self._chunks:
            gradient.clamp_(-grad_clip, grad_clip)
            square_avg.mul_(self.alpha).addcmul_(gradient, gradient, value=1 - self.alpha)
            root = torch.sqrt(square_avg, out=self._scratch[: len(square_avg)]).add_(EPSILON)
            parameters.addcdiv_(gradient, root, value=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        """The tensors, each as long as the parameters, that an exact continuation needs."""
        return {"square_avg": self.square_avg}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes on from what `state` gave."""
        self.square_avg.copy_(state["square_avg"])
