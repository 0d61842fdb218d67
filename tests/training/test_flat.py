"""The vectors that training works on are the model's own parameters and gradients."""

import pytest
import torch

from model.char_rnn import CELLS, CharRNN
from util.training.flat import FlatParameters


@pytest.mark.parametrize("name", CELLS)
def test_the_flat_vector_is_the_parameters(name):
    model = CharRNN(7, 4, 2, name).double()
    model.initialize(lambda count: torch.arange(count, dtype=torch.float64))
    before = [p.detach().clone() for p in model.parameters()]
    flat = FlatParameters(model)
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
    for parameter in model.parameters():
        assert parameter.dtype == torch.float64
    x = torch.randint(0, 7, (5, 3))
    model(x, model.zero_state(3))[0].sum().backward()
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    grads = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.equal(values, flat.values) and torch.equal(grads, flat.gradient) and grads.any()
    flat.values.fill_(3)
    assert all((p == 3).all() for p in model.parameters())


def test_the_bucket_is_the_gradient_and_two_numbers_more():
    flat = FlatParameters(CharRNN(7, 4, 2, "rnn"))
    flat.gradient.fill_(1)
    flat.extra.fill_(2)
    assert flat.bucket.tolist() == [1] * len(flat.values) + [2, 2]
