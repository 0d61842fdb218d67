"""The random stream: MT19937, and what is made of its outputs."""

from itertools import accumulate

import numpy as np
import pytest

from util.sampling.drawing import multinomial
from util.torch7_random import Torch7Random

SEEDS = [0, 1, 123, 2**31, 2**32 - 1]


def outputs(seed: int, count: int) -> list[int]:
    """What numpy's own generator gives, whose words are seeded in the same way."""
    return np.frombuffer(np.random.RandomState(seed).bytes(4 * count), "<u4").tolist()


def test_known_outputs():
    # Of the default seed 5489, the ten-thousandth output is the one that the C++ standard demands.
    assert outputs(5489, 10000)[-1] == Torch7Random(5489).raw(10000)[-1] == 4123659995
    assert Torch7Random(123).raw(4).tolist() == [2991312382, 3062119789, 1228959102, 1840268610]


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform(seed):
    expected = [u / 2**32 * (0.08 - -0.08) + -0.08 for u in outputs(seed, 1500)]
    assert Torch7Random(seed).uniform(1500, -0.08, 0.08).tolist() == expected
    assert Torch7Random(seed).uniform(5).tolist() == [u / 2**32 for u in outputs(seed, 5)]


@pytest.mark.parametrize("p", [0.0, 0.1, 1 - 0.3, 1.0])
def test_bernoulli(p):
    assert Torch7Random(123).bernoulli(1500, p).tolist() == [u / 2**32 <= p for u in outputs(123, 1500)]
    u = outputs(123, 1)[0]  # where the draw equals p it is true
    assert [Torch7Random(123).bernoulli(1, (u - less) / 2**32)[0] for less in (0, 1)] == [True, False]


@pytest.mark.parametrize("size", [1, 2, 27, 300])
def test_multinomial(size):
    """It draws the first index whose cumulative probability is at least u / 2**32."""
    probabilities = np.random.default_rng(size).random(size).astype(np.float32) ** 4
    random = Torch7Random(4)
    drawn = [int(multinomial(probabilities[None], random.uniform(1)[:, None])[0]) for _ in range(1000)]
    sums = list(accumulate(map(float, probabilities)))
    ends = np.array([one / sums[-1] for one in sums])
    assert drawn == [int((ends < u / 2**32).sum()) for u in outputs(4, 1000)]


def test_multinomial_adds_up_in_double_precision():
    # In float32 the many small ones would be lost beside the first, and its index be drawn always.
    probabilities = np.full(2**16, 2.0**-26, np.float32)
    probabilities[0] = 1
    ends = np.cumsum(probabilities, dtype=float) / probabilities.sum(dtype=float)
    for uniform in (0.9991, 0.9995, 0.9999):
        assert multinomial(probabilities[None], np.array([[uniform]]))[0] == np.searchsorted(ends, uniform) > 0


@pytest.mark.parametrize("passed", [0, 623, 624, 625, 2000])
def test_goes_on_from_a_saved_state_and_each_draw_takes_one_output(passed):
    random = Torch7Random(123)
    random.raw(passed)
    random.uniform(3)
    random.bernoulli(7, 0.5)
    saved = random.state()
    expected = random.raw(700).tolist()  # and past the next renewal of the words
    other = Torch7Random(9)
    # A checkpoint holds the words as int64.
    other.restore({"key": saved["key"].astype(np.int64), "pos": saved["pos"]})
    assert other.raw(700).tolist() == expected == outputs(123, passed + 710)[passed + 10 :]
