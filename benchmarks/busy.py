"""The chosen number of threads against fixed ones, with other programs on the same cores and without.

    python benchmarks/busy.py -others 2         against one thread
    python benchmarks/busy.py -others 0         against all threads

A run begins anew in each round, and its training steps, with the trials of other numbers, take turns with steps on a
fixed number of threads, so that both meet the same disturbances.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

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
    parser.add_argument("-steps", type=int, default=300, help="steps of each kind in a round")
    parser.add_argument("-rounds", type=int, default=3)
    options = parser.parse_args()
    most = torch.get_num_threads()
    fixed = 1 if options.others else most
    train = ours(VOCABULARY, options.rnn_size, 2, options.model, STREAMS)
    x, y = torch.randint(0, VOCABULARY, (2, STEPS, STREAMS)).unbind()
    number = most

    def use(threads: int) -> None:
        nonlocal number
        number = threads

    def step() -> torch.Tensor:
        train(x, y)
        return torch.zeros(1)  # for the comparison of gradients, which is not what is timed here

    print(f"{options.model} 2x{options.rnn_size}, {most} threads at most, {options.others} other programs")
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.others)]
    print(f"{'fixed, s':>10} {'chosen, s':>10} {'iterations':>11} {'median step':>12}    chosen / fixed")
    try:
        for _ in range(options.rounds):
            alone, chosen = [], []
            numbers = [*powers_of_two(below=most), most]
            threads = Threads(agreeing(numbers, torch.set_num_threads, step), use)
            for _ in range(options.steps):
                torch.set_num_threads(fixed)
                alone.append(seconds(step))
                torch.set_num_threads(number)
                chosen.append(seconds(step))
                threads.took(chosen[-1])
            print(
                f"{sum(alone):10.1f} {sum(chosen):10.1f} {sum(alone) / sum(chosen):11.3f} "
                f"{median(chosen) / median(alone):12.3f}    at the end {threads.present}",
                flush=True,
            )
    finally:
        for other in others:
            other.kill()


def seconds(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
