"""Text from a model: what it is fed first, and how each next character is chosen.

A single text goes by vectors, N texts side by side by matrices; the shapes below write (..., V) for (V,) or (N, V).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from util.checkpoint.content import Checkpoint
from util.errors import UserError
from util.torch7_random import Torch7Random

Index = Any
"""Of one character: an int; of one character of each text: an array (N,)."""

PUNCTUATION = str.maketrans(dict.fromkeys("‘’‚‛′", "'") | dict.fromkeys("“”„‟″«»", '"') | dict.fromkeys("‐‑‒–—―−", "-"))  # noqa: RUF001


def sample(
    step: Callable[[Index], np.ndarray],
    choose: Callable[[np.ndarray], Index],
    shape: tuple[int, ...],
    prime: list[int],
    length: int,
) -> Iterator[tuple[Index, np.ndarray]]:
    """`length` characters that follow `prime`, each chosen from what the model expects there.

    `step` feeds a character to the model and gives the log-probabilities of the next, of the given shape (..., V).
    With each index come the log-probabilities that it was chosen from; the next step may overwrite them.
    """
    log_probs = np.full(shape, -np.log(shape[-1]))  # of nothing: all are equally likely
    for index in prime:
        log_probs = step(index)
    for _ in range(length):
        index = choose(log_probs)
        yield index, log_probs
        log_probs = step(index)


def chooser(
    seed: int, texts: int | None = None, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0
) -> Callable[[np.ndarray], Index]:
    """Draws from log-probabilities (..., V) as `probabilities` says; text k of several from the stream of seed + k."""
    if texts is None:
        random = Torch7Random(seed)
        return lambda log_probs: random.multinomial(probabilities(log_probs, temperature, top_k, top_p))
    randoms = [Torch7Random((seed + k) % 2**32) for k in range(texts)]

    def choose(log_probs: np.ndarray) -> np.ndarray:
        # Torch7Random.multinomial, for all at once.
        cumulative = np.cumsum(probabilities(log_probs, temperature, top_k, top_p), axis=1, dtype=np.float64)
        cumulative /= cumulative[:, -1:]
        drawn = np.array([random.raw(1)[0] for random in randoms]) / 2.0**32
        return (cumulative < drawn[:, None]).sum(axis=1)

    return choose


def most_likely(log_probs: np.ndarray) -> Index:
    """The index of the most likely character of each text, of several equally likely ones the first."""
    return log_probs.argmax(axis=-1)


def probabilities(log_probs: np.ndarray, temperature: float, top_k: int = 0, top_p: float = 1.0) -> np.ndarray:
    """exp(log_probs / temperature), normalised, as float32 (..., V).

    top_k, if not 0, and top_p, if below 1, then leave only the k most likely characters, and of those only the most
    likely ones that together have the probability p; of equally likely ones all. They are not normalised again.
    """
    with np.errstate(all="ignore"):
        probs = np.exp(log_probs / temperature)
        probs /= probs.sum(axis=-1, keepdims=True)
        if math.isnan(probs.sum()):
            # So cold that all vanish, and are 0 / 0: the same, measured from the most likely character. In float64,
            # since the temperature could be 0 in float32.
            colder = log_probs.astype(np.float64)
            probs = np.exp((colder - colder.max(axis=-1, keepdims=True)) / temperature)
            probs /= probs.sum(axis=-1, keepdims=True)
    probs = probs.astype(np.float32, copy=False)
    if 0 < top_k < probs.shape[-1]:
        keep(probs, np.partition(probs, -top_k)[..., -top_k, None])
    if top_p < 1:
        falling = -np.sort(-probs)
        before = np.cumsum(falling, axis=-1, dtype=np.float64) - falling  # what the more likely ones have together
        count = (before < top_p * falling.sum(axis=-1, keepdims=True)).sum(axis=-1, keepdims=True)
        keep(probs, np.take_along_axis(falling, count - 1, axis=-1))
    return probs


def keep(probs: np.ndarray, least: np.ndarray) -> None:
    """Sets to 0 what is below `least` (..., 1)."""
    probs[probs < least] = 0


def sample_text(
    step: Callable[[Index], np.ndarray],
    checkpoint: Checkpoint,
    length: int = 2000,
    primetext: str = "",
    temperature: float = 1.0,
    seed: int = 123,
    top_k: int = 0,
    top_p: float = 1.0,
) -> str:
    """The text that sample.py prints with these flags. `step` comes from CharRNN.stepper, or is a Stepper.

    Raises UserError where the model does not know a character of the primetext.
    """
    prime = encode(primetext, checkpoint)
    choose = chooser(seed, None, temperature, top_k, top_p)
    indices = [index for index, _ in sample(step, choose, (len(checkpoint.vocabulary),), prime, length)]
    return decode([*prime, *indices], checkpoint)


def encode(characters: str, checkpoint: Checkpoint, unknown: str = "error", what: str = "the primetext") -> list[int]:
    """The characters' indices, of a model of bytes those of their bytes in UTF-8.

    `unknown` says what becomes of a character that the model does not know: `error` raises UserError, `skip` leaves it
    out, `nearest` takes one that differs in case, accents or the shape of a quote or dash, or else raises.
    """
    index = {c: i for i, c in enumerate(checkpoint.vocabulary)}

    def indices(text: str) -> list[int] | None:
        symbols = text.encode("utf-8", "surrogateescape").decode("latin-1") if checkpoint.encoding == "bytes" else text
        return [index[c] for c in symbols] if all(c in index for c in symbols) else None

    encoded: list[int] = []
    for c in characters:
        candidates = [c, *(alike(c) if unknown == "nearest" else [])]
        known = next((found for text in candidates if (found := indices(text)) is not None), None)
        if known is None and unknown != "skip":
            raise UserError(
                f"{what} has {c!r}, a character that the model has never seen"
                + (", and none near it either" if unknown == "nearest" else "")
                + "; leave it out"
                + (", or say -unknown_chars skip" if what != "-stop" else "")
            )
        encoded += known or []
    return encoded


def alike(c: str) -> list[str]:
    """What may stand for a character, the nearest first: the other case, without accents, plain quotes and dashes."""
    plain = "".join(
        part for part in unicodedata.normalize("NFKD", c.translate(PUNCTUATION)) if not unicodedata.combining(part)
    )
    return [c.lower(), c.upper(), plain, plain.lower(), plain.upper(), plain.casefold()]


def decode(indices: list[int], checkpoint: Checkpoint) -> str:
    """The text of indices; bytes of a model of bytes as UTF-8, with replacement characters where they are none."""
    text = "".join(checkpoint.vocabulary[index] for index in indices)
    return text.encode("latin-1").decode("utf-8", "replace") if checkpoint.encoding == "bytes" else text
