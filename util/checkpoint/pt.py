"""Reads PyTorch's .pt files with numpy alone, as data: plain values and tensors, nothing else.

A .pt file is a zip file of uncompressed members: data.pkl, a pickle in which each tensor names its storage, and one
member with the bytes of each storage. Only the few pickle opcodes that such data needs are interpreted, so
nothing in a file can be called; every size is checked against the file's own before memory is allocated.
"""

from __future__ import annotations

import math
import pickletools
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {
    "torch DoubleStorage": "<f8",
    "torch FloatStorage": "<f4",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
    "torch ShortStorage": "<i2",
    "torch CharStorage": "i1",
    "torch ByteStorage": "u1",
    "torch BoolStorage": "?",
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
TENSOR_BYTES = 64
"""The least that a tensor takes in a file and in memory, on top of its elements."""


def read_pt(path: Path) -> Any:
    """Returns the object in a .pt file, with its tensors as read-only numpy arrays.

    Raises ValueError with the reason if the file is damaged or holds anything but plain values and tensors, and
    OSError if it cannot be read.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")  # a device may be endless
    try:
        with zipfile.ZipFile(path) as archive:
            return unpickle(Storages(archive, status.st_size))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(str(error) or "it is truncated") from error
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("its parts are inconsistent") from error


class Storages:
    """The members of a .pt file."""

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED or m.compress_size != m.file_size for m in members):
            raise ValueError("it has compressed members")
        if sum(m.file_size for m in members) > file_size:
            raise ValueError("its members are larger than the file")
        if any(not 0 <= m.header_offset < file_size for m in members):
            raise ValueError("its members lie outside the file")
        self._archive = archive
        self._folder = members[0].filename.partition("/")[0]
        self._arrays: dict[str, np.ndarray] = {}
        self._bytes_left = file_size
        if f"{self._folder}/byteorder" in archive.namelist() and self.member("byteorder") != b"little":
            raise ValueError("it was written on a big-endian machine")

    def member(self, name: str) -> bytes:
        """Returns a member's content, checked against the zip file's checksum."""
        return self._archive.read(f"{self._folder}/{name}")

    def tensor(
        self, storage: tuple[str, np.dtype, int], offset: int, size: tuple[int, ...], stride: tuple[int, ...]
    ) -> np.ndarray:
        """Returns a view of a storage. All tensors together are never larger than the file."""
        key, dtype, count = storage
        numbers = (offset, *size, *stride)
        if not isinstance(dtype, np.dtype) or any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
            raise ValueError("a tensor does not fit its storage")
        if key not in self._arrays:
            self._arrays[key] = np.frombuffer(self.member(f"data/{key}"), dtype)
        array = self._arrays[key]
        self._bytes_left -= math.prod(size) * dtype.itemsize + TENSOR_BYTES
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if array.dtype != dtype or len(array) != count or self._bytes_left < 0:
            raise ValueError("a tensor does not fit its storage")
        if math.prod(size) == 0:
            return np.empty(size, dtype)
        if last >= count:
            raise ValueError("a tensor does not fit its storage")
        strides = [step * dtype.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(array[offset:], size, strides, writeable=False)


class Name(str):
    """A global that the pickle refers to, as `module name`; it is only compared, never looked up."""

    def readable(self) -> str:
        """Returns the name made safe for a message: short and without control codes."""
        return ascii(self.replace(" ", "."))[1:-1][:80]


def checked_key(key: Any) -> str | int:
    """Returns the key of a dictionary. Raises ValueError if it is not text or a number, which could hash forever."""
    if type(key) not in (str, int):
        raise ValueError("its parts are inconsistent")
    return key


def storage(kind: Any, storage_type: Any, key: Any, _location: Any, count: Any) -> tuple[str, np.dtype, int]:
    """Returns which storage a persistent id names. Raises ValueError for anything else."""
    if kind != "storage" or not isinstance(storage_type, Name) or not isinstance(key, str):
        raise ValueError("its parts are inconsistent")
    if storage_type not in STORAGES:
        raise ValueError(f"it holds a {storage_type.readable()}")
    return key, np.dtype(STORAGES[storage_type]), count


def result(name: Any, arguments: Any, storages: Storages) -> Any:
    """Returns what one of the two calls that plain data needs would give. Raises ValueError for any other."""
    if not isinstance(name, Name):
        raise ValueError("its parts are inconsistent")
    if name == "torch._utils _rebuild_tensor_v2":
        if arguments[6:] not in ((), ({},)):
            raise ValueError("it has a tensor whose numbers are to be negated")
        return storages.tensor(*arguments[:4])
    if name == "collections OrderedDict" and arguments == ():
        return {}
    raise ValueError(f"it tries to call {name.readable()}, which is never allowed")


def unpickle(storages: Storages) -> Any:
    """Interprets data.pkl on a stack machine like that of Python's pickle, without everything that runs code."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for opcode, argument, _ in pickletools.genops(storages.member("data.pkl")):
        match opcode.name:
            case "PROTO":
                pass
            case "MARK":
                marks.append(len(stack))
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "LONG4" | "BINFLOAT":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append(CONSTANTS[opcode.name])
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append(EMPTY[opcode.name]())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                stack[-1].append(item)
            case "APPENDS":
                items = pop_to_mark()
                stack[-1].extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1].update({checked_key(key): value})
            case "SETITEMS":
                items = pop_to_mark()
                stack[-1].update(zip(map(checked_key, items[::2]), items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(Name(argument))
            case "BINPERSID":
                stack.append(storage(*stack.pop()))
            case "REDUCE":
                arguments, name = stack.pop(), stack.pop()
                stack.append(result(name, arguments, storages))
            case "STOP":
                return stack.pop()
            case other:
                raise ValueError(f"it holds more than plain values and tensors ({other})")
    raise ValueError("it is truncated")
