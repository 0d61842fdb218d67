"""How texts begin: those of a model of documents between two of them."""

import io
import random

import numpy as np
import pytest

from tests.helpers.runs import finish
from util.checkpoint.choice import best_checkpoint
from util.sampling.settings import Settings
from util.sampling.writing import Opening, Writer

PARTS = (
    "the king,a soldier,my friend,old John,the queen,our cat,every child,no man,some poet,the north wind",
    "sees,loves,finds,forgets,takes,hides,remembers,paints",
    "a small house,the sea,bread and salt,his own shadow,the last train,a red door,nothing at all,the long night",
    "today,again,at dawn,in silence,without a word,for ever",
)


@pytest.fixture(scope="module")
def posts(tmp_path_factory):
    """A text of 3,000 short posts, a line each, and a model after one epoch of them: their folder."""
    folder, draw = tmp_path_factory.mktemp("posts"), random.Random(1)
    lines = [" ".join(draw.choice(part.split(",")) for part in PARTS) for _ in range(3000)]
    (folder / "input.txt").write_text("\n".join(lines) + "\n")
    flags = ("-gpuid=-1", "-rnn_size=64", "-batch_size=20", "-seq_length=30", "-learning_rate=0.01", "-max_epochs=1")
    done = finish(folder, "-data_dir=.", *flags, r"-document_end=\n", "-shuffle=1", "-print_every=100")
    assert done.status == 0, done.err
    return folder


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
