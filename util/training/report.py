"""What a run says: its log, its sizes, what the model writes by now, and at the end how to go on."""

import math
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import numpy as np
import torch
from tqdm import tqdm

from util.checkpoint.content import Checkpoint
from util.checkpoint.folder import CheckpointFolder
from util.cli.console import log, rank, shows_bars, tell
from util.errors import UserError, reason
from util.sampling.settings import Settings
from util.sampling.writing import Writer
from util.training.processes import LostProcess
from util.training.tables import Row, Table
from util.training.trainer import Trainer


class RunLog:
    """The log of a run on standard output, its bar on a terminal, and its tables, which are opened and closed here."""

    def __init__(self, trainer: Trainer, tables: Sequence[Table]) -> None:
        self.trainer, self.tables = trainer, list(tables)
        for table in tables:
            table.open()
        self._seconds: list[float] = []  # that each iteration of this command took
        self._fastest = math.inf
        self._bar = tqdm(
            initial=trainer.iteration,
            total=trainer.iterations,
            unit_scale=trainer.options.batch_size * trainer.options.seq_length,
            unit=" characters",
            bar_format="{desc}{percentage:3.0f}%|{bar}| {rate_fmt}, {remaining} left",
            dynamic_ncols=True,
            leave=False,
            disable=not shows_bars(),
        )

    def close(self) -> None:
        self._bar.close()
        for table in self.tables:
            table.close()

    def add(self, to_print: bool, to_tables: bool) -> None:
        """Advances the bar to the last iteration; prints it, and adds it to the tables."""
        trainer, i = self.trainer, self.trainer.iteration
        if trainer.validated:
            self._bar.unpause()  # a validation is no measure of its speed
        losses, norm_ratio, seconds = trainer.train_losses, trainer.norm_ratio, trainer.seconds
        mean = np.mean(losses[-50:])
        self._bar.set_description_str(f"epoch {trainer.epoch:.2f}, loss {mean:.3f} ", refresh=False)
        self._bar.update(i - self._bar.n)
        if to_print:
            log(
                f"{i}/{trainer.iterations} (epoch {trainer.epoch:.3f}), train_loss = {losses[-1]:6.8f}, "
                f"grad/param norm = {norm_ratio:6.4e}, time/batch = {seconds:.4f}s"
            )
        if to_tables:
            val_loss = trainer.val_losses.get(i) if trainer.options.val_frac else None
            row = Row(i, trainer.epoch, losses[-1], val_loss, trainer.learning_rate, norm_ratio, seconds)
            for table in list(self.tables):
                try:
                    table.write(row)
                except OSError as error:
                    self.tables.remove(table)
                    table.close()
                    lost = "the rest of the run will be missing there"
                    tell(f"warning: cannot write {table.path} ({reason(error)}); {lost}")
        self.tell_pace(seconds)

    def tell_pace(self, seconds: float) -> None:
        """Says on a terminal how long the run takes, and once if iterations become three times as long as the fastest.

        Then other programs may be using the cores, and the threads wait for each other.
        """
        self._seconds.append(seconds)
        if len(self._seconds) < 5:
            return
        now, before, device = median(self._seconds[-5:]), self._fastest, self.trainer.device
        if len(self._seconds) == 20 and sys.stderr.isatty():
            minutes = now * (self.trainer.iterations - self.trainer.iteration) / 60
            time = f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.0f} hours"
            tell(f"about {time} to go on {device}; -print_every 100 prints fewer lines, and Ctrl-C stops and saves")
        self._fastest = min(before, now)
        if now > 3 * before > 0 and device.type == "cpu" and torch.get_num_threads() > 1:
            self._fastest = 0.0  # so that it is said once
            slower = f"an iteration takes {now:.2f} s now, and took {before:.2f} s before"
            tell(f"{slower}: perhaps other programs use the cores; then -threads 1 is faster")


def tell_sizes(trainer: Trainer) -> None:
    """Reports the two numbers that should be of the same order of magnitude, and whether nothing is left to do.

    See docs/training.md.
    """
    parameters, characters = trainer.flat.values.numel(), len(trainer.batches.indices)
    if trainer.iteration >= trainer.iterations:
        log(f"the run is already complete after {trainer.iteration} iterations; a higher -max_epochs adds more")
    if sys.stderr.isatty():
        tell(f"the text has {characters:,} characters and the model {parameters:,} parameters")
    if parameters > 100 * characters:
        tell("warning: the model is much larger than the text and will memorize it; try a smaller -rnn_size")
    if characters > 100 * parameters:
        tell("warning: the text is much larger than the model, which will underfit; try a larger -rnn_size")


def preview(trainer: Trainer, model_now: Callable[[], Checkpoint]) -> None:
    """Shows what the model writes by now, on a terminal or if asked to: what sample.py writes from its checkpoint.

    `model_now` is called only then, since it copies the model.
    """
    options = trainer.options
    if rank().first and options.preview and (sys.stderr.isatty() or "preview" in options.given):
        checkpoint = model_now()
        with suppress(UserError):  # if the model is not a number any more, which ends the run, shown or not
            writer = Writer(checkpoint, interrupted=lambda: trainer.stop.received)
            text = writer.text("", Settings(length=options.preview))
            for line in (f"----- at epoch {checkpoint.epoch:.2f} it writes -----", *text.split("\n"), "-----"):
                tell(line)


@contextmanager
def telling_what_is_left(folder: CheckpointFolder) -> Iterator[None]:
    """Adds to an error that ends a run how to continue it, or which checkpoint is good."""
    try:
        yield
    except UserError as error:
        good = last_checkpoint(folder)
        left = f"the last good checkpoint is {good}" if good else "there is no checkpoint yet"
        if isinstance(error, LostProcess):  # after any other, the run would end the same way again
            left = how_to_continue(folder)
        raise type(error)(f"{error}; {left}") from error


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


def report_end(trainer: Trainer, folder: CheckpointFolder) -> None:
    """Says how to resume, or which checkpoint is best. Raises UserError if the last one could not be written."""
    path, stopping = last_checkpoint(folder), trainer.stopping
    if folder.last.iteration < trainer.iteration:
        lost = f"the last checkpoint could not be written; {how_to_continue(folder)}"
        if not stopping:
            raise UserError(lost)
        tell(f"warning: {lost}")
    elif stopping and (trainer.iteration < trainer.iterations or not trainer.validated):
        log(f"stopped at iteration {trainer.iteration}; {how_to_continue(folder)}")
        if path:
            tell(f"sample from it with: {how_to_sample(path)}")
    elif path and not trainer.options.val_frac:
        tell(f"sample from the last checkpoint with: {how_to_sample(path)}")
    elif trainer.val_losses:
        loss = min(trainer.val_losses.values())
        best = folder.path_of(loss)
        tell(f"best validation loss: {loss:.4f}" + (f"; sample from it with: {how_to_sample(best)}" if best else ""))
