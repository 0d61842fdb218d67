"""Writes Torch7's binary files for the tests; see util/checkpoint/t7.py."""

import itertools
import struct
from dataclasses import dataclass, field
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
            case dict() if self.begin(3, value):
                self.int32(len(value))
                for each in itertools.chain(*value.items()):
                    self.write(each)
            case Object() if self.begin(4, value):
                self.string("V 1")
                self.string(value.torch_class)
                self.write(value.content)
            case Storage() if self.begin(4, value):
                self.string("V 1")
                self.string(f"torch.{value.kind}Storage")
                self.longs(len(value.values))
                self.out += np.asarray(value.values).astype(KINDS[value.kind]).tobytes()
            case Tensor() if self.begin(4, value):
                self.string("V 1")
                self.string(f"torch.{value.kind}Tensor")
                self.int32(len(value.sizes))
                self.longs(*value.sizes, *value.strides, value.offset)
                self.write(value.storage)

    def begin(self, tag: int, value: Any) -> bool:
        """Writes tag and index. Tells whether the object is to follow, or was written before."""
        new = id(value) not in self.indices
        self.alive.append(value)
        self.int32(tag, self.indices.setdefault(id(value), len(self.indices) + 1))
        return new

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
