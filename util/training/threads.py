"""How many threads torch computes with on a CPU, and a word when other programs want the same cores."""

from __future__ import annotations

import os
import sys
from collections import deque
from statistics import median

from util.cli.console import tell

RECENT = 5
"""How many iterations tell how long one takes now."""
WARM = 20
"""How many iterations tell how long the run takes."""


def use_threads(wanted: int) -> int:
    """Sets and returns the number of threads: `wanted` or, if that is 0, torch's own, which OMP_NUM_THREADS sets."""
    import torch

    cores = os.cpu_count() or 1
    if wanted > cores:
        tell(f"warning: with -threads {wanted} on {cores} cores the threads wait for each other; try {cores} at most")
    torch.set_num_threads(wanted or torch.get_num_threads())
    return torch.get_num_threads()


class Pace:
    """Says on a terminal how long the run takes, and once if iterations take three times as long as the fastest.

    Then other programs use the cores, and the threads wait for each other.
    """

    def __init__(self, threads: int, device: str) -> None:
        self._may_wait = threads > 1 and device == "cpu"
        self._fastest, self._recent = float("inf"), deque[float](maxlen=RECENT)
        self._device, self._until_warm = device, WARM

    def took(self, seconds: float, left: int) -> None:
        """Takes the time of an iteration, and how many are left."""
        self._recent.append(seconds)
        self._until_warm -= 1
        if self._until_warm == 0 and sys.stderr.isatty():
            minutes = median(self._recent) * left / 60
            time = f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours"
            fewer = "-print_every 100 prints fewer lines, and Ctrl-C stops and saves"
            tell(f"about {time} to go on {self._device}; {fewer}")
        if not self._may_wait or len(self._recent) < RECENT:
            return
        now = median(self._recent)
        self._fastest = min(self._fastest, now)
        if now > 3 * self._fastest:
            tell(
                f"an iteration takes {now:.2f} s now, and took {self._fastest:.2f} s before: other programs use the "
                "cores; -threads 1 is faster then"
            )
            self._may_wait = False
