"""Lets a model write: what a text begins with, the characters that follow, and the text that becomes of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

import numpy as np

from model.stepper import Stepper
from util.checkpoint.content import Checkpoint
from util.cli.flags import unescape
from util.errors import UserError
from util.sampling.drawing import Choice, Predict, drawing, sample
from util.sampling.growing import GrowingText, grow
from util.text.vocabulary import Vocabulary
from util.torch7_random import DEFAULT_SEED


def primetext(vocabulary: Vocabulary, value: str) -> str:
    r"""Returns what -primetext means: \n, \t, \r and \\ are escapes, unless the model knows the backslash."""
    return value if "\\" in vocabulary.index else unescape(value)


def encode_primetext(vocabulary: Vocabulary, text: str, unknown: str = "error") -> list[int]:
    """Returns the indices of a primetext; `unknown` is -unknown_chars. Raises UserError."""
    return vocabulary.encode(text, unknown, "the primetext", "leave it out, or use -unknown_chars skip")


def document_end(checkpoint: Checkpoint, needed: bool = False) -> list[int]:
    """Returns the indices that end a document in the model's own text; none if it was not made of documents.

    Raises UserError if the model does not know them, or if there are none and they are `needed`, for -stop_document.
    """
    end = checkpoint.options.get("document_end")
    known = checkpoint.vocabulary
    indices = known.encode(unescape(end), what="the model's -document_end") if isinstance(end, str) else []
    if needed and not indices:
        raise UserError("this model was not trained with -document_end; leave out -stop_document, or try -stop")
    return indices


def written(
    checkpoint: Checkpoint,
    length: int,
    prime: list[int],
    texts: int = 1,
    choose: Choice | None = None,
    step: Predict | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields so many characters of N texts, indices (N,), each with the log-probabilities (N, V) it was drawn from.

    They follow `prime` or, if that is empty, the end of a document, if the model knows documents. By default they are
    drawn as `drawing` does from the default seed, and computed by a Stepper, in numpy; another `step` must be new.
    """
    V, _, L, model = checkpoint.model_shape
    step = step or Stepper(checkpoint.parameters, L, model, texts)
    choose = choose or drawing(DEFAULT_SEED, texts)
    return sample(step, choose, texts, V, prime or document_end(checkpoint), length)


def sample_text(
    checkpoint: Checkpoint,
    length: int = 2000,
    primetext: str = "",
    temperature: float = 1.0,
    seed: int = DEFAULT_SEED,
    top_k: int = 0,
    top_p: float = 1.0,
    stop_document: bool = False,
    step: Predict | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> str:
    """Returns the text that sample.py prints with these flags, from a zero state; `step` is as in `written`.

    It ends early once `interrupted()` is true. Raises UserError if the model does not know a character of the
    primetext, or no documents.
    """
    prime = encode_primetext(checkpoint.vocabulary, primetext)
    stop_before = document_end(checkpoint, needed=True) if stop_document else []
    text = io.BytesIO()
    growing = GrowingText(text, checkpoint.vocabulary, prime, [], stop_before)
    choose = drawing(seed, 1, temperature, top_k, top_p)
    grow([growing], written(checkpoint, length, prime, 1, choose, step), interrupted)
    return text.getvalue().decode(errors="replace")
