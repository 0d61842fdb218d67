"""Measures what more threads and more processes gain, beside torch.nn's layers, and predicts what more machines would.

    python benchmarks/scaling.py

Times a step of the default model with 1, 2, 4, 8 and 16 threads, as far as there are cores, then under torchrun with 2,
4 and 8 processes of one thread each, and the same step made of torch.nn's layers with each number of threads. All of
them take turns, each for a short run, so that noise on the machine affects all alike. A line appears after each; 16
cores take some ten minutes, two cores three.

The table at the end is a model, not a measurement:

- A step of b streams on one core takes t(b) = fixed + b · per_stream, a line through two measured points.
- Gradients are summed by a ring all-reduce of n bytes among P processes, each on its own machine: 2 (P - 1) messages
  of n / P bytes one after the other, each taking latency + bytes / bandwidth. The sum begins when all have their
  gradients, and nothing is computed meanwhile.
- All cores are alike, and none is late. Printing, validation, and drawing dropout masks, which each process does for
  all streams, are left out.

Weak scaling: every process has the default 50 streams. Strong scaling: 512 streams, however many share them.
"""

import argparse
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
B, S, V = 50, 50, 65
STRONG = 512
MACHINES = (1, 2, 8, 64, 512)


class Setting(NamedTuple):
    """A way to train: this many processes with this many threads each, and streams in all; or torch.nn's layers."""

    processes: int = 1
    threads: int = 1
    streams: int = B
    torch_nn: bool = False

    def __str__(self) -> str:
        many = (
            f"{self.processes} process{'es' * (self.processes > 1)} of {self.threads} thread{'s' * (self.threads > 1)}"
        )
        return f"{'torch.nn, ' * self.torch_nn}{many}, {self.streams} streams"


