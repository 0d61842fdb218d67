"""Checkpoints of torch-rnn: those that it wrote, with what it says of them, and others of our own making."""

import json
import re

import numpy as np
import pytest

from tests.helpers.checkpoints import log_probs, peak_of, same
from tests.helpers.inputs import GOLDEN as ALL_GOLDEN
from tests.helpers.runs import finish
from tests.helpers.scripts import run_here
from tests.helpers.t7_writer import Object, tensor, torch_rnn_checkpoint, write_t7
from util.checkpoint.store import load_checkpoint
from util.errors import UserError
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


def test_training_continues_from_it(tmp_path, name="lstm_2x32_dropout_bn"):
    (tmp_path / "input.txt").write_text(REFERENCE[name + ".t7"]["passage"])
    flags = ["-gpuid=-1", "-batch_size=4", "-seq_length=10", "-max_epochs=4", f"-data_dir={tmp_path}"]
    done = finish(tmp_path, *flags, f"-init_from={GOLDEN / name}.t7", f"-checkpoint_dir={tmp_path}")
    assert done.status == 0, done.err
    losses = [float(loss) for loss in re.findall("train_loss = ([0-9.]+)", done.out)]
    assert losses[0] < 3 < np.log(59)  # a new model's would be the latter
    assert np.mean(losses[-40:]) < np.mean(losses[:40])
    said = "the checkpoint's batch normalization is now part of its weights, and will not be trained separately\n"
    assert said in done.out
    (path,) = tmp_path.glob("*.pt")
    options = load_checkpoint(path).options
    assert options["dropout"] == 0.25 and "batchnorm" not in options


# Checkpoints of our own making.

V, D, H = 5, 2, 3


def random_model(cell, num_layers, batchnorm=None):
    """Embedding, layers and decoder for `torch_rnn_checkpoint`. `batchnorm` is running_var or None."""
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


@pytest.mark.parametrize(("cell", "num_layers"), [("LSTM", 3), ("VanillaRNN", 1)])
def test_other_sizes_and_types_and_the_fields_of_old_files(load, cell, num_layers):
    """What torch-rnn's own files prove of one form holds for the other: old ones have the deviation's inverse."""
    embedding, layers, decoder = random_model(cell, num_layers, "running_var")
    old = [dict(layer, running_std=(layer["running_var"] + 1e-5) ** -0.5) for layer in layers]
    for layer in old:
        del layer["running_var"]
    for kind, dtype, precision in (("Double", "float64", 1e-12), ("Float", "float32", 1e-5)):
        first, second = (load(torch_rnn_checkpoint(cell, embedding, each, decoder, kind)) for each in (layers, old))
        assert (first.dtype, first.options["batchnorm"]) == (dtype, 1)
        assert first.model_shape == (V, H, num_layers, "lstm" if cell == "LSTM" else "rnn")
        for name, array in first.parameters.items():
            assert np.abs(array - second.parameters[name]).max() < precision


@pytest.fixture
def root():
    """A checkpoint of an LSTM with batch normalization, to be changed by a test."""
    return torch_rnn_checkpoint("LSTM", *random_model("LSTM", 2, "running_var"))


@pytest.fixture
def load(tmp_path):
    return lambda root: load_checkpoint(write_t7(tmp_path / "x.t7", root))


def test_flags_by_our_names(root, load):
    assert load(root).options == {
        **{"model": "lstm", "rnn_size": H, "num_layers": 2, "dropout": 0.0, "batchnorm": 1},  # the model's, not opt's
        **{"batch_size": 3, "seq_length": 7, "max_epochs": 4, "learning_rate": 2e-3, "grad_clip": 5},
    }


