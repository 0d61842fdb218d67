"""Writes Torch7's binary files for the tests, checkpoints of char-rnn and torch-rnn; see util/checkpoint/t7.py."""

import itertools
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from util.checkpoint.t7 import KINDS


@dataclass(eq=False)
class Storage:
    """`kind` is what comes before "Storage" in the class: Double, Cuda, CudaByte, ClLong, ..."""

    kind: str
    values: Any


@dataclass(eq=False)
class Tensor:
    """A view of a storage, with sizes and strides in elements and the offset from 1. `storage` can be None."""

    kind: str
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    storage: Any


@dataclass(eq=False)
class Object:
    torch_class: str
    content: Any = field(default_factory=dict)
    version: str | None = "V 1"


def tensor(kind: str, values: Any) -> Tensor:
    """A tensor with a storage of its own."""
    array = np.asarray(values)
    strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
    return Tensor(kind, array.shape, strides, 1, Storage(kind, array.ravel()))


class Writer:
    def __init__(self) -> None:
        self.out = bytearray()
        self.indices: dict[int, int] = {}
        self.alive: list[Any] = []  # so that no id comes twice

    def write(self, value: Any) -> None:
        match value:
            case None:
                self.int32(0)
            case bool():
                self.int32(5, value)
            case int() | float():
                self.out += struct.pack("<id", 1, value)
            case str() | bytes():
                self.int32(2)
                self.string(value)
            case list():
                self.write(dict(enumerate(value, 1)))
            case dict():
                if self.begin(3, value):
                    self.int32(len(value))
                    for each in itertools.chain(*value.items()):
                        self.write(each)
            case Object():
                if self.begin(4, value):
                    self.torch_class(value.torch_class, value.version)
                    self.write(value.content)
            case Storage():
                if self.begin(4, value):
                    self.torch_class(f"torch.{value.kind}Storage")
                    self.longs(len(value.values))
                    self.out += np.asarray(value.values).astype(KINDS[value.kind]).tobytes()
            case Tensor():
                if self.begin(4, value):
                    self.torch_class(f"torch.{value.kind}Tensor")
                    self.int32(len(value.sizes))
                    self.longs(*value.sizes, *value.strides, value.offset)
                    self.write(value.storage)

    def begin(self, tag: int, value: Any) -> bool:
        """Writes tag and index. Tells whether the object is to follow, or was written before."""
        new = id(value) not in self.indices
        self.alive.append(value)
        self.int32(tag, self.indices.setdefault(id(value), len(self.indices) + 1))
        return new

    def torch_class(self, name: str, version: str | None = "V 1") -> None:
        if version is not None:
            self.string(version)
        self.string(name)

    def string(self, value: str | bytes) -> None:
        data = value.encode("latin-1") if isinstance(value, str) else value
        self.int32(len(data))
        self.out += data

    def int32(self, *values: int) -> None:
        self.out += np.array(values, "<i4").tobytes()

    def longs(self, *values: int) -> None:
        self.out += np.array(values, "<i8").tobytes()


def t7_bytes(value: Any) -> bytes:
    writer = Writer()
    writer.write(value)
    return bytes(writer.out)


def write_t7(path: Path, value: Any) -> Path:
    path.write_bytes(t7_bytes(value))
    return path