ONE, HALF = Setting(), Setting(streams=B // 2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Times training with several threads and processes.")
    parser.add_argument("-steps", type=int, default=100, help="steps per turn")
    parser.add_argument("-turns", type=int, default=3)
    parser.add_argument("-cores", type=int, default=cores(), help="how many cores to use at most")
    parser.add_argument("-bandwidth", type=float, default=10, help="bandwidth between machines in Gbit/s")
    parser.add_argument("-latency", type=float, default=50, help="latency between machines in microseconds")
    options = parser.parse_args()
    versions = f"Python {platform.python_version()}, torch {importlib.metadata.version('torch')}"
    print(f"{processor()}, {cores()} cores, {versions}, {date.today()}\n")
    times = measured(options.cores, options.turns, options.steps)
    medians = {setting: float(np.median(values)) for setting, values in times.items()}
    print(f"\n{'':44} {'ms a step':>9} {'the fastest tenth':>18} {'of one thread':>14}")
    for setting, values in times.items():
        one = medians[setting._replace(processes=1, threads=1)]
        print(
            f"{setting!s:44} {medians[setting]:9.1f} {np.percentile(values, 10):18.1f} {medians[setting] / one:14.2f}"
        )
    predict(medians, options.bandwidth, options.latency)


def measured(most: int, turns: int, steps: int) -> dict[Setting, list[float]]:
    """Returns the milliseconds of the steps of each setting with at most so many cores; prints the medians."""
    threads = [Setting(threads=n) for n in (1, 2, 4, 8, 16) if n <= most]
    processes = [Setting(processes=n) for n in (2, 4, 8) if n <= most]
    times: dict[Setting, list[float]] = {
        setting: [] for setting in (*threads, *processes, *(one._replace(torch_nn=True) for one in threads), HALF)
    }
    with tempfile.TemporaryDirectory() as name:
        for turn in range(1, turns + 1):
            for setting in times:
                before = loopback()
                some = time_torch_nn(setting, steps) if setting.torch_nn else train(setting, Path(name), steps)
                sent = (loopback() - before) / steps / setting.processes
                network = f", each process sent {sent:,.0f} bytes" if setting.processes > 1 and sent else ""
                print(f"turn {turn} of {turns}: {setting!s:44} {np.median(some):9.1f} ms a step{network}", flush=True)
                times[setting] += some
    return times


def train(setting: Setting, folder: Path, steps: int) -> list[float]:
    """Returns the milliseconds of each step of a run of train.py, without the first ones."""
    data = folder / str(setting.streams)
    if not data.exists():
        data.mkdir()
        write_text(data / "input.txt", setting.streams, steps)
    command = [sys.executable]
    if setting.processes > 1:
        command += ["-m", "torch.distributed.run", f"--nproc_per_node={setting.processes}"]
    command += ["train.py", "-gpuid=-1", f"-batch_size={setting.streams}", "-max_epochs=1"]
    command += ["-data_dir", str(data), "-checkpoint_dir", str(folder / "cv")]
    environment = os.environ | {"OMP_NUM_THREADS": str(setting.threads)}
    printed = run(command, environment)
    times = [1000 * float(seconds) for seconds in re.findall(r"time/batch = (\S+)s", printed)]
    assert len(times) == steps
    return times[steps // 5 :]


def time_torch_nn(setting: Setting, steps: int) -> list[float]:
    """Returns the median milliseconds of a step of torch.nn's layers; a list, since `train` returns one."""
    flags = ["-model=lstm", "-rnn_size=128", f"-threads={setting.threads}", f"-steps={steps}"]
    printed = run([sys.executable, "benchmarks/train_step.py", *flags], os.environ)
    row = next(line for line in printed.splitlines() if line.startswith("lstm "))
    return [float(re.findall(r"[\d.]+ \(", row)[1][:-2])]  # ours comes first


def run(command: list[str], environment: Mapping[str, str]) -> str:
    """Returns what a command prints; one that fails ends this one with what it says."""
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def write_text(path: Path, streams: int, steps: int) -> None:
    """Writes a text of V different random characters that makes an epoch of this many steps."""
    batches = next(count for count in range(steps, 2 * steps) if int(count * 0.95) == steps)
    alphabet = np.frombuffer(bytes(range(32, 32 + V)), np.uint8)
    path.write_bytes(alphabet[np.random.default_rng(0).integers(0, V, batches * streams * S)].tobytes())


def predict(medians: dict[Setting, float], bandwidth: float, latency: float) -> None:
    """Prints what more machines would gain, given what one took, Gbit/s and microseconds between them."""
    size = 4 * (parameters() + 2)
    per_stream = (medians[ONE] - medians[HALF]) / (ONE.streams - HALF.streams)
    fixed = medians[ONE] - per_stream * B
    if min(per_stream, fixed) < 0:
        sys.exit("the machine was too busy for the model of more machines; measure again, or with more -turns")
    print(
        f"\na model of more machines: t(b) = {fixed:.1f} + {per_stream:.3f} b ms, gradients of {size:,} bytes", end=""
    )
    print(f", {bandwidth:g} Gbit/s, {latency:g} µs")
    print(f"{'':9} {'':>9} {'weak: 50 streams each':>34}   {f'strong: {STRONG} streams in all':>34}")
    print(f"{'processes':9} {'sum, ms':>9}" + f" {'step, ms':>10} {'characters/s':>14} {'of ideal':>9}  " * 2)
    for count in MACHINES:
        summing = ring(count, size, bandwidth * 1e6 / 8, latency / 1000)
        row = f"{count:9} {summing:9.1f}"
        for streams, ideal in ((B, fixed + B * per_stream), (STRONG / count, (fixed + STRONG * per_stream) / count)):
            step = fixed + streams * per_stream + summing
            row += f" {step:10.1f} {1000 * streams * count * S / step:14,.0f} {ideal / step:9.0%}  "
        print(row)


def parameters() -> int:
    """Returns the number of parameters of the default model."""
    sys.path.insert(0, str(ROOT))
    from model.char_rnn import CharRNN

    return sum(parameter.numel() for parameter in CharRNN(V, 128, 2).parameters())


def ring(processes: int, size: int, bandwidth: float, latency: float) -> float:
    """Returns the milliseconds of a ring all-reduce, given bytes per millisecond and milliseconds per message."""
    return 2 * (processes - 1) * (size / processes / bandwidth + latency)


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Returns the name of the processor, as far as the system tells it."""
    path = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", path.read_text()) if path.exists() else None
    return found[1] if found else platform.processor() or platform.machine()


def loopback() -> int:
    """Returns how many bytes went over the loopback network so far; 0 if the system does not say."""
    path = Path("/proc/net/dev")
    found = re.search(r"lo:((?:\s+\d+)+)", path.read_text()) if path.exists() else None
    return int(found[1].split()[8]) if found else 0


if __name__ == "__main__":
    main()
