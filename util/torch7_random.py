"""The random stream of Torch7 on a CPU: a Mersenne Twister of which every draw takes one 32-bit output u.

Matsumoto and Nishimura (1998), seeded with their init_genrand. The distributions are those of Torch7's TH library.
"""

from __future__ import annotations

from typing import Any

import numpy as np


class Torch7Random:
    """Draws what Torch7 draws from `seed` (0 to 2**32 - 1), whole arrays at a time."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937()
        self.restore(np.random.RandomState(seed).get_state(legacy=False)["state"])

    def raw(self, count: int) -> np.ndarray:
        """The next `count` outputs u of the generator, as uint64 below 2**32."""
        return self._bits.random_raw(count)

    def skip(self, count: int) -> None:
        """Passes over `count` draws."""
        self._bits.random_raw(count, output=False)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """`count` float64 numbers, uniform in [low, high)."""
        return self.raw(count) / 2.0**32 * (high - low) + low

    def bernoulli(self, count: int, p: float) -> np.ndarray:
        """`count` booleans, each true with probability p."""
        return self.raw(count) <= np.uint64(p * 2.0**32)

    def multinomial(self, probabilities: np.ndarray) -> int:
        """One index, drawn with probabilities that are float32 and need not sum to one."""
        cumulative = probabilities.cumsum(dtype=np.float64)
        cumulative /= cumulative[-1]
        return int(cumulative.searchsorted(self.raw(1)[0] / 2.0**32))

    def state(self) -> dict[str, Any]:
        """The generator's position in its stream: 624 words `key` (uint32) and `pos`."""
        state = self._bits.state["state"]
        return {"key": state["key"].copy(), "pos": int(state["pos"])}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from what `state` gave."""
        self._bits.state = {"bit_generator": "MT19937", "state": state}  # type: ignore[typeddict-item]
