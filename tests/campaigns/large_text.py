"""Indexes a text of many gigabytes, reads an epoch of it, trains on it, and compares with a small text.

    python -m tests.campaigns.large_text 20 -folder /somewhere/with/room

It takes twice the text's size on the disk for that time. Prints seconds and the largest resident memory of each
process, which must stay below a gigabyte.
"""

import argparse
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.helpers.inputs import ROOT, numbers
from util.text.batches import Batches
from util.text.cache import Text, load_text
from util.text.source import find_text

GIGABYTE = 10**9
BLOCK = 10**7


def write_text(path: Path, size: int) -> None:
    """Writes a text of `size` bytes, a multiple of BLOCK: each block is its number, then names of numbers."""
    names = numbers(10_000)
    filler = names * (BLOCK // len(names) + 1)
    with open(path, "wb") as file:
        for number in range(size // BLOCK):
            file.write((b"%d\n" % number + filler)[:BLOCK])


def index(folder: Path) -> Text:
    return load_text(find_text(folder), "utf-8")


def read_epoch(folder: Path) -> None:
    """Reads all training batches of a text once; some of them are compared with its file."""
    text = index(folder)
    B, S = 50, 500
    loader = Batches(text.indices, B, S, 0.95, 0.05)
    characters = np.array([ord(c) for c in text.vocabulary.characters], np.uint8)
    some = set(np.linspace(0, loader.split_sizes[0] - 1, 200).astype(int).tolist())
    with open(folder / "input.txt", "rb") as file:
        for number in range(loader.split_sizes[0]):
            x, y = loader.batch(0, number)
            for b in range(B) if number in some else ():
                file.seek(b * sum(loader.split_sizes) * S + number * S)
                window = np.frombuffer(file.read(S + 1), np.uint8)
                assert np.array_equal(characters[x[:, b]], window[:-1])
                assert np.array_equal(characters[y[:, b]], window[1:])


TASKS = {"index": index, "check": index, "read": read_epoch}


def train(folder: Path, steps: int) -> tuple[float, int]:
    """Median milliseconds of a step of train.py in its default sizes, and the largest resident memory in bytes."""
    flags = ["-data_dir", folder, "-checkpoint_dir", folder / "cv", "-gpuid", "-1"]
    command = [sys.executable, "train.py", *map(str, flags)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    times: list[float] = []
    assert process.stdout
    for line in process.stdout:
        if match := re.search(r"time/batch = (\S+)s", line):
            times.append(1000 * float(match[1]))
        if len(times) == steps:
            process.terminate()
    _, _, usage = os.wait4(process.pid, 0)
    return statistics.median(times[20:]), 1024 * usage.ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains on a large text.")
    parser.add_argument("gigabytes", type=float, nargs="?", default=20)
    parser.add_argument("-folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("-steps", type=int, default=300)
    parser.add_argument("-task", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        before = time.perf_counter()
        print(f"{options.task:6}", end=" ")
        TASKS[options.task](options.folder)
        memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{time.perf_counter() - before:.1f} s, at most {memory / 1e6:.0f} MB resident", flush=True)
        assert memory < GIGABYTE
        return
    size = int(options.gigabytes * GIGABYTE) // BLOCK * BLOCK
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        small, large = Path(name) / "small", Path(name) / "large"
        for folder, bytes_ in ((small, BLOCK), (large, size)):
            folder.mkdir()
            write_text(folder / "input.txt", bytes_)
        print(f"a text of {size / GIGABYTE:g} GB", flush=True)
        for task in TASKS:
            # In a process of its own, whose memory is then known.
            command = [sys.executable, "-m", "tests.campaigns.large_text", "0", "-task", task, "-folder", large]
            subprocess.run(command, cwd=ROOT, check=True)
        for folder in (small, large, small, large):
            median, memory = train(folder, options.steps)
            print(f"train on the {folder.name} text: {median:.1f} ms a step, at most {memory / 1e6:.0f} MB", flush=True)
            assert memory < GIGABYTE


if __name__ == "__main__":
    main()
