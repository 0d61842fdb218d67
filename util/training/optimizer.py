"""The optimizers, written out: torch.optim imports the compiler, which takes longer than our first iterations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

EPSILON = 1e-8


class FlatParameters:
    """Moves a model's parameters into one vector, `values`, and their gradients into `gradient`; its own become views.

    So the optimizer, a norm, and the sum over processes are one operation each. `bucket` is the gradient plus two
    extra numbers, `extra`, to be summed over processes along with it. The model must be on its device and in its
    precision already: .to() would give the parameters new memory.
    """

    def __init__(self, model: nn.Module) -> None:
        parameters = list(model.parameters())
        sizes = [parameter.numel() for parameter in parameters]
        self.values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.bucket = self.values.new_zeros(sum(sizes) + 2)
        self.gradient, self.extra = self.bucket[:-2], self.bucket[-2:]
        for parameter, values, gradient in zip(parameters, self.values.split(sizes), self.gradient.split(sizes)):
            parameter.data = values.view_as(parameter)
            parameter.grad = gradient.view_as(parameter)


class Optimizer:
    """Keeps running means of the gradient g, as long as the parameters p, by the names in `means`."""

    means: tuple[str, ...]

    def __init__(self, parameters: Tensor, gradient: Tensor, decay_rate: float) -> None:
        self.p, self.g, self.decay_rate = parameters, gradient, decay_rate
        self.state = {name: torch.zeros_like(parameters) for name in self.means}
        self.root = torch.empty_like(parameters)  # space for the square roots, which need not be asked for in each step

    def step(self, iteration: int, learning_rate: float) -> None:
        """Updates the parameters; iterations count from 1."""
        raise NotImplementedError


class RMSprop(Optimizer):
    """Divides the gradient by a running mean of its size.

        m = alpha m + (1 - alpha) g²
        p = p - learning_rate g / (sqrt(m) + epsilon)

    Tieleman and Hinton (2012), in Torch7's form, with -decay_rate as alpha; torch.optim.RMSprop computes the same.
    """

    means = ("square_avg",)

    def step(self, iteration: int, learning_rate: float) -> None:
        m, alpha = self.state["square_avg"], self.decay_rate
        m.mul_(alpha).addcmul_(self.g, self.g, value=1 - alpha)
        self.p.addcdiv_(self.g, torch.sqrt(m, out=self.root).add_(EPSILON), value=-learning_rate)


class Adam(Optimizer):
    """Keeps running means of the gradient and of its square, both corrected for starting at zero.

        a = beta1 a + (1 - beta1) g
        m = beta2 m + (1 - beta2) g²
        p = p - learning_rate (a / (1 - beta1^t)) / (sqrt(m / (1 - beta2^t)) + epsilon)

    Kingma and Ba (2015), with their constants.
    """

    means = ("avg", "square_avg")
    beta1, beta2 = 0.9, 0.999

    def step(self, iteration: int, learning_rate: float) -> None:
        a, m = self.state["avg"], self.state["square_avg"]
        a.lerp_(self.g, 1 - self.beta1)
        m.mul_(self.beta2).addcmul_(self.g, self.g, value=1 - self.beta2)
        root = torch.sqrt(m, out=self.root).div_((1 - self.beta2**iteration) ** 0.5).add_(EPSILON)
        self.p.addcdiv_(a, root, value=-learning_rate / (1 - self.beta1**iteration))


OPTIMIZERS = {"rmsprop": RMSprop, "adam": Adam}
