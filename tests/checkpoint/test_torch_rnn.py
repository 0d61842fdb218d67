"""Checkpoints of torch-rnn: those that it wrote, with what it says of them, and others of our own making."""

import json
import re

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs, peak_of, same
from tests.helpers.inputs import GOLDEN as ALL_GOLDEN
from tests.helpers.scripts import run_here
from util.checkpoint.store import load_checkpoint
from util.checkpoint.t7 import Table, read_t7
from util.checkpoint.torch7 import OPTIONS, from_torch_rnn, read_tokens
from util.text.vocabulary import Vocabulary

GOLDEN = ALL_GOLDEN / "torch_rnn"
REFERENCE = json.loads((GOLDEN / "reference.json").read_text())["files"]


# What torch-rnn says.


@pytest.mark.parametrize("name", REFERENCE)
def test_a_checkpoint_holds_and_computes_what_torch_rnn_says(name, tmp_path):
    entry, checkpoint = REFERENCE[name], load_checkpoint(GOLDEN / name)
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
    passage = tmp_path / "passage.txt"
    passage.write_bytes(entry["passage"].encode())
    done = run_here("evaluate.py", GOLDEN / name, "-file", passage, "-gpuid", -1)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    unit = "byte" if "bytes" in name else "character"
    assert f": {entry['passage_predictions']} {unit}s\n" in said
    loss = float(re.search(rf"loss per {unit}: +(.*) nats", said)[1])
    assert abs(loss - entry["passage_mean_loss"]) < 2e-6


@pytest.mark.parametrize("name", REFERENCE)
def test_sampled_texts_equal_those_of_torch_rnn(name):
    for sample in REFERENCE[name]["samples"]:
        length = sample["length"] - len(sample["start_text"])  # torch-rnn counts the start text
        flags = [f"-{flag}={sample[flag]}" for flag in ("seed", "sample", "temperature")]
        flags += [f"-primetext={sample['start_text']}", f"-length={length}", "-verbose=0", "-gpuid=-1"]
        done = run_here("sample.py", GOLDEN / name, *flags)
        expected = sample["text"].encode() + b"\n"
        if "bytes" in name:
            expected = re.sub(rb"\[(\d+)\]", lambda token: bytes([int(token[1])]), expected)
        assert done.stdout == expected, (flags, done.stderr)


def test_it_is_inspected_and_converted(tmp_path):
    """The file does not say which epoch it was, and so no script does."""
    source = tmp_path / "x.t7"
    source.write_bytes((GOLDEN / "lstm_2x32_dropout_bn.t7").read_bytes())
    said = run_here("inspect_checkpoint.py", source).stdout
    for words in (b"model: lstm, 2 layers of 32, ", b"iteration: 675 (epoch unknown)", b"  batchnorm "):
        assert words in said
    plot = run_here("inspect_checkpoint.py", source, ALL_GOLDEN / "rnn.t7", "-plot=-").stdout
    assert b" 675 iterations\n" in plot and b"epochs" not in plot
    assert b"trained for 675 iterations" in run_here("sample.py", source, "-verbose=1", "-length=1").stderr
    assert run_here("convert_gpu_cpu_checkpoint.py", source).returncode == 0
    assert same(load_checkpoint(source), load_checkpoint(tmp_path / "x.t7_cpu.pt"))


# The same, changed.


@pytest.fixture
def root():
    """What is in the file of an LSTM with batch normalization."""
    return read_t7(GOLDEN / "lstm_2x32_dropout_bn.t7")


def convert(root):
    return from_torch_rnn(root, (GOLDEN / "lstm_2x32_dropout_bn.t7").stat().st_size)


def test_flags_by_our_names(root):
    root["opt"].update(rnn_size=999.0, model_type="gru", dropout=0.9)
    options = convert(root).options
    assert options.keys() == {"model", "rnn_size", "num_layers", "dropout", "batchnorm", *OPTIONS}
    assert (options["model"], options["rnn_size"], options["dropout"]) == ("lstm", 32, 0.25)  # the model's, not opt's


