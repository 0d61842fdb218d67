"""Checkpoints of the original: those that it wrote, with what it says of them, and others of our own making."""

import json
import re

import numpy as np
import pytest

from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint
from util.checkpoint.t7 import Table, read_t7
from util.checkpoint.torch7 import from_char_rnn

RUNS = json.loads((GOLDEN / "runs.json").read_text())
SAMPLES = json.loads((GOLDEN / "samples.json").read_text())


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm_dropout"])
def test_golden_checkpoints(name):
    run, checkpoint = RUNS[name], load_checkpoint(GOLDEN / f"{name}.t7")
    assert sum(array.size for array in checkpoint.parameters.values()) == run["parameters"]
    assert checkpoint.dtype == "float64" and checkpoint.training is None
    assert len(checkpoint.vocabulary) == run["vocab_size"] and checkpoint.vocabulary.is_bytes
    assert list(checkpoint.vocabulary.characters) == sorted(checkpoint.vocabulary.characters)
    assert (checkpoint.iteration, checkpoint.epoch) == (run["iterations"], 2.0)
    assert np.abs(checkpoint.train_losses - run["train_loss"]).max() <= 0.51e-8
    assert run["checkpoints"][-1].endswith(f"_{checkpoint.val_losses[run['iterations']]:.4f}.t7")
    given = dict(re.findall(r"-(\w+) (\S+)", run["flags"]))
    for flag in ("model", "rnn_size", "seq_length", "batch_size", "eval_val_every", "max_epochs"):
        assert str(checkpoint.options[flag]) == given[flag]
    assert checkpoint.options["dropout"] == float(given.get("dropout", 0))


@pytest.mark.parametrize("entry", SAMPLES, ids=lambda entry: f"{entry['checkpoint']} {' '.join(entry['flags'])}")
def test_sampled_texts_equal_the_originals(entry):
    done = run_here("sample.py", GOLDEN / entry["checkpoint"], *entry["flags"], "-verbose=0", "-gpuid=-1")
    assert done.stdout.decode() == entry["text"], done.stderr


# The same, changed.


@pytest.fixture
def root():
    """What is in the file of an LSTM."""
    return read_t7(GOLDEN / "lstm.t7")


def convert(root):
    return from_char_rnn(root, (GOLDEN / "lstm.t7").stat().st_size)


def linears(root):
    modules = [node["data"].get("module") for node in root["protos"]["rnn"]["forwardnodes"].values()]
    return [module for module in modules if module is not None and module.torch_class == "nn.Linear"]


def test_parameters_in_other_precisions(root):
    double = convert(root).parameters
    for linear in linears(root):
        linear.update({name: linear[name].astype("f4") for name in ("weight", "bias")})
    single = convert(root)
    assert single.dtype == "float32"
    assert all(np.array_equal(array, double[name].astype("f4")) for name, array in single.parameters.items())
    for linear in linears(root):
        linear.update({name: linear[name].astype("f2") for name in ("weight", "bias")})
    with pytest.raises(ValueError, match="parameters' type"):
        convert(root)


def test_options(root):
    """Those of the oldest files say neither model nor dropout; a path need not be UTF-8."""
    root["opt"].update(gpuid=-1.0, decay_rate=0.5, savefile="\xc3\xa9", data_dir="\xe9", flag=True, list=Table())
    del root["opt"]["model"], root["opt"]["dropout"]
    options = convert(root).options
    names = ("model", "dropout", "savefile", "data_dir", "gpuid", "decay_rate")
    assert repr([options[name] for name in names]) == repr(["lstm", 0.0, "é", "\ufffd", -1, 0.5])
    assert not options.keys() & {"flag", "list"}


def test_bytes_and_losses_with_gaps(root):
    root["vocab"]["\xff"] = root["vocab"].pop("\n")
    root.update(i=5.0, train_losses={1: 3.5, 4: 3.0}, val_losses={4: 2.5})
    checkpoint = convert(root)
    assert checkpoint.vocabulary.index["\xff"] == root["vocab"]["\xff"] - 1
    assert np.array_equal(checkpoint.train_losses, [3.5, np.nan, np.nan, 3.0, np.nan], equal_nan=True)
    assert (checkpoint.iteration, checkpoint.val_losses) == (5, {4: 2.5})


WRONG = {
    "huge iteration": (lambda root: root.update(i=1e15), "training losses do not match its iteration"),
    "losses that are no numbers": (lambda root: root.update(train_losses={1: "x"}), "training losses"),
    "validation losses that are no numbers": (lambda root: root.update(val_losses={1: "x"}), "val_losses"),
    "characters of several bytes": (lambda root: root["vocab"].update({"\xc3\xa9": 1.0}), "vocabulary of bytes"),
    "larger vocabulary": (lambda root: root["vocab"].update({"@": len(root["vocab"]) + 1.0}), "layers.0.i2h_weight"),
    "unknown model": (lambda root: root["opt"].update(model="irnn"), "model cannot be right"),
    "fractional size": (lambda root: root["opt"].update(rnn_size=3.5), "rnn_size"),
    "other layers": (lambda root: root["opt"].update(num_layers=3.0), "parameters"),
    "mixed types": (lambda root: linears(root)[1].update(bias=np.zeros(96, "f4")), "layers.0.h2h_bias"),
    "no number": (lambda root: linears(root)[1].update(bias=linears(root)[1]["bias"] * np.nan), "not finite"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_sound(root, name):
    change, message = WRONG[name]
    change(root)
    with pytest.raises(ValueError, match=message):
        convert(root)


def test_a_small_file_is_no_large_model(root):
    """A thousand layers that share their parameters."""
    nodes = [*root["protos"]["rnn"]["forwardnodes"].values()]
    root["protos"]["rnn"]["forwardnodes"] = dict(enumerate(nodes * 1000, 1))
    with pytest.raises(ValueError, match="parameters cannot be right"):
        convert(root)
