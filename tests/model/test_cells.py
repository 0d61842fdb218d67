"""Each cell by hand against its equations under autograd, and the equations against themselves."""

import copy

import pytest
import torch
from torch.nn.functional import one_hot

from model.cells import CELLS
from model.char_rnn import CharRNN
from model.fast.unrolled import FAST, Unrolled
from model.layer import Layer

torch.set_num_threads(1)  # tensors this small only wait for a second one

S, B, I, H = 5, 3, 4, 6  # noqa: E741

fast = pytest.mark.parametrize("name", FAST)
every = pytest.mark.parametrize("name", CELLS)


def random_layer(name, dtype=torch.float64, kind=None):
    torch.manual_seed(1)
    layer = (kind or (Unrolled if name in FAST else Layer))(name, I, H).to(dtype)
    for parameter in layer.parameters():
        parameter.data.uniform_(-1, 1)
    return layer


def random_state(layer):
    return torch.rand(len(layer.cell.states), B, H, dtype=torch.float64) - 0.5


@pytest.fixture
def made(name):
    """A layer in double precision, indices to read and a state."""
    layer = random_layer(name)
    return layer, torch.randint(0, I, (S, B)), random_state(layer)


@pytest.fixture
def plain(name):
    """The same layer as its equations."""
    return random_layer(name, kind=Layer)


def gradients(outputs, layer, *inputs):
    weights = torch.linspace(-1, 1, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return torch.autograd.grad((outputs * weights).sum(), [*layer.parameters(), *inputs])


@fast
def test_the_steps_by_hand_equal_the_equations_and_an_index_is_a_one_hot_vector(made, plain):
    layer, indices, state = made
    vectors = torch.randn(S, B, I, dtype=torch.float64, requires_grad=True)
    for x, as_vectors, inputs in ((vectors, vectors, [vectors]), (indices, one_hot(indices, I).double(), [])):
        expected, expected_state = plain(as_vectors, state)
        outputs, last_state = layer(x, state)
        torch.testing.assert_close(outputs, expected, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(last_state, expected_state, rtol=1e-12, atol=1e-13)
        for ours, autograds in zip(
            gradients(outputs, layer, *inputs), gradients(expected, plain, *inputs), strict=True
        ):
            torch.testing.assert_close(ours, autograds, rtol=1e-11, atol=1e-12)


@every
def test_the_equations_read_indices_as_one_hot_vectors_and_have_true_gradients(made, plain):
    _, indices, state = made
    outputs, _ = plain(indices, state)
    torch.testing.assert_close(outputs, plain(one_hot(indices, I).double(), state)[0], rtol=1e-12, atol=1e-13)

    def outputs_from(*parameters):
        changed = copy.deepcopy(plain)
        for name, parameter in zip([name for name, _ in plain.named_parameters()], parameters):
            delattr(changed, name)
            setattr(changed, name, parameter)
        return changed(indices, state)[0]

    assert torch.autograd.gradcheck(outputs_from, [*plain.parameters()])


def test_a_step_that_could_not_sample_does_not_train_either(monkeypatch):
    """Sampling has W_h2h in parts only."""
    whole = type("Whole", (CELLS["rnn"],), {"step": staticmethod(lambda xp, a, p, h: (a + h @ p.h2h_weight,))})
    monkeypatch.setitem(CELLS, "whole", whole)
    with pytest.raises(AttributeError, match="h2h_weight"):
        Layer("whole", I, H)(torch.zeros(S, B, I), torch.zeros(1, B, H))


@every
def test_float32_is_float64_but_for_rounding(name, made):
    double, x, state = made
    single = random_layer(name, torch.float32)
    for a, b in zip(single.parameters(), double.parameters(), strict=True):
        a.data.copy_(b)
    expected, _ = double(x, state)
    outputs, _ = single(x, state.float())
    torch.testing.assert_close(outputs.double(), expected, rtol=0, atol=2e-6)
    for a, b in zip(gradients(outputs, single), gradients(expected, double), strict=True):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-5)


@fast
@pytest.mark.parametrize("size", [20.0, 400.0])
def test_saturated_gates_stay_numbers(size, made, plain):
    layer, x, state = made
    for parameter in (*layer.parameters(), *plain.parameters()):
        parameter.data.mul_(size)
    expected, _ = plain(x, state)
    outputs, _ = layer(x, state)
    torch.testing.assert_close(outputs, expected, rtol=1e-11, atol=1e-12)
    assert all(g.isfinite().all() for g in gradients(outputs, layer))


@every
def test_steps_can_be_split_between_calls(made):
    layer, x, state = made
    with torch.no_grad():
        whole, last = (t.clone() for t in layer(x, state))
        first, middle = (t.clone() for t in layer(x[:2], state))
        second, end = layer(x[2:], middle)
    torch.testing.assert_close(torch.cat((first, second)), whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(end, last, rtol=0, atol=1e-14)


@fast
def test_backward_after_another_forward_is_refused(made):
    layer, x, state = made
    loss = layer(x, state)[0].sum()
    layer(x, state)
    with pytest.raises(RuntimeError, match="ran forward again"):
        loss.backward()


@every
@pytest.mark.parametrize("learning", [True, False])
def test_a_forward_of_another_shape_disturbs_no_backward(made, learning):
    layer, x, state = made
    expected = [gradient.clone() for gradient in gradients(layer(x, state)[0], layer)]
    outputs, _ = layer(x, state)
    with torch.set_grad_enabled(learning):
        layer(x[:2], state)
        layer(x[:, :1], state[:, :1])
    assert all(torch.equal(a, b) for a, b in zip(gradients(outputs, layer), expected, strict=True))


@fast
@pytest.mark.parametrize("validates_first", [True, False])
def test_reading_another_text_leaves_the_buffers_of_learning_where_they_are(made, validates_first):
    """A captured CUDA graph goes on writing to them."""
    layer, x, state = made
    if validates_first:
        with torch.no_grad():
            layer(x, state)
    place = layer(x, state)[0].data_ptr()
    with torch.no_grad():
        for steps in range(1, S):
            layer(x[:steps], state)
        assert layer(x, state)[0].data_ptr() == place  # validating takes no memory of its own
    assert layer(x, state)[0].data_ptr() == place


@fast
def test_another_precision_takes_other_buffers(made):
    layer, x, state = made
    expected = layer(x, state)[0].clone()
    single, _ = layer.float()(x, state.float())
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=2e-6)


@every
def test_gradients_are_the_parameters_own(name):
    """So any optimizer can train a model, and what was learned before is not overwritten by the next pass."""
    layer = random_layer(name)
    first, second = torch.randint(0, I, (2, S, B)).unbind()
    state = random_state(layer)
    layer(first, state)[0].sum().backward()
    grads = {name: p.grad for name, p in layer.named_parameters()}
    before = {name: grad.clone() for name, grad in grads.items()}
    layer.zero_grad(set_to_none=True)
    layer(second, state)[0].sum().backward()
    assert all(torch.equal(grads[name], before[name]) for name in grads)
    assert not torch.equal(layer.h2h_weight.grad, before["h2h_weight"])
    layer.i2h_bias.grad.zero_()
    assert layer.h2h_bias.grad.any()  # both biases have the same gradient, but not the same tensor


def test_large_vocabulary_takes_no_one_hot_matrix():
    model = CharRNN(100_000, 4, 1, "gru")
    x = torch.randint(0, 100_000, (2, 2))
    log_probs, state = model(x, model.zero_state(2))
    assert log_probs.shape == (2, 2, 100_000) and state.shape == (1, 1, 2, 4)
    torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(2, 2))
