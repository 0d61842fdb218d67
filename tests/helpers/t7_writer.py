"""Writes Torch7's binary files for the tests; see util/checkpoint/t7.py."""

import struct
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from util.checkpoint.t7 import KINDS


@dataclass(eq=False)
class Object:
    """What follows its class is a table, or what classes of Torch write: bytearrays as they are, and other objects."""

    torch_class: str
    content: Any = field(default_factory=dict)


def storage(kind: str, values: Any) -> Object:
    """`kind` is what comes before "Storage" in the class: Double, Cuda, CudaByte, ClLong, ..."""
    array = np.asarray(values).astype(KINDS[kind])
    return Object(f"torch.{kind}Storage", bytearray(longs(array.size) + array.tobytes()))


def view(kind: str, sizes: tuple[int, ...], strides: tuple[int, ...], offset: int, storage: Any) -> Object:
    """A tensor on a storage, which can be None, with sizes and strides in elements and the offset from 1."""
    return Object(f"torch.{kind}Tensor", (bytearray(ints(len(sizes)) + longs(*sizes, *strides, offset)), storage))


def tensor(kind: str, values: Any) -> Object:
    """A tensor with a storage of its own."""
    array = np.asarray(values)
    strides = tuple(int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim))
    return view(kind, array.shape, strides, 1, storage(kind, array.ravel()))


def t7_bytes(value: Any) -> bytes:
    """Returns a file's content."""
    return b"".join(parts(value, []))


def parts(value: Any, written: list[Any]) -> Any:
    """Yields what stands in a file for a value; `written` are the tables and objects before it, by their indices."""
    match value:
        case None:
            yield ints(0)
        case bool():
            yield ints(5, value)
        case int() | float():
            yield struct.pack("<id", 1, value)
        case str() | bytes():
            yield ints(2) + string(value)
        case bytearray():
            yield value
        case tuple():
            yield from chain.from_iterable(parts(part, written) for part in value)
        case list():
            yield from parts(dict(enumerate(value, 1)), written)
        case _:
            found = next((index for index, other in enumerate(written) if other is value), len(written))
            yield ints(4 if isinstance(value, Object) else 3, found + 1)
            if found < len(written):
                return
            written.append(value)
            if isinstance(value, Object):
                yield string("V 1") + string(value.torch_class)
                yield from parts(value.content, written)
            else:
                yield ints(len(value))
                yield from parts(tuple(chain.from_iterable(value.items())), written)


def string(value: str | bytes) -> bytes:
    data = value.encode("latin-1") if isinstance(value, str) else value
    return ints(len(data)) + data


def ints(*values: int) -> bytes:
    return np.array(values, "<i4").tobytes()


def longs(*values: int) -> bytes:
    return np.array(values, "<i8").tobytes()
