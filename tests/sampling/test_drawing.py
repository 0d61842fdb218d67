"""Which characters are drawn, and from what."""

import numpy as np
import pytest

from util.sampling.drawing import chooser, multinomial, probabilities
from util.sampling.settings import Settings
from util.torch7_random import Torch7Random

LOG_PROBS = np.log([[0.1, 0.4, 0.05, 0.25, 0.2]])


@pytest.mark.parametrize(
    ("top_k", "top_p", "left"),
    [
        (0, 1, {0, 1, 2, 3, 4}), (1, 1, {1}), (2, 1, {1, 3}), (4, 1, {0, 1, 3, 4}), (9, 1, {0, 1, 2, 3, 4}),
        (0, 0.39, {1}), (0, 0.41, {1, 3}), (0, 0.66, {1, 3, 4}), (0, 0.96, {0, 1, 2, 3, 4}), (0, 1e-30, {1}),
        (2, 0.6, {1}), (2, 0.63, {1, 3}), (3, 0.5, {1, 3}),
    ],
)  # fmt: skip
def test_what_top_k_and_top_p_leave(top_k, top_p, left):
    """Of top_p it is the share in what top_k has left: of 0.4 and 0.25, the first has 0.615."""
    for log_probs in (LOG_PROBS, np.concatenate([LOG_PROBS, LOG_PROBS]), LOG_PROBS.astype(np.float32)):
        probs = probabilities(log_probs, 1.0, top_k, top_p)
        assert probs.dtype == np.float32 and probs.shape == log_probs.shape
        for row in probs:
            assert set(np.flatnonzero(row)) == left
            assert np.allclose(row[row > 0], np.exp(LOG_PROBS)[0, row > 0])


@pytest.mark.parametrize("temperature", [0.0117, 0.03])
def test_the_cold_is_as_precise_in_single_precision(temperature):
    """Where exp(log_probs / temperature) is a number of a few bits only."""
    log_probs = np.log([[0.3, 0.297, 0.25, 0.153]])
    single, double = (probabilities(log_probs.astype(dtype), temperature) for dtype in (np.float32, np.float64))
    assert np.allclose(single, double, rtol=1e-4, atol=0) and double[0, 0] > 0.5


def test_top_p_is_measured_after_the_temperature():
    assert np.count_nonzero(probabilities(LOG_PROBS, 0.1, top_p=0.9)) == 1
    assert np.count_nonzero(probabilities(LOG_PROBS, 1e9, top_p=0.9)) == 5


def test_of_equally_likely_characters_all_stay():
    log_probs = np.log([[0.3, 0.1, 0.3, 0.3]])
    for limits in ({"top_k": 1}, {"top_k": 2}, {"top_p": 0.1}, {"top_p": 0.5}):
        assert np.flatnonzero(probabilities(log_probs, 1.0, **limits)).tolist() == [0, 2, 3]


def test_draws_of_several_texts_are_those_of_their_seeds():
    log_probs = np.log(np.random.default_rng(0).dirichlet(np.ones(50), size=(30, 3)))
    together = chooser(Settings(seed=5), 3)
    drawn = np.array([together(rows) for rows in log_probs])
    for k in range(3):
        uniform = Torch7Random(5 + k).uniform(30)[:, None]
        assert drawn[:, k].tolist() == multinomial(probabilities(log_probs[:, k], 1.0), uniform).tolist()
        assert len(set(drawn[:, k])) > 5


@pytest.mark.parametrize("temperature", [1e-320, 1e-50, 1e300])
def test_rows_of_several_texts_do_not_touch_each_other(temperature):
    log_probs = np.concatenate([LOG_PROBS, LOG_PROBS * 1000, LOG_PROBS[:, ::-1]]).astype(np.float32)
    found = probabilities(log_probs, temperature)
    assert np.isfinite(found).all() and np.allclose(found.sum(axis=1), 1)
    assert [row.argmax() for row in found] == ([1, 1, 3] if temperature < 1 else [0, 0, 0])
