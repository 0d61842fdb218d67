"""Training runs for tests and campaigns: started quickly, stopped at any moment, and made to fail."""

import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.helpers.failing import failing
from tests.helpers.scripts import Prepare, fork
from util.checkpoint.folder import CheckpointFolder


class Run:
    """`python train.py` with some flags in the folder `cwd`. What it writes goes to two files there.

    `prepare`, if given, is called in the process before train.py is; multiprocessing must be able to pickle it.
    """

    started = 0

    def __init__(self, cwd: Path, *flags: object, prepare: Prepare | None = None) -> None:
        Run.started += 1
        self._out, self._err = (cwd / f"{Run.started}.{name}" for name in ("out", "err"))
        self._process = fork("train.py", flags, cwd, self._out, self._err, prepare)

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        """Warnings and errors: standard error without how to sample at the end of a run."""
        said = self._err.read_text(errors="replace")
        return re.sub("^(best validation loss|sample from it with): .*\n", "", said, flags=re.MULTILINE)

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    def send(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def wait(self, seconds: float = 60) -> "Run":
        self._process.join(seconds)
        if self.running:
            self._process.kill()
            raise TimeoutError(f"still running after {seconds} s: {self.out[-500:]}{self.err}")
        return self

    @property
    def status(self) -> int:
        """The exit status; negative: the number of the signal that ended it."""
        return self._process.exitcode

    @property
    def done(self) -> CompletedProcess:
        return CompletedProcess([], self.status, self.out, self.err)

    def wait_for(self, text: str, count: int = 1, seconds: float = 30) -> None:
        """Waits until the run has printed something `count` times, or has ended."""
        end = time.monotonic() + seconds
        while self.out.count(text) < count and self.running:
            if time.monotonic() > end:
                raise TimeoutError(f"never printed {text!r}: {self.out[-500:]}{self.err}")
            time.sleep(0.001)


def finish(cwd: Path, *flags: object, prepare: Prepare | None = None) -> Run:
    """Returns a run that has ended."""
    return Run(cwd, *flags, prepare=prepare).wait()


def call_before_steps(call: Callable[[int], None]) -> None:
    """Calls `call` with the number of each iteration before it."""
    from util.training.trainer import Trainer

    step = Trainer.step

    def call_and_step(self: Trainer) -> None:
        call(self.iteration + 1)
        step(self)

    Trainer.step = call_and_step  # type: ignore[method-assign]


def send_at(wanted: int, *numbers: int) -> None:
    """The run gets these signals during that iteration."""

    def strike(iteration: int) -> None:
        for number in numbers if iteration == wanted else ():
            signal.raise_signal(number)

    call_before_steps(strike)


def validate_as(losses: dict[int, float], otherwise: float) -> None:
    """The run has these validation losses, by iteration, whatever the model has learned."""
    from util.training.trainer import Trainer

    def validate(self: Trainer) -> None:
        self.val_losses[self.iteration] = losses.get(self.iteration, otherwise)

    Trainer.validate = validate  # type: ignore[method-assign]


def do_all(*prepare: Prepare) -> None:
    for call in prepare:
        call()


def fail_saves(operation: str, number: int, which: Collection[int]) -> None:
    """An operation fails while the run saves some of its checkpoints, counted from 0."""
    save, calls = CheckpointFolder.save, itertools.count()

    def failing_save(*args: Any) -> bool:
        if next(calls) not in which:
            return save(*args)
        with failing(operation, number):
            return save(*args)

    CheckpointFolder.save = failing_save  # type: ignore[method-assign]


# A call of one of these returns what prepares the process of a run, which multiprocessing can pickle.
before_steps = partial(partial, call_before_steps)
signals_at = partial(partial, send_at)
validates_as = partial(partial, validate_as)
all_of = partial(partial, do_all)
fails_saves = partial(partial, fail_saves)
