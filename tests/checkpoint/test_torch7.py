"""Checkpoints of the original and of torch-rnn: those that they wrote, with what they say of them, and changed ones."""

import json
import re

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs, peak_of
from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint
from util.checkpoint.t7 import Table, read_t7
from util.checkpoint.torch7 import OPTIONS, from_char_rnn, from_torch_rnn, read_tokens
from util.text.vocabulary import Vocabulary

RUNS = json.loads((GOLDEN / "runs.json").read_text())
SAMPLES = json.loads((GOLDEN / "samples.json").read_text())
TORCH_RNN = json.loads((GOLDEN / "torch_rnn" / "reference.json").read_text())["files"]


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "lstm_dropout"])
def test_golden_checkpoints(name):
    run, checkpoint = RUNS[name], load_checkpoint(GOLDEN / f"{name}.t7")
    assert checkpoint.size == run["parameters"]
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


@pytest.mark.parametrize("name", TORCH_RNN)
def test_a_checkpoint_holds_and_computes_what_torch_rnn_says(name, tmp_path):
    path, entry = GOLDEN / "torch_rnn" / name, TORCH_RNN[name]
    checkpoint = load_checkpoint(path)
    assert checkpoint.model_shape == tuple(entry[key] for key in ("vocab_size", "rnn_size", "num_layers", "model_type"))
    assert checkpoint.dtype == "float32" and checkpoint.training is None
    assert checkpoint.vocabulary.encoding == ("bytes" if "bytes" in name else "utf-8")
    tokens = [f"[{ord(c)}]" if "bytes" in name and c > "\x7f" else c for c in checkpoint.vocabulary.characters]
    assert tokens == entry["tokens"]
    assert (checkpoint.options["dropout"], checkpoint.options["batchnorm"]) == (entry["dropout"], entry["batchnorm"])
    assert checkpoint.iteration == entry["i"] == len(checkpoint.train_losses)
    assert abs(checkpoint.val_losses[entry["i"]] - entry["val_loss_last"]) < 1e-8
    assert sorted(checkpoint.val_losses) == [300, 600, entry["i"]]
    indices = checkpoint.vocabulary.encode(entry["prefix"])
    assert [index + 1 for index in indices] == entry["prefix_indices_1based"]
    assert np.abs(log_probs(checkpoint, indices) - entry["prefix_logprobs"]).max() < 1e-5
    (tmp_path / "passage.txt").write_bytes(entry["passage"].encode())
    done = run_here("evaluate.py", path, "-file", tmp_path / "passage.txt", "-gpuid=-1")
    unit = "byte" if "bytes" in name else "character"
    assert f": {entry['passage_predictions']} {unit}s\n" in done.stdout.decode(), done.stderr
    loss = float(re.search(rf"loss per {unit}: +(.*) nats", done.stdout.decode())[1])
    assert abs(loss - entry["passage_mean_loss"]) < 2e-6


@pytest.mark.parametrize("name", TORCH_RNN)
def test_sampled_texts_equal_those_of_torch_rnn(name):
    for sample in TORCH_RNN[name]["samples"]:
        length = sample["length"] - len(sample["start_text"])  # torch-rnn counts the start text
        flags = [f"-{flag}={sample[flag]}" for flag in ("seed", "sample", "temperature")]
        flags += [f"-primetext={sample['start_text']}", f"-length={length}", "-verbose=0", "-gpuid=-1"]
        done = run_here("sample.py", GOLDEN / "torch_rnn" / name, *flags)
        expected = sample["text"].encode() + b"\n"
        if "bytes" in name:
            expected = re.sub(rb"\[(\d+)\]", lambda token: bytes([int(token[1])]), expected)
        assert done.stdout == expected, (flags, done.stderr)


NORMALIZED = "torch_rnn/lstm_2x32_dropout_bn.t7"


def test_the_epoch_of_torch_rnn_s_is_unknown():
    """The file does not say which it was, and so no script does."""
    source = GOLDEN / NORMALIZED
    said = run_here("inspect_checkpoint.py", source).stdout
    for words in (b"model: lstm, 2 layers of 32, ", b"iteration: 675 (epoch unknown)", b"  batchnorm "):
        assert words in said
    plot = run_here("inspect_checkpoint.py", source, GOLDEN / "rnn.t7", "-plot=-").stdout
    assert b" 675 iterations\n" in plot and b"epochs" not in plot
    assert b"trained for 675 iterations" in run_here("sample.py", source, "-verbose=1", "-length=1").stderr


