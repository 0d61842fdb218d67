"""How texts begin: those of a model of documents between two of them."""

import io
import random
from dataclasses import replace

import numpy as np
import pytest

from model.stepper import Stepper
from tests.helpers.inputs import GOLDEN
from tests.helpers.runs import finish
from util.checkpoint.choice import best_checkpoint
from util.checkpoint.store import load_checkpoint
from util.sampling.settings import Settings
from util.sampling.writing import Opening, Writer

POST = (
    "the king,a soldier,my friend,old John,the queen,our cat,every child,no man,some poet,the north wind",
    "sees,loves,finds,forgets,takes,hides,remembers,paints",
    "a small house,the sea,bread and salt,his own shadow,the last train,a red door,nothing at all,the long night",
    "today,again,at dawn,in silence,without a word,for ever",
)
LSTM = load_checkpoint(GOLDEN / "lstm.t7")
LINES = replace(LSTM, options=LSTM.options | {"document_end": r"\n"})
"""A model of lines, as if each had been a document."""


def test_documents_begin_as_those_of_the_training_text(tmp_path):
    """Of 200, this many begin with a word that begins a line there: some 30 from a zero state, 180 from the opening."""
    draw = random.Random(1)
    lines = [" ".join(draw.choice(part.split(",")) for part in POST) for _ in range(3000)]
    (tmp_path / "input.txt").write_text("\n".join(lines) + "\n")
    flags = ("-gpuid=-1", "-rnn_size=64", "-batch_size=20", "-seq_length=30", "-learning_rate=0.01", "-max_epochs=1")
    assert finish(tmp_path, "-data_dir=.", *flags, r"-document_end=\n", "-shuffle=1", "-print_every=100").status == 0
    _, checkpoint = best_checkpoint(tmp_path / "cv", lambda sentence: None)
    words = {line.split()[0] for line in lines}
    cold = Writer(checkpoint)
    step = cold._stepper.begin(1, cold._stepper.states)
    cold.opening = Opening(step.states, step(np.array(cold.document_end))[0])

    def good(writer: Writer) -> int:
        files = [io.BytesIO() for _ in range(200)]
        writer.write([], Settings(length=200, stop_document=1), files)
        return sum((file.getvalue().decode().split() or [""])[0] in words for file in files)

    assert good(Writer(checkpoint)) > max(150, good(cold) + 60)


def test_an_opening_and_a_primetext_can_be_interrupted():
    """Those of a large model, or a long one, take minutes."""
    cut = Writer(LINES, interrupted=lambda: True)
    assert not np.array_equal(cut.opening.log_probs, Writer(LINES).opening.log_probs)
    assert cut.text("", Settings(length=50)) == ""
    asked = iter(range(10**6))
    cut = Writer(LINES, interrupted=lambda: next(asked) > 500)
    assert cut.opening and next(asked) < 500
    prime = "o" * 10**5
    assert cut.text(prime, Settings(length=50)) == prime and next(asked) < 1000


@pytest.mark.parametrize(("longest", "low", "high"), [(1000, 10, 60), (7, 7, 7)])
def test_the_opening_follows_two_documents(longest, low, high, monkeypatch):
    """It is what the model is in after these characters: whole documents, or the beginnings of too long ones."""
    fed, step = [], Stepper.__call__

    def feed(self, indices):
        fed.extend(indices)
        return step(self, indices)

    monkeypatch.setattr(Stepper, "__call__", feed)
    monkeypatch.setattr("util.sampling.writing.WARM_UP", Settings(length=longest, temperature=0.5))
    opening = Writer(LINES).opening
    before, first, second, after = LINES.vocabulary.decode(fed).split("\n")
    assert before == after == "" and low <= len(first) <= high and low <= len(second) <= high
    _, log_probs = Writer(LSTM).read([*fed])
    assert np.array_equal(opening.log_probs, log_probs[0])
