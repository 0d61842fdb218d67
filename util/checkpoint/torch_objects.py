"""What the readers of .t7 checkpoints share: looking into the tables that `read_t7` returns, and distrusting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from util.checkpoint.t7 import Table


def follow(table: Any, *keys: str | int) -> Any:
    """Follows a path of keys from a table; returns None if a key is missing."""
    for key in keys:
        table = table.get(key) if isinstance(table, Table) else None
    return table


def as_text(string: str) -> str:
    """Decodes a string from the file, which is given as one character per byte."""
    return string.encode("latin-1").decode("utf-8", "replace")


def as_number(value: Any) -> Any:
    """Returns a Lua number as an int if it is whole, since Lua does not distinguish the two, and true as 1."""
    return int(value) if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()) else value


def whole_number(value: Any, name: str) -> int:
    """Returns a Lua number as an int. Raises ValueError, which calls it `name`, if it is not whole."""
    if type(value) is not float or not value.is_integer():
        raise ValueError(f"its {name} has {printable(value)}, which is not a whole number")
    return int(value)


def printable(value: Any) -> str:
    """Returns a value from the file, made safe for a message: short and without control codes."""
    if isinstance(value, str):
        return ascii(value[:50])
    return f"{value:.6g}" if isinstance(value, int | float) else f"a {type(value).__name__}"


def by_index(table: dict[int, Any], name: str) -> list[Any]:
    """Returns the values of a table that numbers them from 1, in order. Raises ValueError if it does not."""
    if any(index not in table for index in range(1, len(table) + 1)):
        raise ValueError(f"its {name} does not number its {len(table)} entries from 1 to {len(table)}")
    return [table[index] for index in range(1, len(table) + 1)]


def read_train_losses(table: Table, iteration: int, start: int = 0) -> np.ndarray:
    """Returns each iteration's loss, float64 (iteration,), from a table whose first entry is that of `start` + 1.

    Iterations without a loss in the file get NaN.
    """
    # A file may hold the loss of every hundredth iteration only, but a few numbers must not make us allocate gigabytes.
    if not 0 <= start <= iteration <= 100 * len(table) + 100_000:
        raise ValueError(f"it has {len(table)} training losses, which does not match {iteration:.6g} iterations")
    losses = np.full(iteration, np.nan)
    for key, value in table.items():
        if not isinstance(key, int) or not 1 <= key <= iteration - start or type(value) is not float:
            raise ValueError(f"its training losses are not numbers for the iterations {start + 1} to {iteration}")
        losses[start + key - 1] = value
    return losses


def check_arrays(arrays: list[np.ndarray]) -> None:
    """Raises ValueError if the parameters have more than one type, or share memory with each other.

    If they share none, copies of them cannot be much larger than the file.
    """
    if len({array.dtype for array in arrays}) > 1:
        raise ValueError("its parameters have more than one type")
    bounds = [(np.lib.array_utils.byte_bounds(array), array.nbytes) for array in arrays if array.size]
    end = 0
    for (low, high), size in sorted(bounds):
        if low < end or high - low < size:
            raise ValueError("its parameters share memory with each other")
        end = high


def check_shapes(name: str, arrays: list[np.ndarray], expected: list[tuple[int, ...]]) -> None:
    """Raises ValueError if the arrays of a module do not have these shapes."""
    shapes = [array.shape for array in arrays]
    if shapes != expected:
        found, wanted = (" and ".join(map(str, some)) for some in (shapes, expected))
        raise ValueError(f"it has an {name} of {found}, but its vocabulary and layers call for {wanted}")
