"""Measures how training scales: two processes against one, what they send each other, and what more would take.

    python benchmarks/scaling.py

Real runs of train.py with its default sizes take short turns, so that noise on the machine affects all alike. The
table for more processes is a model, not a measurement:

- A step of b streams on one core takes t(b) = fixed + b · per_stream, a line through two measured points.
- Gradients are summed by a ring all-reduce of n bytes among P processes, each on its own machine: 2 (P - 1) messages
  of n / P bytes one after the other, each taking latency + bytes / bandwidth. The sum begins when all have their
  gradients, and nothing is computed meanwhile.
- All cores are alike, and none is late. Printing, validation, and drawing dropout masks, which each process does for
  all streams, are left out.

Weak scaling: every process has the default 50 streams. Strong scaling: 512 streams, however many share them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
B, S, V = 50, 50, 65
STRONG = 512
PROCESSES = (1, 2, 8, 64, 512)


@dataclass
class Setting:
    """A way to train: this many processes with this many threads each."""

    processes: int
    threads: int
    batch_size: int

    def __str__(self) -> str:
        many = [f"{n} {what}" + "s" * (n > 1) for n, what in ((self.threads, "thread"), (self.batch_size, "stream"))]
        ending = "es of " if self.processes > 1 else ", "
        return f"{self.processes} process{ending}{many[0]}, {many[1]}"


ONE, THREADS, STRONG_TWO, WEAK_TWO, HALF = (
    Setting(1, 1, B),
    Setting(1, 2, B),
    Setting(2, 1, B),
    Setting(2, 1, 2 * B),
    Setting(1, 1, B // 2),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Times training with several processes.")
    parser.add_argument("-steps", type=int, default=100, help="steps per turn")
    parser.add_argument("-turns", type=int, default=5)
    parser.add_argument("-bandwidth", type=float, default=10, help="bandwidth between machines in Gbit/s")
    parser.add_argument("-latency", type=float, default=50, help="latency between machines in microseconds")
    options = parser.parse_args()
    settings = (THREADS, STRONG_TWO, ONE, WEAK_TWO, HALF)
    times: dict[str, list[float]] = {str(setting): [] for setting in settings}
    sent: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(options.turns):
            for setting in settings:
                before = loopback()
                times[str(setting)] += train(setting, Path(name), options.steps)
                if setting == STRONG_TWO:
                    sent.append((loopback() - before) / options.steps / setting.processes)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:40} {medians[name]:7.1f} ms a step ({np.percentile(values, 10):.1f} the fastest tenth)")
    two, one = medians[str(STRONG_TWO)], medians[str(ONE)]
    print(f"two processes of one thread / one process of two: {two / medians[str(THREADS)]:.2f}")
    print(f"two processes / one, of one thread each: strong scaling {two / one:.2f} (0.50 would be perfect), ", end="")
    print(f"weak {medians[str(WEAK_TWO)] / one:.2f} (1.00)")

    size = 4 * (parameters() + 2)
    print(f"\ngradients: {size:,} bytes; sent by each of two processes: {bytes_sent(2, size):,.0f} a step", end="")
    print(f", on the wire {np.median(sent):,.0f}" if sent[0] else "")
    per_stream = (one - medians[str(HALF)]) / (ONE.batch_size - HALF.batch_size)
    fixed = one - per_stream * B
    print(f"t(b) = {fixed:.1f} + {per_stream:.3f} b ms; {options.bandwidth:g} Gbit/s, {options.latency:g} µs\n")
    print(f"{'':9} {'':>9} {'weak: 50 streams each':>34}   {f'strong: {STRONG} streams in all':>34}")
    print(f"{'processes':9} {'sum, ms':>9}" + f" {'step, ms':>10} {'characters/s':>14} {'of ideal':>9}  " * 2)
    for count in PROCESSES:
        summing = ring(count, size, options.bandwidth * 1e6 / 8, options.latency / 1000)
        row = f"{count:9} {summing:9.1f}"
        for streams, ideal in ((B, fixed + B * per_stream), (STRONG / count, (fixed + STRONG * per_stream) / count)):
            step = fixed + streams * per_stream + summing
            row += f" {step:10.1f} {1000 * streams * count * S / step:14,.0f} {ideal / step:9.0%}  "
        print(row)


def train(setting: Setting, folder: Path, steps: int) -> list[float]:
    """Returns the milliseconds of each step of a run of train.py, without the first ones."""
    data = folder / str(setting.batch_size)
    if not data.exists():
        data.mkdir()
        write_text(data / "input.txt", setting.batch_size, steps)
    command = [sys.executable]
    if setting.processes > 1:
        command += ["-m", "torch.distributed.run", f"--nproc_per_node={setting.processes}"]
    command += ["train.py", "-gpuid=-1", f"-batch_size={setting.batch_size}", "-max_epochs=1"]
    command += ["-data_dir", str(data), "-checkpoint_dir", str(folder / "cv")]
    environment = os.environ | {"OMP_NUM_THREADS": str(setting.threads)}
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    times = [1000 * float(seconds) for seconds in re.findall(r"time/batch = (\S+)s", run.stdout)]
    assert len(times) == steps
    return times[steps // 5 :]


def write_text(path: Path, batch_size: int, steps: int) -> None:
    """Writes a text of V different random characters that makes an epoch of this many steps."""
    batches = next(count for count in range(steps, 2 * steps) if int(count * 0.95) == steps)
    alphabet = np.frombuffer(bytes(range(32, 32 + V)), np.uint8)
    path.write_bytes(alphabet[np.random.default_rng(0).integers(0, V, batches * batch_size * S)].tobytes())


def parameters() -> int:
    """Returns the number of parameters of the default model."""
    sys.path.insert(0, str(ROOT))
    from model.char_rnn import CharRNN

    return sum(parameter.numel() for parameter in CharRNN(V, 128, 2).parameters())


def bytes_sent(processes: int, size: int) -> float:
    """Returns how much each process sends in a ring all-reduce of this many bytes."""
    return 2 * (processes - 1) / processes * size


def ring(processes: int, size: int, bandwidth: float, latency: float) -> float:
    """Returns the milliseconds of a ring all-reduce, given bytes per millisecond and milliseconds per message."""
    return bytes_sent(processes, size) / bandwidth + 2 * (processes - 1) * latency


def loopback() -> int:
    """Returns how many bytes went over the loopback network so far; 0 if the system does not say."""
    path = Path("/proc/net/dev")
    found = re.search(r"lo:((?:\s+\d+)+)", path.read_text()) if path.exists() else None
    return int(found[1].split()[8]) if found else 0


if __name__ == "__main__":
    main()
