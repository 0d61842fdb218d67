"""Measures the speed of sample.py: characters per second for one text and for several side by side, and the time of a
process that samples 2,000 characters, against `import torch`.

    python benchmarks/sampling.py -rnn_size 128 512
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as sample.py does

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from model.cells import CELLS
from model.char_rnn import CharRNN
from util.checkpoint.content import Checkpoint
from util.checkpoint.store import save_checkpoint
from util.sampling.settings import Settings
from util.sampling.writing import Writer
from util.text.vocabulary import Vocabulary
from util.torch7_random import Torch7Random


def main() -> None:
    parser = argparse.ArgumentParser(description="Times sampling.")
    parser.add_argument("-model", nargs="+", default=list(CELLS), choices=CELLS)
    parser.add_argument("-rnn_size", type=int, nargs="+", default=[128, 512])
    parser.add_argument("-num_layers", type=int, default=2)
    parser.add_argument("-vocab_size", type=int, default=65)
    parser.add_argument("-length", type=int, default=2000)
    parser.add_argument("-num_samples", type=int, default=100)
    parser.add_argument("-each", type=int, default=200, help="length of each of these texts")
    parser.add_argument("-repeats", type=int, default=5)
    options = parser.parse_args()
    imports: list[float] = []
    N = options.num_samples
    print(f"{options.length} characters, {N} texts of {options.each}, medians of {options.repeats}\n")
    columns = f"{'characters/s':>12} {f'{N} texts':>12} {'process, s':>11} {'import torch, s':>16} {'ratio':>6}"
    print(f"{'':16} {columns}")
    for model in options.model:
        for rnn_size in options.rnn_size:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.pt"
                checkpoint = write_checkpoint(path, model, rnn_size, options)
                single, several, processes = [], [], []
                for _ in range(options.repeats):
                    single.append(characters_per_second(checkpoint, options.length, 1))
                    several.append(characters_per_second(checkpoint, options.each, N))
                    command = ["sample.py", str(path), "-length", str(options.length), "-verbose", "0"]
                    processes.append(seconds_of(command))
                    imports.append(seconds_of(["-c", "import torch"]))
            title = f"{model} {options.num_layers}x{rnn_size}"
            one, all_, process, importing = map(np.median, (single, several, processes, imports))
            print(
                f"{title:16} {one:12.0f} {all_:12.0f} {process:11.2f} {importing:16.2f} {process / importing:6.2f}",
                flush=True,
            )


def write_checkpoint(path: Path, model: str, rnn_size: int, options: Namespace) -> Checkpoint:
    """Writes a checkpoint of an untrained model, and returns it."""
    network = CharRNN(options.vocab_size, rnn_size, options.num_layers, model)
    network.initialize(Torch7Random(1).uniform)
    flags = {"model": model, "rnn_size": rnn_size, "num_layers": options.num_layers}
    checkpoint = Checkpoint(
        options=flags | {"batch_size": 1, "seq_length": 1, "dropout": 0.0},
        vocabulary=Vocabulary("".join(chr(32 + i) for i in range(options.vocab_size)), "utf-8"),
        parameters={name: parameter.detach().numpy() for name, parameter in network.named_parameters()},
        iteration=0,
        epoch=0.0,
        train_losses=np.empty(0),
        val_losses={},
        training=None,
    )
    save_checkpoint(checkpoint, path)
    return checkpoint


def characters_per_second(checkpoint: Checkpoint, length: int, texts: int) -> float:
    """Returns the speed with this many texts side by side, over all of them."""
    start = time.perf_counter()
    for _ in Writer(checkpoint).characters([], Settings(length=length), texts):
        pass
    return length * texts / (time.perf_counter() - start)


def seconds_of(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