def char_rnn_checkpoint(
    model: str,
    parameters: list[np.ndarray],
    num_layers: int,
    kind: str = "Double",
    **options: Any,
) -> dict[str, Any]:
    """A checkpoint as char-rnn writes it.

    parameters are in the flat order of the original, weights (outputs, inputs), and lie in one storage of `kind`.
    """
    storage = Storage(kind, np.concatenate([array.ravel() for array in parameters]))
    tensors, offset = [], 1
    for array in parameters:
        strides = (array.shape[1], 1) if array.ndim == 2 else (1,)
        tensors.append(Tensor(kind, array.shape, strides, offset, storage))
        offset += array.size
    modules = [Object("nn.Identity")]
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        modules += [Object("nn.Linear", {"weight": weight, "bias": bias}), Object("nn.Sigmoid")]
    nodes = [Object("nngraph.Node", {"data": {}})]
    nodes += [Object("nngraph.Node", {"data": {"module": module}}) for module in modules]
    for node, child in itertools.pairwise(nodes):
        node.content["children"] = {1: child, child: 1}
    opt = {"rnn_size": parameters[-2].shape[1], "num_layers": num_layers, "model": model, "dropout": 0}
    opt |= {"seq_length": 7, "batch_size": 3, "learning_rate": 2e-3, "data_dir": "data/x"}
    return {
        "protos": {"rnn": Object("nn.gModule", {"forwardnodes": nodes}), "criterion": Object("nn.ClassNLLCriterion")},
        "opt": opt | options,
        "train_losses": [3.5, 3.25, 3.0],
        "val_loss": 2.75,
        "val_losses": {2: 3.125, 3: 2.75},
        "vocab": {bytes([byte]): index for index, byte in enumerate(b"\n abc", 1)},
        "i": 3,
        "epoch": 0.5,
    }


def torch_rnn_checkpoint(
    cell: str,
    embedding: np.ndarray,
    layers: list[dict[str, np.ndarray]],
    decoder: tuple[np.ndarray, np.ndarray],
    kind: str = "Float",
    tokens: Iterable[str | bytes] = "\n abc",
) -> dict[str, Any]:
    """A checkpoint as torch-rnn writes it, with flags in `opt` that are not the model's.

    A layer has the weight and bias of its cell, and, where there is a batch normalization, its fields as bn_weight,
    bn_bias, running_mean and running_var or running_std. Parameters lie in one storage of `kind`.
    """
    learned = [embedding, *decoder]
    learned += [a for layer in layers for name, a in layer.items() if not name.startswith("running")]
    storage = Storage(kind, np.concatenate([array.ravel() for array in learned]))
    offset = 1

    def view(array: np.ndarray) -> Tensor:
        nonlocal offset
        offset += array.size
        return Tensor(kind, array.shape, (*array.shape[1:], 1), offset - array.size, storage)

    def module(name: str, **fields: Any) -> Object:
        return Object(f"nn.{name}", fields | {"output": Tensor(kind, (), (), 1, None), "train": True})

    weight, bias = decoder
    modules = [module("LookupTable", weight=view(embedding))]
    # The storage is in another order than the modules, which must not matter.
    last = [module("View"), module("Linear", weight=view(weight), bias=view(bias)), module("View")]
    for layer in layers:
        modules.append(module(cell, weight=view(layer["weight"]), bias=view(layer["bias"]), remember_states=True))
        if "bn_weight" in layer:
            fields = {name: tensor(kind, a) for name, a in layer.items() if name.startswith("running")}
            fields |= {"weight": view(layer["bn_weight"]), "bias": view(layer["bn_bias"]), "eps": 1e-5}
            modules += [module("View"), module("BatchNormalization", **fields), module("View")]
        modules.append(module("Dropout", p=0.5, v2=True))
    net = Object("nn.Sequential", {"modules": [*modules, *last]})
    opt = {"rnn_size": 999, "num_layers": 9, "wordvec_size": 99, "dropout": 0.9, "batchnorm": 5, "model_type": "gru"}
    opt |= {"batch_size": 3, "seq_length": 7, "max_epochs": 4, "learning_rate": 2e-3, "grad_clip": 5}
    return {
        "model": Object("nn.LanguageModel", {"idx_to_token": list(tokens), "net": net, "dropout": 0}),
        "opt": opt | {"lr_decay_factor": 0.5, "lr_decay_every": 5},
        "i": 3,
        "train_loss_history": [3.5, 3.25, 3.0],
        "val_loss_history": [3.125, 2.75],
        "val_loss_history_it": [2, 3],
    }
