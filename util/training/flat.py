"""A model's parameters as one vector, and their gradients as another, like Torch's getParameters."""

from __future__ import annotations

import torch
from torch import nn


class FlatParameters:
    """Moves a model's parameters into `values`, and their gradients into `gradient`; the model's own become views.

    So the optimizer, a norm, and the sum over processes are one operation each. `bucket` is the gradient plus two
    extra numbers, `extra`, to be summed over processes along with it.

    Create it once the model is on its device and in its precision: .to() would give the parameters new memory.
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
