"""The network in the page against the one in Python, and its texts against the original's."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs
from tests.helpers.inputs import GOLDEN, numbers
from tests.helpers.pages import save_random_model
from util.checkpoint.store import load_checkpoint
from util.page.reading import SHOWN

SAMPLES = json.loads((GOLDEN / "samples.json").read_text())
TEXT = numbers(60).decode()[:500]


def expected_for(path: Path, half: bool) -> np.ndarray:
    """Log-probabilities after each character of the text, in double precision."""
    checkpoint = load_checkpoint(path)
    stored = np.float16 if half else checkpoint.dtype
    double = {name: array.astype(stored).astype(np.float64) for name, array in checkpoint.parameters.items()}
    return log_probs(replace(checkpoint, parameters=double), checkpoint.vocabulary.encode(TEXT))


@pytest.mark.parametrize(
    ("name", "half"),
    [("lstm.t7", 0), ("gru.t7", 0), ("rnn.t7", 0), ("lstm_dropout.t7", 0), ("lstm_rmsprop.pt", 0), ("gru.t7", 1)],
)
def test_log_probabilities_and_the_original_s_texts(name, half, made, opened):
    page = opened(made(GOLDEN / name, f"-half={half}"))
    assert page.evaluate("charRNN.vocabulary") == list(load_checkpoint(GOLDEN / name).vocabulary.characters)
    read = """text => {
        charRNN.reset();
        return Array.from(text, (c) => charRNN.step(charRNN.vocabulary.indexOf(c))).map((one) => Array.from(one));
    }"""
    expected = expected_for(GOLDEN / name, bool(half))
    for _ in range(2):  # from a zero state each time
        found = np.array(page.evaluate(read, TEXT))
        assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-9
    if half:
        assert np.abs(found - expected_for(GOLDEN / name, False)).max() > 1e-6
        return
    for sample in (sample for sample in SAMPLES if sample["checkpoint"] == name):
        flags = dict(zip((flag[1:] for flag in sample["flags"][::2]), sample["flags"][1::2]))
        options = {key: float(flags[key]) for key in ("seed", "temperature", "length") if key in flags}
        if flags.get("sample") == "0":
            options["temperature"] = 0
        text = page.evaluate("options => charRNN.write(options)", options | {"primetext": flags.get("primetext", "")})
        assert text + "\n" == sample["text"], flags


@pytest.mark.parametrize("cell", SHOWN)
def test_every_cell_that_the_page_has_is_that_of_cells_py(cell, made, opened, tmp_path):
    known = load_checkpoint(GOLDEN / "lstm.t7").vocabulary
    checkpoint = save_random_model(tmp_path / "x.pt", known, cell, layers=3, largest=1)
    page, indices = opened(made(tmp_path / "x.pt")), known.encode(TEXT)
    read = "indices => { charRNN.reset(); return indices.map((index) => Array.from(charRNN.step(index))); }"
    assert np.abs(np.array(page.evaluate(read, indices)) - log_probs(checkpoint, indices)).max() < 1e-12