# The same, changed.


def convert(root):
    """Returns the checkpoint of what was in a file before it was changed."""
    if "protos" in root:
        return from_char_rnn(root, (GOLDEN / "lstm.t7").stat().st_size)
    return from_torch_rnn(root, (GOLDEN / NORMALIZED).stat().st_size)


@pytest.fixture
def lstm():
    return read_t7(GOLDEN / "lstm.t7")


@pytest.fixture
def normalized():
    return read_t7(GOLDEN / NORMALIZED)


def linears(root):
    modules = [node["data"].get("module") for node in root["protos"]["rnn"]["forwardnodes"].values()]
    return [module for module in modules if module is not None and module.torch_class == "nn.Linear"]


def modules(root):
    return root["model"]["net"]["modules"]


def module(root, name):
    return next(module for module in modules(root).values() if module.torch_class == f"nn.{name}")


def test_parameters_in_other_precisions(lstm):
    double = convert(lstm).parameters
    for linear in linears(lstm):
        linear.update({name: linear[name].astype("f4") for name in ("weight", "bias")})
    single = convert(lstm)
    assert single.dtype == "float32"
    assert all(np.array_equal(array, double[name].astype("f4")) for name, array in single.parameters.items())
    for linear in linears(lstm):
        linear.update({name: linear[name].astype("f2") for name in ("weight", "bias")})
    with pytest.raises(ValueError, match="parameters' type"):
        convert(lstm)


def test_flags(lstm, normalized):
    """The original's oldest files say neither model nor dropout; a path need not be UTF-8."""
    lstm["opt"].update(gpuid=-1.0, decay_rate=0.5, savefile="\xc3\xa9", data_dir="\xe9", flag=True, list=Table())
    del lstm["opt"]["model"], lstm["opt"]["dropout"]
    options = convert(lstm).options
    names = ("model", "dropout", "savefile", "data_dir", "gpuid", "decay_rate")
    assert repr([options[name] for name in names]) == repr(["lstm", 0.0, "é", "\ufffd", -1, 0.5])
    assert not options.keys() & {"flag", "list"}
    normalized["opt"].update(rnn_size=999.0, model_type="gru", dropout=0.9)
    options = convert(normalized).options
    assert options.keys() == {"model", "rnn_size", "num_layers", "dropout", "batchnorm", *OPTIONS}
    assert (options["model"], options["rnn_size"], options["dropout"]) == ("lstm", 32, 0.25)  # the model's, not opt's


def test_bytes_and_losses_with_gaps(lstm):
    lstm["vocab"]["\xff"] = lstm["vocab"].pop("\n")
    lstm.update(i=5.0, train_losses={1: 3.5, 4: 3.0}, val_losses={4: 2.5})
    checkpoint = convert(lstm)
    assert checkpoint.vocabulary.index["\xff"] == lstm["vocab"]["\xff"] - 1
    assert np.array_equal(checkpoint.train_losses, [3.5, np.nan, np.nan, 3.0, np.nan], equal_nan=True)
    assert (checkpoint.iteration, checkpoint.val_losses) == (5, {4: 2.5})


def test_torch_rnn_s_tokens():
    def vocabulary(*tokens):
        return read_tokens({"idx_to_token": {n: token.encode().decode("latin-1") for n, token in enumerate(tokens, 1)}})

    assert vocabulary("z", " ", "\n", "[", "]") == Vocabulary("z \n[]", "utf-8")
    assert vocabulary(*"zé花😀\0") == Vocabulary("zé花😀\0", "utf-8")
    assert vocabulary("z", "[195]", "[128]", "[255]", "a") == Vocabulary("z\xc3\x80\xffa", "bytes")
    assert vocabulary("z", "[195]", "[8212]", "[128512]", "a") == Vocabulary("zÃ—😀a", "utf-8")
    for token in ("", "the"):
        with pytest.raises(ValueError, match="vocabulary of single characters"):
            vocabulary("a", token, "c")


def test_torch_rnn_s_history(normalized):
    """-init_from counts on from the iteration of its checkpoint; the oldest files have no count."""
    normalized.update(train_loss_history={1: 3.5, 2: 3.25, 3: 3.0}, i=5.0)
    normalized.update(val_loss_history={1: 3.125}, val_loss_history_it={1: 2.0})
    checkpoint = convert(normalized)
    assert np.array_equal(checkpoint.train_losses, [np.nan, np.nan, 3.5, 3.25, 3.0], equal_nan=True)
    assert checkpoint.val_losses == {2: 3.125}
    del normalized["i"], normalized["val_loss_history_it"]
    checkpoint = convert(normalized)
    assert (checkpoint.iteration, checkpoint.train_losses.tolist(), checkpoint.val_losses) == (3, [3.5, 3.25, 3], {})


