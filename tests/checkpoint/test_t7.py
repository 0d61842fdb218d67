"""Torch7 files: the format, in files made here, and checkpoints that the original wrote."""

import gc
import json
import re
import struct

import numpy as np
import pytest

from sample import flags
from tests.helpers.checkpoints import peak_of, stepper
from tests.helpers.inputs import GOLDEN
from tests.helpers.t7_writer import Object, Storage, Tensor, t7_bytes, tensor
from util.checkpoint.store import load_checkpoint
from util.checkpoint.t7 import KINDS, Table, read_t7
from util.checkpoint.torch7 import from_char_rnn
from util.errors import UserError
from util.sampling.drawing import drawing, most_likely, sample

RUNS = json.loads((GOLDEN / "runs.json").read_text())
SAMPLES = json.loads((GOLDEN / "samples.json").read_text())


@pytest.fixture
def read(tmp_path):
    """Writes a value, or bytes that are a file already, and reads the file."""

    def read(value):
        (tmp_path / "x.t7").write_bytes(value if isinstance(value, bytes) else t7_bytes(value))
        return read_t7(tmp_path / "x.t7")

    return read


# The format.


def test_plain_values_and_tables(read):
    for value in (None, True, False, 0.0, -1.5, 1e300, "", "text", "\x00\xff\n"):
        assert repr(read({"key": value})["key"]) == repr(value)
    assert read({"é".encode(): b"\xff"}) == {"\xc3\xa9": "\xff"}  # a character for each byte
    result = read({1: "a", 2.5: "b", "name": {True: "c"}, -3: [1, [2]]})
    assert result == {1: "a", 2.5: "b", "name": {True: "c"}, -3: {1: 1.0, 2: {1: 2.0}}}
    assert [type(key) for key in result] == [int, float, str, int]
    assert isinstance(result, Table) and result.torch_class is None


@pytest.mark.parametrize("kind", KINDS)
def test_tensors_and_storages_of_every_type(read, kind):
    values = [[0, 1, 100], [5, 127, 3]] if kind.endswith("Byte") else [[0, -1, 100], [-128, 127, 3]]
    result = read({"tensor": tensor(kind, values), "storage": Storage(kind, [3, 2, 1]), "after": 7})
    assert result["tensor"].tolist() == values
    assert result["storage"].tolist() == [3, 2, 1]
    assert result["tensor"].dtype == result["storage"].dtype == KINDS[kind]
    assert not result["tensor"].flags.writeable
    assert result["after"] == 7


def test_sizes_strides_and_offset(read):
    for sizes, strides, offset, expected in (
        ((2, 3), (1, 4), 2, [[1, 5, 9], [2, 6, 10]]),
        ((2, 1, 2), (6, 999, 2), 3, [[[2, 4]], [[8, 10]]]),
        ((2, 2), (1, 1), 1, [[0, 1], [1, 2]]),
        ((1, 2), (2**31 - 1, 1), 2, [[1, 2]]),  # the stride of a single row means nothing
    ):
        result = read(Tensor("Float", sizes, strides, offset, Storage("Float", range(12))))
        assert result.tolist() == expected and result.dtype == np.float32


def test_empty_tensors(read):
    for storage in (None, Storage("Double", [])):
        result = read([Tensor("Double", (), (), 1, storage), Tensor("Double", (0,), (1,), 1, storage), 5])
        assert result[1].shape == result[2].shape == (0,) and result[3] == 5
        assert result[1].dtype == result[2].dtype == np.float64


def test_what_is_shared_is_the_same_object(read):
    storage, table = Storage("Double", range(6)), {"x": 1}
    result = read([Tensor("Double", (4,), (1,), 1, storage), Tensor("Double", (4,), (1,), 3, storage), table, [table]])
    assert np.shares_memory(result[1], result[2]) and result[3] is result[4][1]
    assert result[1][2:].tolist() == result[2][:2].tolist() == [2, 3]


def test_objects_are_tables_with_a_class_in_cycles_and_as_keys(read):
    node = Object("nngraph.Node")
    child = Object("nngraph.Node", {"parent": node})
    node.content |= {"self": node, "children": {1: child, child: 1}}
    result = read({"node": node})["node"]
    assert result.torch_class == "nngraph.Node" and result["self"] is result
    child = result["children"][1]
    assert child["parent"] is result and result["children"][child] == 1


def test_any_depth_in_memory_that_the_file_bounds(read):
    """The worst that a file can do: nothing but tables in tables."""
    data = b"".join(ints(3, index, 1, 5, 1) for index in range(20_000)) + ints(0)
    gc.collect()
    assert peak_of(lambda: read(data)) < 32 * len(data)
    result = read(data[:-4] + ints(3, 20_000, 0))
    for _ in range(20_000):
        result = result[True]
    assert result == {}


def ints(*values):
    return struct.pack(f"<{len(values)}i", *values)


def double_tensor(sizes, strides, offset=1, storage_kind="Double"):
    return t7_bytes(Tensor("Double", sizes, strides, offset, Storage(storage_kind, [1.0] * 6)))


MALFORMED = {
    "empty": (b"", "but 0 are left"),
    "tag": (ints(9), "tag 9"),
    "huge string": (ints(2, 2**31 - 1), "2147483647 bytes"),
    "huge table": (ints(3, 1, 2**31 - 1), "but 0 are left"),
    "huge storage": (ints(4, 1, 3) + b"V 1" + ints(19) + b"torch.DoubleStorage" + ints(-1, 2**30), "bytes"),
    "more after the end": (t7_bytes(1.0) + b"\0", "after its end"),
    "object without table": (t7_bytes(Object("nn.X", 1.0)), "without a table"),
    "storage of another type": (double_tensor((6,), (1,), 1, "Float"), "storage of its type"),
    "size beyond the storage": (double_tensor((7,), (1,)), "does not fit its storage"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files(read, name):
    data, message = MALFORMED[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        read(data)


def test_what_python_notices_is_damage(tmp_path):
    """A tensor for a key, storages in storages without end, and an object that contains itself."""
    storages = ints(3) + b"V 1" + ints(18) + b"torch.DoubleTensor" + ints(0, 1, 0)
    for data in (
        ints(3, 9, 1) + double_tensor((6,), (1,)) + ints(0, 0, 0),
        b"".join(ints(4, index) + storages for index in range(50_000)),
        ints(4, 7, 3) + b"V 1" + ints(4) + b"nn.X" + ints(3, 7, 0),
    ):
        (tmp_path / "x.t7").write_bytes(data)
        with pytest.raises(UserError, match=r"damaged or incomplete|not a checkpoint"):
            load_checkpoint(tmp_path / "x.t7")


# Checkpoints that the original wrote.


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
    options = flags().parse([entry["checkpoint"], *entry["flags"]])
    checkpoint = load_checkpoint(GOLDEN / options.checkpoint)
    vocabulary = checkpoint.vocabulary
    choose = drawing(options.seed, 1, options.temperature) if options.sample else most_likely
    prime = vocabulary.encode(options.primetext)
    drawn = sample(stepper(checkpoint), choose, 1, len(vocabulary), prime, options.length)
    sampled = [int(index) for (index,), _ in drawn]
    assert vocabulary.decode([*prime, *sampled]) + "\n" == entry["text"]


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
