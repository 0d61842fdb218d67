"""Each cell, unrolled by hand, against its obvious version under autograd."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import one_hot

from model.char_rnn import CELLS, CharRNN
from tests.helpers.slow_cells import SLOW

torch.set_num_threads(1)  # tensors this small only wait for a second one

S, B, I, H = 5, 3, 4, 6  # noqa: E741


@pytest.fixture(params=CELLS)
def name(request):
    return request.param


def random_layer(name, input_size, dtype=torch.float64):
    torch.manual_seed(1)
    layer = CELLS[name](input_size, H).to(dtype)
    for parameter in layer.parameters():
        parameter.data.uniform_(-1, 1)
    return layer


def random_state(layer, dtype=torch.float64):
    return torch.rand(layer.num_states, B, H, dtype=dtype) - 0.5


def gradients(outputs, layer, *inputs):
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return torch.autograd.grad((outputs * weights).sum(), [*layer.parameters(), *inputs])


def test_equals_the_slow_cell_on_vectors(name):
    layer = random_layer(name, I)
    x, state = torch.randn(S, B, I, dtype=torch.float64, requires_grad=True), random_state(layer)
    expected, expected_state = SLOW[name](x, state, layer)
    outputs, last_state = layer(x, state)
    torch.testing.assert_close(outputs, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(last_state, expected_state, rtol=1e-12, atol=1e-13)
    for ours, slow in zip(gradients(outputs, layer, x), gradients(expected, layer, x), strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-11, atol=1e-12)


def test_an_index_is_a_one_hot_vector(name):
    layer = random_layer(name, I)
    x, state = torch.randint(0, I, (S, B)), random_state(layer)
    expected, _ = SLOW[name](one_hot(x, I).double(), state, layer)
    outputs, _ = layer(x, state)
    torch.testing.assert_close(outputs, expected, rtol=1e-12, atol=1e-13)
    for ours, slow in zip(gradients(outputs, layer), gradients(expected, layer), strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("indices", [True, False])
def test_gradcheck(name, indices):
    layer = random_layer(name, I)
    state = random_state(layer)
    x = torch.randint(0, I, (S, B)) if indices else torch.randn(S, B, I, dtype=torch.float64, requires_grad=True)

    def outputs(x, *parameters):
        # A fresh layer each time: gradcheck keeps the graphs of several runs at once.
        fresh = random_layer(name, I)
        return fresh.unrolled.apply(x, state, *parameters, fresh)[0]

    assert gradcheck(outputs, (x, *layer.parameters()))


def test_float32_is_float64_but_for_rounding(name):
    double = random_layer(name, I)
    single = random_layer(name, I, torch.float32)
    for a, b in zip(single.parameters(), double.parameters(), strict=True):
        a.data.copy_(b)
    x, state = torch.randint(0, I, (S, B)), random_state(double)
    expected, _ = double(x, state)
    outputs, _ = single(x, state.float())
    torch.testing.assert_close(outputs.double(), expected, rtol=0, atol=2e-6)
    for a, b in zip(gradients(outputs, single), gradients(expected, double), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [20.0, 400.0])
def test_saturated_gates_stay_numbers(name, size):
    layer = random_layer(name, I)
    for parameter in layer.parameters():
        parameter.data.mul_(size)
    x, state = torch.randint(0, I, (S, B)), random_state(layer)
    expected, _ = SLOW[name](one_hot(x, I).double(), state, layer)
    outputs, _ = layer(x, state)
    torch.testing.assert_close(outputs, expected, rtol=1e-11, atol=1e-12)
    assert all(g.isfinite().all() for g in gradients(outputs, layer))


def test_steps_can_be_split_between_calls(name):
    layer = random_layer(name, I)
    x, state = torch.randint(0, I, (S, B)), random_state(layer)
    with torch.no_grad():
        whole, last = (t.clone() for t in layer(x, state))
        first, middle = (t.clone() for t in layer(x[:2], state))
        second, end = layer(x[2:], middle)
    torch.testing.assert_close(torch.cat((first, second)), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-14)


def test_backward_after_another_forward_is_refused(name):
    layer = random_layer(name, I)
    x, state = torch.randint(0, I, (S, B)), random_state(layer)
    outputs, _ = layer(x, state)
    layer(x, state)
    with pytest.raises(RuntimeError):
        outputs.sum().backward()


def test_backward_can_be_repeated(name):
    layer = random_layer(name, I)
    outputs, _ = layer(torch.randint(0, I, (S, B)), random_state(layer))
    first = [g.clone() for g in torch.autograd.grad(outputs.sum(), list(layer.parameters()), retain_graph=True)]
    again = torch.autograd.grad(outputs.sum(), list(layer.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("model", "layers", "size", "vocabulary", "count"),
    [
        ("lstm", 2, 128, 65, 240321),
        ("lstm", 5, 128, 65, 636609),
        ("lstm", 3, 512, 78, 5454926),
        ("gru", 2, 128, 65, 182337),
        ("rnn", 2, 128, 65, 66369),
    ],
)
def test_number_of_parameters(model, layers, size, vocabulary, count):
    assert CharRNN(vocabulary, size, layers, model).flat.numel() == count


def test_the_flat_vector_is_the_parameters(name):
    model = CharRNN(7, 4, 2, name).double()
    model.initialize(lambda count: torch.arange(count, dtype=torch.float64))
    for parameter in model.parameters():
        assert parameter.dtype == torch.float64
    x = torch.randint(0, 7, (S, B))
    model(x, model.zero_state(B))[0].sum().backward()
    values = torch.cat([p.detach().flatten() for p in model.parameters()])
    grads = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert torch.equal(values, model.flat) and torch.equal(grads, model.flat.grad)
    model.flat.fill_(3)
    assert all((p == 3).all() for p in model.parameters())


def test_parameters_are_drawn_in_the_reference_order():
    """Weights out x in, row by row, with their bias after them; then the forget gate's i2h biases are 1."""
    V, size = 3, 2
    count = iter(range(10**6))

    def uniform(n):
        return torch.tensor([float(next(count)) for _ in range(n)])

    model = CharRNN(V, size, 1, "lstm")
    model.initialize(uniform)
    i2h = torch.arange(24.0).view(8, 3)
    bias = torch.arange(24.0, 32.0)
    bias[2:4] = 1
    h2h = torch.arange(32.0, 48.0).view(8, 2)
    assert torch.equal(model.layers[0].i2h_weight, i2h.t()) and torch.equal(model.layers[0].i2h_bias, bias)
    assert torch.equal(model.layers[0].h2h_weight, h2h.t())
    assert torch.equal(model.decoder.bias, torch.arange(62.0, 65.0))


def test_gru_is_drawn_gate_by_gate():
    """The order of linear maps is xz, hz, xn, xr, hr, hn."""
    model = CharRNN(1, 1, 1, "gru")
    numbers = iter(range(100))
    model.initialize(lambda n: torch.tensor([float(next(numbers)) for _ in range(n)]))
    layer = model.layers[0]
    assert layer.i2h_weight.flatten().tolist() == [0, 6, 4] and layer.i2h_bias.tolist() == [1, 7, 5]
    assert layer.h2h_weight.flatten().tolist() == [2, 8, 10] and layer.h2h_bias.tolist() == [3, 9, 11]


def test_large_vocabulary_takes_no_one_hot_matrix():
    model = CharRNN(100_000, 4, 1, "gru")
    x = torch.randint(0, 100_000, (2, 2))
    log_probs, state = model(x, model.zero_state(2))
    assert log_probs.shape == (2, 2, 100_000) and state.shape == (1, 1, 2, 4)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 2))
