"""The reader of .pt files reads what torch.save writes."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from util.checkpoint.pt import read_pt
from util.checkpoint.store import load_checkpoint
from util.errors import UserError


def saved(value: Any, folder: Path) -> Any:
    """What is read after torch.save has written a value."""
    torch.save(value, folder / "x.pt")
    return read_pt(folder / "x.pt")


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_tensors(dtype, tmp_path):
    tensor = (torch.arange(24).reshape(2, 3, 4) % 5 - 2).to(getattr(torch, dtype))
    array = saved({"tensor": tensor}, tmp_path)["tensor"]
    assert array.dtype == np.dtype(dtype) and array.shape == (2, 3, 4)
    assert np.array_equal(array, tensor.numpy())
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


def test_views_that_share_a_storage_and_odd_tensors(tmp_path):
    t = torch.arange(80.0).reshape(8, 10)
    tensors = [t, t[3:7], t.t(), t[::2, 1::3], t[4, 4], t[5:5], t.reshape(-1)[-1:], t.diagonal()]
    tensors += [torch.tensor(3.5), torch.empty(0), torch.empty(0, 5)]
    for number, (found, tensor) in enumerate(zip(saved(tuple(tensors), tmp_path), tensors, strict=True)):
        assert np.array_equal(found, tensor.numpy()), number


VALUES = [
    None, True, False, 0, -1, 255, 256, -(2**31), 2**31, 2**63, 0.1, -0.0, float("inf"), "", "a", "道😀\ud800", {}, (),
    (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), (1, (2, (3, {"a": None}))), {"a": 1, 2: "b"}, ("same",) * 3,
    {str(i): i for i in range(3000)},
]  # fmt: skip


def test_plain_values(tmp_path):
    for value in VALUES:
        assert repr(saved(value, tmp_path)) == repr(value)
    assert repr(saved(OrderedDict(b=1, a=2), tmp_path)) == "{'b': 1, 'a': 2}"


def test_what_a_checkpoint_does_not_hold_is_refused(tmp_path):
    """A negated view's numbers may be stored with the wrong sign, and a note that says so."""
    for value, reason in (
        ([1], r"more than plain values"),
        (torch.nn.Linear(2, 3), r"torch\.nn\.modules\.linear\.Linear', which is never allowed"),
        (torch.ones(2, dtype=torch.bfloat16), r"torch\.BFloat16Storage', which is never allowed"),
        (torch._neg_view(torch.ones(3)), "damaged"),
    ):
        torch.save(value, tmp_path / "x.pt")
        with pytest.raises(UserError, match=reason):
            load_checkpoint(tmp_path / "x.pt")
