"""Chooses the number of threads that torch computes with, while a run is going.

Alone on a machine, a training step is fastest with many threads. If other programs use the same cores, these threads
wait for each other: two can take five times as long as one. So now and then a few steps alternate between the present
number and another, and the faster of the two stays. Such trials cost less than SHARE of the time.

No figure depends on it: only those numbers are used that give the same gradient for the run's first batch, bit for bit,
as the number that torch starts with. If there is no other, the number is fixed: at one for a small model.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING

from util.cli.console import tell

if TYPE_CHECKING:
    from torch import Tensor

    from util.training.trainer import Trainer

ROUNDS = 3
"""The number of steps in a trial with each of the two numbers."""
FASTER = 0.9
"""A number that takes less than this fraction of the present one's time replaces it."""
SLOWER = 1.25
"""A step of a trial that takes this many times the usual time ends the trial."""
MUCH_FASTER = 0.5
"""A step of a trial that takes less than this fraction of the usual time decides it."""
SHARE = 0.01
"""The fraction of the time that trials may cost."""
WAITING, WORST = 2, 50
"""If a number takes WAITING times as long as another, its threads wait for each other; its next step may take WORST
times as long."""
FIRST_PAUSE, LONGEST_PAUSE = 4, 2048
"""Iterations before a trial; each trial that changes nothing doubles them."""
FEW, RECENT = 5, 20
"""How many iterations tell the present time, and how many the usual time."""
BUSIER, QUIETER = 1.5, 0.8
"""If the present time exceeds BUSIER times the usual one, fewer threads are tried at once; if three quarters of the
recent iterations took less than QUIETER times the usual time, more are."""
SMALL = 50_000
"""From this number of multiplications for a gate, in a time step of all streams, a second thread gains something."""
LONG = 100
"""After how many iterations a change is reported."""


def choose_threads(trainer: Trainer, wanted: int) -> Threads:
    """Returns the chooser of a run's number of threads; if `wanted` is not 0, that number is fixed.

    The most is torch's own number, which OMP_NUM_THREADS sets. With several processes, each keeps to its share of the
    cores.
    """
    import torch

    if wanted:
        torch.set_num_threads(wanted)
        cores = os.cpu_count() or wanted
        if wanted > cores:
            tell(
                f"warning: with -threads {wanted} on {cores} cores the threads wait for each other; try {cores} at most"
            )
    most = torch.get_num_threads()
    tried = {most: 0.0}
    if not wanted and trainer.device.type == "cpu" and trainer.processes.size == 1:
        tried = agreeing([*powers_of_two(below=most), most], torch.set_num_threads, trainer.next_gradient)
        if len(tried) == 1 and is_small(trainer):
            tried = {1: 0.0}
    return Threads(tried, torch.set_num_threads)


def is_small(trainer: Trainer) -> bool:
    """Whether the model and its batches are so small that one thread is the fastest, even alone on a machine."""
    return trainer.options.batch_size * trainer.model.rnn_size**2 < SMALL


def powers_of_two(below: int) -> list[int]:
    return [1 << power for power in range((below - 1).bit_length())]


def agreeing(numbers: Sequence[int], use: Callable[[int], None], gradient: Callable[[], Tensor]) -> dict[int, float]:
    """Returns the numbers whose gradient equals that of the last number, with the seconds that each took."""
    import torch

    if len(numbers) == 1:
        return {numbers[0]: 0.0}
    use(numbers[0])
    gradient()  # the first time takes longer
    gradients, seconds = {}, {}
    for number in numbers:
        use(number)
        start = time.perf_counter()
        gradients[number] = gradient()
        seconds[number] = time.perf_counter() - start
    *others, last = numbers
    agree = [number for number in others if torch.equal(gradients[number], gradients[last])]
    return {number: seconds[number] for number in [*agree, last]}


