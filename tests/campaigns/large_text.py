"""Indexes a text of many gigabytes, reads an epoch of it, trains on it, and compares with a small text.

    python -m tests.campaigns.large_text 20 -folder /somewhere/with/room

It takes twice the text's size on the disk for that time. Prints seconds and the largest resident memory of each
process, which must stay below a gigabyte.
"""

import argparse
import multiprocessing
import os
import re
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
STEPS = 300


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
            if number not in some:
                continue
            for b in range(B):
                file.seek(b * sum(loader.split_sizes) * S + number * S)
                window = np.frombuffer(file.read(S + 1), np.uint8)
                assert np.array_equal(characters[x[:, b]], window[:-1])
                assert np.array_equal(characters[y[:, b]], window[1:])


def train(folder: Path) -> tuple[float, int]:
    """Median milliseconds of a step of train.py in its default sizes, and the largest resident memory in bytes."""
    flags = ["-data_dir", folder, "-checkpoint_dir", folder / "cv", "-gpuid", "-1"]
    command = [sys.executable, "train.py", *map(str, flags)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout
    times: list[float] = []
    for line in process.stdout:
        if match := re.search(r"time/batch = (\S+)s", line):
            times.append(1000 * float(match[1]))
        if len(times) == STEPS:
            process.terminate()
    _, _, usage = os.wait4(process.pid, 0)
    return statistics.median(times[20:]), 1024 * usage.ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains on a large text.")
    parser.add_argument("gigabytes", type=float, nargs="?", default=20)
    parser.add_argument("-folder", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    options = parser.parse_args()
    size = int(options.gigabytes * GIGABYTE) // BLOCK * BLOCK
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        small, large = Path(name) / "small", Path(name) / "large"
        for folder, bytes_ in ((small, BLOCK), (large, size)):
            folder.mkdir()
            write_text(folder / "input.txt", bytes_)
        print(f"a text of {size / GIGABYTE:g} GB", flush=True)
        for what, task in {"index": index, "check": index, "read": read_epoch}.items():
            before = time.perf_counter()
            process = multiprocessing.get_context("spawn").Process(target=task, args=(large,))  # with memory of its own
            process.start()
            _, status, usage = os.wait4(process.pid, 0)
            report(f"{what}: {time.perf_counter() - before:.1f} s", 1024 * usage.ru_maxrss)
            assert status == 0
        for folder in (small, large, small, large):
            median, memory = train(folder)
            report(f"train on the {folder.name} text: {median:.1f} ms a step", memory)


def report(what: str, memory: int) -> None:
    print(f"{what}, at most {memory / 1e6:.0f} MB resident", flush=True)
    assert memory < GIGABYTE


if __name__ == "__main__":
    main()
