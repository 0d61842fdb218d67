"""Checkpoints of torch-rnn: those that it wrote, with what it says of them, others of our own making, and damage."""

import json
import re
import tracemalloc

import numpy as np
import pytest

from model.stepper import Stepper
from tests.campaigns.t7_mutations import campaign
from tests.helpers.inputs import GOLDEN as ALL_GOLDEN
from tests.helpers.refusals import told
from tests.helpers.runs import finish
from tests.helpers.scripts import imported, run
from tests.helpers.t7_writer import Object, Tensor, tensor, torch_rnn_checkpoint, write_t7
from util.checkpoint.store import load_checkpoint, read_checkpoint
from util.errors import UserError

GOLDEN = ALL_GOLDEN / "torch_rnn"
REFERENCE = json.loads((GOLDEN / "reference.json").read_text())["files"]
SAMPLES = [(name, sample) for name, entry in REFERENCE.items() for sample in entry["samples"]]


def log_probs(checkpoint, indices):
    """After each of the indices, (T, V)."""
    step = Stepper(checkpoint.parameters, checkpoint.options["num_layers"], checkpoint.options["model"])
    return np.array([step(np.array([index]))[0].copy() for index in indices])


# What torch-rnn says.


@pytest.mark.parametrize("name", REFERENCE)
def test_what_is_in_a_checkpoint(name):
    entry, checkpoint = REFERENCE[name], load_checkpoint(GOLDEN / name)
    assert checkpoint.model_shape == tuple(entry[key] for key in ("vocab_size", "rnn_size", "num_layers", "model_type"))
    assert checkpoint.dtype == "float32"
    assert all(array.flags.c_contiguous and array.flags.aligned for array in checkpoint.parameters.values())
    assert checkpoint.vocabulary.encoding == ("bytes" if "bytes" in name else "utf-8")
    tokens = [f"[{ord(c)}]" if "bytes" in name and c > "\x7f" else c for c in checkpoint.vocabulary.characters]
    assert tokens == entry["tokens"]
    assert (checkpoint.options["dropout"], checkpoint.options["batchnorm"]) == (entry["dropout"], entry["batchnorm"])
    assert checkpoint.iteration == entry["i"] == len(checkpoint.train_losses)
    assert checkpoint.epoch == checkpoint.options["max_epochs"]
    assert np.isfinite(checkpoint.train_losses).all()
    assert abs(checkpoint.val_losses[entry["i"]] - entry["val_loss_last"]) < 1e-8
    assert sorted(checkpoint.val_losses) == [300, 600, entry["i"]]
    assert checkpoint.training is None


@pytest.mark.parametrize("name", REFERENCE)
def test_log_probabilities_equal_those_of_torch_rnn(name):
    entry, checkpoint = REFERENCE[name], load_checkpoint(GOLDEN / name)
    indices = checkpoint.vocabulary.encode(entry["prefix"])
    assert [index + 1 for index in indices] == entry["prefix_indices_1based"]
    assert np.abs(log_probs(checkpoint, indices) - entry["prefix_logprobs"]).max() < 1e-5


