"""What the readers of .t7 checkpoints share: looking around in the tables that `read_t7` gives, and doubting them."""

from __future__ import annotations

from typing import Any

import numpy as np

from util.checkpoint.t7 import Table


def follow(table: Any, *keys: str | int) -> Any:
    """What a path of keys leads to from a table; None where it ends before."""
    for key in keys:
        table = table.get(key) if isinstance(table, Table) else None
    return table


def text(string: str) -> str:
    """A string of the file, given byte by byte, in characters."""
    return string.encode("latin-1").decode("utf-8", "replace")


def whole(value: Any, name: str) -> int:
    if type(value) is not float or not value.is_integer():
        raise ValueError(f"its {name} has {shown(value)}, which is no whole number")
    return int(value)


def shown(value: Any) -> str:
    """Something from the file for a message: short, and with nothing in it that steers a terminal."""
    if isinstance(value, str):
        return ascii(value[:50])
    return f"{value:.6g}" if isinstance(value, int | float) else f"a {type(value).__name__}"


def by_index(table: Table, name: str) -> list[Any]:
    """The values of a table that counts them from 1, in order. Raises ValueError where it does not."""
    if any(index not in table for index in range(1, len(table) + 1)):
        raise ValueError(f"its {name} does not count its {len(table)} entries from 1 to {len(table)}")
    return [table[index] for index in range(1, len(table) + 1)]


def read_train_losses(table: Table, iteration: int, start: int = 0) -> np.ndarray:
    """The loss of each iteration up to `iteration`, float64 (iteration,), from a table that counts from `start` + 1.

    Iterations of which the file has no loss have NaN.
    """
    # Somebody may have kept the loss of every hundredth iteration, but a few numbers are no reason to fill the memory.
    if not 0 <= start <= iteration <= 100 * len(table) + 100_000:
        raise ValueError(f"it has {len(table)} training losses, which does not go with {iteration:.6g} iterations")
    losses = np.full(iteration, np.nan)
    for key, value in table.items():
        if not isinstance(key, int) or not 1 <= key <= iteration - start or type(value) is not float:
            raise ValueError(f"its training losses are not numbers for the iterations {start + 1} to {iteration}")
        losses[start + key - 1] = value
    return losses


def check_arrays(arrays: list[np.ndarray]) -> None:
    """Raises ValueError where parameters are of more than one type, or share memory with each other.

    If they share none, copies of them cannot be much larger than the file.
    """
    if len({array.dtype for array in arrays}) > 1:
        raise ValueError("its parameters are of more than one type")
    bounds = [(np.lib.array_utils.byte_bounds(array), array.nbytes) for array in arrays if array.size]
    end = 0
    for (low, high), size in sorted(bounds):
        if low < end or high - low < size:
            raise ValueError("its parameters share memory with each other")
        end = high