WRONG = [
    (lambda root: root.update(i=1e15), "training losses do not match its iteration"),
    (lambda root: root.update(train_losses={1: "x"}), "training losses"),
    (lambda root: root.update(val_losses={1: "x"}), "val_losses"),
    (lambda root: root["vocab"].update({"\xc3\xa9": 1.0}), "vocabulary of bytes"),
    (lambda root: root["vocab"].update({"@": len(root["vocab"]) + 1.0}), "layers.0.i2h_weight"),
    (lambda root: root["opt"].update(model="irnn"), "model cannot be right"),
    (lambda root: root["opt"].update(rnn_size=3.5), "rnn_size"),
    (lambda root: root["opt"].update(num_layers=3.0), "parameters"),
    (lambda root: linears(root)[1].update(bias=np.zeros(96, "f4")), "layers.0.h2h_bias"),
    (lambda root: linears(root)[1].update(bias=linears(root)[1]["bias"] * np.nan), "not finite"),
]
WRONG_TORCH_RNN = [
    (lambda root: root.update(i=1e15), "training losses do not match its iteration"),
    (lambda root: root["val_loss_history_it"].update({1: 2.5}), "val_losses"),
    (lambda root: root["opt"].update(batch_size=2.5), "batch_size"),
    (lambda root: modules(root).update({2: Table("nn.GRU")}), "net with 'nn.GRU'"),
    (lambda root: modules(root).update({len(modules(root)) - 1: Table("nn.View")}), "layers of one kind and a decoder"),
    (lambda root: root["model"]["idx_to_token"].update({60: "@"}), "LookupTable"),
    (lambda root: root["model"]["idx_to_token"].update({1: "a", 2: "a"}), "vocabulary"),
    (lambda root: module(root, "Linear").update(bias=np.zeros(7, "f4")), "Linear cannot be right"),
    (lambda root: module(root, "LSTM").update(bias=np.zeros(7, "f4")), "LSTM cannot be right"),
    (lambda root: module(root, "BatchNormalization").update(eps=np.ones((9, 1))), "BatchNorm"),
    (lambda root: module(root, "BatchNormalization").update(running_var=np.full(32, -1, "f4")), "not finite"),
]
CHANGES = [("lstm.t7", *wrong) for wrong in WRONG] + [(NORMALIZED, *wrong) for wrong in WRONG_TORCH_RNN]


@pytest.mark.parametrize(("name", "change", "message"), CHANGES)
def test_what_is_not_sound(name, change, message):
    root = read_t7(GOLDEN / name)
    change(root)
    with pytest.raises(ValueError, match=message):
        convert(root)


def test_a_small_file_is_no_large_model(lstm):
    """A thousand layers that share their parameters."""
    nodes = [*lstm["protos"]["rnn"]["forwardnodes"].values()]
    lstm["protos"]["rnn"]["forwardnodes"] = dict(enumerate(nodes * 1000, 1))
    with pytest.raises(ValueError, match="parameters cannot be right"):
        convert(lstm)


def test_memory_is_bounded_by_torch_rnn_s_file(normalized):
    """The embedding times the first layer's weights would be 3.2 GB here, but the decoder does not go with it."""
    V, width = 20_000, 40_000
    normalized["model"]["idx_to_token"] = {n: chr(0x4E00 + n).encode().decode("latin-1") for n in range(1, V + 1)}
    arrays = ("LookupTable", np.zeros((V, 1))), ("LSTM", np.zeros((2, width))), ("Linear", np.zeros((V, 1)))
    for number, (name, weight) in enumerate(arrays, 1):
        modules(normalized)[number] = Table(f"nn.{name}")
        modules(normalized)[number].update(weight=weight, bias=np.zeros(V if name == "Linear" else width))
    normalized["model"]["net"]["modules"] = {n: modules(normalized)[n] for n in (1, 2, 3)}

    def refuse():
        with pytest.raises(ValueError, match="LSTM cannot be right"):
            from_torch_rnn(normalized, 10**9)

    assert peak_of(refuse) < 100e6
