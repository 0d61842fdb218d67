"""The ways to multiply, against each other and against float64."""

from types import SimpleNamespace

import pytest
import torch

from model import products
from model.char_rnn import CELLS, CharRNN

SIZE, ROWS = products.SIZE, products.ROWS
needs_onednn = pytest.mark.skipif(not products.onednn_works(), reason="torch.mm multiplies everything here")


def matrices(rows, inner, columns, dtype=torch.float32):
    torch.manual_seed(1)
    return torch.randn(rows, inner, dtype=dtype), torch.randn(inner, columns, dtype=dtype)


@pytest.fixture
def calls(monkeypatch):
    """What goes to oneDNN, as the shapes of the left matrices."""
    shapes, real = [], products.onednn

    def onednn(a, b):
        shapes.append(tuple(a.shape))
        return real(a, b)

    monkeypatch.setattr(products, "onednn", onednn)
    return shapes


@needs_onednn
@pytest.mark.parametrize("turned", [False, True])
def test_both_ways_give_the_same_product(calls, turned):
    a, b = matrices(SIZE, SIZE + 3, SIZE + 64)
    if turned:
        a, b = a.t().contiguous().t(), b.t().contiguous().t()
    bias, exact = torch.randn(SIZE + 64), a.double() @ b.double()
    out = torch.empty(SIZE, SIZE + 64)
    for weight in (b, products.packed(b, SIZE)):
        assert products.mm(a, weight, out=out) is out
        torch.testing.assert_close(out.double(), exact, rtol=1e-5, atol=1e-4)
        products.addmm(bias, a, weight, out=out)
        torch.testing.assert_close(out.double(), exact + bias, rtol=1e-5, atol=1e-4)
    assert len(calls) == 4


@needs_onednn
def test_a_product_is_added_in_place():
    a, b = matrices(ROWS, SIZE, SIZE)
    sums = torch.randn(ROWS, SIZE)
    expected = sums + a @ b
    products.addmm(sums, a, products.packed(b, ROWS), out=sums)
    torch.testing.assert_close(sums, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "inner", "columns", "dtype"),
    [
        (SIZE, SIZE, SIZE, torch.float64),
        (SIZE, SIZE - 1, SIZE, torch.float32),
        (SIZE, SIZE, SIZE - 1, torch.float32),
        (ROWS - 1, SIZE, SIZE, torch.float32),
    ],
)
def test_small_and_double_products_are_those_of_torch_bit_for_bit(calls, rows, inner, columns, dtype):
    a, b = matrices(rows, inner, columns, dtype)
    weight = products.packed(b, rows)
    assert weight is b
    out = torch.empty(rows, columns, dtype=dtype)
    assert torch.equal(products.mm(a, weight, out=out), torch.mm(a, b))
    assert torch.equal(products.addmm(out.clone(), a, weight, out=out), torch.addmm(torch.mm(a, b), a, b))
    assert not calls


@pytest.mark.parametrize("missing", ["_linear_pointwise", "_reorder_linear_weight"])
def test_a_torch_without_the_operators_multiplies_as_ever(monkeypatch, missing):
    operators = {"_linear_pointwise", "_reorder_linear_weight"} - {missing}
    there = SimpleNamespace(**{name: getattr(torch.ops.mkldnn, name) for name in operators})
    monkeypatch.setattr(torch.ops, "mkldnn", there)
    products.onednn_works.cache_clear()
    try:
        assert not products.onednn_works()
        a, b = matrices(SIZE, SIZE, SIZE)
        assert torch.equal(products.mm(a, products.packed(b, SIZE), out=torch.empty(SIZE, SIZE)), torch.mm(a, b))
    finally:
        products.onednn_works.cache_clear()


@needs_onednn
@pytest.mark.parametrize("cell", CELLS)
def test_a_large_model_learns_the_same_both_ways(monkeypatch, calls, cell):
    torch.manual_seed(1)
    model = CharRNN(20, SIZE, 2, cell)
    model.initialize(lambda count: torch.rand(count) * 0.16 - 0.08)
    x = torch.randint(0, 20, (SIZE // ROWS, ROWS))

    def gradient(size):
        monkeypatch.setattr(products, "SIZE", size)
        calls.clear()
        model.zero_grad()
        log_probs, _ = model(x, model.zero_state(ROWS))
        log_probs.square().sum().backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()]), len(calls)

    with_onednn, count = gradient(SIZE)
    without, none = gradient(10**6)
    assert count > 2 * len(x) and none == 0
    assert (with_onednn - without).norm() < 1e-5 * without.norm()
    assert not torch.equal(with_onednn, without)


def test_few_long_sums_stay_with_torch_mm():
    """As a weight's gradient has them: oneDNN took 1.15 of the time for (512 x 2500) (2500 x 512)."""
    assert not products.goes_to_onednn(*matrices(SIZE, SIZE + 1, SIZE))
    assert products.goes_to_onednn(*matrices(SIZE, SIZE, SIZE)) == products.onednn_works()


def test_a_part_of_a_matrix_stays_with_torch_mm():
    """Slices of the gates, as a GRU has them: oneDNN has no fast kernel for what does not fill its memory."""
    whole = torch.randn(300, 900)
    a, part = torch.randn(300, 300), whole[:, :600]
    assert not products.goes_to_onednn(a, part) and not products.goes_to_onednn(part.t(), a)
    out = torch.empty(300, 600)
    assert torch.equal(products.mm(a, part, out=out), torch.mm(a, part))


def test_bfloat16_rounds_the_matrices_and_the_product_and_nothing_in_between():
    a, b = matrices(50, 300, 200)
    exact = a.bfloat16().double() @ b.bfloat16().double()
    bias, out = torch.randn(50, 200), torch.empty(50, 200)
    for weight in (b, products.packed_bfloat16(b, 50)):
        assert products.mm_bfloat16(a, weight, out=out) is out
        # Half a unit in the last place, of 8 bits, for the product; float32's own errors in the sum are far smaller.
        torch.testing.assert_close(out.double(), exact, rtol=2**-8, atol=1e-3)
        assert torch.equal(out, out.bfloat16().float())
        product = out.clone()
        assert torch.equal(products.addmm_bfloat16(bias, a, weight, out=out), bias + product)


@pytest.mark.parametrize("cell", CELLS)
def test_a_model_learns_nearly_the_same_in_bfloat16(cell):
    def gradient(kind):
        torch.manual_seed(1)
        model = CharRNN(20, 64, 2, cell, kind)
        model.initialize(lambda count: torch.rand(count) * 0.16 - 0.08)
        x = torch.randint(0, 20, (16, 8))
        log_probs, state = model(x, model.zero_state(8))
        log_probs.square().sum().backward()
        assert {tensor.dtype for tensor in (log_probs, state, *model.parameters())} == {torch.float32}
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    full, rough = gradient(products.FULL), gradient(products.BFLOAT16)
    assert 0 < (rough - full).norm() < 0.01 * full.norm()
