"""A model's parameters as one vector, and their gradients as another, as Torch's getParameters has them."""

from __future__ import annotations

import torch
from torch import nn


class FlatParameters:
    """The parameters of a model in `values`, and their gradients in `gradient`; from now on the model's are views.

    So the optimizer, a norm, and a sum over processes are one operation each. `bucket` holds the gradient and, after
    it, two numbers more, `extra`, for what else is to be summed over processes.

    To be made when the model is on its device and in its precision: .to() would take its parameters out again.
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
