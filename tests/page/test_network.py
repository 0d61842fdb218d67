"""The network in the page against the one in Python, and its texts against the original's."""

import json
from pathlib import Path

import numpy as np
import pytest

from model.stepper import Stepper
from tests.helpers.inputs import GOLDEN, numbers
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.page.page import in_half_precision

SAMPLES = json.loads((GOLDEN / "samples.json").read_text())
TEXT = numbers(60).decode()[:500]


def expected(path: Path, half: bool) -> np.ndarray:
    """Log-probabilities after each character of the text, in double precision."""
    checkpoint = load_checkpoint(path)
    parameters = in_half_precision(checkpoint.parameters) if half else checkpoint.parameters
    double = {name: array.astype(np.float64) for name, array in parameters.items()}
    step = Stepper(double, checkpoint.options["num_layers"], checkpoint.options["model"])
    return np.array([step(np.array([checkpoint.vocabulary.index[c]]))[0].copy() for c in TEXT])


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("name", ["lstm.t7", "gru.t7", "rnn.t7", "lstm_dropout.t7", "lstm_rmsprop.pt"])
def test_log_probabilities(name, half, made, opened):
    path = GOLDEN / name
    page = opened(made(path, f"-half={half}"))
    assert page.evaluate("charRNN.vocabulary") == list(load_checkpoint(path).vocabulary.characters)
    read = """text => {
        charRNN.reset();
        return Array.from(text, (c) => Array.from(charRNN.step(charRNN.vocabulary.indexOf(c))));
    }"""
    for _ in range(2):  # from a zero state each time
        found = np.array(page.evaluate(read, TEXT))
        assert found.shape == (500, len(load_checkpoint(path).vocabulary))
        assert np.abs(found - expected(path, bool(half))).max() < 1e-9
    if not half:
        assert np.abs(found - expected(path, True)).max() > 1e-6


def test_a_step_returns_an_array_of_its_own(made, opened):
    page = opened(made(GOLDEN / "rnn.t7"))
    first, second, kind = page.evaluate(
        "[charRNN.step(0), charRNN.step(1)].map((a) => a[0]).concat(charRNN.step(2).constructor.name)"
    )
    assert first != second and kind == "Float64Array"


@pytest.mark.parametrize("name", sorted({sample["checkpoint"] for sample in SAMPLES}))
def test_the_original_s_texts_byte_for_byte(name, made, opened):
    page = opened(made(GOLDEN / name))
    samples = [sample for sample in SAMPLES if sample["checkpoint"] == name]
    assert samples
    for sample in samples:
        flags = dict(zip((flag[1:] for flag in sample["flags"][::2]), sample["flags"][1::2]))
        options = {key: float(flags[key]) for key in ("seed", "temperature", "length") if key in flags}
        if flags.get("sample") == "0":
            options["temperature"] = 0
        text = page.evaluate("options => charRNN.write(options)", options | {"primetext": flags.get("primetext", "")})
        assert text + "\n" == sample["text"], flags


def test_a_model_of_documents_begins_a_new_one(made, opened, tmp_path):
    checkpoint = load_checkpoint(GOLDEN / "lstm.t7")
    checkpoint.options["document_end"] = r"e\n"
    save_checkpoint(checkpoint, tmp_path / "x.pt")
    page = opened(made(tmp_path / "x.pt"))
    for primetext in ("", "one"):
        done = run("sample.py", "x.pt", "-verbose=0", "-length=80", f"-primetext={primetext}", cwd=tmp_path)
        options = {"length": 80, "primetext": primetext}
        assert page.evaluate("options => charRNN.write(options)", options) + "\n" == done.stdout
        page.click("#tab-write")
        page.fill("#primetext", primetext)
        page.fill("#length", "80")
        page.click("#go")
        page.wait_for_selector("#progress", state="hidden")
        spans = "spans => spans.map((span) => span.textContent).join('')"
        assert page.eval_on_selector_all("#text span", spans) == done.stdout[:-1]


@pytest.mark.parametrize("temperature", [1e-9, 1e-300, 0.02, 100])
def test_very_cold_and_very_hot_texts(temperature, made, opened, tmp_path):
    page = opened(made(GOLDEN / "lstm.t7"))
    flags = ("-verbose=0", "-gpuid=-1", "-length=80", "-primetext=one", f"-temperature={temperature}", "-seed=9")
    done = run("sample.py", GOLDEN / "lstm.t7", *flags, cwd=tmp_path)
    options = {"length": 80, "primetext": "one", "temperature": temperature, "seed": 9}
    assert page.evaluate("options => charRNN.write(options)", options) + "\n" == done.stdout
