"""Trains the default model for some epochs and watches the process's memory and open files.

    python -m tests.campaigns.soak FOLDER_WITH_INPUT_TXT [EPOCHS]

Needs /proc.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.helpers.inputs import ROOT
from tests.helpers.logs import LINE

MOST_GROWTH = 0.02


def measure(pid: int) -> tuple[int, int]:
    """Bytes of resident memory of a process, and how many files it has open."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))


def soak(data: Path, epochs: int) -> list[tuple[int, int, int]]:
    """(iteration, memory, open files) after each iteration."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copy(data / "input.txt", name)
        flags = ["-gpuid=-1", "-data_dir", name, "-max_epochs", epochs, "-eval_val_every", 100, "-keep", 1]
        command = [sys.executable, ROOT / "train.py", *flags, "-checkpoint_dir", Path(name) / "cv"]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True) as run:
            lines = (match for match in map(LINE.match, run.stdout or ()) if match)
            samples = [(int(match[1]), *measure(run.pid)) for match in lines if match[1] != match[2]]
        assert run.returncode == 0, run.returncode
    return samples


def main() -> None:
    samples = soak(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
    steady = samples[len(samples) // 10 :]
    memory, files = [m for _, m, _ in steady], {f for *_, f in steady}
    print(f"iterations {steady[0][0]} to {steady[-1][0]}")
    print(f"resident memory {min(memory) / 1e6:.1f} to {max(memory) / 1e6:.1f} MB, at the end {memory[-1] / 1e6:.1f}")
    print(f"open files {', '.join(map(str, sorted(files)))}")
    assert max(memory) <= (1 + MOST_GROWTH) * min(memory), "the memory has grown"
    assert len(files) == 1, "the number of open files has changed"


if __name__ == "__main__":
    main()
