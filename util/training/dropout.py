"""Draws which outputs dropout drops: on a CPU as the original does, but one iteration ahead; on a GPU by the GPU."""

import math
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from util.torch7_random import Torch7Random


class Draws:
    """Draws which outputs dropout spares, each with probability `keep`: booleans of the shape (S, L, B, H).

    The next ones are drawn in a separate thread while the model computes.
    """

    def __init__(self, random: Torch7Random, shape: tuple[int, int, int, int], keep: float) -> None:
        self._random, self._shape, self._keep = random, shape, keep
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._ahead: Future[tuple[dict[str, Any], np.ndarray]] | None = None

    def next(self, iteration: int) -> np.ndarray | Tensor:
        """Returns the next booleans; on a GPU those of an iteration, which the next call overwrites."""
        ahead = self._ahead or self._thread.submit(self._draw)
        _, spared = ahead.result()
        self._ahead = self._thread.submit(self._draw)
        return spared

    def state(self) -> dict[str, Any]:
        """Returns the position in the stream after what `next` has returned, like Torch7Random.state."""
        return self._ahead.result()[0] if self._ahead else self._random.state()

    def _draw(self) -> tuple[dict[str, Any], np.ndarray]:
        before = self._random.state()
        return before, self._random.bernoulli(math.prod(self._shape), self._keep).reshape(self._shape)


class GPUDraws(Draws):
    """Draws on a GPU, from a generator of its own.

    It is seeded anew for each iteration: resuming needs no state of it, and several processes draw the same.
    """

    def __init__(
        self, random: Torch7Random, shape: tuple[int, int, int, int], keep: float, device: torch.device, seed: int
    ) -> None:
        super().__init__(random, shape, keep)
        self._generator, self._seed = torch.Generator(device), seed
        self._spared = torch.empty(shape, dtype=torch.bool, device=device)

    def next(self, iteration: int) -> Tensor:
        self._generator.manual_seed((self._seed << 32) + iteration)
        return self._spared.bernoulli_(self._keep, generator=self._generator)
