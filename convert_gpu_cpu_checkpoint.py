"""Converts a checkpoint to a .pt that loads everywhere.

    python convert_gpu_cpu_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt

Writes it under its name plus _cpu.pt: a .t7 as a .pt, and a .pt as it is, since ours hold nothing of a GPU.
"""

if __name__ == "__main__":
    import os
    import sys

    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # which python -P and -I leave out
    import util.cli.early  # noqa: F401  (before the other imports)

from util.checkpoint.choice import best_checkpoint
from util.checkpoint.store import to_bytes
from util.cli import console
from util.cli.files import output
from util.cli.flags import Flags


def flags() -> Flags:
    flags = Flags("Makes a .pt that loads everywhere.", "python convert_gpu_cpu_checkpoint.py CHECKPOINT")
    flags.add_checkpoint()
    flags.add_machine(used=False)
    return flags


def main() -> None:
    source, checkpoint = best_checkpoint(flags().parse().checkpoint)
    target = source.with_name(source.name + "_cpu.pt")
    content = to_bytes(checkpoint)
    with output(target, reads=[source], kind="checkpoint") as file:
        file.write(content)
    print(f"saved {target}")


if __name__ == "__main__":
    console.run(main)
