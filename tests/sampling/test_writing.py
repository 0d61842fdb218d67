"""How texts begin: those of a model of documents between two of them."""

import io

import numpy as np

from util.checkpoint.choice import best_checkpoint
from util.sampling.settings import Settings
from util.sampling.writing import Opening, Writer


def test_documents_begin_as_those_of_the_training_text(posts):
    """Of 200, this many begin with a word that begins a line there: some 30 from a zero state, 180 from the opening."""
    _, checkpoint = best_checkpoint(posts / "cv", lambda sentence: None)
    words = {line.split()[0] for line in (posts / "input.txt").read_text().splitlines()}
    cold = Writer(checkpoint)
    step = cold._stepper.begin(1, cold._stepper.states)
    cold.opening = Opening(step.states, step(np.array(cold.document_end))[0])

    def good(writer: Writer) -> int:
        files = [io.BytesIO() for _ in range(200)]
        writer.write([], Settings(length=200, stop_document=1), files)
        return sum((file.getvalue().decode().split() or [""])[0] in words for file in files)

    assert good(Writer(checkpoint)) > max(150, good(cold) + 60)


def test_an_opening_can_be_interrupted(posts):
    """As large a model as that of a preview may take long to write two documents."""
    _, checkpoint = best_checkpoint(posts / "cv", lambda sentence: None)
    cut = Writer(checkpoint, interrupted=lambda: True)
    assert not np.array_equal(cut.opening.log_probs, Writer(checkpoint).opening.log_probs)
    assert cut.text("", Settings(length=50)) == ""


def test_reading_a_primetext_can_be_interrupted(posts):
    """A long one takes minutes."""
    _, checkpoint = best_checkpoint(posts / "cv", lambda sentence: None)
    asked = iter(range(10**6))
    cut = Writer(checkpoint, interrupted=lambda: next(asked) > 500)
    assert cut.opening and next(asked) < 500
    prime = checkpoint.vocabulary.characters[1] * 10**5
    assert cut.text(prime, Settings(length=50)) == prime and next(asked) < 1000


def test_the_opening_follows_two_whole_documents(posts):
    """It is what the model is in after these characters, the end of a document the last of them."""
    _, checkpoint = best_checkpoint(posts / "cv", lambda sentence: None)
    writer = Writer(checkpoint)
    fed = []
    plain = writer._stepper.begin(1, writer._stepper.states)

    class Spy(Writer):
        def __init__(self) -> None:
            super().__init__(checkpoint)
            self._stepper = self

        def begin(self, texts, states):
            self.states = plain.states
            return self

        states = plain.states

        def __call__(self, indices):
            fed.append(int(indices[0]))
            log_probs = plain(indices)
            self.states = plain.states
            return log_probs

    opening = Spy().opening
    text = checkpoint.vocabulary.decode(fed)
    first, second = text.removeprefix("\n").removesuffix("\n").split("\n")
    assert text == f"\n{first}\n{second}\n" and 10 < len(first) < 60 and 10 < len(second) < 60
    assert np.array_equal(opening.log_probs, writer.opening.log_probs)
