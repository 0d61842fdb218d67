"""Draws the next character of a text. N texts grow side by side; a single one is N = 1.

Letters: N texts, V characters in the vocabulary.
"""

from collections.abc import Callable, Iterator

import numpy as np

from util.errors import UserError
from util.sampling.settings import Settings
from util.torch7_random import Torch7Random

TINY = float(np.finfo(np.float32).tiny)  # the smallest float32 of full precision
BLOCK = 256  # numbers to draw at once from each text's stream

Predict = Callable[[np.ndarray], np.ndarray]
"""Feeds a character to each text, indices (N,), and returns the log-probabilities of the next ones, (N, V)."""
Choice = Callable[[np.ndarray], np.ndarray]
"""Chooses a character for each text, indices (N,), from log-probabilities (N, V)."""


def chooser(settings: Settings, texts: int = 1) -> Choice:
    """Returns what chooses the characters of N texts; text k, counted from 0, draws from the stream of seed + k."""
    if not settings.sample:
        return most_likely
    uniform = uniforms(settings.seed, texts)
    limits = settings.temperature, settings.top_k, settings.top_p
    return lambda log_probs: multinomial(probabilities(log_probs, *limits), next(uniform))


def multinomial(probs: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Returns the indices (N,) that Torch7 draws: the first whose cumulative probability reaches `uniform`.

    probs (N, V) is float32 and need not sum to one; uniform (N, 1) is at least 0 and below 1.
    """
    cumulative = probs.cumsum(axis=1, dtype=np.float64)
    cumulative /= cumulative[:, -1:]
    return (cumulative >= uniform).argmax(axis=1)


def uniforms(seed: int, texts: int) -> Iterator[np.ndarray]:
    """Yields one number in [0, 1) per text, (N, 1), for each character to draw."""
    streams = [Torch7Random((seed + k) % 2**32) for k in range(texts)]
    while True:
        yield from np.stack([stream.raw(BLOCK) for stream in streams], axis=1)[:, :, None] / 2.0**32


def most_likely(log_probs: np.ndarray) -> np.ndarray:
    """Returns the index of the most likely character of each text, the first of them on a tie."""
    check_numbers(log_probs)
    return log_probs.argmax(axis=1)


def check_numbers(predicted: np.ndarray) -> None:
    """Raises UserError if the model's weights are so large that what it predicts are no numbers."""
    if np.isnan(predicted).any():
        raise UserError("the model's weights are so large that it predicts no probabilities; take another checkpoint")


def probabilities(log_probs: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0) -> np.ndarray:
    """Returns exp(log_probs / temperature), normalized, as float32 (N, V).

    top_k, if not 0, then keeps only the k most likely characters, and top_p, if below 1, only the most likely of those
    that together have the probability p. Ties are all kept. The result is not renormalized.
    """
    with np.errstate(all="ignore"):
        probs = np.exp(log_probs / temperature)
        total = probs.sum(axis=1, keepdims=True)
        probs /= total
        if not total.min() > (TINY if probs.dtype == np.float32 else 0):
            # So cold that everything underflows to 0 / 0, or in single precision to numbers of a few bits: start over
            # relative to the most likely character, in float64, since the temperature may be 0 as a float32.
            colder = log_probs.astype(np.float64)
            probs = np.exp((colder - colder.max(axis=1, keepdims=True)) / temperature)
            probs /= probs.sum(axis=1, keepdims=True)
            check_numbers(probs)
    probs = probs.astype(np.float32, copy=False)
    if 0 < top_k < probs.shape[1]:
        least = np.partition(probs, -top_k, axis=1)[:, -top_k, None]
        probs[probs < least] = 0
    if top_p < 1:
        falling = -np.sort(-probs, axis=1)
        before = np.cumsum(falling, axis=1, dtype=np.float64) - falling  # total probability of the more likely ones
        count = (before < top_p * falling.sum(axis=1, keepdims=True)).sum(axis=1, keepdims=True)
        least = np.take_along_axis(falling, count - 1, axis=1)
        probs[probs < least] = 0
    return probs
