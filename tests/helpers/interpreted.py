"""The GPU's kernels without a GPU: Triton's interpreter computes them on a CPU, and plain cells say what is right.

    python -m tests.helpers.interpreted

prints, as JSON, the largest relative error of each case. In a process of its own, since Triton must know before it is
imported. It needs the package triton, but nothing else of a GPU.
"""

import json
import os
import sys
from collections.abc import Iterator

import torch
from torch import Tensor

from model.fast import launch
from model.fast.unrolled import FAST, Unrolled
from tests.helpers.fake_gpu import trainer

SIZES = ((2, 1, 20, 3), (1, 17, 12, 20))
LARGE = {"lstm": ((2, 1, 140, 5), (1, 1, 260, 2)), "rnn": ((1, 1, 140, 2),)}
"""Steps, streams, units and inputs: no multiples of a tile, and for each of launch.py's tiles a product that takes it.

The product is one for all cells. Of one step, that of its backward pass is with zeros.
"""


def error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).norm() / expected.norm()).item()


def layer_results(cell: str, S: int, B: int, H: int, inputs: int, use_kernels: bool) -> Iterator[Tensor]:
    """Outputs, last state and all gradients of a layer; with kernels in single precision, without in double."""
    generator = torch.Generator().manual_seed(S + B + H)
    numbers = [torch.randn(shape, generator=generator) for shape in ((S, B, inputs), (2, B, H), (S, B, H))]
    x, state, d_outputs = (values if use_kernels else values.double() for values in numbers)
    layer = Unrolled(cell, inputs, H).to(x.dtype)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / H**0.5)
    x.requires_grad_()
    outputs, last = layer(x, state[: len(layer.cell.states)])
    outputs.backward(d_outputs)
    assert layer._learning.all_steps.in_kernels == use_kernels
    yield from (outputs, last, x.grad, *(parameter.grad for parameter in layer.parameters()))


def trainer_results(cell: str, use_kernels: bool) -> Iterator[Tensor]:
    """Loss, gradient and state of an iteration."""
    launch.why_not = lambda device: "" if use_kernels else "for comparison"
    found = trainer(cell, device="cpu", dropout=0.3)
    random = torch.Generator()
    found.model.initialize(lambda n, *_: torch.rand(n, generator=random.manual_seed(n)).numpy() - 0.5)
    found.step()
    assert found.model.layers[1]._learning.all_steps.in_kernels == use_kernels
    yield from (found.flat.loss, found.flat.gradient, found.state)


def main() -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    launch.why_not = lambda device: ""
    errors = {}
    for cell in FAST:
        for sizes in (*SIZES, *LARGE.get(cell, ())):
            both = (layer_results(cell, *sizes, use_kernels=use_kernels) for use_kernels in (True, False))
            errors[f"{cell} {sizes}"] = max(error(*pair) for pair in zip(*both, strict=True))
    for cell in FAST:
        both = (trainer_results(cell, use_kernels) for use_kernels in (True, False))
        errors[f"{cell} trainer"] = max(error(*pair) for pair in zip(*both, strict=True))
    json.dump(errors, sys.stdout)


if __name__ == "__main__":
    main()
