"""What a run says besides its log: of its sizes, what the model writes by now, and at the end how to go on."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.cli.console import log, rank, tell
from util.errors import UserError
from util.sampling.writing import sample_text

if TYPE_CHECKING:
    from util.training.trainer import Trainer


def tell_sizes(characters: int, parameters: int) -> None:
    """Reports the two numbers that should be of the same order of magnitude; see docs/training.md."""
    if sys.stderr.isatty():
        tell(f"the text has {characters:,} characters and the model {parameters:,} parameters")
    if parameters > 100 * characters:
        tell("warning: the model is much larger than the text and will memorize it; try a smaller -rnn_size")
    if characters > 100 * parameters:
        tell("warning: the text is much larger than the model, which will underfit; try a larger -rnn_size")


def preview(checkpoint: Checkpoint, options: Namespace) -> None:
    """Shows what the model writes by now, on a terminal or if asked to: what sample.py writes from its checkpoint."""
    validated = checkpoint.iteration in checkpoint.val_losses
    if rank().first and validated and options.preview and (sys.stderr.isatty() or "preview" in options.given):
        text = sample_text(checkpoint, options.preview)
        tell(f"----- at epoch {checkpoint.epoch:.2f} it writes -----\n{text}\n-----")


def how_to_continue(folder: CheckpointFolder) -> str:
    """Returns how to continue a run that has ended early."""
    if not folder.last.path:
        return "there is no checkpoint yet, so start again"
    launcher = "python" if rank().total == 1 else f"torchrun --nproc_per_node={rank().local_total}"
    return f"resume with: {launcher} train.py -resume {shlex.quote(str(folder.last.path))}"


def last_good(folder: CheckpointFolder) -> str:
    """Returns which checkpoint is left of a run that has gone wrong."""
    path = folder.last.path
    return f"the last good checkpoint is {path}" if path else "there is no checkpoint yet"


def how_to_sample(path: Path) -> str:
    """Returns the command that samples from a checkpoint."""
    return f"python sample.py {shlex.quote(str(path))}"


def report_end(trainer: Trainer, folder: CheckpointFolder, iterations: int) -> None:
    """Says how to resume, or which checkpoint is best. Raises UserError if the last one could not be written."""
    last, stopping = folder.last, trainer.stopping
    if last.iteration < trainer.iteration:
        lost = f"the last checkpoint could not be written; {how_to_continue(folder)}"
        if not stopping:
            raise UserError(lost)
        tell(f"warning: {lost}")
    elif stopping and (trainer.iteration < iterations or trainer.iteration not in trainer.val_losses):
        log(f"stopped at iteration {trainer.iteration}; {how_to_continue(folder)}")
        if last.path:
            tell(f"sample from it with: {how_to_sample(last.path)}")
    elif last.path and not trainer.options.val_frac:
        tell(f"sample from the last checkpoint with: {how_to_sample(last.path)}")
    elif trainer.val_losses:
        loss = min(trainer.val_losses.values())
        best = folder.path_of(loss)
        tell(f"best validation loss: {loss:.4f}" + (f"; sample from it with: {how_to_sample(best)}" if best else ""))
