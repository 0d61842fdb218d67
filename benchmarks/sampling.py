"""How fast sample.py is: characters per second, and a whole process of 2,000 characters against `import torch`.

python benchmarks/sampling.py -rnn_size 128 512
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import sample as sampler
from model.char_rnn import CELLS, CharRNN
from model.stepper import Stepper
from util.checkpoint import Checkpoint, save_checkpoint
from util.torch7_random import Torch7Random


def main() -> None:
    parser = argparse.ArgumentParser(description="Times sampling.")
    parser.add_argument("-model", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("-rnn_size", type=int, nargs="+", default=[128, 512])
    parser.add_argument("-num_layers", type=int, default=2)
    parser.add_argument("-vocab_size", type=int, default=65)
    parser.add_argument("-length", type=int, default=2000)
    parser.add_argument("-repeats", type=int, default=5)
    options = parser.parse_args()
    imports: list[float] = []
    print(f"{options.length} characters, medians of {options.repeats}\n")
    print(f"{'':16} {'characters/s':>12} {'process, s':>11} {'import torch, s':>16} {'ratio':>6}")
    for model in options.model:
        for rnn_size in options.rnn_size:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.pt"
                checkpoint = write_checkpoint(path, model, rnn_size, options)
                speeds, processes = [], []
                for _ in range(options.repeats):
                    speeds.append(options.length / seconds_in_process(checkpoint, options.length))
                    command = ["sample.py", str(path), "-length", str(options.length), "-verbose", "0"]
                    processes.append(seconds_of(command))
                    imports.append(seconds_of(["-c", "import torch"]))
            title = f"{model} {options.num_layers}x{rnn_size}"
            process, importing = np.median(processes), np.median(imports)
            print(
                f"{title:16} {np.median(speeds):12.0f} {process:11.2f} {importing:16.2f} {process / importing:6.2f}",
                flush=True,
            )


def write_checkpoint(path: Path, model: str, rnn_size: int, options: Namespace) -> Checkpoint:
    """A checkpoint of an untrained model, with numpy arrays as after loading."""
    network = CharRNN(options.vocab_size, rnn_size, options.num_layers, model)
    network.initialize(lambda count: torch.rand(count) * 0.16 - 0.08)
    flags = {"model": model, "rnn_size": rnn_size, "num_layers": options.num_layers}
    checkpoint = Checkpoint(
        options=flags | {"batch_size": 1, "seq_length": 1, "dropout": 0.0},
        vocabulary="".join(chr(32 + i) for i in range(options.vocab_size)),
        encoding="utf-8",
        parameters={name: parameter.detach().numpy() for name, parameter in network.named_parameters()},
        iteration=0,
        epoch=0.0,
        train_losses=np.empty(0),
        val_losses={},
        training=None,
    )
    save_checkpoint(checkpoint, path)
    return checkpoint


def seconds_in_process(checkpoint: Checkpoint, length: int) -> float:
    random = Torch7Random(123)
    vocab_size, _, num_layers, model = checkpoint.model_shape
    start = time.perf_counter()
    step = Stepper(checkpoint.parameters, num_layers, model)
    for _ in sampler.sample(step, lambda p: random.multinomial(sampler.probabilities(p, 1.0)), vocab_size, [], length):
        pass
    return time.perf_counter() - start


def seconds_of(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
