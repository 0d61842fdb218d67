"""Draws which outputs dropout drops, as the original does, but one iteration ahead."""

from __future__ import annotations

import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from util.torch7_random import Torch7Random


class DropoutDraws:
    """Draws which outputs to keep, each with probability `keep`, as arrays of the given shape.

    The next array is drawn in a separate thread while the model computes.
    """

    def __init__(self, random: Torch7Random, shape: tuple[int, ...], keep: float) -> None:
        self._random, self._shape, self._keep = random, shape, keep
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._ahead: Future[tuple[dict[str, Any], np.ndarray]] | None = None

    def next(self) -> np.ndarray:
        """Returns the next array of booleans, true for the outputs to keep."""
        ahead = self._ahead or self._thread.submit(self._draw)
        _, kept = ahead.result()
        self._ahead = self._thread.submit(self._draw)
        return kept

    def state(self) -> dict[str, Any]:
        """Returns the position in the stream after the arrays returned by `next`, like Torch7Random.state."""
        return self._ahead.result()[0] if self._ahead else self._random.state()

    def _draw(self) -> tuple[dict[str, Any], np.ndarray]:
        before = self._random.state()
        return before, self._random.bernoulli(math.prod(self._shape), self._keep).reshape(self._shape)
