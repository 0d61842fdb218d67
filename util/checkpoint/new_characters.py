"""Makes room in a trained model for characters that it has never seen, without disturbing what it has learned."""

import math

import numpy as np

from model.cells import INITIAL_RANGE
from util.torch7_random import Torch7Random

SHARE = 0.001  # the most probability that all new characters together are given


def add_characters(parameters: dict[str, np.ndarray], n: int, seed: int) -> dict[str, np.ndarray]:
    """Returns CharRNN's parameters by name with n unknown characters added after those it knows.

    With V known characters, a new one has the logit m + ln(SHARE·V / n), where m is the mean of the known logits. Since
    the mean of exponentials is at least the exponential of the mean, all new ones together weigh at most SHARE times as
    much as the known ones, after any text. So no log-probability of a known one falls by more than ln(1 + SHARE), and
    no new one is too unlikely to be learned. Logits are linear, so the mean of the decoder's rows and biases gives
    their mean.
    """
    if not n:
        return parameters
    V, width = parameters["layers.0.i2h_weight"].shape
    row = parameters["decoder.weight"].mean(axis=0, dtype=np.float64)
    bias = parameters["decoder.bias"].mean(dtype=np.float64) + math.log(SHARE * V / n)
    added = {
        "layers.0.i2h_weight": Torch7Random(seed).uniform(n * width, -INITIAL_RANGE, INITIAL_RANGE).reshape(n, width),
        "decoder.weight": np.tile(row, (n, 1)),
        "decoder.bias": np.full(n, bias),
    }
    dtype = parameters["decoder.bias"].dtype
    return parameters | {name: np.concatenate([parameters[name], added[name].astype(dtype)]) for name in added}
