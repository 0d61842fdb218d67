"""What a run says besides its log: what the model writes by now, and at the end how to go on."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.cli.console import launcher, log, rank, tell
from util.errors import UserError
from util.sampling.growing import sample_text

if TYPE_CHECKING:
    from util.training.trainer import Trainer

NO_CHECKPOINT = "there is no checkpoint yet, so start again"


def preview(checkpoint: Checkpoint, options: Namespace) -> None:
    """Shows what the model writes by now, on a terminal or if asked to: what sample.py writes from its checkpoint."""
    validated = checkpoint.iteration in checkpoint.val_losses
    if rank().first and validated and options.preview and (sys.stderr.isatty() or "preview" in options.given):
        text = sample_text(checkpoint, options.preview)
        tell(f"----- at epoch {checkpoint.epoch:.2f} it writes -----\n{text}\n-----")


def how_to_continue(folder: CheckpointFolder) -> str:
    """Returns how to continue a run that has ended early."""
    if not folder.last.path:
        return NO_CHECKPOINT
    return f"resume with: {launcher()} train.py -resume {shlex.quote(str(folder.last.path))}"


def last_good(folder: CheckpointFolder) -> str:
    """Returns which checkpoint is left by a run whose loss has gone wrong."""
    return f"the last good checkpoint is {folder.last.path}" if folder.last.path else NO_CHECKPOINT


def how_to_sample(path: Path | None) -> str:
    """Returns the command that samples from a checkpoint."""
    return f"python sample.py {shlex.quote(str(path))}"


def report_end(trainer: Trainer, folder: CheckpointFolder, iterations: int, stopped: bool) -> None:
    """Says how to resume, or which checkpoint is best. Raises UserError if the last one could not be written."""
    if folder.last.iteration < trainer.iteration:
        lost = f"the last checkpoint could not be written; {how_to_continue(folder)}"
        if not stopped:
            raise UserError(lost)
        tell(f"warning: {lost}")
    elif stopped and (trainer.iteration < iterations or trainer.iteration not in trainer.val_losses):
        log(f"stopped at iteration {trainer.iteration}; {how_to_continue(folder)}")
        tell(f"sample from it with: {how_to_sample(folder.last.path)}")
    elif not trainer.options.val_frac and not stopped:
        tell(f"sample from the last checkpoint with: {how_to_sample(folder.last.path)}")
    elif trainer.val_losses and not stopped:
        loss = min(trainer.val_losses.values())
        best = folder.path_of(loss)
        tell(f"best validation loss: {loss:.4f}" + (f"; sample from it with: {how_to_sample(best)}" if best else ""))
