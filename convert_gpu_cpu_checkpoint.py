"""Turns a checkpoint that lies on a GPU into one that lies on the CPU.

    python convert_gpu_cpu_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt

Writes the same checkpoint to its name with _cpu.pt behind it. Our scripts load either on any machine; the converted
one also opens in other programs where there is no GPU.
"""

from __future__ import annotations

if __name__ == "__main__":
    import util.cli.early  # noqa: F401  (before the other imports)

from pathlib import Path

from util.checkpoint.store import load_checkpoint, to_file
from util.cli import console
from util.cli.files import output
from util.cli.flags import Flags


def flags() -> Flags:
    flags = Flags("Turns a GPU checkpoint into a CPU one.", "python convert_gpu_cpu_checkpoint.py CHECKPOINT")
    flags.add_checkpoint()
    flags.add_unused_machine()
    return flags


def main() -> None:
    source: Path = flags().parse().checkpoint
    content = to_file(load_checkpoint(source))
    target = source.with_name(source.name + "_cpu.pt")
    with output(target, reads=[source], over_checkpoints=True) as file:
        file.write(content)
    print(f"saved {target}")


if __name__ == "__main__":
    console.run(main)
