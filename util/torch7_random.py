"""Torch7's random numbers on a CPU: a Mersenne Twister, with one 32-bit output u per draw.

Matsumoto and Nishimura (1998), seeded with their init_genrand. The distributions are those of Torch7's TH library.
"""

from typing import Any

import numpy as np

DEFAULT_SEED = 123
"""The original's, for training and for sampling."""


class Torch7Random:
    """Reproduces Torch7's random numbers for a seed from 0 to 2**32 - 1, an array at a time."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937(0)
        # numpy promises to keep RandomState's streams as they are; it makes no such promise for Generator.
        self._stream = np.random.RandomState(self._bits)
        self._stream.seed(seed)

    def raw(self, count: int) -> np.ndarray:
        """Returns the next `count` outputs u of the generator, as uint32."""
        return self._stream.randint(0, 2**32, count, dtype=np.uint32)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Returns `count` float64 numbers, uniform in [low, high)."""
        return self.raw(count) / 2.0**32 * (high - low) + low

    def bernoulli(self, count: int, p: float) -> np.ndarray:
        """Returns `count` booleans, each true with probability p, namely if u / 2**32 <= p."""
        return self.raw(count) <= np.uint32(min(p * 2.0**32, 2**32 - 1))

    def state(self) -> dict[str, Any]:
        """Returns the position in the stream: 624 words `key` (uint32), and `pos`."""
        state = self._bits.state["state"]
        return {"key": state["key"].copy(), "pos": int(state["pos"])}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from a position returned by `state`."""
        self._bits.state = {"bit_generator": "MT19937", "state": state}  # type: ignore[typeddict-item]
