"""Counts the iterations of default runs alone, of two at once, and beside programs that keep every core busy.

    python benchmarks/busy.py -seconds 25

Each is compared with the same runs on one thread. The runs are train.py itself, on a text of random characters.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SITUATIONS = {"alone": (1, 0), "two at once": (2, 0), "beside busy programs": (1, os.cpu_count() or 1)}
"""How many runs there are, and how many other programs."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Counts iterations on a busy machine.")
    parser.add_argument("-seconds", type=float, default=25)
    parser.add_argument("-rounds", type=int, default=2)
    parser.add_argument("-root", type=Path, default=ROOT, help="the checkout whose train.py runs")
    options, flags = parser.parse_known_args()
    print(f"{f'iterations in {options.seconds:g} s':24} {'default':>10} {'-threads 1':>10}    default / -threads 1")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "input.txt").write_bytes(os.urandom(500_000).hex().encode())
        for situation, (runs, others) in SITUATIONS.items():
            for _ in range(options.rounds):
                busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(others)]
                default, single = (
                    sum(iterations(options.root, folder, runs, options.seconds, [*flags, *threads]))
                    for threads in ([], ["-threads", "1"])
                )
                for program in busy:
                    program.kill()
                print(f"{situation:24} {default:10} {single:10}    {default / single:.2f}", flush=True)


def iterations(root: Path, folder: Path, runs: int, seconds: float, flags: list[str]) -> list[int]:
    """Returns how many iterations each of some runs at once makes in a time that begins after the first of each."""
    command = [sys.executable, root / "train.py", "-gpuid", "-1", "-data_dir", folder, "-checkpoint_dir", folder / "cv"]
    logs = [folder / f"{number}.log" for number in range(runs)]
    processes = []
    for log in logs:
        with log.open("wb") as file:
            processes.append(subprocess.Popen([*command, *flags], stdout=file, stderr=subprocess.DEVNULL))
    while not all(count(log) for log in logs):
        time.sleep(0.1)
    before = [count(log) for log in logs]
    time.sleep(seconds)
    after = [count(log) for log in logs]
    for process in processes:
        process.kill()
        process.wait()
    return [last - first for first, last in zip(before, after)]


def count(log: Path) -> int:
    return len(re.findall(rb"^\d+/\d+ \(epoch", log.read_bytes(), re.MULTILINE))


if __name__ == "__main__":
    main()
