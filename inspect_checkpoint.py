"""Shows what is in a checkpoint.

    python inspect_checkpoint.py cv/lm_lstm_epoch50.00_1.3500.pt

Prints the flags of its run, the model's size and vocabulary, and the losses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from util import errors
from util.checkpoint import load_checkpoint
from util.flags import Flags, gpu_id, switch


def flags() -> Flags:
    flags = Flags("Shows what is in a checkpoint.", "python inspect_checkpoint.py CHECKPOINT")
    flags.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a file written by train.py")
    add = flags.group("accepted as the original accepts them; reading a checkpoint takes no GPU")
    add("gpuid", gpu_id, 0, "not needed")
    add("opencl", switch, 0, "not needed")
    return flags


def main() -> None:
    checkpoint = load_checkpoint(flags().parse().checkpoint)
    print("options:")
    for name, value in sorted(checkpoint.options.items()):
        print(f"  {name:<26} {value!r}")
    V, H, L, model = checkpoint.model_shape
    count = sum(array.size for array in checkpoint.parameters.values())
    print(f"model: {model}, {L} layers of {H}, {count} parameters in {checkpoint.dtype}")
    print(f"vocabulary: {V} characters: {checkpoint.vocabulary[:200]!r}{' ...' if V > 200 else ''}")
    print(f"iteration: {checkpoint.iteration} (epoch {checkpoint.epoch:.3f})")
    if checkpoint.iteration:
        recent = checkpoint.train_losses[-100:]
        print(f"train loss: {recent[-1]:.8f}, mean of the last {len(recent)}: {np.nanmean(recent):.4f}")
    print("validation losses:")
    for iteration, loss in sorted(checkpoint.val_losses.items()):
        print(f"  {iteration:>8}  {loss:.4f}")


if __name__ == "__main__":
    errors.run(main)