def test_tokens():
    def vocabulary(*tokens):
        return read_tokens({"idx_to_token": {n: token.encode().decode("latin-1") for n, token in enumerate(tokens, 1)}})

    assert vocabulary("z", " ", "\n", "[", "]") == Vocabulary("z \n[]", "utf-8")
    assert vocabulary(*"zé花😀\0") == Vocabulary("zé花😀\0", "utf-8")
    assert vocabulary("z", "[195]", "[128]", "[255]", "a") == Vocabulary("z\xc3\x80\xffa", "bytes")
    assert vocabulary("z", "[195]", "[8212]", "[128512]", "a") == Vocabulary("zÃ—😀a", "utf-8")
    for token in ("", "the"):
        with pytest.raises(ValueError, match="vocabulary of single characters"):
            vocabulary("a", token, "c")


def test_history(root):
    """-init_from counts on from the iteration of its checkpoint; the oldest files have no count."""
    root.update(train_loss_history={1: 3.5, 2: 3.25, 3: 3.0}, val_loss_history={1: 3.125}, val_loss_history_it={1: 2.0})
    root["i"] = 5.0
    checkpoint = convert(root)
    assert np.array_equal(checkpoint.train_losses, [np.nan, np.nan, 3.5, 3.25, 3.0], equal_nan=True)
    assert checkpoint.val_losses == {2: 3.125}
    del root["i"], root["val_loss_history_it"]
    checkpoint = convert(root)
    assert (checkpoint.iteration, checkpoint.train_losses.tolist(), checkpoint.val_losses) == (3, [3.5, 3.25, 3], {})


def modules(root):
    return root["model"]["net"]["modules"]


def module(root, name):
    return next(module for module in modules(root).values() if module.torch_class == "nn." + name)


WRONG = {
    "half a batch": (lambda root: root["opt"].update(batch_size=2.5), "batch_size"),
    "a foreign module": (lambda root: modules(root).update({2: Table("nn.GRU")}), "net with 'nn.GRU'"),
    "no decoder": (
        lambda root: modules(root).update({len(modules(root)) - 1: Table("nn.View")}),
        "layers of one kind and a decoder",
    ),
    "larger vocabulary": (lambda root: root["model"]["idx_to_token"].update({60: "@"}), "LookupTable"),
    "the same character twice": (lambda root: root["model"]["idx_to_token"].update({1: "a", 2: "a"}), "vocabulary"),
    "huge iteration": (lambda root: root.update(i=1e15), "training losses do not match its iteration"),
    "validation at halves": (lambda root: root["val_loss_history_it"].update({1: 2.5}), "val_losses"),
    "an eps for each": (lambda root: module(root, "BatchNormalization").update(eps=np.ones((9, 1))), "BatchNorm"),
    "negative variance": (
        lambda root: module(root, "BatchNormalization").update(running_var=np.full(32, -1, "f4")),
        "not finite",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_sound(root, name):
    change, message = WRONG[name]
    change(root)
    with pytest.raises(ValueError, match=message):
        convert(root)


def test_memory_is_bounded_by_the_file(root):
    """The embedding times the first layer's weights would be 3.2 GB here, but the decoder does not go with it."""
    V, width = 20_000, 40_000
    root["model"]["idx_to_token"] = {n: chr(0x4E00 + n).encode().decode("latin-1") for n in range(1, V + 1)}
    arrays = ("LookupTable", np.zeros((V, 1))), ("LSTM", np.zeros((2, width))), ("Linear", np.zeros((V, 1)))
    net = [Table(f"nn.{name}") for name, _ in arrays]
    for table, (_, array) in zip(net, arrays):
        table.update(weight=array, bias=np.zeros(width))
    root["model"]["net"]["modules"] = dict(enumerate(net, 1))

    def refuse():
        with pytest.raises(ValueError, match="LSTM cannot be right"):
            from_torch_rnn(root, 10**9)

    assert peak_of(refuse) < 100e6
