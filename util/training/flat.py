"""A model's parameters as one vector. Letters: P parameters."""

from __future__ import annotations

import torch
from torch import nn


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
