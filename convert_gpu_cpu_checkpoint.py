"""Converts a checkpoint made on a GPU to one that loads on a CPU.

    python convert_gpu_cpu_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt

Writes the same checkpoint under its name plus _cpu.pt. The scripts here load either kind on any machine; the
converted one also opens in other programs on a machine without a GPU.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

from pathlib import Path

from util.checkpoint.store import load_checkpoint, to_bytes
from util.cli import console
from util.cli.files import output
from util.cli.flags import Flags


def flags() -> Flags:
    flags = Flags("Converts a GPU checkpoint to a CPU checkpoint.", "python convert_gpu_cpu_checkpoint.py CHECKPOINT")
    flags.add_checkpoint()
    flags.add_unused_machine()
    return flags


def main() -> None:
    source: Path = flags().parse().checkpoint
    content = to_bytes(load_checkpoint(source))
    target = source.with_name(source.name + "_cpu.pt")
    with output(target, reads=[source], kind="checkpoint") as file:
        file.write(content)
    print(f"saved {target}")


if __name__ == "__main__":
    console.run(main)
