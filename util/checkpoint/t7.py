"""Reads Torch7's binary files (.t7) with numpy alone, as data: nothing in a file is ever run.

A file holds one object: an int32 tag, then what the tag calls for. Tables, Torch objects and functions carry an index;
the same index later, even inside the object itself, refers to the same object. Everything is little-endian. A C `long`
has 64 or 32 bits, depending on the machine that wrote the file. The file does not say which, but one with tensors makes
sense in only one of the two. The format is that of File.lua, Tensor.c and Storage.c in Torch7.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN, FUNCTION = range(7)
INDEXED_FUNCTIONS = (7, 8)
ELEMENTS = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Half": "<f2", "Float": "<f4", "Double": "<f8"}
"""numpy's code for each of Torch's kinds of numbers but Long."""
GPUS = ("Cuda", "Cl")
MAX_DIMENSIONS = 32
SMALLEST_ENTRY = 12
"""The least number of bytes in a table entry: a boolean key and a nil value."""


class Table(dict):
    """A Lua table or, if `torch_class` names its class, a Torch object.

    As in Lua, a table can itself be a key, compared by identity; nngraph uses its nodes that way.
    """

    __slots__ = ("torch_class",)

    def __init__(self, torch_class: str | None = None) -> None:
        self.torch_class = torch_class

    __hash__ = object.__hash__  # type: ignore[assignment]


def read_t7(path: Path) -> Any:
    """Returns the object in a .t7 file.

    Tables and Torch objects become `Table`s, with int for keys that are whole numbers. Numbers are float. A string is
    a str with one character, 0 to 255, per byte. Tensors and storages are read-only views of the file's bytes as numpy
    arrays; an empty tensor has shape (0,). Functions become None.

    Raises ValueError, with the byte position, if the file is malformed, and OSError if it cannot be read.
    """
    data, errors = path.read_bytes(), []
    for long in ("<i8", "<i4"):
        reader = Reader(data, np.dtype(long))
        try:
            return reader.read()
        except ValueError as error:
            errors.append((reader.at, str(error)))
    raise ValueError(max(errors)[1])  # from the attempt that got further


class Reader:
    """Reads a file's bytes; `at` is the position."""

    def __init__(self, data: bytes, long: np.dtype) -> None:
        self.data, self.at, self.long = data, 0, long
        self.objects: dict[int, Any] = {}
        self.storages: dict[int, np.ndarray] = {}
        self.unfinished: list[Iterator[None]] = []
        """What reads the entries of each table that was begun, so that tables can nest to any depth."""
        kinds = {kind: np.dtype(code) for kind, code in ELEMENTS.items()} | {"Long": long}
        kinds |= {gpu + kind: dtype for gpu in GPUS for kind, dtype in kinds.items()}
        self.kinds = kinds | dict.fromkeys(GPUS, np.dtype("<f4"))

    def read(self) -> Any:
        """Returns the file's object, complete. Raises ValueError."""
        root = self.begin_object()
        while self.unfinished:
            if next(self.unfinished[-1], self) is self:
                self.unfinished.pop()
        self.require(self.at == len(self.data), "there is more data after its end")
        return root

    def begin_object(self) -> Any:
        """Returns the next object; if it is a table, its entries are left for `read`."""
        tag = self.int32()
        if tag == NIL:
            return None
        if tag == NUMBER:
            return struct.unpack_from("<d", self.data, self.skip(8))[0]
        if tag == STRING:
            return self.string()
        if tag == BOOLEAN:
            return self.int32() == 1
        if tag == FUNCTION:
            return self.function()
        self.require(tag in (TABLE, TORCH, *INDEXED_FUNCTIONS), f"the type tag {tag} is unknown")
        index = self.int32()
        if index not in self.objects:
            if tag == TABLE:
                self.begin_table(index, Table())
            elif tag == TORCH:
                self.begin_torch_object(index)
            else:
                self.objects[index] = None
                self.function()
        return self.objects[index]

    def begin_table(self, index: int, table: Table) -> None:
        self.objects[index] = table
        self.unfinished.append(self.entries(table))

    def entries(self, table: Table) -> Iterator[None]:
        """Reads a table's entries, and pauses where the entries of a key or value have to be read first."""
        count = self.int32()
        self.require(0 <= count <= (len(self.data) - self.at) // SMALLEST_ENTRY, f"a table claims {count} entries")
        for _ in range(count):
            key = self.begin_object()
            yield
            self.require(not isinstance(key, np.ndarray), "a table key is a tensor")
            table[int(key) if isinstance(key, float) and key.is_integer() else key] = self.begin_object()
            yield

    def function(self) -> None:
        """Skips a function's bytecode and its table of upvalues, which some old files lack."""
        self.string()
        if self.data[self.at : self.at + 4] == struct.pack("<i", TABLE):
            self.begin_object()

    def begin_torch_object(self, index: int) -> None:
        name = self.class_name()
        found = re.fullmatch(r"torch\.(\w+)(Tensor|Storage)", name)
        if found and found[1] in self.kinds:
            self.objects[index] = self.tensor(found[1]) if found[2] == "Tensor" else self.storage(index, found[1])
            return
        self.objects[index] = table = Table(name)
        tag, content = self.int32(), self.int32()
        whole = tag == TABLE and content not in self.objects
        self.require(whole, f"an object of class {name[:50]!a} has no table for its content")
        self.begin_table(content, table)

    def class_name(self) -> str:
        name = self.string()
        return self.string() if re.fullmatch(r"V \d+", name) else name  # the oldest files have no version string

    def tensor(self, kind: str) -> np.ndarray:
        """Returns a view of a storage, never larger than it, so strides cannot blow up a small file."""
        dimensions = self.int32()
        self.require(0 <= dimensions <= MAX_DIMENSIONS, f"a tensor has {dimensions} dimensions")
        numbers = self.longs(2 * dimensions + 1)
        sizes, strides, offset = numbers[:dimensions], numbers[dimensions:-1], numbers[-1] - 1
        storage, dtype = self.tensor_storage(kind), self.kinds[kind]
        if not sizes or 0 in sizes:
            return np.empty(0, dtype)
        last = offset + sum((n - 1) * step for n, step in zip(sizes, strides))
        fits = min(*sizes, *strides, offset) >= 0 and max(last + 1, math.prod(sizes)) <= len(storage)
        self.require(fits, "a tensor does not fit its storage")
        # The stride of a dimension of size 1 means nothing and can be any number.
        steps = [step * dtype.itemsize if n > 1 else dtype.itemsize for n, step in zip(sizes, strides)]
        return np.ndarray(sizes, dtype, storage, offset * dtype.itemsize, steps)

    def tensor_storage(self, kind: str) -> np.ndarray:
        """Returns a tensor's storage: written here, a reference to an earlier one, or nil."""
        tag = self.int32()
        if tag == NIL:
            return np.empty(0, self.kinds[kind])
        index = self.int32()
        if tag == TORCH and index not in self.objects and self.class_name() == f"torch.{kind}Storage":
            self.objects[index] = self.storage(index, kind)
        storage = self.storages.get(index)
        if tag != TORCH or storage is None or storage.dtype != self.kinds[kind]:
            raise ValueError(f"at byte {self.at} a tensor has no storage of its type")
        return storage

    def storage(self, index: int, kind: str) -> np.ndarray:
        self.storages[index] = self.array(self.longs(1)[0], self.kinds[kind])
        return self.storages[index]

    def string(self) -> str:
        start = self.skip(self.int32())
        return self.data[start : self.at].decode("latin-1")

    def int32(self) -> int:
        return struct.unpack_from("<i", self.data, self.skip(4))[0]

    def longs(self, count: int) -> list[int]:
        return self.array(count, self.long).tolist()

    def array(self, count: int, dtype: np.dtype) -> np.ndarray:
        return np.ndarray(count, dtype, self.data, self.skip(count * dtype.itemsize))

    def skip(self, size: int) -> int:
        """Skips `size` bytes and returns the position of the first."""
        start = self.at
        left = len(self.data) - start
        self.require(0 <= size <= left, f"it should continue for {size} bytes, but {left} are left")
        self.at += size
        return start

    def require(self, condition: bool, otherwise: str) -> None:
        if not condition:
            raise ValueError(f"at byte {self.at} {otherwise}")
