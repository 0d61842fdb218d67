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


def as_number(value: Any) -> Any:
    """Returns a Lua number as an int if it is whole, since Lua does not distinguish the two, and true as 1."""
    return int(value) if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()) else value


def by_index(table: Any, name: str) -> list[Any]:
    """Returns the values of a table that numbers them from 1, in order. Raises ValueError if it does not."""
    if not isinstance(table, dict) or any(index not in table for index in range(1, len(table) + 1)):
        raise ValueError(f"its {name} is not a list")
    return [table[index] for index in range(1, len(table) + 1)]


def read_train_losses(table: Table, iteration: Any, start: int = 0) -> np.ndarray:
    """Returns each iteration's loss, float64 (iteration,), from a table whose first entry is that of `start` + 1.

    Iterations without a loss in the file get NaN.
    """
    # A file may hold the loss of every hundredth iteration only, but a few numbers must not make us allocate gigabytes.
    if type(iteration) is not int or not 0 <= start <= iteration <= 100 * len(table) + 100_000:
        raise ValueError(f"its {len(table)} training losses do not match its iteration")
    losses = np.full(iteration, np.nan)
    for key, value in table.items():
        if type(key) is not int or not 1 <= key <= iteration - start or type(value) is not float:
            raise ValueError(f"its training losses are not numbers for the iterations {start + 1} to {iteration}")
        losses[start + key - 1] = value
    return losses


def check_arrays(arrays: list[np.ndarray]) -> None:
    """Raises ValueError if parameters have several types or share memory: if not, the file is as large as they are."""
    if len({array.dtype for array in arrays}) > 1:
        raise ValueError("its parameters have more than one type")
    bounds = sorted((*np.lib.array_utils.byte_bounds(array), array.nbytes) for array in arrays if array.size)
    end = 0
    for low, high, size in bounds:
        if low < end or high - low < size:
            raise ValueError("its parameters share memory with each other")
        end = high


def check_shapes(name: str, arrays: list[np.ndarray], expected: list[tuple[int, ...]]) -> None:
    """Raises ValueError if the arrays of a module do not have these shapes."""
    shapes = [array.shape for array in arrays]
    if shapes != expected:
        raise ValueError(f"it has an {name} of {shapes}, but its vocabulary and layers call for {expected}")
