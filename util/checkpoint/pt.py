"""Reads PyTorch's .pt files with numpy alone, as data: plain values and tensors, nothing else.

A .pt file is a zip file of uncompressed members: data.pkl, a pickle in which each tensor names its storage, and one
member with the bytes of each storage. Only the few pickle opcodes that such data needs are interpreted, so
nothing in a file can be called; every size is checked against the file's own before memory is allocated.
"""

import math
import pickletools
import zipfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from util.errors import InvalidFile

STORAGES = {"torch DoubleStorage": "<f8", "torch FloatStorage": "<f4", "torch LongStorage": "<i8"}
"""The kinds of numbers in our checkpoints, with numpy's codes."""
TENSOR, DICTIONARY = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"
"""The two calls that plain data needs. Like STORAGES, these names are only compared, never looked up."""
LITERALS = {"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
MOST_OPCODES = 1 << 20  # which take a second and some seventy bytes of memory each
TENSOR_BYTES = 64  # the least that a tensor takes in a file and in memory, on top of its elements
MISFIT = "a tensor does not fit its storage"


def read_pt(path: Path) -> Any:
    """Returns the object in a .pt file, with its tensors as read-only numpy arrays.

    Raises InvalidFile if it holds anything but plain values and tensors, OSError if it cannot be read, and whatever
    zipfile and Python raise if it is damaged; load_checkpoint knows what that can be.
    """
    with zipfile.ZipFile(path) as archive:
        return unpickle(Members(archive, path.stat().st_size))


class Members:
    """The members of a .pt file: the pickle, and storages of which tensors are views."""

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED or m.compress_size != m.file_size for m in members):
            raise InvalidFile("it has compressed members")
        if sum(m.file_size for m in members) > file_size or any(not 0 <= m.header_offset < file_size for m in members):
            raise InvalidFile("its members are larger than the file")
        self._archive, self._bytes_left = archive, file_size
        self._folder = members[0].filename.partition("/")[0]
        self._storages: dict[str, np.ndarray] = {}

    def read(self, name: str) -> bytes:
        """Returns a member's content, checked against the zip file's checksum."""
        return self._archive.read(f"{self._folder}/{name}")

    def storage(self, kind: Any, name: Any, key: Any, _location: Any, count: Any) -> np.ndarray:
        """Returns the storage that a persistent id names."""
        if kind != "storage" or type(name) is not str or type(key) is not str:
            raise TypeError
        if key not in self._storages:
            self._storages[key] = np.frombuffer(self.read(f"data/{key}"), STORAGES[name])
        storage = self._storages[key]
        if storage.dtype != STORAGES[name] or len(storage) != count:
            raise InvalidFile(MISFIT)
        return storage

    def tensor(self, storage: Any, offset: Any, sizes: Any, strides: Any, _gradient: Any, _hooks: Any) -> np.ndarray:
        """Returns a view of a storage. All tensors together are never larger than the file."""
        tensor = view(storage, offset, sizes, strides)
        self._bytes_left -= tensor.nbytes + TENSOR_BYTES
        if self._bytes_left < 0:
            raise InvalidFile("its tensors are larger than the file")
        return tensor


def view(storage: np.ndarray, offset: int, sizes: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """Returns a view of an array, read-only as that is and never larger. Raises ValueError if it does not fit."""
    if any(type(n) is not int or n < 0 for n in (offset, *sizes, *strides)):
        raise InvalidFile(MISFIT)
    if 0 in sizes:
        return np.empty(sizes, storage.dtype)
    # The stride of a dimension of size 1 means nothing and can be any number.
    steps = [step if n > 1 else 0 for n, step in zip(sizes, strides, strict=True)]
    last = offset + sum((n - 1) * step for n, step in zip(sizes, steps))
    if max(last + 1, math.prod(sizes)) > len(storage):
        raise InvalidFile(MISFIT)
    width = storage.dtype.itemsize
    return np.ndarray(sizes, storage.dtype, storage, offset * width, [step * width for step in steps])


def unpickle(members: Members) -> Any:
    """Interprets data.pkl on a stack machine like that of Python's pickle, without everything that runs code."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop(count: int) -> list[Any]:
        """Takes so many values off the stack; all above the last mark if `count` is 0."""
        start = len(stack) - count if count else marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for opcode, argument, _ in islice(pickletools.genops(members.read("data.pkl")), MOST_OPCODES):
        match opcode.name:
            case "PROTO":
                pass
            case "MARK":
                marks.append(len(stack))
            case name if name in LITERALS or name in CONSTANTS:
                stack.append(CONSTANTS.get(name, argument))
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack.append(tuple(pop(int(name[5:] or 0))))
            case "SETITEM" | "SETITEMS" as name:
                items = pop(2 if name == "SETITEM" else 0)
                if any(type(key) not in (str, int) for key in items[::2]):  # other keys could hash forever
                    raise TypeError
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                if argument not in (TENSOR, DICTIONARY, *STORAGES):
                    raise InvalidFile(f"it holds a {argument.replace(' ', '.')!a:.80}, which is never allowed")
                stack.append(argument)
            case "BINPERSID":
                stack.append(members.storage(*stack.pop()))
            case "REDUCE":
                name, arguments = pop(2)
                stack.append({} if (name, arguments) == (DICTIONARY, ()) else members.tensor(*arguments))
            case "STOP":
                return stack.pop()
            case other:
                raise InvalidFile(f"it holds more than plain values and tensors ({other})")
    raise InvalidFile("its description is too long")
