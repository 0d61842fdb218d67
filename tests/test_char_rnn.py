"""The module to import: what it returns is what the scripts print, and what the equations give."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import char_rnn
from tests.helpers.checkpoints import log_probs
from tests.helpers.inputs import GOLDEN
from tests.helpers.samples import LSTM, written

MODEL = char_rnn.load(LSTM)


def test_what_sample_prints(tmp_path):
    asked = {"length": 80, "temperature": 0.7, "seed": 7, "top_k": 5, "top_p": 0.9, "stop": "e\n"}
    flags = [f"-{name}={value}" for name, value in asked.items()]
    assert MODEL.sample("one", **asked) + "\n" == written("-primetext=one", *flags)
    path = shutil.copy(LSTM, tmp_path)
    assert len({char_rnn.load(place).sample(length=50) for place in (path, Path(path), tmp_path, LSTM)}) == 1


def test_what_comes_next():
    found, vocabulary = MODEL.next("one "), MODEL.checkpoint.vocabulary
    *_, expected = np.exp(log_probs(MODEL.checkpoint, vocabulary.encode("one "))).tolist()
    assert found == {bytes([ord(c)]): p for c, p in zip(vocabulary.characters, expected)}
    assert [*found.values()] == sorted(found.values(), reverse=True)
    uniform = MODEL.next()
    assert len(uniform) == 32 and {*np.round(list(uniform.values()), 6)} == {0.03125}


def test_the_loss_on_a_text(unicode_checkpoint):
    text, vocabulary = "twenty-one two", MODEL.checkpoint.vocabulary
    indices = vocabulary.encode(text)
    expected = -log_probs(MODEL.checkpoint, indices)[np.arange(len(indices) - 1), indices[1:]]
    assert np.array_equal(MODEL.score(text), expected)
    assert MODEL.score("").shape == MODEL.score("o").shape == (0,)
    assert char_rnn.load(unicode_checkpoint).score("é道").shape == (1,)


@pytest.mark.parametrize(("name", "states"), [("lstm", {"c", "h"}), ("gru", {"h"}), ("rnn", {"h"})])
def test_states(name, states):
    """h of the last layer is what the decoder reads; what is returned stays as it is."""
    model = char_rnn.load(GOLDEN / f"{name}.t7")
    found = model.states("one two")
    _, H, L, _ = model.checkpoint.model_shape
    assert found.keys() == states and {array.shape for array in found.values()} == {(7, L, H)}
    before = {key: array.copy() for key, array in found.items()}
    p = model.checkpoint.parameters
    logits = found["h"][:, -1] @ p["decoder.weight"].T + p["decoder.bias"]
    expected = log_probs(model.checkpoint, model.checkpoint.vocabulary.encode("one two"))
    assert np.allclose(logits - np.log(np.exp(logits).sum(1, keepdims=True)), expected, atol=1e-5)
    assert model.states("")["h"].shape == (0, L, H)
    model.states("two one")
    assert all(np.array_equal(found[key], before[key]) for key in found)


def test_texts_from_several_threads_are_those_from_one():
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda seed: MODEL.sample(length=100, seed=seed), range(16)))
    assert texts == [MODEL.sample(length=100, seed=seed) for seed in range(16)] and len(set(texts)) == 16


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MODEL.sample(temperature=0), "temperature: '0' is not a number above 0"),
        (lambda: MODEL.sample(temperature=-1.0), "temperature: '-1.0' is not"),
        (lambda: MODEL.sample(length=-5), "length: '-5' is not a whole number of at least 0"),
        (lambda: MODEL.sample(top_p=2), "top_p: '2' is not a number above 0 and at most 1"),
        (lambda: MODEL.sample(unknown_chars="no"), "unknown_chars: 'no' is not one of error, skip, nearest"),
        (lambda: MODEL.sample(stop=[5]), "neither text nor a list of texts"),
        (lambda: MODEL.sample(stop="Q"), "-stop contains 'Q'"),
        (lambda: MODEL.sample(stop_document=True), "not trained with -document_end"),
        (lambda: MODEL.sample("Q"), "the primetext contains 'Q'"),
        (lambda: MODEL.sample(5), "primetext: 5 is not text"),
        (lambda: MODEL.score("Q"), "contains 'Q'"),
        (lambda: MODEL.next(None), "None is not text"),
        (lambda: MODEL.sample(lenght=5), "there is no 'lenght'; a prompt may have primetext, seed"),
        (lambda: MODEL.sample(seed=10**5000), "seed: so long a number is not a whole number"),
        (lambda: char_rnn.load(None), "None is not the name of a file"),
        (lambda: char_rnn.load("a\0b"), r"'a\x00b' is not the name of a file"),
        (lambda: char_rnn.load("none.pt"), "there is no checkpoint none.pt"),
    ],
)
def test_mistakes_are_sentences(call, words):
    with pytest.raises(char_rnn.UserError) as caught:
        call()
    assert words in str(caught.value)


def test_it_can_be_imported_from_anywhere_without_torch(tmp_path):
    """Once the project is installed, as README says."""
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    code = f"import char_rnn; print(char_rnn.load({str(LSTM)!r}).sample('one', length=20))"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == MODEL.sample("one", length=20) + "\n", done.stderr
