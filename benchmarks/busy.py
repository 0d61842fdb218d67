"""The chosen number of threads against fixed ones, with other programs on the same cores and without.

    python benchmarks/busy.py -others 2         against one thread
    python benchmarks/busy.py -others 0         against all threads

Counts the iterations that a training step makes in so many seconds, in turn: with a number of threads that is fixed,
and with one that is chosen anew each time, trials and all.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.train_step import ours
from util.training.threads import Threads, agreeing, powers_of_two

VOCABULARY, STREAMS, STEPS = 65, 50, 50


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts training steps on a busy machine.")
    parser.add_argument("-others", type=int, default=2, help="programs that keep a core busy each")
    parser.add_argument("-model", default="lstm")
    parser.add_argument("-rnn_size", type=int, default=128)
    parser.add_argument("-seconds", type=float, default=20)
    parser.add_argument("-rounds", type=int, default=2)
    options = parser.parse_args()
    most = torch.get_num_threads()
    fixed = 1 if options.others else most
    step = ours(VOCABULARY, options.rnn_size, 2, options.model, STREAMS)
    x, y = torch.randint(0, VOCABULARY, (2, STEPS, STREAMS)).unbind()

    def one_step() -> torch.Tensor:
        step(x, y)
        return torch.zeros(1)

    print(f"{options.model} 2x{options.rnn_size}, {most} threads at most, {options.others} other programs")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.others)]
    try:
        counts = []
        for _ in range(options.rounds):
            torch.set_num_threads(fixed)
            alone = count(lambda: step(x, y), options.seconds, lambda seconds: None)
            numbers = [*powers_of_two(below=most), most]
            threads = Threads(agreeing(numbers, torch.set_num_threads, one_step), torch.set_num_threads)
            chosen = count(lambda: step(x, y), options.seconds, threads.took)
            counts.append(chosen / alone)
            print(f"{fixed} threads: {alone} iterations; chosen: {chosen}, at the end {threads.present}", flush=True)
    finally:
        for other in others:
            other.kill()
    print("chosen / fixed: " + " ".join(f"{ratio:.2f}" for ratio in counts))


def count(step: Callable[[], None], seconds: float, took: Callable[[float], None]) -> int:
    """Returns how many steps are made in so many seconds; `took` is told the time of each."""
    begin = now = time.perf_counter()
    iterations = 0
    while now < begin + seconds:
        step()
        before, now = now, time.perf_counter()
        took(now - before)
        iterations += 1
    return iterations


if __name__ == "__main__":
    main()
