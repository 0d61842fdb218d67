"""Training runs for tests and campaigns: started in no time, stopped at any moment, compared to the last bit.

Importing torch takes seconds. So a server does it once, in one thread, and each run is a fork of it; in all else it is
a process as if `python train.py` had been typed.
"""

import itertools
import multiprocessing
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tests.helpers.failing import failing
from util.checkpoint.folder import CheckpointFolder
from util.checkpoint.store import load_checkpoint

LOOP = re.compile(r"\d+/\d+ \(epoch|decayed learning rate|evaluating loss|saving checkpoint")
LINE = re.compile(r"(\d+)/(\d+) \(epoch .*\), train_loss = +(\S+), grad/param norm = +(\S+),")


def server() -> Any:
    """What processes are forked from, with all imported that train.py and torch import at some time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train", "torch", "torch._dynamo", "util.training.trainer", "model.char_rnn"])
    os.environ["OMP_NUM_THREADS"] = "1"  # more would only wait for each other, and do not survive a fork
    return context


class Run:
    """`python train.py` with some flags in the folder `cwd`. What it writes goes to two files there.

    `prepare`, if given, is called in the process before train.py is; multiprocessing must be able to pickle it.
    """

    started = 0

    def __init__(self, cwd: Path, *flags: object, prepare: Callable[[], None] | None = None) -> None:
        Run.started += 1
        self._out, self._err = (cwd / f"{Run.started}.{name}" for name in ("out", "err"))
        self._out.touch()
        arguments = (str(cwd), [str(flag) for flag in flags], str(self._out), str(self._err), prepare)
        self._process = server().Process(target=train, args=arguments, daemon=True)
        self._process.start()

    @property
    def out(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def err(self) -> str:
        """Warnings and errors: standard error without the summary at the end of a run."""
        return re.sub("^best validation loss: .*\n", "", self._err.read_text(errors="replace"), flags=re.MULTILINE)

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

    def wait_for(self, text: str, count: int = 1, seconds: float = 30) -> None:
        """Until the run has printed something so many times, or has ended."""
        end = time.monotonic() + seconds
        while self.out.count(text) < count and self.running:
            if time.monotonic() > end:
                raise TimeoutError(f"never printed {text!r}: {self.out[-500:]}{self.err}")
            time.sleep(0.001)


def train(cwd: str, flags: list[str], out: str, err: str, prepare: Callable[[], None] | None) -> None:
    """The process of a run."""
    import train
    from util import errors

    tqdm.set_lock(threading.RLock())  # its own is one between processes, which a killed process would leave behind
    os.chdir(cwd)
    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["train.py", *flags]
    if prepare:
        prepare()
    errors.run(train.main)


def finish(cwd: Path, *flags: object, prepare: Callable[[], None] | None = None) -> Run:
    """A run that has come to its end."""
    return Run(cwd, *flags, prepare=prepare).wait()


def before_steps(call: Callable[[int], None]) -> Callable[[], None]:
    """To prepare a run with: `call` is called before each iteration, with its number."""
    return partial(_before_steps, call)


def signals_at(iteration: int, *numbers: int) -> Callable[[], None]:
    """To prepare a run with: it gets these signals while it is in that iteration."""
    return before_steps(partial(_raise_signals, iteration, numbers))


def lists_folder(folder: Path) -> Callable[[], None]:
    """To prepare a run with: before each iteration it prints, on standard error, what is in a folder."""
    return before_steps(partial(_list_folder, folder))


def fails_saves(operation: str, number: int, which: Collection[int]) -> Callable[[], None]:
    """To prepare a run with: an operation fails while it saves some of its checkpoints, counted from 0."""
    return partial(_fails_saves, operation, number, which)


def limits_file_size(count: int) -> Callable[[], None]:
    """To prepare a run with: it can write files of so many bytes, and no more."""
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, (count, count))


def _before_steps(call: Callable[[int], None]) -> None:
    from util.training.trainer import Trainer

    step = Trainer.step

    def call_and_step(self: Trainer, *arguments: Any) -> float:
        call(self.iteration + 1)
        return step(self, *arguments)

    Trainer.step = call_and_step  # type: ignore[method-assign]


def _raise_signals(wanted: int, numbers: tuple[int, ...], iteration: int) -> None:
    for number in numbers if iteration == wanted else ():
        signal.raise_signal(number)


def _list_folder(folder: Path, iteration: int) -> None:
    print(iteration, *sorted(names(folder)), file=sys.stderr, flush=True)


def _fails_saves(operation: str, number: int, which: Collection[int]) -> None:
    save, calls = CheckpointFolder.save, itertools.count()

    def failing_save(*args: Any) -> bool:
        if next(calls) not in which:
            return save(*args)
        with failing(operation, number):
            return save(*args)

    CheckpointFolder.save = failing_save  # type: ignore[method-assign]


def progress(out: str) -> list[str]:
    """What the loop of a run printed, without the times. A line that was cut off does not count."""
    lines = out[: out.rfind("\n") + 1].splitlines()
    return [line.partition(", time/batch")[0] for line in lines if LOOP.match(line)]


def log(outs: Iterable[str]) -> dict[int, str]:
    """The line of each iteration. Raises AssertionError where two runs printed different ones."""
    lines: dict[int, str] = {}
    for line in (line for out in outs for line in progress(out)):
        if match := LINE.match(line + ","):
            iteration = int(match[1])
            assert lines.setdefault(iteration, line) == line, f"{lines[iteration]} and then {line}"
    return lines


def checkpoints(folder: Path) -> dict[str, dict[str, Any]]:
    """All that is in each checkpoint of a folder, by name. Raises UserError where one is damaged."""
    return {path.name: vars(load_checkpoint(path)) for path in sorted(folder.glob("*.pt"))}


def names(folder: Path) -> set[str]:
    """Every file in a folder, hidden ones too; none where it is not made yet."""
    return set(os.listdir(folder)) if folder.is_dir() else set()


def saved(out: str) -> list[str]:
    """The names of the validated checkpoints that a run said to save, in order."""
    return re.findall(r"^saving checkpoint to .*?([^/\n]+)$", out, re.M)


def best(saved: list[str], count: int) -> set[str]:
    """Of these checkpoints those with the lowest losses."""
    return set(sorted(saved, key=lambda name: float(name[:-3].rpartition("_")[2]))[:count])
