"""What a run says besides its log: of its sizes, what the model writes by now, and at the end how to go on."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.cli.console import log, rank, tell
from util.cli.signals import StopSignals
from util.errors import UserError
from util.sampling.settings import Settings
from util.sampling.writing import Writer
from util.training.processes import LostProcess

if TYPE_CHECKING:
    from util.training.trainer import Trainer

FIRST_PREVIEWS = (100, 300)  # iterations after which one sees that the model learns, long before a validation


def tell_sizes(characters: int, trainer: Trainer, iterations: int) -> None:
    """Reports the two numbers that should be of the same order of magnitude, and whether nothing is left to do.

    See docs/training.md.
    """
    parameters = trainer.flat.values.numel()
    if trainer.iteration >= iterations:
        log(f"the run is already complete after {trainer.iteration} iterations; a higher -max_epochs adds more")
    if sys.stderr.isatty():
        tell(f"the text has {characters:,} characters and the model {parameters:,} parameters")
    if parameters > 100 * characters:
        tell("warning: the model is much larger than the text and will memorize it; try a smaller -rnn_size")
    if characters > 100 * parameters:
        tell("warning: the text is much larger than the model, which will underfit; try a larger -rnn_size")


def preview(model_now: Callable[[], Checkpoint], options: Namespace, stop: StopSignals) -> None:
    """Shows what the model writes by now, on a terminal or if asked to: what sample.py writes from its checkpoint.

    `model_now` is called only then, since it copies the model.
    """
    if rank().first and options.preview and (sys.stderr.isatty() or "preview" in options.given):
        checkpoint = model_now()
        with suppress(UserError):  # if the model is not a number any more, which ends the run, shown or not
            writer = Writer(checkpoint, interrupted=lambda: stop.received)
            text = writer.text("", Settings(length=options.preview))
            for line in (f"----- at epoch {checkpoint.epoch:.2f} it writes -----", *text.split("\n"), "-----"):
                tell(line)


@contextmanager
def telling_what_is_left(folder: CheckpointFolder) -> Iterator[None]:
    """Adds to an error that ends a run how to continue it, or which checkpoint is good."""
    try:
        yield
    except LostProcess as error:
        raise LostProcess(f"{error}; {how_to_continue(folder)}") from error
    except UserError as error:  # resumed as it was, the run would end the same way
        good = last_checkpoint(folder)
        left = f"the last good checkpoint is {good}" if good else "there is no checkpoint yet"
        raise UserError(f"{error}; {left}") from error


def last_checkpoint(folder: CheckpointFolder) -> Path | None:
    """Returns the run's last checkpoint, if it has one and nobody has deleted it."""
    path = folder.last.path
    return path if path and (path.exists() or not rank().first) else None


def how_to_continue(folder: CheckpointFolder) -> str:
    """Returns how to continue a run that has ended early."""
    path, processes = last_checkpoint(folder), rank()
    if not path:
        return "there is no checkpoint yet, so start again"
    launcher = "python" if processes.total == 1 else f"torchrun --nproc_per_node={processes.local_total}"
    if processes.total > processes.local_total:
        launcher = "your torchrun command on each machine, with"
    return f"resume with: {launcher} {shlex.quote(sys.argv[0])} -resume {shlex.quote(str(path))}"


def how_to_sample(path: Path) -> str:
    """Returns the command that samples from a checkpoint; sample.py lies beside the script that runs."""
    return f"python {shlex.quote(str(Path(sys.argv[0]).with_name('sample.py')))} {shlex.quote(str(path))}"


def report_end(trainer: Trainer, folder: CheckpointFolder, iterations: int) -> None:
    """Says how to resume, or which checkpoint is best. Raises UserError if the last one could not be written."""
    path, stopping = last_checkpoint(folder), trainer.stopping
    if folder.last.iteration < trainer.iteration:
        lost = f"the last checkpoint could not be written; {how_to_continue(folder)}"
        if not stopping:
            raise UserError(lost)
        tell(f"warning: {lost}")
    elif stopping and (trainer.iteration < iterations or not trainer.validated):
        log(f"stopped at iteration {trainer.iteration}; {how_to_continue(folder)}")
        if path:
            tell(f"sample from it with: {how_to_sample(path)}")
    elif path and not trainer.options.val_frac:
        tell(f"sample from the last checkpoint with: {how_to_sample(path)}")
    elif trainer.val_losses:
        loss = min(trainer.val_losses.values())
        best = folder.path_of(loss)
        tell(f"best validation loss: {loss:.4f}" + (f"; sample from it with: {how_to_sample(best)}" if best else ""))
