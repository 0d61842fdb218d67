"""Torch7's format, in files made here."""

import gc
import re

import numpy as np
import pytest

from tests.helpers.checkpoints import peak_of
from tests.helpers.t7_writer import Object, ints, storage, t7_bytes, tensor, view
from util.checkpoint import t7
from util.checkpoint.store import load_checkpoint
from util.checkpoint.t7 import KINDS, Table, read_t7
from util.errors import UserError


@pytest.fixture
def read(tmp_path):
    """Writes a value, or bytes that are a file already, and reads the file."""

    def read(value):
        (tmp_path / "x.t7").write_bytes(value if isinstance(value, bytes) else t7_bytes(value))
        return read_t7(tmp_path / "x.t7")

    return read


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
    result = read({"tensor": tensor(kind, values), "storage": storage(kind, [3, 2, 1]), "after": 7})
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
        result = read(view("Float", sizes, strides, offset, storage("Float", range(12))))
        assert result.tolist() == expected and result.dtype == np.float32


def test_empty_tensors(read):
    for nothing in (None, storage("Double", [])):
        result = read([view("Double", (), (), 1, nothing), view("Double", (0,), (1,), 1, nothing), 5])
        assert result[1].shape == result[2].shape == (0,) and result[3] == 5
        assert result[1].dtype == result[2].dtype == np.float64


def test_what_is_shared_is_the_same_object(read):
    six, table = storage("Double", range(6)), {"x": 1}
    result = read([view("Double", (4,), (1,), 1, six), view("Double", (4,), (1,), 3, six), table, [table]])
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
    data = b"".join(ints(3, index, 1, 5, 1) for index in range(5000)) + ints(0)
    gc.collect()
    assert peak_of(lambda: read(data)) < 32 * len(data)
    result = read(data[:-4] + ints(3, 5000, 0))
    for _ in range(5000):
        result = result[True]
    assert result == {}


def double_tensor(sizes, strides, offset=1, storage_kind="Double"):
    return t7_bytes(view("Double", sizes, strides, offset, storage(storage_kind, [1.0] * 6)))


MALFORMED = {
    "empty": (b"", "but 0 are left"),
    "tag": (ints(9), "tag 9"),
    "huge string": (ints(2, 2**31 - 1), "2147483647 bytes"),
    "huge table": (ints(3, 1, 2**31 - 1), "but 0 are left"),
    "huge storage": (ints(4, 1, 3) + b"V 1" + ints(19) + b"torch.DoubleStorage" + ints(-1, 2**30), "bytes"),
    "too many objects": (t7_bytes([{1: number} for number in range(9)]), "too many objects"),
    "more after the end": (t7_bytes(1.0) + b"\0", "after its end"),
    "object without table": (t7_bytes(Object("nn.X", 1.0)), "without a table"),
    "storage of another type": (double_tensor((6,), (1,), 1, "Float"), "storage of its type"),
    "size beyond the storage": (double_tensor((7,), (1,)), "does not fit its storage"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files(read, name, monkeypatch):
    monkeypatch.setattr(t7, "MOST_OBJECTS", 8)
    data, message = MALFORMED[name]
    with pytest.raises(ValueError, match=re.escape(message)):
        read(data)


def test_what_python_notices_is_damage(tmp_path):
    """A tensor for a key, storages in storages without end, and an object that contains itself."""
    storages = ints(3) + b"V 1" + ints(18) + b"torch.DoubleTensor" + ints(0, 1, 0)
    for data in (
        ints(3, 9, 1) + double_tensor((6,), (1,)) + ints(0, 0, 0),
        b"".join(ints(4, index) + storages for index in range(5000)),
        ints(4, 7, 3) + b"V 1" + ints(4) + b"nn.X" + ints(3, 7, 0),
    ):
        (tmp_path / "x.t7").write_bytes(data)
        with pytest.raises(UserError, match=r"damaged or incomplete|not a checkpoint"):
            load_checkpoint(tmp_path / "x.t7")
