"""Reads PyTorch's .pt files with numpy alone, as data: plain values and tensors, nothing else.

A .pt file is a zip file of uncompressed members: data.pkl, a pickle in which each tensor names its storage, and one
member with the bytes of each storage. Only the few pickle opcodes that such data needs are interpreted, so
nothing in a file can be called; every size is checked against the file's own before memory is allocated.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {
    f"torch {kind}Storage": np.dtype(code) for kind, code in (("Double", "<f8"), ("Float", "<f4"), ("Long", "<i8"))
}
"""The kinds of numbers in our checkpoints."""
LITERALS = {"BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
INCONSISTENT = "its parts are inconsistent"
LONGEST_PICKLE = 1 << 24  # its values can take some seventy times as much memory
TENSOR_BYTES = 64
"""The least that a tensor takes in a file and in memory, on top of its elements."""


def read_pt(path: Path) -> Any:
    """Returns the object in a .pt file, with its tensors as read-only numpy arrays.

    Raises ValueError with the reason if the file is damaged or holds anything but plain values and tensors, and
    OSError if it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return unpickle(Storages(archive, path.stat().st_size))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(str(error) or "it is truncated") from error
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(INCONSISTENT) from error


class Storages:
    """The members of a .pt file."""

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        members = archive.infolist()
        if any(m.compress_type != zipfile.ZIP_STORED or m.compress_size != m.file_size for m in members):
            raise ValueError("it has compressed members")
        if sum(m.file_size for m in members) > file_size or any(not 0 <= m.header_offset < file_size for m in members):
            raise ValueError("its members are larger than the file")
        self._archive = archive
        self._folder = members[0].filename.partition("/")[0]
        self._arrays: dict[str, np.ndarray] = {}
        self._bytes_left = file_size

    def member(self, name: str) -> bytes:
        """Returns a member's content, checked against the zip file's checksum."""
        return self._archive.read(f"{self._folder}/{name}")

    def pickle(self) -> bytes:
        """Returns data.pkl. Raises ValueError if it is longer than any description of plain values."""
        content = self.member("data.pkl")
        if len(content) > LONGEST_PICKLE:
            raise ValueError("its description is too long")
        return content

    def tensor(self, storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> np.ndarray:
        """Returns a view of a storage. All tensors together are never larger than the file."""
        key, dtype, count = storage
        numbers = (offset, *size, *stride)
        if not isinstance(dtype, np.dtype) or any(type(n) is not int or not 0 <= n < 2**63 for n in numbers):
            raise ValueError("a tensor does not fit its storage")
        if key not in self._arrays:
            self._arrays[key] = np.frombuffer(self.member(f"data/{key}"), dtype)
        array, elements = self._arrays[key], math.prod(size)
        self._bytes_left -= elements * dtype.itemsize + TENSOR_BYTES
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        fits = array.dtype == dtype and len(array) == count and self._bytes_left >= 0
        if not fits or (elements and last >= count):
            raise ValueError("a tensor does not fit its storage")
        if not elements:
            return np.empty(size, dtype)
        strides = [step * dtype.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(array[offset:], size, strides, writeable=False)


class Name(str):
    """A global that the pickle refers to, as `module name`; it is only compared, never looked up."""

    def refusal(self) -> ValueError:
        """Returns an error that names it, safely: short and without control codes."""
        return ValueError(f"it holds a {ascii(self.replace(' ', '.'))[1:-1][:80]}, which is never allowed")


def storage(kind: Any, storage_type: Any, key: Any, _location: Any, count: Any) -> tuple[str, np.dtype, int]:
    """Returns which storage a persistent id names. Raises ValueError for anything else."""
    if kind != "storage" or not isinstance(storage_type, Name) or not isinstance(key, str):
        raise ValueError(INCONSISTENT)
    if storage_type not in STORAGES:
        raise storage_type.refusal()
    return key, STORAGES[storage_type], count


def result(name: Any, arguments: Any, storages: Storages) -> Any:
    """Returns what one of the two calls that plain data needs would give. Raises ValueError for any other."""
    if not isinstance(name, Name):
        raise ValueError(INCONSISTENT)
    # A seventh argument would say that the tensor's numbers are to be negated.
    if name == "torch._utils _rebuild_tensor_v2" and len(arguments) == 6:
        return storages.tensor(*arguments)
    if name == "collections OrderedDict" and arguments == ():
        return {}
    raise name.refusal()


def unpickle(storages: Storages) -> Any:
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
    for opcode, argument, _ in pickletools.genops(storages.pickle()):
        match opcode.name:
            case "PROTO":
                pass
            case "MARK":
                marks.append(len(stack))
            case name if name in LITERALS:
                stack.append(argument)
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name])
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack.append(tuple(pop(int(name[5:] or 0))))
            case "SETITEM" | "SETITEMS" as name:
                items = pop(2 * (name == "SETITEM"))
                if any(type(key) not in (str, int) for key in items[::2]):  # other keys could hash forever
                    raise ValueError(INCONSISTENT)
                stack[-1].update(zip(items[::2], items[1::2], strict=True))
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
