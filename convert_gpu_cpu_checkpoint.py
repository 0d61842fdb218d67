"""Makes a checkpoint that lies on a GPU into one that lies on the CPU.

    python convert_gpu_cpu_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt

Writes the same checkpoint to its name with _cpu.pt behind it. Our scripts load either on any machine; the converted
one also opens in other programs where there is no GPU.
"""

from __future__ import annotations

from pathlib import Path

from util import errors
from util.checkpoint.store import load_checkpoint, save_checkpoint
from util.cli.flags import Flags, gpu_id, switch
from util.errors import UserError, reason


def flags() -> Flags:
    flags = Flags("Makes a GPU checkpoint a CPU one.", "python convert_gpu_cpu_checkpoint.py CHECKPOINT")
    flags.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file written by train.py")
    add = flags.group("accepted as the original accepts them; reading a checkpoint takes no GPU")
    add("gpuid", gpu_id, 0, "not needed")
    add("opencl", switch, 0, "not needed")
    return flags


def main() -> None:
    source: Path = flags().parse().checkpoint
    checkpoint = load_checkpoint(source)
    target = source.with_name(source.name + "_cpu.pt")
    try:
        save_checkpoint(checkpoint, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {reason(error)}") from error
    print(f"saved {target}")


if __name__ == "__main__":
    errors.run(main)
