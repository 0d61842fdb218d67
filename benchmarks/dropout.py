"""The time of a training step with dropout against one without, drawing and all.

    python benchmarks/dropout.py -dropout 0.5

Two trainers alternate step by step in one process.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from model.char_rnn import CharRNN
from train import flags
from util.text.batches import Batches
from util.torch7_random import Torch7Random
from util.training.processes import Processes
from util.training.trainer import Trainer

VOCABULARY = 65


def main() -> None:
    parser = argparse.ArgumentParser(description="Times a training step with dropout.")
    parser.add_argument("-dropout", type=float, default=0.5)
    parser.add_argument("-rnn_size", type=int, default=128)
    parser.add_argument("-steps", type=int, default=100)
    options = parser.parse_args()
    trainers = [trainer(options.rnn_size, dropout) for dropout in (0.0, options.dropout)]
    times: list[list[float]] = [[], []]
    for _ in range(options.steps):
        for one, seconds in zip(trainers, times):
            start = time.perf_counter()
            one.step()
            one.fetch()
            seconds.append(time.perf_counter() - start)
    without, with_dropout = (1000 * float(np.median(seconds[len(seconds) // 6 :])) for seconds in times)
    print(f"lstm 2x{options.rnn_size}, {torch.get_num_threads()} threads, medians of {options.steps} steps, ms")
    print(f"without {without:.1f}, with {with_dropout:.1f}: {with_dropout / without:.2f}")


def trainer(rnn_size: int, dropout: float) -> Trainer:
    """Returns one of the default flags, on a text of random characters."""
    options = flags().parse(["-rnn_size", str(rnn_size), "-dropout", str(dropout)])
    indices = np.random.default_rng(1).integers(0, VOCABULARY, 1_000_000).astype(np.uint8)
    batches = Batches(indices, options.batch_size, options.seq_length, options.train_frac, options.val_frac)
    model = CharRNN(VOCABULARY, rnn_size, options.num_layers)
    model.initialize(Torch7Random(1).uniform)
    return Trainer(model, batches, Processes(), options)


if __name__ == "__main__":
    main()
