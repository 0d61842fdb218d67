"""A training step on a GPU that is not there: nothing is computed, but every operation is seen with its device.

    python -m tests.helpers.fake_gpu

prints, as JSON, what went wrong in a step of each kind: nothing, if all is well.
A tensor that was left on the CPU, or a look at a value inside a step, is an error. In a process of its own, since torch
knows the device from then on; a renamed private back end, since the name cuda aborts in a build without it.
"""

import json
import sys
from argparse import Namespace
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from model.char_rnn import CharRNN
from util.cli import console
from util.text.batches import Batches
from util.training.processes import Processes
from util.training.trainer import Trainer


class FakeGPU(FakeTensorMode):
    avoid_device_init = True  # there is no device to do anything on


def trainer(model: str, device: str = "gpu:0", V: int = 11, **options: Any) -> Trainer:
    """A trainer of two layers on the device, in torch's default precision."""
    B, S = 5, 3
    settings = {"dropout": 0.0, "optim": "rmsprop", "grad_clip": 5.0, "decay_rate": 0.95, "learning_rate": 2e-3}
    settings |= {"batch_size": B, "seq_length": S, "seed": 1, "max_epochs": 1} | options
    batches = Batches(np.arange(B * S * 40) % V, B, S, 0.9, 0.1)
    with torch.device(device):
        network = CharRNN(V, 6, 2, model)
    return Trainer(network, batches, Processes(), Namespace(**settings))


def fault(model: str, dropout: float, optim: str, dtype: torch.dtype, V: int) -> str | None:
    """What goes wrong in two steps, if anything does."""
    torch.set_default_dtype(dtype)
    try:
        with FakeGPU(allow_non_fake_inputs=True):
            found = trainer(model, V=V, dropout=dropout, optim=optim)
            for _ in range(2):
                found.step()
            tensors = [found.flat.values, found.flat.summed, found.state]
            tensors += [*found.optimizer.state.values(), *(p.grad for p in found.model.parameters())]
            strays = {t.device.type for t in tensors if t is not None} - {"gpu"}
            return f"a tensor is on {strays}" if strays else None
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        torch.set_default_dtype(torch.float32)


def main() -> None:
    _setup_privateuseone_for_python_backend("gpu")
    kinds = [  # each value of everything somewhere
        ("lstm", 0.0, "rmsprop", torch.float32, 2000),
        ("gru", 0.5, "adam", torch.float64, 11),
        ("rnn", 0.5, "rmsprop", torch.float32, 11),
    ]
    json.dump({" ".join(map(str, kind)): fault(*kind) for kind in kinds}, sys.stdout)


if __name__ == "__main__":
    console.run(main)
