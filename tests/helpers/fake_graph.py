"""torch.cuda's streams and graphs on a CPU: captured operations are undone and recorded, then replayed on their memory.

It cannot see memory that was freed since.
"""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from model.char_rnn import CharRNN
from util.text.batches import VALIDATION, Batches
from util.torch7_random import Torch7Random
from util.training.cuda_graph import Graphed
from util.training.processes import Processes
from util.training.trainer import Trainer

LOOKS = {"_local_scalar_dense", "is_nonzero", "nonzero", "equal"}
"""Operations for which the CPU waits, and which therefore cannot be captured."""


class Graph:
    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for function, args, kwargs, out in self.log:
                for old, new in zip(tensors(out), tensors(function(*args, **kwargs))):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Capture(TorchDispatchMode):
    """Records operations, and what they write over."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.graph = graph
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket.__name__ in LOOKS:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        for number, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = args[number] if number < len(args) else kwargs.get(argument.name)
                self.before += [(tensor, tensor.clone()) for tensor in tensors(given)]
        out = func(*args, **kwargs)
        if not func.is_view:
            self.graph.log.append((func, args, kwargs, out))
        return out

    def undo(self) -> None:
        with torch.no_grad():
            for tensor, value in reversed(self.before):
                tensor.copy_(value)


class Stream:
    def wait_stream(self, other: "Stream") -> None:
        pass


def tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [item for item in value if isinstance(item, Tensor)] if isinstance(value, tuple | list) else []


def imitate(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Puts the imitation in torch's place. Returns the list of the graphs that will be made."""
    made: list[Graph] = []

    def new() -> Graph:
        made.append(Graph())
        return made[-1]

    @contextmanager
    def capture(graph: Graph, stream: Stream | None = None) -> Iterator[None]:
        mode = Capture(graph)
        try:
            with mode:
                yield
        finally:
            mode.undo()

    for name, value in (("Stream", Stream), ("current_stream", Stream), ("CUDAGraph", new), ("graph", capture)):
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    return made


def trainer(model: str, dropout: float = 0.0, optim: str = "rmsprop", device: str = "cpu") -> Trainer:
    settings = {"batch_size": 5, "seq_length": 7, "grad_clip": 5.0, "decay_rate": 0.95, "learning_rate": 2e-2}
    settings |= {"dropout": dropout, "optim": optim, "max_loss_ratio": 3.0, "accurate_gpu_timing": 0}
    batches = Batches(np.random.default_rng(0).integers(0, 11, 2000), 5, 7, 0.9, 0.1)
    network, random = CharRNN(11, 6, 2, model), Torch7Random(1)
    network.initialize(lambda count: torch.from_numpy(random.uniform(count, -0.08, 0.08)))
    network.to(device)
    return Trainer(network, batches, random, Processes(), Namespace(**settings))


def graphed(trainer: Trainer) -> Trainer:
    """The same trainer with its step as a graph, as on a GPU."""
    trainer._graph = Graphed(trainer._forward_and_backward, trainer.device)
    return trainer


def train(trainer: Trainer) -> tuple[list[float], list[float], Tensor]:
    """Thirty steps. Returns all losses, some validation losses, and the parameters at the end."""
    validations = []
    for step in range(30):
        trainer.step()
        if step % 7 == 6:
            validations.append(trainer.evaluate(VALIDATION))
        if step % 10 == 9:
            trainer.learning_rate *= 0.5
        if step % 4 == 0:
            trainer.fetch()
    trainer.fetch()
    return trainer.train_losses, validations, trainer.flat.values.clone()
