"""The campaign old_logs in short: what it puts back of Torch's and the original's arithmetic of 2016."""

import math
from types import SimpleNamespace

import pytest
import torch

from model.cells import LSTM
from model.fast.lstm import LSTMStep
from model.fast.unrolled import Unrolled
from tests.campaigns.old_logs import OldLogSoftmax, derivatives_by_reference, exp_minus


def test_the_old_exponential():
    x = torch.tensor([0.0, 1.0, 8.0, 12.0, 12.999, 13.0, 700.0], dtype=torch.float64)
    found = exp_minus(x)
    # At 8, the sum is 1 + 1 + 1/2 + 1/6 + 1/24, to the digits of its constants.
    assert found[:3].tolist() == pytest.approx([1, 1.133148193**-8, (65 / 24) ** -8], rel=1e-7)
    assert found[3].item() == pytest.approx(math.exp(-12), rel=0.2) and found[4] > 0
    assert found[5:].tolist() == [0, 0]


def test_the_old_log_softmax_is_a_little_lower_and_its_way_back_exact():
    x = torch.tensor([[0.0, 3.0, -20.0]], dtype=torch.float64, requires_grad=True)
    log_probs = OldLogSoftmax.apply(x)
    assert log_probs[0, 1].item() == pytest.approx(-math.log(1 + exp_minus(torch.tensor(3.0)).item()), rel=1e-7)
    assert 1e-6 < (x.log_softmax(-1) - log_probs)[0, 1].item() < 1e-3
    (-log_probs[0, 0]).backward()
    assert torch.equal(x.grad, log_probs.exp().detach() - torch.tensor([[1.0, 0.0, 0.0]]))


def test_the_way_back_reads_the_last_state_in_place_of_the_one_before_the_first_step(monkeypatch):
    torch.manual_seed(1)
    layer = Unrolled("lstm", 3, 4).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randint(3, (5, 2))
    monkeypatch.setattr(LSTMStep, "local_derivatives", derivatives_by_reference)
    for state in (torch.zeros(2, 2, 4).double(), torch.randn(2, 2, 4).double()):
        first = states = [one.clone() for one in state]  # c, h
        total = 0.0
        for row in x:
            a = layer.i2h_weight[row] + layer.i2h_bias + layer.h2h_bias
            states = LSTM.step(torch, a, SimpleNamespace(h2h=[layer.h2h_weight]), *states)
            total = total + states[1].sum()
        if state.any():
            for before, after in zip(first, states):
                before.data.copy_(after)  # behind autograd's back
        expected = torch.autograd.grad(total, layer.h2h_weight)
        layer.zero_grad()
        layer(x, state)[0].sum().backward()
        torch.testing.assert_close(layer.h2h_weight.grad, *expected)
