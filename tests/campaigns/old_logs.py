"""Compares with the log of a stranger's run of the original from 2016, once two things of its time are put back.

    python -m tests.campaigns.old_logs -data_dir FOLDER

FOLDER holds the canonical tinyshakespeare as input.txt.
"""

import argparse
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from model.fast.lstm import LSTMStep
from tests.helpers.checkpoints import checkpoints
from tests.helpers.inputs import GOLDEN
from tests.helpers.scripts import run_here
from util.checkpoint.content import Checkpoint
from util.evaluation.loss import measure, predict_split

LOSSES = json.loads((GOLDEN / "strangers_run.json").read_text())["train_losses"]
EPOCH = 423
"""Iterations of an epoch of that text."""


def exp_minus(x: Tensor) -> Tensor:
    """Returns exp(-x) of x >= 0 as Torch computed it on a CPU: by a polynomial, and 0 from 13 on."""
    y = 1 + x * (1 / 8 + x * (1 / 128 + x * (0.00032552083 + x * 1.0172526e-5)))
    return torch.where(x < 13, y**-8, 0.0)


class OldLogSoftmax(torch.autograd.Function):
    """Log-softmax with that approximation; the way back has the exact exponential."""

    @staticmethod
    def forward(ctx, x):
        largest = x.amax(-1, keepdim=True)
        log_probs = x - (largest + exp_minus(largest - x).sum(-1, keepdim=True).log())
        ctx.save_for_backward(log_probs)
        return log_probs

    @staticmethod
    def backward(ctx, gradient):
        (log_probs,) = ctx.saved_tensors
        return gradient - log_probs.exp() * gradient.sum(-1, keepdim=True)


local_derivatives = LSTMStep.local_derivatives


def derivatives_by_reference(steps: LSTMStep) -> None:
    """The way back of a layer that carries its state by reference.

    By then the forward pass has overwritten the state before the first step with that after the last, but for the zeros
    that a run starts from.
    """
    if steps.h_prev[0].any():
        for values in steps.states.values():
            values[0] = values[-1]
    local_derivatives(steps)


def train_as_then(data: Path, folder: Path) -> Checkpoint:
    """Trains the default model in `folder` for as many iterations as there are losses; returns its checkpoint."""
    flags = ["-data_dir", data, "-dtype", "float64", "-gpuid", -1, "-checkpoint_dir", folder, "-print_every", 100]
    log_softmax = patch.object(torch, "log_softmax", lambda x, dim: OldLogSoftmax.apply(x))
    by_reference = patch.object(LSTMStep, "local_derivatives", derivatives_by_reference)
    with log_softmax, by_reference:
        done = run_here("train.py", *flags, "-max_epochs", (len(LOSSES) + 0.5) / EPOCH)
    assert not done.returncode, done.stderr
    return checkpoints(folder).popitem()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-data_dir", type=Path, required=True)
    data = parser.parse_args().data_dir
    with TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(data / "input.txt", folder)
        checkpoint = train_as_then(folder, folder / "cv")
        exact, _ = measure(checkpoint, predict_split(checkpoint, folder, name, "val"), "cpu")
    stored, differences = checkpoint.val_losses[checkpoint.iteration], np.abs(checkpoint.train_losses - LOSSES)
    for count in (1, 2, 10, len(LOSSES)):
        print(f"largest difference of the first {count:3} training losses: {differences[:count].max():.1e}")
    print(f"validation loss: {stored} as stored then, {exact} by evaluate.py: {stored - exact:.1e} less")
    assert differences.max() < 1e-10, "the losses are not those of the stranger's run"


if __name__ == "__main__":
    main()
