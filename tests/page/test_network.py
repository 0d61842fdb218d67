"""The network in the page against the one in Python."""

from dataclasses import replace

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs
from tests.helpers.pages import LSTM, TEXT, save_random_model
from util.checkpoint.store import load_checkpoint
from util.page.reading import SHOWN

STORED = {"lstm": "float64", "gru": "float32", "rnn": "float16"}


@pytest.mark.parametrize("cell", SHOWN)
def test_log_probabilities_of_every_cell_are_those_of_cells_py(cell, made, opened, tmp_path):
    """In double precision, whatever the page stores the weights in."""
    half, vocabulary = STORED[cell] == "float16", load_checkpoint(LSTM).vocabulary
    dtype = "float32" if half else STORED[cell]
    checkpoint = save_random_model(tmp_path / "x.pt", vocabulary, cell, largest=1, dtype=dtype)
    stored = {name: array.astype(STORED[cell]) for name, array in checkpoint.parameters.items()}
    double = replace(checkpoint, parameters={name: array.astype(np.float64) for name, array in stored.items()})
    page, indices = opened(made(tmp_path / "x.pt", f"-half={int(half)}", "-length=1")), vocabulary.encode(TEXT[:200])
    assert page.evaluate("charRNN.vocabulary") == list(vocabulary.characters)
    read = "indices => { charRNN.reset(); return indices.map((index) => Array.from(charRNN.step(index))); }"
    for _ in range(2):  # from a zero state each time
        found = np.array(page.evaluate(read, indices))
        assert np.abs(found - log_probs(double, indices)).max() < 1e-12
