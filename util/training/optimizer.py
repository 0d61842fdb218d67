"""A model's parameters as one vector, and what updates it. Letters: P parameters.

The optimizers are written out since torch.optim imports the compiler, which takes longer than our first iterations.
"""

import torch
from torch import Tensor, nn

from util.checkpoint.content import OPTIMIZER_STATE

EPSILON = 1e-8


class FlatParameters:
    """Moves a model's parameters into one vector, `values` (P,), and their gradients into `gradient` (P,).

    The model's own become views of these, so the optimizer and a norm are one operation each. Behind the gradient, in
    `summed` (P + 2,), lie two numbers: the `loss`, and in how many processes somebody asked to `stop`. So a sum over
    several processes is one operation, too. The model must be on its device and in its precision already: .to() would
    give the parameters new memory.
    """

    def __init__(self, model: nn.Module) -> None:
        parameters = list(model.parameters())
        sizes = [parameter.numel() for parameter in parameters]
        self.values = torch.cat([parameter.detach().flatten() for parameter in parameters])
        self.summed = self.values.new_zeros(sum(sizes) + 2)
        self.gradient, self.loss, self.stop = self.summed[:-2], self.summed[-2], self.summed[-1]
        for parameter, values, gradient in zip(parameters, self.values.split(sizes), self.gradient.split(sizes)):
            parameter.data = values.view_as(parameter)
            parameter.grad = gradient.view_as(parameter)


class Optimizer:
    """Updates the parameters p (P,) by their gradient g (P,); keeps running means (P,), by name, in `state`.

    The `step` of each makes one update, at a learning rate; iterations count from 1.
    """

    name: str

    def __init__(self, parameters: Tensor, gradient: Tensor, decay_rate: float) -> None:
        self.p, self.g, self.decay_rate = parameters, gradient, decay_rate
        self.state = {mean: torch.zeros_like(parameters) for mean in sorted(OPTIMIZER_STATE[self.name])}
        self.root = torch.empty_like(parameters)  # room for the square roots, which need not be asked for in each step


class RMSprop(Optimizer):
    """Divides the gradient by a running mean of its size.

        m = alpha m + (1 - alpha) g²
        p = p - learning_rate g / (sqrt(m) + epsilon)

    Tieleman and Hinton (2012), in Torch7's form, with -decay_rate as alpha; torch.optim.RMSprop computes the same.
    """

    name = "rmsprop"

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

    name = "adam"
    beta1, beta2 = 0.9, 0.999

    def step(self, iteration: int, learning_rate: float) -> None:
        a, m = self.state["avg"], self.state["square_avg"]
        a.lerp_(self.g, 1 - self.beta1)
        m.mul_(self.beta2).addcmul_(self.g, self.g, value=1 - self.beta2)
        root = torch.sqrt(m, out=self.root).div_((1 - self.beta2**iteration) ** 0.5).add_(EPSILON)
        self.p.addcdiv_(a, root, value=-learning_rate / (1 - self.beta1**iteration))


OPTIMIZERS = {optimizer.name: optimizer for optimizer in (RMSprop, Adam)}
