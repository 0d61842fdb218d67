"""Reads a text for the page: the loss, and all cells after each character.

On the page a unit of a layer is a cell, as its readers know it. Letters: N texts side by side, each from a zero state,
T characters in a text, V in the vocabulary, L layers of H cells, C = L·H cells.
"""

from collections.abc import Callable, Sequence

import numpy as np
from tqdm import tqdm

from model.stepper import Parameters, Stepper
from util.checkpoint.content import Checkpoint
from util.errors import UserError
from util.sampling.drawing import check_numbers

SHOWN: dict[str, Callable[..., np.ndarray]] = {"lstm": lambda c, h: np.tanh(c), "gru": lambda h: h, "rnn": lambda h: h}
"""What the page shows of a layer's states, from -1 to 1, for each kind of model that model.js has."""


def check_model(name: str) -> None:
    """Raises UserError if model.js does not have this kind of model."""
    if name not in SHOWN:
        known = ", ".join(SHOWN)
        raise UserError(f"the page cannot compute a {name!r}, only {known}; add it to util/page/model.js")


def read_passages(checkpoint: Checkpoint, parameters: Parameters, passages: Sequence[str]) -> tuple[float, np.ndarray]:
    """Returns the mean loss in nats, without each passage's first character, and all cells after each one, (T, C).

    No passage is empty, and the model knows all of their characters. `parameters` are its own in any precision.
    Raises UserError if they are so large that there is no loss.
    """
    V, H, L, model = checkpoint.model_shape
    if not passages:
        return 0.0, np.zeros((0, L * H))
    index, N = checkpoint.vocabulary.index, len(passages)
    window = np.full((max(map(len, passages)), N), -1)  # -1 after a passage: what comes there is left out
    for column, passage in zip(window.T, passages):
        column[: len(passage)] = [index[c] for c in passage]
    step = Stepper({name: array.astype(checkpoint.dtype) for name, array in parameters.items()}, L, model, N)
    cells = np.empty((N, len(window), L * H), checkpoint.dtype)
    log_probs, total = np.zeros((N, V)), 0.0
    for t, indices in enumerate(tqdm(window, "reading", leave=False, delay=2, disable=None)):
        if t:
            total -= float(log_probs[np.arange(N), indices][indices >= 0].sum())
        log_probs = step(indices)
        cells[:, t] = np.concatenate([SHOWN[model](*states).reshape(N, H) for states in step.states], axis=1)
    check_numbers(np.array(total))
    return total / max(1, int(np.count_nonzero(window[1:] >= 0))), cells[window.T >= 0]