class Threads:
    """Chooses among numbers of threads, starting with the fastest; `took` is called with each iteration's time."""

    def __init__(self, tried: dict[int, float], use: Callable[[int], None], say: Callable[[str], None] = tell) -> None:
        """`tried` are the numbers in ascending order, with the seconds that each took."""
        self.numbers = list(tried)
        most = self.numbers[-1]
        self.present = min(tried, key=lambda number: (tried[number], -number))
        self._known = dict(tried)  # the seconds that each number took when it was last tried
        self._reported = most
        self._why = explanation(self.present, tried[self.present], most, tried[most])
        self._use, self._say = use, say
        use(self.present)
        self._recent: deque[float] = deque(maxlen=RECENT)  # with the present number, outside of trials
        self._usual = tried[self.present]  # an iteration's time after the last trial or the start
        self._trial: dict[int, list[float]] = {}  # seconds by number, the other one first; empty outside of trials
        self._upwards = False  # which neighbor the next trial tries, if there are two
        self._pause = FIRST_PAUSE
        self._since = 0  # iterations after the last trial
        self._total = self._lost = 0.0  # seconds: of all iterations, and what trials added to them
        self._iterations = 0  # since the last change

    def took(self, seconds: float) -> None:
        """Takes the time of an iteration, and sets the number of threads for the next one."""
        if len(self.numbers) == 1:
            return
        self._total += seconds
        self._iterations += 1
        if self._trial:
            self._continue_trial(seconds)
        else:
            self._recent.append(seconds)
            self._since += 1
            if self._since == RECENT:
                self._usual = median(self._recent)
            other = self._to_try()
            if other:
                self._trial = {other: [], self.present: []}
                self._use(other)
        if self.present != self._reported and self._iterations >= LONG and not self._trial:
            self._reported = self.present
            self._say(self._why)

    def _to_try(self) -> int | None:
        """Returns the number to try now, a neighbor of the present one, if a trial is due."""
        if self._lost > SHARE * self._total:
            return None
        here = self.numbers.index(self.present)
        fewer, more = self.numbers[max(here - 1, 0) : here], self.numbers[here + 1 : here + 2]
        if fewer and self._now() > BUSIER * self._usual:
            return fewer[0]
        if more and self._since > RECENT and sorted(self._recent)[RECENT * 3 // 4] < QUIETER * self._usual:
            return more[0]
        if self._since < self._pause:
            return None
        return next(filter(self._is_cheap, more + fewer if self._upwards else fewer + more), None)

    def _now(self) -> float:
        return median(list(self._recent)[-FEW:])

    def _is_cheap(self, other: int) -> bool:
        """Returns whether a step with another number may cost what it cost last, or what it may cost at worst."""
        now = self._now()
        then = self._known.get(other, now)
        cost = max(then, WORST * now) - now if then > WAITING * now else max(0.0, then - now)
        return self._lost + cost <= SHARE * self._total

    def _continue_trial(self, seconds: float) -> None:
        """Takes the time of a step in a trial: the two numbers take turns, starting with the other one."""
        other, present = self._trial
        usual = self._now()
        is_other = len(self._trial[other]) == len(self._trial[present])
        self._trial[other if is_other else present].append(seconds)
        if is_other:
            self._lost = max(0.0, self._lost + seconds - usual)
        if is_other and seconds > SLOWER * usual:
            self._end_trial(present)
        elif is_other and seconds < MUCH_FASTER * usual:
            self._end_trial(other)
        elif len(self._trial[present]) < ROUNDS:
            self._use(present if is_other else other)
        else:
            faster = median(self._trial[other]) < FASTER * median(self._trial[present])
            self._end_trial(other if faster else present)

    def _end_trial(self, number: int) -> None:
        """Continues with the number that won."""
        took = {tried: median(seconds) for tried, seconds in self._trial.items() if seconds}
        self._known = took if number != self.present else self._known | took  # what was before has changed
        if number != self.present:
            old, new = (self._trial[self.present] or self._recent), self._trial[number]
            self._why = explanation(number, median(new), self.present, median(old))
            self.present, self._iterations = number, 0
            self._pause = FIRST_PAUSE
        else:
            self._upwards = not self._upwards
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._usual = median(self._trial[number] or self._recent)
        self._recent.clear()
        self._since, self._trial = 0, {}
        self._use(self.present)


def explanation(number: int, seconds: float, before: int, seconds_before: float) -> str:
    return (
        f"now computing with {threads(number)}, which changes no figure: an iteration took {seconds:.3f} s instead of "
        f"{seconds_before:.3f} s with {threads(before)}; -threads sets the number"
    )


def threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"
