"""The reader of .pt files: what torch.save writes, and what is left of it after damage."""

import random
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.checkpoints import same
from util.checkpoint.content import Checkpoint
from util.checkpoint.pt import read_pt
from util.checkpoint.store import load_checkpoint
from util.errors import UserError


def saved(value: Any, folder: Path) -> Any:
    """What is read after torch.save has written a value."""
    torch.save(value, folder / "x.pt")
    return read_pt(folder / "x.pt")


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"],
)
def test_tensors(dtype, tmp_path):
    lowest = 0 if dtype in ("uint8", "bool") else -2
    tensor = (torch.arange(24).reshape(2, 3, 4) % 5 + lowest).to(getattr(torch, dtype))
    array = saved({"tensor": tensor}, tmp_path)["tensor"]
    assert array.dtype == np.dtype(dtype) and array.shape == (2, 3, 4)
    assert np.array_equal(array, tensor.numpy())
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t[3:7],
        lambda t: t.t(),
        lambda t: t[::2, 1::3],
        lambda t: t[:, 2],
        lambda t: t[4, 4],
        lambda t: t[5:5],
        lambda t: t.reshape(-1)[-1:],
        lambda t: t.diagonal(),
    ],
)
def test_views_that_share_a_storage(view, tmp_path):
    whole = torch.arange(80.0).reshape(8, 10)
    arrays = saved([whole, view(whole)], tmp_path)
    assert np.array_equal(arrays[0], whole.numpy()) and np.array_equal(arrays[1], view(whole).numpy())


def test_a_tensor_to_be_negated_is_refused(tmp_path):
    """torch may store the numbers of a view with the wrong sign, and a note that says so."""
    with pytest.raises(ValueError, match="negated"):
        saved([torch._neg_view(torch.ones(3))], tmp_path)


def test_odd_tensors(tmp_path):
    tensors = [torch.tensor(3.5), torch.empty(0), torch.empty(0, 5), torch.ones(3).expand(4, 3)]
    assert all(np.array_equal(a, t.numpy()) for a, t in zip(saved(tensors, tmp_path), tensors))


@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, -1, 255, 256, -(2**31), 2**31, 2**63, -(10**400), 10**700, 0.1, -0.0, float("inf"), "",
        "a", "道😀\ud800", [], {}, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [1, [2, (3, {"a": None})]],
        {"a": 1, 2: "b"}, ["same"] * 3, list(range(3000)), {str(i): i for i in range(3000)},
    ],
)  # fmt: skip
def test_plain_values(value, tmp_path):
    found = saved(value, tmp_path)
    assert found == value and repr(found) == repr(value)


def test_an_ordered_dictionary_is_one(tmp_path):
    found = saved(OrderedDict(b=1, a=2), tmp_path)
    assert type(found) is dict and list(found.items()) == [("b", 1), ("a", 2)]


def test_a_module_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"never allowed|more than plain values"):
        saved(torch.nn.Linear(2, 3), tmp_path)


def test_a_dtype_that_numpy_lacks_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"torch\.BFloat16Storage"):
        saved(torch.ones(2, dtype=torch.bfloat16), tmp_path)


def outcome(path: Path, content: bytes) -> Checkpoint | None:
    """Returns what a checkpoint file with this content holds; None if it is refused with a UserError."""
    path.write_bytes(content)
    try:
        return load_checkpoint(path)
    except UserError:
        return None


def test_a_damaged_checkpoint_is_refused_or_the_same(checkpoint, tmp_path):
    content = checkpoint.read_bytes()
    whole = outcome(tmp_path / "x.pt", content)
    assert whole
    dice = random.Random(0)
    outcomes = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for trial in range(300):
            place = dice.randrange(len(content))
            if trial % 3 == 0:
                changed = content[:place]
            elif trial % 3 == 1:
                changed = content[:place] + content[place + dice.randrange(1, 100) :]
            else:
                changed = bytearray(content)
                changed[place] ^= 1 << dice.randrange(8)
            found = outcome(tmp_path / "x.pt", bytes(changed))
            assert found is None or same(found, whole), (trial, place)
            outcomes.append(found is None)
    assert sum(outcomes) > 200  # a flip in the padding between members does no harm


def test_a_damaged_directory_or_pickle_is_refused_or_the_same(checkpoint, tmp_path):
    """Flips where they hurt: in the headers, which no checksum guards, and in the pickle's first part."""
    content = checkpoint.read_bytes()
    whole = outcome(tmp_path / "x.pt", content)
    directory = content.rindex(b"PK\5\6") - 1500
    dice = random.Random(1)
    places = [*range(64), *range(directory, len(content))]
    for place in dice.sample(places, 500):
        changed = bytearray(content)
        changed[place] ^= 1 << dice.randrange(8)
        found = outcome(tmp_path / "x.pt", bytes(changed))
        assert found is None or same(found, whole), place