@pytest.mark.parametrize("name", REFERENCE)
def test_mean_losses_equal_those_of_torch_rnn(tmp_path, name):
    passage = tmp_path / "passage.txt"
    passage.write_bytes(REFERENCE[name]["passage"].encode())
    done = run("evaluate.py", GOLDEN / name, "-file", passage, "-gpuid", -1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f": {REFERENCE[name]['passage_predictions']} characters\n" in done.stdout
    loss = float(re.search("loss per character: (.*) nats", done.stdout)[1])
    assert abs(loss - REFERENCE[name]["passage_mean_loss"]) < 2e-6


@pytest.mark.parametrize(
    ("name", "sample"), SAMPLES, ids=[f"{name} {s['seed']} {s['start_text']} {s['temperature']}" for name, s in SAMPLES]
)
def test_sampled_texts_equal_those_of_torch_rnn(tmp_path, name, sample):
    length = sample["length"] - len(sample["start_text"])  # torch-rnn counts the start text
    flags = [f"-{flag}={sample[flag]}" for flag in ("seed", "sample", "temperature")]
    flags += [f"-primetext={sample['start_text']}", f"-length={length}", "-output=text", "-gpuid=-1"]
    done = run("sample.py", GOLDEN / name, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = sample["text"].encode() + b"\n"
    if "bytes" in name:
        expected = re.sub(rb"\[(\d+)\]", lambda token: bytes([int(token[1])]), expected)
    assert (tmp_path / "text").read_bytes() == expected


def test_it_is_inspected_and_converted(tmp_path):
    source = tmp_path / "x.t7"
    source.write_bytes((GOLDEN / "lstm_2x32_dropout_bn.t7").read_bytes())
    shown = run("inspect_checkpoint.py", source, cwd=tmp_path)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "model: lstm, 2 layers of 32, " in shown.stdout
    assert "iteration: 675 (epoch 45.000)" in shown.stdout
    assert re.search("  batchnorm +1\n", shown.stdout)
    assert run("convert_gpu_cpu_checkpoint.py", source, cwd=tmp_path).returncode == 0
    before, after = load_checkpoint(source), load_checkpoint(tmp_path / "x.t7_cpu.pt")
    assert (before.options, before.vocabulary, before.val_losses) == (after.options, after.vocabulary, after.val_losses)
    assert all(np.array_equal(before.parameters[name], after.parameters[name]) for name in before.parameters)


@pytest.mark.parametrize("name", ["lstm_2x32_dropout_bn", "rnn_2x32"])
def test_training_continues_from_it(tmp_path, name):
    (tmp_path / "input.txt").write_text(REFERENCE[name + ".t7"]["passage"])
    flags = ["-gpuid=-1", "-batch_size=4", "-seq_length=10", "-max_epochs=4", f"-data_dir={tmp_path}"]
    done = finish(tmp_path, *flags, f"-init_from={GOLDEN / name}.t7", f"-checkpoint_dir={tmp_path}")
    assert done.status == 0, done.err
    losses = [float(loss) for loss in re.findall("train_loss = ([0-9.]+)", done.out)]
    assert losses[0] < 3 < np.log(59)  # a new model's would be the latter
    assert np.mean(losses[-40:]) < np.mean(losses[:40])
    said = "the checkpoint's batch normalization is now part of its weights, and will not be trained separately\n"
    assert (said in done.out) == ("bn" in name)
    (path,) = tmp_path.glob("*.pt")
    options = load_checkpoint(path).options
    assert options["dropout"] == (0.25 if "bn" in name else 0)
    assert "batchnorm" not in options


def test_torch_is_not_imported():
    assert "torch" not in imported("inspect_checkpoint.py", GOLDEN / "lstm_2x32_dropout_bn.t7")


# Checkpoints of our own making.

V, D, H = 5, 2, 3


def random_model(cell, num_layers, batchnorm=None):
    """Embedding, layers and decoder for `torch_rnn_checkpoint`. `batchnorm` is running_var or running_std, or None."""
    rng = np.random.default_rng(7)
    width, layers = (4 if cell == "LSTM" else 1) * H, []
    for number in range(num_layers):
        inputs = H if number else D
        layer = {"weight": rng.uniform(-1, 1, (inputs + H, width)), "bias": rng.uniform(-1, 1, width)}
        if batchnorm:
            layer |= {name: rng.uniform(-1, 1, H) for name in ("bn_weight", "bn_bias", "running_mean")}
            layer[batchnorm] = rng.uniform(0.1, 3, H)
        layers.append(layer)
    return rng.uniform(-1, 1, (V, D)), layers, (rng.uniform(-1, 1, (V, H)), rng.uniform(-1, 1, V))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_probs_by_the_equations(cell, embedding, layers, decoder, indices):
    """Straight from the equations of torch-rnn, with nothing folded: the log-probabilities after some tokens."""
    state = [(np.zeros(H), np.zeros(H))] * len(layers)
    for index in indices:
        x = embedding[index]
        for number, layer in enumerate(layers):
            c, h = state[number]
            a = np.concatenate([x, h]) @ layer["weight"] + layer["bias"]
            if cell == "LSTM":
                i, f, o, g = np.split(a, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                h = np.tanh(a)
            state[number], x = (c, h), h
            if "running_var" in layer:
                x = (h - layer["running_mean"]) / np.sqrt(layer["running_var"] + 1e-5)
            elif "running_std" in layer:
                x = (h - layer["running_mean"]) * layer["running_std"]
            if "bn_weight" in layer:
                x = x * layer["bn_weight"] + layer["bn_bias"]
    logits = decoder[0] @ x + decoder[1]
    return logits - np.log(np.exp(logits).sum())


@pytest.mark.parametrize("kind", ["Double", "Float"])
@pytest.mark.parametrize("batchnorm", [None, "running_var", "running_std"])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", ["LSTM", "VanillaRNN"])
def test_models_compute_what_the_file_says(tmp_path, cell, num_layers, batchnorm, kind):
    model = random_model(cell, num_layers, batchnorm)
    checkpoint = load_checkpoint(write_t7(tmp_path / "x.t7", torch_rnn_checkpoint(cell, *model, kind)))
    assert checkpoint.dtype == ("float64" if kind == "Double" else "float32")
    assert checkpoint.model_shape == (V, H, num_layers, "lstm" if cell == "LSTM" else "rnn")
    assert checkpoint.options["batchnorm"] == (batchnorm is not None)
    indices = (1, 4, 0, 2)
    difference = log_probs(checkpoint, indices)[-1] - log_probs_by_the_equations(cell, *model, indices)
    assert np.abs(difference).max() < (1e-12 if kind == "Double" else 1e-5)


def test_buffers_that_nobody_cleared(tmp_path):
    model = random_model("LSTM", 2, "running_std")
    paths = [tmp_path / name for name in ("cleared.t7", "full.t7")]
    for path in paths:
        write_t7(path, torch_rnn_checkpoint("LSTM", *model, cleared=path is paths[0]))
    assert paths[1].stat().st_size > paths[0].stat().st_size + 1000
    first, second = (load_checkpoint(path).parameters for path in paths)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.fixture
def root():
    """A checkpoint of an LSTM with batch normalization, to be changed by a test."""
    return torch_rnn_checkpoint("LSTM", *random_model("LSTM", 2, "running_var"))


@pytest.fixture
def load(tmp_path):
    return lambda root: read_checkpoint(write_t7(tmp_path / "x.t7", root))


def test_flags_by_our_names(root, load):
    assert load(root).options == {
        **{"model": "lstm", "rnn_size": H, "num_layers": 2, "dropout": 0.0, "batchnorm": 1},  # the model's, not opt's
        **{"batch_size": 3, "seq_length": 7, "max_epochs": 4, "eval_val_every": 2},
        **{"learning_rate": 2e-3, "learning_rate_decay": 0.5, "grad_clip": 5.0},
    }


def vocabulary(load, *tokens):
    checkpoint = load(torch_rnn_checkpoint("LSTM", *random_model("LSTM", 1), tokens=tokens))
    return checkpoint.vocabulary.characters, checkpoint.vocabulary.encoding


def test_tokens(load):
    assert vocabulary(load, "z", " ", "\n", "[", "]") == ("z \n[]", "utf-8")
    assert vocabulary(load, *("zé花😀\0"[index].encode() for index in range(5))) == ("zé花😀\0", "utf-8")
    assert vocabulary(load, "z", "[195]", "[128]", "[255]", "a") == ("z\xc3\x80\xffa", "bytes")
    assert vocabulary(load, "z", "[195]", "[8212]", "[128512]", "a") == ("zÃ—😀a", "utf-8")


@pytest.mark.parametrize("token", ["", "the", "[195", "[55296]", "[1114112]", "[9999999]", b"\xc3", 5, {}, None])
def test_tokens_that_are_not_characters(load, token):
    with pytest.raises(ValueError, match=r"only single characters|does not number its"):
        vocabulary(load, "a", "b", token, "c", "d")


def test_the_same_character_twice(load):
    with pytest.raises(ValueError, match="vocabulary cannot be right"):
        vocabulary(load, "a", "é".encode(), "[233]", "c", "d")


def test_history(root, load):
    checkpoint = load(root)
    assert (checkpoint.iteration, checkpoint.train_losses.tolist()) == (3, [3.5, 3.25, 3.0])
    assert checkpoint.val_losses == {2: 3.125, 3: 2.75}
    # After the last iteration comes a checkpoint in any case.
    assert checkpoint.epoch == 4.0


def test_history_without_an_end(root, tmp_path):
    """A checkpoint in the middle of a run does not say which epoch it was, and so no script does."""
    path = write_t7(tmp_path / "x.t7", root | {"i": 4})
    assert read_checkpoint(path).epoch == 0.0
    assert "iteration: 4 (epoch unknown)" in run("inspect_checkpoint.py", path).stdout
    plot = run("inspect_checkpoint.py", path, GOLDEN / "rnn_2x32.t7", "-plot=-").stdout
    assert " 675 iterations\n" in plot and "epochs" not in plot
    assert "trained for 4 iterations" in run("sample.py", path, "-verbose=1", "-length=1", "-gpuid=-1").stderr


def test_history_after_another(root, load):
    """-init_from counts on from the iteration of its checkpoint, and starts a new table of losses."""
    checkpoint = load(root | {"i": 5})
    assert np.array_equal(checkpoint.train_losses, [np.nan, np.nan, 3.5, 3.25, 3.0], equal_nan=True)


def test_history_without_a_count(root, load):
    del root["i"], root["val_loss_history_it"]
    checkpoint = load(root)
    assert (checkpoint.iteration, len(checkpoint.train_losses), checkpoint.val_losses) == (3, 3, {})


def content(root):
    return root["model"].content


def modules(root):
    return content(root)["net"].content["modules"]


def module(root, name, number=0):
    return [module for module in modules(root) if module.torch_class == "nn." + name][number].content


def edited(change):
    def edit(root):
        change(root)
        return root

    return edit


WRONG = {
    "a layer alone": (lambda root: modules(root)[1], "nn.LanguageModel"),
    "a model alone": (lambda root: root["model"], "nn.LanguageModel"),
    "no opt": (edited(lambda root: root.pop("opt")), "not the opt"),
    "no losses": (edited(lambda root: root.pop("train_loss_history")), "train_loss_history"),
    "no batch_size": (edited(lambda root: root["opt"].pop("batch_size")), "sizes"),
    "no seq_length": (edited(lambda root: root["opt"].pop("seq_length")), "sizes"),
    "half a batch": (edited(lambda root: root["opt"].update(batch_size=2.5)), "batch_size has 2.5"),
    "a rate that is none": (edited(lambda root: root["opt"].update(learning_rate=[1])), "options"),
    "no net": (edited(lambda root: content(root).pop("net")), "no net"),
    "a net of numbers": (edited(lambda root: content(root)["net"].content.update(modules=[1])), "net has 1"),
    "a net with a gap": (
        edited(lambda root: content(root)["net"].content.update(modules={1: modules(root)[0], 3: modules(root)[1]})),
        "net does not number its 2 entries",
    ),
    "TemporalAdapter": (
        edited(lambda root: modules(root).insert(-3, Object("nn.TemporalAdapter"))),
        "March 2016.* never trained",
    ),
    "a foreign module": (edited(lambda root: modules(root).insert(1, Object("nn.GRU"))), "net has 'nn.GRU'"),
    "two kinds of cells": (edited(lambda root: modules(root).insert(2, Object("nn.VanillaRNN"))), "layers of one kind"),
    "no decoder": (edited(lambda root: modules(root).pop(-2)), "layers of one kind and a decoder"),
    "no cells": (
        edited(lambda root: content(root)["net"].content.update(modules=[modules(root)[0], modules(root)[-2]])),
        "layers of one kind",
    ),
    "no vocabulary": (edited(lambda root: content(root).pop("idx_to_token")), "no idx_to_token"),
    "larger vocabulary": (
        edited(lambda root: content(root).update(idx_to_token=list("abcdef"))),
        r"LookupTable of \(5, 2\), .* call for \(6, 2\)",
    ),
    "empty vocabulary": (edited(lambda root: content(root).update(idx_to_token=[])), "LookupTable"),
    "dropout of 1": (edited(lambda root: content(root).update(dropout=1)), "dropout"),
    "dropout of text": (edited(lambda root: content(root).update(dropout="x")), "dropout"),
    "huge iteration": (edited(lambda root: root.update(i=1e15)), r"3 training losses, .* 1e\+15 iterations"),
    "too few iterations": (edited(lambda root: root.update(i=2)), "3 training losses, .* 2 iterations"),
    "losses with a gap": (edited(lambda root: root.update(train_loss_history={1: 2.0, 3: 3.0})), "iterations 2 to 3"),
    "losses of text": (edited(lambda root: root.update(train_loss_history=["x", "y", "z"])), "training losses"),
    "validation of text": (edited(lambda root: root.update(val_loss_history=["x", "y"])), "val_losses"),
    "validation nowhere": (edited(lambda root: root.update(val_loss_history_it=["x", "y"])), "val_loss_history_it"),
    "no weight": (edited(lambda root: module(root, "LSTM").pop("weight")), "nn.LSTM does not have weight"),
    "no variance": (edited(lambda root: module(root, "BatchNormalization").pop("running_var")), "not have .*running_"),
    "no eps": (edited(lambda root: module(root, "BatchNormalization").pop("eps")), "no eps"),
    "negative variance": (
        edited(lambda root: module(root, "BatchNormalization").update(running_var=tensor("Float", [-1.0] * H))),
        "not finite",
    ),
    "one running mean": (
        edited(lambda root: module(root, "BatchNormalization").update(running_mean=tensor("Float", [1.0]))),
        r"BatchNormalization of \(3,\) and \(3,\) and \(1,\)",
    ),
    "shared weights": (edited(lambda root: module(root, "LSTM", 1).update(module(root, "LSTM"))), "share memory"),
    "mixed types": (
        edited(lambda root: module(root, "Linear").update(bias=tensor("Double", [0.0] * V))),
        "more than one type",
    ),
    "no number": (edited(lambda root: module(root, "Linear").update(bias=tensor("Float", [np.nan] * V))), "not finite"),
    "a decoder of another size": (
        edited(lambda root: module(root, "Linear").update(weight=tensor("Float", np.ones((V, H + 1))))),
        r"nn.LSTM of \(5, 12\) and \(12,\), .* call for \(6, 16\)",
    ),
    "a decoder without outputs": (
        edited(lambda root: module(root, "Linear").update(weight=Tensor("Float", (V, 0), (1, 1), 1, None))),
        "nn.LSTM of",
    ),
    "a decoder without dimensions": (
        edited(lambda root: module(root, "Linear").update(weight=Tensor("Float", (), (), 1, None))),
        "nn.LSTM of",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_sound(root, load, name):
    change, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        load(change(root))


@pytest.mark.parametrize("kind", ["Half", "Int"])
def test_parameters_of_other_types(load, kind):
    embedding, layers, decoder = random_model("VanillaRNN", 1)
    with pytest.raises(ValueError, match="neither all float32 nor all float64"):
        load(torch_rnn_checkpoint("VanillaRNN", embedding, layers, decoder, kind))


def test_scripts_refuse_it_with_a_sentence(root, tmp_path):
    path = write_t7(tmp_path / "x.t7", WRONG["TemporalAdapter"][0](root))
    told(run("sample.py", path, "-gpuid=-1", cwd=tmp_path), "x.t7", "nn.TemporalAdapter", "never trained")


def test_memory_is_bounded_by_the_file(load):
    """The embedding times the first layer's weights would be 3.2 GB here, but the decoder does not go with it."""
    V, width = 20_000, 40_000
    layer = {"weight": np.zeros((2, width)), "bias": np.zeros(width)}
    decoder = (np.zeros((V, 1)), np.zeros(V))
    tokens = [chr(0x4E00 + number).encode() for number in range(V)]
    root = torch_rnn_checkpoint("VanillaRNN", np.zeros((V, 1)), [layer], decoder, tokens=tokens)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"nn\.VanillaRNN of"):
            load(root)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_memory_of_a_wide_model_is_a_small_multiple_of_the_file(tmp_path):
    V, H = 20_000, 16
    layer = {"weight": np.zeros((1 + H, 4 * H)), "bias": np.zeros(4 * H)}
    tokens = [chr(0x4E00 + number).encode() for number in range(V)]
    model = (np.zeros((V, 1)), [layer], (np.zeros((V, H)), np.zeros(V)))
    path = write_t7(tmp_path / "x.t7", torch_rnn_checkpoint("LSTM", *model, tokens=tokens))
    tracemalloc.start()
    try:
        load_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 16 * path.stat().st_size
    finally:
        tracemalloc.stop()


# Damage.


def test_a_file_that_is_cut_off(tmp_path):
    path = tmp_path / "x.t7"
    path.write_bytes((GOLDEN / "rnn_2x32.t7").read_bytes()[:-1000])
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(path)


def test_damaged_files():
    figures = campaign(500, measure_every=10, files="torch_rnn/*.t7")
    assert figures["accepted"] + figures["refused"] == 500
    assert figures["refused"] > 250  # the damage does reach what matters
    assert figures["accepted"] > 25  # and the weights, where any bit will do
