"""Reads Torch7's binary files (.t7) with numpy alone, as data: nothing in a file is ever run.

A file holds one object: an int32 tag, then what the tag calls for. Tables and Torch objects carry an index; the same
index later, even inside the object itself, refers to the same object. Functions, which have other tags, are not in any
checkpoint. Everything is little-endian, and a C `long` has 64 bits, as on the machines of today. The format is that of
File.lua, Tensor.c and Storage.c in Torch7.
"""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from util.checkpoint.pt import view
from util.errors import InvalidFile

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN = range(6)
ELEMENTS = {"Byte": "u1", "Char": "i1", "Short": "<i2", "Int": "<i4", "Long": "<i8"}
ELEMENTS |= {"Half": "<f2", "Float": "<f4", "Double": "<f8", "Cuda": "<f4", "Cl": "<f4"}
KINDS = {gpu + kind: np.dtype(code) for gpu in ("", "Cuda", "Cl") for kind, code in ELEMENTS.items()}
"""numpy's type for each of Torch's kinds of numbers."""
MOST_OBJECTS = 1_000_000  # each of which can take some 600 bytes of memory for 20 of the file


class Table(dict):
    """A Lua table or, if `torch_class` names its class, a Torch object.

    As in Lua, a table can itself be a key, compared by identity; nngraph uses its nodes that way.
    """

    __slots__ = ("torch_class",)

    def __init__(self, torch_class: str | None = None) -> None:
        self.torch_class = torch_class

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{self.torch_class or 'table'} of {len(self)}>"  # its content could fill books


def read_t7(path: Path) -> Any:
    """Returns the object in a .t7 file.

    Tables and Torch objects become `Table`s, with int for keys that are whole numbers. Numbers are float. A string is
    a str with one character, 0 to 255, per byte. Tensors and storages are read-only views of the file's bytes as numpy
    arrays; an empty tensor has shape (0,).

    Raises ValueError with the reason or, like `read_pt`, other errors if the file is malformed, and OSError.
    """
    return Reader(path.read_bytes()).read()


class Reader:
    """Reads a file's bytes; `at` is the position."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.objects: dict[int, Any] = {}
        self.unfinished: list[Iterator[None]] = []
        """What reads the entries of each table that was begun, so that tables can nest to any depth."""

    def read(self) -> Any:
        """Returns the file's object, complete."""
        root = self.begin_object()
        while self.unfinished:
            try:
                next(self.unfinished[-1])
            except StopIteration:
                self.unfinished.pop()
        if self.at < len(self.data):
            raise InvalidFile("it goes on after its end")
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
        if tag not in (TABLE, TORCH):
            raise InvalidFile(f"it has the unknown type tag {tag}")
        index = self.int32()
        if len(self.objects) > MOST_OBJECTS:
            raise InvalidFile("it has too many objects")
        if index not in self.objects:
            self.objects[index] = self.begin_table(Table()) if tag == TABLE else self.begin_torch_object()
        return self.objects[index]

    def begin_table(self, table: Table) -> Table:
        self.unfinished.append(self.entries(table))
        return table

    def entries(self, table: Table) -> Iterator[None]:
        """Reads a table's entries, and pauses where the entries of a key or value have to be read first."""
        for _ in range(self.int32()):
            key = self.begin_object()
            yield
            table[int(key) if isinstance(key, float) and key.is_integer() else key] = self.begin_object()
            yield

    def begin_torch_object(self) -> Any:
        _version, name = self.string(), self.string()
        found = re.fullmatch(r"torch\.(\w+)(Tensor|Storage)", name)
        if found and found[1] in KINDS:
            dtype = KINDS[found[1]]
            return self.tensor(dtype) if found[2] == "Tensor" else self.array(self.longs(1)[0], dtype)
        tag, content = self.int32(), self.int32()
        if tag != TABLE or content in self.objects:
            raise InvalidFile("it has an object without a table for its content")
        self.objects[content] = self.begin_table(Table(name))
        return self.objects[content]

    def tensor(self, dtype: np.dtype) -> np.ndarray:
        """Returns a view of a storage, which is written here, or was earlier, or is nil."""
        dimensions = self.int32()
        *numbers, offset = self.longs(2 * dimensions + 1)
        storage = self.begin_object()
        if not dimensions or storage is None:
            return np.empty(0, dtype)
        if not isinstance(storage, np.ndarray) or storage.dtype != dtype:
            raise InvalidFile("it has a tensor without a storage of its type")
        return view(storage, offset - 1, numbers[:dimensions], numbers[dimensions:])

    def string(self) -> str:
        start = self.skip(self.int32())
        return self.data[start : self.at].decode("latin-1")

    def int32(self) -> int:
        return struct.unpack_from("<i", self.data, self.skip(4))[0]

    def longs(self, count: int) -> list[int]:
        return self.array(count, KINDS["Long"]).tolist()

    def array(self, count: int, dtype: np.dtype) -> np.ndarray:
        return np.ndarray(count, dtype, self.data, self.skip(count * dtype.itemsize))

    def skip(self, size: int) -> int:
        """Skips `size` bytes and returns the position of the first."""
        start = self.at
        if not 0 <= size <= len(self.data) - start:
            raise InvalidFile(f"it should go on for {size} bytes, but {len(self.data) - start} are left")
        self.at += size
        return start
