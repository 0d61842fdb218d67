"""Trained models from Python: load one, and let it write, predict, judge a text, or show its states.

    import char_rnn
    model = char_rnn.load("cv")
    print(model.sample("ROMEO:", length=200, temperature=0.7))

Needs no PyTorch. What a call returns is the caller's own, and several threads may use one model. See docs/library.md.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from model.cells import CELLS
from model.stepper import Stepper
from util.checkpoint.choice import best_checkpoint
from util.checkpoint.content import Checkpoint
from util.errors import UserError
from util.sampling.settings import Settings
from util.sampling.writing import Writer

__all__ = ["Model", "UserError", "load"]


def load(path: str | Path) -> "Model":
    """Opens a checkpoint, .pt or .t7; a folder stands for the one in it with the lowest validation loss.

    Raises UserError, with a sentence for the user, if that is not possible.
    """
    if not isinstance(path, str | Path) or "\0" in str(path):
        raise UserError(f"{path!r:.80} is not the name of a file or folder")
    _, checkpoint = best_checkpoint(Path(path))
    return Model(checkpoint)


class Model:
    """A trained model. `checkpoint` holds its parameters, its vocabulary, and the options and losses of its run.

    All methods raise UserError, with a sentence, at a character that the model has never seen. For a model of bytes,
    the characters of a text are the bytes of its UTF-8. Before a text the model is in the zero state or, if it was
    trained with -document_end, between two documents.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._writer = Writer(checkpoint)

    def sample(self, primetext: str = "", **settings: Any) -> str:
        """Returns what sample.py prints: `primetext` and what the model goes on to write.

        `settings` are the flags length, temperature, seed, sample, top_k, top_p, stop (a text, or a list of them),
        stop_document and unknown_chars, which are checked as the flags are.
        """
        return self._writer.text(primetext, Settings().but(settings))

    def next(self, text: str = "") -> dict[str | bytes, float]:
        """Returns the probability of each character, or byte, that may follow a text, the likeliest first."""
        _, log_probs = self._writer.read(self._indices(text))
        vocabulary, probabilities = self._writer.vocabulary, np.exp(log_probs[0])
        characters = vocabulary.written if vocabulary.is_bytes else vocabulary.characters
        return {characters[index]: float(probabilities[index]) for index in np.argsort(-probabilities, kind="stable")}

    def score(self, text: str) -> np.ndarray:
        """Returns the loss on each of a text's T characters after the first, in nats, (T - 1,)."""
        step, _ = self._writer.read([])
        losses = [-step(np.array([before]))[0, index] for before, index in pairwise(self._indices(text))]
        return np.array(losses, self.checkpoint.dtype)

    def states(self, text: str) -> dict[str, np.ndarray]:
        """Returns the states of all L layers after each of a text's T characters, by name, (T, L, H) each.

        "h" is the output of the cells; an LSTM has their memory "c" as well.
        """
        _, H, L, cell = self.checkpoint.model_shape
        names = CELLS[cell].states
        step, _ = self._writer.read([])
        assert isinstance(step, Stepper)
        found = []
        for index in self._indices(text):
            step(np.array([index]))
            found.append([*step.states])
        states = np.array(found, self.checkpoint.dtype).reshape(-1, L, len(names), H)
        return {name: states[:, :, k].copy() for k, name in enumerate(names)}

    def _indices(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise UserError(f"{text!r:.80} is not text")
        return self._writer.vocabulary.encode(text)