def test_tokens(load):
    def vocabulary(*tokens):
        return load(torch_rnn_checkpoint("LSTM", *random_model("LSTM", 1), tokens=tokens)).vocabulary

    assert vocabulary("z", " ", "\n", "[", "]") == Vocabulary("z \n[]", "utf-8")
    assert vocabulary(*(c.encode() for c in "zé花😀\0")) == Vocabulary("zé花😀\0", "utf-8")
    assert vocabulary("z", "[195]", "[128]", "[255]", "a") == Vocabulary("z\xc3\x80\xffa", "bytes")
    assert vocabulary("z", "[195]", "[8212]", "[128512]", "a") == Vocabulary("zÃ—😀a", "utf-8")
    for token in ("", "the", 5, None):
        with pytest.raises(UserError, match=r"vocabulary of single characters|damaged"):
            vocabulary("a", "b", token, "c", "d")


def test_history(root, load):
    """-init_from counts on from the iteration of its checkpoint; the oldest files have no count."""
    checkpoint = load(root | {"i": 5})
    assert np.array_equal(checkpoint.train_losses, [np.nan, np.nan, 3.5, 3.25, 3.0], equal_nan=True)
    assert checkpoint.val_losses == {2: 3.125, 3: 2.75}
    del root["i"], root["val_loss_history_it"]
    checkpoint = load(root)
    assert (checkpoint.iteration, checkpoint.train_losses.tolist(), checkpoint.val_losses) == (3, [3.5, 3.25, 3], {})


def content(root):
    return root["model"].content


def modules(root):
    return content(root)["net"].content["modules"]


def module(root, name, number=0):
    return [module for module in modules(root) if module.torch_class == "nn." + name][number].content


WRONG = {
    "no opt": (lambda root: root.pop("opt"), "damaged or incomplete"),
    "half a batch": (lambda root: root["opt"].update(batch_size=2.5), "batch_size"),
    "a foreign module": (lambda root: modules(root).insert(1, Object("nn.GRU")), "net with 'nn.GRU'"),
    "no decoder": (lambda root: modules(root).pop(-2), "layers of one kind and a decoder"),
    "larger vocabulary": (lambda root: content(root).update(idx_to_token=list("abcdef")), "LookupTable"),
    "the same character twice": (
        lambda root: content(root).update(idx_to_token=["a", "é".encode(), "[233]", "c", "d"]),
        "vocabulary cannot be right",
    ),
    "huge iteration": (lambda root: root.update(i=1e15), "3 training losses do not match its iteration"),
    "validation at halves": (lambda root: root.update(val_loss_history_it=[2.5, 3]), "val_losses"),
    "an eps for each": (
        lambda root: module(root, "BatchNormalization").update(eps=tensor("Float", [[1e-5]] * 9)),
        "nn.BatchNormalization cannot be right",
    ),
    "negative variance": (
        lambda root: module(root, "BatchNormalization").update(running_var=tensor("Float", [-1.0] * H)),
        "not finite",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_not_sound(root, load, name):
    change, message = WRONG[name]
    change(root)
    with pytest.raises(UserError, match=message):
        load(root)


def test_memory_is_bounded_by_the_file(load, tmp_path):
    """The embedding times the first layer's weights would be 3.2 GB here, but the decoder does not go with it."""
    V, width, H = 20_000, 40_000, 16
    tokens = [chr(0x4E00 + number).encode() for number in range(V)]
    layer, decoder = {"weight": np.zeros((2, width)), "bias": np.zeros(width)}, (np.zeros((V, 1)), np.zeros(V))
    root = torch_rnn_checkpoint("VanillaRNN", np.zeros((V, 1)), [layer], decoder, tokens=tokens)

    def refuse():
        with pytest.raises(UserError, match=r"nn\.VanillaRNN"):
            load(root)

    assert peak_of(refuse) < 100e6
    layer = {"weight": np.zeros((1 + H, 4 * H)), "bias": np.zeros(4 * H)}
    model = (np.zeros((V, 1)), [layer], (np.zeros((V, H)), np.zeros(V)))
    path = write_t7(tmp_path / "x.t7", torch_rnn_checkpoint("LSTM", *model, tokens=tokens))
    assert peak_of(lambda: load_checkpoint(path)) < 16 * path.stat().st_size
