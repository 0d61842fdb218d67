"""Lets a model write: what a text begins with, the characters that follow, and the text that becomes of them.

Letters: N texts side by side, V characters in the vocabulary, H units of a layer.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import takewhile
from typing import BinaryIO, NamedTuple

import numpy as np

from model.stepper import States, Stepper
from util.checkpoint.content import Checkpoint
from util.cli.console import tell
from util.cli.flags import unescape
from util.errors import UserError
from util.sampling.drawing import Predict, chooser
from util.sampling.growing import GrowingText
from util.sampling.settings import Settings
from util.text.vocabulary import Vocabulary

WARM_UP = Settings(length=1000, temperature=0.5)
"""How a model of documents writes those that it reads before a text; at temperature 1 the seed matters more."""


class Opening(NamedTuple):
    """The start of a text: each layer's states, (H,) each, and the log-probabilities (V,) of the first character."""

    states: Sequence[States]
    log_probs: np.ndarray


class Writer:
    """A model that writes texts. It does not change, so several threads may use one.

    Once `interrupted()` is true, texts end where they are.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str = "cpu", interrupted: Callable[[], object] = lambda: False
    ) -> None:
        self.checkpoint, self.vocabulary, self.interrupted = checkpoint, checkpoint.vocabulary, interrupted
        self.document_end = document_end(checkpoint)
        _, _, L, cell = checkpoint.model_shape
        self._stepper = Stepper(checkpoint.parameters, L, cell)
        self._begin: Callable[..., Predict] = self._stepper.begin
        if device != "cpu":
            from model.char_rnn import CharRNN  # on a CPU, only numpy is needed

            self._begin = CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters).to(device).stepper

    @cached_property
    def opening(self) -> Opening:
        """What every text begins with: the zero state or, for a model of documents, its state between two of them.

        In training every document but the first follows another, so a model hardly knows the zero state. It reads two
        documents that it writes itself, always the same.
        """
        step = self._stepper.begin(1, self._stepper.states)
        V = len(self.vocabulary)
        log_probs = np.full((1, V), -np.log(V))  # before any input all characters are equally likely
        if end := self.document_end:
            choose = chooser(WARM_UP)
            log_probs = feed(step, end, log_probs)
            for _ in range(2):
                document: list[int] = []
                while document[-len(end) :] != end and len(document) < WARM_UP.length and not self.interrupted():
                    indices = choose(log_probs)
                    log_probs = step(indices)
                    document.extend(indices)
                if document[-len(end) :] != end:  # too long a document is cut off
                    log_probs = feed(step, end, log_probs)
        return Opening(step.states, log_probs[0])

    def read(self, indices: Sequence[int], texts: int = 1) -> tuple[Predict, np.ndarray]:
        """Begins N texts with these characters; returns what feeds them more, and log-probabilities (N, V) by then."""
        step = self._begin(texts, self.opening.states)
        log_probs = np.broadcast_to(self.opening.log_probs, (texts, len(self.vocabulary)))
        heard = takewhile(lambda _: not self.interrupted(), indices)  # a long primetext takes a while
        return step, feed(step, heard, log_probs)

    def characters(
        self, prime: Sequence[int], settings: Settings, texts: int = 1
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the characters that follow `prime` in N texts, (N,) indices; text k has the seed of the first plus k.

        Each comes with the log-probabilities (N, V) it was chosen from.
        """
        choose = chooser(settings, texts)
        step, log_probs = self.read(prime, texts)
        for _ in range(settings.length):
            if self.interrupted():
                break
            indices = choose(log_probs)
            yield indices, log_probs
            log_probs = step(indices)

    def ends(self, settings: Settings) -> tuple[list[list[int]], list[int]]:
        """Returns the strings, as indices, after any of which a text ends, and the one before which it ends.

        Raises UserError.
        """
        if settings.stop_document and not self.document_end:
            raise UserError("this model was not trained with -document_end; leave out -stop_document, or try -stop")
        stops = [self.vocabulary.encode(stop, what="-stop") for stop in settings.stop]
        return stops, self.document_end if settings.stop_document else []

    def write(
        self, prime: list[int], settings: Settings, files: Sequence[BinaryIO], echo: bool = True, color: bool = False
    ) -> list[GrowingText]:
        """Writes a text to each file, all side by side: `prime` and what follows; `echo` and `color` as in GrowingText.

        Raises UserError.
        """
        ends = self.ends(settings)
        texts = [GrowingText(file, self.vocabulary, prime, *ends, echo, color) for file in files]
        for indices, log_probs in self.characters(prime, settings, len(files)):
            for text, index, expected in zip(texts, indices.tolist(), log_probs):
                if not text.ended:
                    text.add(index, expected)
            if all(text.ended for text in texts):
                break
        for text in texts:
            text.complete()
        return texts

    def text(self, primetext: str, settings: Settings) -> str:
        """Returns what sample.py prints with these settings. Raises UserError."""
        file = io.BytesIO()
        self.write(encode_primetext(self.vocabulary, primetext, settings.unknown_chars), settings, [file])
        return file.getvalue().decode(errors="replace")


def feed(step: Predict, indices: Iterable[int], log_probs: np.ndarray) -> np.ndarray:
    """Feeds the same characters to N texts; takes and returns log-probabilities (N, V) of what follows."""
    for index in indices:
        log_probs = step(np.full(len(log_probs), index))
    return log_probs


def primetext(vocabulary: Vocabulary, value: str) -> str:
    r"""Returns what -primetext means: \n, \t, \r and \\ are escapes, unless the model knows the backslash."""
    return value if "\\" in vocabulary.index else unescape(value)


def encode_primetext(vocabulary: Vocabulary, text: str, unknown: str) -> list[int]:
    """Returns the indices of a primetext; `unknown` is -unknown_chars. Raises UserError."""
    if not isinstance(text, str):
        raise UserError(f"primetext: {text!r:.80} is not text")
    if unknown == "nearest":
        warn_of_strangers(vocabulary, text, "the primetext")
    return vocabulary.encode(text, unknown, "the primetext", "leave it out, or use -unknown_chars skip")


def warn_of_strangers(vocabulary: Vocabulary, text: str, what: str) -> None:
    """Warns of characters that -unknown_chars nearest leaves out."""
    if strangers := vocabulary.without_nearest(text):
        tell(f"warning: {what} is read without {strangers!r:.80}, to which no {vocabulary.unit} is close")


def document_end(checkpoint: Checkpoint) -> list[int]:
    """Returns the indices that end a document in the model's own text; none if it was not made of documents.

    Raises UserError if the model does not know them.
    """
    end = checkpoint.options.get("document_end")
    return checkpoint.vocabulary.encode(unescape(end), what="the model's -document_end") if isinstance(end, str) else []
