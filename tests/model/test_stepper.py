"""The sampler's numpy model against CharRNN, and texts side by side against single ones.

What a stepper returns is the caller's own: here it is kept, not copied.
"""

import numpy as np
import pytest
import torch

from model.cells import CELLS
from model.char_rnn import CharRNN
from model.stepper import Stepper

V, H, N, STEPS = 7, 6, 4, 25
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5}

cells = pytest.mark.parametrize("cell", CELLS)
dtypes = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)


@pytest.fixture
def make():
    """make(cell, num_layers, dtype): a model with parameters large enough to matter, and these by name."""

    def make(cell, num_layers, dtype):
        generator = torch.Generator().manual_seed(1)
        model = CharRNN(V, H, num_layers, cell).to(dtype)
        model.initialize(lambda count, low, high: torch.rand(count, generator=generator, dtype=dtype).numpy() * 3 - 1.5)
        return model, {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}

    return make


def characters(*shape):
    return np.random.default_rng(0).integers(V, size=shape)


@cells
@dtypes
@pytest.mark.parametrize("num_layers", [1, 3])
def test_a_text_as_the_model_reads_it(make, cell, num_layers, dtype):
    model, parameters = make(cell, num_layers, dtype)
    text = characters(STEPS)
    with torch.no_grad():
        expected, _ = model(torch.from_numpy(text)[:, None], model.zero_state(1))
    step = Stepper(parameters, num_layers, cell)
    found = np.array([step(text[[t]]) for t in range(STEPS)])
    assert found.shape == (STEPS, 1, V) and found.dtype == expected.numpy().dtype
    assert np.abs(found - expected.numpy()).max() < TOLERANCE[dtype]
    assert np.ptp(found, axis=0).min() > 0.01  # it does depend on the text
    texts = characters(STEPS, N)
    texts[:, 2] = text
    together = Stepper(parameters, num_layers, cell, N)
    side_by_side = np.array([together(indices) for indices in texts])
    assert side_by_side.shape == (STEPS, N, V) and np.abs(side_by_side[:, [2]] - found).max() < TOLERANCE[dtype]


@cells
@dtypes
def test_the_model_s_own_stepper(make, cell, dtype):
    """The one for a GPU, with torch: the same shapes and figures, from the state of one text on."""
    model, parameters = make(cell, 2, dtype)
    for texts in (1, N):
        one = Stepper(parameters, 2, cell)
        one(characters(1))
        ours, theirs = one.begin(texts, one.states), model.stepper(texts, one.states)
        for indices in characters(STEPS, texts):
            found, expected = ours(indices), theirs(indices)
            assert found.shape == expected.shape and found.dtype == expected.dtype
            assert np.abs(found - expected).max() < TOLERANCE[dtype]


@cells
def test_log_probabilities_sum_to_one_however_large_the_weights(make, cell):
    _, parameters = make(cell, 2, torch.float32)
    parameters["decoder.weight"] = parameters["decoder.weight"] * np.float32(1000)
    for texts in (1, N):
        log_probs = Stepper(parameters, 2, cell, texts)(np.full(texts, 3))
        assert np.abs(np.exp(log_probs.astype(np.float64)).sum(axis=-1) - 1).max() < 1e-5
        assert log_probs.min() < -100
