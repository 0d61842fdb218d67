"""Measures the largest resident memory of a training process, ours against torch.nn's layers.

    python benchmarks/memory.py -model lstm -rnn_size 128 512

Each model trains a few steps in its own process. All figures include importing torch, whose share is listed.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHILD = """
import resource, sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/benchmarks"]
import torch
from train_step import TorchModel, ours, theirs
who, model, V, H, L, B, S, steps = sys.argv[2], sys.argv[3], *map(int, sys.argv[4:])
makers = {"ours": lambda: ours(V, H, L, model, B, "float32"), "torch.nn": lambda: theirs(TorchModel(V, H, L, model))}
step = makers[who]() if who in makers else None
for _ in range(steps if step else 0):
    step(*torch.randint(0, V, (2, S, B)).unbind())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures the memory that training takes.")
    parser.add_argument("-model", nargs="+", default=["lstm", "gru", "rnn"])
    parser.add_argument("-rnn_size", type=int, nargs="+", default=[128, 512])
    parser.add_argument("-num_layers", type=int, default=2)
    parser.add_argument("-vocab_size", type=int, default=65)
    parser.add_argument("-batch_size", type=int, default=50)
    parser.add_argument("-seq_length", type=int, default=50)
    parser.add_argument("-steps", type=int, default=5)
    options = parser.parse_args()
    print(f"largest resident memory in MB, after {options.steps} steps\n")
    print(f"{'':16} {'ours':>8} {'torch.nn':>9} {'import torch':>13}   ratio of what the steps add")
    for model in options.model:
        for rnn_size in options.rnn_size:
            sizes = (options.vocab_size, rnn_size, options.num_layers, options.batch_size, options.seq_length)
            ours, theirs, base = (peak(who, model, *sizes, options.steps) for who in ("ours", "torch.nn", "nobody"))
            ratio = (ours - base) / (theirs - base)
            print(
                f"{model} {options.num_layers}x{rnn_size:<11} {ours:>8} {theirs:>9} {base:>13}   {ratio:.2f}",
                flush=True,
            )


def peak(*arguments: object) -> int:
    """Returns megabytes."""
    command = [sys.executable, "-c", CHILD, ROOT, *arguments]
    return int(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main()
